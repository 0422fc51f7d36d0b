"""The gallery page, and its filters in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.gallery import GalleryText, Person, Picture, gallery_page
from toolkit.metrics.strata import STRATA
from toolkit.schema import Schema

EVIL = '"><img src=x onerror=document.title=1></script><script>document.title="owned"</script>'


def bits(*names: str) -> int:
    return sum(1 << STRATA.index(name) for name in names)


def person(instance_id: int, tip: int, *rules: str) -> Person:
    inside = bits("in_box", "visible")
    return Person(
        instance_id, (10.0, 20.0, 30.0, 40.0), rules, np.array([inside, inside, tip], np.uint8)
    )


def picture(image_id: int, *people: Person, clip: str | None = None, **more: str) -> Picture:
    return Picture(
        image_id,
        more.get("source", f"{image_id}.jpg"),
        clip,
        "2 people",
        b"jpeg",
        (640, 480),
        people,
        (),
    )


@pytest.fixture
def pictures() -> list[Picture]:
    return [
        picture(1, person(1, bits("out_of_box", "visible"), "limb-length"), clip="a"),
        picture(2, person(2, bits("in_box", "occluded")), person(3, 0), clip="b"),
        picture(3, person(4, bits("out_of_box", "out_of_image", "occluded")), clip="b"),
    ]


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">([^<]*)</script>', page)
    assert found is not None
    value: dict[str, object] = json.loads(found[1])
    return value


def test_every_choice_says_how_many_people_it_finds(
    tiny_schema: Schema, pictures: list[Picture]
) -> None:
    page = gallery_page(tiny_schema, GalleryText("t", "s"), pictures)

    for option in (
        "limb-length (1)", "head (4)", "tip (3)", "in_box (4)", "out_of_box (2)",
        "out_of_image (1)", "occluded (2)", "a (1)", "b (3)",
    ):  # fmt: skip
        assert f">{option}</option>" in page


def test_hostile_names_are_text_everywhere(tiny_schema: Schema) -> None:
    keypoints = (*tiny_schema.keypoints[:2], replace(tiny_schema.keypoints[2], name=EVIL))
    schema = Schema(name="evil", title=EVIL, keypoints=keypoints)
    shown = picture(1, person(1, 1, EVIL), clip=EVIL, source=EVIL + "\ud800")

    page = gallery_page(schema, GalleryText(EVIL, EVIL), [shown])

    assert "<img src=x" not in page
    assert '<script>document.title="owned"' not in page
    assert page.count("<script") == 2  # the data and the toolkit's own
    assert html.escape(EVIL) in page
    assert data_of(page)["rules"] == [EVIL]
    page.encode("utf-8")


def test_what_is_left_out_is_said(tiny_schema: Schema, pictures: list[Picture]) -> None:
    full = gallery_page(tiny_schema, GalleryText("t", "s"), pictures)
    cut = gallery_page(tiny_schema, GalleryText("t", "s", left_out=1234), pictures)

    assert "1,234 more pictures are not in this page" in cut
    assert "not in this page" not in full


def test_a_gallery_of_predictions_alone_has_no_filters(tiny_schema: Schema) -> None:
    page = gallery_page(tiny_schema, GalleryText("t", "s"), [picture(1)])

    assert 'id="filters"' not in page


def test_the_page_names_no_address(tiny_schema: Schema, pictures: list[Picture]) -> None:
    page = gallery_page(tiny_schema, GalleryText("t", "s"), pictures)

    assert "://" not in page
    assert set(re.findall(r'src="([a-z]+):', page)) == {"data"}


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str, str], str]:
    """Open a page in headless Chromium, run a script in it, give the resulting markup."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")

    def run(page: str, script: str) -> str:
        assert chromium is not None
        head, _, tail = page.rpartition("</script></body>")
        path = tmp_path / "page.html"
        path.write_text(f"{head}\n{script}</script></body>{tail}", encoding="utf-8")
        done = subprocess.run(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--dump-dom",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    if chromium is None:
        pytest.skip("no browser")
    return run


def visible(markup: str) -> list[str]:
    figures = re.findall(r'<figure id="image-(\d+)"([^>]*)>', markup)
    return [image for image, rest in figures if "hidden" not in rest]


def test_the_filters_find_people_in_a_browser(
    tiny_schema: Schema, pictures: list[Picture], browse: Callable[[str, str], str]
) -> None:
    page = gallery_page(tiny_schema, GalleryText("t", "s"), pictures)
    script = """
      const log = [];
      const ask = (wish) => {
        for (const id of ["rule", "keypoint", "stratum", "clip", "name"])
          byId(id).value = wish[id] ?? "";
        apply();
        log.push(cards.filter((c) => !c.hidden).map((c) => c.id.slice(6)).join("")
          + ":" + document.querySelectorAll(".hit").length);
      };
      ask({}); ask({keypoint: "2"}); ask({keypoint: "2", stratum: "1"});
      ask({stratum: "4"}); ask({stratum: "2", clip: "0"}); ask({rule: "0"});
      ask({clip: "1"}); ask({name: "2.JP"}); ask({keypoint: "0", stratum: "1"});
      document.title = log.join(" ");
    """

    markup = browse(page, script)

    title = re.search(r"<title>([^<]*)</title>", markup)
    assert title is not None
    # Pictures shown and people framed, wish by wish.
    assert title[1] == "123:0 123:3 13:2 23:2 :0 1:1 23:0 2:0 :0"


def test_hostile_names_do_nothing_in_a_browser(
    tiny_schema: Schema, browse: Callable[[str, str], str]
) -> None:
    keypoints = (*tiny_schema.keypoints[:2], replace(tiny_schema.keypoints[2], name=EVIL))
    schema = Schema(name="evil", title="E", keypoints=keypoints)
    shown = picture(1, person(1, 1, EVIL), clip=EVIL, source=EVIL)
    page = gallery_page(schema, GalleryText("fine", "s"), [shown])

    markup = browse(page, 'byId("keypoint").value = "2"; byId("rule").value = "0"; apply();')

    assert "<title>fine</title>" in markup
    assert "onerror=document" not in re.sub(r">[^<]*<|\"[^\"]*\"", "", markup)
    assert visible(markup) == ["1"]
    assert f"#1 {html.escape(EVIL, quote=False)}" in markup


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port on loopback, and a list that gets one entry for each connection to it."""
    server = socket.create_server(("127.0.0.1", 0))
    seen: list[str] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            seen.append("connected")
            connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1], seen
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(timeout=5)


def test_even_markup_that_slips_in_reaches_no_network(
    tiny_schema: Schema,
    pictures: list[Picture],
    browse: Callable[[str, str], str],
    listener: tuple[int, list[str]],
) -> None:
    port, seen = listener
    page = gallery_page(tiny_schema, GalleryText("t", "s"), pictures)
    leak = f'<img src="http://127.0.0.1:{port}/"></main>'
    leaky = page.replace("</main>", leak)
    fetching = f'fetch("http://127.0.0.1:{port}/").catch(() => 0);'

    browse(leaky, fetching)
    assert seen == []

    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    browse(policy.sub("", leaky), "")
    assert seen != []  # without the policy the browser would have gone there
