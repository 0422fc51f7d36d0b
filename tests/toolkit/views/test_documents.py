"""Documents hold shares of the picture, strata and ids; nothing is clipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from toolkit.dataset import Dataset
from toolkit.tags import tag
from toolkit.views.documents import Content, LabelIds, frames, kind_of


def content_of(dataset: Dataset) -> Content:
    count = len(dataset.annotations)
    return Content(
        dataset=dataset,
        size_wh=dataset.images.size_wh,
        paths=[Path("one.jpg")],
        tags=tag(dataset),
        own_tags=[[]] * count,
        image_tags=[[]],
    )


def test_boxes_and_points_are_shares_of_the_picture_and_joined_by_id(
    make_dataset: Callable[..., Dataset],
) -> None:
    (frame,) = frames(content_of(make_dataset()), LabelIds(), {})
    box, points = frame["people"]["detections"][1], frame["keypoints"]["keypoints"][1]
    assert box["bounding_box"] == [0.6, 0.1, 0.1, 0.2]  # [60, 10, 10, 20] of 100 x 100
    assert points["points"] == [[0.65, 0.1], [0.65, 0.3], [0.75, 0.3]]
    assert box["annotation_id"] == points["annotation_id"] == 2
    assert points["visibility"] == [2, 2, 2]
    assert points["stratum"] == ["in_box", "in_box", "out_of_box"]
    assert points["group"] == ["body", "body", "extension"]
    assert box["extension_strata"] == ["out_of_box", "visible"]
    assert box["strata"] == ["in_box", "out_of_box", "visible"]
    assert box["missing"] == []


def test_a_point_beyond_the_picture_is_beyond_one_and_an_unlabelled_one_is_nan(
    make_dataset: Callable[..., Dataset],
) -> None:
    dataset = make_dataset(1)
    people = dataset.annotations
    points, flags = people.keypoints.copy(), people.visibility.copy()
    points[0, 2] = 130, -20
    points[0, 1], flags[0, 1] = np.nan, 0
    flags[0, 2] = 1
    people = replace(people, keypoints=points, visibility=flags)
    (frame,) = frames(content_of(replace(dataset, annotations=people)), LabelIds(), {})
    (label,) = frame["keypoints"]["keypoints"]
    assert label["points"][2] == [1.3, -0.2]
    assert all(math.isnan(value) for value in label["points"][1])
    assert label["stratum"] == ["in_box", "absent", "out_of_image"]
    assert label["missing"] == ["foot"]
    assert label["extension_strata"] == ["out_of_box", "out_of_image", "occluded"]


def test_who_has_no_box_gets_no_box(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset(2)
    box = dataset.annotations.bbox_xywh.copy()
    box[0] = np.nan
    people = replace(dataset.annotations, bbox_xywh=box)
    (frame,) = frames(content_of(replace(dataset, annotations=people)), LabelIds(), {})
    assert [each["annotation_id"] for each in frame["people"]["detections"]] == [2]
    assert [each["annotation_id"] for each in frame["keypoints"]["keypoints"]] == [1, 2]


def test_ids_tell_their_row_and_foreign_ids_tell_nothing() -> None:
    ids = LabelIds()
    made = ids.make(kind_of("people"), 70_000)
    assert ids.row_of(made, kind_of("people")) == 70_000
    assert ids.row_of(made, kind_of("keypoints")) is None
    assert LabelIds(ids.prefix).row_of(str(made), kind_of("people")) == 70_000
    assert LabelIds(bytes(7)).row_of(made, kind_of("people")) is None
