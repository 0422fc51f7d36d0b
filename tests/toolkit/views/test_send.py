"""From FiftyOne to a real Label Studio: the frames that are selected, as they are now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.labelstudio.conftest import START_S, label_studio  # noqa: F401  # a fixture
from toolkit.labelstudio.client import Client
from toolkit.labelstudio.project import find_project, tasks_in
from toolkit.labelstudio.server import Server

pytestmark = pytest.mark.timeout(START_S + 180)


@pytest.fixture
def operator(fiftyone: Any) -> Any:
    """The operator as FiftyOne makes it."""
    from toolkit.views.plugin import SendToLabelStudio

    return SendToLabelStudio()


def test_the_selected_frames_become_tasks_with_the_edits_made_in_the_app(
    build_view: Callable[..., Any],
    clip: tuple[Path, Path],
    operator: Any,
    label_studio: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    view = build_view(*clip)
    sample = view.first()
    kept = sample["keypoints"].keypoints[0]
    kept.points[0] = [0.25, 0.5]
    sample.save()
    context = SimpleNamespace(
        dataset=view,
        view=view,
        selected=[sample.id],
        selected_labels=[],
        params={"project": "from the app"},
    )

    first, second = operator.execute(context), operator.execute(context)

    assert first["summary"] == "1 new tasks, 0 updated, 0 unchanged"
    assert second["summary"] == "0 new tasks, 0 updated, 1 unchanged"
    with Client(Server(label_studio.url, label_studio.token)) as client:
        project = find_project(client, "from the app")
        assert project is not None
        assert first["address"] == f"{label_studio.url}/projects/{project.id}/data"
        (task,) = tasks_in(client, project.id, whole=True)
    carried = json.loads(task["data"]["coco"])
    images = {i["file_name"]: i for i in json.loads(clip[0].read_text("utf-8"))["images"]}
    image = images[Path(sample.filepath).name]
    assert carried["image"] == image
    edited = [p for _, p in carried["annotations"] if p["id"] == kept["annotation_id"]]
    assert edited[0]["keypoints"][:2] == [0.25 * image["width"], 0.5 * image["height"]]


def test_without_a_server_the_app_is_told_how_to_name_one(
    build_view: Callable[..., Any],
    clip: tuple[Path, Path],
    operator: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    view = build_view(*clip)
    context = SimpleNamespace(
        dataset=view, view=view, selected=[], selected_labels=[], params={"project": "nowhere"}
    )

    said = operator.execute(context)

    assert said["address"] == ""
    assert said["summary"].startswith("Error: no URL of a Label Studio server; pass --url")
