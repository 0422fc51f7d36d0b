from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np

from toolkit import formats
from toolkit.curate.annotators import panel_of
from toolkit.curate.consensus import consensus_of

Document = dict[str, object]


def annotators(
    document: Document, write_json: Callable[..., Path], *changes: Callable[[Document], None]
) -> list[tuple[str, object]]:
    found = []
    for name, change in zip("abc", changes, strict=False):
        own = deepcopy(document)
        change(own)
        found.append((name, formats.read(write_json(own, f"{name}.json"))))
    return found


def same(document: Document) -> None:
    """Nothing changes."""


def test_what_all_agree_on_is_the_first_file_with_a_note(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    coco_document["annotations"][0]["mine"] = 2.50
    found = consensus_of(panel_of(annotators(coco_document, write_json, same, same, same)))

    found.write(tmp_path / "out.json")

    document = json.loads((tmp_path / "out.json").read_text())
    notes = [record.pop("consensus") for record in document["annotations"]]
    assert document == json.loads(json.dumps(coco_document))
    assert notes[0]["annotators"] == 3
    assert notes[0]["labelled_by"] == [3] * 17
    assert notes[0]["spread_px"] == [0.0] * 17


def test_a_keypoint_lies_at_the_median_and_one_outlier_does_not_move_it(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    def nose_at(x: float) -> Callable[[Document], None]:
        def change(document: Document) -> None:
            document["annotations"][0]["keypoints"][0] = x

        return change

    found = consensus_of(
        panel_of(annotators(coco_document, write_json, nose_at(10), nose_at(12), nose_at(90)))
    )

    assert found.dataset.annotations.keypoints[0, 0, 0] == 12
    # Around the mean 37.33: 27.33^2 + 25.33^2 + 52.67^2 = 4162.7, over n - 1 = 2.
    assert np.isclose(found.spread_px[0, 0], np.sqrt(4162.6667 / 2))


def test_the_most_frequent_flag_wins_and_a_tie_is_hidden(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    def hide(document: Document) -> None:
        document["annotations"][0]["keypoints"][2] = 1

    two = consensus_of(panel_of(annotators(coco_document, write_json, same, hide)))
    three = consensus_of(panel_of(annotators(coco_document, write_json, same, hide, same)))

    assert two.dataset.annotations.visibility[0, 0] == 1
    assert three.dataset.annotations.visibility[0, 0] == 2


def test_a_keypoint_that_most_left_out_is_not_labelled(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    def without_nose(document: Document) -> None:
        document["annotations"][0]["keypoints"][:3] = [0, 0, 0]
        document["annotations"][0]["num_keypoints"] = 16

    found = consensus_of(
        panel_of(annotators(coco_document, write_json, same, without_nose, without_nose))
    )
    found.write(tmp_path / "out.json")

    first = json.loads((tmp_path / "out.json").read_text())["annotations"][0]
    assert first["keypoints"][:3] == [0, 0, 0]
    assert first["num_keypoints"] == 16


def test_people_need_half_of_the_annotators_and_new_ones_come_last(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    def only_first(document: Document) -> None:
        del document["annotations"][1]

    kept = consensus_of(panel_of(annotators(coco_document, write_json, only_first, same, same)))
    dropped = consensus_of(
        panel_of(annotators(coco_document, write_json, same, only_first, only_first))
    )
    kept.write(tmp_path / "out.json")

    document = json.loads((tmp_path / "out.json").read_text())
    assert [record["id"] for record in document["annotations"]] == [1, 2]
    assert document["annotations"][1]["consensus"]["annotators"] == 2
    assert document["annotations"][1]["bbox"] == [50, 20, 16, 32]
    assert dropped.dropped == 1
    assert dropped.dataset.annotations.instance_id.tolist() == [1]


def test_the_box_is_the_median_of_the_corners(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    def box(values: list[float]) -> Callable[[Document], None]:
        def change(document: Document) -> None:
            document["annotations"][0]["bbox"] = values

        return change

    found = consensus_of(
        panel_of(
            annotators(
                coco_document, write_json, box([10, 20, 16, 32]), box([12, 20, 18, 30]),
                box([11, 10, 10, 50]),
            )
        )
    )  # fmt: skip

    # Left 10 12 11, top 20 20 10, right 26 30 21, bottom 52 50 60.
    np.testing.assert_allclose(found.dataset.annotations.bbox_xywh[0], [11, 20, 15, 32])
