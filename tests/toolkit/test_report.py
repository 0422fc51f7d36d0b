"""Findings and the report that collects them."""

from __future__ import annotations

import json

import pytest

from toolkit.report import Finding, Report, Severity

ERROR = Finding("a-rule", Severity.ERROR, "51 numbers", "annotations", 17, 1234, "keypoints")
NOTE = Finding("b-rule", Severity.INFO, "a byte order mark", count=3)


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (ERROR, "f.json: annotations[17] id=1234 field 'keypoints': 51 numbers"),
        (NOTE, "f.json: a byte order mark"),
        (Finding("r", Severity.ERROR, "gone", "images"), "f.json: images: gone"),
        (Finding("r", Severity.ERROR, "m", id="x"), "f.json: id=x: m"),
        (Finding("r", Severity.ERROR, "m", "images", 0), "f.json: images[0]: m"),
        (Finding("r", Severity.ERROR, "m", field="info"), "f.json: field 'info': m"),
    ],
)
def test_a_line_says_file_place_and_message(finding: Finding, line: str) -> None:
    assert finding.line("f.json") == line


def test_a_finding_can_change_its_severity_alone() -> None:
    changed = ERROR.with_severity(Severity.WARNING)

    assert changed.severity is Severity.WARNING
    assert changed.with_severity(Severity.ERROR) == ERROR


def test_only_errors_make_a_report_bad() -> None:
    assert Report("f", "coco", "coco", (NOTE,)).ok
    assert not Report("f", "coco", "coco", (NOTE, ERROR)).ok


def test_counts_are_records_not_findings() -> None:
    report = Report("f", "coco", "coco", (NOTE, ERROR, ERROR))

    assert report.counts() == {"error": 2, "warning": 0, "info": 3}
    assert report.errors == (ERROR, ERROR)


def test_the_document_has_the_contract_s_keys() -> None:
    document = Report("f.json", "coco", "extension", (ERROR, NOTE)).to_json()

    assert json.loads(json.dumps(document)) == {
        "file": "f.json",
        "schema": "coco",
        "profile": "extension",
        "ok": False,
        "counts": {"error": 1, "warning": 0, "info": 3},
        "findings": [
            {
                "rule": "a-rule",
                "severity": "error",
                "message": "51 numbers",
                "section": "annotations",
                "index": 17,
                "id": 1234,
                "field": "keypoints",
                "count": 1,
            },
            {
                "rule": "b-rule",
                "severity": "info",
                "message": "a byte order mark",
                "section": None,
                "index": None,
                "id": None,
                "field": None,
                "count": 3,
            },
        ],
        "total": 4,
    }
