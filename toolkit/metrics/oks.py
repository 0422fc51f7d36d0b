"""Object keypoint similarity (OKS) of detection and ground-truth pairs, in bulk.

COCO's rule, as pycocotools' `computeOks`: the mean over labelled keypoints of
exp(-d² / (2 (2 sigma)² (area + eps))). An instance without any labelled keypoint is
compared with its doubled box instead: a keypoint inside costs nothing.

All pairs are computed in a few array passes. That changes the last bit of a sum, so pairs
that stand within 1e-9 of a decision (a threshold, or a tie between two instances) are
computed again in pycocotools' own order of operations: decisions are then the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

_EPS = float(np.spacing(1))
_FAR = 1e150  # where unlabelled keypoints are put: exp(-distance²) is exactly 0
_CHUNK = 2048  # pairs at a time: the working set stays in the processor's cache


@dataclass(frozen=True)
class OksTruth:
    """What OKS needs of N ground-truth instances.

    Attributes:
        keypoints: (N, K, 2) px, anything where not labelled.
        labelled: (N, K) bool.
        bbox_xywh: (N, 4) px; used only for instances without labelled keypoints.
        area: (N,) px², the object scale squared.
        sigmas: (K,) COCO's sigmas.
    """

    keypoints: Floats
    labelled: Bools
    bbox_xywh: Floats
    area: Floats
    sigmas: Floats


def reachable(
    truth: OksTruth,
    extent_xywh: Floats,
    pair_truth: Indices,
    pair_pred: Indices,
    threshold: float,
) -> Bools:
    """(P,) which pairs can have an OKS of at least `threshold`, by their extents alone.

    A mean of terms reaches the threshold only if one term does: some predicted keypoint
    lies within a radius of a labelled keypoint (of the doubled box, if none is labelled).

    Args:
        truth: N instances.
        extent_xywh: (M, 4) smallest box round each prediction's keypoints.
        pair_truth: (P,) rows of `truth`.
        pair_pred: (P,) rows of the predictions.
        threshold: In (0, 1].
    """
    bare = truth.labelled.sum(axis=1) == 0
    low = np.full((len(truth.area), 2), np.inf)
    high = -low
    for column in range(truth.labelled.shape[1]):  # quicker than a reduction over K
        seen = truth.labelled[:, column, None]
        points = truth.keypoints[:, column]
        low = np.minimum(low, np.where(seen, points, np.inf))
        high = np.maximum(high, np.where(seen, points, -np.inf))
    box = truth.bbox_xywh[bare]
    low[bare] = box[:, :2] - box[:, 2:]
    high[bare] = box[:, :2] + 2 * box[:, 2:]
    widest = 2 * (2 * truth.sigmas.max()) ** 2 * (truth.area + _EPS)
    radius = np.sqrt(widest * -np.log(threshold))[:, None] * (1 + 1e-9) + 1e-9
    result = np.ones(len(pair_truth), dtype=bool)
    for axis in range(2):
        start = np.ascontiguousarray(extent_xywh[:, axis])
        stop = start + extent_xywh[:, axis + 2]
        nearest = (low - radius)[:, axis].copy()
        farthest = (high + radius)[:, axis].copy()
        result &= stop.take(pair_pred) >= nearest.take(pair_truth)
        result &= start.take(pair_pred) <= farthest.take(pair_truth)
    return result


def pair_oks(
    truth: OksTruth, predicted: Floats, pair_truth: Indices, pair_pred: Indices
) -> Floats:
    """OKS of P pairs.

    Args:
        truth: N instances.
        predicted: (M, K, 2) px.
        pair_truth: (P,) rows of `truth`.
        pair_pred: (P,) rows of `predicted`.

    Returns:
        (P,) similarities in [0, 1]; good to a few units in the last place.
    """
    predicted = np.ascontiguousarray(predicted)  # `take` would copy it for each chunk
    counts = truth.labelled.sum(axis=1)
    bare = counts[pair_truth] == 0
    if not bare.any():
        return _labelled_oks(truth, predicted, pair_truth, pair_pred)
    result = np.empty(len(pair_truth))
    plain = np.flatnonzero(~bare)
    boxed = np.flatnonzero(bare)
    result[plain] = _labelled_oks(truth, predicted, pair_truth[plain], pair_pred[plain])
    result[boxed] = _boxed_oks(truth, predicted, pair_truth[boxed], pair_pred[boxed])
    return result


def _labelled_oks(
    truth: OksTruth, predicted: Floats, pair_truth: Indices, pair_pred: Indices
) -> Floats:
    target = np.where(truth.labelled[..., None], truth.keypoints, _FAR)
    result = np.empty(len(pair_truth))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        factor = _exponent_factor(truth)
        for start in range(0, len(pair_truth), _CHUNK):
            rows = pair_truth[start : start + _CHUNK]
            offset = predicted.take(pair_pred[start : start + _CHUNK], axis=0)  # (P, K, 2)
            offset -= target.take(rows, axis=0)
            result[start : start + _CHUNK] = _sum_of_terms(offset, factor.take(rows, axis=0))
    counts = truth.labelled.sum(axis=1)
    return np.asarray(result / counts[pair_truth])


def _boxed_oks(
    truth: OksTruth, predicted: Floats, pair_truth: Indices, pair_pred: Indices
) -> Floats:
    """OKS of instances without labelled keypoints: distance to the doubled box."""
    low = truth.bbox_xywh[:, None, :2] - truth.bbox_xywh[:, None, 2:]  # (N, 1, 2)
    high = truth.bbox_xywh[:, None, :2] + truth.bbox_xywh[:, None, 2:] * 2
    result = np.empty(len(pair_truth))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        factor = _exponent_factor(truth)
        for start in range(0, len(pair_truth), _CHUNK):
            rows = pair_truth[start : start + _CHUNK]
            points = predicted.take(pair_pred[start : start + _CHUNK], axis=0)  # (P, K, 2)
            below, above = low.take(rows, axis=0), high.take(rows, axis=0)
            offset = np.clip(points, below, above)
            offset -= points
            result[start : start + _CHUNK] = _sum_of_terms(offset, factor.take(rows, axis=0))
    return result / truth.labelled.shape[1]


def _exponent_factor(truth: OksTruth) -> Floats:
    """(N, K) what a squared distance is multiplied with to give the exponent."""
    variances = (truth.sigmas * 2) ** 2
    return np.asarray(-1.0 / (variances * 2 * (truth.area + _EPS)[:, None]))


def _sum_of_terms(offset: Floats, factor: Floats) -> Floats:
    """Sum over K of exp(|offset|² * factor); overwrites `offset`."""
    offset *= offset
    exponent = offset[..., 0] + offset[..., 1]
    exponent *= factor
    np.exp(exponent, out=exponent)
    return np.asarray(exponent.sum(axis=1))


def exact_oks(truth: OksTruth, predicted: Floats, row: int, column: int) -> float:
    """OKS of one pair in pycocotools' order of operations, to the last bit."""
    mask = truth.labelled[row]
    dx = predicted[column, :, 0] - truth.keypoints[row, :, 0]
    dy = predicted[column, :, 1] - truth.keypoints[row, :, 1]
    if not mask.any():
        mask = np.ones_like(mask)
        x, y, width, height = truth.bbox_xywh[row]
        px, py = predicted[column, :, 0], predicted[column, :, 1]
        dx = np.maximum(0, x - width - px) + np.maximum(0, px - (x + width * 2))
        dy = np.maximum(0, y - height - py) + np.maximum(0, py - (y + height * 2))
    variances = (truth.sigmas * 2) ** 2
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exponent = (dx**2 + dy**2) / variances / (truth.area[row] + _EPS) / 2
        exponent = exponent[mask]
        return float(np.sum(np.exp(-exponent)) / exponent.shape[0])
