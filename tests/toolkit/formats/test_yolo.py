"""YOLO-pose folders: pixels, sizes, layouts of others, and lines that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from toolkit.errors import InvalidDataError, ReadError, UnsafeInputError
from toolkit.formats.yolo import YOLO
from toolkit.schema import Schema

SCHEMA = Schema.load("coco")


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder of two keypoints and one class; `lines` go to one label file."""

    def build(lines: str, label: str = "labels/train/a.txt", **settings: object) -> Path:
        data = {"kpt_shape": [2, 3], "names": {0: "player"}, "kpt_names": {0: ["head", "tip"]}}
        data |= {"sizes": {"a.jpg": [200, 100]}}
        path = tmp_path / "yolo"
        (path / label).parent.mkdir(parents=True)
        (path / label).write_text(lines, encoding="utf-8")
        (path / "data.yaml").write_text(yaml.safe_dump(data | settings), encoding="utf-8")
        return path

    return build


def test_shares_become_pixels_and_points_outside_stay_outside(
    folder: Callable[..., Path],
) -> None:
    document, findings = YOLO.to_coco(folder("0 0.5 0.5 0.2 0.4 -0.1 0.25 2 1.5 0.5 1\n"), None)

    assert findings == []
    assert document["images"] == [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}]
    assert document["annotations"] == [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "keypoints": [-20, 25, 2, 300, 50, 1],
            "num_keypoints": 2,
            "bbox": [80, 30, 40, 40],
            "iscrowd": 0,
        }
    ]
    assert document["categories"] == [{"id": 1, "name": "player", "keypoints": ["head", "tip"]}]


