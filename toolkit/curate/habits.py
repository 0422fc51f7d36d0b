"""How each annotator differs from the others: offsets, swaps, people left out, flags.

Somebody is singled out for a bias, a swap or a habit only if it shows against more than half
of the others, so that one odd annotator of three does not make the other two look odd. Of
two annotators nobody can say whose it is: it is told of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from toolkit.curate.annotators import Panel
from toolkit.curate.resample import Interval, group_weights, mean_interval

SURE = 0.001  # an annotator is singled out below this p value, divided by the comparisons
SWAPPED = 0.5  # a pair counts as swapped if exchanging it at least halves its distances
FLAGS = ("absent", "occluded", "visible")
_NORMAL_FROM = 1000  # degrees of freedom of a Student's t
_SHARE = 0.02  # of the size: offsets below it are no bias worth telling


@dataclass(frozen=True)
class AnnotatorHabits:
    """How one annotator differs from the others.

    Attributes:
        annotator: The name.
        people: People labelled.
        missing: People that at least two others (or the only other) labelled and this one not,
            in images that this one was given.
        extra: People that nobody else labelled, in images that somebody else was given.
        bias_of_size: Mean offset (x, y) over the size; the middle annotator's is 0, of
            two each has half of the difference.
        bias_px: The same in px.
        bias_interval: 95 % intervals of the two, of the size.
        biased: Whether offsets against more than half of the others are no chance and at
            least 2 % of the size.
        biased_keypoints: Keypoints with such offsets of their own.
        swaps: Pairs of keypoints labelled the wrong way round, as more than half of the others
            have it.
        visibility: Labels with each flag where the others say another: `visible where others
            say occluded` and so on, by (own flag, others' flag).
        habits: Habits of flags that are no chance, in words.
    """

    annotator: str
    people: int
    missing: int
    extra: int
    bias_of_size: tuple[float, float] | None
    bias_px: tuple[float, float] | None
    bias_interval: tuple[Interval, Interval]
    biased: bool
    biased_keypoints: tuple[str, ...]
    swaps: int
    visibility: dict[tuple[str, str], int]
    habits: tuple[str, ...]


def swapped_pairs(panel: Panel) -> NDArray[np.bool_]:
    """(A, U, K) keypoints that an annotator labelled as their mirror partner.

    Judged against each other annotator: exchanging the two labels at least halves their
    summed distance, and the two places are farther apart than 5 % of the size. More than
    half of the others must say so.
    """
    flip = panel.schema.flip_index
    votes = np.zeros(panel.labelled.shape, dtype=np.int64)
    for at, other in combinations(range(len(panel.names)), 2):
        own, theirs = panel.keypoints[at], panel.keypoints[other]
        with np.errstate(invalid="ignore"):
            straight = np.linalg.norm(own - theirs, axis=2)
            crossed = np.linalg.norm(own[:, flip] - theirs, axis=2)
            apart = np.linalg.norm(theirs - theirs[:, flip], axis=2)
            found = (
                (crossed + crossed[:, flip] < SWAPPED * (straight + straight[:, flip]))
                & (apart > 0.05 * panel.scale[:, None])
                & (flip != np.arange(len(flip)))
            )
        votes[at] += found
        votes[other] += found
    both = panel.labelled & panel.labelled[:, :, flip]
    others = np.maximum(both.sum(axis=0)[None] - both, 1)
    return np.asarray(2 * votes > others)


def habits_of(
    panel: Panel, at: int, offsets: Offsets, swaps: NDArray[np.bool_]
) -> AnnotatorHabits:
    """How one annotator differs from the others."""
    others = np.delete(panel.present, at, axis=0).sum(axis=0)
    asked = np.delete(panel.looked, at, axis=0).sum(axis=0)
    own = panel.present[at]
    names = panel.schema.names
    return AnnotatorHabits(
        annotator=panel.names[at],
        people=int(own.sum()),
        missing=int(
            (panel.looked[at] & ~own & (others > 0) & (others >= np.minimum(2, asked))).sum()
        ),
        extra=int((own & (others == 0) & (asked > 0)).sum()),
        bias_of_size=offsets.of_size[at],
        bias_px=offsets.px[at],
        bias_interval=offsets.intervals[at],
        biased=_is_biased(panel, at, offsets, list(range(len(names)))),
        biased_keypoints=tuple(
            names[k] for k in range(len(names)) if _is_biased(panel, at, offsets, [k])
        ),
        swaps=int(swaps.sum()) // 2,
        visibility=_flags(panel, at),
        habits=tuple(_flag_habits(panel, at)),
    )


@dataclass(frozen=True)
class Offsets:
    """Where annotators' labels lie from each other's; swapped labels are left out.

    Attributes:
        points: (A, U, K, 2) labels, NaN where there is none or it is a swap.
        of_size: Mean offset of each annotator, (x, y) over the size.
        px: The same in px.
        intervals: 95 % intervals of the former.
    """

    points: NDArray[np.float64]
    of_size: tuple[tuple[float, float] | None, ...]
    px: tuple[tuple[float, float] | None, ...]
    intervals: tuple[tuple[Interval, Interval], ...]


def measure_offsets(panel: Panel, swaps: NDArray[np.bool_]) -> Offsets:
    """Mean offset of each annotator from all, over keypoints that everybody there labelled.

    That is everybody who was given the image, at least two.
    The middle annotator's is then taken for 0: with one odd one of three, the odd one gets
    all of the difference and not each of the others half of it.
    """
    weights = group_weights(panel.group)
    points = np.where((panel.labelled & ~swaps)[..., None], panel.keypoints, np.nan)
    known = np.isfinite(points[..., 0])
    lacking = panel.looked[:, :, None] & ~known
    shared = ~lacking.any(axis=0) & (known.sum(axis=0) > 1)
    total = np.where(known[..., None], points, 0.0).sum(axis=0)
    mean = total / np.maximum(known.sum(axis=0), 1)[..., None]
    centred = np.where(shared[..., None], points - mean, np.nan)
    of_size, px, intervals = [], [], []
    for own in centred:
        scaled = own / panel.scale[:, None, None]
        found = [_mean_of(scaled[..., axis], weights) for axis in (0, 1)]
        of_size.append([found[0][0], found[1][0]])
        intervals.append((found[0][1], found[1][1]))
        px.append([_mean_of(own[..., axis], None)[0] for axis in (0, 1)])
    middle = [_middle([row[axis] for row in of_size]) for axis in (0, 1)]
    middle_px = [_middle([row[axis] for row in px]) for axis in (0, 1)]
    return Offsets(
        points,
        tuple(_less(row, middle) for row in of_size),
        tuple(_less(row, middle_px) for row in px),
        tuple(
            (_shifted(left, middle[0]), _shifted(right, middle[1])) for left, right in intervals
        ),
    )


def _middle(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else 0.0


def _less(values: list[float | None], middle: list[float]) -> tuple[float, float] | None:
    x, y = values
    return None if x is None or y is None else (x - middle[0], y - middle[1])


def _shifted(interval: Interval, middle: float) -> Interval:
    return None if interval is None else (interval[0] - middle, interval[1] - middle)


def _mean_of(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[float | None, Interval]:
    good = np.isfinite(values)
    total, count = np.where(good, values, 0.0).sum(axis=1), good.sum(axis=1) * 1.0
    if weights is not None:
        return mean_interval(total, count, weights)
    number = count.sum()
    return (float(total.sum() / number) if number else None), None


def _is_biased(panel: Panel, at: int, offsets: Offsets, keypoints: list[int]) -> bool:
    """Whether the labels lie off against more than half of the others, to the same side."""
    count = len(panel.names)
    tests = count * (count - 1) * (len(panel.schema.names) + 1)
    for axis in (0, 1):
        signs = []
        for other in range(count):
            if other != at:
                apart = offsets.points[at] - offsets.points[other]
                values = apart[:, keypoints, axis] / panel.scale[:, None]
                signs.append(_sign(values, panel.group, tests))
        if 2 * max(signs.count(1), signs.count(-1)) > count - 1:
            return True
    return False


def _sign(values: NDArray[np.float64], group: NDArray[np.int64], tests: int) -> int:
    """Side of a mean offset, 0 where it is small or may be chance.

    People of one group count as one observation.
    """
    good = np.isfinite(values)
    totals = np.bincount(group, np.where(good, values, 0.0).sum(axis=1))
    counts = np.bincount(group, good.sum(axis=1))
    means = totals[counts > 0] / counts[counts > 0]
    if len(means) < 3 or abs(means.mean()) < _SHARE:
        return 0
    error = means.std(ddof=1) / math.sqrt(len(means))
    if error and student_two_sided(means.mean() / error, len(means) - 1) >= SURE / tests:
        return 0
    return int(np.sign(means.mean()))


def _two_sided(z: float) -> float:
    return 2 * NormalDist().cdf(-abs(z))


def student_two_sided(t: float, freedom: int) -> float:
    """Probability of a value of Student's t at least as far from 0.

    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4, exact; the normal law's from 1,000
    degrees of freedom on.
    """
    if freedom >= _NORMAL_FROM:
        return _two_sided(t)
    angle = math.atan(abs(t) / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term = total = (math.cos(angle) if odd else 1.0) * (freedom > 1)
    for k in range(2 + odd, freedom, 2):
        term *= square * (k - 1) / k
        total += term
    inside = math.sin(angle) * total
    return max(0.0, 1 - (2 / math.pi * (angle + inside) if odd else inside))


def _flags(panel: Panel, at: int) -> dict[tuple[str, str], int]:
    """(own flag, another's flag) -> pairs of labels."""
    own = panel.visibility[at]
    found = {}
    for mine, name in enumerate(FLAGS):
        for theirs, other_name in enumerate(FLAGS):
            count = sum(
                int(((own == mine) & (panel.visibility[other] == theirs)).sum())
                for other in range(len(panel.names))
                if other != at
            )
            found[name, other_name] = count
    return found


def _flag_habits(panel: Panel, at: int) -> Iterator[str]:
    """Flags that this annotator gives where more than half of the others give another one.

    Where two annotators differ between two flags, either is as often right by chance: a sign
    test over people tells a habit.
    """
    count = len(panel.names)
    own = panel.visibility[at]
    for first, second in combinations(range(3), 2):
        signs, totals = [], np.zeros(2, np.int64)
        for other in range(count):
            if other == at:
                continue
            theirs = panel.visibility[other]
            more = ((own == first) & (theirs == second)).sum(axis=1)
            less = ((own == second) & (theirs == first)).sum(axis=1)
            people = np.array([(more > less).sum(), (less > more).sum()])
            totals += people
            z = (people[0] - people[1]) / math.sqrt(max(people.sum(), 1))
            sure = _two_sided(z) < SURE / (3 * count * (count - 1))
            signs.append(int(np.sign(z)) if sure else 0)
        for sign, mine, theirs_flag in ((1, first, second), (-1, second, first)):
            if 2 * signs.count(sign) > count - 1:
                yield (
                    f"says {FLAGS[mine]} where others say {FLAGS[theirs_flag]}: "
                    f"{totals.max():,} people against {totals.min():,}"
                )
