"""The flows of the docs as a person goes through them, and what she sees at the end of each."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page

from tests.screenshots import keep, local_page, picture
from toolkit.schema import Schema

Run = Callable[..., Any]


@pytest.fixture
def here(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder with the hockey sample under the names that the docs use."""
    sample = root / "datasets" / "hockey" / "sample"
    (tmp_path / "annotations.json").write_bytes((sample / "annotations.json").read_bytes())
    (tmp_path / "images").symlink_to(sample / "images")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def annotators(here: Path) -> None:
    """Three files as three people might make them: small differences, one habit, one slip."""
    rng = np.random.default_rng(5)
    for name in ("anna", "ben", "cara"):
        document = json.loads((here / "annotations.json").read_text("utf-8"))
        names = document["categories"][0]["keypoints"]
        for person in document["annotations"]:
            flat = np.array(person["keypoints"], float).reshape(-1, 3)
            labelled = flat[:, 2] > 0
            size = float(np.sqrt(person["area"]))
            offsets = rng.normal(0, 0.02 * size, (len(flat), 2))
            if name == "ben":
                offsets[:, 0] += 0.04 * size  # always a little to the right
            flat[labelled, :2] += offsets[labelled]
            person["keypoints"] = flat.round(2).ravel().tolist()
        if name == "cara":
            flat = document["annotations"][7]["keypoints"]
            a, b = (3 * names.index(f"{side}_knee") for side in ("left", "right"))
            flat[a : a + 3], flat[b : b + 3] = flat[b : b + 3], flat[a : a + 3]
        (here / f"{name}.json").write_text(json.dumps(document), "utf-8")


def shown(page: Page, file: Path, name: str) -> np.ndarray:
    """Open a page that the toolkit wrote; all its pictures are there, and it fits."""
    page.goto(file.as_uri())
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    page.wait_for_function(f"document.images.length && {broken} === 0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return picture(page, name)


def terminal(page: Page, command: str, said: str, name: str) -> None:
    """A picture of a command and what it printed."""
    text = html.escape(f"$ {command}\n{said}")
    page.set_content(
        "<body style='margin:0;background:#16191f;color:#e6e6e6'>"
        f"<pre style='display:inline-block;margin:24px;font:15px/1.35 monospace'>{text}</pre>"
    )
    box = page.locator("pre").bounding_box()
    assert box is not None
    page.set_viewport_size({"width": int(box["width"]) + 48, "height": int(box["height"]) + 48})
    picture(page, name)


@pytest.mark.usefixtures("annotators")
def test_agreement_names_who_differs_and_shows_whom_to_look_at(
    here: Path, toolkit_cli: Run
) -> None:
    done = toolkit_cli(
        "agreement", "anna.json", "ben.json", "cara.json", "--images", "images",
        "--out", "agreement.html",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    with local_page(1200, 850) as page:
        shown(page, here / "agreement.html", "agreement")
        text = page.locator("body").inner_text()
    assert "ben" in text
    assert "knee" in text


@pytest.mark.usefixtures("annotators")
def test_sigmas_of_three_annotators_and_a_schema_that_holds_them(
    here: Path, toolkit_cli: Run
) -> None:
    words = ["sigmas", "anna.json", "ben.json", "cara.json", "--schema", "hockey"]
    words += ["--out", "my-hockey.yaml"]
    done = toolkit_cli(*words)
    assert done.exit_code == 0, done.stderr
    assert "stick_toe" in done.stdout
    with local_page() as page:
        terminal(page, f"toolkit {' '.join(words)}", done.stdout, "sigmas")
    new, old = Schema.load("my-hockey.yaml"), Schema.load("hockey")
    assert new.names == old.names
    assert not np.array_equal(new.sigmas, old.sigmas)


def test_rank_shows_a_planted_swap_first(here: Path, toolkit_cli: Run) -> None:
    document = json.loads((here / "annotations.json").read_text("utf-8"))
    names = document["categories"][0]["keypoints"]
    person = document["annotations"][10]
    pairs = [(names.index(n), names.index(n.replace("left", "right")))
             for n in names if n.startswith("left_")]  # fmt: skip
    for one, other in pairs:
        a, b = 3 * one, 3 * other
        flat = person["keypoints"]
        flat[a : a + 3], flat[b : b + 3] = flat[b : b + 3], flat[a : a + 3]
    (here / "annotations.json").write_text(json.dumps(document), "utf-8")
    predict = ["predict", "tokenclipose-small", "--data", "annotations.json"]
    predict += ["--images", "images", "--out", "predictions.json"]
    for words in (
        predict,
        ["rank", "annotations.json", "predictions.json", "--images", "images",
         "--out", "queue.html"],
        ["rank", "annotations.json", "predictions.json", "--out", "queue.json"],
    ):  # fmt: skip
        done = toolkit_cli(*words)
        assert done.exit_code == 0, done.stderr
    first = json.loads((here / "queue.json").read_text("utf-8"))["queue"][0]
    assert first["annotation_id"] == person["id"]
    with local_page(1200, 850) as page:
        shown(page, here / "queue.html", "rank")


def test_first_labels_lie_on_the_people(here: Path, toolkit_cli: Run) -> None:
    for words in (
        ["predict", "mediapipe", "--data", "annotations.json", "--images", "images",
         "--out", "predictions.json"],
        ["show", "annotations.json", "--images", "images", "--predictions",
         "predictions.json", "--out", "overlays", "--limit", "1"],
    ):  # fmt: skip
        done = toolkit_cli(*words)
        assert done.exit_code == 0, done.stderr
    drawn = next((here / "overlays").glob("*.jpg"))
    pixels = cv2.imread(str(drawn))
    assert pixels is not None
    keep(pixels, "preannotate")
