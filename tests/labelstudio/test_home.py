"""A person's edits put into a file that holds more than was pushed; no server is needed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from toolkit import formats
from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats.compare import identity
from toolkit.formats.labelstudio import tasks_of
from toolkit.formats.labelstudio_read import document_of
from toolkit.labelstudio.home import Merged, merged
from toolkit.labelstudio.pull import _sent

Json = dict[str, Any]


def person(number: int, image: int) -> Json:
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [10, 10, 20, 20],
        "keypoints": [12, 12, 2, 14, 14, 1],
        "num_keypoints": 2,
        "iscrowd": 0,
        "area": 400,
    }


@pytest.fixture
def document() -> Json:
    """Two frames with persons 1 and 2: the number after 1 is taken by another frame's."""
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
            {"id": 2, "file_name": "b.png", "width": 100, "height": 80},
        ],
        "annotations": [person(1, 1), person(2, 2)],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "toe"]}],
    }


@pytest.fixture
def task(document: Json, tmp_path: Path) -> Json:
    """The first frame's task alone, confirmed as it was sent."""
    schema = formats.scan(written(tmp_path / "sent.json", document)).dataset.schema
    found: Json = json.loads(json.dumps(tasks_of(document, schema, rows=[0])[0]))
    found["id"] = 7
    found["annotations"][0] |= {"id": 70, "completed_by": 1}
    return found


def written(path: Path, document: Json) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


def home(task: Json, base: Path) -> tuple[Merged, Json]:
    result = merged(
        formats.scan(base).dataset,
        document_of([task], None, None)[0],
        _sent([task]),
        {identity(annotation["id"]) for annotation in task["annotations"]},
    )
    return result, json.loads(result.content)


def add_person(task: Json, x: float = 50.0) -> None:
    size = {"original_width": 100, "original_height": 80}
    value = {"x": x, "y": 50, "width": 10, "height": 10, "rectanglelabels": ["person"]}
    one = {"id": f"new{x}", "type": "rectanglelabels", "from_name": "box", "value": value}
    task["annotations"][0]["result"].append(one | size)


def test_somebody_new_never_takes_the_number_of_another_frames_person(
    document: Json, task: Json, tmp_path: Path
) -> None:
    add_person(task)

    result, found = home(task, written(tmp_path / "base.json", document))

    assert found["annotations"][1] == document["annotations"][1]
    assert [a["id"] for a in found["annotations"]] == [1, 2, 3]
    assert (found["annotations"][2]["image_id"], result.added) == (1, 1)
    assert found["annotations"][2]["bbox"] == [50, 40, 10, 8]


def test_pulling_again_into_what_came_home_adds_nobody_twice(
    document: Json, task: Json, tmp_path: Path
) -> None:
    add_person(task, 50.0)
    add_person(task, 60.0)
    _, once = home(task, written(tmp_path / "base.json", document))
    again = copy.deepcopy(task)
    again["annotations"][0]["result"][-1]["value"]["x"] = 70

    result, twice = home(task, written(tmp_path / "once.json", once))
    moved, later = home(again, written(tmp_path / "twice.json", twice))

    assert twice == once
    assert (result.added, result.changed, result.removed) == (0, 0, 0)
    assert (moved.added, moved.changed, moved.removed) == (0, 1, 0)
    assert [a["id"] for a in later["annotations"]] == [1, 2, 3, 4]
    assert [a["bbox"][0] for a in later["annotations"]] == [10, 10, 50, 70]


def test_a_picture_that_somebody_else_added_never_takes_the_number_of_another(
    document: Json, task: Json, tmp_path: Path
) -> None:
    other: Json = {"id": 8, "data": {"image": "/data/upload/3/c.png"}}
    other["annotations"] = [{"id": 80, "result": []}]
    add_person(other)
    tasks = [task, other]

    def pull(base: Path) -> tuple[Merged, Json]:
        came = document_of(tasks, None, None)[0]
        result = merged(formats.scan(base).dataset, came, _sent(tasks))
        return result, json.loads(result.content)

    first, once = pull(written(tmp_path / "base.json", document))
    second, twice = pull(written(tmp_path / "once.json", once))

    assert once["images"][:2] == document["images"]
    assert (once["images"][2]["id"], once["images"][2]["file_name"]) == (3, "c.png")
    assert [(a["id"], a["image_id"]) for a in once["annotations"]] == [(1, 1), (2, 2), (3, 3)]
    assert (first.added, second.added) == (1, 0)
    assert twice == once


