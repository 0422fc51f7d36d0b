"""Arrays of images, annotations and predictions, and their invariants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images, Predictions, Visibility
from toolkit.dataset import Dataset
from toolkit.errors import SchemaError, UsageError
from toolkit.schema import Keypoint, Schema


@pytest.fixture
def people(make_dataset: Callable[..., Dataset]) -> Annotations:
    """Three people; the tip of the second (index 1) is not labelled."""
    whole = make_dataset(3).annotations
    visibility = whole.visibility.copy()
    visibility[1, 2] = Visibility.ABSENT
    return Annotations.from_arrays(
        whole.schema, whole.image_id, whole.keypoints, visibility, whole.bbox_xywh
    )


@pytest.fixture
def predictions(tiny_schema: Schema) -> Predictions:
    """Two predictions of three keypoints: (0, 1), (2, 3), (4, 5), then six more px."""
    points = np.arange(12.0).reshape(2, 3, 2)
    return Predictions.from_arrays(
        tiny_schema,
        np.array([1, 1]),
        points,
        scores=np.array([0.9, 0.8]),
        sigma=points + 100,
    )


def test_an_unlabelled_keypoint_is_nan_and_not_counted(people: Annotations) -> None:
    assert np.isnan(people.keypoints[1, 2]).all()
    assert people.labelled.tolist() == [[True] * 3, [True, True, False], [True] * 3]
    assert people.num_keypoints.tolist() == [3, 2, 3]


def test_missing_columns_get_the_missing_value(people: Annotations) -> None:
    assert people.instance_id.tolist() == [1, 2, 3]
    assert people.category_id.tolist() == [1, 1, 1]
    assert np.isnan(people.area).all()
    assert np.isnan(people.head_box_xywh).all()
    assert not people.is_crowd.any()


def test_coordinates_where_nothing_is_labelled_are_refused(people: Annotations) -> None:
    points = people.keypoints.copy()
    points[1, 2] = 5

    with pytest.raises(UsageError, match="must be NaN exactly where visibility is 0"):
        replace(people, keypoints=points)


def test_nan_where_something_is_labelled_is_refused(people: Annotations) -> None:
    points = people.keypoints.copy()
    points[0, 0, 1] = np.nan

    with pytest.raises(UsageError, match="must be NaN exactly where visibility is 0"):
        replace(people, keypoints=points)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("image_id", (2,)),
        ("category_id", (2,)),
        ("area", (3, 1)),
        ("is_crowd", (4,)),
        ("num_keypoints", (0,)),
        ("bbox_xywh", (3, 5)),
        ("head_box_xywh", (2, 4)),
        ("visibility", (3, 2)),
        ("keypoints", (3, 3, 3)),
    ],
)
def test_a_column_of_another_shape_is_refused(
    people: Annotations, name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError, match=rf"Annotations.{name} has shape .*; expected \("):
        replace(people, **{name: np.zeros(shape)})


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (slice(1, None), [2, 3]),
        (np.array([True, False, True]), [1, 3]),
        (np.array([2, 0]), [3, 1]),
        (slice(0, 0), []),
    ],
    ids=["slice", "mask", "indices", "none"],
)
def test_selecting_rows_selects_every_column(
    people: Annotations, rows: slice, ids: list[int]
) -> None:
    chosen = people[rows]

    assert isinstance(chosen, Annotations)
    assert chosen.instance_id.tolist() == ids
    assert len(chosen) == len(chosen.keypoints) == len(chosen.head_box_xywh) == len(ids)


def test_images_from_ids_know_nothing_else() -> None:
    images = Images.from_ids(np.array([7, 9]))

    assert len(images) == 2
    assert images.file_names == ("7.jpg", "9.jpg")
    assert images.size_wh.tolist() == [[0, 0], [0, 0]]
    assert images.frames.tolist() == [-1, -1]
    assert images.clips == (None, None)
    assert np.isnan(images.crowd_index).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_wh": np.zeros((1, 2), np.int64)}, r"Images.size_wh has shape \(1, 2\)"),
        ({"frames": np.zeros(3, np.int64)}, r"Images.frames has shape \(3,\)"),
        ({"crowd_index": np.zeros((2, 1))}, r"Images.crowd_index has shape \(2, 1\)"),
        ({"file_names": ("a.jpg",)}, "Images.file_names has 1 entries; expected 2"),
        ({"clips": ()}, "Images.clips has 0 entries; expected 2"),
    ],
    ids=["size", "frames", "crowd index", "file names", "clips"],
)
def test_images_of_unequal_columns_are_refused(change: dict[str, object], message: str) -> None:
    images = Images.from_ids(np.array([7, 9]))

    with pytest.raises(UsageError, match=message):
        replace(images, **change)


def test_predictions_fill_what_is_not_known(tiny_schema: Schema) -> None:
    made = Predictions.from_arrays(tiny_schema, np.array([1, 2]), np.zeros((2, 3, 2)))

    assert made.scores.tolist() == [1, 1]
    assert made.keypoint_scores.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert made.annotation_id.tolist() == [-1, -1]
    assert np.isnan(made.bbox_xywh).all()
    assert made.sigma is None


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("keypoints", (2, 4, 2)),
        ("keypoint_scores", (2, 2)),
        ("sigma", (2, 3)),
        ("bbox_xywh", (2,)),
        ("scores", (3,)),
        ("annotation_id", (1,)),
        ("category_id", (2, 1)),
    ],
)
def test_predictions_of_another_shape_are_refused(
    predictions: Predictions, name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError, match=rf"Predictions.{name} has shape .*; expected \("):
        replace(predictions, **{name: np.zeros(shape)})


def test_predictions_move_to_another_schema_by_name(predictions: Predictions) -> None:
    target = Schema("two", "Two", (Keypoint("tip"), Keypoint("head")))

    moved = predictions.to_schema(target)

    assert moved.schema is target
    assert moved.keypoints.tolist() == [[[4, 5], [0, 1]], [[10, 11], [6, 7]]]
    assert moved.sigma is not None
    assert moved.sigma[0].tolist() == [[104, 105], [100, 101]]
    assert moved.scores.tolist() == [0.9, 0.8]


def test_predictions_do_not_invent_keypoints(predictions: Predictions) -> None:
    target = Schema("more", "More", (Keypoint("tip"), Keypoint("elbow"), Keypoint("knee")))

    with pytest.raises(
        SchemaError, match="schema 'tiny' have no keypoints elbow, knee, which schema 'more'"
    ):
        predictions.to_schema(target)


def test_selecting_predictions_selects_sigma_too(predictions: Predictions) -> None:
    chosen = predictions[np.array([1])]

    assert chosen.scores.tolist() == [0.8]
    assert chosen.sigma is not None
    assert chosen.sigma.shape == (1, 3, 2)
