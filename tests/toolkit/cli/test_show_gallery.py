"""`toolkit show`: choosing images, the gallery file, crops, and every image size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Cli = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def footage(tmp_path: Path, coco_document: dict[str, Any], write_json: Write) -> Path:
    """Images 7 and 8 of clips a and b; in 8 a nose outside its box, and a repeated id."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("seven.jpg", "eight.jpg"):
        Image.new("RGB", (100, 80), (90, 120, 90)).save(folder / name)
    seven = coco_document["images"][0]
    seven["clip"] = "a"
    coco_document["images"].append(seven | {"id": 8, "file_name": "eight.jpg", "clip": "b"})
    second = coco_document["annotations"][1]
    second["image_id"] = 8
    second["keypoints"][0] = 5  # the box begins at x = 50
    second["num_keypoints"] = 3
    return write_json(coco_document)


def shown(toolkit_cli: Cli, file: Path, *options: object) -> list[int]:
    out = file.parent / "g.html"
    result = toolkit_cli(
        "show", file, "--images", file.parent / "images", "--gallery", out, "--json",
        "--force", *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return [overlay["image_id"] for overlay in json.loads(result.stdout)["overlays"]]


@pytest.mark.parametrize(
    ("options", "images"),
    [
        ((), [7, 8]),
        (("--clip", "b"), [8]),
        (("--stratum", "out_of_box"), [8]),
        (("--keypoint", "nose", "--stratum", "out_of_box"), [8]),
        (("--keypoint", "nose"), [7, 8]),
        (("--rule", "num-keypoints-mismatch"), [8]),
        (("--limit", 1), [7]),
    ],
)
def test_images_are_chosen_by_what_is_in_them(
    options: tuple[object, ...], images: list[int], footage: Path, toolkit_cli: Cli
) -> None:
    assert shown(toolkit_cli, footage, *options) == images


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--keypoint", "stick_toe"), 2, "no keypoint 'stick_toe'; known: left_ankle"),
        (("--clip", "z"), 2, "no clip 'z'; known: a, b"),
        (("--stratum", "nowhere"), 2, "out_of_box"),
        (("--stratum", "out_of_image"), 1, "an instance that was asked for"),
        (("--rule", "no-such-rule"), 2, "no-such-rule"),
        (("--crop", 0), 2, "--crop"),
        (("--crop", 1.25, "--aspect", "x"), 2, "expected width and height"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_line(
    options: tuple[object, ...], code: int, said: str, footage: Path, toolkit_cli: Cli
) -> None:
    out = footage.parent / "g.html"

    result = toolkit_cli(
        "show", footage, "--images", footage.parent / "images", "--gallery", out, *options
    )

    assert result.exit_code == code
    assert said in result.stderr
    assert not out.exists()


def test_nothing_to_write_is_wrong_usage(footage: Path, toolkit_cli: Cli) -> None:
    result = toolkit_cli("show", footage, "--images", footage.parent / "images")

    assert result.exit_code == 2
    assert "--gallery FILE.html" in result.stderr


def test_the_gallery_may_not_replace_the_annotations(footage: Path, toolkit_cli: Cli) -> None:
    before = footage.read_bytes()

    result = toolkit_cli(
        "show", footage, "--images", footage.parent / "images", "--gallery", footage, "--force"
    )

    assert result.exit_code == 2
    assert footage.read_bytes() == before


def test_the_gallery_alone_equals_the_folders_page(footage: Path, toolkit_cli: Cli) -> None:
    images = footage.parent / "images"
    for options in (("--gallery", "g.html"), ("--out", "o")):
        target = footage.parent / options[1]
        assert (
            toolkit_cli("show", footage, "--images", images, options[0], target).exit_code == 0
        )

    page = (footage.parent / "g.html").read_bytes()
    assert page == (footage.parent / "o" / "index.html").read_bytes()


def test_a_file_with_errors_is_drawn_and_ends_with_1(
    footage: Path, toolkit_cli: Cli, write_json: Write
) -> None:
    document = json.loads(footage.read_text())
    document["annotations"][0]["bbox"] = "wide"
    out = footage.parent / "g.html"

    result = toolkit_cli(
        "show", write_json(document), "--images", footage.parent / "images", "--gallery", out
    )

    assert result.exit_code == 1
    assert "field 'bbox'" in result.stderr
    assert "2 overlays of 2 people" in result.stdout
    assert "bbox-shape (1)" in out.read_text(encoding="utf-8")


def test_a_full_page_keeps_images_with_errors_and_says_how_many_are_left_out(
    footage: Path, toolkit_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.overlays.GALLERY_LIMIT", 1)
    out = footage.parent / "o"

    result = toolkit_cli(
        "show", footage, "--images", footage.parent / "images", "--out", out,
        "--profile", "coco",
    )  # fmt: skip

    page = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'id="image-(\d+)"', page) == ["8"]  # num_keypoints is an error there
    assert "1 more picture is not in this page" in page
    assert "the gallery is full: 1 of 2 pictures are not in it" in result.stderr
    assert len(list(out.glob("*.jpg"))) == 2

    alone = toolkit_cli(
        "show", footage, "--images", footage.parent / "images", "--json",
        "--gallery", footage.parent / "g.html", "--profile", "coco",
    )  # fmt: skip
    assert json.loads(alone.stdout)["left_out_of_gallery"] == 1
    assert "1 more picture is not" in (footage.parent / "g.html").read_text(encoding="utf-8")


def test_a_page_never_grows_beyond_its_budget(
    footage: Path, toolkit_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.overlays.MAX_JPEG_BYTES", 40_000)
    out = footage.parent / "g.html"

    result = toolkit_cli(
        "show", footage, "--images", footage.parent / "images", "--gallery", out, "--json",
        "--profile", "coco",
    )  # fmt: skip

    assert json.loads(result.stdout)["in_gallery"] == 1
    assert re.findall(r'id="image-(\d+)"', out.read_text(encoding="utf-8")) == ["8"]
    assert out.stat().st_size < 90_000


@pytest.mark.parametrize(("width", "height"), [(160, 120), (4000, 3000)])
def test_strokes_show_at_any_image_size(
    width: int,
    height: int,
    toolkit_cli: Cli,
    coco_document: dict[str, Any],
    write_json: Write,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (width, height), (128, 128, 128)).save(folder / "seven.jpg")
    coco_document["images"][0] |= {"width": width, "height": height}
    for person in coco_document["annotations"]:
        factor = width / 100
        person["bbox"] = [value * factor for value in person["bbox"]]
        points = np.array(person["keypoints"], float).reshape(17, 3) * [factor, factor, 1]
        person["keypoints"] = points.ravel().tolist()

    result = toolkit_cli(
        "show", write_json(coco_document), "--images", folder, "--out", tmp_path / "out",
        "--crop", 1.25,
    )  # fmt: skip

    assert result.exit_code == 0
    with Image.open(tmp_path / "out" / "7_seven.jpg") as drawn:
        screen = np.asarray(drawn.resize((800, 800 * drawn.height // drawn.width), 4), int)
    # Seen on a screen of 800 px: clear white lines of the boxes, clear green of the body.
    white = (screen.min(axis=2) > 200).sum()
    green = ((screen[:, :, 1] > 180) & (screen[:, :, 0] < 120)).sum()
    assert white > 300
    assert green > 300


def test_close_ups_show_one_person_each_and_filters_know_whom(
    footage: Path, toolkit_cli: Cli
) -> None:
    document = json.loads(footage.read_text())
    document["annotations"].append(document["annotations"][0] | {"id": 3})
    footage.write_text(json.dumps(document))
    out = footage.parent / "o"

    result = toolkit_cli(
        "show", footage, "--images", footage.parent / "images", "--out", out, "--by", "person",
        "--json",
    )  # fmt: skip

    overlays = json.loads(result.stdout)["overlays"]
    assert [item["file_name"] for item in overlays] == [
        "7_seven_1.jpg", "7_seven_3.jpg", "8_eight_2.jpg",
    ]  # fmt: skip
    assert [item["outside_box"] for item in overlays] == [0, 0, 1]
    with Image.open(out / "7_seven_1.jpg") as drawn:
        assert drawn.width == 720
    page = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<figure id="annotation-(\d+)-', page) == ["1", "3", "2"]
    assert "out_of_box (1)" in page
    assert "nose (3)" in page


def test_close_ups_can_be_chosen_and_a_person_without_a_box_is_shown_too(
    footage: Path, toolkit_cli: Cli
) -> None:
    document = json.loads(footage.read_text())
    del document["annotations"][1]["bbox"]
    footage.write_text(json.dumps(document))

    assert shown(toolkit_cli, footage, "--by", "person", "--clip", "b") == [8]
