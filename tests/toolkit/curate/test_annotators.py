from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit import formats
from toolkit.annotations import Images
from toolkit.curate.annotators import NOBODY, annotators_of, panel_of, unnamed_records
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError


def moved(dataset: Dataset, dx: float) -> Dataset:
    people = dataset.annotations
    return replace(
        dataset, annotations=replace(people, keypoints=people.keypoints + np.array([dx, 0.0]))
    )


def test_people_are_put_side_by_side_whatever_their_order(
    make_dataset: Callable[..., Dataset],
) -> None:
    one = make_dataset(2)
    two = moved(one, 2).subset(np.array([1, 0]))

    panel = panel_of([("anna", one), ("ben", two)])

    assert panel.names == ("anna", "ben")
    np.testing.assert_array_equal(panel.instance_id, [[1, 2], [1, 2]])
    np.testing.assert_allclose(panel.keypoints[1] - panel.keypoints[0], [[[2, 0]] * 3] * 2)
    np.testing.assert_allclose(panel.scale, np.sqrt(200))


def test_a_person_that_somebody_left_out_is_a_row_of_absences(
    make_dataset: Callable[..., Dataset],
) -> None:
    one = make_dataset(2)

    panel = panel_of([("anna", one.subset(np.array([0]))), ("ben", one)])

    assert [panel.ids_of(row) for row in (0, 1)] == [(1, 1), (None, 2)]
    assert (panel.visibility[0, 1] == NOBODY).all()
    assert not panel.labelled[0, 1].any()


def test_the_scale_falls_back_to_a_share_of_the_box(
    make_dataset: Callable[..., Dataset],
) -> None:
    one = make_dataset(1)
    bare = replace(one, annotations=replace(one.annotations, area=np.array([np.nan])))

    panel = panel_of([("anna", bare), ("ben", bare)])

    np.testing.assert_allclose(panel.scale, np.sqrt(0.53 * 10 * 20))


def test_a_group_is_a_clip_however_it_is_spelled_and_never_an_image_of_that_number(
    make_dataset: Callable[..., Dataset],
) -> None:
    one = make_dataset(4)
    people = replace(one.annotations, image_id=np.array([1, 2, 3, 4]))
    clips = ("caf\u00e9", "cafe\u0301", "image 4", None)
    images = Images(
        np.arange(1, 5),
        tuple("abcd"),
        np.full((4, 2), 100),
        clips,
        np.full(4, -1),
        np.full(4, np.nan),
    )

    panel = panel_of([("anna", d := replace(one, annotations=people, images=images)), ("b", d)])

    np.testing.assert_array_equal(panel.group, [0, 0, 1, 2])


def test_one_file_holds_several_annotators_where_its_records_name_them(
    coco_document: dict[str, object], write_json: Callable[..., Path]
) -> None:
    first, second = coco_document["annotations"]
    second |= {"keypoints": first["keypoints"], "bbox": first["bbox"]}
    first["annotator"], second["labelstudio"] = "anna", {"completed_by": 7}
    dataset = formats.read(write_json(coco_document))

    found = annotators_of([dataset])
    panel = panel_of(found)

    assert [name for name, _ in found] == ["anna", "7"]
    np.testing.assert_array_equal(panel.instance_id, [[1], [2]])


def test_one_annotator_is_refused(
    coco_document: dict[str, object], write_json: Callable[..., Path]
) -> None:
    dataset = formats.read(write_json(coco_document))

    with pytest.raises(UsageError, match="one annotator; agreement needs two"):
        annotators_of([dataset])


def test_other_keypoints_and_other_images_are_refused(
    make_dataset: Callable[..., Dataset],
    coco_document: dict[str, object],
    write_json: Callable[..., Path],
) -> None:
    one = make_dataset(1)
    coco = formats.read(write_json(coco_document))
    away = formats.read(
        write_json(
            json.loads(json.dumps(coco_document).replace("seven", "six").replace("7", "9"))
        )
    )

    with pytest.raises(InvalidDataError, match="ben: keypoints of schema 'coco'"):
        panel_of([("anna", one), ("ben", coco)])
    with pytest.raises(InvalidDataError, match="ben: no image in common with the first"):
        panel_of([("anna", coco), ("ben", away)])


