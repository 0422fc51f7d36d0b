from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np

from toolkit import formats
from toolkit.curate.agreement import measure_agreement
from toolkit.curate.annotators import annotators_of, panel_of
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


def shared_file(document: Document, write_json: Callable[..., Path], *who: str) -> list[object]:
    """One file in which each of these annotators labelled its two people."""
    people = []
    for turn, name in enumerate(who):
        for record in deepcopy(document["annotations"]):
            record |= {
                "id": record["id"] + 10 * turn,
                "annotator": name,
                "track": f"{name}{turn}",
            }
            people.append(record)
    file = write_json(document | {"annotations": people}, "all.json")
    return annotators_of([formats.read(file)])


def test_somebody_new_never_takes_the_id_or_the_fields_of_another_annotators_record(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    found = shared_file(coco_document, write_json, "a", "b", "c")
    found[0] = ("a", found[0][1].subset(np.array([0])))

    consensus_of(panel_of(found)).write(tmp_path / "out.json")

    records = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert [(r["id"], r.get("track")) for r in records] == [(1, "a0"), (23, None)]
    assert records[1]["bbox"] == [50, 20, 16, 32]
    assert records[1]["area"] == coco_document["annotations"][1]["area"]


def test_half_is_of_those_who_were_given_the_image(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    first = coco_document["images"][0]
    coco_document["images"] = [first | {"id": n, "file_name": f"{n}.jpg"} for n in (7, 8, 9)]
    person = coco_document["annotations"][0]
    pairs = [(7, "a"), (7, "b"), (8, "c"), (8, "d"), (9, "d"), (9, "e")]
    coco_document["annotations"] = [
        person | {"id": number, "image_id": image, "annotator": name}
        for number, (image, name) in enumerate(pairs, 1)
    ] + [person | {"id": 50, "image_id": 9, "bbox": [90, 20, 9, 9]}]
    file = formats.read(write_json(coco_document))

    panel = panel_of(annotators_of([file]))
    found, agreement = consensus_of(panel), measure_agreement(panel)
    found.write(tmp_path / "out.json")

    assert (found.dropped, found.dataset.annotations.image_id.tolist()) == (0, [7, 8, 9])
    assert agreement.shared == agreement.people == 3
    assert [(row.missing, row.extra) for row in agreement.annotators] == [(0, 0)] * 5
    assert not any(item.why for item in agreement.queue)
    assert agreement.confusion[3].sum() == 0
    assert [row.bias_px for row in agreement.annotators] == [(0, 0)] * 5
    # The person of whom no annotator is named stays as it is.
    kept = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert coco_document["annotations"][-1] in kept
