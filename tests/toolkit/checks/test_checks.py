"""What findings say and where they point; limits, totals and profiles."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit import checks, formats
from toolkit.report import Report, Severity

Document = dict[str, Any]


def person(document: Document, index: int = 0) -> dict[str, Any]:
    record: dict[str, Any] = document["annotations"][index]
    return record


def image(document: Document) -> dict[str, Any]:
    record: dict[str, Any] = document["images"][0]
    return record


def second_image(document: Document, **fields: object) -> None:
    document["images"].append(
        {"id": 8, "file_name": "eight.jpg", "width": 100, "height": 80} | fields
    )


def second_category(document: Document, **fields: object) -> None:
    document["categories"].append(
        document["categories"][0] | {"id": 2, "name": "other"} | fields
    )


def move(document: Document, x: float, y: float) -> None:
    """Move the first keypoint of the first person."""
    person(document)["keypoints"][:2] = [x, y]


def hide(document: Document, x: float, y: float) -> None:
    """Make the first keypoint of the first person unlabelled, with coordinates."""
    person(document)["keypoints"][:3] = [x, y, 0]
    person(document)["num_keypoints"] = 16


def ten_people(document: Document, **fields: object) -> list[dict[str, Any]]:
    """Copies of the first person side by side in a wide image, with other fields."""
    image(document)["width"] = 200
    first = person(document)
    return [
        first
        | {
            "id": index + 1,
            "bbox": [10 + 16 * index, 20, 16, 32],
            "keypoints": [
                value + 16 * index * (at % 3 == 0)
                for at, value in enumerate(first["keypoints"])
            ],
        }
        | fields
        for index in range(10)
    ]


def one_sided(document: Document) -> None:
    """Rename right_ankle, so that left_ankle has no partner."""
    document["categories"][0]["keypoints"][16] = "other_ankle"


@pytest.fixture
def document(coco_document: Document) -> Document:
    image(coco_document)["crowdIndex"] = 0.5
    coco_document["licenses"] = [{"id": 1, "name": "a licence"}]
    return copy.deepcopy(coco_document)


@pytest.fixture
def report(write_json: Callable[..., Any]) -> Callable[..., Report]:
    """Read a document as the command line does, and validate it."""

    def build(document: Document, profile: Any = "coco", **options: Any) -> Report:
        scan = formats.scan(write_json(document))
        return checks.validate(scan.dataset, profile=profile, findings=scan.findings, **options)

    return build


def rules(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings}


@pytest.mark.parametrize(
    ("break_it", "line"),
    [
        (
            lambda d: person(d, 1).update(id=1),
            "annotations[1] id=1 field 'id': annotations[0] has the same id; "
            "ids are unique in a file",
        ),
        (
            lambda d: person(d, 1).update(image_id=99),
            "annotations[1] id=2 field 'image_id': no image has id 99; add the image or "
            "correct the reference",
        ),
        (
            lambda d: person(d, 1).update(category_id=3),
            "annotations[1] id=2 field 'category_id': no category has id 3; the file has 1",
        ),
        (
            lambda d: second_image(d, file_name="SEVEN.jpg"),
            "images[1] id=8 field 'file_name': images[0] has 'seven.jpg', unlike only in "
            "case; two records would share one file",
        ),
        (
            lambda d: second_image(d, file_name="seven.jpg"),
            "images[1] id=8 field 'file_name': images[0] has the same file_name; two "
            "records would share one file",
        ),
        (
            lambda d: second_category(d, id=1),
            "categories[1] id=1 field 'id': 1 is also the id of categories[0]; each has its "
            "own",
        ),
        (
            lambda d: person(d).update(num_keypoints=5),
            "annotations[0] id=1 field 'num_keypoints': 5, but 17 keypoints are labelled "
            "(visibility above 0)",
        ),
        (
            lambda d: hide(d, 12, 30),
            "annotations[0] id=1 field 'keypoints': 1 keypoint with visibility 0 but "
            "coordinates other than 0; tools that look at coordinates alone take them for "
            "labels",
        ),
        (
            lambda d: move(d, 100, 20),
            "annotations[0] id=1 field 'keypoints': 1 labelled keypoint (nose) lies outside "
            "the image of 100 x 80 px",
        ),
        (
            lambda d: person(d).update(bbox=[10, 20, 0, 32]),
            "annotations[0] id=1 field 'bbox': [10, 20, 0, 32]: width and height must be "
            "above 0",
        ),
        (
            lambda d: person(d).update(bbox=[100, 20, 16, 32]),
            "annotations[0] id=1 field 'bbox': [100, 20, 16, 32] lies wholly outside the "
            "image of 100 x 80 px",
        ),
        (
            lambda d: person(d).update(area=-2.5),
            "annotations[0] id=1 field 'area': -2.5; wanted a finite number above 0, in px²",
        ),
        (
            one_sided,
            "categories[0] id=1 field 'keypoints': 'left_ankle' without 'right_ankle'; a "
            "mirrored image needs both sides of a pair",
        ),
        (
            lambda d: image(d).update(file_name="C:\\x.jpg"),
            "images[0] id=7 field 'file_name': 'C:\\\\x.jpg': it names a drive; wanted a "
            "relative name inside the images folder",
        ),
    ],
)
def test_a_finding_names_record_field_and_fault(
    document: Document,
    report: Callable[..., Report],
    break_it: Callable[[Document], object],
    line: str,
) -> None:
    break_it(document)

    lines = [f.line("annotations.json") for f in report(document).findings]

    assert f"annotations.json: {line}" in lines


@pytest.mark.parametrize(
    ("x", "y", "outside"),
    [(0, 20, False), (99.5, 20, False), (100, 20, True), (-0.5, 20, True), (10, 80, True)],
)
def test_the_far_edge_of_an_image_is_outside(
    document: Document, report: Callable[..., Report], x: float, y: float, outside: bool
) -> None:
    move(document, x, y)

    assert ("keypoint-outside-image" in rules(report(document))) is outside


@pytest.mark.parametrize(
    ("x", "outside"), [(10, False), (26, False), (26.1, True), (9.9, True)]
)
def test_the_edges_of_a_box_are_inside(
    document: Document, report: Callable[..., Report], x: float, outside: bool
) -> None:
    move(document, x, 20)

    assert ("keypoint-outside-box" in rules(report(document))) is outside


def test_indices_are_the_file_s_when_records_were_left_out(
    document: Document, report: Callable[..., Report]
) -> None:
    # The reader leaves records of category 2 (one keypoint) out of the arrays.
    second_category(document, keypoints=["dot"], skeleton=[])
    dot = person(document) | {"id": 50, "category_id": 2, "keypoints": [1, 1, 2]}
    document["annotations"].insert(0, dot)
    person(document, 2)["area"] = 0

    found = [f for f in report(document).findings if f.rule == "area-value"]

    assert [(f.index, f.id) for f in found] == [(2, 2)]


def test_a_fault_that_the_reader_told_is_not_told_again(
    document: Document, report: Callable[..., Report]
) -> None:
    person(document)["bbox"] = [1, 2, 3]

    found = [f for f in report(document).findings if f.field == "bbox"]

    assert [f.rule for f in found] == ["bbox-shape"]


def test_visibility_three_belongs_to_cropcoco_alone(
    document: Document, report: Callable[..., Report]
) -> None:
    person(document)["keypoints"][2] = 3

    assert rules(report(document, "coco")) == {"visibility-beyond"}
    assert report(document, "cropcoco").findings == ()


def test_the_limit_keeps_the_totals(document: Document, report: Callable[..., Report]) -> None:
    document["annotations"] = ten_people(document, num_keypoints=5)

    whole, short = report(document), report(document, limit=3)

    assert len(whole.findings) == 10
    assert [f.count for f in short.findings] == [1, 1, 1, 7]
    assert short.counts() == whole.counts() == {"error": 10, "warning": 0, "info": 0}
    assert short.findings[3].message == (
        "7 more; num_keypoints unlike the labelled keypoints: 10 annotations in all"
    )


def test_the_limit_holds_for_the_reader_s_findings(
    document: Document, report: Callable[..., Report]
) -> None:
    document["annotations"] = ten_people(document, iscrowd=2)

    short = report(document, limit=2)

    assert [f.count for f in short.findings] == [1, 1, 8]
    assert short.findings[2].message == "8 more of this kind"


def test_a_fact_is_one_finding_with_its_number(
    document: Document, report: Callable[..., Report]
) -> None:
    for index in (0, 1):
        person(document, index)["keypoints"][:6] = [1, 1, 2, 2, 2, 1]

    (fact,) = (f for f in report(document).findings if f.rule == "keypoint-outside-box")

    assert fact.count == 2
    assert fact.message == (
        "labelled keypoints outside their box: 2 annotations (4 keypoints); first: "
        "annotations[0] id=1"
    )


def test_an_unknown_profile_is_refused(make_dataset: Callable[..., Any]) -> None:
    with pytest.raises(checks.UsageError, match="no profile 'coc'; known: coco, crowdpose"):
        checks.validate(make_dataset(), profile="coc")  # type: ignore[arg-type]


def test_a_data_set_without_a_file_is_checked_too(make_dataset: Callable[..., Any]) -> None:
    report = checks.validate(make_dataset(), profile="extension")

    # The tip of each of the two sticks is outside its box, and that is a fact.
    assert report.ok
    assert [(f.rule, f.count) for f in report.findings] == [("keypoint-outside-box", 2)]


def test_infinite_areas_and_crowd_indices_are_found(make_dataset: Callable[..., Any]) -> None:
    dataset = make_dataset()
    dataset.annotations.area[0] = math.inf
    dataset.images.crowd_index[0] = math.inf

    report = checks.validate(dataset, profile="crowdpose")

    assert [f.message for f in report.errors] == [
        "inf; wanted a finite number above 0, in px²",
        "inf; wanted a finite number of 0 or more",
    ]


def test_people_of_a_category_that_an_empty_list_does_not_have_are_errors(
    coco_document: dict[str, Any], write_json: Callable[..., Path]
) -> None:
    coco_document["categories"] = []
    scan = formats.scan(write_json(coco_document), "coco")

    report = checks.validate(scan.dataset, findings=scan.findings)

    found = [f for f in report.errors if f.rule == "annotation-category-unknown"]
    assert [f.index for f in found] == [0, 1]
    assert "no category has id 1; the file has none" in found[0].message


def test_without_a_profile_the_one_that_fits_the_data_is_taken(
    make_dataset: Callable[..., Any],
) -> None:
    players, crowd = make_dataset(), make_dataset()
    crowd.annotations.area[:] = math.nan
    crowd.images.crowd_index[:] = 0.5

    # A tip outside its box is a fact for players with sticks; crowds come without areas.
    assert checks.validate(players).profile == "extension"
    assert checks.validate(crowd).profile == "crowdpose"
    assert checks.validate(crowd).ok
    assert not checks.validate(crowd, profile="coco").ok


def test_ids_are_unique_among_the_annotations_of_other_categories_too(
    document: Document, report: Callable[..., Report]
) -> None:
    second_category(document, name="puck", keypoints=["middle"], skeleton=[])
    puck = {"image_id": 7, "category_id": 2, "keypoints": [1, 1, 2], "bbox": [1, 1, 2, 2]}
    taken = person(document)["id"]
    document["annotations"] += [puck | {"id": i} for i in (taken, 90, 90, 91)]

    found = report(document).findings
    of_scores = report(document, purpose="evaluate").findings

    told = [f for f in found if f.rule == "annotation-id-duplicate"]
    assert [(f.count, f.severity) for f in told] == [(2, Severity.ERROR)]
    assert f"the first annotations[2] id={taken}; ids are unique" in told[0].message
    assert "annotation-id-duplicate" not in {f.rule for f in of_scores}


@pytest.mark.parametrize(
    ("one", "other"), [("./a.jpg", "a.jpg"), ("c//a.jpg", "c/a.jpg"), ("é.jpg", "e\u0301.jpg")]
)
def test_a_file_name_in_another_spelling_is_the_same(
    one: str, other: str, document: Document, report: Callable[..., Report]
) -> None:
    image(document)["file_name"] = one
    second_image(document, file_name=other)

    found = [f for f in report(document).findings if f.rule == "file-name-duplicate"]

    assert [f.id for f in found] == [8]
    assert f"'{one}', unlike only in spelling" in found[0].message


def test_a_clip_is_one_however_its_accents_are_written(
    document: Document, report: Callable[..., Report]
) -> None:
    image(document).update(clip="caf\u00e9", frame=0, split="train")
    second_image(document, clip="cafe\u0301", frame=0, split="test")

    assert {"clip-split", "frame-duplicate"} <= rules(report(document))


def test_a_card_that_begins_with_a_byte_order_mark_is_one(
    document: Document, report: Callable[..., Report], tmp_path: Path
) -> None:
    (tmp_path / "card.md").write_bytes(b"\xef\xbb\xbf---\nlicence: mine\n---\n")

    assert "card-invalid" not in rules(report(document))
    (tmp_path / "card.md").write_bytes(b"\xef\xbb\xbf---\nname: x\n---\n")
    assert "card-invalid" in rules(report(document))


def test_a_card_with_a_date_that_no_calendar_has_is_invalid_and_ends_nothing(
    tmp_path: Path, document: Document, report: Callable[..., Report]
) -> None:
    (tmp_path / "card.md").write_text("---\nlicence: mine\nfilmed: 2026-02-30\n---\n")

    found = [f.message for f in report(document).findings if f.rule == "card-invalid"]

    assert len(found) == 1
    assert found[0].startswith(
        "card.md beside the file cannot be read: front matter is not YAML"
    )


def test_sizes_of_a_clip_are_compared_though_its_first_image_states_none(
    document: Document, report: Callable[..., Report]
) -> None:
    frames = [image(document) | {"clip": "c", "frame": at} for at in range(3)]
    frames[0] |= {"width": 0}
    frames[1] |= {"id": 101, "file_name": "1.jpg"}
    frames[2] |= {"id": 102, "file_name": "2.jpg", "width": 7}
    document["images"] = frames

    found = [f.id for f in report(document).findings if f.rule == "clip-size"]

    assert found == [102]