def test_files_are_what_ultralytics_reads(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "yolo"
    YOLO.from_coco(coco_document, out, SCHEMA)
    data = yaml.safe_load((out / "data.yaml").read_text("utf-8"))
    lines = (out / "labels/train/seven.txt").read_text("utf-8").splitlines()

    assert data["kpt_shape"] == [17, 3]
    assert data["flip_idx"][:3] == [0, 2, 1]  # nose, left eye, right eye
    assert data["names"] == {0: "person"}
    assert data["sizes"] == {"seven.jpg": [100, 80]}
    assert len(lines) == 2
    assert [len(line.split()) for line in lines] == [5 + 3 * 17] * 2
    assert [float(token) for token in lines[0].split()[:8]] == [
        0, 0.18, 0.45, 0.16, 0.4, 0.1, 0.25, 2,
    ]  # fmt: skip


def test_the_yaml_says_how_many_pictures_ultralytics_would_leave_out(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    YOLO.from_coco(coco_document, tmp_path / "in", SCHEMA)
    coco_document["annotations"][0]["keypoints"][0] = -0.5
    YOLO.from_coco(coco_document, tmp_path / "out", SCHEMA)

    assert (tmp_path / "in/data.yaml").read_text("utf-8").startswith("path")
    assert (tmp_path / "out/data.yaml").read_text("utf-8").startswith("# 1 picture has")


def test_an_image_without_people_has_an_empty_label_file(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    coco_document["annotations"] = []
    YOLO.from_coco(coco_document, tmp_path / "yolo", SCHEMA)

    assert (tmp_path / "yolo/labels/train/seven.txt").read_bytes() == b""
    assert len(YOLO.to_coco(tmp_path / "yolo", None)[0]["images"]) == 1


def test_sizes_come_from_the_pictures_and_the_other_layout_is_read(
    folder: Callable[..., Path],
) -> None:
    path = folder("0 0.5 0.5 1 1 0.5 0.5 2 0 0 0\n", "valid/labels/a.txt", sizes=None)
    (path / "valid/images").mkdir()
    cv2.imwrite(str(path / "valid/images/a.png"), np.zeros((50, 30, 3), np.uint8))
    cv2.imwrite(str(path / "valid/images/empty.png"), np.zeros((5, 6, 3), np.uint8))
    document, _ = YOLO.to_coco(path, None)

    assert document["images"] == [
        {"id": 1, "file_name": "a.png", "width": 30, "height": 50},
        {"id": 2, "file_name": "empty.png", "width": 6, "height": 5},
    ]
    assert document["annotations"][0]["keypoints"] == [15, 25, 2, 0, 0, 0]


def test_no_picture_and_no_size_is_an_error_that_names_the_label_file(
    folder: Callable[..., Path],
) -> None:
    with pytest.raises(ReadError, match=r"labels/train/a.txt: no picture .*add the pictures"):
        YOLO.to_coco(folder("", sizes={"b.jpg": [1, 2], "a.jpg": [0, 5]}), None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", r"line 2: 4 numbers; kpt_shape \[2, 3\] needs 11"),
        ("0 " + "0.5 " * 50, "line 2: more numbers"),
        ("0 0.5 0.5 0.2 0.4 nan 0.2 2 1 1 1", "line 2: 'nan' is no finite number"),
        ("0 0.5 0.5 0.2 0.4 0.1_5 0.2 2 1 1 1", "line 2: '0.1_5' is no finite number"),
        ("0 0.5 0.5 0.2 0.4 1e999 0.2 2 1 1 1", "line 2: '1e999' is no finite number"),
        ("7 0.5 0.5 0.2 0.4 0.1 0.2 2 1 1 1", "line 2: class 7 is not in 'names'"),
        ("0." + "1" * 10_000_000 + " 2" * 10, "line 2: '0.11111.*is no finite number"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_finding_and_the_others_are_read(
    folder: Callable[..., Path], line: str, message: str
) -> None:
    good = "0 0.5 0.5 0.2 0.4 0.1 0.2 2 0.3 0.4 2"
    document, findings = YOLO.to_coco(folder(f"{good}\n{line}\n{good}\n"), None)

    assert len(document["annotations"]) == 2
    assert len(findings) == 1
    assert findings[0].severity == "error"
    import re

    assert re.search(message, findings[0].message)


def test_two_numbers_a_keypoint_and_missing_names_are_told(
    folder: Callable[..., Path],
) -> None:
    path = folder("0 0.5 0.5 0.2 0.4 0 0 0.5 0.5\n", kpt_shape=[2, 2], kpt_names=None)
    document, findings = YOLO.to_coco(path, None)

    assert document["annotations"][0]["keypoints"] == [0, 0, 0, 100, 50, 2]
    assert document["categories"][0]["keypoints"] == ["keypoint_1", "keypoint_2"]
    assert sorted(f.message.split(";")[0] for f in findings) == [
        "data.yaml: no 'kpt_names' for 1 classes",
        "data.yaml: two numbers a keypoint",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected a mapping"),
        ("names: [a]", "'kpt_shape': got nothing"),
        ("kpt_shape: [17]", "'kpt_shape': got list"),
        ("kpt_shape: [17, 4]", r"'kpt_shape': got \[17, 4\]"),
        ("kpt_shape: [1000000000, 3]", r"got \[1000000000, 3\]; .*at most 10,000"),
        ("kpt_shape: [17, 3", "not YAML"),
        ("a: &a [1,1]\nkpt_shape: [[*a,*a],[*a,*a],[*a,*a]]", "'kpt_shape': got list"),
    ],
)
def test_a_broken_yaml_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ReadError, match=message):
        YOLO.to_coco(tmp_path, None)


def test_links_and_paths_in_the_yaml_are_not_followed(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("0 0.5 0.5 1 1 0 0 2 0 0 2\n", encoding="utf-8")
    path = folder("", path="/etc", train="../../etc")
    (path / "labels/train/link.txt").symlink_to(tmp_path / "secret.txt")
    document, _ = YOLO.to_coco(path, None)

    assert [image["file_name"] for image in document["images"]] == ["a.jpg"]


@pytest.mark.parametrize("name", ["../../up.jpg", "/etc/x.jpg", "C:\\x.jpg", None, ""])
def test_a_name_that_leaves_the_folder_is_refused(
    coco_document: dict[str, Any], tmp_path: Path, name: str | None
) -> None:
    coco_document["images"][0]["file_name"] = name
    with pytest.raises(UnsafeInputError, match=r"images\[0\] id=7 field 'file_name'.*refused"):
        YOLO.from_coco(coco_document, tmp_path / "yolo", SCHEMA)


def test_two_pictures_with_one_label_file_are_refused(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    twin = dict(coco_document["images"][0], id=8, file_name="seven.png")
    coco_document["images"].append(twin)
    with pytest.raises(
        InvalidDataError, match=r"images\[1\] id=8 .*would share the label file"
    ):
        YOLO.from_coco(coco_document, tmp_path / "yolo", SCHEMA)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0),
        ({"keypoints": [0, 0, 2, 100, 80, 2, *[0] * 45]}, 0),  # on the edge is inside
        ({"keypoints": [-0.5, 0, 2, *[0] * 48]}, 1),
        ({"keypoints": [0, 80.5, 0, *[0] * 48]}, 1),  # also where nobody labelled it
        ({"bbox": [-5, -5, 20, 20]}, 0),  # its middle is inside
        ({"bbox": [-15, 5, 20, 20]}, 1),
        ({"bbox": [40, 40, 101, 20]}, 1),
    ],
)
def test_notes_count_the_pictures_that_ultralytics_leaves_out(
    coco_document: dict[str, Any], tmp_path: Path, change: dict[str, Any], expected: int
) -> None:
    coco_document["annotations"][0] |= change
    YOLO.from_coco(coco_document, tmp_path / "yolo", SCHEMA)
    tokens = (tmp_path / "yolo/labels/train/seven.txt").read_text("utf-8").split()
    lines = [[float(token) for token in tokens[at + 1 : at + 56]] for at in (0, 56)]
    shares = [n for line in lines for i, n in enumerate(line) if i < 4 or i % 3 != 0]
    beyond = [share for share in shares if not 0 <= share <= 1]

    assert len(YOLO.notes(coco_document, SCHEMA)) == expected == bool(beyond)


def test_convert_tells_the_notes(
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    coco_document["annotations"][0]["keypoints"][0] = -0.5
    source = write_json(coco_document, "in.json")

    done = toolkit_cli("convert", source, tmp_path / "yolo", "--to", "yolo")
    listed = toolkit_cli("convert", source, tmp_path / "two", "--to", "yolo", "--json")
    other = toolkit_cli("convert", source, tmp_path / "a.xml", "--json")

    note = "1 picture has keypoints or boxes outside, which YOLO writes as shares below 0"
    assert f"note: {note}" in done.stderr
    assert [line[: len(note)] for line in json.loads(listed.stdout)["notes"]] == [note]
    assert json.loads(other.stdout)["notes"] == []


def test_detection_wants_kpt_shape(folder: Callable[..., Path], tmp_path: Path) -> None:
    assert YOLO.detect(folder(""))
    assert YOLO.detect(tmp_path / "yolo" / "data.yaml")
    assert not YOLO.detect(tmp_path)


def test_a_box_that_starts_a_hair_from_the_edge_comes_back() -> None:
    """Its centre, 0.5 and 9e-19, needs more digits than decimal's default of 28."""
    start = 1.8186518307321543e-18
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 1, "height": 1}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [start, 0, 1, 1], "iscrowd": 0}
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": ["a"]}],
    }

    back = YOLO.decode(YOLO.encode(document, Schema.load("coco")))

    assert back["annotations"][0]["bbox"] == [start, 0, 1, 1]


def test_two_label_files_of_one_picture_are_an_error_and_two_pictures_of_one_are_told(
    folder: Callable[..., Path],
) -> None:
    path = folder("0 0.5 0.5 0.2 0.4 0.1 0.25 2 0.5 0.5 1\n")
    for name in ("images/train/a.png", "images/train/a.jpg", "train/labels/a.txt"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"0 0.1 0.1 0.2 0.2 0.1 0.1 2 0.1 0.1 2\n")

    document, findings = YOLO.to_coco(path, None)

    assert [person["bbox"] for person in document["annotations"]] == [[80, 30, 40, 40]]
    assert {(found.rule, found.message.split(":")[0]) for found in findings} == {
        ("foreign-unusable", "train/labels/a.txt"),
        ("foreign-left-out", "images/train/a.png"),
    }
