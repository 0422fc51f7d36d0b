"""Scores of instances are COCO's OKS and our PCKh; ranks are worst first."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.views.scores import score_instances, worst_first


def predictions_of(dataset: Dataset, offset: np.ndarray) -> Predictions:
    people = dataset.annotations
    return Predictions.from_arrays(
        dataset.schema,
        people.image_id,
        people.keypoints + offset,
        annotation_id=people.instance_id,
    )


def test_oks_follows_cocos_formula_and_pckh_counts_keypoints_within_half_a_head(
    make_dataset: Callable[..., Dataset],
) -> None:
    dataset = make_dataset()
    offset = np.zeros((2, 3, 2))
    offset[1, 0, 0] = 2.0  # the head of the second person, 2 px aside
    offset[1, 2, 0] = 40.0  # the tip far away
    scores = score_instances(dataset, predictions_of(dataset, offset))
    head = math.exp(-(2.0**2) / (2 * 0.1**2 * 200))  # k = 2 sigma = 0.1, area 200
    tip = math.exp(-(40.0**2) / (2 * 0.2**2 * 200))
    assert scores.oks == pytest.approx([1.0, (head + 1 + tip) / 3])
    # The head size is half of head to foot: 10 px, so that 5 px are within.
    assert scores.pckh == pytest.approx([1.0, 2 / 3])
    assert scores.rank.tolist() == [2, 1]


def test_nobody_answers_is_zero_and_nothing_labelled_is_no_score(
    make_dataset: Callable[..., Dataset],
) -> None:
    from dataclasses import replace

    dataset = make_dataset(3)
    people = dataset.annotations
    points, flags = people.keypoints.copy(), people.visibility.copy()
    points[2], flags[2] = np.nan, 0
    dataset = replace(dataset, annotations=replace(people, keypoints=points, visibility=flags))
    found = predictions_of(make_dataset(1), np.zeros((1, 3, 2)))
    scores = score_instances(dataset, found)
    assert scores.oks[:2].tolist() == [1.0, 0.0]
    assert math.isnan(scores.oks[2])
    assert math.isnan(scores.pckh[2])
    assert scores.rank.tolist() == [2, 1, 0]
    assert scores.of_predictions(scores.oks).tolist() == [1.0]


def test_predictions_for_other_images_are_refused(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset()
    other = Predictions.from_arrays(dataset.schema, np.array([99]), np.zeros((1, 3, 2)))
    with pytest.raises(InvalidDataError, match="does not have"):
        score_instances(dataset, other)


def test_equal_oks_is_ranked_by_pckh() -> None:
    assert worst_first(np.array([0.5, 0.5, np.nan]), np.array([0.9, 0.1, np.nan])).tolist() == [
        2,
        1,
        0,
    ]
