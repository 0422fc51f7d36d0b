"""Where annotators agree, where they do not, and who differs in which way.

Everything compares annotators with each other; nobody is taken for the truth. Distances are
given in px and in units of the person's size (the root of its area, as OKS measures), with
95 % intervals by clip, else by image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from toolkit.curate.annotators import NOBODY, Panel
from toolkit.curate.resample import group_weights, mean_interval

Interval = tuple[float, float] | None
SURE = 0.001  # an annotator is singled out below this p value, divided by the comparisons
SWAPPED = 0.5  # a pair counts as swapped if exchanging it at least halves its distances
FLAGS = ("absent", "occluded", "visible")
_SHARE = 0.02  # of the size: offsets below it are no bias worth telling


@dataclass(frozen=True)
class KeypointAgreement:
    """How far two annotators' labels of one keypoint lie apart.

    Attributes:
        keypoint: Its name.
        pairs: Pairs of labels compared.
        median_px: Median distance, None without pairs.
        p90_px: 90th percentile.
        mean_of_size: Mean distance over the person's size.
        interval: Of that mean.
        same_visibility: Share of pairs with the same flag, absent ones included.
    """

    keypoint: str
    pairs: int
    median_px: float | None
    p90_px: float | None
    mean_of_size: float | None
    interval: Interval
    same_visibility: float | None


@dataclass(frozen=True)
class AnnotatorHabits:
    """How one annotator differs from the others.

    Attributes:
        annotator: The name.
        people: People labelled.
        missing: People that at least two others (or the only other) labelled and this one not.
        extra: People that nobody else labelled.
        bias_of_size: Mean offset (x, y) from the mean of the others, over the size.
        bias_px: The same in px.
        bias_interval: 95 % intervals of the two, of the size.
        biased: Whether the offset is no chance and at least 2 % of the size.
        biased_keypoints: Keypoints with such an offset of their own.
        swaps: Pairs of keypoints labelled the wrong way round, judged by the others.
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


@dataclass(frozen=True)
class Disagreement:
    """A person worth looking at again.

    Attributes:
        row: In the panel.
        image_id: Its image, in the first annotator's ids.
        instance_ids: Its id in each annotator's file, -1 where it is missing.
        score: 1 minus the mean OKS of all pairs of annotators; 1 where somebody lacks it.
        why: What is wrong, in words.
    """

    row: int
    image_id: int
    instance_ids: tuple[int, ...]
    score: float
    why: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """All of it.

    Attributes:
        annotators: One entry each.
        keypoints: One entry each.
        people: People in all.
        shared: People that every annotator labelled.
        oks: Mean OKS of pairs of labels of one person, None where no sigma is known.
        oks_interval: Of that mean.
        confusion: (4, 4) pairs of flags: absent, occluded, visible, missing person; the earlier
            annotator down, the later across.
        queue: People to look at again, worst first.
    """

    annotators: tuple[AnnotatorHabits, ...]
    keypoints: tuple[KeypointAgreement, ...]
    people: int
    shared: int
    oks: float | None
    oks_interval: Interval
    confusion: NDArray[np.int64]
    queue: tuple[Disagreement, ...]


def measure_agreement(panel: Panel) -> Agreement:
    """Compare all annotators with each other."""
    weights = group_weights(panel.group)
    oks = pair_oks(panel)
    seen = np.isfinite(oks)
    mean, interval = mean_interval(np.nansum(oks, axis=0), seen.sum(axis=0) * 1.0, weights)
    swaps = swapped_pairs(panel)
    return Agreement(
        annotators=tuple(
            _habits(panel, at, weights, swaps[at]) for at in range(len(panel.names))
        ),
        keypoints=tuple(_keypoint(panel, k, weights) for k in range(len(panel.schema.names))),
        people=panel.present.shape[1],
        shared=int(panel.present.all(axis=0).sum()),
        oks=mean,
        oks_interval=interval,
        confusion=_confusion(panel),
        queue=_queue(panel, oks, swaps),
    )


def pair_oks(panel: Panel) -> NDArray[np.float64]:
    """(P, U) OKS of each pair of annotators on each person, NaN where one lacks it.

    Over keypoints that either labels; one that only one of them labels counts 0.
    """
    sigma = np.array([np.nan if k.sigma is None else k.sigma for k in panel.schema.keypoints])
    labelled = panel.labelled & np.isfinite(sigma)
    both_there = panel.present & np.isfinite(panel.scale)
    found = []
    for a, b in combinations(range(len(panel.names)), 2):
        squared = ((panel.keypoints[a] - panel.keypoints[b]) ** 2).sum(axis=2)
        with np.errstate(invalid="ignore"):
            term = np.exp(-squared / (2 * (2 * sigma) ** 2 * panel.scale[:, None] ** 2))
        either = (labelled[a] | labelled[b]).sum(axis=1)
        both = labelled[a] & labelled[b]
        total = np.where(both, term, 0.0).sum(axis=1)
        usable = both_there[a] & both_there[b] & (either > 0)
        found.append(np.where(usable, total / np.maximum(either, 1), np.nan))
    return np.array(found)


