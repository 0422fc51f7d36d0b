from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest


@pytest.fixture
def two_files(coco_document: dict[str, object], write_json: Callable[..., Path]) -> list[Path]:
    """The same two people; Ben's first nose lies 5 px away."""
    other = deepcopy(coco_document)
    other["annotations"][0]["keypoints"][0] += 3
    other["annotations"][0]["keypoints"][1] += 4
    return [write_json(coco_document, "anna.json"), write_json(other, "ben.json")]


def test_agreement_prints_tables_and_one_document(
    two_files: list[Path], toolkit_cli: Callable[..., object]
) -> None:
    text = toolkit_cli("agreement", *two_files)
    document = json.loads(toolkit_cli("agreement", *two_files, "--json").stdout)

    assert text.exit_code == 0
    assert "2 people, 2 labelled by all" in text.stdout
    assert "nose 5.0 px apart (anna, ben)" in text.stdout
    assert document["keypoints"]["nose"]["p90_px"] == pytest.approx(4.5)
    assert [row["annotator"] for row in document["annotators"]] == ["anna", "ben"]
    assert document["queue"][0]["annotation_id"] == 1


def test_agreement_writes_queue_consensus_and_page(
    two_files: list[Path], tmp_path: Path, toolkit_cli: Callable[..., object]
) -> None:
    result = toolkit_cli(
        "agreement", *two_files, "--queue", tmp_path / "q.json", "--consensus",
        tmp_path / "c.json", "--out", tmp_path / "a.html",
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    nose = json.loads((tmp_path / "c.json").read_text())["annotations"][0]["keypoints"][:2]
    assert nose == [11.5, 22]
    assert json.loads((tmp_path / "q.json").read_text())["queue"][0]["ids"] == {
        "anna": 1,
        "ben": 1,
    }
    assert "default-src 'none'" in (tmp_path / "a.html").read_text()


def test_hostile_names_are_escaped_in_the_page(
    two_files: list[Path], tmp_path: Path, toolkit_cli: Callable[..., object]
) -> None:
    hostile = tmp_path / "<script>alert(1)<.json"
    hostile.write_bytes(two_files[1].read_bytes())

    toolkit_cli("agreement", two_files[0], hostile, "--out", tmp_path / "a.html")

    assert "<script>alert" not in (tmp_path / "a.html").read_text()


def test_one_file_of_one_annotator_ends_with_2(
    two_files: list[Path], toolkit_cli: Callable[..., object]
) -> None:
    result = toolkit_cli("agreement", two_files[0])

    assert result.exit_code == 2
    assert "one annotator; agreement needs two" in result.stderr


def test_sigmas_prints_estimates_and_writes_a_schema(
    two_files: list[Path], tmp_path: Path, toolkit_cli: Callable[..., object]
) -> None:
    document = json.loads(toolkit_cli("sigmas", *two_files, "--json").stdout)
    result = toolkit_cli(
        "sigmas", *two_files, "--only", "nose", "--out", tmp_path / "mine.yaml"
    )

    # One of two people: 12.5 px^2 over 300.5 px^2 area, over two degrees of freedom.
    assert document["sigmas"][0]["sigma"] == pytest.approx((12.5 / 300.5 / 2) ** 0.5)
    assert document["sigmas"][1]["sigma"] == 0.0
    assert result.exit_code == 0, result.stderr
    assert "nose 0.026 -> 0.1442" in result.stderr
    shown = toolkit_cli("validate", two_files[0], "--schema", tmp_path / "mine.yaml")
    assert "0 errors" in shown.stdout


def test_an_output_that_is_an_input_ends_with_2(
    two_files: list[Path], toolkit_cli: Callable[..., object]
) -> None:
    result = toolkit_cli("agreement", *two_files, "--consensus", two_files[0], "--force")

    assert result.exit_code == 2
    assert "the output is the input" in result.stderr


def test_a_name_like_markup_is_printed_as_it_is(
    two_files: list[Path], tmp_path: Path, toolkit_cli: Callable[..., object]
) -> None:
    hostile = tmp_path / "[b]ben[].json"
    hostile.write_bytes(two_files[1].read_bytes())

    result = toolkit_cli("agreement", two_files[0], hostile)

    assert result.exit_code == 0, result.stderr
    assert "[b]ben[]" in result.stdout


def test_a_closing_tag_in_a_name_ends_no_command(
    coco_document: dict[str, object], write_json: Callable[..., Path],
    toolkit_cli: Callable[..., object],
) -> None:  # fmt: skip
    coco_document["categories"][0]["keypoints"][0] = "[/b]nose\x1b[2J\x07"
    files = [write_json(coco_document, name) for name in ("anna.json", "ben.json")]

    result = toolkit_cli("agreement", *files)

    assert result.exit_code == 0, result.stderr
    assert "[/b]nose\\x1b[2J\\x07" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("section", ["images", "annotations"])
def test_an_id_that_is_there_twice_is_refused_as_validate_does(
    section: str, two_files: list[Path], toolkit_cli: Callable[..., object]
) -> None:
    document = json.loads(two_files[1].read_text())
    document[section].append(document[section][0])
    two_files[1].write_text(json.dumps(document))
    at = len(document[section]) - 1

    result = toolkit_cli("agreement", *two_files)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"ben.json: {section}[{at}]" in result.stderr
    assert f"{section}[0] has the same id; ids are unique in a file" in result.stderr


def test_options_that_would_do_nothing_are_told(
    two_files: list[Path], tmp_path: Path, toolkit_cli: Callable[..., object]
) -> None:
    images = toolkit_cli("agreement", *two_files, "--images", tmp_path)
    nowhere = toolkit_cli("agreement", *two_files, "--images", tmp_path / "no")
    only = toolkit_cli("sigmas", *two_files, "--schema", "coco", "--only", "nose")

    assert images.exit_code == 0
    assert "--images is for the pictures of a page; add --out FILE.html" in images.stderr
    assert nowhere.exit_code == 3
    assert "no: no such folder; name the folder of the images" in nowhere.stderr
    assert only.exit_code == 2
    assert "--only names what --out writes; add --out SCHEMA.yaml" in only.stderr
