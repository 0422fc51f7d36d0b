"""Average precision and recall from matches: COCO's `accumulate` and `summarize`.

Only true positives can raise precision, so the precision-recall curve is computed at the
matched detections alone: the numbers are the same, on a tenth of the positions. The same
table answers bootstrap resamples: an image that is drawn w times counts w times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.metrics.matching import Matches

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

OKS_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10, dtype=np.float64)
RECALL_POINTS: Floats = np.linspace(0.0, 1.0, 101, dtype=np.float64)
MAX_DETECTIONS = 20
_BLOCK = 64  # resamples at a time: the working set stays in the processor's cache


@dataclass(frozen=True)
class Subset:
    """One column of a result: an area range over some of the images.

    Attributes:
        name: Such as `all`, `medium`, `easy`.
        area: Row of the area range in the matches.
        images: (I,) bool, or None for all images.
    """

    name: str
    area: int = 0
    images: Bools | None = None


@dataclass(frozen=True)
class Curve:
    """Matched detections of one subset at one threshold, by falling score.

    Attributes:
        position: (n,) index into the counted detections of the subset: how many of them
            stand at or before this one, less one.
        image: (n,) image rows.
        is_true: (n,) true positive (else matched with an ignored instance).
        correction: (n,) int: what this detection adds to the running number of counted
            detections beyond `position`: -1 in range but ignored, +1 true out of range.
    """

    position: Indices
    image: Indices
    is_true: Bools
    correction: NDArray[np.int64]


@dataclass(frozen=True)
class SubsetTable:
    """Everything that AP and AR of one subset need.

    Attributes:
        counted_image: (D',) image rows of the detections that count when unmatched.
        curves: T curves.
        positives: (I,) number of instances that are not ignored.
    """

    counted_image: Indices
    curves: tuple[Curve, ...]
    positives: NDArray[np.int64]


def subset_table(
    matches: Matches,
    subset: Subset,
    num_thresholds: int,
    detection_image: Indices,
    by_falling_score: Indices,
    detection_in_range: Bools,
    truth_ignored: Bools,
    truth_image: Indices,
    num_images: int,
) -> SubsetTable:
    """Collect one subset's matched detections in falling order of score.

    Args:
        matches: Result of `greedy_match` with area ranges outermost.
        subset: Area range and images.
        num_thresholds: T.
        detection_image: (D,) image rows in evaluation order.
        by_falling_score: (D,) the detections' positions by falling score, ties in order.
        detection_in_range: (D,) whether the detection's own area lies in the range.
        truth_ignored: (N,) in this area range.
        truth_image: (N,) image rows.
        num_images: I.

    Returns:
        The table.
    """
    inside = np.ones(num_images, bool) if subset.images is None else subset.images
    order = by_falling_score
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    counted = (detection_in_range & inside[detection_image])[order]
    running = np.cumsum(counted)

    candidates = matches.detection
    by_score = np.argsort(place[candidates])
    by_score = by_score[inside[detection_image[candidates[by_score]]]]
    candidates = candidates[by_score]
    position = running[place[candidates]] - 1
    in_range = detection_in_range[candidates]
    image = detection_image[candidates]
    curves = []
    for row in range(subset.area * num_thresholds, (subset.area + 1) * num_thresholds):
        taken = matches.truth[row, by_score]
        hit = np.flatnonzero(taken >= 0)
        is_true = ~truth_ignored[taken[hit]]
        correction = is_true.astype(np.int64) - in_range[hit]
        curves.append(Curve(position[hit], image[hit], is_true, correction))
    ordinary = ~truth_ignored & inside[truth_image]
    return SubsetTable(
        counted_image=detection_image[order][counted],
        curves=tuple(curves),
        positives=np.bincount(truth_image[ordinary], minlength=num_images),
    )


def precision_recall(table: SubsetTable) -> tuple[Floats, Floats]:
    """Precision at the recall points and the final recall, as pycocotools computes them.

    Returns:
        (T, 101) and (T,); NaN where the subset has no ground truth.
    """
    thresholds = len(table.curves)
    precision = np.full((thresholds, len(RECALL_POINTS)), np.nan)
    recall = np.full(thresholds, np.nan)
    positives = int(table.positives.sum())
    if positives == 0:
        return precision, recall
    for row, curve in enumerate(table.curves):
        true = np.cumsum(curve.is_true).astype(np.float64)
        counted = curve.position + 1 + np.cumsum(curve.correction)
        false = counted - true
        envelope: Floats = np.zeros(len(true) + 1)
        envelope[:-1] = true / (false + true + np.spacing(1))
        envelope = np.maximum.accumulate(envelope[::-1])[::-1]
        at = np.searchsorted(true / positives, RECALL_POINTS, side="left")
        precision[row] = envelope[at]
        recall[row] = true[-1] / positives if len(true) else 0.0
    return precision, recall


def resampled_precision_recall(
    table: SubsetTable, weights: NDArray[np.int16]
) -> tuple[Floats, Floats]:
    """Mean precision over the recall points and final recall of each resample.

    Args:
        table: One subset.
        weights: (B, I) how often each resample drew each image.

    Returns:
        (B, T) and (B, T); NaN where a resample has no ground truth.
    """
    resamples, thresholds = len(weights), len(table.curves)
    precision = np.full((resamples, thresholds), np.nan)
    recall = np.full((resamples, thresholds), np.nan)
    for start in range(0, resamples, _BLOCK):
        block = slice(start, min(start + _BLOCK, resamples))
        by_image = np.ascontiguousarray(weights[block].T.astype(np.float32))  # (I, b)
        positives = table.positives.astype(np.float32) @ by_image  # (b,)
        drawn = positives > 0
        counted = _running(np.add, by_image.take(table.counted_image, axis=0))
        for row, curve in enumerate(table.curves):
            values, ends = _resampled_curve(curve, counted, by_image, positives)
            precision[block, row] = np.where(drawn, values, np.nan)
            recall[block, row] = np.where(drawn, ends, np.nan)
    return precision, recall


def _resampled_curve(
    curve: Curve,
    counted: NDArray[np.float32],
    by_image: NDArray[np.float32],
    positives: NDArray[np.float32],
) -> tuple[Floats, Floats]:
    """One curve under b resamples: (b,) mean precision and (b,) final recall."""
    size = by_image.shape[1]
    if not len(curve.image):
        return np.zeros(size), np.zeros(size)
    weight = by_image.take(curve.image, axis=0)  # (n, b)
    total = _total_at(curve.position, counted)
    if curve.correction.any():
        shift = weight * curve.correction[:, None].astype(np.float32)
        total += _running(np.add, shift)
    if not curve.is_true.all():
        weight *= curve.is_true[:, None]
    true = _running(np.add, weight)
    np.maximum(total, 1, out=total)
    envelope = np.divide(true, total, out=total)
    _running(np.maximum, envelope[::-1])
    safe = np.maximum(positives, 1)
    recall = true[-1] / safe
    # how many recall points each true positive is the first to reach
    reached = np.floor(np.add(np.multiply(true, 100 / safe, out=true), 2e-5, out=true))
    reached[1:] -= reached[:-1].copy()
    reached[0] += 1
    mean = np.einsum("nb,nb->b", envelope, reached) / len(RECALL_POINTS)
    return mean.astype(np.float64), recall.astype(np.float64)


def _total_at(position: Indices, counted: NDArray[np.float32]) -> NDArray[np.float32]:
    if not len(counted):
        return np.zeros((len(position), counted.shape[1]), dtype=np.float32)
    total = counted.take(np.maximum(position, 0), axis=0)
    total[position < 0] = 0
    return total


def _running(operation: np.ufunc, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Running sum or maximum down the rows, in place.

    numpy's own `accumulate` handles one number at a time; two levels of whole-row
    operations are four times as fast.
    """
    if not len(rows):
        return rows
    size = math.isqrt(len(rows))
    whole = len(rows) // size
    grid = rows[: whole * size].reshape(whole, size, -1)
    for index in range(1, size):
        operation(grid[:, index], grid[:, index - 1], out=grid[:, index])
    carried = operation.accumulate(grid[:-1, -1], axis=0)
    operation(grid[1:], carried[:, None], out=grid[1:])
    tail = rows[whole * size :]
    if len(tail):
        operation(tail[0], rows[whole * size - 1], out=tail[0])
        operation.accumulate(tail, axis=0, out=tail)
    return rows
