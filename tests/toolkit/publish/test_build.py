from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit import formats
from toolkit.errors import (
    InvalidDataError,
    OutputExistsError,
    ReadError,
    UnsafeInputError,
    UsageError,
)
from toolkit.publish import build, verify
from toolkit.publish.source import image_licences

Document = dict[str, Any]


def test_a_release_holds_the_sources_what_is_derived_and_the_manifest(
    source_folder: Path, tmp_path: Path
) -> None:
    done = build(source_folder, tmp_path / "out")

    files = tmp_path / "out" / "tiny-set-1.2.0"
    assert {entry.path for entry in done.manifest.files} == {
        "README.md", "annotations.json", "croissant.json", "images/eight.jpg",
        "images/seven.jpg", "schema.yaml", "splits/manifest.json", "splits/test.json",
        "splits/train.json", "statistics.json",
    }  # fmt: skip
    same = ("annotations.json", "images/seven.jpg", "splits/train.json")
    assert all((files / n).read_bytes() == (source_folder / n).read_bytes() for n in same)
    assert (files / "manifest.json").read_bytes() == done.manifest.to_bytes()
    assert (tmp_path / "out" / "manifest.json").read_bytes() == done.manifest.to_bytes()
    assert done.notes == ()


def test_the_manifest_gives_each_file_its_size_hash_and_own_licence(
    source_folder: Path, tmp_path: Path
) -> None:
    done = build(source_folder, tmp_path / "out")

    by_path = {entry.path: entry for entry in done.manifest.files}
    content = (source_folder / "images" / "eight.jpg").read_bytes()
    assert by_path["images/eight.jpg"].bytes == len(content)
    assert by_path["images/eight.jpg"].sha256 == hashlib.sha256(content).hexdigest()
    assert by_path["images/eight.jpg"].licence == "CC0 (https://example.org/cc0)"
    assert by_path["images/seven.jpg"].licence == "CC-BY-4.0"


