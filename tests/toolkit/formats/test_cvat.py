"""CVAT for images 1.1: skeletons and boxes in groups, visibility, and hostile XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from toolkit.errors import InvalidDataError, ReadError, UnsafeInputError
from toolkit.formats.adapter import foreign_loss
from toolkit.formats.compare import measured_loss
from toolkit.formats.cvat import CVAT
from toolkit.schema import Schema

SCHEMA = Schema.load("coco")
META = """<meta><task><labels>
<label><name>player</name><type>skeleton</type><svg>&lt;line data-node-from="2"
data-node-to="1"/&gt;&lt;circle data-node-id="1" data-label-name="head"/&gt;&lt;circle
data-node-id="2" data-label-name="tip"/&gt;</svg></label>
<label><name>head</name><type>points</type><parent>player</parent></label>
<label><name>tip</name><type>points</type><parent>player</parent></label>
<label><name>player_box</name><type>rectangle</type><attributes><attribute>
<name>age</name><input_type>number</input_type></attribute><attribute><name>goalie</name>
<input_type>checkbox</input_type></attribute></attributes></label>
</labels></task></meta>"""
SKELETON = """<skeleton label="player" group_id="{g}"><points label="tip" outside="0"
occluded="1" points="30.5,-4"/><points label="head" outside="{o}" occluded="0"
points="10.25,20"/></skeleton>"""
BOX = '<box label="player_box" group_id="{g}" xtl="1.1" ytl="2" xbr="3.3" ybr="9" {more}</box>'


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], tuple[Any, Any]]:
    """Read an image with these shapes, of 640 x 480 px."""

    def build(shapes: str, meta: str = META) -> tuple[Any, Any]:
        path = tmp_path / "a.xml"
        image = f'<image id="4" name="a.jpg" width="640" height="480">{shapes}</image>'
        path.write_text(f"<annotations>{meta}{image}</annotations>", encoding="utf-8")
        return CVAT.to_coco(path, None)

    return build


def test_a_skeleton_and_a_box_of_one_group_are_one_person(
    read: Callable[..., tuple[Any, Any]],
) -> None:
    attributes = '><attribute name="age">9</attribute><attribute name="goalie">true</attribute>'
    shapes = SKELETON.format(g=3, o=1) + BOX.format(g=3, more=attributes)
    document, findings = read(shapes)

    assert findings == []
    assert document["images"][0]["id"] == 4
    assert document["annotations"] == [
        {
            "id": 1,
            "image_id": 4,
            "category_id": 1,
            "keypoints": [10.25, 20, 0, 30.5, -4, 1],
            "num_keypoints": 1,
            "bbox": [1.1, 2, 2.2, 7],  # 3.3 - 1.1 as decimals; as floats it is 2.1999...
            "iscrowd": 0,
            "attributes": {"age": 9, "goalie": True},
        }
    ]
    assert document["categories"] == [
        {"id": 1, "name": "player", "keypoints": ["head", "tip"], "skeleton": [[2, 1]]}
    ]


def test_shapes_without_a_group_stay_apart(read: Callable[..., tuple[Any, Any]]) -> None:
    shapes = SKELETON.format(g=0, o=0) + BOX.format(g=0, more=">")
    document, findings = read(shapes)

    assert findings == []
    assert ["bbox" in a for a in document["annotations"]] == [False, True]
    assert ["keypoints" in a for a in document["annotations"]] == [True, False]


def test_a_group_of_two_boxes_stays_apart_and_is_told(
    read: Callable[..., tuple[Any, Any]],
) -> None:
    document, findings = read(BOX.format(g=2, more=">") * 2)

    assert len(document["annotations"]) == 2
    assert [f.rule for f in findings] == ["foreign-assumed"]
    assert "group 2 is not one skeleton and one box" in findings[0].message


def test_without_meta_keypoints_come_in_order_of_appearance(
    read: Callable[..., tuple[Any, Any]],
) -> None:
    document, findings = read(SKELETON.format(g=1, o=0), meta="")

    assert document["categories"][0]["keypoints"] == ["tip", "head"]
    assert "2 keypoints are not in <meta>" in findings[0].message


def test_other_shapes_are_told_and_bad_numbers_too(
    read: Callable[..., tuple[Any, Any]],
) -> None:
    shapes = '<polygon points="1,2;3,4"/><polygon points="1,2"/>'
    shapes += '<skeleton label="player"><points label="head" points="1,nan"/></skeleton>'
    shapes += '<box label="player_box" xtl="a" ytl="2" xbr="3" ybr="9"/>'
    document, findings = read(shapes)

    assert [(f.rule, f.count) for f in findings] == [
        ("foreign-left-out", 2),
        ("foreign-unusable", 1),
        ("foreign-unusable", 1),
    ]
    assert "keypoint 'head' has points '1,nan'" in findings[1].message
    assert document["annotations"][0]["keypoints"] == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;">]><annotations/>',
            UnsafeInputError,
            "line 1: a DOCTYPE; refused",
        ),
        (
            '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>',
            UnsafeInputError,
            "a DOCTYPE; refused",
        ),
        (
            "<annotations><image></annotations>",
            ReadError,
            "line 1, column .*not XML: mismatched",
        ),
        ("<html/>", ReadError, "the root is <html>"),
        ("", ReadError, "not XML: no element found"),
        ("<annotations><track/></annotations>", ReadError, "this is CVAT for video"),
        ('<annotations><image name="x"/></annotations>', ReadError, "image 1 'x': width None"),
        (
            '<annotations><image name="x" width="0" height="3"/></annotations>',
            ReadError,
            "image 1 'x': width '0'",
        ),
        ("<a>" * 200_000, ReadError, "not XML: no element found"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', ReadError, "not XML"),
    ],
)
def test_hostile_and_broken_xml_is_refused_with_its_place(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    path = tmp_path / "bad.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        CVAT.to_coco(path, None)


def test_names_are_data_and_escaped(coco_document: dict[str, Any], tmp_path: Path) -> None:
    name = '../../"><script>&amp;\u00e9.jpg'
    coco_document["images"][0]["file_name"] = name
    path = tmp_path / "a.xml"
    CVAT.from_coco(coco_document, path, SCHEMA)

    assert ElementTree.parse(path).find("image").get("name") == name
    assert CVAT.to_coco(path, None)[0]["images"][0]["file_name"] == name


@pytest.mark.parametrize("name", ["a\x00.jpg", "a\x08.jpg", "a\ud800.jpg"])
def test_characters_that_xml_cannot_hold_are_refused(
    coco_document: dict[str, Any], tmp_path: Path, name: str
) -> None:
    coco_document["images"][0]["file_name"] = name
    with pytest.raises(InvalidDataError, match="cannot stand in XML"):
        CVAT.from_coco(coco_document, tmp_path / "a.xml", SCHEMA)


def test_the_written_file_has_labels_for_skeleton_points_and_box(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "a.xml"
    CVAT.from_coco(coco_document, path, SCHEMA)
    root = ElementTree.parse(path).getroot()
    labels = {
        label.findtext("name"): (label.findtext("type"), label.findtext("parent"))
        for label in root.iterfind("meta/task/labels/label")
    }

    assert labels["person"] == ("skeleton", None)
    assert labels["nose"] == ("points", "person")
    assert labels["person_box"] == ("rectangle", None)
    assert [s.tag for s in root.find("image")] == ["skeleton", "box"] * 2
    assert [s.get("group_id") for s in root.find("image")] == ["1", "1", "2", "2"]


def test_repeated_image_ids_are_numbered_anew(tmp_path: Path) -> None:
    image = '<image id="0" name="{}" width="9" height="9">' + BOX.format(g=0, more=">")
    images = (image + "</image>").format("a") + (image + "</image>").format("b")
    path = tmp_path / "a.xml"
    path.write_text(f"<annotations>{META}{images}</annotations>", encoding="utf-8")
    document, findings = CVAT.to_coco(path, None)

    assert [i["id"] for i in document["images"]] == [0, 1]
    assert [a["image_id"] for a in document["annotations"]] == [0, 1]
    assert "ids repeat" in findings[0].message


NAMED = (None, ["a", "b"], ["b", "c"])


@pytest.mark.parametrize("names", [*product(["p", "p_box", "p_box_box"], repeat=2)])
@pytest.mark.parametrize("keypoints", [*product(NAMED, repeat=2)])
def test_categories_that_share_a_label_are_written_and_read(
    names: tuple[str, str], keypoints: tuple[list[str] | None, ...], tmp_path: Path
) -> None:
    kinds = [{"keypoints": k} if k else {} for k in keypoints]
    categories = [{"id": i, "name": names[i - 1], **kinds[i - 1]} for i in (1, 2)]
    shapes: list[dict[str, Any]] = [{"bbox": [1, 2, 3, 4]}, {"keypoints": [1, 2, 2, 3, 4, 1]}]
    annotations = [
        {"id": row, "image_id": 1, "category_id": category["id"], **shape}
        for row, (category, shape) in enumerate(product(categories, shapes), 1)
        if "bbox" in shape or "keypoints" in category
    ]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
        "annotations": annotations,
        "categories": categories,
    }
    CVAT.from_coco(document, tmp_path / "a.xml", SCHEMA)
    back, _ = CVAT.to_coco(tmp_path / "a.xml", None)

    assert measured_loss(document, back) == foreign_loss(CVAT, document, SCHEMA)
    if names[0] != names[1]:
        return
    union = list(dict.fromkeys(name for k in keypoints for name in k or ()))
    expected = {"id": 1, "name": names[0]} | ({"keypoints": union} if union else {})
    assert back["categories"] == [expected]
    assert {a["category_id"] for a in back["annotations"]} == {1}
    labels = ElementTree.parse(tmp_path / "a.xml").iterfind("meta/task/labels/label")
    kept = Counter(e.findtext("name") for e in labels if e.findtext("parent") is None)
    assert max(kept.values()) == 1  # CVAT refuses two labels of one name


def test_cvats_own_coco_export_keeps_points_under_visibility_0(
    shared_data: Path, toolkit_cli: Callable[..., Any], tmp_path: Path
) -> None:
    source = shared_data / "cvat" / "person_keypoints_default.excerpt.json"
    there, back = tmp_path / "there.xml", tmp_path / "back.json"

    assert toolkit_cli("convert", source, there, "--to", "cvat").exit_code == 0
    assert toolkit_cli("convert", there, back, "--to", "coco").exit_code == 0
    import json

    old, new = json.loads(source.read_bytes()), json.loads(back.read_bytes())
    for before, after in zip(old["annotations"], new["annotations"], strict=True):
        assert before["keypoints"] == after["keypoints"]
        assert before["attributes"] == after["attributes"]
    assert old["annotations"][0]["keypoints"][-3:] == [237.99, 477.05, 0]
