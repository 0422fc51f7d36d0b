"""What a person changed, found in the documents that FiftyOne would store; no database."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bson import ObjectId

from toolkit import formats
from toolkit.annotations import Predictions
from toolkit.tags import tag
from toolkit.views.documents import Content, LabelIds, frames
from toolkit.views.edits import edits_in
from toolkit.views.gather import own_tags
from toolkit.views.home import Home, home_of
from toolkit.views.keep import Kept

Json = dict[str, Any]
Edit = Callable[[list[Json]], object]


@pytest.fixture
def edited(write_json: Callable[..., Path]) -> Callable[[Json, Edit], Home]:
    """Put a file into a view's documents, edit these, and bring the edits home."""

    def run(document: Json, edit: Edit) -> Home:
        path = write_json(document)
        dataset = formats.scan(path).dataset
        content = Content(
            dataset=dataset,
            size_wh=dataset.images.size_wh,
            paths=[Path(name) for name in dataset.images.file_names],
            tags=tag(dataset),
            own_tags=own_tags(dataset, "annotations"),
            image_tags=own_tags(dataset, "images"),
        )
        ids = LabelIds()
        documents = copy.deepcopy(list(frames(content, ids, {})))
        edit(documents)
        ours = {"annotation_id", "iscrowd", "labelled", "strata", "extension_strata", "missing"}
        ours |= {"worst_finding", "visibility", "stratum", "group", "image_id", "clip", "frame"}
        ours |= {"instances", "people", "keypoints"}
        kept = Kept(
            "annotations.json", path.read_bytes(), "", dataset.schema, "", ids.prefix, {},
            tuple(ours),
        )  # fmt: skip
        return home_of(kept, dataset, edits_in(documents, kept, dataset))

    return run


def labels(document: Json) -> Iterator[list[Json]]:
    yield document["people"]["detections"]
    yield document["keypoints"]["keypoints"]


def people(home: Home) -> list[Json]:
    found: list[Json] = json.loads(home.coco)["annotations"]
    return found


def drawn(**fields: object) -> Json:
    return {"_id": ObjectId(), **fields}


def test_documents_that_nobody_touched_change_not_a_byte(
    edited: Callable[..., Home], coco_document: Json
) -> None:
    assert edited(coco_document, lambda _: None).unchanged


def test_a_new_person_takes_no_id_of_another_category(
    edited: Callable[..., Home], coco_document: Json
) -> None:
    coco_document["categories"].append({"id": 2, "name": "ball"})
    ball = {"id": 40, "image_id": 7, "category_id": 2, "bbox": [1, 1, 3, 3]}
    coco_document["annotations"].append(ball | {"area": 9, "iscrowd": 0})
    box = drawn(label="person", bounding_box=[0.1, 0.25, 0.5, 0.5])
    found = people(edited(coco_document, lambda d: d[0]["people"]["detections"].append(box)))
    assert [one["id"] for one in found] == [1, 2, 40, 41]


def test_labels_moved_to_another_frame_stay_where_they_were(
    edited: Callable[..., Home], coco_document: Json
) -> None:
    other = {"id": 8, "file_name": "eight.jpg", "width": 100, "height": 80}
    coco_document["images"].append(other)

    def move(documents: list[Json]) -> None:
        for here, there in zip(labels(documents[0]), labels(documents[1]), strict=True):
            there.append(here.pop(0))

    home = edited(coco_document, move)
    assert home.unchanged
    assert home.notes == ("labels that were moved to another frame stay where they were",)


def test_labels_drawn_again_under_an_annotation_id_are_that_persons(
    edited: Callable[..., Home], coco_document: Json
) -> None:
    coco_document["annotations"][1] |= {"tags": ["kept"], "note": "hers"}

    def draw(documents: list[Json]) -> None:
        points = [[0.5, 0.5]] * 17
        boxes, keypoints = labels(documents[0])
        del keypoints[1]
        keypoints.append(drawn(points=points, annotation_id=2, label="person"))
        boxes[1] = drawn(bounding_box=[0.5, 0.25, 0.25, 0.5], annotation_id=2)

    home = edited(coco_document, draw)
    first, second = people(home)
    assert first == coco_document["annotations"][0]
    wanted = {"keypoints": [50, 40, 2] * 17, "bbox": [50, 20, 25, 40]}
    assert second == coco_document["annotations"][1] | wanted
    assert home.notes == ()


def test_a_second_label_under_an_annotation_id_is_somebody_new(
    edited: Callable[..., Home], coco_document: Json
) -> None:
    box = drawn(label="person", bounding_box=[0.1, 0.25, 0.5, 0.5], annotation_id=2)
    found = people(edited(coco_document, lambda d: d[0]["people"]["detections"].append(box)))
    assert found[:2] == coco_document["annotations"]
    assert (found[2]["id"], found[2]["bbox"]) == (3, [10, 20, 50, 40])


def test_tags_of_the_file_that_are_called_as_rules_are_stay(
    edited: Callable[..., Home], coco_document: Json
) -> None:
    coco_document["annotations"][0]["tags"] = ["keypoint-far", "late"]
    coco_document["images"][0]["tags"] = ["keypoint-far"]
    assert edited(coco_document, lambda _: None).unchanged

    def add(documents: list[Json]) -> None:
        documents[0]["tags"].append("seen")
        documents[0]["people"]["detections"][0]["tags"].append("sure")

    after = json.loads(edited(coco_document, add).coco)
    assert after["annotations"][0]["tags"] == ["keypoint-far", "late", "sure"]
    assert after["images"][0]["tags"] == ["keypoint-far", "seen"]


def test_predictions_keep_the_ids_below_zero_that_they_name(
    write_json: Callable[..., Path], coco_document: Json
) -> None:
    coco_document["annotations"][0]["id"] = -5
    dataset = formats.scan(write_json(coco_document)).dataset
    found = Predictions.from_arrays(
        dataset.schema,
        np.array([7, 7]),
        dataset.annotations.keypoints,
        annotation_id=np.array([-5, -1]),
    )
    content = Content(
        dataset, dataset.images.size_wh, [Path("seven.jpg")], tag(dataset), [[], []], [[]],
        predictions={"ours": (found, ())},
    )  # fmt: skip
    (frame,) = frames(content, LabelIds(), {})
    named = [label["annotation_id"] for label in frame["ours"]["keypoints"]]  # type: ignore[index]
    assert named == [-5, None]
