"""A baseline knows findings by record, not by place, and only new ones are left."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from toolkit import checks, formats
from toolkit.checks.baseline import (
    baseline_text,
    capped,
    compare,
    read_baseline,
    write_baseline,
)
from toolkit.errors import OutputExistsError, ReadError, UsageError
from toolkit.report import Finding, Report, Severity

Document = dict[str, Any]
ERROR, INFO = Severity.ERROR, Severity.INFO


def report_of(*findings: Finding) -> Report:
    return Report("a.json", "coco", "coco", findings)


def area(index: int, record: int | None = None) -> Finding:
    record = index + 1 if record is None else record
    return Finding("area-value", ERROR, "0", "annotations", index, record, "area")


def fact(count: int) -> Finding:
    message = f"{count} people"
    return Finding("keypoint-outside-box", INFO, message, "annotations", count=count)


def known_of(report: Report, tmp_path: Path) -> Any:
    write_baseline(report, tmp_path / "base.json", force=True)
    return read_baseline(tmp_path / "base.json", "coco")


def validated(document: Document, path: Path) -> Report:
    path.write_text(json.dumps(document))
    scan = formats.scan(path)
    return checks.validate(scan.dataset, findings=scan.findings)


def test_a_baseline_reads_like_this() -> None:
    text = baseline_text(report_of(area(1), area(0), fact(4)))

    assert json.loads(text) == {
        "toolkit_baseline": 1,
        "profile": "coco",
        "findings": [
            {"rule": "area-value", "section": "annotations", "field": "area", "ids": [1, 2]},
            {"rule": "keypoint-outside-box", "section": "annotations", "count": 4},
        ],
    }
    assert text.endswith("}\n")


def test_known_findings_are_taken_out_and_new_ones_stay(tmp_path: Path) -> None:
    known = known_of(report_of(area(0), area(1)), tmp_path)

    compared = compare(report_of(area(0), area(1), area(2)), known)

    assert compared.report.findings == (area(2),)
    assert (compared.known, compared.fixed) == (2, ())


def test_fixed_findings_are_named_so_that_the_baseline_can_shrink(tmp_path: Path) -> None:
    known = known_of(report_of(*(area(i) for i in range(7)), fact(4)), tmp_path)

    compared = compare(report_of(fact(3)), known)

    assert compared.report.ok
    assert compared.fixed == (
        "area-value annotations field 'area': 7 fixed (id 1, 2, 3, 4, 5, ...)",
        "keypoint-outside-box annotations: 1 fixed",
    )


def test_of_two_findings_with_one_key_one_is_new(tmp_path: Path) -> None:
    known = known_of(report_of(area(0, 5)), tmp_path)

    compared = compare(report_of(area(0, 5), area(8, 5)), known)

    assert compared.report.findings == (area(8, 5),)


def test_a_fact_that_grows_is_new_by_what_it_grew(tmp_path: Path) -> None:
    known = known_of(report_of(fact(4)), tmp_path)

    (finding,) = compare(report_of(fact(6)), known).report.findings

    assert finding.count == 2
    assert finding.message == "2 more than the baseline's 4: 6 people"


@pytest.mark.parametrize(("before", "now"), [(1400, 900), (900, 900)])
def test_a_rule_that_is_not_listed_whole_is_known_by_its_number(
    before: int, now: int, tmp_path: Path
) -> None:
    def many(count: int) -> Report:
        listed = [area(i) for i in range(min(count, 1000))]
        rest = [Finding("area-value", ERROR, "more", count=count - 1000)]
        return report_of(*listed, *(rest if count > 1000 else []))

    known = known_of(many(before), tmp_path)

    assert compare(many(now), known).report.ok
    new = compare(many(before + 200), known).report
    assert new.counts()["error"] == 200


def test_order_additions_and_values_do_not_matter(
    coco_document: Document, tmp_path: Path
) -> None:
    first = coco_document["annotations"][0]
    wrong = [first | {"id": i, "area": 0, "num_keypoints": 4} for i in range(10, 22)]
    for x, person in enumerate(wrong):  # apart, so that none is another's duplicate
        person["bbox"] = [5 * x, 20, 16, 32]
        points = [v for k in range(17) for v in (5 * x + k, 20 + 2 * k, 2)]
        person["keypoints"] = points
    coco_document["annotations"] = wrong
    text = baseline_text(validated(coco_document, tmp_path / "a.json"))
    known = known_of(validated(coco_document, tmp_path / "a.json"), tmp_path)

    random.Random(3).shuffle(wrong)
    assert baseline_text(validated(coco_document, tmp_path / "a.json")) == text
    for person in wrong:
        person["area"] = -7
    sound = first | {"id": 1, "bbox": [60, 10, 12, 30]}
    sound["keypoints"] = [v for k in range(17) for v in (61 + k / 2, 11 + k, 2)]
    coco_document["annotations"] = [sound, *wrong]

    compared = compare(validated(coco_document, tmp_path / "a.json"), known)

    assert [f for f in compared.report.findings if f.severity is ERROR] == []
    assert compared.known >= 24


def test_capped_lists_few_and_counts_all() -> None:
    report = capped(report_of(*(area(i) for i in range(9)), fact(4)), 3)

    messages = [f.message for f in report.findings]
    assert messages == ["0", "0", "0", "4 people", "6 more of this kind"]
    assert report.counts() == {"error": 9, "warning": 0, "info": 4}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "no baseline: .*; write one with --write-baseline"),
        ('{"images": []}', "no baseline: "),
        ('{"toolkit_baseline": 2, "profile": "coco", "findings": []}', "version 2"),
    ],
)
def test_what_is_no_baseline_is_refused(text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(text)

    with pytest.raises(ReadError, match=match):
        read_baseline(tmp_path / "base.json", "coco")


def test_a_missing_baseline_and_one_for_another_profile_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot read the baseline"):
        read_baseline(tmp_path / "none.json", "coco")
    write_baseline(report_of(), tmp_path / "base.json")
    with pytest.raises(UsageError, match="is for profile 'coco', not 'crowdpose'; pass"):
        read_baseline(tmp_path / "base.json", "crowdpose")


def test_a_baseline_is_not_overwritten_unasked(tmp_path: Path) -> None:
    write_baseline(report_of(), tmp_path / "base.json")

    with pytest.raises(OutputExistsError, match="exists already"):
        write_baseline(report_of(area(0)), tmp_path / "base.json")


def test_an_id_with_half_a_surrogate_pair_is_known_again(tmp_path: Path) -> None:
    report = report_of(Finding("id-type", ERROR, "text", "annotations", 0, "\ud800x", "id"))

    compared = compare(report, known_of(report, tmp_path))

    assert (compared.known, compared.report.findings) == (1, ())