def person(
    number: int, image: int, x: float, y: float = 20.0, **more: object
) -> dict[str, object]:
    """Somebody of 40 x 80 px with three keypoints."""
    points = [x + 20, y + 5, 2, x + 10, y + 20, 2, x + 30, y + 20, 1]
    return {
        "id": number, "image_id": image, "category_id": 1, "bbox": [x, y, 40, 80],
        "area": 3200, "iscrowd": 0, "num_keypoints": 3, "keypoints": points, **more,
    }  # fmt: skip


def file_of(people: list[dict[str, object]], images: int = 2) -> dict[str, object]:
    sizes = {"width": 400, "height": 300}
    names = ["nose", "left_eye", "right_eye"]
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", **sizes} for i in range(1, images + 1)],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
    }


BOTH = [person(1, 1, 10), person(2, 1, 200), person(3, 2, 10), person(4, 2, 200)]


@pytest.fixture
def ids_of(write_json: Callable[..., Path]) -> Callable[..., list[tuple[int | None, ...]]]:
    """Who is taken for whom: each person's id in each file."""

    def run(*files: list[dict[str, object]]) -> list[tuple[int | None, ...]]:
        read = [formats.read(write_json(file_of(f), f"{n}.json")) for n, f in enumerate(files)]
        panel = panel_of(list(zip("abc", read, strict=False)))
        return [panel.ids_of(row) for row in range(panel.present.shape[1])]

    return run


@pytest.mark.parametrize("other", [person(5, 2, 300, 150), person(5, 1, 90, 150)])
def test_two_new_people_under_one_id_stay_two(
    other: dict[str, object], ids_of: Callable[..., list[tuple[int | None, ...]]]
) -> None:
    mine = [*BOTH, person(5, 1, 300, 150)]

    assert ids_of(mine, [*BOTH, other])[4:] == [(5, None), (None, 5)]
    assert ids_of(BOTH, mine, [*BOTH, other])[4:] == [(None, 5, None), (None, None, 5)]


def test_people_who_overlap_under_each_others_ids_are_told_apart(
    ids_of: Callable[..., list[tuple[int | None, ...]]],
) -> None:
    one = [*BOTH, person(5, 1, 300), person(6, 1, 325)]
    other = [*BOTH, person(6, 1, 301), person(5, 1, 326)]

    assert ids_of(one, other)[4:] == [(5, 6), (6, 5)]


def test_a_person_whose_sides_are_exchanged_is_found_by_id_and_by_box(
    ids_of: Callable[..., list[tuple[int | None, ...]]],
) -> None:
    points = [30, 25, 2, 230, 40, 2, 20, 40, 1]  # one eye far away, the other on its place

    for number in (1, 9):
        drawn = person(number, 1, 10, keypoints=points)
        assert ids_of(BOTH, [drawn, *BOTH[1:]])[0] == (1, number)


def test_ids_below_0_are_ids_like_others(
    ids_of: Callable[..., list[tuple[int | None, ...]]],
) -> None:
    assert ids_of([person(-5, 1, 10)], [person(-5, 1, 10)]) == [(-5, -5)]


def test_a_note_of_another_tool_does_not_hide_the_annotator(
    write_json: Callable[..., Path],
) -> None:
    people = [
        person(1, 1, 10, annotator="anna", labelstudio="exported"),
        person(2, 1, 10, annotator="ben"),
        person(3, 2, 10),
    ]

    found = annotators_of([formats.read(write_json(file_of(people)))])

    assert [name for name, _ in found] == ["anna", "ben"]
    assert unnamed_records(found[0][1]) == [2]
