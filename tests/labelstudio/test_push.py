"""What no real server can be made to do at will: somebody submits while a push is under way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats import read
from toolkit.labelstudio.desk import Place, send
from toolkit.labelstudio.prelabel import prelabels_of
from toolkit.labelstudio.push import Job, push_tasks, ready_tasks
from toolkit.labelstudio.server import Server
from toolkit.schema import Schema


class Desk:
    """A server with one task of another state of the frame; it takes no change."""

    def __init__(self, now: dict[str, Any]) -> None:
        self.now = now

    def get(self, path: str, **_: object) -> object:
        data = {"toolkit_key": "7:seven.png", "toolkit_sent": "earlier"}
        listed = {"id": 5, "data": data, "total_annotations": 0}
        tasks = {"tasks": [listed], "total": 1}
        answers = {"/api/tasks/": tasks, "/api/tasks/5/": listed | self.now}
        return answers[path]


@pytest.mark.parametrize("trace", ["total_annotations", "cancelled_annotations", "drafts"])
def test_a_task_that_is_submitted_while_a_push_is_under_way_stays_as_it_is(
    trace: str, coco_document: dict[str, Any], tmp_path: Path
) -> None:
    coco_document["images"][0]["file_name"] = "seven.png"
    Image.new("RGB", (100, 80)).save(tmp_path / "seven.png")
    schema = Schema.load("coco")
    labels = prelabels_of(coco_document, schema)
    job = Job(coco_document, schema, tmp_path, labels, {}, {0: ""})

    pushed = push_tasks(Desk({trace: 1}), 3, ready_tasks(job), host=None, version="")  # type: ignore[arg-type]

    assert (pushed.kept, pushed.updated, pushed.created) == (1, 0, 0)


def test_data_that_cannot_be_pushed_are_refused_before_a_project_is_made(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(coco_document), "utf-8")
    nobody = Server("http://127.0.0.1:9", "token")

    with pytest.raises(InvalidDataError, match="1 of 1 images are missing"):
        send(nobody, read(path, "coco"), tmp_path, "clips")


def test_pictures_that_the_server_would_not_serve_are_refused_before_a_project_is_made(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    path, served = tmp_path / "labels.json", tmp_path / "served"
    path.write_text(json.dumps(coco_document), "utf-8")
    name = coco_document["images"][0]["file_name"]
    Image.new("RGB", (100, 80)).save(tmp_path / name)
    served.mkdir()
    nobody = Server("http://127.0.0.1:9", "token")

    with pytest.raises(UsageError, match="does not lie in a folder below it"):
        send(nobody, read(path, "coco"), tmp_path, "clips", place=Place(folder=served))


def test_a_task_whose_picture_lies_elsewhere_is_another_task(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    coco_document["images"][0]["file_name"] = "seven.png"
    Image.new("RGB", (100, 80)).save(tmp_path / "seven.png")
    schema = Schema.load("coco")
    labels = prelabels_of(coco_document, schema)
    sent = set()
    for place in (Place(), Place("https://a/x"), Place("https://b/x"), Place(folder=tmp_path)):
        job = Job(coco_document, schema, tmp_path, labels, {}, {0: ""}, str(place))
        sent |= {task.sent for task in ready_tasks(job)}

    assert len(sent) == 4
