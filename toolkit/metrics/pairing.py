"""Which prediction answers for which instance, for metrics that are not AP.

A prediction with an `annotation_id` answers for that annotation. The others are matched in
their image by box overlap: falling score, each takes the free instance with the highest
IoU, at least 0.5. The box of a prediction is its `bbox`, else the extent of its keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions
from toolkit.geometry import paired_iou
from toolkit.metrics.matching import evaluation_order, greedy_match, image_pairs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
MIN_IOU = 0.5
_CHUNK = 4096  # predictions at a time: they stay in the processor's cache
RULE = (
    "by annotation_id where the prediction has one; else greedily by falling score, "
    f"box IoU >= {MIN_IOU} (box of a prediction: bbox, else the extent of its keypoints)"
)


@dataclass(frozen=True)
class Pairing:
    """Outcome of pairing N instances with M predictions.

    Attributes:
        prediction: (N,) row of the prediction that answers for each instance, -1 for none.
        by_id: Instances paired by `annotation_id`.
        by_iou: Instances paired by box overlap.
        unknown_ids: Predictions whose `annotation_id` names no instance of their image.
    """

    prediction: Indices
    by_id: int
    by_iou: int
    unknown_ids: int


def pair_instances(
    truth: Annotations,
    truth_image: Indices,
    predictions: Predictions,
    prediction_image: Indices,
    num_images: int,
) -> Pairing:
    """Find the prediction for each instance.

    Args:
        truth: N instances.
        truth_image: (N,) image rows.
        predictions: M predictions.
        prediction_image: (M,) image rows.
        num_images: I.

    Returns:
        The pairing. Of several predictions with one `annotation_id` the best scored counts.
    """
    prediction = np.full(len(truth), -1, dtype=np.int64)
    named = np.flatnonzero(predictions.has_annotation_id)
    row, known = _rows_of(truth.instance_id, predictions.annotation_id[named])
    known[known] &= truth_image[row[known]] == prediction_image[named[known]]
    paired, row = named[known], row[known]
    rising = np.lexsort((-paired, predictions.scores[paired]))  # the last write wins
    prediction[row[rising]] = paired[rising]
    by_id = int((prediction >= 0).sum())

    open_truth = np.flatnonzero(prediction < 0)
    loose = np.flatnonzero(~predictions.has_annotation_id)
    if len(open_truth) and len(loose):
        loose = loose[evaluation_order(prediction_image[loose], predictions.scores[loose])]
        matched = _match_boxes(
            truth.bbox_xywh[open_truth],
            truth_image[open_truth],
            prediction_boxes(predictions)[loose],
            prediction_image[loose],
            num_images,
        )
        prediction[open_truth] = np.where(matched >= 0, loose[matched], -1)
    return Pairing(
        prediction=prediction,
        by_id=by_id,
        by_iou=int((prediction >= 0).sum()) - by_id,
        unknown_ids=int(len(named) - known.sum()),
    )


def prediction_boxes(predictions: Predictions) -> Floats:
    """(M, 4) xywh: each prediction's own box, else the extent of its keypoints."""
    boxes = predictions.bbox_xywh
    missing = np.isnan(boxes).any(axis=1, keepdims=True)
    if not missing.any():
        return boxes
    return np.where(missing, keypoint_extent(predictions.keypoints), boxes)


def keypoint_extent(points: Floats) -> Floats:
    """(M, 4) xywh: the smallest box round each row of (M, K, 2) points."""
    extent = np.empty((len(points), 4))
    for start in range(0, len(points), _CHUNK):
        part = points[start : start + _CHUNK]
        for axis in range(2):
            low, high = part[:, 0, axis].copy(), part[:, 0, axis].copy()
            for column in range(1, part.shape[1]):  # quicker than a reduction over K
                np.minimum(low, part[:, column, axis], out=low)
                np.maximum(high, part[:, column, axis], out=high)
            extent[start : start + _CHUNK, axis] = low
            extent[start : start + _CHUNK, axis + 2] = high - low
    return extent


def _rows_of(ids: Indices, wanted: Indices) -> tuple[Indices, NDArray[np.bool_]]:
    """Row of each wanted id in `ids`, and whether it is there."""
    if not len(ids):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    row = order[at]
    return row, ids[row] == wanted


def _match_boxes(
    truth_box: Floats,
    truth_image: Indices,
    box: Floats,
    image: Indices,
    num_images: int,
) -> Indices:
    """(N,) row of the box each truth box was taken by, -1 for none."""
    pair_truth, pair_box = image_pairs(truth_image, image, num_images)
    overlap = paired_iou(truth_box[pair_truth], box[pair_box])
    matches = greedy_match(
        overlap,
        pair_truth,
        pair_box,
        image,
        np.zeros((1, len(truth_box)), bool),
        np.zeros(len(truth_box), bool),
        np.array([MIN_IOU]),
    )
    result = np.full(len(truth_box), -1, dtype=np.int64)
    found = matches.truth[0] >= 0
    result[matches.truth[0, found]] = matches.detection[found]
    return result
