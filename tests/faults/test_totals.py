"""A report shows few findings, counts all, and speaks JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]


def many(document: Document, count: int) -> Document:
    """People with an impossible area, each in an image of its own, and no other fault."""
    first, image = document["annotations"][0] | {"area": 0}, document["images"][0]
    ids = range(1, count + 1)
    document["images"] = [image | {"id": i, "file_name": f"{i}.jpg"} for i in ids]
    points = first["keypoints"]
    document["annotations"] = [
        first | {"id": i, "image_id": i, "keypoints": [points[0] + i / 1024, *points[1:]]}
        for i in ids
    ]
    document["licenses"] = [{"id": 1, "name": "CC BY 4.0", "url": "https://x.org"}]
    return document


def test_text_shows_the_first_findings_and_the_total(
    coco_document: Document, write_json: Callable[..., Path], fault: Callable[..., str]
) -> None:
    path = write_json(many(coco_document, 1200))

    output = fault("validate", path, exit_code=1, message=r"error area-value \(1,200\)")

    lines = output.splitlines()
    assert len(lines) == 6  # rule, three examples, the rest, verdict
    assert lines[4].endswith("1,197 more; impossible area: 1,200 annotations in all")
    assert lines[5].startswith(
        "annotations.json: not valid under profile 'coco': 1,200 errors, 0 warnings, 0 notes"
    )


def test_json_has_the_contract_s_keys_and_totals(
    coco_document: Document, write_json: Callable[..., Path], fault: Callable[..., str]
) -> None:
    path = write_json(many(coco_document, 1200))

    report = json.loads(fault("validate", path, "--json", exit_code=1, message="area-value"))

    assert (report["ok"], report["total"]) == (False, 1200)
    assert report["counts"] == {"error": 1200, "warning": 0, "info": 0}
    assert len(report["findings"]) == 1001
    first = report["findings"][0]
    assert (first["rule"], first["severity"]) == ("area-value", "error")
    assert (first["section"], first["index"], first["id"], first["field"]) == (
        "annotations",
        0,
        1,
        "area",
    )


def test_limit_says_how_many_are_listed(
    coco_document: Document, write_json: Callable[..., Path], fault: Callable[..., str]
) -> None:
    path = write_json(many(coco_document, 5))

    output = fault("validate", path, "--limit", 9, exit_code=1, message="area-value")

    assert len(output.splitlines()) == 7  # rule, five examples, verdict


def test_a_command_without_a_file_is_wrong_usage(fault: Callable[..., str]) -> None:
    fault("validate", exit_code=2, message="no file to validate; name one")


def test_an_unknown_profile_is_wrong_usage(
    coco_document: Document, write_json: Callable[..., Path], fault: Callable[..., str]
) -> None:
    fault("validate", write_json(coco_document), "--profile", "x", exit_code=2, message="'x'")


def test_explain_prints_a_rule(fault: Callable[..., str]) -> None:
    fault("validate", "--explain", "bbox-size", exit_code=0, message="and a height above 0")


def test_explain_refuses_an_unknown_rule(fault: Callable[..., str]) -> None:
    fault("validate", "--explain", "x", exit_code=2, message="no rule 'x'")
