"""Edits come home from a real database: all that a person changed, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import UsageError
from toolkit.views.edits import moved, shortest
from toolkit.views.home import bring_home, is_pulled, mark_pulled

Build = Callable[..., object]


def document_at(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


@pytest.fixture
def tiny(
    coco_document: dict, write_json: Callable[..., Path], grey_images: Callable[..., Path]
) -> tuple[Path, Path]:
    """Two people in one image of 100 x 80, with unknown fields and spelling to keep."""
    first = coco_document["annotations"][0]
    first["keypoints"][3:6] = [-12.25, 95.5, 1]  # beyond the picture, on two sides
    first["keypoints"][6:9] = [33, 44, 0]  # not labelled, with coordinates
    first["num_keypoints"] = 16
    first["note"] = {"who": "Ada", "sure": 0.10}
    first["tags"] = ["kept"]
    text = json.dumps(coco_document).replace('"area": 300.5', '"area": 3.005e2')
    return write_json(text), grey_images("seven.jpg")


def edited(view: object) -> dict:
    return json.loads(bring_home(view).coco)


def test_nothing_changed_is_the_file_byte_for_byte(
    build_view: Build, tiny: tuple[Path, Path], clip: tuple[Path, Path]
) -> None:
    assert bring_home(build_view(*tiny)).coco == tiny[0].read_bytes()
    assert bring_home(build_view(*clip, name="clip")).coco == clip[0].read_bytes()


def test_points_boxes_flags_and_tags_come_home_and_nothing_else(
    build_view: Build, tiny: tuple[Path, Path]
) -> None:
    view = build_view(*tiny)
    sample = view.first()
    label = sample.keypoints.keypoints[0]
    points = [list(point) for point in label.points]
    points[0] = [14.5 / 100, 21.125 / 80]  # moved
    points[1] = [130 / 100, -8 / 80]  # moved, and still beyond the picture
    points[2] = [60 / 100, 44 / 80]  # was not labelled
    points[4] = [float("nan"), float("nan")]  # taken away
    label.points = points
    flags = list(label.visibility)
    flags[3], flags[5] = 1, 0  # hidden; not labelled any more
    label.visibility = flags
    label.tags.append("look again")
    sample.people.detections[1].bounding_box = [50 / 100, 20 / 80, 20.5 / 100, 32 / 80]
    sample.people.detections[0].tags.remove("kept")
    sample.tags.append("blurred")
    sample["quality"] = 3
    label["comment"] = "boards hide it"
    sample.save()

    expected = document_at(tiny[0])
    first, second = expected["annotations"]
    first["keypoints"][0:3] = [14.5, 21.125, 2]
    first["keypoints"][3:6] = [130, -8, 1]
    first["keypoints"][6:9] = [60, 44, 2]
    first["keypoints"][11] = 1
    first["keypoints"][12:15] = [0, 0, 0]
    first["keypoints"][15:18] = [0, 0, 0]
    first["num_keypoints"] = 15  # one more, two fewer
    first["tags"] = ["look again"]
    first["comment"] = "boards hide it"
    second["bbox"] = [50, 20, 20.5, 32]
    expected["images"][0] |= {"tags": ["blurred"], "quality": 3}
    assert edited(view) == expected
    text = bring_home(view).coco.decode()
    assert '"area": 3.005e2' in text
    assert '{"who": "Ada", "sure": 0.1}' in text


def test_a_label_that_is_gone_and_one_that_is_new(
    build_view: Build, tiny: tuple[Path, Path], fiftyone: ModuleType
) -> None:
    view = build_view(*tiny)
    sample = view.first()
    sample.people.detections.pop(0)
    sample.keypoints.keypoints.pop(0)
    points = [[0.5, 0.5]] * 17
    points[3] = [float("nan"), float("nan")]
    sample.people.detections.append(
        fiftyone.Detection(label="person", bounding_box=[0.1, 0.25, 0.5, 0.5], annotation_id=90)
    )
    sample.keypoints.keypoints.append(
        fiftyone.Keypoint(label="person", points=points, annotation_id=90, tags=["new"])
    )
    sample.save()
    before, after = document_at(tiny[0]), edited(view)
    assert after["images"] == before["images"]
    assert [each["id"] for each in after["annotations"]] == [2, 3]
    assert after["annotations"][0] == before["annotations"][1]
    new = after["annotations"][1]
    assert new["bbox"] == [10, 20, 50, 40]
    assert new["keypoints"][:3] == [50, 40, 2]
    assert new["keypoints"][9:12] == [0, 0, 0]
    assert new["num_keypoints"] == 16
    assert new["image_id"] == 7
    assert new["tags"] == ["new"]


def test_only_the_box_or_only_the_keypoints_taken_away(
    build_view: Build, tiny: tuple[Path, Path]
) -> None:
    view = build_view(*tiny)
    sample = view.first()
    sample.people.detections.pop(0)
    sample.keypoints.keypoints.pop(1)
    sample.save()
    first, second = edited(view)["annotations"]
    assert "bbox" not in first
    assert first["keypoints"] == document_at(tiny[0])["annotations"][0]["keypoints"]
    assert second["keypoints"] == [0] * 51
    assert second["num_keypoints"] == 0
    assert second["bbox"] == [50, 20, 16, 32]


def test_tags_of_the_validator_are_not_a_persons(
    build_view: Build, tiny: tuple[Path, Path]
) -> None:
    view = build_view(*tiny)
    sample = view.first()
    sample.keypoints.keypoints[0].tags.append("num-keypoints-mismatch")
    sample.people.detections[0].tags = ["kept", "num-keypoints-mismatch"]
    sample.save()
    assert bring_home(view).unchanged


def test_what_cannot_come_home_is_told(
    build_view: Build, tiny: tuple[Path, Path], fiftyone: ModuleType
) -> None:
    view = build_view(*tiny)
    sample = view.first()
    sample.keypoints.keypoints[0].points = [[0.5, 0.5]]
    sample.keypoints.keypoints[1].visibility = [7] * 17
    sample.people.detections[0].label = "referee"
    sample["model"] = fiftyone.Classification(label="x")
    sample.save()
    view.add_sample(fiftyone.Sample(filepath="/nowhere/new.jpg"))
    home = bring_home(view)
    assert home.unchanged
    said = "\n".join(home.notes)
    for part in ("has 1 points", "visibilities other", "'referee'", "'model'", "new.jpg"):
        assert part in said


def test_a_frame_that_is_deleted_takes_its_people_along(
    build_view: Build, clip: tuple[Path, Path]
) -> None:
    view = build_view(*clip)
    view.delete_samples([view.first().id])
    before, after = document_at(clip[0]), edited(view)
    assert after["images"] == before["images"][1:]
    assert after["annotations"] == [a for a in before["annotations"] if a["image_id"] != 1]


def test_pulled_edits_are_known_until_the_next_edit(
    build_view: Build, tiny: tuple[Path, Path]
) -> None:
    view = build_view(*tiny)
    sample = view.first()
    sample.tags.append("one")
    sample.save()
    home = bring_home(view)
    assert not is_pulled(view, home)
    mark_pulled(view, home)
    assert is_pulled(view, bring_home(view))
    sample.tags.append("two")
    sample.save()
    assert not is_pulled(view, bring_home(view))


def test_a_data_set_of_somebody_else_has_no_home(fiftyone: ModuleType) -> None:
    other = fiftyone.Dataset("somebody's")
    with pytest.raises(UsageError, match="was not made by 'toolkit view'"):
        bring_home(other)
    other.delete()


@given(
    tenths=st.integers(-20_000, 20_000), size=st.integers(1, 10_000), digits=st.integers(0, 3)
)
def test_the_shortest_number_gives_back_what_a_person_typed(
    tenths: int, size: int, digits: int
) -> None:
    typed = tenths / 10**digits
    assert shortest(typed / size, size) == pytest.approx(typed, abs=1e-9)
    assert shortest(typed / size, size) / size == typed / size


@given(
    value=st.floats(-5_000, 5_000), width=st.integers(1, 20_000), nudge=st.floats(2e-6, 1_000)
)
def test_going_there_and_back_moves_nothing_and_any_nudge_is_seen(
    value: float, width: int, nudge: float
) -> None:
    size = np.array([float(width)])
    put = np.array([value]) / size
    assert not moved(put, put, size).any()
    assert not moved(put * (1 + 2e-16), put, size).any()
    assert moved((np.array([value]) + nudge) / size, put, size).all()