def swapped_pairs(panel: Panel) -> NDArray[np.bool_]:
    """(A, U, K) keypoints that an annotator labelled as their mirror partner.

    Judged by the mean of the others: exchanging the two labels at least halves their summed
    distance, and the two places are farther apart than 5 % of the size.
    """
    flip = panel.schema.flip_index
    found = np.zeros(panel.labelled.shape, dtype=bool)
    for at in range(len(panel.names)):
        others = _others_mean(panel, at)
        own = panel.keypoints[at]
        with np.errstate(invalid="ignore"):
            straight = np.linalg.norm(own - others, axis=2)
            crossed = np.linalg.norm(own[:, flip] - others, axis=2)
            apart = np.linalg.norm(others - others[:, flip], axis=2)
            found[at] = (
                (crossed + crossed[:, flip] < SWAPPED * (straight + straight[:, flip]))
                & (apart > 0.05 * panel.scale[:, None])
                & (flip != np.arange(len(flip)))
            )
    return found


def _others_mean(panel: Panel, at: int) -> NDArray[np.float64]:
    """(U, K, 2) mean label of the other annotators, NaN where nobody labels."""
    rest = np.arange(len(panel.names)) != at
    labelled = panel.labelled[rest]
    total = np.where(labelled[..., None], panel.keypoints[rest], 0.0).sum(axis=0)
    count = labelled.sum(axis=0)[..., None]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _keypoint(panel: Panel, index: int, weights: NDArray[np.float64]) -> KeypointAgreement:
    distances, same, compared = [], 0, 0
    for a, b in combinations(range(len(panel.names)), 2):
        apart = panel.keypoints[a, :, index] - panel.keypoints[b, :, index]
        distances.append(np.linalg.norm(apart, axis=1))
        there = panel.present[a] & panel.present[b]
        flags = panel.visibility[[a, b], :, index]
        compared += int(there.sum())
        same += int((there & (flags[0] == flags[1])).sum())
    stack = np.array(distances)  # (P, U)
    plain = stack[np.isfinite(stack)]
    normal = stack / panel.scale
    good = np.isfinite(normal)
    mean, interval = mean_interval(
        np.where(good, normal, 0.0).sum(axis=0), good.sum(axis=0) * 1.0, weights
    )
    return KeypointAgreement(
        panel.schema.names[index],
        len(plain),
        float(np.median(plain)) if len(plain) else None,
        float(np.quantile(plain, 0.9)) if len(plain) else None,
        mean,
        interval,
        same / compared if compared else None,
    )


def _habits(
    panel: Panel, at: int, weights: NDArray[np.float64], swaps: NDArray[np.bool_]
) -> AnnotatorHabits:
    others = np.delete(panel.present, at, axis=0).sum(axis=0)
    own = panel.present[at]
    offset = (panel.keypoints[at] - _others_mean(panel, at)) * ~swaps[..., None]
    offset[swaps] = np.nan  # a swap is told as one, not as a bias
    of_size = offset / panel.scale[:, None, None]
    bias = [_mean_of(of_size[..., axis], weights) for axis in (0, 1)]
    plain = [_mean_of(offset[..., axis], None)[0] for axis in (0, 1)]
    tests = len(panel.names) * (len(panel.schema.names) + 1)
    names = panel.schema.names
    return AnnotatorHabits(
        annotator=panel.names[at],
        people=int(own.sum()),
        missing=int((~own & (others >= min(2, len(panel.names) - 1))).sum()),
        extra=int((own & (others == 0)).sum()),
        bias_of_size=_both(bias[0][0], bias[1][0]),
        bias_px=_both(plain[0], plain[1]),
        bias_interval=(bias[0][1], bias[1][1]),
        biased=_is_biased(of_size, panel.group, tests),
        biased_keypoints=tuple(
            names[k]
            for k in range(len(names))
            if _is_biased(of_size[:, [k]], panel.group, tests)
        ),
        swaps=int(swaps.sum()) // 2,
        visibility=_flags(panel, at),
        habits=tuple(_flag_habits(panel, at)),
    )


