"""The App in a real browser: skeletons, sticks beyond boxes, saved views, and a tag home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.screenshots import local_page, picture
from tests.toolkit.views.conftest import free_port

GREEN = (64, 220, 110)  # toolkit.ink.TRUTH_BODY


@pytest.fixture(scope="module")
def served(
    database: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """`toolkit view` as a person runs it; gives the App's address and the data set's name."""
    sample = root / "datasets" / "hockey" / "sample"
    results = tmp_path_factory.mktemp("predictions") / "noisy.json"
    people = json.loads((sample / "annotations.json").read_text("utf-8"))["annotations"]
    keys = ("image_id", "category_id", "keypoints")
    found = [{k: p[k] for k in keys} | {"score": 0.9, "annotation_id": p["id"]} for p in people]
    for person in found:
        person["keypoints"] = [
            value + 4 if at % 3 == 0 else value for at, value in enumerate(person["keypoints"])
        ]
    results.write_text(json.dumps(found), "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "toolkit", "view", str(sample / "annotations.json")]
    command += ["--images", str(sample / "images"), "--name", "app", "--port", str(port)]
    command += ["--predictions", f"noisy={results}", "--database-uri", database]
    home = tmp_path_factory.mktemp("home")
    with (home / "said.txt").open("w+") as said:
        app = subprocess.Popen(
            command, cwd=root, stdout=said, stderr=said, env={**os.environ, "HOME": str(home)}
        )
        try:
            end = time.monotonic() + 120
            while "The App is at" not in (text := (home / "said.txt").read_text("utf-8")):
                assert app.poll() is None, text
                assert time.monotonic() < end, text
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/datasets/app", "app"
        finally:
            app.send_signal(signal.SIGTERM)
            assert app.wait(60) == 0, (home / "said.txt").read_text("utf-8")


@pytest.fixture
def page(served: tuple[str, str]) -> Iterator[Page]:
    """A page that reaches this machine and nothing else."""
    with local_page() as page:
        yield page


def open_app(page: Page, address: str) -> None:
    page.goto(address, wait_until="domcontentloaded")
    page.get_by_text("Dismiss").click()
    page.locator("[data-cy=looker]").first.wait_for()
    page.wait_for_timeout(3000)


def green_at(shown: np.ndarray, x: float, y: float) -> bool:
    """Whether anything within 4 px is about as green as the skeleton."""
    part = shown[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5].astype(int)
    return bool((np.abs(part - np.array(GREEN)).max(axis=2) < 60).any())


def test_the_app_shows_skeletons_sticks_beyond_boxes_and_saved_views(
    page: Page, served: tuple[str, str], clip: tuple[Path, Path]
) -> None:
    open_app(page, served[0])
    shown = picture(page)
    document = json.loads(clip[0].read_text("utf-8"))
    frame = page.locator("[data-cy=looker]").first.bounding_box()
    seen = outside = 0
    for person in (p for p in document["annotations"] if p["image_id"] == 1):
        x, y, width, height = person["bbox"]
        points = zip(*(iter(person["keypoints"]),) * 3, strict=True)
        for px, py, flag in points:
            if not (flag and 8 < px < 632 and 8 < py < 352):
                continue
            at = frame["x"] + px / 640 * frame["width"], frame["y"] + py / 360 * frame["height"]
            seen += green_at(shown, *at)
            beyond = not (x <= px <= x + width and y <= py <= y + height)
            outside += beyond and green_at(shown, *at)
    assert seen >= 70, "all keypoints of the four people of the first frame are drawn"
    assert outside == 3, "and the three of their sticks that lie beyond the boxes"

    page.locator("[data-cy=saved-views-selection]").click()
    page.get_by_text("worst by noisy").wait_for()
    page.wait_for_timeout(500)
    names = "\n".join(page.locator("body").inner_text().splitlines())
    picture(page, "view-saved")
    for name in ("sticks outside the box", "keypoints outside the image", "toe missing"):
        assert name in names
    for name in ("validator errors", "worst by noisy", "near-duplicates"):
        assert name in names
    page.get_by_text("keypoints outside the image").first.click()
    page.get_by_text("10 samples").wait_for()
    page.wait_for_timeout(3000)
    filtered = picture(page, "view-outside")
    one = document["annotations"][0]["keypoints"]  # not outside the image: not drawn now
    frame = page.locator("[data-cy=looker]").first.bounding_box()
    at = frame["x"] + one[0] / 640 * frame["width"], frame["y"] + one[1] / 360 * frame["height"]
    assert green_at(shown, *at)
    assert not green_at(filtered, *at)


def test_a_tag_given_in_the_app_comes_home(
    page: Page,
    served: tuple[str, str],
    clip: tuple[Path, Path],
    database: str,
    fiftyone: object,
    tmp_path: Path,
    toolkit_cli: Callable[..., object],
) -> None:
    open_app(page, served[0])
    frame = page.locator("[data-cy=looker]").first.bounding_box()
    page.mouse.move(frame["x"] + 60, frame["y"] + 60)
    page.mouse.move(frame["x"] + 20, frame["y"] + 20)
    page.wait_for_timeout(500)
    page.mouse.click(frame["x"] + 18, frame["y"] + 18)
    page.locator("[data-cy=action-tag-sample-labels]").first.click()
    box = page.locator("[data-cy=sample-tag-input]")
    box.wait_for()
    page.wait_for_timeout(2000)
    box.fill("goal mouth")
    box.press("Enter")
    page.wait_for_timeout(500)
    page.get_by_text("Apply", exact=True).click()
    view = fiftyone.load_dataset(served[1])
    end = time.monotonic() + 30
    while not view.match_tags("goal mouth").count() and time.monotonic() < end:
        time.sleep(0.3)
    out = tmp_path / "home.json"
    result = toolkit_cli("view", "pull", "app", "--out", out, "--database-uri", database)
    assert result.exit_code == 0, result.stderr
    before, after = (json.loads(path.read_text("utf-8")) for path in (clip[0], out))
    tagged = [image for image in after["images"] if image.pop("tags", None) == ["goal mouth"]]
    assert len(tagged) == 1
    assert after == before


def test_the_apps_operator_is_offered(page: Page, served: tuple[str, str]) -> None:
    open_app(page, served[0])
    page.keyboard.press("`")
    page.get_by_placeholder("Search operations by name...").fill("toolkit")
    page.get_by_text("Toolkit: validate this selection").wait_for()
    picture(page, "view-operators")
