"""Where annotators agree, where they do not, and who differs in which way.

Everything compares annotators with each other; nobody is taken for the truth. Distances are
given in px and in units of the person's size (the root of its area, as OKS measures), with
95 % intervals by clip, else by image. Who differs how: `toolkit.curate.habits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from toolkit.curate.annotators import NOBODY, Panel
from toolkit.curate.habits import AnnotatorHabits, habits_of, measure_offsets, swapped_pairs
from toolkit.curate.resample import Interval, group_weights, mean_interval


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
class Disagreement:
    """A person worth looking at again.

    Attributes:
        row: In the panel.
        image_id: Its image, in the first annotator's ids.
        instance_ids: Its id in each annotator's file, None where it is missing.
        score: 1 minus the mean OKS of all pairs of annotators; 1 where somebody who was given
            the image lacks it.
        why: What is wrong, in words.
    """

    row: int
    image_id: int
    instance_ids: tuple[int | None, ...]
    score: float
    why: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """All of it.

    Attributes:
        annotators: One entry each.
        keypoints: One entry each.
        people: People in all.
        shared: People that every annotator labelled who was given the image, at least two.
        oks: Mean OKS of pairs of labels of one person, None where no sigma is known.
        oks_interval: Of that mean.
        confusion: (4, 4) pairs of flags: absent, occluded, visible, missing person; the earlier
            annotator down, the later across. Both were given the image, one of them
            labelled the person.
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
    offsets = measure_offsets(panel, swaps)
    return Agreement(
        annotators=tuple(
            habits_of(panel, at, offsets, swaps[at]) for at in range(len(panel.names))
        ),
        keypoints=tuple(_keypoint(panel, k, weights) for k in range(len(panel.schema.names))),
        people=panel.present.shape[1],
        shared=int(
            (
                (panel.present == panel.looked).all(axis=0) & (panel.present.sum(axis=0) > 1)
            ).sum()
        ),
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


def _confusion(panel: Panel) -> NDArray[np.int64]:
    matrix = np.zeros((4, 4), np.int64)
    flags = np.where(panel.visibility == NOBODY, 3, np.minimum(panel.visibility, 2))
    for a, b in combinations(range(len(panel.names)), 2):
        rows = panel.looked[a] & panel.looked[b] & (panel.present[a] | panel.present[b])
        np.add.at(matrix, (flags[a, rows].ravel(), flags[b, rows].ravel()), 1)
    return matrix


def _queue(
    panel: Panel, oks: NDArray[np.float64], swaps: NDArray[np.bool_]
) -> tuple[Disagreement, ...]:
    present = panel.present
    found = []
    for row in range(present.shape[1]):
        why = []
        absent = panel.looked[:, row] & ~present[:, row]
        lacking = [panel.names[a] for a in np.flatnonzero(absent)]
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
        ids = panel.ids_of(row)
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
