"""A person at Label Studio's page: what she drags, adds and chooses comes home, no more."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, TimeoutError

from tests.labelstudio.test_desk import Run, client, predicted, run, tasks_of
from tests.screenshots import local_page, picture
from toolkit.labelstudio.client import Client

__all__ = ["client", "run"]  # fixtures
OPENINGS = 4
KEYPOINT = ".lsf-tree__node_type_keypointregion"
BOX = ".lsf-tree__node_type_rectangleregion"
# The page's own record of a region, by its id in the annotation that is open.
REGION = "Htx.annotationStore.selected.regions.find(r => r.cleanId === '{}')"
ORANGE = (255, 122, 0)  # the rectangle's colour in the interface


@pytest.fixture
def page(label_studio: Any) -> Iterator[Page]:
    """A browser in which the annotator has logged in by the form."""
    with local_page(1500, 950) as page:
        page.goto(f"{label_studio.url}/user/login/", wait_until="domcontentloaded")
        page.fill("input[name=email]", label_studio.user)
        page.fill("input[name=password]", label_studio.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url, wait_until="domcontentloaded")
        yield page


class Canvas:
    """The picture in the page, and where per cent of it lie on the screen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.picture = page.locator("canvas.lsf-image, .lsf-image canvas").first

    def at(self, x: float, y: float) -> tuple[float, float]:
        """On the screen; the page may have been scrolled in between."""
        self.picture.scroll_into_view_if_needed()
        frame = self.picture.bounding_box()
        assert frame is not None
        return frame["x"] + x / 100 * frame["width"], frame["y"] + y / 100 * frame["height"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.at(*start))
        mouse.down()
        mouse.move(*self.at(*end), steps=8)
        mouse.up()


def open_task(page: Page, url: str, task: dict[str, Any]) -> Canvas:
    """Open a task as a person does, by its address, and wait for its regions.

    The editor sometimes comes up empty on a busy machine; then the page is loaded again.
    """
    address = f"{url}/projects/{task['project']}/data?task={task['id']}"
    count = sum(r["type"] in ("keypointlabels", "rectanglelabels") for r in predicted(task))
    for turn in range(OPENINGS):
        try:
            page.goto(address, wait_until="domcontentloaded")
            page.locator(KEYPOINT).first.wait_for(timeout=40_000)
            page.wait_for_function(
                "count => window.Htx?.annotationStore.selected?.regions.length === count",
                arg=count,
                timeout=40_000,
            )
            page.wait_for_function(
                "window.Konva?.stages[0]?.find('Circle').length > 10", timeout=40_000
            )
            break
        except TimeoutError:
            if turn == OPENINGS - 1:
                raise
    return Canvas(page)


def lonely(result: list[dict[str, Any]], person: str) -> str:
    """The keypoint of a person that is furthest from every other one: easy to grasp."""
    places = {
        r["id"]: (r["value"]["x"], r["value"]["y"])
        for r in result
        if r["type"] == "keypointlabels"
    }
    own = [key for key in places if key.startswith(f"{person}k")]
    own = [key for key in own if all(8 < value < 92 for value in places[key])]
    return max(
        own,
        key=lambda one: min(math.dist(places[one], at) for k, at in places.items() if k != one),
    )


