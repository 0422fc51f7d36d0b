"""`toolkit stats`: tables, one JSON document, a page, a folder; lenient with broken files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Cli = Callable[..., Any]
Write = Callable[..., Path]


def test_the_terminal_shows_counts_and_every_keypoint(
    toolkit_cli: Cli, coco_document: dict[str, Any], write_json: Write
) -> None:
    result = toolkit_cli("stats", write_json(coco_document))

    assert result.exit_code == 0
    for word in ("1 (0 without annotations)", "left_ankle", "all keypoints", "100.0"):
        assert word in result.stdout
    assert "(extension)" not in result.stdout


def test_json_is_one_document_and_empty_strata_are_null(
    toolkit_cli: Cli, coco_document: dict[str, Any], write_json: Write
) -> None:
    coco_document["images"].append(
        {"id": 8, "file_name": "8.jpg", "width": 10, "height": 10, "clip": "a", "frame": 0}
    )

    result = toolkit_cli("stats", write_json(coco_document), "--json")

    document = json.loads(result.stdout)
    assert document["counts"]["images_without_annotations"] == 1
    assert document["counts"]["categories"] == [{"id": 1, "name": "person", "instances": 2}]
    assert document["groups"]["extension"]["out_of_box_share"] is None
    assert document["clips"]["clips"] == 1
    assert document["crowding"]["crowd_index"] is None
    assert document["crop"]["groups"]["extension"]["n"] == 0
    assert document["unread"] == []


def test_a_file_with_errors_is_counted_as_far_as_it_goes(
    toolkit_cli: Cli, coco_document: dict[str, Any], write_json: Write
) -> None:
    coco_document["annotations"][0]["bbox"] = [1, 2, 3]
    coco_document["annotations"][1]["image_id"] = 99
    coco_document["annotations"].append("nonsense")

    result = toolkit_cli("stats", write_json(coco_document), "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["counts"]["instances"] == 2
    assert document["counts"]["instances_without_box"] == 1
    assert document["counts"]["instances_without_image"] == 1
    assert document["keypoints"]["nose"]["with_box"] == 1
    assert document["keypoints"]["nose"]["with_image_size"] == 1
    rules = {entry["rule"]: entry["count"] for entry in document["unread"]}
    assert rules == {"bbox-shape": 1, "record-type": 1}


def test_a_page_and_a_folder_are_written_and_never_over_something(
    toolkit_cli: Cli, coco_document: dict[str, Any], write_json: Write, tmp_path: Path
) -> None:
    file = write_json(coco_document)

    page = toolkit_cli("stats", file, "--out", tmp_path / "s.html")
    folder = toolkit_cli("stats", file, "--out", tmp_path / "s")
    again = toolkit_cli("stats", file, "--out", tmp_path / "s")

    assert (page.exit_code, folder.exit_code, again.exit_code) == (0, 0, 2)
    text = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert text == (tmp_path / "s" / "index.html").read_text(encoding="utf-8")
    for name in ("visibility", "outside-box", "crop-curve", "box-height", "people-per-image"):
        ElementTree.parse(tmp_path / "s" / f"{name}.svg")
    assert json.loads((tmp_path / "s" / "stats.json").read_text())["schema"] == "coco"
    assert "--force" in again.stderr


@pytest.mark.parametrize(
    ("out", "said"), [("s.pdf", "ending in .html"), ("annotations.json", "ending in .html")]
)
def test_an_output_of_another_kind_is_refused(
    out: str,
    said: str,
    toolkit_cli: Cli,
    coco_document: dict[str, Any],
    write_json: Write,
    tmp_path: Path,
) -> None:
    result = toolkit_cli("stats", write_json(coco_document), "--out", tmp_path / out)

    assert result.exit_code == 2
    assert said in result.stderr


def test_what_is_no_json_ends_with_3(toolkit_cli: Cli, write_json: Write) -> None:
    result = toolkit_cli("stats", write_json("{"))

    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1


def test_the_sample_has_densities_of_its_stick(toolkit_cli: Cli, root: Path) -> None:
    file = root / "datasets" / "hockey" / "sample" / "annotations.json"

    result = toolkit_cli("stats", file, "--json")

    density = json.loads(result.stdout)["density"]
    assert set(density) == {"butt_end", "stick_heel", "stick_toe"}
    toe = density["stick_toe"]
    assert toe["total"] == sum(map(sum, toe["counts"])) + toe["beyond"]
