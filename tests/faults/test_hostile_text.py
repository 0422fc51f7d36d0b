"""Row 68 of the catalogue: label text that attacks whoever shows it."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]
SCRIPT = "<script>alert(1)</script>"
QUOTE = "\"/><Choice value='x'/>"
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def hostile(coco_document: Document, write_json: Callable[..., Path]) -> Path:
    """Hostile text wherever a file may have text, and a moved keypoint's file beside it."""
    coco_document["info"]["description"] = SCRIPT
    coco_document["categories"][0]["name"] = QUOTE + SCRIPT
    coco_document["images"][0]["file_name"] = SCRIPT + ".jpg"
    coco_document["images"][0]["clip"] = FORMULA
    coco_document["annotations"][0][SCRIPT] = SCRIPT
    coco_document["annotations"][0]["area"] = 0
    path = write_json(coco_document, "hostile.json")
    coco_document["annotations"][0]["keypoints"][0] += 9
    coco_document["annotations"][0][SCRIPT] = QUOTE
    write_json(coco_document, "moved.json")
    return path


PAGES = {
    "validate": ("validate", "hostile.json", "--format", "html", "--out", "page.html"),
    "stats": ("stats", "hostile.json", "--out", "page.html"),
    "crop": ("crop", "hostile.json", "--out", "page.html"),
    "diff": ("diff", "hostile.json", "moved.json", "--out", "page.html"),
}


@pytest.mark.parametrize("words", PAGES.values(), ids=PAGES)
def test_68_a_page_shows_text_and_runs_none(
    hostile: Path,
    toolkit_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(hostile.parent)

    result = toolkit_cli(*words)

    assert result.exit_code in (0, 1), result.stderr
    page = Path("page.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "<Choice" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("cell", [FORMULA, "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1"])
def test_68_a_table_holds_no_formula(
    hostile: Path, toolkit_cli: Callable[..., Any], tmp_path: Path, cell: str
) -> None:
    document = json.loads(hostile.read_text("utf-8"))
    document["images"][0]["file_name"] = cell
    document["annotations"][0]["area"] = 300
    hostile.write_text(json.dumps(document), "utf-8")

    result = toolkit_cli("convert", hostile, tmp_path / "a.csv")

    assert result.exit_code == 0, result.stderr
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        cells = [entry for row in csv.reader(stream) for entry in row]
    assert not [entry for entry in cells if entry[:1] in "=+@\t\r" and entry]


def test_68_an_xml_file_escapes_names(
    hostile: Path, toolkit_cli: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "a.xml"

    result = toolkit_cli("convert", hostile, out, "--to", "cvat")

    assert result.exit_code in (0, 1), result.stderr
    if result.exit_code == 0:
        tree = xml.etree.ElementTree.parse(out)
        assert not list(tree.iter("script"))
        assert not list(tree.iter("Choice"))