def test_a_base_whose_frames_have_other_names_is_refused(
    document: Json, task: Json, tmp_path: Path
) -> None:
    other = copy.deepcopy(document)
    other["images"][0]["file_name"] = "other.png"

    with pytest.raises(UsageError, match=r"1 of the 1 pushed frames have other names in it: "):
        home(task, written(tmp_path / "other.json", other))


def test_a_base_that_has_lost_a_pushed_frame_is_taken(
    document: Json, task: Json, tmp_path: Path
) -> None:
    del document["images"][0], document["annotations"][0]

    _, found = home(task, written(tmp_path / "later.json", document))

    assert [one["id"] for one in found["images"]] == [2]
    assert [one["id"] for one in found["annotations"]] == [2]


def move_nose(task: Json, x: float) -> None:
    nose = next(r for r in task["annotations"][0]["result"] if r["id"] == "p0k0")
    nose["value"]["x"] = x


def test_an_edit_of_a_person_whom_the_file_has_lost_is_taken_and_named(
    document: Json, task: Json, tmp_path: Path
) -> None:
    del document["annotations"][0]
    move_nose(task, 15)

    result, found = home(task, written(tmp_path / "later.json", document))

    assert [one["id"] for one in found["annotations"]] == [2, 1]
    assert result.conflicts == ["annotation 1, which the file no longer has"]


def test_a_keypoint_that_nobody_moved_stays_as_the_file_has_it_by_now(
    document: Json, task: Json, tmp_path: Path
) -> None:
    later = copy.deepcopy(document)
    later["annotations"][0] |= {"keypoints": [12, 12, 2, 0, 0, 0], "num_keypoints": 1}
    move_nose(task, 15)

    result, found = home(task, written(tmp_path / "later.json", later))

    assert found["annotations"][0]["keypoints"] == [15, 12, 2, 0, 0, 0]
    assert found["annotations"][0]["num_keypoints"] == 1
    assert (result.changed, result.conflicts) == (1, [])


def test_a_keypoint_that_both_moved_is_the_annotators_and_named(
    document: Json, task: Json, tmp_path: Path
) -> None:
    document["annotations"][0]["keypoints"][:2] = [90, 70]
    move_nose(task, 15)

    result, found = home(task, written(tmp_path / "later.json", document))

    assert found["annotations"][0]["keypoints"] == [15, 12, 2, 14, 14, 1]
    assert result.conflicts == ["annotation 1 field 'keypoints' (0)"]


def test_somebody_added_and_taken_away_again_goes_and_the_others_stay_who_they_are(
    document: Json, task: Json, tmp_path: Path
) -> None:
    add_person(task, 50.0)
    add_person(task, 60.0)
    _, once = home(task, written(tmp_path / "base.json", document))
    once["annotations"][3]["track"] = "of the second"
    kept = task["annotations"][0]["result"]
    task["annotations"][0]["result"] = [r for r in kept if r["id"] != "new50.0"]

    result, twice = home(task, written(tmp_path / "once.json", once))

    assert twice["annotations"] == [once["annotations"][at] for at in (0, 1, 3)]
    assert (result.added, result.changed, result.removed) == (0, 0, 1)


def test_an_edit_that_an_annotator_takes_back_comes_home_too(
    document: Json, task: Json, tmp_path: Path
) -> None:
    move_nose(task, 15)
    _, once = home(task, written(tmp_path / "base.json", document))
    move_nose(task, 12)

    result, twice = home(task, written(tmp_path / "once.json", once))

    assert once["annotations"][0]["keypoints"] == [15, 12, 2, 14, 14, 1]
    assert twice["annotations"][0]["keypoints"] == [12, 12, 2, 14, 14, 1]
    assert (result.changed, result.conflicts) == (1, [])


