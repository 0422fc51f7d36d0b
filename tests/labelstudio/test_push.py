"""What no real server can be made to do at will: somebody submits while a push is under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from toolkit.labelstudio.prelabel import prelabels_of
from toolkit.labelstudio.push import Job, push_tasks
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

    pushed = push_tasks(Desk({trace: 1}), 3, job, host=None)  # type: ignore[arg-type]

    assert (pushed.kept, pushed.updated, pushed.created) == (1, 0, 0)
