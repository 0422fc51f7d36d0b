"""The labelling interface: the controls that the format writes, and nothing unescaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from toolkit.errors import InvalidDataError
from toolkit.labelstudio.config import FLAG_KEYS, PERSON_KEYS, config_xml
from toolkit.schema import Keypoint, Schema

OWN_KEYS = set("behkmopruvw")  # of Label Studio's tools


def interface(schema: Schema) -> Element:
    return fromstring(config_xml([schema.coco_category()], schema))


@pytest.mark.parametrize("name", Schema.builtin_names())
def test_every_keypoint_has_a_label_of_its_own_colour_and_key(name: str) -> None:
    schema = Schema.load(name)

    root = interface(schema)

    labels = root.findall("KeyPointLabels//Label")
    assert [label.get("value") for label in labels] == list(schema.names)
    assert len({label.get("background") for label in labels}) == len(labels)
    keys = [each.get("hotkey") for each in root.iter() if each.tag in ("Label", "Choice")]
    assert max(Counter(keys).values()) == 1
    assert None not in keys
    assert not OWN_KEYS & {str(key) for key in keys}


def test_a_mirror_image_has_the_same_key_with_shift() -> None:
    labels = interface(Schema.load("hockey")).findall("KeyPointLabels//Label")
    keys = {label.get("value"): label.get("hotkey") for label in labels}

    assert keys["right_ankle"] == f"shift+{keys['left_ankle']}"
    assert "shift" not in str(keys["stick_heel"])


def test_the_stick_is_a_group_of_its_own_after_the_body() -> None:
    groups = interface(Schema.load("hockey")).findall("KeyPointLabels/View")

    assert [group.find("Header").get("value") for group in groups] == [
        "Body",
        "Beyond the body",
    ]  # type: ignore[union-attr]
    assert [label.get("value") for label in groups[1].findall("Label")] == [
        "butt_end",
        "stick_heel",
        "stick_toe",
    ]


def test_controls_have_the_names_that_the_tasks_use() -> None:
    root = interface(Schema.load("coco"))

    controls = {each.tag: each.get("name") for each in root.iter() if each.get("toName")}
    assert controls == {
        "RectangleLabels": "box",
        "KeyPointLabels": "keypoints",
        "Choices": "visibility",
        "TextArea": "instance",
    }
    assert all(each.get("toName") == "image" for each in root.iter() if each.get("toName"))
    flags = root.find("Choices")
    assert flags is not None
    assert flags.get("perRegion") == "true"
    assert [each.get("value") for each in flags] == ["visible", "occluded", "absent"]
    assert [each.get("hotkey") for each in flags] == list(FLAG_KEYS.values())
    person = root.find("RectangleLabels/Label")
    assert person is not None
    assert person.get("hotkey") == PERSON_KEYS


HOSTILE = "<script>alert(1)</script>\"/><Choice value='x'/>&amp;"


def test_hostile_names_come_back_as_they_are_and_add_no_element(tiny_schema: Schema) -> None:
    category = {"id": 1, "name": HOSTILE, "keypoints": ["head", HOSTILE, "tip"]}

    text = config_xml([category], tiny_schema)

    assert "<script" not in text
    root = fromstring(text)
    assert sorted(e.get("value", "") for e in root.iter("Label")) == sorted(
        [HOSTILE, "head", HOSTILE, "tip"]
    )
    assert len(list(root.iter("Choice"))) == 3


def test_a_name_that_xml_cannot_hold_is_named() -> None:
    schema = Schema("odd", "Odd", (Keypoint("be\x07ll"),))

    with pytest.raises(InvalidDataError, match=r"'be\\x07ll': the character U\+0007"):
        config_xml([schema.coco_category()], schema)


def test_the_command_writes_the_interface_of_a_schema_or_a_file(
    toolkit_cli: Callable[..., Any],
    write_json: Callable[..., Path],
    coco_document: dict[str, Any],
    tmp_path: Path,
) -> None:
    coco_document["categories"][0]["name"] = "skier"
    out = tmp_path / "coco.xml"

    printed = toolkit_cli("labelstudio", "config", "coco")
    written = toolkit_cli("labelstudio", "config", write_json(coco_document), "--out", out)

    assert printed.exit_code == written.exit_code == 0
    assert printed.stdout.replace('"person"', '"skier"') == out.read_text("utf-8")


def test_the_command_refuses_what_is_no_schema_and_no_file(
    toolkit_cli: Callable[..., Any],
) -> None:
    result = toolkit_cli("labelstudio", "config", "hokey")

    assert result.exit_code == 2
    assert "did you mean 'hockey'?" in result.stderr