def test_what_is_done_in_the_page_comes_home_and_nothing_else(
    page: Page, label_studio: Any, run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    before = clip.document()
    names = before["categories"][0]["keypoints"]
    toe = names.index("stick_toe")
    person = before["annotations"][2]  # the second one of three in the second frame
    person["keypoints"][3 * toe : 3 * toe + 3] = [0, 0, 0]
    person["num_keypoints"] = sum(flag > 0 for flag in person["keypoints"][2::3])
    clip.file.write_text(json.dumps(before), "utf-8")
    run("push", clip.file, "--images", clip.images, "--project", "by hand")
    task = tasks_of(client, "by hand")[1]
    sent = predicted(task)
    place = {r["id"]: r["value"] for r in sent if r["type"] == "keypointlabels"}
    canvas = open_task(page, label_studio.url, task)
    shown = picture(page, "labelstudio")

    # Every box is drawn on its player, and every person is a branch of the tree.
    boxes = [r for r in sent if r["type"] == "rectanglelabels"]
    for box in (r["value"] for r in boxes):
        x, y = canvas.at(box["x"] + box["width"] / 2, box["y"])
        part = shown[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].astype(int)
        assert (np.abs(part - np.array(ORANGE)).max(axis=2) < 90).any(), box
    parents = page.evaluate(
        "Htx.annotationStore.selected.regions"
        ".map(r => [r.cleanId, (r.parentID || '').split('#')[0]])"
    )
    regions = [r for r in sent if r["type"] in ("rectanglelabels", "keypointlabels")]
    assert parents == [[r["id"], r.get("parentID", "")] for r in regions]

    # She drags one keypoint of the first player ...
    dragged = lonely(sent, "p1")
    start = place[dragged]["x"], place[dragged]["y"]
    page.mouse.click(*canvas.at(*start))
    page.wait_for_function(f"{REGION.format(dragged)}.inSelection")
    canvas.drag(start, (start[0] + 5, start[1] - 4))
    page.wait_for_function(f"Math.abs({REGION.format(dragged)}.x - {start[0]}) > 4")
    # ... says that another one, of the third player, is hidden ...
    hidden = lonely(sent, "p3")
    page.keyboard.press("Escape")
    page.mouse.click(*canvas.at(place[hidden]["x"], place[hidden]["y"]))
    page.wait_for_function(f"{REGION.format(hidden)}.inSelection")
    page.locator("label").filter(has_text="occluded").first.click()
    picture(page, "labelstudio-choice")
    # ... and adds the second player's missing toe in the margin, under its box in the list.
    page.keyboard.press("Escape")
    page.locator(".lsf-label").filter(has_text="stick_toe").first.click()
    page.mouse.click(*canvas.at(3, 60))
    page.wait_for_function(
        "count => Htx.annotationStore.selected.regions.length === count",
        arg=len(place) + len(boxes) + 1,
    )
    page.keyboard.press("Escape")
    for _ in boxes:  # close the branches, so that the list is short
        page.locator(".lsf-tree-switcher_open").first.click()
    page.wait_for_function(f"document.querySelectorAll('{KEYPOINT}').length === 1")
    page.locator(KEYPOINT).first.drag_to(page.locator(BOX).nth(1))
    page.wait_for_function(
        "Htx.annotationStore.selected.regions.at(-1).parentID.startsWith('p2')"
    )
    page.locator(f"{BOX} .lsf-tree-switcher").nth(1).click()
    picture(page, "labelstudio-added")
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as answered:
        page.get_by_test_id("bottombar-submit-button").click()
    assert answered.value.status == 201

    run("pull", "--project", "by hand", "--out", tmp_path / "home.json")

    home = json.loads((tmp_path / "home.json").read_text("utf-8"))
    saved = {
        r["id"]: r
        for r in tasks_of(client, "by hand")[1]["annotations"][0]["result"]
        if r["type"] == "keypointlabels"
    }
    added = next(r for key, r in saved.items() if key not in place)
    assert added["parentID"] == "p2"
    expected = copy.deepcopy(before)
    people = expected["annotations"]
    k, h = (int(key.partition("k")[2]) for key in (dragged, hidden))
    people[1]["keypoints"][3 * k : 3 * k + 2] = in_px(saved[dragged], task)
    people[3]["keypoints"][3 * h + 2] = 1
    people[2]["keypoints"][3 * toe : 3 * toe + 3] = [*in_px(added, task), 2]
    people[2]["num_keypoints"] += 1
    for record in home["annotations"][1:4]:
        assert record.pop("labelstudio")["completed_by"] == 1
    assert home == expected
    # And they lie where her mouse was, to two pixels of the screen (0.2 per cent).
    for value, aimed in (
        (saved[dragged]["value"], (start[0] + 5, start[1] - 4)),
        (added["value"], (3, 60)),
    ):
        assert math.dist((value["x"], value["y"]), aimed) < 0.4
    assert in_px(added, task)[0] < 0, "left of the picture"


def in_px(region: dict[str, Any], task: dict[str, Any]) -> list[float]:
    """A region's place in the picture, without its margin."""
    padding, value = task["data"]["padding"], region["value"]
    return [
        value["x"] * region["original_width"] / 100 - padding["left"],
        value["y"] * region["original_height"] / 100 - padding["top"],
    ]
