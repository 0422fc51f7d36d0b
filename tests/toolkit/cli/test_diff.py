"""`toolkit diff`: what it prints, writes and ends with."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.cli.view import _report
from toolkit.curate.diff import diff
from toolkit.formats import read

Document = dict[str, Any]


@pytest.fixture
def two(coco_document: Document, write_json: Callable[..., Path]) -> tuple[Path, Path]:
    """A file, and the same with one keypoint moved by (3, 4) and a hostile field."""
    other = copy.deepcopy(coco_document)
    other["annotations"][0]["keypoints"][:2] = [13, 24]
    other["annotations"][0]["<script>alert(1)</script>"] = "<b>&"
    other["images"][0]["file_name"] = "<img src=x>.jpg"
    return write_json(coco_document, "old.json"), write_json(other, "new.json")


def test_equal_files_end_with_0_and_say_so(
    two: tuple[Path, Path], toolkit_cli: Callable[..., Any]
) -> None:
    result = toolkit_cli("diff", two[0], two[0], "--exit-code")

    assert result.exit_code == 0
    assert "no differences: the files are equal byte for byte" in result.stdout


def test_differences_end_with_0_unless_asked(
    two: tuple[Path, Path], toolkit_cli: Callable[..., Any]
) -> None:
    plain, asked = toolkit_cli("diff", *two), toolkit_cli("diff", *two, "--exit-code")

    assert (plain.exit_code, asked.exit_code) == (0, 1)
    assert re.search(r"nose +│ +2 │ +1 │ +5.0 │ +5.0", plain.stdout)
    assert "annotations id=1 '<script>alert(1)</script>': (none) -> '<b>&'" in plain.stdout


def test_what_a_file_says_cannot_steer_the_terminal(
    two: tuple[Path, Path], toolkit_cli: Callable[..., Any]
) -> None:
    document = json.loads(two[1].read_text("utf-8"))
    document["annotations"][0]["a\x1b[2J"] = "b\x1b[2J"
    two[1].write_text(json.dumps(document), "utf-8")

    result = toolkit_cli("diff", *two)

    assert "a\\x1b[2J" in result.stdout
    assert "\x1b[2J" not in result.stdout


def test_what_came_home_from_an_app_cannot_steer_the_terminal(
    two: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["        1  new keypoints: nose\x1b[2J"]
    monkeypatch.setattr("toolkit.curate.diff_report.summary_lines", lambda result: lines)

    _report(diff(read(two[0]), read(two[1])), two[1], (), None, as_json=False)

    assert capsys.readouterr().out.startswith("        1  new keypoints: nose\\x1b[2J\n")


def test_null_is_told_from_a_field_that_is_missing(
    two: tuple[Path, Path], toolkit_cli: Callable[..., Any]
) -> None:
    document = json.loads(two[1].read_text("utf-8"))
    document["annotations"][0]["track"] = None
    two[1].write_text(json.dumps(document), "utf-8")

    assert "'track': (none) -> null" in toolkit_cli("diff", *two).stdout


def test_json_is_one_document(two: tuple[Path, Path], toolkit_cli: Callable[..., Any]) -> None:
    result = toolkit_cli("diff", *two, "--json")

    document = json.loads(result.stdout)
    assert document["equal"] is False
    assert document["matched"]["annotations"] == {"id": 2, "oks": 0}
    assert document["moves"][0]["px"] == 5.0
    assert document["counts"]["keypoints_moved"] == 1


def test_the_page_escapes_what_the_files_say_and_carries_its_pictures(
    two: tuple[Path, Path], tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.new("RGB", (100, 80), "grey").save(tmp_path / "images" / "<img src=x>.jpg")
    out = tmp_path / "page.html"

    result = toolkit_cli("diff", *two, "--out", out, "--images", tmp_path / "images")

    assert result.exit_code == 0, result.stderr
    page = out.read_text("utf-8")
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<img src=x>" not in page
    assert "no --images given" not in page


def test_the_page_needs_no_images(
    two: tuple[Path, Path], tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    out = tmp_path / "page.html"

    assert toolkit_cli("diff", *two, "--out", out).exit_code == 0
    assert "no --images given" in out.read_text("utf-8")
    assert toolkit_cli("diff", *two, "--out", out).exit_code == 2
    first = out.read_bytes()
    assert toolkit_cli("diff", *two, "--out", out, "--force").exit_code == 0
    assert out.read_bytes() == first


def test_a_page_of_equal_files_says_so(
    two: tuple[Path, Path], tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    out = tmp_path / "page.html"

    assert toolkit_cli("diff", two[0], two[0], "--out", out).exit_code == 0
    assert "no differences: the files are equal" in out.read_text("utf-8")


def test_a_missing_picture_is_told_and_an_unsafe_name_refused(
    two: tuple[Path, Path], tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    out = tmp_path / "page.html"
    (tmp_path / "images").mkdir()

    result = toolkit_cli("diff", *two, "--out", out, "--images", tmp_path / "images")
    assert result.exit_code == 0
    assert "image is missing" in out.read_text("utf-8")

    document = json.loads(two[1].read_text("utf-8"))
    document["images"][0]["file_name"] = "../x.jpg"
    two[1].write_text(json.dumps(document), "utf-8")
    result = toolkit_cli("diff", *two, "--out", out, "--force", "--images", tmp_path)
    assert result.exit_code == 4
    assert "image id=7 field 'file_name': '../x.jpg' refused" in result.stderr


def test_files_with_errors_are_compared_and_the_errors_told(
    two: tuple[Path, Path], toolkit_cli: Callable[..., Any]
) -> None:
    document = json.loads(two[1].read_text("utf-8"))
    document["annotations"][1]["keypoints"] = [1, 2]
    two[1].write_text(json.dumps(document), "utf-8")

    result = toolkit_cli("diff", *two)

    assert result.exit_code == 0
    assert "new.json: 1 error; 'toolkit validate' lists them" in result.stderr


def test_results_are_no_annotations(
    two: tuple[Path, Path], write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    result = toolkit_cli("diff", two[0], write_json([], "results.json"))

    assert result.exit_code == 3
    assert "is this a results file?" in result.stderr


def test_files_without_annotations_are_equal(
    coco_document: Document, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    empty = write_json(coco_document | {"annotations": [], "images": []}, "empty.json")

    assert "no differences" in toolkit_cli("diff", empty, empty).stdout


def test_coordinates_that_overflow_give_a_page_and_no_line_of_numpy(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    document = json.loads(two[1].read_text("utf-8"))
    document["annotations"][0]["keypoints"][:4] = [1.7e308, 5, 2, -1.7e308]
    two[1].write_text(json.dumps(document), "utf-8")
    command = [sys.executable, "-m", "toolkit", "diff", "--match", "oks", *map(str, two)]

    found = subprocess.run(
        [*command, "--out", str(tmp_path / "d.html")], capture_output=True, text=True
    )

    assert found.returncode == 0, found.stderr
    assert "Warning" not in found.stderr


@pytest.mark.parametrize(
    ("before", "added"),
    [
        ('"annotations"', '"huge": DIGITS, '),
        ('"annotations"', '"info": {"n": DIGITS}, '),
        ('"area"', '"weight": DIGITS, '),
    ],
)
def test_an_integer_of_thousands_of_digits_ends_in_one_line(
    before: str, added: str, two: tuple[Path, Path], toolkit_cli: Callable[..., Any]
) -> None:
    text = two[1].read_text("utf-8").replace(before, added + before, 1)
    two[1].write_text(text.replace("DIGITS", "7" * 6000), "utf-8")

    result = toolkit_cli("diff", *two)

    assert result.exit_code == 1
    assert "holds a number of thousands of digits" in result.stderr.splitlines()[-1]


def test_pictures_without_a_page_are_told_of(
    two: tuple[Path, Path], tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    result = toolkit_cli("diff", *two, "--images", tmp_path)

    assert result.exit_code == 0
    assert "--images is for the pictures of a page; add --out FILE.html" in result.stderr
