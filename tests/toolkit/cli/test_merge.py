"""`toolkit merge` by hand, and as the merge driver of a real git repository."""

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

Document = dict[str, Any]
Three = tuple[Path, Path, Path]


@pytest.fixture
def three(coco_document: Document, write_json: Callable[..., Path]) -> Three:
    """Theirs moved the nose of person 1, ours changed the area of person 2."""
    ours, theirs = copy.deepcopy(coco_document), copy.deepcopy(coco_document)
    ours["annotations"][1]["area"] = 12
    theirs["annotations"][0]["keypoints"][0] = 11
    return (
        write_json(coco_document, "base.json"),
        write_json(ours, "ours.json"),
        write_json(theirs, "theirs.json"),
    )


def conflicting(three: Three) -> Three:
    """Ours moved that nose too, to another place."""
    document = json.loads(three[1].read_text("utf-8"))
    document["annotations"][0]["keypoints"][0] = 99
    three[1].write_text(json.dumps(document), "utf-8")
    return three


def test_both_changes_are_in_the_result(
    three: Three, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    result = toolkit_cli("merge", *three, "--out", tmp_path / "out.json")

    assert result.exit_code == 0, result.stderr
    assert "out.json: 1 fields in annotations taken from theirs" in result.stdout
    people = json.loads((tmp_path / "out.json").read_text("utf-8"))["annotations"]
    assert (people[0]["keypoints"][0], people[1]["area"]) == (11, 12)
    assert not (tmp_path / "out.json.conflicts.json").exists()


def test_conflicts_are_listed_and_end_with_1(
    three: Three, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    out = tmp_path / "out.json"

    result = toolkit_cli("merge", *conflicting(three), "--out", out)

    assert result.exit_code == 1
    assert "conflict annotations id=1 'keypoints' nose: changed in both" in result.stdout
    assert "base [10, 20, 2]; ours [99, 20, 2]; theirs [11, 20, 2]; kept ours" in result.stdout
    assert out.read_bytes() == three[1].read_bytes()
    listed = json.loads((tmp_path / "out.json.conflicts.json").read_text("utf-8"))
    assert listed["total"] == 1
    assert listed["conflicts"][0] == {
        "section": "annotations",
        "id": 1,
        "field": "keypoints",
        "keypoint": "nose",
        "reason": "changed in both, differently",
        "base": [10, 20, 2],
        "ours": [99, 20, 2],
        "theirs": [11, 20, 2],
    }


def test_json_is_one_document(
    three: Three, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    result = toolkit_cli("merge", *conflicting(three), "--out", tmp_path / "o.json", "--json")

    document = json.loads(result.stdout)
    assert document["out"] == str(tmp_path / "o.json")
    assert document["conflicts"][0]["keypoint"] == "nose"
    assert document["taken"]["annotations"]["fields"] == 0


def test_a_list_of_conflicts_that_is_out_of_date_goes(
    three: Three, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    out, listing = tmp_path / "out.json", tmp_path / "out.json.conflicts.json"
    before = three[1].read_bytes()
    assert toolkit_cli("merge", *conflicting(three), "--out", out).exit_code == 1
    three[1].write_bytes(before)

    assert toolkit_cli("merge", *three, "--out", out).exit_code == 2
    assert listing.exists()
    assert toolkit_cli("merge", *three, "--out", out, "--force").exit_code == 0
    assert not listing.exists()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_output_is_none_of_the_inputs(
    three: Three, toolkit_cli: Callable[..., Any], which: int
) -> None:
    before = three[which].read_bytes()

    result = toolkit_cli("merge", *three, "--out", three[which], "--force")

    assert result.exit_code == 2
    assert "the output is the input" in result.stderr
    assert three[which].read_bytes() == before


def test_an_output_must_be_named(three: Three, toolkit_cli: Callable[..., Any]) -> None:
    result = toolkit_cli("merge", *three)

    assert result.exit_code == 2
    assert "no output; name one with --out" in result.stderr


def test_a_broken_input_ends_with_3_and_leaves_nothing(
    three: Three, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    three[2].write_text("{", "utf-8")

    result = toolkit_cli("merge", *three, "--out", tmp_path / "out.json")

    assert result.exit_code == 3
    assert result.stderr.startswith("Error: theirs.json: ")
    assert not (tmp_path / "out.json").exists()


class Repository:
    """A real git repository whose JSON files our command merges, as the docs say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Somebody")
        self.git("config", "user.email", "somebody@example.org")
        driver = f'"{sys.executable}" -m toolkit merge --git %P %O %A %B'
        self.git("config", "merge.keypoints.driver", driver)
        (folder / ".gitattributes").write_text("*.json merge=keypoints\n", "utf-8")
        self.git("add", ".gitattributes")
        self.git("commit", "-qm", "attributes")

    def git(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(self.folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=check)

    def commit(self, branch: str, document: bytes) -> None:
        (self.folder / "labels").mkdir(exist_ok=True)
        (self.folder / "labels" / "a b.json").write_bytes(document)
        self.git("add", "labels")
        self.git("commit", "-qm", branch)

    def merge(self, three: Three) -> subprocess.CompletedProcess[str]:
        base, ours, theirs = (path.read_bytes() for path in three)
        self.commit("base", base)
        self.git("checkout", "-qb", "theirs")
        self.commit("theirs", theirs)
        self.git("checkout", "-q", "main")
        self.commit("ours", ours)
        return self.git("merge", "theirs", "-m", "merged", check=False)

    @property
    def result(self) -> Path:
        return self.folder / "labels" / "a b.json"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    folder = tmp_path / "repository"
    folder.mkdir()
    return Repository(folder)


def test_git_merges_files_that_its_lines_would_not(
    three: Three, repository: Repository
) -> None:
    ended = repository.merge(three)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    people = json.loads(repository.result.read_text("utf-8"))["annotations"]
    assert (people[0]["keypoints"][0], people[1]["area"]) == (11, 12)
    assert repository.git("status", "--porcelain").stdout == ""


def test_git_stops_at_a_conflict_and_the_list_lies_beside_the_file(
    three: Three, repository: Repository
) -> None:
    ended = repository.merge(conflicting(three))

    assert ended.returncode == 1
    assert "conflict annotations id=1 'keypoints' nose" in ended.stdout + ended.stderr
    assert repository.result.read_bytes() == three[1].read_bytes()
    listed = repository.folder / "labels" / "a b.json.conflicts.json"
    assert json.loads(listed.read_text("utf-8"))["ours"] == "labels/a b.json (OURS)"
    assert "UU" in repository.git("status", "--porcelain").stdout


def test_without_the_driver_git_has_a_conflict(three: Three, repository: Repository) -> None:
    repository.git("config", "--unset", "merge.keypoints.driver")

    assert repository.merge(three).returncode == 1


def test_git_leaves_a_file_that_cannot_be_read_as_a_conflict(
    three: Three, repository: Repository
) -> None:
    three[2].write_text("{", "utf-8")

    ended = repository.merge(three)

    assert ended.returncode == 1
    assert "a b.json (THEIRS)" in ended.stderr or "truncated" in ended.stderr
    assert repository.result.read_bytes() == three[1].read_bytes()


def test_git_gives_an_empty_base_where_both_added_the_file(
    three: Three, toolkit_cli: Callable[..., Any]
) -> None:
    three[0].write_bytes(b"")

    result = toolkit_cli("merge", "--git", three[1].parent / "labels.json", *three)

    assert result.exit_code == 1
    assert "annotations id=1: added in both under one id" in result.stdout


DAMAGED = {
    "a list is missing": (
        lambda text: text.replace('"annotations"', '"people"'),
        "section-missing|'annotations' is missing",
    ),
    "an empty object": (lambda _: "{}", "is missing.*and 2 more errors"),
    "a section is no list": (
        lambda text: json.dumps(json.loads(text) | {"images": {}}),
        "got an object; expected a list",
    ),
    "a second list": (
        lambda text: text.rstrip()[:-1] + ', "annotations": []}',
        "field 'annotations': key 'annotations' stands 2 times",
    ),
    "a second image_id": (
        lambda text: text.replace('"image_id"', '"image_id": 7, "image_id"', 1),
        r"annotations\[0\] id=1 field 'image_id': key 'image_id' stands 2 times",
    ),
    "an overflow": (
        lambda text: text.replace('"area"', '"weight": 1e999, "area"', 1),
        r"annotations\[0\] id=1 field 'weight': a number is too large",
    ),
    "thousands of digits": (
        lambda text: text.replace('"area"', f'"weight": {"7" * 6000}, "area"', 1),
        r"annotations\[0\]: holds a number of thousands of digits",
    ),
}


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize(("damage", "told"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_side_is_refused_and_nothing_is_written(
    damage: Callable[[str], str],
    told: str,
    side: int,
    three: Three,
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    three[side].write_text(damage(three[side].read_text("utf-8")), "utf-8")
    before = three[1].read_bytes()

    by_hand = toolkit_cli("merge", *three, "--out", tmp_path / "out.json")
    by_git = toolkit_cli("merge", *three, "--git", tmp_path / "people.json")

    assert (by_hand.exit_code, by_git.exit_code) == (1, 1)
    assert re.search(f"{three[side].name}: .*({told})", by_hand.stderr), by_hand.stderr
    assert re.search(rf"people.json \((OURS|THEIRS)\): .*({told})", by_git.stderr)
    assert three[1].read_bytes() == before
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("content", ["precious", "[1]", '{"ours": 1}', "5", "null", ""])
def test_a_file_of_the_list_s_name_that_no_merge_wrote_stays(
    write_json: Callable[..., Path],
    coco_document: dict[str, Any],
    toolkit_cli: Callable[..., Any],
    tmp_path: Path,
    content: str,
) -> None:
    side = write_json(coco_document, "side.json")
    other = write_json(content, "out.json.conflicts.json")

    ended = toolkit_cli("merge", side, side, side, "--out", tmp_path / "out.json", "--force")

    assert ended.exit_code == 2
    assert "is no list of conflicts" in ended.stderr
    assert other.read_text() == content
    assert not (tmp_path / "out.json").exists()


def test_an_output_whose_list_would_have_too_long_a_name_is_refused_at_once(
    write_json: Callable[..., Path],
    coco_document: dict[str, Any],
    toolkit_cli: Callable[..., Any],
    tmp_path: Path,
) -> None:
    side = write_json(coco_document, "side.json")

    ended = toolkit_cli("merge", side, side, side, "--out", tmp_path / f"{'a' * 240}.json")

    assert ended.exit_code == 5
    assert "the name is too long (260 bytes" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["side.json"]
