"""Which prediction answers for which instance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.metrics.pairing import Pairing, keypoint_extent, pair_instances


def pair(truth: Dataset, predictions: Predictions) -> Pairing:
    zeros = np.zeros(len(truth.annotations), np.int64)
    return pair_instances(
        truth.annotations, zeros, predictions, np.zeros(len(predictions), np.int64), 1
    )


def test_an_annotation_id_decides_however_far_the_prediction_lies(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()
    predictions = predictions_of(truth, 1000)[np.array([1, 0])]

    found = pair(truth, predictions)

    assert found.prediction.tolist() == [1, 0]
    assert (found.by_id, found.by_iou, found.unknown_ids) == (2, 0, 0)


def test_of_two_predictions_for_one_annotation_the_better_scored_counts(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset(1)
    predictions = predictions_of(truth)[np.array([0, 0, 0])]
    predictions = replace(predictions, scores=np.array([0.2, 0.9, 0.9]))

    assert pair(truth, predictions).prediction.tolist() == [1]


def test_negative_annotation_ids_are_ids_like_others(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    """Only -1 stands for none; two people with swapped ids far from their boxes."""
    truth = make_dataset()
    ids = np.array([-7, -2])
    truth = replace(truth, annotations=replace(truth.annotations, instance_id=ids))
    predictions = replace(predictions_of(truth, 1000), annotation_id=ids[::-1])

    found = pair(truth, predictions)

    assert (found.prediction.tolist(), found.by_id) == ([1, 0], 2)


def test_an_unknown_annotation_id_answers_for_nobody(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()
    predictions = replace(predictions_of(truth), annotation_id=np.array([1, 77]))

    found = pair(truth, predictions)

    assert found.prediction.tolist() == [0, -1]
    assert found.unknown_ids == 1


def test_boxes_are_matched_where_there_is_no_id(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()
    boxes = truth.annotations.bbox_xywh + np.array([2, 0, 0, 0])  # 8 of 12 px shared: IoU 2/3
    predictions = predictions_of(truth, by_id=False, bbox_xywh=boxes)[np.array([1, 0])]

    found = pair(truth, predictions)

    assert found.prediction.tolist() == [1, 0]
    assert found.by_iou == 2


def test_too_little_overlap_leaves_the_instance_unmatched(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset(1)
    boxes = truth.annotations.bbox_xywh + np.array([4, 0, 0, 0])  # 6 of 14 px shared: IoU 0.43

    assert pair(truth, predictions_of(truth, by_id=False, bbox_xywh=boxes)).prediction[0] == -1


def test_without_a_box_the_extent_of_the_keypoints_stands_in(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset(1)
    # head (25, 10), foot (25, 30), tip (35, 30): extent [25, 10, 10, 20], IoU 1/3
    predictions = predictions_of(truth, by_id=False)

    assert keypoint_extent(predictions.keypoints).tolist() == [[25, 10, 10, 20]]
    assert pair(truth, predictions).prediction.tolist() == [-1]
    moved = replace(predictions, keypoints=predictions.keypoints - [5, 0])
    assert pair(truth, moved).prediction.tolist() == [0]


def test_the_better_scored_of_two_boxes_takes_the_instance(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset(1)
    box = truth.annotations.bbox_xywh[[0, 0]]
    predictions = predictions_of(truth, by_id=False)[np.array([0, 0])]
    predictions = replace(predictions, bbox_xywh=box, scores=np.array([0.3, 0.6]))

    assert pair(truth, predictions).prediction.tolist() == [1]
