"""Schemas: what is derived from them, and what a wrong one is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from toolkit.errors import ReadError, SchemaError, UsageError
from toolkit.schema import HeadSizeStep, Keypoint, Schema
from toolkit.schema_facts import read_schema, schema_to_facts

BUILTIN = ("coco", "crowdpose", "hockey", "lacrosse")
STICK = ("butt_end", "stick_heel", "stick_toe")


def schema(*keypoints: Keypoint, **fields: object) -> Schema:
    return Schema("s", "S", keypoints, **fields)  # type: ignore[arg-type]


@pytest.fixture
def write_schema(tmp_path: Path) -> Callable[..., Path]:
    """Write a schema file of one keypoint, `tip`, with changes; gives its path."""

    def write(text: str | None = None, **changes: object) -> Path:
        document: dict[str, object] = {
            "name": "mine",
            "title": "Mine",
            "category": {"id": 4, "name": "rod", "supercategory": "tool"},
            "keypoints": [
                {
                    "name": "tip",
                    "group": "extension",
                    "sigma": {"value": 0.1, "source": "a guess"},
                    "report_group": "Tip",
                    "region": "image",
                }
            ],
        }
        document.update(changes)
        path = tmp_path / "schema.yaml"
        path.write_text(yaml.safe_dump(document) if text is None else text, "utf-8")
        return path

    return write


def test_the_built_in_schemas_are_known_by_name() -> None:
    assert Schema.builtin_names() == BUILTIN


@pytest.mark.parametrize(
    ("name", "count", "extension"),
    [
        ("coco", 17, ()),
        ("crowdpose", 14, ()),
        ("hockey", 20, STICK),
        ("lacrosse", 14, ("butt_end", "stick_heel")),
    ],
)
def test_a_built_in_schema_has_its_keypoints(
    name: str, count: int, extension: tuple[str, ...]
) -> None:
    loaded = Schema.load(name)

    assert loaded.num_keypoints == count
    assert tuple(n for n, e in zip(loaded.names, loaded.is_extension, strict=True) if e) == (
        extension
    )
    assert loaded.names[count - len(extension) :] == extension


@pytest.mark.parametrize("name", BUILTIN)
def test_a_built_in_schema_is_complete(name: str) -> None:
    loaded = Schema.load(name)

    for keypoint in loaded.keypoints:
        assert len(keypoint.prompts) >= 5, keypoint.name
        assert len(set(keypoint.prompts)) == len(keypoint.prompts)
        assert keypoint.sigma is not None
        assert keypoint.sigma_source not in ("", "unknown")
    assert loaded.head_size
    assert loaded.edges
    assert sorted(np.concatenate(list(loaded.report_groups.values())).tolist()) == list(
        range(loaded.num_keypoints)
    )
    assert loaded.flip_index[loaded.flip_index].tolist() == list(range(loaded.num_keypoints))


@pytest.mark.parametrize("name", ["hockey", "lacrosse"])
def test_a_stick_s_sigma_is_never_taken_for_a_published_one(name: str) -> None:
    for keypoint in Schema.load(name).keypoints:
        assert keypoint.sigma_published is (keypoint.group == "body"), keypoint.name


def test_published_sigmas_are_the_published_numbers() -> None:
    coco = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
    crowdpose = [79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89, 79, 79]

    assert Schema.load("coco").sigmas.tolist() == [v / 1000 for v in coco]
    assert Schema.load("hockey").sigmas[:17].tolist() == [v / 1000 for v in coco]
    assert Schema.load("crowdpose").sigmas.tolist() == [v / 1000 for v in crowdpose]


def test_hockey_reports_the_stick_in_three_columns() -> None:
    groups = Schema.load("hockey").report_groups

    assert list(groups) == ["Body", "Butt End", "Stick Heel", "Stick Toe"]
    assert [rows.tolist() for rows in groups.values()] == [[*range(17)], [17], [18], [19]]


def test_hockey_maps_on_lacrosse_by_name() -> None:
    hockey, lacrosse = Schema.load("hockey"), Schema.load("lacrosse")

    mapping = hockey.mapping_to(lacrosse)

    assert mapping.source_index.tolist() == [*range(5, 17), 17, 18]
    assert mapping.target_index.tolist() == [*range(14)]
    assert mapping.unmatched_target == ()
    assert mapping.unmatched_source == (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        "stick_toe",
    )


def test_edges_and_partners_become_indices(tiny_schema: Schema) -> None:
    assert tiny_schema.edge_index.tolist() == [[0, 1], [1, 2]]
    assert tiny_schema.flip_index.tolist() == [0, 1, 2]
    assert tiny_schema.is_extension.tolist() == [False, False, True]
    assert tiny_schema.index("tip") == 2
    assert tiny_schema.coco_category() == {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": ["head", "foot", "tip"],
        "skeleton": [[1, 2], [2, 3]],
    }


def test_a_schema_without_edges_has_an_empty_array_of_them() -> None:
    assert schema(Keypoint("a")).edge_index.shape == (0, 2)


def test_partners_name_each_other() -> None:
    pair = schema(Keypoint("left_a", flip="right_a"), Keypoint("right_a", flip="left_a"))

    assert pair.flip_index.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("keypoints", "fields", "message"),
    [
        ((Keypoint("a"), Keypoint("b"), Keypoint("a")), {}, "keypoint names repeat: a"),
        (
            (Keypoint("knee"),),
            {"edges": (("knee", "kne"),)},
            r"edge names keypoint 'kne', which does not exist \(did you mean 'knee'\?\)",
        ),
        (
            (Keypoint("a", flip="z"),),
            {},
            "flip partner names keypoint 'z', which does not exist",
        ),
        (
            (Keypoint("a", flip="b"), Keypoint("b")),
            {},
            "keypoint 'a' flips to 'b', which flips to 'b'; partners must name each other",
        ),
        ((Keypoint("a", sigma=0.0),), {}, "keypoint 'a' has sigma 0.0; expected a positive"),
        ((Keypoint("a", sigma=float("inf")),), {}, "keypoint 'a' has sigma inf; expected"),
        ((Keypoint("a", sigma=float("nan")),), {}, "keypoint 'a' has sigma nan; expected"),
        (
            (Keypoint("a", prompts=("one", "two")),),
            {},
            "keypoint 'a' has 2 prompts; expected none or at least 5",
        ),
        (
            (Keypoint("a"),),
            {"head_size": (HeadSizeStep("segment", 1.0, (("a", "neck"),)),)},
            "head size names keypoint 'neck', which does not exist",
        ),
    ],
    ids=["names", "edge", "partner", "one-way", "zero", "inf", "nan", "prompts", "head"],
)
def test_a_wrong_schema_is_refused(
    keypoints: tuple[Keypoint, ...], fields: dict[str, object], message: str
) -> None:
    with pytest.raises(SchemaError, match=f"schema 's': {message}"):
        schema(*keypoints, **fields)


def test_oks_without_a_sigma_is_refused_not_guessed() -> None:
    unknown = schema(Keypoint("a", sigma=0.1), Keypoint("b"), Keypoint("c"))

    assert not unknown.has_sigmas
    with pytest.raises(SchemaError, match="schema 's' has no OKS sigma for b, c; add"):
        _ = unknown.sigmas


def test_an_unknown_keypoint_is_refused_with_the_nearest(tiny_schema: Schema) -> None:
    with pytest.raises(SchemaError, match=r"keypoint 'tipp'.*did you mean 'tip'"):
        tiny_schema.index("tipp")


@pytest.mark.parametrize(
    ("step", "key"),
    [
        (HeadSizeStep("head_box", 0.6), "0.6*head_box_diagonal"),
        (HeadSizeStep("segment", 1.0, (("head", "neck"),)), "1*head-neck"),
        (HeadSizeStep("torso", 0.35, (("a", "b"), ("c", "d"))), "0.35*mean(a-b+c-d)"),
    ],
)
def test_a_head_size_step_names_itself(step: HeadSizeStep, key: str) -> None:
    assert step.key == key


def test_a_schema_file_of_one_s_own_works_like_a_built_in(
    write_schema: Callable[..., Path],
) -> None:
    loaded = Schema.load(write_schema())

    assert (loaded.name, loaded.names, loaded.category_id) == ("mine", ("tip",), 4)
    assert loaded.is_extension.tolist() == [True]
    assert loaded.sigmas.tolist() == [0.1]
    assert loaded.keypoints[0].sigma_published is False
    assert loaded.keypoints[0].region == "image"


@pytest.mark.parametrize("name", BUILTIN)
def test_a_copy_of_a_built_in_file_is_the_built_in(
    name: str, tmp_path: Path, root: Path
) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_bytes((root / "datasets" / name / "schema.yaml").read_bytes())

    assert Schema.load(copy) == Schema.load(name)


TIP: dict[str, object] = {"name": "tip"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": []}, "field 'keypoints' is empty; list at least one"),
        ({"keypoints": None}, "field 'keypoints' is missing; expected a list"),
        ({"keypoints": {"tip": 1}}, "field 'keypoints' is dict; expected a list"),
        ({"keypoints": ["tip"]}, r"keypoints\[0\]: got str; expected a mapping"),
        ({"keypoints": [{}]}, r"keypoints\[0\]: field 'name' is missing; expected a text"),
        ({"name": None}, "field 'name' is missing; expected a text"),
        ({"title": 3}, "field 'title' is int; expected a text"),
        ({"sigmas": [1]}, "unknown field 'sigmas'; known: category, edges"),
        ({"category": 3}, "field 'category' is int; expected a mapping"),
        (
            {"keypoints": [TIP | {"colour": "red"}]},
            r"keypoints\[0\] 'tip': unknown field 'colour'; known: flip, group",
        ),
        (
            {"keypoints": [TIP | {"group": "stick"}]},
            "field 'group' is 'stick'; one of body, extension",
        ),
        (
            {"keypoints": [TIP | {"region": "moon"}]},
            "field 'region' is 'moon'; one of box, image, anywhere",
        ),
        (
            {"keypoints": [TIP | {"sigma": 0.1}]},
            "field 'sigma' is float; expected value, source, published",
        ),
        (
            {"keypoints": [TIP | {"sigma": {"value": 0.1}}]},
            "sigma has a value but no 'source'; say where it is from",
        ),
        (
            {"keypoints": [TIP | {"sigma": {"value": "0.1", "source": "x"}}]},
            "sigma value is str; expected a number",
        ),
        (
            {"keypoints": [TIP | {"sigma": {"value": True, "source": "x"}}]},
            "sigma value is bool; expected a number",
        ),
        (
            {"keypoints": [TIP | {"prompts": "one"}]},
            "field 'prompts' must be a list of sentences",
        ),
        ({"edges": [["tip"]]}, r"edges\[0\]: got \['tip'\]; expected two keypoint names"),
        ({"edges": ["ab"]}, r"edges\[0\]: got 'ab'; expected two keypoint names"),
        (
            {"head_size": [{"method": "guess", "factor": 1}]},
            r"head_size\[0\]: field 'method' is 'guess'; one of head_box, segment, torso",
        ),
        (
            {"head_size": [{"method": "head_box", "factor": 0}]},
            "field 'factor' is 0; expected a positive number",
        ),
        (
            {"head_size": [{"method": "head_box", "factor": 1, "pairs": [["tip", "tip"]]}]},
            "method 'head_box' with 1 pairs; 'head_box' takes none",
        ),
        (
            {"head_size": [{"method": "segment", "factor": 1}]},
            "method 'segment' with 0 pairs",
        ),
        ({"category": {"id": "abc"}}, "category: field 'id' is str; expected a whole number"),
        ({"category": {"id": 1.5}}, "category: field 'id' is float; expected a whole number"),
        ({"category": {"id": None}}, "category: field 'id' is missing; expected a whole"),
        ({"category": {"id": 2**63}}, "field 'id' is int; expected a whole number of 64 bits"),
        ({"category": {"name": 3}}, "category: field 'name' is int; expected a text"),
        (
            {"category": {"nmae": "rod"}},
            "category: unknown field 'nmae'; known: id, name, supercategory",
        ),
        ({"category": []}, "field 'category' is list; expected a mapping"),
        ({"edges": 5}, "field 'edges' is int; expected a list"),
        ({"edges": [["tip", 5]]}, r"edges\[0\]: got \['tip', 5\]; expected two keypoint names"),
        ({"head_size": 5}, "field 'head_size' is int; expected a list"),
        (
            {"head_size": [{"method": "segment", "factor": 1, "pairs": 4}]},
            r"head_size\[0\]: field 'pairs' is int; expected a list",
        ),
        (
            {"head_size": [{"method": "head_box", "factor": float("inf")}]},
            "field 'factor' is not finite; expected a number",
        ),
        (
            {"keypoints": [TIP | {"sigma": {"value": float("nan"), "source": "x"}}]},
            "sigma value is not finite; expected a number",
        ),
        (
            {"keypoints": [TIP | {"sigma": {"value": 10**400, "source": "x"}}]},
            "sigma value is not finite; expected a number",
        ),
        (
            {"keypoints": [TIP | {"sigma": {"published": "yes"}}]},
            "'tip': sigma: field 'published' is str; expected true or false",
        ),
        (
            {"keypoints": [TIP | {"report_group": ["Tip"]}]},
            "'tip': field 'report_group' is list; expected a text",
        ),
    ],
)
def test_a_wrong_schema_file_is_told_where(
    write_schema: Callable[..., Path], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.load(write_schema(**changes))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[1, 2]", SchemaError, "schema.yaml: got list; a schema is a mapping"),
        ("", SchemaError, "schema.yaml: got missing; a schema is a mapping"),
        ("a: [", ReadError, "schema.yaml: not YAML: "),
        ("name: a\nname: b\n", ReadError, "key 'name' is there twice .*line 2"),
        ("notes: 2024-99-99", ReadError, "schema.yaml: not YAML: month .*; put quotes round"),
        ("notes: !!int ''", ReadError, "schema.yaml: not YAML: .*; put quotes round"),
        ("[" * 5000, ReadError, "schema.yaml: not YAML: "),
    ],
    ids=["list", "empty", "not YAML", "a key twice", "no date", "no number", "deep"],
)
def test_a_file_that_is_no_schema_is_refused(
    write_schema: Callable[..., Path], text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Schema.load(write_schema(text))


def test_an_unknown_schema_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UsageError,
        match=r"no schema 'hocky': not a file, and not a built-in name \(did you mean "
        r"'hockey'\?\); known: coco, crowdpose, hockey, lacrosse",
    ):
        Schema.load("hocky")


@pytest.mark.parametrize("name", BUILTIN)
def test_a_schema_comes_back_whole_from_json(name: str) -> None:
    schema = Schema.load(name)
    bare = replace(schema, category_name="", supercategory="", head_size=(), edges=())
    for one in (schema, bare):
        stored = json.loads(json.dumps(schema_to_facts(one)))
        assert read_schema(stored, where="data set 'a'") == one


def test_a_schema_that_json_does_not_describe_is_told_with_its_place() -> None:
    stored = schema_to_facts(Schema.load("hockey")) | {"category_id": 1}
    with pytest.raises(ReadError, match=r"data set 'a': .*unknown field 'category_id'"):
        read_schema(stored, where="data set 'a'")
