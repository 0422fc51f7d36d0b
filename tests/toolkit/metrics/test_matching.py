"""COCO's greedy matching on cases a reader can follow."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.metrics.matching import (
    evaluation_order,
    greedy_match,
    image_pairs,
    near_decisions,
)


def match(
    table: list[list[float]],
    ignored: list[bool] | None = None,
    crowd: list[bool] | None = None,
    thresholds: tuple[float, ...] = (0.5,),
) -> list[list[int]]:
    """Match detections (rows, by falling score) of one image; a list a threshold."""
    similarity = np.array(table)
    detections, people = similarity.shape
    image = np.zeros(detections, dtype=np.int64)
    truth, detection = image_pairs(np.zeros(people, np.int64), image, 1)
    found = greedy_match(
        similarity.ravel(),
        truth,
        detection,
        image,
        np.array([ignored or [False] * people]),
        np.array(crowd or [False] * people),
        np.array(thresholds),
    )
    result = np.full((len(thresholds), detections), -1)
    result[:, found.detection] = found.truth
    return result.tolist()


def test_the_first_detection_takes_the_best_and_the_second_what_is_left() -> None:
    assert match([[0.9, 0.8], [0.95, 0.7]]) == [[0, 1]]


def test_a_detection_below_the_threshold_takes_nobody() -> None:
    assert match([[0.6]], thresholds=(0.5, 0.75)) == [[0], [-1]]


def test_the_threshold_itself_is_enough() -> None:
    assert match([[0.5]]) == [[0]]


def test_of_equal_similarities_the_later_instance_is_taken() -> None:
    assert match([[0.7, 0.7]]) == [[1]]


def test_an_ordinary_instance_comes_before_a_better_ignored_one() -> None:
    assert match([[0.6, 0.9]], ignored=[False, True]) == [[0]]


def test_a_crowd_may_be_taken_again_an_ignored_person_may_not() -> None:
    twice = [[0.9], [0.8]]

    assert match(twice, ignored=[True], crowd=[True]) == [[0, 0]]
    assert match(twice, ignored=[True], crowd=[False]) == [[0, -1]]


def test_a_perfect_similarity_passes_a_threshold_of_one() -> None:
    assert match([[1 - 1e-11]], thresholds=(1.0,)) == [[0]]


def test_order_is_by_image_then_score_then_file() -> None:
    image = np.array([1, 0, 1, 1])
    scores = np.array([0.5, 0.1, 0.9, 0.5])

    assert evaluation_order(image, scores).tolist() == [1, 2, 0, 3]
    assert evaluation_order(image, scores, max_per_image=2).tolist() == [1, 2, 0]


def test_order_is_the_same_with_more_images_than_short_keys_hold() -> None:
    image = np.array([70_000, 3, 70_000])
    scores = np.array([0.1, 0.5, 0.2])

    assert evaluation_order(image, scores).tolist() == [1, 2, 0]


def test_no_detections_match_nobody() -> None:
    none = np.zeros(0, dtype=np.int64)

    found = greedy_match(
        np.zeros(0),
        none,
        none,
        none,
        np.zeros((1, 2), bool),
        np.zeros(2, bool),
        np.array([0.5]),
    )

    assert found.detection.tolist() == []


def test_pairs_near_a_threshold_or_a_tie_are_named() -> None:
    similarity = np.array([0.5 + 1e-12, 0.6, 0.6 + 1e-12, 0.7, 1.0, 1.0])
    detection = np.array([0, 1, 1, 2, 3, 3])

    near = near_decisions(similarity, detection, np.array([0.5, 0.75]))

    assert sorted(near.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("people", [0, 1, 3])
def test_pairs_are_all_of_one_image(people: int) -> None:
    truth, detection = image_pairs(
        np.array([1] * people + [0], dtype=np.int64), np.array([0, 1], dtype=np.int64), 2
    )

    assert detection.tolist() == [0] + [1] * people
    assert truth.tolist() == [people, *range(people)]
