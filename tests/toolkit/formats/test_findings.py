"""Each rule of reading is broken once, and the finding names record, field, got and wanted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.errors import InvalidDataError, ReadError
from toolkit.formats import RULES, read, scan, scan_predictions
from toolkit.formats.decode import CHUNK
from toolkit.formats.rules import MAX_FINDINGS
from toolkit.report import Finding

Document = dict[str, Any]
Save = Callable[..., Path]
Change = Callable[[Document], object]


def person(**fields: object) -> Change:
    """Change the first person; `...` removes a field."""

    def change(document: Document) -> None:
        for key, value in fields.items():
            if value is ...:
                del document["annotations"][0][key]
            else:
                document["annotations"][0][key] = value

    return change


def image(**fields: object) -> Change:
    return lambda document: document["images"][0].update(fields)


def category(**fields: object) -> Change:
    return lambda document: document["categories"][0].update(fields)


def spelled(field: str, token: str) -> Change:
    """Write a field of the first person as a token that Python would not write."""

    def change(document: Document) -> str:
        document["annotations"][0][field] = 987654
        return json.dumps(document).replace("987654", token, 1)

    return change


A, I, C = "annotations[0] id=11", "images[0] id=7", "categories[0] id=1"  # noqa: E741
BROKEN: list[tuple[str, Change, str, str]] = [
    ("json-bom", lambda d: "\ufeff" + json.dumps(d), "", "byte order mark"),
    (
        "json-duplicate-key",
        lambda d: json.dumps(d).replace('"area": 9.5', '"area": 8, "area": 9.5'),
        "annotations[1] id=12 field 'area'",
        "key 'area' stands 2 times",
    ),
    (
        "json-duplicate-key",
        lambda d: json.dumps(d).replace('{"a": 1}', '{"a": 1, "a": 2}'),
        "field 'ours'|field 'a'",
        "key 'a' stands 2 times",
    ),
    ("json-number-overflow", spelled("area", "1e999"), f"{A} field 'area'", "too large"),
    (
        "json-number-overflow",
        spelled("mine", '{"deep": [1, -2E+400]}'),
        f"{A} field 'mine'",
        "too large",
    ),
    ("json-string", person(mine="a\0b"), f"{A} field 'mine'", "NUL"),
    ("json-string", person(mine="\ud800"), f"{A} field 'mine'", "half a surrogate"),
    ("section-missing", lambda d: d.pop("images"), "images", "'images' is missing"),
    (
        "section-type",
        lambda d: d.update(annotations={"id": 1}),
        "annotations",
        "got an object; expected a list",
    ),
    (
        "record-type",
        lambda d: d["annotations"].insert(0, 5),
        "annotations[0]",
        "is the number 5; expected an object",
    ),
    ("id-missing", person(image_id=...), f"{A} field 'image_id'", "'image_id' is missing"),
    ("id-type", person(id=1.5), "annotations[0] field 'id'", "got the number 1.5"),
    ("id-type", person(id=True), "annotations[0] field 'id'", "got true; expected an int"),
    ("id-type", person(image_id="7"), f"{A} field 'image_id'", 'got the string "7"'),
    ("id-range", person(id=2**70), f"annotations[0] id={2**70} field 'id'", "64-bit"),
    ("file-name-missing", image(file_name=3), f"{I} field 'file_name'", "got the number 3"),
    ("image-size-type", image(width="wide"), f"{I} field 'width'", 'got the string "wide"'),
    ("image-field-type", image(frame=1.5), f"{I} field 'frame'", "expected an integer"),
    ("image-field-type", image(crowdIndex="x"), f"{I} field 'crowdIndex'", "finite number"),
    ("image-field-type", image(clip=[]), f"{I} field 'clip'", "expected a string"),
    ("category-type", category(name=3), f"{C} field 'name'", "got the number 3"),
    ("category-type", category(keypoints=3), f"{C} field 'keypoints'", "list of keypoint"),
    (
        "category-without-keypoints",
        category(keypoints=[]),
        "categories",
        "3 are counted in the first instance",
    ),
    (
        "category-other",
        lambda d: (
            d["categories"].append({"id": 2, "name": "ball"})
            or d["annotations"][1].update(category_id=2)
        ),
        "annotations",
        "1 annotations of 1 categories",
    ),
    (
        "keypoint-name-duplicate",
        category(keypoints=["top", "top", "bottom"]),
        f"{C} field 'keypoints'",
        "'top' is named 2 times",
    ),
    (
        "skeleton-index",
        category(skeleton=[[1, 2], [0, 1], [3, 4], [True, 2]]),
        f"{C} field 'skeleton'",
        "3 of 4 edges, the first [0, 1], do not name two keypoints; indices run from 1 to 3",
    ),
    ("keypoints-missing", person(keypoints=...), f"{A} field 'keypoints'", "is missing"),
    ("keypoints-missing", person(keypoints=None), f"{A} field 'keypoints'", "is null"),
    (
        "keypoints-type",
        person(keypoints=[1, 2, 2, None, 4, 1, 5, 6, 2]),
        f"{A} field 'keypoints'",
        "got null at index 3; expected 9 finite numbers",
    ),
    (
        "keypoints-length",
        person(keypoints=[0] * 51),
        f"{A} field 'keypoints'",
        "51 numbers; schema 'walker' has 3 keypoints, so 9 are needed (51 fits 'coco')",
    ),
    (
        "keypoints-length",
        person(keypoints=[0] * 42),
        f"{A} field 'keypoints'",
        "(42 fits 'crowdpose' and 'lacrosse')",
    ),
    (
        "keypoints-length",
        person(keypoints=[0] * 8),
        f"{A} field 'keypoints'",
        "(8 is no multiple of 3)",
    ),
    (
        "visibility-value",
        person(keypoints=[1, 2, 1.5, 3, 4, 1, 5, 6, 2]),
        f"{A} field 'keypoints'",
        "'top' has visibility 1.5",
    ),
    (
        "visibility-value",
        person(keypoints=[1, 2, 2, 3, 4, -1, 5, 6, 2]),
        f"{A} field 'keypoints'",
        "'middle' has visibility -1",
    ),
    (
        "visibility-beyond",
        person(keypoints=[1, 2, 2, 3, 4, 3, 5, 6, 2]),
        f"{A} field 'keypoints'",
        "'middle' has visibility 3",
    ),
    ("bbox-shape", person(bbox=[1, 2, 3]), f"{A} field 'bbox'", "got 3 numbers; expected 4"),
    ("bbox-shape", person(bbox="all"), f"{A} field 'bbox'", 'got the string "all"'),
    ("area-type", person(area=None), f"{A} field 'area'", "got null; expected a finite"),
    ("iscrowd-missing", person(iscrowd=...), f"{A} field 'iscrowd'", "'iscrowd' is missing"),
    ("iscrowd-value", person(iscrowd=2), f"{A} field 'iscrowd'", "got 2; expected 0 or 1"),
    ("iscrowd-value", person(iscrowd=-1), f"{A} field 'iscrowd'", "expected 0 or 1"),
    ("iscrowd-value", person(iscrowd=True), f"{A} field 'iscrowd'", "got true; expected 0"),
    ("num-keypoints-type", person(num_keypoints=1.5), f"{A} field 'num_keypoints'", "integer"),
    ("head-box-shape", person(head_box_xywh=[1]), f"{A} field 'head_box_xywh'", "got 1 num"),
]
RESULTS: list[tuple[str, Callable[[Document], object], str, str]] = [
    ("score-missing", lambda r: r.pop("score"), "results[0] field 'score'", "is missing"),
    ("score-value", lambda r: r.update(score="a"), "results[0] field 'score'", 'string "a"'),
    (
        "keypoint-scores-shape",
        lambda r: r.update(keypoint_scores=[1]),
        "results[0] field 'keypoint_scores'",
        "1 numbers; schema 'tiny' needs 3",
    ),
    (
        "sigmas-shape",
        lambda r: r.update(sigmas=[1] * 5),
        "results[0] field 'sigmas'",
        "5 numbers; schema 'tiny' needs 6",
    ),
    (
        "keypoints-length",
        lambda r: r.update(keypoints=[0] * 60),
        "results[0] field 'keypoints'",
        "60 numbers; schema 'tiny' has 3 keypoints, so 9 are needed (60 fits 'hockey')",
    ),
    (
        "keypoints-missing",
        lambda r: r.pop("keypoints"),
        "results[0] field 'keypoints'",
        "'keypoints' is missing",
    ),
    ("id-type", lambda r: r.update(image_id="7"), "results[0] field 'image_id'", '"7"'),
]
WHOLE_RESULTS = {"results-empty", "results-without-keypoints"}
ELSEWHERE = {"category-schema", "foreign-unusable", "foreign-left-out", "foreign-assumed"}


def broken_file(document: Document, change: Change, save: Save) -> Path:
    changed = change(document)
    return save(changed if isinstance(changed, str) else document)


def check(found: list[Finding], rule: str, place: str, message: str) -> None:
    if rule == "category-type":  # then the file may have no named keypoints either
        found = [f for f in found if f.rule != "category-without-keypoints"]
    assert [f.rule for f in found] == [rule]
    severity = {r.code: r.severity for r in RULES}[rule]
    assert found[0].severity is severity
    assert found[0].place in place.split("|")
    assert message in found[0].message


@pytest.mark.parametrize(
    ("rule", "change", "place", "message"),
    BROKEN,
    ids=[f"{r}-{i}" for i, (r, *_) in enumerate(BROKEN)],
)
def test_a_fault_gives_one_finding_at_its_place(
    document: Document, save: Save, rule: str, change: Change, place: str, message: str
) -> None:
    check(scan(broken_file(document, change, save)).findings, rule, place, message)


def make_results() -> list[Document]:
    fields = {"category_id": 1, "keypoints": [1, 2, 0.5] * 3, "score": 0.5}
    return [{"image_id": number} | fields for number in (7, 8)]


@pytest.mark.parametrize(
    ("rule", "change", "place", "message"), RESULTS, ids=[row[0] for row in RESULTS]
)
def test_a_fault_of_results_gives_one_finding_at_its_place(
    save: Save,
    tiny_schema: Any,
    rule: str,
    change: Callable[[Document], object],
    place: str,
    message: str,
) -> None:
    results = make_results()
    change(results[0])

    found, findings = scan_predictions(save(results), tiny_schema)

    check(findings, rule, place, message)
    assert len(found) == 2


def test_every_rule_is_broken_by_a_test() -> None:
    tested = {row[0] for row in BROKEN} | {row[0] for row in RESULTS}

    assert {rule.code for rule in RULES} == tested | WHOLE_RESULTS | ELSEWHERE
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.code) for rule in RULES)


def test_an_unusable_field_holds_the_missing_value_and_the_rest_is_kept(
    document: Document, save: Save
) -> None:
    person(id="x", bbox=[1], area=None, keypoints=[1, 2], num_keypoints="3")(document)

    people = scan(save(document)).dataset.annotations

    assert people.instance_id.tolist() == [-1, 12]
    assert people.image_id.tolist() == [7, 3]
    assert people.num_keypoints.tolist() == [-1, 1]
    assert np.isnan(people.bbox_xywh[0]).all()
    assert math.isnan(people.area[0])
    assert people.visibility[0].tolist() == [0, 0, 0]
    assert people.keypoints[1, 1].tolist() == [3, 4]


def test_visibility_3_is_kept_in_the_arrays(document: Document, save: Save) -> None:
    person(keypoints=[1, 2, 3, 3, 4, 1, 5, 6, 2])(document)

    people = read(save(document)).annotations

    assert people.visibility[0].tolist() == [3, 1, 2]
    assert people.keypoints[0, 0].tolist() == [1, 2]


def test_a_broken_record_deep_in_the_file_is_named_by_its_index(
    document: Document, save: Save
) -> None:
    document["annotations"] = [
        document["annotations"][0] | {"id": number} for number in range(1, CHUNK + 5)
    ]
    document["annotations"][CHUNK + 1]["bbox"] = "no"

    found = scan(save(document))

    assert [f.place for f in found.findings] == [
        f"annotations[{CHUNK + 1}] id={CHUNK + 2} field 'bbox'"
    ]
    assert found.dataset.annotations.instance_id.tolist() == list(range(1, CHUNK + 5))


def test_a_rule_that_a_whole_file_breaks_is_told_a_thousand_times_and_counted(
    document: Document, save: Save
) -> None:
    extra = 7
    del document["annotations"][0]["iscrowd"]
    document["annotations"] = [
        document["annotations"][0] | {"id": number}
        for number in range(1, MAX_FINDINGS + extra + 1)
    ]

    findings = scan(save(document)).findings

    assert len(findings) == MAX_FINDINGS + 1
    assert findings[-1].message == "7 more of this kind"
    assert sum(f.count for f in findings) == MAX_FINDINGS + extra


def test_read_refuses_errors_and_carries_all_of_them(document: Document, save: Save) -> None:
    person(bbox=[1])(document)
    image(width=None)(document)

    with pytest.raises(
        InvalidDataError, match=r"file\.json: images\[0\] id=7 .*\(and 1 more errors"
    ) as raised:
        read(save(document))
    assert raised.value.report is not None
    assert [f.rule for f in raised.value.report.errors] == ["image-size-type", "bbox-shape"]


def test_a_schema_that_does_not_fit_names_both(document: Document, save: Save) -> None:
    findings = scan(save(document), "coco").findings

    assert {f.rule for f in findings} == {"category-schema", "keypoints-length"}
    assert [f.message for f in findings if f.rule == "category-schema"] == [
        "category 'walker' names 3 keypoints; schema 'coco' has 17: keypoint 1 is 'top', "
        "not 'nose'"
    ]


def test_results_instead_of_ground_truth_and_the_other_way_round(
    document: Document, save: Save, tiny_schema: Any
) -> None:
    with pytest.raises(ReadError, match=r"a list of 2 entries; .*is this a results file\?"):
        scan(save(make_results()))
    with pytest.raises(ReadError, match=r"an object \(keys .*; is this a ground-truth file\?"):
        scan_predictions(save(document), tiny_schema)


def test_empty_results_are_a_notice_and_boxes_alone_an_error(
    save: Save, tiny_schema: Any
) -> None:
    found, findings = scan_predictions(save([]), tiny_schema)
    assert len(found) == 0
    check(findings, "results-empty", "", "every ground truth counts as missed")

    boxes = [{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    found, findings = scan_predictions(save(boxes), tiny_schema)
    check(findings, "results-without-keypoints", "results", "detector boxes")
    found, findings = scan_predictions(save(boxes), tiny_schema, boxes=True)
    assert findings == []
    assert found.bbox_xywh.tolist() == [[1, 2, 3, 4]]
    assert np.isnan(found.keypoints).all()


def test_results_become_arrays(save: Save, tiny_schema: Any) -> None:
    results = make_results()
    results[0] |= {"sigmas": [1, 2, 3, 4, 5, 6], "annotation_id": 40, "bbox": [1, 2, 3, 4]}
    results[1] |= {"keypoint_scores": [0.1, 0.2, 0.3]}

    found, findings = scan_predictions(save(results, "mine.json"), tiny_schema)

    assert findings == []
    assert found.image_id.tolist() == [7, 8]
    assert found.scores.tolist() == [0.5, 0.5]
    assert found.keypoints[0].tolist() == [[1, 2], [1, 2], [1, 2]]
    assert found.keypoint_scores.tolist() == [[0.5, 0.5, 0.5], [0.1, 0.2, 0.3]]
    assert found.annotation_id.tolist() == [40, -1]
    assert found.sigma is not None
    assert found.sigma[0].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert np.isnan(found.sigma[1]).all()
    assert np.isnan(found.bbox_xywh[1]).all()
    assert found.model == "mine"
