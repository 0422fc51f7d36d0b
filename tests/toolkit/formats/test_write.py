"""Of a changed data set only the changed numbers are written anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, OutputExistsError, UsageError
from toolkit.formats import read, write
from toolkit.formats.document import patch_record, with_tokens
from toolkit.schema import Schema

Document = dict[str, Any]
Save = Callable[..., Path]


@pytest.fixture
def dataset(document: Document, save: Save) -> Dataset:
    return read(save(document))


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[[Dataset], str]:
    def text(changed: Dataset) -> str:
        write(changed, tmp_path / "out.json", force=True)
        return (tmp_path / "out.json").read_text("utf-8")

    return text


def original(dataset: Dataset) -> str:
    assert dataset.path is not None
    return dataset.path.read_text("utf-8")


def with_people(dataset: Dataset, **columns: object) -> Dataset:
    return replace(dataset, annotations=replace(dataset.annotations, **columns))


def test_equal_arrays_in_new_objects_change_nothing(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    copied = with_people(dataset, keypoints=dataset.annotations.keypoints.copy())
    copied = replace(copied, images=replace(dataset.images))

    assert rewritten(copied) == original(dataset)


def test_a_moved_keypoint_changes_two_numbers_and_no_other_byte(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    points = dataset.annotations.keypoints.copy()
    points[0, 0] = [11, 20.25]

    text = rewritten(with_people(dataset, keypoints=points))

    assert text == original(dataset).replace("[10, 20, 2, 30.5", "[11, 20.25, 2, 30.5")


def test_a_keypoint_that_stays_absent_keeps_its_coordinates(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    points = dataset.annotations.keypoints.copy()
    points[1, 1] = [3, 5]

    text = rewritten(with_people(dataset, keypoints=points))

    assert text == original(dataset).replace("[1.5, 2, 0, 3, 4, 1", "[1.5, 2, 0, 3, 5, 1")


def test_a_keypoint_that_becomes_absent_is_written_as_zeros_in_its_own_spelling(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    flags = dataset.annotations.visibility.copy()
    points = dataset.annotations.keypoints.copy()
    flags[0, 1], points[0, 1] = 0, np.nan

    text = rewritten(with_people(dataset, keypoints=points, visibility=flags))

    assert text == original(dataset).replace("2, 30.5, 40, 1", "2, 0.0, 0, 0")


def test_a_changed_box_and_area_keep_the_kind_of_spelling(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    boxes, areas = dataset.annotations.bbox_xywh.copy(), dataset.annotations.area.copy()
    boxes[0, :2], areas[0] = [6, 11], 1000

    text = rewritten(with_people(dataset, bbox_xywh=boxes, area=areas))

    assert text == original(dataset).replace("[5.0, 10,", "[6.0, 11,").replace(
        "1234.0", "1000.0"
    )


def test_missing_values_remove_a_field_and_new_values_add_one(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    heads = dataset.annotations.head_box_xywh.copy()
    heads[0] = [1, 2, 3, 4.5]
    changed = with_people(
        dataset,
        area=np.array([np.nan, 9.5]),
        num_keypoints=np.array([-1, 1]),
        head_box_xywh=heads,
    )

    record = json.loads(rewritten(changed))["annotations"][0]

    assert "area" not in record
    assert "num_keypoints" not in record
    assert record["head_box_xywh"] == [1, 2, 3, 4.5]
    assert list(record)[-2:] == ["mine", "head_box_xywh"]


def test_a_renumbered_person_keeps_its_unknown_fields(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    text = rewritten(with_people(dataset, instance_id=np.array([1, 12])))

    assert text == original(dataset).replace('"id": 11', '"id": 1')


def test_a_dropped_person_leaves_the_other_as_it_was(
    dataset: Dataset, document: Document, rewritten: Callable[[Dataset], str]
) -> None:
    text = rewritten(dataset.subset(np.array([False, True])))

    document["annotations"] = document["annotations"][1:]
    assert text == json.dumps(document)


def test_people_are_written_in_the_order_of_the_arrays(
    dataset: Dataset, document: Document, rewritten: Callable[[Dataset], str]
) -> None:
    text = rewritten(dataset.subset(np.array([1, 0])))

    document["annotations"] = document["annotations"][::-1]
    assert text == json.dumps(document)


def test_a_new_person_is_appended_in_canonical_order(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    old = dataset.annotations
    both = np.concatenate
    more = Annotations(
        schema=old.schema,
        instance_id=both([old.instance_id, [13]]),
        image_id=both([old.image_id, [7]]),
        category_id=both([old.category_id, [1]]),
        keypoints=both([old.keypoints, [[[1, 2], [np.nan, np.nan], [3.5, 4]]]]),
        visibility=both([old.visibility, np.array([[2, 0, 1]], np.uint8)]),
        bbox_xywh=both([old.bbox_xywh, [[0, 0, 10, 10.5]]]),
        area=both([old.area, [np.nan]]),
        is_crowd=both([old.is_crowd, [False]]),
        num_keypoints=both([old.num_keypoints, [2]]),
        head_box_xywh=both([old.head_box_xywh, np.full((1, 4), np.nan)]),
    )

    text = rewritten(replace(dataset, annotations=more))

    new = (
        '{"id": 13, "image_id": 7, "category_id": 1, "keypoints": [1, 2, 2, 0, 0, 0, '
        '3.5, 4, 1], "num_keypoints": 2, "bbox": [0, 0, 10, 10.5], "iscrowd": 0}'
    )
    assert text == original(dataset).replace('], "categories"', f', {new}], "categories"')


def test_changed_images_are_written_and_others_stay(
    dataset: Dataset, rewritten: Callable[[Dataset], str]
) -> None:
    images = dataset.images
    changed = replace(images, clips=("c9", None), frames=np.array([2, -1]))

    text = rewritten(replace(dataset, images=changed))

    assert text == original(dataset).replace(
        '"colour": "blue"}', '"colour": "blue", "clip": "c9", "frame": 2}'
    ).replace(', "clip": "c1", "frame": 4}', "}")


def test_another_schema_renames_the_category_and_takes_keypoints_by_name(
    dataset: Dataset, rewritten: Callable[[Dataset], str], tiny_schema: Schema
) -> None:
    schema = replace(
        dataset.schema,
        keypoints=tuple(dataset.schema.keypoints[i] for i in (2, 0)),
        edges=(("bottom", "top"),),
    )
    people = dataset.annotations
    changed = replace(
        dataset,
        schema=schema,
        annotations=replace(
            people,
            schema=schema,
            keypoints=people.keypoints[:, [2, 0]],
            visibility=people.visibility[:, [2, 0]],
        ),
    )

    written = json.loads(rewritten(changed))

    assert written["categories"][0]["keypoints"] == ["bottom", "top"]
    assert written["categories"][0]["skeleton"] == [[1, 2]]
    assert written["categories"][0]["extra"] == "kept"
    assert written["annotations"][0]["keypoints"] == [50, 60.25, 2, 10, 20, 2]
    assert written["annotations"][1]["keypoints"] == [0, 0, 0, 1.5, 2, 0]


def test_a_data_set_without_a_file_is_written_the_same_every_time(
    make_dataset: Callable[..., Dataset], tmp_path: Path, tiny_schema: Schema
) -> None:
    made = make_dataset()
    write(made, tmp_path / "a.json")
    write(made, tmp_path / "b.json")

    again = read(tmp_path / "a.json", tiny_schema)

    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    np.testing.assert_array_equal(again.annotations.keypoints, made.annotations.keypoints)
    np.testing.assert_array_equal(again.annotations.bbox_xywh, made.annotations.bbox_xywh)
    assert again.images.file_names == made.images.file_names


def test_numbers_that_json_does_not_have_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    broken = with_people(dataset, area=np.array([np.inf, 1.0]))

    with pytest.raises(InvalidDataError, match="cannot write the number inf"):
        write(broken, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_nothing_is_overwritten_without_force(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("old")

    with pytest.raises(OutputExistsError, match=r"out\.json: exists already"):
        write(dataset, tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == "old"


def test_records_of_other_categories_stay_where_they_are(
    document: Document, save: Save, rewritten: Callable[[Dataset], str]
) -> None:
    document["categories"].append({"id": 2, "name": "ball"})
    document["annotations"].insert(1, {"id": 99, "image_id": 7, "category_id": 2})
    dataset = read(save(document))

    text = rewritten(dataset.subset(np.array([True, False])))

    assert len(dataset.annotations) == 2
    del document["annotations"][2]
    assert text == json.dumps(document)


@pytest.mark.parametrize(
    ("record", "changes", "wanted"),
    [
        ('{"a": 1, "b": 2}', {"a": "9"}, '{"a": 9, "b": 2}'),
        ('{"a": 1, "b": 2}', {"a": None}, '{"b": 2}'),
        ('{"a": 1, "b": 2}', {"b": None}, '{"a": 1}'),
        ('{"a": 1, "b": 2}', {"a": None, "b": None}, "{}"),
        ('{"a": 1, "b": 2, "c": 3}', {"a": None, "b": None}, '{"c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', {"b": None}, '{"a": 1, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', {"a": None, "c": None}, '{"b": 2}'),
        ('{"a": 1, "b": 2, "c": 3}', {"a": None, "b": "5"}, '{"b": 5, "c": 3}'),
        ('{"a":1,"b":2}', {"c": "3"}, '{"a":1,"b":2,"c":3}'),
        ("{}", {"c": "3"}, '{"c": 3}'),
        ('{"a": 1}', {"a": None, "c": "3"}, '{"c": 3}'),
        ('{\n  "a": 1,\n  "b": 2\n}', {"c": "3"}, '{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}'),
        ('{"a": 1, "a": 2}', {"a": "3"}, '{"a": 1, "a": 3}'),
        ('{"a" : 1.50 , "b" : "x}" }', {"b": "7"}, '{"a" : 1.50 , "b" : 7 }'),
        ('{"\\u0061": 1, "b": 2}', {"a": "3"}, '{"\\u0061": 3, "b": 2}'),
    ],
)
def test_patch_record_touches_only_what_it_must(
    record: str, changes: dict[str, str | None], wanted: str
) -> None:
    assert patch_record(record.encode(), changes).decode() == wanted


@pytest.mark.parametrize(
    ("value", "tokens", "wanted"),
    [
        ("[1,  2]", ["3", "4"], "[3,  4]"),
        ("[\n 1,\n 2\n]", ["3", "4", "5"], "[\n 3,\n 4,\n 5\n]"),
        ("[]", ["3", "4"], "[3, 4]"),
        (None, ["3"], "[3]"),
        ("null", ["3"], "[3]"),
    ],
)
def test_a_list_keeps_its_white_space(
    value: str | None, tokens: list[str], wanted: str
) -> None:
    assert with_tokens(value, tokens) == wanted


def test_images_without_a_file_have_canonical_keys(tmp_path: Path, tiny_schema: Schema) -> None:
    images = Images(
        ids=np.array([5]),
        file_names=("é.jpg",),
        size_wh=np.array([[10, 20]]),
        clips=("c",),
        frames=np.array([0]),
        crowd_index=np.array([0.5]),
    )
    people = Annotations.from_arrays(
        tiny_schema,
        np.zeros(0, np.int64),
        np.zeros((0, 3, 2)),
        np.zeros((0, 3), np.uint8),
        np.zeros((0, 4)),
    )

    write(Dataset(tiny_schema, images, people), tmp_path / "out.json")

    assert (tmp_path / "out.json").read_text("utf-8").splitlines()[:3] == [
        "{",
        '"images": [',
        '{"id": 5, "file_name": "é.jpg", "width": 10, "height": 20, "clip": "c", "frame": 0, '
        '"crowdIndex": 0.5}',
    ]


@pytest.mark.parametrize("name", ["out.csv", "out.PARQUET", "out.xml", "out.mat"])
def test_coco_is_not_written_under_the_ending_of_another_format(
    dataset: Dataset, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match=r"is for format .*ending in \.json.*toolkit convert"):
        write(dataset, tmp_path / name)

    assert not (tmp_path / name).exists()


def test_a_new_field_of_a_record_with_wide_gaps_after_its_colons_is_json(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    del document["annotations"][0]["area"]
    aligned = json.dumps(document, separators=(", ", ":   "))
    found = read(save(aligned))
    area = np.array([7.5, 9.5])

    write(
        replace(found, annotations=replace(found.annotations, area=area)), tmp_path / "o.json"
    )

    document["annotations"][0]["area"] = 7.5
    assert json.loads((tmp_path / "o.json").read_text("utf-8")) == document
