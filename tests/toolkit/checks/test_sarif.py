"""SARIF: what GitHub's code scanning asks for, places in the file, stable fingerprints.

The structure was also held against the OASIS JSON schema of SARIF 2.1.0 by hand; the checks
here are those parts of it that a report uses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit import checks, formats
from toolkit.checks import sarif
from toolkit.report import Finding, Report, Severity

Document = dict[str, Any]


def log_of(path: Path, **options: Any) -> Any:
    scan = formats.scan(path)
    report = checks.validate(scan.dataset, findings=scan.findings, **options)
    return json.loads(sarif.sarif_text(report, scan.dataset.source, "1.2.3"))


def results_of(path: Path, **options: Any) -> list[Any]:
    results: list[Any] = log_of(path, **options)["runs"][0]["results"]
    return results


def region(result: Any) -> Any:
    return result["locations"][0]["physicalLocation"]["region"]


def broken(document: Document) -> Document:
    document["annotations"][0]["area"] = 0
    document["annotations"][1]["num_keypoints"] = 4
    document["images"][0]["width"] = 0
    return document


def test_the_log_has_what_code_scanning_asks_for(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    log = log_of(write_json(broken(coco_document)))

    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("toolkit validate", "1.2.3")
    for rule in driver["rules"]:
        assert re.fullmatch("[a-z0-9-]+", rule["id"])
        assert len(rule["properties"]["tags"]) == 1  # tags are a set
        for text in ("shortDescription", "fullDescription", "help"):
            assert 0 < len(rule[text]["text"]) <= 1024
        level = rule["defaultConfiguration"].get("level", "none")
        assert level in {"error", "warning", "note", "none"}
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        (place,) = result["locations"]
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert uri == "annotations.json"  # relative: nothing of this machine
        assert region(result)["startLine"] >= 1
        assert set(result["partialFingerprints"]) == {"primaryLocationLineHash"}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_result_points_at_its_record(
    indent: int | None, mark: bytes, coco_document: Document, write_json: Callable[..., Path]
) -> None:
    coco_document["info"]["description"] = "Ä 🏒"  # bytes are not columns
    text = json.dumps(broken(coco_document), indent=indent, ensure_ascii=False)
    path = write_json(mark + text.encode())

    results = results_of(path)

    (wrong,) = (r for r in results if r["ruleId"] == "area-value")
    at = region(wrong)
    begin, size = at["byteOffset"], at["byteLength"]
    record = json.loads(path.read_bytes()[begin : begin + size])
    assert record == coco_document["annotations"][0]
    lines = text.split("\n")
    found = lines[at["startLine"] - 1 : at["endLine"]]
    found[-1] = found[-1][: at["endColumn"] - 1]
    found[0] = found[0][at["startColumn"] - 1 :]
    assert json.loads("\n".join(found)) == record
    (logical,) = wrong["locations"][0]["logicalLocations"]
    assert logical["name"] == "annotations[0]"
    assert logical["fullyQualifiedName"] == "annotations[0].area"


def test_fingerprints_survive_reordering_and_new_records(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    def prints(path: Path) -> set[tuple[str, str]]:
        return {
            (r["ruleId"], r["partialFingerprints"]["primaryLocationLineHash"])
            for r in results_of(path)
            if r["level"] == "error"
        }

    before = prints(write_json(broken(coco_document)))
    people = coco_document["annotations"]
    people.insert(0, people.pop() | {"id": 99})
    people.append(people[0] | {"id": 2})
    people[0]["num_keypoints"] = 17

    assert before <= prints(write_json(coco_document))
    assert len(before) == len({p for _, p in before}) >= 3


def test_a_text_in_a_message_is_no_link(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    coco_document["images"][0]["file_name"] = "../[click](https://evil.example)"

    texts = [r["message"]["text"] for r in results_of(write_json(coco_document))]

    assert any("evil.example" in text for text in texts)
    assert not any("](" in text for text in texts)


def test_levels_follow_the_profile(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    path = write_json(broken(coco_document))

    def levels(profile: str) -> dict[str, str]:
        driver = log_of(path, profile=profile)["runs"][0]["tool"]["driver"]
        return {r["id"]: r["defaultConfiguration"].get("level", "") for r in driver["rules"]}

    assert levels("coco")["num-keypoints-mismatch"] == "error"
    assert levels("crowdpose")["num-keypoints-mismatch"] == "note"
    assert levels("coco")["crowd-index-value"] == ""  # not enabled


def test_of_too_many_results_the_worst_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MAX_RESULTS", 2)
    found = [
        Finding("json-bom", Severity.INFO, "a"),
        Finding("area-value", Severity.ERROR, "b"),
        Finding("record-type", Severity.WARNING, "c"),
    ]

    log = json.loads(sarif.sarif_text(Report("a.json", None, "coco", tuple(found)), None, "1"))

    assert [r["message"]["text"] for r in log["runs"][0]["results"]] == ["b", "c"]


def test_a_path_is_told_from_the_checkout_s_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkout" / "data"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)

    assert sarif.relative_path(Path("a b.json")) == "a b.json"
    (tmp_path / "checkout" / ".git").mkdir()
    assert sarif.relative_path(Path("a b.json")) == "data/a b.json"
    assert sarif.relative_path(Path("../../elsewhere.json")) == "elsewhere.json"
