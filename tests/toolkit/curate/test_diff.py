"""A diff names what changed, and nothing else."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit.curate.diff import diff
from toolkit.curate.diff_page import diff_page
from toolkit.curate.diff_report import counts, keypoint_summaries, summary_lines, to_json
from toolkit.curate.records import MISSING, same
from toolkit.dataset import Dataset
from toolkit.schema import Schema

Document = dict[str, Any]
Load = Callable[..., Dataset]


def nonzero(result: Any) -> dict[str, int]:
    return {key: number for key, number in counts(result).items() if number}


def compare(load: Load, old: Document, new: object, **options: Any) -> Any:
    return diff(load(old, "old.json"), load(new, "new.json"), **options)


def test_equal_files_have_no_differences(coco_document: Document, dataset_of: Load) -> None:
    result = compare(dataset_of, coco_document, coco_document)

    assert result.equal
    assert summary_lines(result) == [
        "matched 2 instances (2 by id) in 1 image (1 by id and file name)",
        "no differences: the files are equal byte for byte",
    ]


def test_spelling_is_no_difference(coco_document: Document, dataset_of: Load) -> None:
    text = json.dumps(coco_document, indent=3).replace(" 10,", " 10.0,").replace("20,", "2e1,")

    result = compare(dataset_of, coco_document, text)

    assert result.equal
    assert summary_lines(result)[1] == "no differences; the files are spelled differently"


def test_order_alone_is_said_as_such(coco_document: Document, dataset_of: Load) -> None:
    other = copy.deepcopy(coco_document)
    other["annotations"].reverse()

    result = compare(dataset_of, coco_document, other)

    assert result.equal
    assert result.reordered == ("annotations",)
    assert summary_lines(result)[1] == "no differences but the order of annotations"


def test_a_moved_keypoint_is_named_with_its_way(
    coco_document: Document, dataset_of: Load
) -> None:
    other = copy.deepcopy(coco_document)
    other["annotations"][1]["keypoints"][3] += 3  # left_eye of id 2
    other["annotations"][1]["keypoints"][4] += 4
    other["annotations"][0]["keypoints"][3] += 1

    result = compare(dataset_of, coco_document, other)

    assert nonzero(result) == {"keypoints_moved": 2}
    moves = to_json(result)["moves"]
    assert moves[0] == {
        "id": 2,
        "new_id": 2,
        "image_id": 7,
        "file_name": "seven.jpg",
        "matched_by": "id",
        "keypoint": "left_eye",
        "px": 5.0,
        "old": [51.0, 22.0],
        "new": [54.0, 26.0],
    }
    line = next(item for item in keypoint_summaries(result) if item.changed)
    assert (line.name, line.compared, line.moved) == ("left_eye", 2, 2)
    assert (line.median_px, line.max_px) == (3.0, 5.0)  # of 1 and 5


def test_moves_within_the_tolerance_do_not_count(
    coco_document: Document, dataset_of: Load
) -> None:
    other = copy.deepcopy(coco_document)
    other["annotations"][0]["keypoints"][0] += 2
    other["annotations"][0]["bbox"][0] += 2

    within = compare(dataset_of, coco_document, other, tolerance=2)
    beyond = compare(dataset_of, coco_document, other, tolerance=1.9)

    assert within.equal
    assert summary_lines(within)[1].startswith("no differences beyond 2 px")
    assert nonzero(beyond) == {"keypoints_moved": 1, "boxes_changed": 1}


def test_a_width_that_differs_below_the_rounding_of_its_edge_is_a_difference(
    coco_document: Document, dataset_of: Load
) -> None:
    coco_document["annotations"][0]["bbox"] = [1000.1, 5, 10.3, 8]
    other = copy.deepcopy(coco_document)
    other["annotations"][0]["bbox"][2] = (1000.1 + 10.3) - 1000.1  # 10.299999999999955

    result = compare(dataset_of, coco_document, other)

    assert nonzero(result) == {"boxes_changed": 1}
    assert not result.equal


def test_boxes_that_differ_in_the_seventh_digit_look_different_on_the_page(
    coco_document: Document, dataset_of: Load
) -> None:
    new = copy.deepcopy(coco_document)
    coco_document["annotations"][0]["bbox"][0] = 1234.5671
    new["annotations"][0]["bbox"][0] = 1234.5672

    page = diff_page(compare(dataset_of, coco_document, new), None, lambda done, total: None)

    assert "1234.5671, 20, 16, 32" in page
    assert "1234.5672, 20, 16, 32" in page


def test_the_largest_image_id_is_an_id_like_others(
    coco_document: Document, dataset_of: Load
) -> None:
    other = copy.deepcopy(coco_document)
    other["images"][0] |= {"id": 2**63 - 1, "file_name": "other.jpg", "width": 1}
    for record in other["annotations"]:
        record["image_id"] = 2**63 - 1

    assert len(compare(dataset_of, coco_document, other).added_images) == 1


def test_visibility_that_comes_goes_and_changes(
    coco_document: Document, dataset_of: Load
) -> None:
    old = copy.deepcopy(coco_document)
    old["annotations"][0]["keypoints"][0:3] = [0, 0, 0]
    new = copy.deepcopy(coco_document)
    new["annotations"][0]["keypoints"][3:6] = [0, 0, 0]
    new["annotations"][0]["keypoints"][8] = 1

    result = compare(dataset_of, old, new)

    lines = {line.name: line for line in keypoint_summaries(result) if line.changed}
    assert (lines["nose"].labelled, lines["nose"].unlabelled) == (1, 0)
    assert (lines["left_eye"].labelled, lines["left_eye"].unlabelled) == (0, 1)
    assert lines["right_eye"].visibility == 1
    assert nonzero(result) == {"visibility_changed": 3}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"area": 1}, {"annotation_fields_changed": 1}),
        ({"num_keypoints": 3}, {"annotation_fields_changed": 1}),
        ({"iscrowd": 1}, {"annotation_fields_changed": 1}),
        ({"note": None}, {"annotation_fields_changed": 1}),
        ({"image_id": 8}, {"annotation_fields_changed": 1}),
        ({"bbox": [10, 20, 16, 33]}, {"boxes_changed": 1}),
        ({"keypoints": [1, 2]}, {"annotation_fields_changed": 1, "visibility_changed": 17}),
        ({"keypoints": None}, {"annotation_fields_changed": 1, "visibility_changed": 17}),
    ],
    ids=["area", "num_keypoints", "iscrowd", "null", "image", "box", "keypoints", "none"],
)
def test_a_changed_field_is_counted_once(
    coco_document: Document,
    dataset_of: Load,
    change: Document,
    expected: dict[str, int],
) -> None:
    coco_document["images"].append({"id": 8, "file_name": "b", "width": 9, "height": 9})
    other = copy.deepcopy(coco_document)
    other["annotations"][0].update(change)

    found = nonzero(compare(dataset_of, coco_document, other))

    assert found == expected


def test_coordinates_under_visibility_0_are_compared(
    coco_document: Document, dataset_of: Load
) -> None:
    coco_document["annotations"][0]["keypoints"][0:3] = [0, 0, 0]
    other = copy.deepcopy(coco_document)
    other["annotations"][0]["keypoints"][0:3] = [5, 6, 0]

    result = compare(dataset_of, coco_document, other)

    (change,) = result.fields
    assert change.place == "annotations id=1 'keypoints: unlabelled nose'"
    assert (change.old, change.new) == ([0, 0, 0], [5, 6, 0])


def test_lists_that_arrays_cannot_hold_are_compared(
    coco_document: Document, dataset_of: Load
) -> None:
    coco_document["annotations"][0]["keypoints"][0] = "x"
    other = copy.deepcopy(coco_document)
    other["annotations"][0]["keypoints"][0] = "y"

    result = compare(dataset_of, coco_document, other)

    assert [change.place for change in result.fields] == ["annotations id=1 'keypoints'"]


def test_what_stands_beside_the_lists_is_compared(
    coco_document: Document, dataset_of: Load
) -> None:
    other = copy.deepcopy(coco_document) | {"info": {"description": "other"}, "more": [1]}
    other["images"][0]["width"] = 101
    other["categories"][0]["name"] = "player"

    result = compare(dataset_of, coco_document, other)

    assert [(change.place, change.old) for change in result.fields] == [
        ("images id=7 'width'", 100),
        ("categories id=1 'name'", "person"),
        ("'info'", {"description": "tiny"}),
        ("'more'", MISSING),
    ]


@pytest.mark.parametrize("spelling", ["cafe\u0301.jpg", "./caf\u00e9.jpg", "x/cafe\u0301.jpg"])
def test_an_image_is_found_again_however_its_name_is_spelled(
    coco_document: Document, dataset_of: Load, spelling: str
) -> None:
    coco_document["images"][0]["file_name"] = "caf\u00e9.jpg"
    new = copy.deepcopy(coco_document)
    new["images"][0] |= {"id": 9, "file_name": spelling}
    for person in new["annotations"]:
        person["image_id"] = 9

    result = compare(dataset_of, coco_document, new)

    assert nonzero(result) == {"image_fields_changed": 2}
    assert [change.field for change in result.fields] == ["id", "file_name"]


def test_instances_and_images_come_and_go(coco_document: Document, dataset_of: Load) -> None:
    other = copy.deepcopy(coco_document)
    other["images"].append({"id": 8, "file_name": "8.jpg", "width": 100, "height": 80})
    other["annotations"][0]["id"] = 9
    other["annotations"][0]["keypoints"] = [
        v + 40 for v in other["annotations"][0]["keypoints"]
    ]
    other["annotations"][0]["keypoints"][2::3] = [2] * 17
    other["annotations"][0]["image_id"] = 8

    document = to_json(compare(dataset_of, coco_document, other))

    assert document["added"] == [{"id": 9, "image_id": 8}]
    assert document["removed"] == [{"id": 1, "image_id": 7}]
    assert document["images"] == {"added": [{"id": 8, "file_name": "8.jpg"}], "removed": []}


def crowd(document: Document, count: int, seed: int) -> Document:
    """Many people in ten images, at random places."""
    chance = random.Random(seed)
    document["images"] = [
        {"id": i, "file_name": f"{i}.jpg", "width": 900, "height": 900} for i in range(1, 11)
    ]
    people = []
    for number in range(count):
        x, y = chance.uniform(0, 800), chance.uniform(0, 800)
        points = [v for k in range(17) for v in (x + 3 * k, y + 5 * k, 2)]
        people.append(
            {
                "id": number + 1,
                "image_id": number % 10 + 1,
                "category_id": 1,
                "keypoints": points,
                "num_keypoints": 17,
                "bbox": [x, y, 51, 85],
                "area": 4000,
                "iscrowd": 0,
            }
        )
    document["annotations"] = people
    return document


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_renumbered_people_and_images_are_found_again(
    coco_document: Document, dataset_of: Load, noise: float
) -> None:
    old = crowd(coco_document, 80, 0)
    new = copy.deepcopy(old)
    chance = random.Random(1)
    true_id = {}
    chance.shuffle(new["annotations"])
    for image in new["images"]:
        image["id"] = 11 - image["id"]
        image["file_name"] = "photos/" + image["file_name"]
    for number, person in enumerate(new["annotations"]):
        true_id[number + 1] = person["id"]
        person["id"] = number + 1
        person["image_id"] = 11 - person["image_id"]
        person["keypoints"] = [
            v if at % 3 == 2 else v + chance.uniform(-noise, noise)
            for at, v in enumerate(person["keypoints"])
        ]

    result = compare(dataset_of, old, new)

    assert result.people.counts() == {"id": 0, "oks": 80}
    assert result.images.counts()["end of the file name"] == 10
    ids = result.old.annotations.instance_id[result.people.old]
    new_ids = result.new.annotations.instance_id[result.people.new]
    assert [true_id[i] for i in new_ids.tolist()] == ids.tolist()
    assert result.moved.any() == (noise > 0)
    assert float(np.nanmax(result.moved_px)) <= noise * 2**0.5


def test_ids_are_believed_even_where_a_person_moved_far(
    coco_document: Document, dataset_of: Load
) -> None:
    coco_document["annotations"] = coco_document["annotations"][:1]
    other = copy.deepcopy(coco_document)
    for at in range(0, 51, 3):
        other["annotations"][0]["keypoints"][at] += 60

    result = compare(dataset_of, coco_document, other)

    assert nonzero(result) == {"keypoints_moved": 17}
    assert result.people.counts() == {"id": 1, "oks": 0}


def test_a_person_under_a_new_id_is_found_by_oks(
    coco_document: Document, dataset_of: Load
) -> None:
    other = copy.deepcopy(coco_document)
    other["annotations"][1]["id"] = 50

    result = compare(dataset_of, coco_document, other)
    by_id = compare(dataset_of, coco_document, other, match="id")

    assert result.people.counts() == {"id": 1, "oks": 1}
    assert nonzero(result) == {"annotations_renumbered": 1}
    assert nonzero(by_id) == {"annotations_added": 1, "annotations_removed": 1}


def test_keypoints_of_two_schemas_are_compared_by_name(
    coco_document: Document, dataset_of: Load
) -> None:
    hockey = Schema.load("hockey")
    other = copy.deepcopy(coco_document)
    other["categories"] = [hockey.coco_category()]
    for person in other["annotations"]:
        person["keypoints"] += [1, 1, 2] * 3
        person["num_keypoints"] = 20

    result = compare(dataset_of, coco_document, other)

    assert result.keypoints_changed == ((), hockey.names[17:])
    assert not result.moved.any()
    assert not result.equal


def test_records_that_arrays_cannot_hold_are_compared(
    coco_document: Document, dataset_of: Load
) -> None:
    coco_document["annotations"].append({"id": "x", "image_id": 7})
    other = copy.deepcopy(coco_document)
    other["annotations"][2]["image_id"] = "8"

    result = compare(dataset_of, coco_document, other)

    (change,) = result.fields
    assert (change.section, change.field, change.new) == ("annotations", "image_id", "8")


def test_a_data_set_without_a_file_can_be_compared(
    make_dataset: Callable[..., Dataset],
) -> None:
    old, new = make_dataset(3), make_dataset(2)
    new.annotations.keypoints[0, 2] += (3, 4)

    result = diff(old, new)

    assert nonzero(result) == {"keypoints_moved": 1, "annotations_removed": 1}
    assert result.largest_moves() == [(0, 2)]


def test_every_number_of_the_report_is_json(coco_document: Document, dataset_of: Load) -> None:
    other = copy.deepcopy(coco_document)
    del other["annotations"][0]["bbox"]
    text = json.dumps(other).replace('"area": 300.5', '"area": 1e999', 1)

    document = json.dumps(to_json(compare(dataset_of, coco_document, text)), allow_nan=False)

    assert '"new": "inf"' in document


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (None, 0, False),
        ([1, [2]], [1.0, [2.0]], True),
        ([1], [1, 2], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": True}, {"a": 1}, False),
        ("1", 1, False),
    ],
)
def test_values_are_compared_by_what_they_say(a: object, b: object, expected: bool) -> None:
    assert same(a, b) is expected
