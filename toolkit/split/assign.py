"""Which split each group goes to.

Groups are taken in an order that depends on the seed and their names only, largest first,
and each goes where most is missing; then single moves and exchanges of two groups improve
the balance until none helps. Where nothing is settled yet, no split that something was
asked for stays empty while another has two groups. All figures are whole numbers, so
neither the order of the file nor that of a sum matters.

The cost of a split is the sum of fourth powers of its distances from what was asked: in
units of 2 points for its share of images and of instances, of 3 points for each stratum.
The fourth power makes the worst distance count most.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from toolkit.split.strata import IMAGES, INSTANCES, Counts, shares

FRACTION_LIMIT, STRATUM_LIMIT = 0.02, 0.03
MOVES = 2000  # improvements at most: sets with so many groups are balanced long before
POOL = 150  # groups of each split that exchanges are looked for among
ENOUGH = 1e-4  # cost below which nothing is left to improve: a tenth of each limit

_Table = NDArray[np.int64]


def assign(
    counts: Counts, fractions: Mapping[str, float], seed: int, fixed: Mapping[str, str]
) -> NDArray[np.int64]:
    """Assign every group to a split.

    Args:
        counts: What each group holds.
        fractions: Share of each split; they add up to 1.
        seed: Another seed gives another split.
        fixed: Groups whose split is settled, by name.

    Returns:
        (G,) index of each group's split in `fractions`.
    """
    names = list(fractions)
    order = _order(counts, seed)
    table = counts.table[order]
    settled = np.array(
        [names.index(fixed[n]) if n in fixed else -1 for n in np.array(counts.names)[order]],
        dtype=np.int64,
    )
    wanted = np.array([fractions[name] for name in names])
    search = _Search(table, wanted, settled)
    search.fill()
    search.fill_empty()
    search.improve()
    result = np.empty(len(order), np.int64)
    result[order] = search.where
    return result


def _order(counts: Counts, seed: int) -> NDArray[np.int64]:
    """Largest groups first; equal ones by a hash of seed and name."""
    rank = [hashlib.sha256(f"{seed}\0{name}".encode()).digest() for name in counts.names]
    size = counts.table[:, INSTANCES] + counts.table[:, IMAGES]
    keys = sorted(range(len(rank)), key=lambda at: (-int(size[at]).bit_length(), rank[at]))
    return np.array(keys, np.int64)


class _Search:
    """A split that is being improved; groups are rows of `table`."""

    def __init__(self, table: _Table, wanted: NDArray[np.float64], settled: _Table) -> None:
        self.table, self.wanted = table, wanted
        self.whole = table.sum(axis=0)
        self.where = settled.copy()
        self.free = np.flatnonzero(settled < 0)
        # splits that must not be empty; a new version may leave one as it was
        self.needed = (wanted > 0) & (settled < 0).all()
        self.sums = np.zeros((len(wanted), table.shape[1]), np.int64)
        np.add.at(self.sums, settled[settled >= 0], table[settled >= 0])

    def cost(self, sums: _Table, split: int) -> NDArray[np.float64]:
        """(...,) cost of one split with (..., F) sums."""
        whole = np.maximum(self.whole[[IMAGES, INSTANCES]], 1)
        off = sums[..., [IMAGES, INSTANCES]] / whole - self.wanted[split]
        strata = np.nan_to_num(shares(sums) - shares(self.whole))
        worst = ((off / FRACTION_LIMIT) ** 4).sum(axis=-1)
        return np.asarray(worst + ((strata / STRATUM_LIMIT) ** 4).sum(axis=-1))

    def costs(self) -> NDArray[np.float64]:
        """(S,) cost of each split as it is."""
        return np.array([self.cost(self.sums[s], s) for s in range(len(self.wanted))])

    def fill(self) -> None:
        """Put each free group where the largest share of what was asked is missing."""
        target = self.wanted * max(int(self.whole[INSTANCES] + self.whole[IMAGES]), 1)
        filled = (self.sums[:, IMAGES] + self.sums[:, INSTANCES]).astype(np.float64)
        size = self.table[:, IMAGES] + self.table[:, INSTANCES]
        for row in self.free.tolist():
            missing = (target - filled) / np.maximum(target, 1e-9)
            split = int(np.argmax(np.where(self.wanted > 0, missing, -np.inf)))
            filled[split] += size[row]
            self._put(row, split)

    def fill_empty(self) -> None:
        """Give each empty split the group that is missed least where there are several."""
        for split in np.flatnonzero(self.needed).tolist():
            spare = self.free[self._groups()[self.where[self.free]] > 1]
            if (self.where == split).any() or not len(spare):
                continue
            before, gain = self.costs(), np.empty(len(spare))
            for at, row in enumerate(spare.tolist()):
                source = int(self.where[row])
                gone = self.cost(self.sums[source] - self.table[row], source)
                there = self.cost(self.sums[split] + self.table[row], split)
                gain[at] = gone + there - before[source] - before[split]
            self._put(int(spare[np.argmin(gain)]), split)

    def _groups(self) -> NDArray[np.int64]:
        """(S,) groups in each split."""
        return np.bincount(self.where, minlength=len(self.wanted))

    def improve(self) -> None:
        """Move or exchange groups as long as that lowers the cost."""
        for _ in range(MOVES):
            if self.costs().sum() < ENOUGH or not (self._move() or self._exchange()):
                return

    def _put(self, row: int, split: int) -> None:
        if self.where[row] >= 0:
            self.sums[self.where[row]] -= self.table[row]
        self.sums[split] += self.table[row]
        self.where[row] = split

    def _move(self) -> bool:
        before, groups = self.costs(), self._groups()
        best, found = -1e-12, None
        for source in range(len(self.wanted)):
            rows = self.free[self.where[self.free] == source]
            if not len(rows) or (groups[source] == 1 and self.needed[source]):
                continue
            gone = self.cost(self.sums[source] - self.table[rows], source)
            for target in range(len(self.wanted)):
                if target == source or self.wanted[target] == 0:
                    continue
                there = self.cost(self.sums[target] + self.table[rows], target)
                change = gone + there - before[source] - before[target]
                at = int(np.argmin(change))
                if change[at] < best:
                    best, found = float(change[at]), (int(rows[at]), target)
        if found is not None:
            self._put(*found)
        return found is not None

    def _exchange(self) -> bool:
        before = self.costs()
        best, found = -1e-12, None
        for one in range(len(self.wanted)):
            for two in range(one + 1, len(self.wanted)):
                left = self.free[self.where[self.free] == one][:POOL]
                right = self.free[self.where[self.free] == two][:POOL]
                if not len(left) or not len(right):
                    continue
                swap = self.table[right][None] - self.table[left][:, None]  # (L, R, F)
                change = self.cost(self.sums[one] + swap, one) - before[one]
                change += self.cost(self.sums[two] - swap, two) - before[two]
                at = int(np.argmin(change))
                if change.flat[at] < best:
                    a, b = divmod(at, len(right))
                    best, found = float(change.flat[at]), (int(left[a]), int(right[b]))
        if found is not None:
            one, two = int(self.where[found[0]]), int(self.where[found[1]])
            self._put(found[0], two)
            self._put(found[1], one)
        return found is not None
