"""Head sizes: the steps in order, one side alone, and what has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations
from toolkit.dataset import Dataset
from toolkit.metrics.head_size import head_sizes
from toolkit.schema import HeadSizeStep, Keypoint, Schema


def test_a_head_box_comes_first_and_the_segment_stands_in(
    make_dataset: Callable[..., Dataset],
) -> None:
    people = make_dataset().annotations
    boxes = np.array([[20.0, 10, 3, 4], [np.nan] * 4])

    found = head_sizes(replace(people, head_box_xywh=boxes))

    assert found.size.tolist() == pytest.approx([0.6 * 5, 0.5 * 20])
    assert found.step.tolist() == [0, 1]
    assert found.counts() == {"0.6*head_box_diagonal": 1, "0.5*head-foot": 1, "none": 0}


def test_a_head_without_length_is_left_out_and_counted(
    make_dataset: Callable[..., Dataset],
) -> None:
    people = make_dataset().annotations
    points = people.keypoints.copy()
    points[0, 1] = points[0, 0]  # foot on the head: the segment has no length
    flags = people.visibility.copy()
    flags[1, 0] = 0
    points[1, 0] = np.nan

    found = head_sizes(replace(people, keypoints=points, visibility=flags))

    assert np.isnan(found.size).all()
    assert found.counts()["none"] == 2


def test_an_empty_head_box_falls_through_to_the_next_step(
    make_dataset: Callable[..., Dataset],
) -> None:
    people = make_dataset(1).annotations

    found = head_sizes(replace(people, head_box_xywh=np.array([[20.0, 10, 0, 4]])))

    assert found.step.tolist() == [1]


def test_the_torso_is_the_mean_of_its_sides_or_the_one_that_is_labelled() -> None:
    schema = Schema(
        "torso",
        "Torso",
        tuple(Keypoint(name) for name in ("ls", "rs", "lh", "rh")),
        head_size=(HeadSizeStep("torso", 0.35, (("ls", "lh"), ("rs", "rh"))),),
    )
    points = np.array([[[0, 0], [10, 0], [0, 20], [10, 40]]] * 2, dtype=float)
    flags = np.array([[2, 2, 2, 2], [2, 2, 2, 0]])
    people = Annotations.from_arrays(schema, np.array([1, 1]), points, flags, np.ones((2, 4)))

    assert head_sizes(people).size.tolist() == pytest.approx([0.35 * 30, 0.35 * 20])


@pytest.mark.parametrize("name", ["hockey", "lacrosse", "crowdpose", "coco"])
def test_every_built_in_schema_has_a_rule_that_its_labels_allow(name: str) -> None:
    schema = Schema.load(name)
    rng = np.random.default_rng(0)
    people = Annotations.from_arrays(
        schema,
        np.array([1]),
        rng.uniform(0, 100, (1, schema.num_keypoints, 2)),
        np.full((1, schema.num_keypoints), 2),
        np.array([[0.0, 0, 100, 100]]),
    )

    assert head_sizes(people).size[0] > 0
