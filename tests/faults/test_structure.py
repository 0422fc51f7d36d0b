"""Rows 17 to 43 and 51 of the catalogue: what is wrong with the data in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.schema import Schema

Document = dict[str, Any]


def person(document: Document, **fields: object) -> Document:
    document["annotations"][0].update(fields)
    return document


def without(document: Document, *fields: str) -> Document:
    for field in fields:
        del document["annotations"][0][field]
    return document


def image(document: Document, **fields: object) -> Document:
    document["images"][0].update(fields)
    return document


def more(document: Document, section: str, **fields: object) -> Document:
    document[section].append(document[section][0] | fields)
    return document


def category(document: Document, **fields: object) -> Document:
    document["categories"][0].update(fields)
    return document


def triple(document: Document, *values: float) -> Document:
    """Set x, y and visibility of the first keypoint of the first person."""
    document["annotations"][0]["keypoints"][:3] = values
    return document


def no(document: Document, key: str) -> Document:
    return {name: value for name, value in document.items() if name != key}


def crowd(document: Document, **fields: object) -> Document:
    names = list(Schema.load("crowdpose").names)
    for record in document["annotations"]:
        record["keypoints"] = record["keypoints"][:42]
        del record["area"]
    category(document, keypoints=names)
    return image(document, **fields)


COCO_NAMES = list(Schema.load("coco").names)
P0 = r"annotations.json: annotations\[0\] id=1 field "
ROWS: list[tuple[str, Callable[[Document], object], list[str], int, str]] = [
    ("17 images", lambda d: no(d, "images"), [], 1, "images: 'images' is missing"),
    ("17 annotations", lambda d: no(d, "annotations"), [], 1, "'annotations' is missing"),
    ("17 categories", lambda d: no(d, "categories"), [], 1, "'categories' is missing"),
    ("18 info missing", lambda d: no(d, "info"), [], 0, "valid under profile 'coco'"),
    (
        "19 annotations a dict",
        lambda d: d | {"annotations": {}},
        [],
        1,
        "annotations: got an object; expected a list",
    ),
    (
        "20 image id",
        lambda d: more(d, "images", file_name="b.jpg"),
        [],
        1,
        r"images\[1\] id=7 field 'id': images\[0\] has the same id",
    ),
    (
        "21 annotation id",
        lambda d: more(d, "annotations"),
        [],
        1,
        r"annotations\[2\] id=1 field 'id': annotations\[0\] has the same id",
    ),
    (
        "22 category id",
        lambda d: more(d, "categories", name="b"),
        [],
        1,
        r"categories\[1\] id=1 field 'id': 1 is also the id of categories\[0\]",
    ),
    (
        "22 category name",
        lambda d: more(d, "categories", id=2),
        [],
        1,
        r"categories\[1\] id=2 field 'name': 'person' is also the name of categories\[0\]",
    ),
    (
        "23 annotation id 0",
        lambda d: person(d, id=0),
        [],
        0,
        r"warning annotation-id-zero.*\n.*annotations\[0\] id=0 field 'id': id is 0",
    ),
    (
        "24 image_id",
        lambda d: person(d, image_id=3),
        [],
        1,
        P0 + "'image_id': no image has id 3",
    ),
    (
        "25 category_id",
        lambda d: person(d, category_id=3),
        [],
        1,
        P0 + "'category_id': no category has id 3; the file has 1",
    ),
    (
        "26 file_name",
        lambda d: more(d, "images", id=8),
        [],
        1,
        r"images\[1\] id=8 field 'file_name': images\[0\] has the same file_name",
    ),
    (
        "26 file_name in capitals",
        lambda d: more(d, "images", id=8, file_name="SEVEN.jpg"),
        [],
        1,
        r"images\[1\] id=8 field 'file_name': images\[0\] has 'seven.jpg', unlike only in case",
    ),
    (
        "27 no annotations",
        lambda d: d | {"annotations": []},
        [],
        0,
        "warning annotations-empty.*\n.*there are no annotations",
    ),
    ("28 missing", lambda d: without(d, "keypoints"), [], 1, P0 + "'keypoints': .* is missing"),
    ("28 null", lambda d: person(d, keypoints=None), [], 1, P0 + "'keypoints': .* is null"),
    (
        "29 not 3K",
        lambda d: person(d, keypoints=[1.0] * 50),
        [],
        1,
        P0 + "'keypoints': 50 numbers; schema 'coco' has 17 keypoints, so 51 are needed",
    ),
    (
        "30 of crowdpose",
        lambda d: person(d, keypoints=[1, 1, 2] * 14),
        [],
        1,
        P0 + r"'keypoints': 42 numbers; schema 'coco' .*\(42 fits .*'crowdpose'",
    ),
    (
        "30 of hockey",
        lambda d: person(d, keypoints=[1, 1, 2] * 20),
        [],
        1,
        P0 + r"'keypoints': 60 numbers; schema 'coco' .*\(60 fits 'hockey'\)",
    ),
    (
        "30 the file is COCO's, the schema hockey's",
        lambda d: d,
        ["--schema", "hockey"],
        1,
        P0 + "'keypoints': 51 numbers; schema 'hockey' has 20 keypoints, so 60 are needed "
        r"\(51 fits 'coco'\)",
    ),
    ("31 visibility 3", lambda d: triple(d, 10, 20, 3), [], 1, "'nose' has visibility 3; COCO"),
    ("31 visibility 1.5", lambda d: triple(d, 10, 20, 1.5), [], 1, "'nose' has visibility 1.5"),
    ("31 visibility -1", lambda d: triple(d, 10, 20, -1), [], 1, "'nose' has visibility -1"),
    (
        "32 coordinates under visibility 0",
        lambda d: person(triple(d, 10, 20, 0), num_keypoints=16),
        [],
        0,
        "warning visibility-zero-coordinates.*\n.*" + P0 + "'keypoints': 1 keypoint with",
    ),
    (
        "33 outside the image",
        lambda d: triple(d, 500, 20, 2),
        [],
        0,
        "warning keypoint-outside-image.*\n.*"
        + P0
        + r"'keypoints': 1 labelled keypoint \(nose\)",
    ),
    (
        "33 outside the image, for extensions",
        lambda d: triple(d, 500, 20, 2),
        ["--profile", "extension"],
        0,
        "info keypoint-outside-image.*\n.*: 1 annotation",
    ),
    (
        "34 num_keypoints",
        lambda d: person(d, num_keypoints=3),
        [],
        1,
        P0 + "'num_keypoints': 3, but 17 keypoints are labelled",
    ),
    (
        "34 num_keypoints, for extensions",
        lambda d: person(d, num_keypoints=3),
        ["--profile", "extension"],
        1,
        P0 + "'num_keypoints': 3, but 17 keypoints are labelled",
    ),
    (
        "34 num_keypoints, under crowdpose",
        lambda d: person(crowd(d, crowdIndex=0.5), num_keypoints=3),
        ["--profile", "crowdpose"],
        0,
        "info num-keypoints-mismatch",
    ),
    (
        "35 negative",
        lambda d: person(d, bbox=[1, 1, -5, 5]),
        [],
        1,
        P0 + r"'bbox': \[1, 1, -5, 5\]: width and height must be above 0",
    ),
    (
        "35 zero",
        lambda d: person(d, bbox=[1, 1, 5, 0]),
        [],
        1,
        P0 + r"'bbox': \[1, 1, 5, 0\]: width and height must be above 0",
    ),
    ("35 null in it", lambda d: person(d, bbox=[1, 1, None, 5]), [], 1, P0 + "'bbox': "),
    ("35 three numbers", lambda d: person(d, bbox=[1, 1, 5]), [], 1, P0 + "'bbox': .*3"),
    (
        "35 outside the image",
        lambda d: person(d, bbox=[500, 1, 5, 5]),
        [],
        1,
        P0 + r"'bbox': \[500, 1, 5, 5\] lies wholly outside the image of 100 x 80 px",
    ),
    ("36 missing", lambda d: without(d, "area"), [], 1, P0 + "'area': missing"),
    ("36 zero", lambda d: person(d, area=0), [], 1, P0 + "'area': 0; wanted a finite number"),
    ("36 negative", lambda d: person(d, area=-1), [], 1, P0 + "'area': -1; wanted a finite"),
    ("37 missing", lambda d: without(d, "iscrowd"), [], 1, P0 + "'iscrowd': .* is missing"),
    ("37 two", lambda d: person(d, iscrowd=2), [], 1, P0 + "'iscrowd': got 2; expected 0 or 1"),
    (
        "38 index 0",
        lambda d: category(d, skeleton=[[0, 1]]),
        [],
        1,
        r"categories\[0\] id=1 field 'skeleton': .*\[0, 1\].*indices run from 1 to 17",
    ),
    (
        "38 index above K",
        lambda d: category(d, skeleton=[[1, 18]]),
        [],
        1,
        r"categories\[0\] id=1 field 'skeleton': .*\[1, 18\].*indices run from 1 to 17",
    ),
    (
        "39 name twice",
        lambda d: category(d, keypoints=["nose", *COCO_NAMES[:16]]),
        [],
        1,
        r"categories\[0\] id=1 field 'keypoints': keypoint 'nose' is named 2 times",
    ),
    (
        "39 pair missing",
        lambda d: category(d, keypoints=[*COCO_NAMES[:16], "heel"]),
        [],
        1,
        r"categories\[0\] id=1 field 'keypoints': 'left_ankle' without 'right_ankle'",
    ),
    (
        "41 polygon of two points",
        lambda d: person(d, segmentation=[[1, 1, 5, 5]]),
        [],
        1,
        P0 + "'segmentation': polygon 0: 2 points; an outline has three or more",
    ),
    (
        "41 polygon of odd length",
        lambda d: person(d, segmentation=[[1, 1, 5, 5, 9, 1, 2]]),
        [],
        1,
        P0 + "'segmentation': polygon 0: 7 numbers; x and y make an even number",
    ),
    (
        "41 polygon far out",
        lambda d: person(d, segmentation=[[1, 1, 1e9, 5, 9, 1]]),
        [],
        1,
        P0 + r"'segmentation': polygon 0: coordinate 1e\+09 is not in any picture",
    ),
    (
        "41 mask that is not as large as its image",
        lambda d: person(d, segmentation={"counts": [10, 20], "size": [80, 100]}),
        [],
        1,
        P0 + "'segmentation': counts add up to 30 px; a mask of 100 x 80 px has 8,000",
    ),
    (
        "41 mask that is cut off",
        lambda d: person(d, segmentation={"counts": "abc", "size": [80, 100]}),
        [],
        1,
        P0 + "'segmentation': counts: it ends in the middle of a number",
    ),
    (
        "42 width 0",
        lambda d: image(d, width=0),
        [],
        1,
        r"images\[0\] id=7 field 'width': 0 x 80 px; wanted whole numbers above 0",
    ),
    (
        "43 crowdIndex missing",
        lambda d: crowd(d),
        ["--profile", "crowdpose"],
        1,
        r"images\[0\] id=7 field 'crowdIndex': missing; .* APE, APM, APH are null",
    ),
    (
        "43 crowdIndex negative",
        lambda d: crowd(d, crowdIndex=-1),
        ["--profile", "crowdpose"],
        1,
        r"images\[0\] id=7 field 'crowdIndex': -1; wanted a finite number of 0 or more",
    ),
    (
        "43 crowdIndex above 1",
        lambda d: crowd(d, crowdIndex=3.02),
        ["--profile", "crowdpose"],
        0,
        "info crowd-index-above-one",
    ),
]


@pytest.mark.parametrize(
    ("broken", "options", "exit_code", "message"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_a_fault_of_the_data_is_named(
    coco_document: Document,
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    broken: Callable[[Document], object],
    options: list[str],
    exit_code: int,
    message: str,
) -> None:
    path = write_json(broken(coco_document))

    fault("validate", path, *options, exit_code=exit_code, message=message)


UNSAFE = {
    "climbs": ("../../etc/passwd", r"climbs out with '\.\.'"),
    "absolute": ("/etc/passwd", "absolute path"),
    "drive": ("C:\\x.jpg", "names a drive"),
    "share": ("\\\\host\\x.jpg", "absolute path"),
    "long": ("x" * 300, "longer than 255 bytes"),
}


@pytest.mark.parametrize(("name", "reason"), UNSAFE.values(), ids=UNSAFE)
def test_51_a_file_name_that_leaves_the_folder_is_a_finding(
    coco_document: Document,
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    name: str,
    reason: str,
) -> None:
    path = write_json(image(coco_document, file_name=name))

    fault(
        "validate",
        path,
        exit_code=1,
        message=rf"images\[0\] id=7 field 'file_name': .*{reason}",
    )


@pytest.mark.parametrize(("name", "reason"), UNSAFE.values(), ids=UNSAFE)
def test_51_a_file_name_that_leaves_the_folder_is_never_followed(
    coco_document: Document,
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    tmp_path: Path,
    name: str,
    reason: str,
) -> None:
    path = write_json(image(coco_document, file_name=name))

    fault(
        "validate", path, "--images", tmp_path, exit_code=4, message=rf"image id=7 .*{reason}"
    )


def test_58_missing_images_are_all_listed(
    coco_document: Document,
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    tmp_path: Path,
) -> None:
    for number in (8, 9):
        more(coco_document, "images", id=number, file_name=f"{number}.jpg")
    (tmp_path / "8.jpg").write_bytes(b"")
    path = write_json(coco_document)

    output = fault(
        "validate",
        path,
        "--images",
        tmp_path,
        exit_code=1,
        message=r"images\[0\] id=7 field 'file_name': 'seven.jpg' is not in",
    )

    assert "images[2] id=9 field 'file_name': '9.jpg' is not in" in output
    assert "'8.jpg'" not in output
