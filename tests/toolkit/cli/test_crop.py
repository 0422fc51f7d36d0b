"""`toolkit crop`: the curve as a table, JSON, page, picture and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Cli = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def sample(root: Path) -> Path:
    return root / "datasets" / "hockey" / "sample" / "annotations.json"


def test_a_stick_leaves_the_crop_and_the_body_does_not(toolkit_cli: Cli, sample: Path) -> None:
    result = toolkit_cli("crop", sample, "--json", "--paddings", "1.1,8")

    document = json.loads(result.stdout)
    toe, body = document["keypoints"]["stick_toe"], document["groups"]["body"]
    assert document["paddings"] == [1.1, 8.0]
    assert toe["outside"][0] > 0.5
    assert toe["outside"][1] == 0.0
    assert body["outside"] == [0.0, 0.0]
    assert 1.1 < toe["padding_to_hold"]["0.5"] < toe["padding_to_hold"]["0.99"] < 8


def test_the_table_marks_the_usual_paddings(toolkit_cli: Cli, sample: Path) -> None:
    result = toolkit_cli("crop", sample)

    assert result.exit_code == 0
    assert "1.1 *" in result.stdout
    assert "1.25 *" in result.stdout
    assert "shipped models" in result.stdout


def test_a_wider_input_loses_less_to_the_sides(toolkit_cli: Cli, sample: Path) -> None:
    shares = [
        json.loads(toolkit_cli("crop", sample, "--json", "--aspect", aspect).stdout)["groups"][
            "extension"
        ]["outside"][0]
        for aspect in ("3:4", "1:1")
    ]

    assert shares[0] > shares[1]


def test_page_picture_and_table_are_written(
    toolkit_cli: Cli, sample: Path, tmp_path: Path
) -> None:
    for ending in ("html", "svg", "csv"):
        result = toolkit_cli("crop", sample, "--out", tmp_path / f"c.{ending}")
        assert result.exit_code == 0

    ElementTree.parse(tmp_path / "c.svg")
    with (tmp_path / "c.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[-1]["name"] == "Mean"
    assert float(rows[-1]["outside_at_1.1"]) > 0
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "usual for HRNet" in page
    assert "://" not in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--paddings", "a,b"), "expected numbers with commas"),
        (("--paddings", "1,-1"), "expected a number above 0"),
        (("--paddings", "nan"), "expected a number above 0"),
        (("--aspect", "3:0"), "expected width and height"),
        (("--out", "c.png"), ".svg or .csv"),
    ],
)
def test_wrong_options_end_with_2_and_one_line(
    options: tuple[str, ...], said: str, toolkit_cli: Cli, sample: Path
) -> None:
    result = toolkit_cli("crop", sample, *options)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_people_without_a_box_are_named(
    toolkit_cli: Cli, coco_document: dict[str, Any], write_json: Write
) -> None:
    del coco_document["annotations"][0]["bbox"]

    result = toolkit_cli("crop", write_json(coco_document))

    assert result.exit_code == 0
    assert "17 labelled keypoints without a usable box" in result.stderr
