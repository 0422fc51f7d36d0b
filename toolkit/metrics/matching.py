"""Greedy matching of detections with instances, image by image, in COCO's order.

Detections are taken by falling score (ties in file order), each takes the free instance
with the highest similarity at or above the threshold; among equals the later one;
ordinary instances before ignored ones; a crowd instance may be taken again. That is
pycocotools' `evaluateImg`; here the r-th detections of all images, all thresholds and all
area ranges are decided in one step.

pycocotools marks "no match" with id 0, so that an annotation whose id is 0 is never found;
this module works on rows and has no such trap.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Matches:
    """Who took whom, for the C detections that reach any instance at all.

    Attributes:
        detection: (C,) rows of the detections, ascending.
        truth: (R, C) row of the instance that each took, -1 for none; R rules.
    """

    detection: Indices
    truth: NDArray[np.int32]


def evaluation_order(
    image_row: Indices, scores: Floats, max_per_image: int | None = None
) -> Indices:
    """Rows by image, then falling score, then file order; at most so many an image."""
    order = np.argsort(-scores, kind="stable")
    # 16-bit keys are sorted by radix: ten times as fast
    fits = len(image_row) > 0 and image_row.max() < 2**16
    image = image_row.astype(np.uint16) if fits else image_row
    order = order[np.argsort(image[order], kind="stable")]
    if max_per_image is None:
        return np.asarray(order, dtype=np.int64)
    images = image_row[order]
    return np.asarray(order[_rank_in_run(images) < max_per_image], dtype=np.int64)


def image_pairs(
    truth_image: Indices, detection_image: Indices, num_images: int
) -> tuple[Indices, Indices]:
    """All pairs of a detection and an instance of one image.

    Args:
        truth_image: (N,) image rows of the instances, any order.
        detection_image: (D,) image rows of the detections.
        num_images: I.

    Returns:
        (P,) truth rows and (P,) detection rows; by detection, then truth row.
    """
    by_image = np.argsort(truth_image, kind="stable")
    counts = np.bincount(truth_image, minlength=num_images)
    starts = np.cumsum(counts) - counts
    per_detection = counts[detection_image]
    pair_detection = np.repeat(np.arange(len(detection_image)), per_detection)
    first = np.cumsum(per_detection) - per_detection
    offset = np.arange(len(pair_detection)) - np.repeat(first, per_detection)
    at = np.repeat(starts[detection_image], per_detection) + offset
    return by_image[at], pair_detection


def greedy_match(
    similarity: Floats,
    pair_truth: Indices,
    pair_detection: Indices,
    detection_image: Indices,
    truth_ignored: Bools,
    truth_crowd: Bools,
    thresholds: Floats,
) -> Matches:
    """Match detections with instances under A area ranges and T thresholds at once.

    Args:
        similarity: (P,) OKS or IoU of the pairs.
        pair_truth: (P,) rows of the instances.
        pair_detection: (P,) rows of the detections, in evaluation order, ascending.
        detection_image: (D,) image rows, in evaluation order.
        truth_ignored: (A, N) which instances are ignored in each area range.
        truth_crowd: (N,) which may be taken more than once.
        thresholds: (T,) similarities.

    Returns:
        Matches with R = A * T rules, area ranges outermost.
    """
    limits = np.minimum(thresholds, 1 - 1e-10)
    keep = np.flatnonzero(similarity >= limits.min())
    value, truth, detection = similarity[keep], pair_truth[keep], pair_detection[keep]
    is_new = np.diff(detection, prepend=-1) > 0
    candidates = detection[is_new]
    compact = np.cumsum(is_new) - 1
    step = _rank_in_run(detection_image[candidates])
    order = _by_step(step, compact, value, truth)
    value, truth, compact = value[order], truth[order], compact[order]

    # rules along the last axis: a row of the tables below is copied at once
    limit_of_rule = np.tile(limits, len(truth_ignored))  # (R,)
    ordinary = np.repeat(~truth_ignored.T, len(limits), axis=1)  # (N, R)
    free = np.ones(ordinary.shape, dtype=bool)
    matched = np.full((len(candidates), len(limit_of_rule)), -1, dtype=np.int32)
    first_of_step = np.searchsorted(step[compact], np.arange(step.max(initial=-1) + 2))
    for start, stop in pairwise(first_of_step):
        rows = truth[start:stop]
        segments = np.flatnonzero(np.diff(compact[start:stop], prepend=-1))
        width = np.int32(stop - start)
        usable = value[start:stop, None] >= limit_of_rule
        usable &= free.take(rows, axis=0)
        rank = ordinary.take(rows, axis=0) * width  # ordinary instances outrank ignored ones
        rank += np.arange(width, dtype=np.int32)[:, None]
        rank[~usable] = -1
        best = np.maximum.reduceat(rank, segments, axis=0)
        taken = np.where(best >= 0, rows[best % width], -1)
        matched[compact[start + segments]] = taken
        which, rule = np.nonzero(best >= 0)
        free[taken[which, rule], rule] = truth_crowd[taken[which, rule]]
    return Matches(detection=candidates, truth=np.ascontiguousarray(matched.T))


def near_decisions(
    similarity: Floats, pair_detection: Indices, thresholds: Floats, margin: float = 1e-9
) -> Indices:
    """Pairs that rounding could decide: near a threshold, or near another pair's value.

    Args:
        similarity: (P,) values.
        pair_detection: (P,) detection rows, ascending.
        thresholds: (T,) similarities.
        margin: How near is near.

    Returns:
        Positions of those pairs. A similarity of exactly 1 is never among them: every
        term is exp(0), in any order of operations.
    """
    limits = np.minimum(thresholds, 1 - 1e-10)
    candidates = np.flatnonzero(similarity >= limits.min() - margin)
    value, detection = similarity[candidates], pair_detection[candidates]
    at = np.searchsorted(limits, value)
    below = np.abs(value - limits[np.maximum(at - 1, 0)])
    above = np.abs(value - limits[np.minimum(at, len(limits) - 1)])
    near = np.minimum(below, above) < margin
    order = np.lexsort((value, detection))
    tied = (np.diff(detection[order]) == 0) & (np.diff(value[order]) < margin)
    near[order[:-1][tied]] = True
    near[order[1:][tied]] = True
    near &= value < 1
    return np.asarray(candidates[near])


def _by_step(
    step: Indices, compact: Indices, value: Floats, truth: Indices
) -> NDArray[np.int64]:
    """Order by step, detection, similarity, instance; most detections have one pair."""
    shared = np.flatnonzero(np.bincount(compact)[compact] > 1)
    order = np.arange(len(compact))
    order[shared] = shared[np.lexsort((truth[shared], value[shared], compact[shared]))]
    key = step[compact]
    fits = len(key) > 0 and key.max() < 2**16
    return np.asarray(order[np.argsort(key.astype(np.uint16) if fits else key, kind="stable")])


def _rank_in_run(keys: Indices) -> Indices:
    """Position of each entry within its run of equal, adjacent keys."""
    if not len(keys):
        return np.empty(0, dtype=np.int64)
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    lengths = np.diff(starts, append=len(keys))
    return np.arange(len(keys)) - np.repeat(starts, lengths)
