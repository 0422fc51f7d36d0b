"""Queues that cannot be pushed as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import formats
from toolkit.annotations import Predictions
from toolkit.errors import InvalidDataError
from toolkit.formats.coco_write import document_of_dataset
from toolkit.labelstudio.prelabel import Person, prelabels_of
from toolkit.labelstudio.queue import frames_of_queue
from toolkit.schema import Schema


def test_an_entry_whose_annotation_has_no_image_is_named(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    coco_document["annotations"][1]["image_id"] = 9
    file, queue = tmp_path / "annotations.json", tmp_path / "queue.json"
    file.write_text(json.dumps(coco_document), "utf-8")
    queue.write_text(json.dumps([{"instance_id": 2}]), "utf-8")
    dataset = formats.read(file)

    with pytest.raises(
        InvalidDataError, match=r"annotation 2 of .*no image has its image_id 9"
    ):
        frames_of_queue(queue, dataset, document_of_dataset(dataset))


def test_the_frame_of_somebody_whom_the_first_annotator_lacks_is_pushed(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    file, queue = tmp_path / "annotations.json", tmp_path / "queue.json"
    file.write_text(json.dumps(coco_document), "utf-8")
    entry = {"image_id": 7, "annotation_id": None, "ids": {"anna": None, "ben": 1}}
    entries = [entry | {"reason": "not labelled by anna"}, entry | {"image_id": 99}]
    queue.write_text(json.dumps({"queue": entries}), "utf-8")
    dataset = formats.read(file)

    frames = frames_of_queue(queue, dataset, document_of_dataset(dataset))

    assert frames == {0: "Somebody: not labelled by anna"}


def test_a_keypoint_that_a_model_did_not_predict_is_shown_as_labelled(
    coco_document: dict[str, Any],
) -> None:
    """As zero-shot pose (0, 0 and score 0) and mediapipe (whom it did not find) write it."""
    coco_document["annotations"][0]["keypoints"][3:6] = [0, 0, 0]
    schema, points = Schema.load("coco"), np.full((3, 17, 2), 30.0)
    scores = np.full((3, 17), 0.5)
    points[0, :2], scores[0, :2], scores[1:] = 0, 0, 0
    found = Predictions.from_arrays(
        schema,
        image_id=np.array([7, 7, 7]),
        keypoints=points,
        scores=np.array([0.5, 0.0, 0.0]),
        keypoint_scores=scores,
        annotation_id=np.array([1, 2, -1]),
    )

    people = prelabels_of(coco_document, schema, found).people[0]

    assert people[0].record["keypoints"] == [10, 20, 2, 0, 0, 0] + [30, 30, 2] * 15
    assert (people[0].score, people[0].scores["left_ear"]) == (0.5, 0.5)
    assert np.isnan(people[0].scores["nose"])
    assert people[1:] == [Person("p1", coco_document["annotations"][1])]


def test_a_model_without_scores_is_shown_whole(coco_document: dict[str, Any]) -> None:
    schema = Schema.load("coco")
    found = Predictions.from_arrays(
        schema,
        image_id=np.array([7]),
        keypoints=np.full((1, 17, 2), 30.0),
        keypoint_scores=np.zeros((1, 17)),
        annotation_id=np.array([1]),
    )

    person = prelabels_of(coco_document, schema, found).people[0][0]

    assert person.record["keypoints"] == [30, 30, 2] * 17


def test_a_prediction_without_a_score_is_shown_without_one(
    coco_document: dict[str, Any],
) -> None:
    schema = Schema.load("coco")
    nowhere = Predictions.from_arrays(
        schema,
        image_id=np.array([7]),
        keypoints=np.full((1, 17, 2), np.nan),
        scores=np.array([np.nan]),
        annotation_id=np.array([1]),
    )

    person = prelabels_of(coco_document, schema, nowhere).people[0][0]

    assert person.score is None
    assert person.record["keypoints"] == coco_document["annotations"][0]["keypoints"]