def test_somebody_added_to_an_annotation_in_which_nobody_is_left_goes_too(
    document: Json, task: Json, tmp_path: Path
) -> None:
    add_person(task)
    _, once = home(task, written(tmp_path / "base.json", document))
    task["annotations"][0]["result"] = []

    result, twice = home(task, written(tmp_path / "once.json", once))

    assert [one["id"] for one in once["annotations"]] == [1, 2, 3]
    assert [one["id"] for one in twice["annotations"]] == [2]
    assert result.removed == 2


def test_somebody_taken_away_and_put_back_is_told_for_the_file_may_have_lost_them_itself(
    document: Json, task: Json, tmp_path: Path
) -> None:
    before = task["annotations"][0]["result"]
    task["annotations"][0]["result"] = []
    _, once = home(task, written(tmp_path / "base.json", document))
    task["annotations"][0]["result"] = before

    result, twice = home(task, written(tmp_path / "once.json", once))

    assert [one["id"] for one in once["annotations"]] == [2]
    assert twice == once
    assert result.kept == ["annotation 1, which the file no longer has"]


def test_a_keypoint_taken_back_after_the_file_changed_another_is_told(
    document: Json, task: Json, tmp_path: Path
) -> None:
    later = copy.deepcopy(document)
    later["annotations"][0]["keypoints"][3] = 77
    move_nose(task, 15)
    first, once = home(task, written(tmp_path / "base.json", later))
    move_nose(task, 12)

    result, twice = home(task, written(tmp_path / "once.json", once))

    assert once["annotations"][0]["keypoints"] == [15, 12, 2, 77, 14, 1]
    assert twice["annotations"][0]["keypoints"] == [15, 12, 2, 77, 14, 1]
    assert first.kept == []
    assert result.kept == [f"annotation 1 field 'keypoints' ({place})" for place in (0, 1)]


def test_what_the_file_changed_since_the_last_pull_stays_while_the_annotator_rests(
    document: Json, task: Json, tmp_path: Path
) -> None:
    """Of those who were pushed as of those whom the annotator added."""
    add_person(task)
    move_nose(task, 15)
    _, once = home(task, written(tmp_path / "base.json", document))
    once["annotations"][0]["keypoints"][0] = 16
    once["annotations"][2]["bbox"][0] = 55

    result, twice = home(task, written(tmp_path / "once.json", once))
    move_nose(task, 18)
    task["annotations"][0]["result"][-1]["value"]["x"] = 70
    later, thrice = home(task, written(tmp_path / "twice.json", twice))

    assert twice == once
    assert (result.changed, result.conflicts) == (0, [])
    assert thrice["annotations"][0]["keypoints"][0] == 18
    assert thrice["annotations"][2]["bbox"][0] == 70
    assert later.conflicts == [
        "annotation 1 field 'keypoints' (0)",
        "annotation 3 field 'bbox'",
    ]


def test_a_record_that_came_from_another_annotation_is_compared_with_what_was_sent(
    document: Json, task: Json, tmp_path: Path
) -> None:
    """Its nose came from elsewhere, and this annotator did not touch it."""
    other = copy.deepcopy(task)
    other["annotations"][0] |= {"id": 71}
    move_nose(other, 15)
    _, once = home(other, written(tmp_path / "base.json", document))

    result, twice = home(task, written(tmp_path / "once.json", once))

    assert twice["annotations"][0]["keypoints"] == [15, 12, 2, 14, 14, 1]
    assert (result.changed, result.conflicts) == (0, [])


def test_an_entry_of_the_base_that_is_no_annotation_is_named(
    document: Json, task: Json, tmp_path: Path
) -> None:
    document["annotations"].append(None)

    with pytest.raises(InvalidDataError, match=r"annotations\[2\] is null; wanted an object"):
        home(task, written(tmp_path / "base.json", document))
