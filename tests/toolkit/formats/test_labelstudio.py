"""Label Studio: parents, relations, geometry, visibility, several annotators, the way home."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ReadError, UnsafeInputError
from toolkit.formats.compare import measured_loss
from toolkit.formats.foreign_xml import read_xml
from toolkit.formats.labelstudio import LABELSTUDIO, tasks_of
from toolkit.formats.labelstudio_read import document_of
from toolkit.schema import Schema

SCHEMA = Schema.load("coco")
Json = dict[str, Any]


def box(key: str, x: float, y: float, w: float, h: float, label: str = "player") -> Json:
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [label]}
    return region(key, "rectanglelabels", value)


def dot(key: str, label: str, x: float, y: float, **more: object) -> Json:
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
    return region(key, "keypointlabels", value) | more


def choice(key: str, chosen: str) -> Json:
    return region(key, "choices", {"x": 1, "y": 1, "width": 0.5, "choices": [chosen]})


def region(key: str, kind: str, value: Json) -> Json:
    size = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    return {
        "id": key,
        "type": kind,
        "from_name": kind,
        "to_name": "image",
        "value": value,
    } | size


def task(*results: list[Json], **data: object) -> Json:
    annotations = [
        {"id": 70 + n, "completed_by": n, "created_at": f"2025-01-0{n + 1}", "result": result}
        for n, result in enumerate(results)
    ]
    return {
        "id": 5,
        "data": {"image": "/data/upload/18/a.jpg"} | data,
        "annotations": annotations,
    }


def read(*tasks: Json, schema: Schema | None = None) -> tuple[Json, list[str]]:
    document, findings = document_of(list(tasks), schema, None)
    return document, [finding.message for finding in findings]


def test_per_cent_become_pixels_without_rounding() -> None:
    third = 100 / 3
    document, _ = read(
        task([box("b", 10, 20, third, 40), dot("k", "head", third, 50, parentID="b")])
    )
    person = document["annotations"][0]

    assert document["images"][0]["file_name"] == "a.jpg"
    assert (document["images"][0]["width"], document["images"][0]["height"]) == (200, 100)
    assert person["bbox"] == [20, 20, third * 200 / 100, 40]
    assert person["keypoints"] == [third * 200 / 100, 50, 2]
    assert person["labelstudio"] == {
        "annotation": 70,
        "task": 5,
        "completed_by": 0,
        "created_at": "2025-01-01",
    }


def test_a_parent_wins_over_a_relation_and_a_relation_over_geometry() -> None:
    left, right = box("left", 0, 0, 40, 100), box("right", 60, 0, 40, 100)
    tie = {"type": "relation", "from_id": "two", "to_id": "right", "direction": "right"}
    also = {"type": "relation", "from_id": "left", "to_id": "one", "direction": "right"}
    document, messages = read(
        task(
            [
                left,
                right,
                dot("one", "head", 10, 10, parentID="right"),  # its relation says left
                dot("two", "tip", 10, 10),  # lies in left, its relation says right
                dot("three", "tip", 20, 20),
                tie,
                also,
            ]
        ),
    )
    first, second = (person["keypoints"] for person in document["annotations"])

    assert document["categories"][0]["keypoints"] == ["head", "tip"]
    assert first == [0, 0, 0, 40, 20, 2]
    assert second == [20, 10, 2, 20, 10, 2]
    assert [m for m in messages if "no parent" in m] == [
        "task 5 annotation 70 region 'three': keypoint 'tip' has no parent and no relation; "
        "given to the smallest box that holds it"
    ]


def test_orphans_go_to_the_smallest_box_then_the_nearest_then_stand_alone() -> None:
    document, messages = read(
        task(
            [
                box("large", 0, 0, 50, 100),
                box("small", 10, 10, 10, 10),
                dot("in", "head", 15, 15),
                dot("near", "tip", 22, 15),
                dot("again", "head", 16, 16),
                dot("more", "head", 17, 17),
            ]
        )
    )
    large, small, alone = (person["keypoints"] for person in document["annotations"])

    assert small == [30, 15, 2, 0, 0, 0]
    assert large == [32, 16, 2, 44, 15, 2]  # `near` lies in large, and so does `again`
    assert alone == [34, 17, 2, 0, 0, 0]
    assert "bbox" not in document["annotations"][2]
    assert sum("given to" in message for message in messages) == 4
    assert "a person without a box" in messages[-1]


def test_the_nearest_box_is_told_in_pixels() -> None:
    document, messages = read(task([box("b", 0, 0, 10, 10), dot("k", "tip", 15, 10)]))

    assert document["annotations"][0]["keypoints"] == [30, 10, 2]
    assert "given to the nearest box, 10.0 px away" in messages[-1]


def test_a_label_twice_for_one_parent_is_an_error_and_the_first_stays() -> None:
    document, messages = read(
        task(
            [
                box("b", 0, 0, 9, 9),
                dot("k", "head", 1, 1, parentID="b"),
                dot("l", "head", 2, 2, parentID="b"),
            ]
        )
    )

    assert document["annotations"][0]["keypoints"] == [2, 1, 2]
    assert "keypoint 'head' a second time for the person 'b'" in messages[-1]


@pytest.mark.parametrize(
    ("chosen", "point"),
    [("visible", [2, 1, 2]), ("occluded", [2, 1, 1]), ("absent", [0, 0, 0])],
)
def test_a_choice_with_the_keypoints_id_is_its_visibility(
    chosen: str, point: list[int]
) -> None:
    dots = [dot("k", "head", 1, 1, parentID="b"), choice("k", chosen)]
    document, _ = read(task([box("b", 0, 0, 9, 9), *dots]))

    assert document["annotations"][0]["keypoints"] == point


def test_annotations_of_two_people_stay_apart_and_cancelled_ones_are_left_out() -> None:
    both = task([box("b", 0, 0, 9, 9)], [box("c", 0, 0, 9, 9)], [box("d", 0, 0, 9, 9)])
    both["annotations"][2]["was_cancelled"] = True
    both["annotations"][1]["completed_by"] = {"id": 3, "email": "a@b.test"}
    document, messages = read(both)
    said = [person["labelstudio"] for person in document["annotations"]]

    assert [person["id"] for person in document["annotations"]] == [1, 2]
    assert [(s["annotation"], s["completed_by"]) for s in said] == [(70, 0), (71, 3)]
    assert "task 5: 1 annotations were cancelled" in messages


def test_padding_is_undone() -> None:
    document, _ = read(
        task(
            [box("b", 50, 50, 10, 10), dot("k", "tip", 0, 0, parentID="b")],
            padding={"left": 40, "top": 20, "right": 60, "bottom": 0},
        )
    )

    assert document["images"][0]["width"] == 100
    assert document["images"][0]["height"] == 80
    assert document["annotations"][0]["bbox"] == [60, 30, 20, 10]
    assert document["annotations"][0]["keypoints"] == [-40, -20, 2]


def test_a_schema_orders_the_keypoints_and_strange_labels_are_told(
    tiny_schema: Schema,
) -> None:
    regions = [box("b", 0, 0, 9, 9), dot("k", "tip", 1, 1, parentID="b")]
    regions.append(dot("l", "nonsense", 1, 1, parentID="b"))
    document, messages = read(task(regions), schema=tiny_schema)

    assert document["categories"][0]["keypoints"] == ["head", "foot", "tip"]
    assert document["annotations"][0]["keypoints"] == [0, 0, 0, 0, 0, 0, 2, 1, 2]
    assert "labels that are no keypoints of the category: nonsense" in messages[-1]


def test_wrong_types_are_findings_and_never_a_crash() -> None:
    rubbish: list[Any] = [
        box("b", float("nan"), 0, 9, 9),
        dot("k", "head", True, 1),
        {"type": "keypointlabels", "value": [1]},
        {"type": ["x"], "value": {"keypointlabels": "head"}},
        7,
        {"type": "choices", "value": {"choices": [["x"]]}},
    ]
    for broken in (
        task(rubbish),
        {"data": None, "annotations": 7},
        {"data": {"image": 4, "coco": "{"}, "annotations": [{"result": {}}, 3]},
        {"data": {"coco": '{"image": {}, "annotations": [[1]], "index": "x"}'}},
    ):
        document, _ = read(broken)
        assert document["annotations"] == []
    document, messages = read(task(rubbish))
    assert sum("left out" in message for message in messages) == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([task([])], True),
        (task([]), True),
        ([{"data": {"image": "a"}, "predictions": []}], True),
        ([{"image_id": 1, "score": 0.5, "keypoints": []}], False),
        ({"images": [], "annotations": [{"result": 1, "data": 2}], "categories": []}, False),
        ([], False),
    ],
)
def test_detection_tells_tasks_from_coco_and_results(
    tmp_path: Path, content: object, expected: bool
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")

    assert LABELSTUDIO.detect(path) is expected


def test_our_own_file_is_detected_however_much_it_carries(
    coco_document: Json, tmp_path: Path
) -> None:
    coco_document["info"] = {"long": "x" * 200_000}
    path = tmp_path / "a.json"
    LABELSTUDIO.from_coco(coco_document, path, SCHEMA)

    assert LABELSTUDIO.detect(path)


# Coming home


@pytest.fixture
def sent(coco_document: Json) -> tuple[Json, list[Json]]:
    """Two people of whom the second has a hidden nose, and the tasks made of them."""
    coco_document["annotations"][1]["keypoints"][2] = 1
    coco_document["annotations"][1]["ours"] = {"hat": 1.50}
    return coco_document, tasks_of(coco_document, SCHEMA)


def regions(tasks: list[Json]) -> list[Json]:
    found: list[Json] = tasks[0]["annotations"][0]["result"]
    return found


def test_what_was_sent_comes_home_as_it_was(sent: tuple[Json, list[Json]]) -> None:
    document, tasks = sent
    kinds = [r["type"] for r in regions(tasks)]

    assert [kinds.count(k) for k in ("rectanglelabels", "keypointlabels", "choices")] == [
        2, 34, 34,
    ]  # fmt: skip
    assert read(*tasks)[0] == document


def test_a_server_adds_only_who_did_it(sent: tuple[Json, list[Json]]) -> None:
    document, tasks = sent
    tasks[0] |= {"id": 9}
    tasks[0]["annotations"][0] |= {"id": 31, "completed_by": 2}
    back, _ = read(*tasks)

    assert measured_loss(document, back) == {"annotations.labelstudio": 2}
    assert back["annotations"][0]["labelstudio"] == {
        "annotation": 31,
        "task": 9,
        "completed_by": 2,
    }


def test_what_a_person_moved_wins_and_the_rest_stays(sent: tuple[Json, list[Json]]) -> None:
    document, tasks = sent
    nose = next(r for r in regions(tasks) if r["id"] == "p0k0" and r["type"] != "choices")
    nose["value"]["x"] = 33.5
    eye = next(r for r in regions(tasks) if r["id"] == "p0k1" and r["type"] == "choices")
    eye["value"]["choices"] = ["occluded"]
    rectangle = next(r for r in regions(tasks) if r["id"] == "p1")
    rectangle["value"]["width"] = 50
    wanted = copy.deepcopy(document)
    wanted["annotations"][0]["keypoints"][0] = 33.5  # of 100 px
    wanted["annotations"][0]["keypoints"][5] = 1
    wanted["annotations"][1]["bbox"] = [50, 20, 50, 32]

    assert read(*tasks)[0] == wanted


def test_a_choice_that_was_taken_away_leaves_the_visibility_as_it_was_sent(
    sent: tuple[Json, list[Json]],
) -> None:
    document, tasks = sent
    mine = regions(tasks)
    mine[:] = [r for r in mine if (r["id"], r["type"]) != ("p1k0", "choices")]
    assert document["annotations"][1]["keypoints"][2] == 1

    assert read(*tasks)[0] == document

    mine.append(choice("p1k0", "visible"))
    assert read(*tasks)[0]["annotations"][1]["keypoints"][2] == 2


def test_regions_that_do_not_tell_the_pictures_size_lie_on_what_was_sent(
    coco_document: Json,
) -> None:
    coco_document["annotations"][0]["keypoints"][:2] = [-20, 95]
    tasks = tasks_of(coco_document, SCHEMA, margin=0.25)
    for one in regions(tasks):
        del one["original_width"], one["original_height"]

    assert read(*tasks)[0] == coco_document


def test_noise_of_a_browser_is_no_change(sent: tuple[Json, list[Json]]) -> None:
    document, tasks = sent
    for one in regions(tasks):
        one["value"]["x"] *= 1 + 1e-15
        one["value"]["y"] += 1e-12

    assert read(*tasks)[0] == document


def test_deleted_keypoints_and_people_are_gone_and_new_ones_come(
    sent: tuple[Json, list[Json]],
) -> None:
    tasks = sent[1]
    kept = [r for r in regions(tasks) if not r["id"].startswith("p1") and r["id"] != "p0k16"]
    size = {"original_width": 100, "original_height": 80}
    kept.append(box("new", 0, 0, 10, 10, "person") | size)
    kept.append(dot("dot", "nose", 5, 5, parentID="new") | size)
    tasks[0]["annotations"][0]["result"] = kept
    back, _ = read(*tasks)
    first, second = back["annotations"]

    assert first["keypoints"][-3:] == [0, 0, 0]
    assert first["num_keypoints"] == 16
    assert second["id"] == 2
    assert second["image_id"] == 7
    assert second["keypoints"][:3] == [5, 4, 2]
    assert second["bbox"] == [0, 0, 10, 8]
    assert "ours" not in second


def test_a_second_annotator_gets_ids_of_their_own(sent: tuple[Json, list[Json]]) -> None:
    _, tasks = sent
    again = copy.deepcopy(tasks[0]["annotations"][0])
    tasks[0]["annotations"] = [
        tasks[0]["annotations"][0] | {"id": 1},
        again | {"id": 2},
    ]
    back, _ = read(*tasks)

    assert sorted(person["id"] for person in back["annotations"]) == [1, 2, 3, 4]


def test_people_without_a_box_keep_their_keypoints_beside_other_boxes(
    coco_document: Json,
) -> None:
    del coco_document["annotations"][0]["bbox"]

    assert read(*tasks_of(coco_document, SCHEMA))[0] == coco_document


def test_a_margin_shows_points_outside_and_is_undone(coco_document: Json) -> None:
    coco_document["annotations"][0]["keypoints"][:2] = [-20, 95]
    tasks = tasks_of(coco_document, SCHEMA, margin=0.25)
    nose = next(r for r in regions(tasks) if r["id"] == "p0k0")

    assert tasks[0]["data"]["padding"] == {"left": 25, "top": 20, "right": 25, "bottom": 20}
    assert (nose["original_width"], nose["original_height"]) == (150, 120)
    assert nose["value"]["x"] == pytest.approx(100 * 5 / 150)
    assert nose["value"]["y"] == pytest.approx(100 * 115 / 120)
    assert read(*tasks)[0] == coco_document


def test_tasks_in_another_order_come_home_in_the_documents(coco_document: Json) -> None:
    coco_document["images"].append(dict(coco_document["images"][0], id=8, file_name="b.jpg"))
    coco_document["annotations"][0]["image_id"] = 8
    tasks = tasks_of(coco_document, SCHEMA)

    assert read(*tasks[::-1])[0] == coco_document
    assert len(read(tasks[1])[0]["annotations"]) == 1  # a part of the export


def test_an_emptied_annotation_deletes_and_an_untouched_task_does_not(
    sent: tuple[Json, list[Json]],
) -> None:
    document, tasks = sent
    tasks[0]["annotations"][0]["result"] = []
    assert read(*tasks)[0]["annotations"] == []
    tasks[0]["annotations"] = []
    assert read(*tasks)[0] == document


def test_file_names_are_data_and_addresses_are_shortened() -> None:
    urls = ["/data/upload/1/a.jpg", "/data/upload/2/a.jpg", "/data/local-files/?d=x/%C3%A9.jpg"]
    urls += ["https://host/p/q.png?token=1", "../../etc/passwd"]
    tasks = [{"data": {"image": url}, "annotations": []} for url in urls]
    names = [image["file_name"] for image in read(*tasks)[0]["images"]]

    assert names == ["1/a.jpg", "2/a.jpg", "é.jpg", "q.png", "passwd"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "expected a list of tasks"),
        ("[1]", "expected a list of tasks"),
        ('[{"image": "a.jpg"}]', "JSON-MIN"),
        ('[{"data": {}, "annotations": NaN}]', "NaN is not JSON"),
        ('[{"data": ', r"byte 10 \(line 1, column 11\): not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ReadError, match=message):
        LABELSTUDIO.to_coco(path, None)


def test_a_configuration_beside_the_export_names_the_keypoints(tmp_path: Path) -> None:
    controls = '<{0}Labels name="{1}" toName="image">{2}</{0}Labels>'
    labels = '<Label value="head"/><Label value="x" alias="tip"/>'
    (tmp_path / "bad.xml").write_text("<!DOCTYPE x><View/>", encoding="utf-8")
    (tmp_path / "config.xml").write_text(
        "<View>"
        + controls.format("KeyPoint", "keypointlabels", labels)
        + controls.format("Rectangle", "rectanglelabels", '<Label value="player"/>')
        + "</View>",
        encoding="utf-8",
    )
    path = tmp_path / "a.json"
    path.write_text(json.dumps([task([dot("k", "tip", 1, 1)])]), encoding="utf-8")
    document, _ = LABELSTUDIO.to_coco(path, None)

    assert document["categories"] == [{"id": 1, "name": "player", "keypoints": ["head", "tip"]}]
    with pytest.raises(UnsafeInputError, match="DOCTYPE"):
        read_xml(tmp_path / "bad.xml")


@pytest.mark.parametrize(
    ("name", "people", "labelled", "orphans"),
    [("data_keypoints.json", 1, 3, 0), ("export_coco/data.json", 1, 2, 2)],
)
def test_real_exports_read_validate_and_convert(
    shared_data: Path,
    toolkit_cli: Callable[..., Any],
    tmp_path: Path,
    name: str,
    people: int,
    labelled: int,
    orphans: int,
) -> None:
    path = shared_data / "labelstudio" / name
    document, findings = LABELSTUDIO.to_coco(path, None)
    out = tmp_path / "out.json"

    assert [len(document["annotations"]), document["annotations"][0]["num_keypoints"]] == [
        people,
        labelled,
    ]
    assert sum("no parent" in finding.message for finding in findings) == orphans
    done = toolkit_cli("convert", path, out, "--to", "coco")
    assert done.exit_code == 0
    assert done.stderr.count("has no parent and no relation; given to the nearest") == orphans
    assert json.loads(out.read_bytes())["annotations"][0]["bbox"][0] > 0
    report = json.loads(toolkit_cli("validate", path, "--json").stdout)
    assert "area-missing" in {finding["rule"] for finding in report["findings"]}


def test_converting_tells_how_each_orphan_was_placed_and_what_was_left_out(
    toolkit_cli: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(
        json.dumps([task([box("b", 10, 10, 20, 20), dot("k", "tip", 12, 12)])]), "utf-8"
    )

    done = toolkit_cli("convert", path, tmp_path / "out.json", "--to", "coco")
    told = toolkit_cli("convert", path, tmp_path / "o2.json", "--to", "coco", "--json").stdout

    assert done.exit_code == 0
    assert "assumed: " in done.stderr
    assert "'tip' has no parent and no relation; given to the smallest box" in done.stderr
    found = json.loads(told)["findings"]
    assert any("given to the smallest box" in one["message"] for one in found)
    assert {one["rule"] for one in found} == {"foreign-assumed"}


@pytest.mark.parametrize(
    "order",
    [
        [("A", "nose", 11), ("A", "nose", 12), ("B", "nose", 13), ("A", "nose", 14)],
        [("A", "nose", 1), ("A", "nose", 11), ("B", "nose", 13), ("A", "eye", 14)],
        [("gone", "nose", 11), ("A", "nose", 12)],
    ],
    ids=["twice in a run", "twice, then another", "a parent that is gone"],
)
def test_of_a_keypoint_that_comes_twice_the_first_counts_whatever_lies_between(
    order: list[tuple[str, str, float]],
) -> None:
    boxes = [box("A", 0, 0, 40, 40), box("B", 50, 50, 40, 40)]
    dots = [dot(f"k{n}", label, x, 10, parentID=p) for n, (p, label, x) in enumerate(order)]
    ties = [{"type": "relation", "from_id": "k0", "to_id": "A"}]

    document, messages = read(task([*boxes, *dots, *ties]))

    first = next(x for _, label, x in order if label == "nose")
    place = document["categories"][0]["keypoints"].index("nose")
    assert document["annotations"][0]["keypoints"][3 * place] == pytest.approx(2 * first)
    assert (
        sum("a second time" in message for message in messages)
        == sum(label == "nose" and parent != "B" for parent, label, _ in order) - 1
    )


def test_a_size_and_a_turn_that_only_a_choice_tells_count() -> None:
    bare = [box("b", 10, 20, 30, 40), dot("k", "head", 50, 50, parentID="b")]
    for one in bare:
        for field in ("original_width", "original_height", "image_rotation"):
            del one[field]

    document, messages = read(task([*bare, choice("k", "visible") | {"image_rotation": 90}]))

    assert document["annotations"][0]["bbox"] == [20, 20, 60, 40]
    assert any("turned in the editor" in message for message in messages)


@pytest.mark.parametrize("text", ["{}", '{"index": 0, "image": []}', "[1]", '{"index": "a"}'])
def test_text_under_our_key_that_is_not_ours_makes_a_task_of_others(text: str) -> None:
    document, _ = read(task([box("b", 10, 20, 30, 40)], coco=text))

    assert document["images"][0]["file_name"] == "a.jpg"
    assert len(document["annotations"]) == 1


def test_carried_categories_that_cannot_be_read_are_taken_from_the_labels() -> None:
    text = '{"index": 0, "image": {"id": 3}, "categories": [' + "1" * 5000 + "]}"
    document, _ = read(task([box("b", 10, 20, 30, 40)], coco=text))

    assert [category["name"] for category in document["categories"]] == ["player"]


@pytest.mark.parametrize("nobody", ["null", "{}"])
def test_carried_people_that_are_no_list_are_nobody(nobody: str) -> None:
    text = '{"index": 0, "image": {"id": 3, "file_name": "mine.jpg"}, "annotations": '
    document, _ = read(task([box("b", 10, 20, 30, 40)], coco=text + nobody + "}"))

    assert document["images"] == [{"id": 3, "file_name": "mine.jpg"}]
    assert len(document["annotations"]) == 1


def test_regions_without_ids_are_told_apart_by_their_place() -> None:
    boxes = [box("", 0, 0, 40, 40), box("", 50, 50, 40, 40)]
    for one in boxes:
        del one["id"]

    document, _ = read(task(boxes))

    found = [one["bbox"] for one in document["annotations"]]
    assert found == [[0, 0, 80, 40], [100, 50, 80, 40]]


def test_an_export_without_the_first_task_says_that_the_rest_of_the_document_is_not_in_it() -> (
    None
):
    images = [{"id": k, "file_name": f"{k}.jpg", "width": 10, "height": 10} for k in (1, 2)]
    sent = {"info": "ours", "images": images, "annotations": [], "categories": []}
    tasks = json.loads(json.dumps(tasks_of(sent, SCHEMA)))

    whole, told = document_of(tasks, None, None)
    part, told_of_part = document_of(tasks[1:], None, None)

    assert (whole["info"], told) == ("ours", [])
    assert "info" not in part
    assert "the task that carries what belongs to no image" in told_of_part[0].message


def test_regions_of_other_types_are_left_out_only_where_nothing_keeps_them(
    sent: tuple[Json, list[Json]],
) -> None:
    drawn = region("e", "ellipselabels", {"x": 1, "y": 1, "radiusX": 2, "radiusY": 2})
    theirs, told_of_theirs = read(task([box("b", 10, 20, 30, 40), drawn]))
    _, ours = sent
    size = {key: regions(ours)[0][key] for key in ("original_width", "original_height")}
    regions(ours).append(drawn | size)
    _, told_of_ours = read(*ours)

    assert theirs["images"][0]["labelstudio"]["regions"] == [drawn]
    assert told_of_theirs == []
    left_out = "1 regions of type 'ellipselabels'; only rectangles and keypoints have a place"
    assert told_of_ours == [f"task 0 annotation 0: {left_out}"]
