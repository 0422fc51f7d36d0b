"""A merge takes what one side changed, and leaves to a person what both did."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.curate.merge import Merged, merge
from toolkit.curate.records import MISSING, load_document
from toolkit.errors import InvalidDataError
from toolkit.schema import Schema

Document = dict[str, Any]
Build = Callable[..., Any]
Edit = Callable[[Document], object]


@pytest.fixture
def merged(coco_document: Document, side_of: Build) -> Callable[..., Merged]:
    """Merge two edits of the tiny document."""

    def run(edit_ours: Edit, edit_theirs: Edit, *, renumber: bool = False) -> Merged:
        ours, theirs = copy.deepcopy(coco_document), copy.deepcopy(coco_document)
        edit_ours(ours)
        edit_theirs(theirs)
        names = ("base.json", "ours.json", "theirs.json")
        documents = (coco_document, ours, theirs)
        sides = [side_of(d, name) for d, name in zip(documents, names, strict=True)]
        return merge(*sides, renumber=renumber)

    return run


def content(result: Merged) -> Document:
    document: Document = json.loads(result.content)
    return document


def test_keypoints_in_another_order_are_refused_where_both_sides_changed(
    merged: Callable[..., Merged],
) -> None:
    """A point that ours labels would be another keypoint in the order of theirs."""

    def reorder(document: Document) -> None:
        names = document["categories"][0]["keypoints"]
        names[1], names[2] = names[2], names[1]
        for one in document["annotations"]:
            flat = one["keypoints"]
            flat[3:6], flat[6:9] = flat[6:9], flat[3:6]

    def move(document: Document) -> None:
        person(document)["keypoints"][3] += 1

    said = (
        "theirs.json: categories id=1 field 'keypoints': 'right_eye' is number 1, and number 2 "
        "in base.json; .* 'toolkit convert --to-schema'"
    )
    with pytest.raises(InvalidDataError, match=said):
        merged(move, reorder)
    with pytest.raises(InvalidDataError, match=r"ours\.json: categories id=1"):
        merged(reorder, move)
    assert person(content(merged(lambda _: None, reorder)))["keypoints"][3] == 12
    assert person(content(merged(reorder, lambda _: None)))["keypoints"][3] == 12


def test_another_name_for_a_keypoint_and_one_more_at_the_end_merge_place_by_place(
    merged: Callable[..., Merged],
) -> None:
    def rename(document: Document) -> None:
        document["categories"][0]["keypoints"][0] = "tip"
        document["categories"][0]["keypoints"].append("toe")

    def move(document: Document) -> None:
        person(document)["keypoints"][3] += 1

    result = merged(move, rename)
    assert not result.conflicts
    assert person(content(result))["keypoints"][3] == 12
    assert content(result)["categories"][0]["keypoints"][0] == "tip"


def person(document: Document, number: int = 0) -> Document:
    found: Document = document["annotations"][number]
    return found


def keypoint(number: int, *values: float, who: int = 0) -> Edit:
    def edit(document: Document) -> None:
        person(document, who)["keypoints"][3 * number : 3 * number + 3] = values

    return edit


def fields(who: int = 0, **values: object) -> Edit:
    return lambda document: person(document, who).update(values)


def nothing(document: Document) -> None:
    """Edits nothing."""


def test_two_keypoints_of_one_person_moved_by_two_people_both_move(
    merged: Callable[..., Merged],
) -> None:
    result = merged(keypoint(0, 1, 1, 2), keypoint(1, 3, 3, 1))

    assert not result.conflicts
    assert person(content(result))["keypoints"][:6] == [1, 1, 2, 3, 3, 1]
    assert result.taken["annotations"].fields == 1


def test_x_and_y_of_one_keypoint_are_one_unit(merged: Callable[..., Merged]) -> None:
    result = merged(keypoint(1, 99, 22, 2), keypoint(1, 11, 99, 2))

    (conflict,) = result.conflicts
    assert conflict.place == "annotations id=1 'keypoints' left_eye"
    assert (conflict.base, conflict.ours, conflict.theirs) == (
        [11, 22, 2],
        [99, 22, 2],
        [11, 99, 2],
    )
    assert person(content(result))["keypoints"][3:6] == [99, 22, 2]


def test_the_same_change_on_both_sides_is_no_conflict(merged: Callable[..., Merged]) -> None:
    result = merged(keypoint(1, 5, 5, 1), keypoint(1, 5.0, 5.0, 1))

    assert not result.conflicts
    assert b"5.0" not in result.content


@pytest.mark.parametrize(
    ("ours", "theirs", "field"),
    [
        (fields(bbox=[1, 1, 1, 1]), fields(bbox=[10, 20, 16, 33]), "bbox"),
        (fields(area=1), fields(area=2), "area"),
        (fields(colour={"hat": "red"}), fields(colour={"hat": "blue"}), "colour"),
        (fields(area=1), lambda d: person(d).pop("area"), "area"),
        (lambda d: person(d).pop("area"), fields(area=1), "area"),
        (fields(keypoints=[1, 2, 2]), fields(keypoints=[1, 3, 2]), "keypoints"),
    ],
    ids=["box", "area", "unknown key", "removed theirs", "removed ours", "length"],
)
def test_a_field_that_both_changed_is_a_conflict_and_stays_ours(
    merged: Callable[..., Merged], ours: Edit, theirs: Edit, field: str
) -> None:
    alone = content(merged(ours, nothing))

    result = merged(ours, theirs)

    assert [conflict.field for conflict in result.conflicts] == [field]
    assert content(result) == alone


def test_num_keypoints_that_counts_keeps_counting(merged: Callable[..., Merged]) -> None:
    def hide(number: int) -> Edit:
        def edit(document: Document) -> None:
            keypoint(number, 0, 0, 0)(document)
            person(document)["num_keypoints"] = 16

        return edit

    result = merged(hide(0), hide(1))

    assert not result.conflicts
    assert person(content(result))["num_keypoints"] == 15


def test_num_keypoints_that_counts_nothing_is_a_field_like_any_other(
    merged: Callable[..., Merged],
) -> None:
    result = merged(fields(num_keypoints=3), fields(num_keypoints=4))

    assert [conflict.field for conflict in result.conflicts] == ["num_keypoints"]


def test_new_people_of_both_sides_are_kept(merged: Callable[..., Merged]) -> None:
    def add(number: int) -> Edit:
        return lambda d: d["annotations"].append(person(d) | {"id": number})

    result = merged(add(8), add(9))

    assert not result.conflicts
    assert [record["id"] for record in content(result)["annotations"]] == [1, 2, 8, 9]


def new_picture(name: str) -> Edit:
    """A new image 8 and a person 3 in it, under ids that the other side takes too."""

    def edit(document: Document) -> None:
        document["images"].append(document["images"][0] | {"id": 8, "file_name": name})
        document["annotations"].append(person(document) | {"id": 3, "image_id": 8, "w": name})
        document["annotations"].append(person(document) | {"id": len(name), "image_id": 8})

    return edit


def test_new_records_with_one_id_are_conflicts_and_take_their_people_along(
    merged: Callable[..., Merged],
) -> None:
    result = merged(new_picture("ours.jpg"), new_picture("theirs.jpg"))

    assert [(c.place, c.reason.split(";")[0]) for c in result.conflicts] == [
        ("images id=8", "added in both under one id"),
        ("annotations id=3", "added in both under one id"),
        ("annotations id=10", "added in theirs"),
    ]
    assert result.conflicts[0].base is MISSING
    assert [record["id"] for record in content(result)["annotations"]] == [1, 2, 3, 8]


def test_renumbering_theirs_keeps_both_with_their_pictures(
    merged: Callable[..., Merged],
) -> None:
    result = merged(new_picture("ours.jpg"), new_picture("theirs.jpg"), renumber=True)

    document = content(result)
    assert not result.conflicts
    assert [(i["id"], i["file_name"]) for i in document["images"][1:]] == [
        (8, "ours.jpg"),
        (9, "theirs.jpg"),
    ]
    assert [(a["id"], a["image_id"]) for a in document["annotations"][2:]] == [
        (3, 8),
        (8, 8),
        (11, 9),
        (10, 9),
    ]
    assert document["annotations"][4]["w"] == "theirs.jpg"


def add_image(number: int, name: str) -> Edit:
    return lambda d: d["images"].append({**d["images"][0], "id": number, "file_name": name})


def several(*edits: Edit) -> Edit:
    def run(document: Document) -> None:
        for edit in edits:
            edit(document)

    return run


def test_nobody_is_moved_into_a_new_image_whose_id_ours_gave_to_another(
    merged: Callable[..., Merged],
) -> None:
    theirs = several(add_image(501, "theirs.jpg"), fields(image_id=501))

    result = merged(add_image(501, "ours.jpg"), theirs)
    both = merged(add_image(501, "ours.jpg"), theirs, renumber=True)

    assert [conflict.place for conflict in result.conflicts] == [
        "images id=501",
        "annotations id=1 'image_id'",
    ]
    assert person(content(result))["image_id"] == 7
    assert not both.conflicts
    assert person(content(both))["image_id"] == 502


def test_two_moves_into_two_new_images_of_one_id_are_a_conflict(
    merged: Callable[..., Merged],
) -> None:
    ours = several(add_image(501, "ours.jpg"), fields(image_id=501))
    theirs = several(add_image(501, "theirs.jpg"), fields(image_id=501))

    (conflict,) = merged(ours, theirs, renumber=True).conflicts

    assert (conflict.place, conflict.ours, conflict.theirs) == (
        "annotations id=1 'image_id'",
        501,
        502,
    )


def test_nobody_is_moved_into_an_image_that_ours_removed(
    coco_document: Document, merged: Callable[..., Merged]
) -> None:
    add_image(2, "second.jpg")(coco_document)

    result = merged(lambda d: d["images"].pop(), fields(image_id=2))

    (conflict,) = result.conflicts
    assert conflict.reason == "changed in theirs; ours removed its image_id"
    assert (conflict.base, conflict.ours, conflict.theirs) == (7, 7, 2)
    assert person(content(result))["image_id"] == 7


def test_an_image_goes_whose_people_theirs_moved_into_another(
    coco_document: Document, merged: Callable[..., Merged]
) -> None:
    add_image(2, "second.jpg")(coco_document)

    def theirs(document: Document) -> None:
        for record in document["annotations"]:
            record["image_id"] = 2
        del document["images"][0]

    result = merged(fields(mine=1), theirs)

    assert not result.conflicts
    assert [image["id"] for image in content(result)["images"]] == [2]


def test_a_record_with_a_field_of_no_name_loses_nothing(
    coco_document: Document, merged: Callable[..., Merged]
) -> None:
    person(coco_document)[""] = "kept"

    record = person(content(merged(fields(mine=1), fields(area=9))))

    assert (record["area"], record[""], record["mine"]) == (9, "kept", 1)


def test_an_id_false_is_not_the_id_0(
    coco_document: Document, merged: Callable[..., Merged]
) -> None:
    person(coco_document, 0)["id"], person(coco_document, 1)["id"] = 0, False

    assert person(content(merged(nothing, fields(area=9, who=1))), 1)["area"] == 9


def test_the_same_new_record_on_both_sides_is_taken_once(
    merged: Callable[..., Merged],
) -> None:
    def add(document: Document) -> None:
        document["annotations"].append(person(document) | {"id": 3})

    result = merged(add, lambda d: (add(d), fields(area=1)(d)))

    assert not result.conflicts
    assert [record["id"] for record in content(result)["annotations"]] == [1, 2, 3]


@pytest.mark.parametrize("number", [0, 1])
def test_a_person_that_theirs_removed_goes(merged: Callable[..., Merged], number: int) -> None:
    result = merged(fields(1 - number, area=5), lambda d: d["annotations"].pop(number))

    assert not result.conflicts
    (left,) = content(result)["annotations"]
    assert (left["id"], left["area"]) == (2 - number, 5)


def test_all_people_may_go(merged: Callable[..., Merged]) -> None:
    result = merged(lambda d: d.update(info=1), lambda d: d.update(annotations=[]))

    assert content(result)["annotations"] == []
    assert result.taken["annotations"].removed == 2


def test_a_person_removed_here_and_changed_there_is_a_conflict(
    merged: Callable[..., Merged],
) -> None:
    theirs = merged(fields(area=1), lambda d: d["annotations"].pop(0))
    ours = merged(lambda d: d["annotations"].pop(0), fields(area=1))

    assert [c.reason for c in theirs.conflicts] == ["changed in ours, removed in theirs"]
    assert [record["id"] for record in content(theirs)["annotations"]] == [1, 2]
    assert [c.reason for c in ours.conflicts] == ["removed in ours, changed in theirs"]
    assert [record["id"] for record in content(ours)["annotations"]] == [2]


def test_an_image_that_new_people_need_is_not_removed(merged: Callable[..., Merged]) -> None:
    def drop(document: Document) -> None:
        document["images"], document["annotations"] = [], []

    result = merged(lambda d: d["annotations"].append(person(d) | {"id": 3}), drop)

    (conflict,) = result.conflicts
    assert conflict.place == "images id=7"
    assert conflict.reason == "removed in theirs, but ours has annotations that need it"
    document = content(result)
    assert [image["id"] for image in document["images"]] == [7]
    assert [record["id"] for record in document["annotations"]] == [3]


def test_people_in_an_image_that_ours_removed_are_a_conflict(
    merged: Callable[..., Merged],
) -> None:
    def drop(document: Document) -> None:
        document["images"], document["annotations"] = [], []

    result = merged(drop, lambda d: d["annotations"].append(person(d) | {"id": 3}))

    assert [(c.place, c.reason) for c in result.conflicts] == [
        ("annotations id=3", "added in theirs; ours removed its image_id")
    ]
    assert content(result)["annotations"] == []


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (nothing, {"info": 1}, {"info": 1}),
        ({"more": 1}, {"info": 1}, {"info": 1, "more": 1}),
        ({"more": 1}, {"licenses": [{"id": 1}]}, {"more": 1, "licenses": [{"id": 1}]}),
        ({"more": 1}, {"info": None}, {"info": None, "more": 1}),
    ],
    ids=["theirs", "each", "new", "null"],
)
def test_what_stands_beside_the_lists_is_merged(
    merged: Callable[..., Merged], ours: Any, theirs: Document, expected: Document
) -> None:
    edit = ours if callable(ours) else lambda d: d.update(ours)

    result = merged(edit, lambda d: d.update(theirs))

    assert not result.conflicts
    document = content(result)
    assert {key: document[key] for key in expected} == expected


def test_a_key_beside_the_lists_can_be_removed(merged: Callable[..., Merged]) -> None:
    result = merged(fields(area=1), lambda d: d.pop("info"))

    assert "info" not in content(result)
    assert person(content(result))["area"] == 1


def test_a_key_beside_the_lists_that_both_changed_is_a_conflict(
    merged: Callable[..., Merged],
) -> None:
    result = merged(lambda d: d.update(info=1), lambda d: d.update(info=2))

    assert [conflict.place for conflict in result.conflicts] == ["'info'"]
    assert content(result)["info"] == 1


def test_ids_that_occur_twice_cannot_be_merged(merged: Callable[..., Merged]) -> None:
    with pytest.raises(
        InvalidDataError, match=r"theirs.json: annotations\[2\] id=1 field 'id': the id occurs"
    ):
        merged(fields(area=1), lambda d: d["annotations"].append(person(d) | {"area": 5}))


def test_only_the_bytes_that_theirs_changed_are_written_anew(
    coco_document: Document, side_of: Build
) -> None:
    text = json.dumps(coco_document, indent=1).replace("300.5", "3005.00e-1")
    ours = text.replace('"tiny"', '"ours"')
    theirs = copy.deepcopy(coco_document)
    keypoint(0, 11.50, 20, 2)(theirs)

    result = merge(
        side_of(coco_document, "base.json"), side_of(ours, "o.json"), side_of(theirs, "t.json")
    )

    assert result.content.decode() == ours.replace("    10,\n", "    11.5,\n", 1)


# Edits for the properties: each is a function of the document and a random number.
def small(count: int = 3) -> Document:
    return {
        "info": {"v": 0},
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 9, "height": 9} for i in (1, 2)],
        "annotations": [
            {
                "id": i + 1,
                "image_id": i % 2 + 1,
                "category_id": 1,
                "keypoints": [i, 0, 2, 5, 5, 1],
                "num_keypoints": 2,
                "bbox": [0, 0, 5, 5],
            }
            for i in range(count)
        ],
        "categories": [{"id": 1, "name": "p", "keypoints": ["a", "b"], "skeleton": []}],
    }


def apply_edit(document: Document, edit: tuple[str, int, int]) -> None:
    kind, who, value = edit
    people = document["annotations"]
    chosen = people[who % len(people)] if people else {}
    if kind == "point" and chosen:
        chosen["keypoints"][3 * (value % 2)] = value
    elif kind == "flag" and chosen:
        chosen["keypoints"][2] = value % 3
        chosen["num_keypoints"] = sum(v > 0 for v in chosen["keypoints"][2::3])
    elif kind == "box":
        chosen["bbox"] = [value, 0, 5, 5]
    elif kind == "key":
        chosen[f"key{value % 2}"] = value
    elif kind == "drop" and people:
        people.remove(chosen)
    elif kind == "add" and all(p["id"] != 100 + value for p in people):
        people.append(small(1)["annotations"][0] | {"id": 100 + value, "n": who})
    elif kind == "info":
        document["info"] = value
    elif kind == "image":
        document["images"][who % 2]["width"] = value


KINDS = ("point", "flag", "box", "key", "drop", "add", "info", "image")
EDITS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 6)), max_size=6
)


def edited(edits: list[tuple[str, int, int]], start: Document | None = None) -> Document:
    document = copy.deepcopy(small() if start is None else start)
    for edit in edits:
        apply_edit(document, edit)
    return document


def same_content(one: Document, other: Document) -> bool:
    """Equal but for the order of records."""
    pair = copy.deepcopy(one), copy.deepcopy(other)
    for document in pair:
        for section in ("images", "annotations", "categories"):
            document[section].sort(key=lambda record: record["id"])
    return pair[0] == pair[1]


@given(edits=EDITS)
@settings(max_examples=80, deadline=None)
def test_a_change_of_theirs_alone_gives_theirs(
    side_of: Build, edits: list[tuple[str, int, int]]
) -> None:
    theirs = edited(edits)
    # OURS is BASE in another spelling, so that the merge cannot simply hand over THEIRS.
    base, ours = side_of(small(), "b.json"), side_of(json.dumps(small(), indent=2), "o.json")

    result = merge(base, ours, side_of(theirs, "t.json"))

    assert not result.conflicts
    assert same_content(content(result), theirs)
    assert merge(base, base, side_of(theirs, "t.json")).content == json.dumps(theirs).encode()


@given(edits=EDITS)
@settings(max_examples=60, deadline=None)
def test_no_change_of_theirs_gives_the_bytes_of_ours(
    side_of: Build, edits: list[tuple[str, int, int]]
) -> None:
    ours = json.dumps(edited(edits), indent=1)
    base = side_of(small(), "b.json")
    respelled = side_of(json.dumps(small(), indent=3), "t.json")

    for theirs in (base, respelled):
        result = merge(base, side_of(ours, "o.json"), theirs)
        assert not result.conflicts
        assert result.content == ours.encode()


@given(one=EDITS, other=EDITS)
@settings(max_examples=120, deadline=None)
def test_merges_without_conflicts_commute(
    side_of: Build, one: list[tuple[str, int, int]], other: list[tuple[str, int, int]]
) -> None:
    base = side_of(small(), "b.json")
    ours, theirs = side_of(edited(one), "o.json"), side_of(edited(other), "t.json")

    there, back = merge(base, ours, theirs), merge(base, theirs, ours)

    assert len(there.conflicts) == len(back.conflicts)
    if not there.conflicts:
        assert same_content(content(there), content(back))


@given(edits=EDITS)
@settings(max_examples=40, deadline=None)
def test_both_sides_alike_give_that_side(
    side_of: Build, edits: list[tuple[str, int, int]]
) -> None:
    document = edited(edits)
    ours, theirs = json.dumps(document), json.dumps(document, indent=1)

    result = merge(
        side_of(small(), "b.json"), side_of(ours, "o.json"), side_of(theirs, "t.json")
    )

    assert not result.conflicts
    assert same_content(content(result), document)


def test_real_samples_merge(root: Path, tmp_path: Path) -> None:
    sample = root / "datasets" / "hockey" / "sample" / "annotations.json"
    base = load_document(sample)
    theirs = json.loads(sample.read_text("utf-8"))
    theirs["annotations"][3]["keypoints"][0] += 1
    (tmp_path / "theirs.json").write_text(json.dumps(theirs), "utf-8")
    ours_text = sample.read_text("utf-8").replace("Synthetic practice", "Our practice", 1)
    (tmp_path / "ours.json").write_text(ours_text, "utf-8")

    result = merge(
        ("base", base),
        ("ours", load_document(tmp_path / "ours.json")),
        ("theirs", load_document(tmp_path / "theirs.json")),
    )

    assert not result.conflicts
    changed = [
        (a, b)
        for a, b in zip(
            ours_text.splitlines(), result.content.decode().splitlines(), strict=True
        )
        if a != b
    ]
    assert len(changed) == 1
    assert Schema.load("hockey").names[0] in ours_text