def _mean_of(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[float | None, Interval]:
    good = np.isfinite(values)
    total, count = np.where(good, values, 0.0).sum(axis=1), good.sum(axis=1) * 1.0
    if weights is not None:
        return mean_interval(total, count, weights)
    number = count.sum()
    return (float(total.sum() / number) if number else None), None


def _both(x: float | None, y: float | None) -> tuple[float, float] | None:
    return None if x is None or y is None else (x, y)


def _is_biased(of_size: NDArray[np.float64], group: NDArray[np.int64], tests: int) -> bool:
    """Whether a mean offset is no chance: people of one group count as one observation."""
    for axis in (0, 1):
        values = of_size[..., axis]
        good = np.isfinite(values)
        totals = np.bincount(group, np.where(good, values, 0.0).sum(axis=1))
        counts = np.bincount(group, good.sum(axis=1))
        means = totals[counts > 0] / counts[counts > 0]
        if len(means) < 3 or abs(means.mean()) < _SHARE:
            continue
        error = means.std(ddof=1) / math.sqrt(len(means))
        if error == 0 or _two_sided(means.mean() / error) < SURE / tests:
            return True
    return False


def _two_sided(z: float) -> float:
    return 2 * NormalDist().cdf(-abs(z))


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
    """Flags that this annotator gives where the others mostly give another one.

    Where two annotators differ between two flags, either is as often right by chance: a sign
    test over people tells a habit.
    """
    own = panel.visibility[at].astype(np.int64)
    pairs = list(combinations(range(3), 2))
    for first, second in pairs:
        up = down = 0
        for other in range(len(panel.names)):
            if other == at:
                continue
            theirs = panel.visibility[other]
            more = ((own == first) & (theirs == second)).sum(axis=1)
            less = ((own == second) & (theirs == first)).sum(axis=1)
            up += int((more > less).sum())
            down += int((less > more).sum())
        if not up + down:
            continue
        z = (up - down) / math.sqrt(up + down)
        if _two_sided(z) < SURE / (len(pairs) * len(panel.names)):
            mine, theirs_name = (first, second) if up > down else (second, first)
            yield (
                f"says {FLAGS[mine]} where others say {FLAGS[theirs_name]}: "
                f"{max(up, down):,} people against {min(up, down):,}"
            )


def _confusion(panel: Panel) -> NDArray[np.int64]:
    matrix = np.zeros((4, 4), np.int64)
    flags = np.where(panel.visibility == NOBODY, 3, np.minimum(panel.visibility, 2))
    for a, b in combinations(range(len(panel.names)), 2):
        np.add.at(matrix, (flags[a].ravel(), flags[b].ravel()), 1)
    return matrix


def _queue(
    panel: Panel, oks: NDArray[np.float64], swaps: NDArray[np.bool_]
) -> tuple[Disagreement, ...]:
    present = panel.present
    found = []
    for row in range(present.shape[1]):
        why = []
        lacking = [panel.names[a] for a in np.flatnonzero(~present[:, row])]
        if lacking:
            why.append(f"not labelled by {', '.join(lacking)}")
        for at in np.flatnonzero(swaps[:, row].any(axis=1)):
            pairs = {
                tuple(sorted((k, int(panel.schema.flip_index[k]))))
                for k in np.flatnonzero(swaps[at, row])
            }
            shown = ", ".join(panel.schema.names[k] for k, _ in sorted(pairs))
            why.append(f"left and right exchanged by {panel.names[at]}: {shown}")
        worst = _worst_keypoint(panel, row)
        if worst:
            why.append(worst)
        values = oks[:, row][np.isfinite(oks[:, row])]
        score = 1.0 if lacking else float(1 - values.mean()) if len(values) else 0.0
        ids = tuple(int(i) for i in panel.instance_id[:, row])
        found.append(Disagreement(row, int(panel.image_id[row]), ids, score, tuple(why)))
    found.sort(key=lambda d: (-d.score, d.image_id, d.row))
    return tuple(found)


def _worst_keypoint(panel: Panel, row: int) -> str | None:
    points = panel.keypoints[:, row]  # (A, K, 2)
    with np.errstate(invalid="ignore"):
        apart = np.linalg.norm(points[:, None] - points[None], axis=3)  # (A, A, K)
    if not np.isfinite(apart).any():
        return None
    a, b, k = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
    distance = float(apart[a, b, k])
    if not distance:
        return None
    names = sorted((panel.names[a], panel.names[b]))
    return f"{panel.schema.names[k]} {distance:.1f} px apart ({names[0]}, {names[1]})"
