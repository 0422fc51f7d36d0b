from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit import formats
from toolkit.curate.annotators import NOBODY, annotators_of, panel_of
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

    np.testing.assert_array_equal(panel.instance_id, [[1, -1], [1, 2]])
    assert (panel.visibility[0, 1] == NOBODY).all()
    assert not panel.labelled[0, 1].any()


def test_the_scale_falls_back_to_a_share_of_the_box(
    make_dataset: Callable[..., Dataset],
) -> None:
    one = make_dataset(1)
    bare = replace(one, annotations=replace(one.annotations, area=np.array([np.nan])))

    panel = panel_of([("anna", bare), ("ben", bare)])

    np.testing.assert_allclose(panel.scale, np.sqrt(0.53 * 10 * 20))


def test_one_file_holds_several_annotators_where_its_records_name_them(
    coco_document: dict[str, object], write_json: Callable[..., Path]
) -> None:
    first, second = coco_document["annotations"]
    second |= {"keypoints": first["keypoints"], "bbox": first["bbox"]}
    first["annotator"], second["labelstudio"] = "anna", {"completed_by": 7}
    dataset = formats.read(write_json(coco_document))

    found = annotators_of([dataset])
    panel = panel_of(found, by="oks")

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