def test_force_replaces_a_release_and_nothing_else(source_folder: Path, tmp_path: Path) -> None:
    split = tmp_path / "split"
    shutil.copytree(source_folder / "splits", split)
    build(source_folder, tmp_path / "out")
    (tmp_path / "out" / ".DS_Store").write_text("a desktop's")
    build(source_folder, tmp_path / "out", force=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")

    with pytest.raises(UsageError, match=r"it also holds notes\.txt; choose another folder"):
        build(source_folder, tmp_path / "out", force=True)
    with pytest.raises(UsageError, match="and it holds no release; choose another folder"):
        build(source_folder, split, force=True)

    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert (split / "train.json").is_file()


def test_another_time_and_place_give_the_same_bytes(
    source_folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "far" / "away"
    shutil.copytree(source_folder, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (1_000_000, 1_000_000))
        path.chmod(0o700)
    # A child whose clock is a month ahead, whose zone and locale are others.
    program = (
        "import time, sys, datetime\n"
        "now = time.time\n"
        "time.time = lambda: now() + 30 * 86400\n"
        "from pathlib import Path\n"
        "from toolkit.publish import build\n"
        "build(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    environment = os.environ | {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}

    build(source_folder, tmp_path / "one")
    subprocess.run(
        [sys.executable, "-c", program, str(elsewhere), str(tmp_path / "two")],
        env=environment,
        check=True,
        cwd=tmp_path,
    )

    paths = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(paths) == 14
    for path in paths:
        if (tmp_path / "one" / path).is_file():
            one, two = (tmp_path / side / path for side in ("one", "two"))
            assert one.read_bytes() == two.read_bytes(), path


def test_the_card_has_front_matter_for_hubs_and_says_what_is_in_the_release(
    source_folder: Path, tmp_path: Path
) -> None:
    build(source_folder, tmp_path / "out")

    text = (tmp_path / "out" / "tiny-set-1.2.0" / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["task_categories"] == ["keypoint-detection"]
    assert front["size_categories"] == ["n<1K"]
    assert front["rai"]["data_collection"] == "Written by hand."
    assert "| 9 | `left_wrist` | body | `right_wrist` | anywhere | 0.062 |" in text
    assert "* 1 image: CC0 (https://example.org/cc0)" in text


def test_croissant_metadata_are_valid_and_read_the_records_back(
    source_folder: Path, tmp_path: Path
) -> None:
    done = build(source_folder, tmp_path / "out")
    files = tmp_path / "out" / "tiny-set-1.2.0"
    program = (
        "import json, logging, sys\n"
        "import mlcroissant as mlc\n"
        "data = mlc.Dataset('croissant.json')\n"
        "issues = data.metadata.ctx.issues\n"
        "print(json.dumps({'issues': sorted(issues.errors) + sorted(issues.warnings),\n"
        "  'people': [[r['annotations/id'], r['annotations/image_id'],\n"
        "    list(r['annotations/keypoints'])] for r in data.records('annotations')],\n"
        "  'images': [r['images/file_name'].decode() for r in data.records('images')],\n"
        "  'names': [r['keypoints/name'] for r in data.records('keypoints')]}))\n"
    )

    # In a process of its own: the library warns of its dependencies while it imports them.
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=files, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    truth = json.loads((source_folder / "annotations.json").read_text())
    assert found["issues"] == []
    assert found["people"] == [
        [a["id"], a["image_id"], a["keypoints"]] for a in truth["annotations"]
    ]
    assert found["images"] == ["seven.jpg", "eight.jpg"]
    assert found["names"] == truth["categories"][0]["keypoints"]
    assert done.archive.is_file()


def test_the_last_release_gives_a_list_of_changes(source_folder: Path, tmp_path: Path) -> None:
    first = build(source_folder, tmp_path / "one")
    path = source_folder / "annotations.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["keypoints"][0] += 3
    document["annotations"][0]["keypoints"][1] += 4
    path.write_text(json.dumps(document))
    (source_folder / "card.md").write_text(
        (source_folder / "card.md").read_text().replace("1.2.0", "1.3.0")
    )
    _split_again(source_folder)

    by_folder = build(source_folder, tmp_path / "two", previous=tmp_path / "one")
    by_archive = build(source_folder, tmp_path / "three", previous=first.archive)

    assert by_folder.changes == by_archive.changes
    assert by_folder.changes[0] == "compared with version 1.2.0"
    assert "`nose`: 1 moved, median 5.0 px, at most 5.0 px" in by_folder.changes
    text = (tmp_path / "two" / "tiny-set-1.3.0" / "CHANGES.md").read_text()
    assert "* `nose`: 1 moved, median 5.0 px, at most 5.0 px" in text


def _split_again(folder: Path) -> None:
    from toolkit.cli import cli
    from toolkit.cli.running import run

    with pytest.raises(SystemExit, match="0"):
        run(
            cli,
            ["split", str(folder / "annotations.json"), "--out", str(folder / "splits"),
             "--fractions", "train=0.5,test=0.5", "--images", str(folder / "images"),
             "--force"],
        )  # fmt: skip


def test_all_that_is_missing_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()

    with pytest.raises(
        ReadError, match=r"annotations.json, images, schema.yaml, card.md, splits"
    ):
        build(tmp_path / "source", tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_card_without_a_licence_is_refused(source_folder: Path, tmp_path: Path) -> None:
    card = source_folder / "card.md"
    card.write_text(card.read_text().replace("licence: CC-BY-4.0\n", ""))

    with pytest.raises(InvalidDataError, match=r"card.md: field 'licence' is missing"):
        build(source_folder, tmp_path / "out")


def test_a_card_may_begin_with_a_byte_order_mark(source_folder: Path, tmp_path: Path) -> None:
    card = source_folder / "card.md"
    card.write_bytes(b"\xef\xbb\xbf" + card.read_bytes())

    assert build(source_folder, tmp_path / "out").manifest.name == "tiny-set"


@pytest.mark.parametrize("listed", [5, {}, [{"id": {}}], [{"id": True}], [3]])
@pytest.mark.parametrize("named", [3, {}, True])
def test_licences_of_the_wrong_kind_are_nobodys(
    listed: object, named: object, source_folder: Path
) -> None:
    path = source_folder / "annotations.json"
    document = json.loads(path.read_text())
    document["licenses"] = listed
    document["images"][1]["license"] = named
    path.write_text(json.dumps(document))

    assert image_licences(formats.scan(path).dataset) == {}


def test_annotations_with_errors_are_not_published(source_folder: Path, tmp_path: Path) -> None:
    path = source_folder / "annotations.json"
    document = json.loads(path.read_text())
    document["annotations"][1]["id"] = 1
    path.write_text(json.dumps(document))

    with pytest.raises(
        InvalidDataError, match=r"1 error under profile 'coco', nothing was built"
    ):
        build(source_folder, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_leak_between_splits_is_not_published(source_folder: Path, tmp_path: Path) -> None:
    shutil.copy(source_folder / "splits" / "train.json", source_folder / "splits" / "test.json")

    with pytest.raises(InvalidDataError, match="splits"):
        build(source_folder, tmp_path / "out")


def _another_person(document: Document) -> None:
    person = document["annotations"][0]
    document["annotations"].append(person | {"id": 99, "bbox": [1, 2, 30, 40], "area": 7.5})


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda d: d["annotations"][0].update(area=1.5), "annotations id=1 is not as in"),
        (lambda d: d["annotations"][0].update(note="new"), "annotations id=1 is not as in"),
        (lambda d: d["annotations"][0]["bbox"].__setitem__(0, 1), "annotations id=1 is not as"),
        (lambda d: d["images"][0].update(frame=9), "images id=7 is not as in"),
        (_another_person, "annotations id=99 of annotations.json is missing; split again"),
        (lambda d: d["annotations"].pop(0), "annotations id=1 is not in annotations.json"),
    ],
)
def test_splits_of_other_annotations_are_not_published(
    edit: Callable[[Document], object], told: str, source_folder: Path, tmp_path: Path
) -> None:
    path = source_folder / "annotations.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))

    with pytest.raises(InvalidDataError, match=told):
        build(source_folder, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_splits_that_differ_only_in_spelling_are_published(
    source_folder: Path, tmp_path: Path
) -> None:
    path = source_folder / "annotations.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1, sort_keys=True))

    assert build(source_folder, tmp_path / "out").archive.exists()


def test_a_symbolic_link_in_the_source_is_refused(source_folder: Path, tmp_path: Path) -> None:
    (source_folder / "images" / "link.jpg").symlink_to("/etc/passwd")

    with pytest.raises(UnsafeInputError, match=r"link.jpg: a symbolic link"):
        build(source_folder, tmp_path / "out")


def test_files_that_no_record_names_stay_behind_and_are_told(
    source_folder: Path, tmp_path: Path
) -> None:
    (source_folder / "images" / "spare.jpg").write_bytes(b"x")

    done = build(source_folder, tmp_path / "out")

    assert "left out as no record names it: 1 file below images/, the first" in done.notes[0]
    assert "images/spare.jpg" not in {entry.path for entry in done.manifest.files}


def test_a_release_without_annotations_is_told(source_folder: Path, tmp_path: Path) -> None:
    path = source_folder / "annotations.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    _split_again(source_folder)

    assert "there are no annotations" in build(source_folder, tmp_path / "out").notes[0]


def test_a_version_that_cannot_be_a_file_name_is_refused(
    source_folder: Path, tmp_path: Path
) -> None:
    card = source_folder / "card.md"
    card.write_text(card.read_text().replace("1.2.0", "../../1"))

    with pytest.raises(InvalidDataError, match=r"field 'version': '../../1' cannot be part of"):
        build(source_folder, tmp_path / "out")


def test_a_release_is_not_overwritten_without_force(
    source_folder: Path, tmp_path: Path
) -> None:
    build(source_folder, tmp_path / "out")

    with pytest.raises(OutputExistsError, match="exists already; pass --force"):
        build(source_folder, tmp_path / "out")
    build(source_folder, tmp_path / "out", force=True)
    assert verify(tmp_path / "out")[1] == []


def test_the_command_line_builds_verifies_and_extracts(
    source_folder: Path, tmp_path: Path, toolkit_cli: Callable[..., object]
) -> None:
    built = toolkit_cli("publish", "build", source_folder, "--out", tmp_path / "out", "--json")
    archive = tmp_path / "out" / "tiny-set-1.2.0.tar"
    checked = toolkit_cli("publish", "verify", archive, "--json")
    taken = toolkit_cli("publish", "extract", archive, tmp_path / "taken", "--json")

    assert json.loads(built.stdout)["files"] == 10
    assert json.loads(checked.stdout)["ok"] is True
    assert len(json.loads(taken.stdout)["files"]) == 11
    assert verify(tmp_path / "taken" / "tiny-set-1.2.0")[1] == []


def test_an_image_keeps_its_own_licence_however_its_name_is_spelled(
    source_folder: Path, tmp_path: Path
) -> None:
    path = source_folder / "annotations.json"
    path.write_text(path.read_text().replace('"eight.jpg"', '"./eight.jpg"'))
    _split_again(source_folder)

    done = build(source_folder, tmp_path / "out")

    by_path = {entry.path: entry for entry in done.manifest.files}
    assert by_path["images/eight.jpg"].licence == "CC0 (https://example.org/cc0)"
    assert done.notes == ()


def test_a_version_is_taken_as_it_is_written(source_folder: Path, tmp_path: Path) -> None:
    card = source_folder / "card.md"
    card.write_text(card.read_text().replace("version: 1.2.0", "version: 1.10"))

    assert build(source_folder, tmp_path / "out").manifest.stem == "tiny-set-1.10"


def test_what_the_split_does_not_name_stays_behind_and_is_told(
    source_folder: Path, tmp_path: Path
) -> None:
    (source_folder / "splits" / "old-test.json").write_text("{}")

    done = build(source_folder, tmp_path / "out")

    assert "1 file below splits/, the first 'old-test.json'" in done.notes[0]
    assert "splits/old-test.json" not in {entry.path for entry in done.manifest.files}


def test_a_last_release_without_a_manifest_is_none(source_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"manifest.json: no such file; wanted the folder or"):
        build(source_folder, tmp_path / "out", previous=source_folder)


@pytest.mark.parametrize(
    "licence", [{"id": 3}, {"id": 3, "name": "", "url": ""}, {"id": 4, "name": "CC0"}]
)
def test_a_licence_without_terms_is_told_and_the_card_s_is_given(
    licence: Document, source_folder: Path, tmp_path: Path
) -> None:
    path = source_folder / "annotations.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"licenses": [licence]}))
    _split_again(source_folder)

    done = build(source_folder, tmp_path / "out")

    assert {entry.licence for entry in done.manifest.files} == {"CC-BY-4.0"}
    assert "does not state the terms that 1 image names; the manifest gives" in done.notes[0]


def test_a_date_among_the_responsible_ai_fields_is_written_as_it_stands(
    source_folder: Path, tmp_path: Path
) -> None:
    card = source_folder / "card.md"
    card.write_text(card.read_text().replace("Written by hand.", "2026-01-31"))

    done = build(source_folder, tmp_path / "out")

    text = (done.folder / done.manifest.stem / "croissant.json").read_text("utf-8")
    assert json.loads(text)["rai:dataCollection"] == "2026-01-31"


def test_counts_of_another_kind_are_refused(source_folder: Path, tmp_path: Path) -> None:
    card = source_folder / "card.md"
    card.write_text(card.read_text().replace("rai:", "counts: [1, 2]\nrai:"))

    with pytest.raises(InvalidDataError, match=r"field 'counts': got \[1, 2\]; wanted numbers"):
        build(source_folder, tmp_path / "out")
