"""A first schema from a COCO category: what names say, and what stays open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats import scan
from toolkit.formats.categories import Category
from toolkit.schema import Schema
from toolkit.schema_file import parse_schema
from toolkit.schema_infer import _text, infer_schema, mirrored_pairs


@pytest.fixture
def infer(
    write_json: Callable[..., Path], coco_document: dict[str, Any], tmp_path: Path
) -> Callable[..., tuple[Schema, Any]]:
    """Infer from these categories; gives the schema as it reads back, and the draft."""

    def run(*categories: dict[str, Any], **options: str) -> tuple[Schema, Any]:
        coco_document["categories"] = list(categories)
        coco_document["annotations"] = []
        path = write_json(coco_document, "my file.json")
        drafted = infer_schema(scan(path), path, **options)
        out = tmp_path / "schema.yaml"
        out.write_text(drafted.text, encoding="utf-8")
        return parse_schema(out), drafted

    return run


def category(*names: str, **more: object) -> dict[str, Any]:
    return {"id": 4, "name": "Ski jumper", "keypoints": list(names), **more}


def test_names_order_edges_and_category_are_the_files(infer: Callable[..., Any]) -> None:
    schema, drafted = infer(
        category("nose", "left_ski", "right_ski", skeleton=[[1, 2], [3, 1]])
    )

    assert schema.names == ("nose", "left_ski", "right_ski")
    assert schema.edges == (("nose", "left_ski"), ("right_ski", "nose"))
    assert schema.flip_index.tolist() == [0, 2, 1]
    assert [k.group for k in schema.keypoints] == ["body", "extension", "extension"]
    assert (schema.name, schema.category_name, schema.category_id) == (
        "ski_jumper",
        "Ski jumper",
        4,
    )
    assert not schema.has_sigmas
    assert all(len(prompts) == 5 for prompts in schema.prompts)
    assert "OKS sigmas are unknown for all 3 keypoints and left out" in drafted.notices


@pytest.mark.parametrize(
    "names",
    [
        ("left_eye", "right_eye"),
        ("leftEye", "rightEye"),
        ("eye left", "eye right"),
        ("l_eye", "r_eye"),
        ("eye.L", "eye.R"),
        ("LEye", "REye"),
        ("Left-Eye", "Right-Eye"),
        ("LEFT_EYE", "RIGHT_EYE"),
        ("l_eye_2", "r_eye_2"),
    ],
)
def test_partners_are_found_by_name(names: tuple[str, str]) -> None:
    assert mirrored_pairs(("nose", *names)) == (names,)


@pytest.mark.parametrize(
    "names",
    [("left_eye", "left_ear"), ("lamp", "ramp"), ("left_eye", "right_ear"), ("leg", "reg")],
)
def test_no_partners_where_names_do_not_say_so(names: tuple[str, str]) -> None:
    assert mirrored_pairs(names) == ()


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("stick_heel", "extension"),
        ("poles", "extension"),
        ("tennisRacket", "extension"),
        ("butt_end", "extension"),
        ("batting_hand", "body"),
        ("skin", "body"),
        ("elbow", "body"),
        ("shoulder_blade", "body"),
    ],
)
def test_equipment_is_told_by_whole_words(
    infer: Callable[..., Any], name: str, group: str
) -> None:
    assert infer(category(name))[0].keypoints[0].group == group


def test_names_that_say_nothing_are_kept_and_told(infer: Callable[..., Any]) -> None:
    schema, drafted = infer(category("2", "1", "10"))

    assert schema.names == ("2", "1", "10")
    assert schema.prompts == ((), (), ())
    assert any("3 of 3 keypoint names say nothing (2, 1, 10)" in n for n in drafted.notices)


def test_torso_gives_a_head_size_where_shoulders_and_hips_are_named(
    infer: Callable[..., Any],
) -> None:
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    assert [step.method for step in infer(category(*names))[0].head_size] == [
        "head_box",
        "torso",
    ]
    assert [step.method for step in infer(category("nose"))[0].head_size] == ["head_box"]


def test_edges_out_of_range_are_left_out_and_counted(infer: Callable[..., Any]) -> None:
    schema, drafted = infer(category("a1b", "cd", skeleton=[[1, 2], [1, 9]]))

    assert len(schema.edges) == 1
    assert "1 skeleton edges name no keypoint and were left out" in drafted.notices


def test_several_categories_need_a_choice(infer: Callable[..., Any]) -> None:
    two = (category("nose"), {"id": 5, "name": "dog", "keypoints": ["tail"]})
    with pytest.raises(UsageError, match=r"2 categories .*'Ski jumper', 'dog'.*--category"):
        infer(*two)
    assert infer(*two, category="dog")[0].names == ("tail",)
    with pytest.raises(UsageError, match=r"no category 'cat' with keypoints; .*'dog'"):
        infer(*two, category="cat")


def test_a_category_without_keypoints_beside_it_is_passed_over(
    infer: Callable[..., Any],
) -> None:
    assert infer({"id": 0, "name": "objects"}, category("nose"))[0].names == ("nose",)


def test_no_keypoints_and_repeated_names_are_errors(infer: Callable[..., Any]) -> None:
    with pytest.raises(InvalidDataError, match="no category names its keypoints; add"):
        infer({"id": 0, "name": "objects"})
    with pytest.raises(InvalidDataError, match=r"categories\[0\] .*names repeat: nose"):
        infer(category("nose", "nose"))
    with pytest.raises(InvalidDataError, match=r"categories\[0\] .*name 1 is empty"):
        infer(category("nose", ""))


@given(
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True), st.text()
)
@settings(max_examples=150, deadline=None)
def test_any_names_give_a_schema_file_that_says_them(names: list[str], title: str) -> None:
    import yaml

    names = [n.encode("utf-8", "replace").decode() for n in names]
    title = title.encode("utf-8", "replace").decode()
    text = _text("x", Category(0, 1, title, tuple(names), ()), [], {}, set(), (title,))
    found = yaml.safe_load(text)

    assert [k["name"] for k in found["keypoints"]] == names
    assert found["category"]["name"] == title


@pytest.mark.parametrize("name", ["hockey", "lacrosse", "crowdpose"])
def test_the_samples_give_the_built_in_schemas_partners_groups_and_edges(
    root: Path, tmp_path: Path, name: str
) -> None:
    path = root / "datasets" / name / "sample" / "annotations.json"
    drafted = infer_schema(scan(path), path)
    out = tmp_path / "schema.yaml"
    out.write_text(drafted.text, encoding="utf-8")
    schema, known = parse_schema(out), Schema.load(name)

    assert schema.names == known.names
    assert schema.edges == known.edges
    assert schema.flip_index.tolist() == known.flip_index.tolist()
    assert schema.is_extension.tolist() == known.is_extension.tolist()
