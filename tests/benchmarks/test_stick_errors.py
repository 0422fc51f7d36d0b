"""Errors of sticks are taken apart: what is long or short, and what points elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.formats import read


@pytest.fixture(scope="module")
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("stick_errors")


@pytest.fixture
def truth(root: Path) -> Dataset:
    return read(root / "datasets" / "hockey" / "sample" / "annotations.json", "hockey")


def moved(truth: Dataset, *, along: float = 0.0, across: float = 0.0) -> Predictions:
    """The truth, with every keypoint moved so many heads along and across the stick."""
    people = truth.annotations
    butt, heel = (
        people.keypoints[:, truth.schema.index(name)] for name in ("butt_end", "stick_heel")
    )
    shaft = (heel - butt) / np.linalg.norm(heel - butt, axis=1, keepdims=True)
    side = np.stack([-shaft[:, 1], shaft[:, 0]], axis=1)
    head = 0.6 * np.hypot(people.head_box_xywh[:, 2], people.head_box_xywh[:, 3])
    step = head[:, None] * (along * shaft + across * side)
    return Predictions.from_arrays(
        truth.schema,
        people.image_id,
        people.keypoints + step[:, None],
        annotation_id=people.instance_id,
    )


def test_a_stick_that_is_too_long_is_wrong_along_itself_only(
    script: ModuleType, truth: Dataset
) -> None:
    row = script.measure(truth, moved(truth, along=0.8))

    assert (row["along"], row["across"]) == pytest.approx((0.8, 0.0), abs=1e-6)
    assert (row["along right"], row["across right"], row["PCKh"]) == (0.0, 100.0, 0.0)
    assert row["body"] == 0.0


def test_a_stick_that_points_elsewhere_is_wrong_across_itself_only(
    script: ModuleType, truth: Dataset
) -> None:
    row = script.measure(truth, moved(truth, across=-0.8))

    assert (row["along"], row["across"]) == pytest.approx((0.0, 0.8), abs=1e-6)
    assert (row["along right"], row["across right"], row["PCKh"]) == (100.0, 0.0, 0.0)


def test_a_keypoint_counts_among_those_as_far_outside_the_box_and_an_empty_bin_has_no_number(
    script: ModuleType, truth: Dataset
) -> None:
    people = truth.annotations
    butt, heel, toe = map(truth.schema.index, ("butt_end", "stick_heel", "stick_toe"))
    points = np.tile(np.array([5.0, 5.0]), (len(people), truth.schema.num_keypoints, 1))
    points[:, butt] = [5.0, 0.0]
    points[:, heel] = [5.0, 10.0]  # on the edge: inside
    points[:, toe] = [5.0, 17.0]  # 7 px outside, with a head of 6 px
    boxes = np.tile([0.0, 0.0, 10.0, 10.0], (len(people), 1))
    heads = np.tile([0.0, 0.0, 6.0, 8.0], (len(people), 1))
    people = replace(people, keypoints=points, bbox_xywh=boxes, head_box_xywh=heads)
    truth = replace(truth, annotations=people)

    row = script.measure(truth, moved(truth))

    assert row["1 to 2"] == row["PCKh"] == 100.0
    assert row["0 to 0.5"] is row["0.5 to 1"] is row["2 to inf"] is None


def test_noisy_joints_are_off_by_the_median_that_was_asked_for(
    script: ModuleType, truth: Dataset
) -> None:
    people = truth.annotations
    head = 0.6 * np.hypot(people.head_box_xywh[:, 2], people.head_box_xywh[:, 3])
    away = [
        np.linalg.norm(script._noisy(people, 0.2, rng) - people.keypoints, axis=2)
        for rng in map(np.random.default_rng, range(50))
    ]

    assert np.median(np.stack(away) / head[:, None]) == pytest.approx(0.2, rel=0.03)
