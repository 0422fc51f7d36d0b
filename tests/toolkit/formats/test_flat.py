"""Cutting a results file at its braces: what is taken, what is left to the parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.formats import scan_predictions
from toolkit.formats.flat import Pieces, count, flat_section

RECORD = (
    '{"image_id":7,"category_id":1,"keypoints":[' + ",".join(["1.5"] * 51) + '],"score":0.5}'
)


@pytest.mark.parametrize("between", [",", ", ", ",\n"], ids=["tight", "space", "line"])
def test_flat_records_are_cut_at_their_braces(between: str) -> None:
    text = f" [{RECORD}{between}{RECORD}]\n".encode()

    section = flat_section(text)

    assert section is not None
    assert Pieces(text, section)[0:2] == [RECORD.encode()] * 2
    assert (text[section.begin - 1 : section.begin], text[section.end :]) == (b"[", b"]\n")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        f"[{RECORD}] trailing",
        f"[{RECORD}",
        f"[{RECORD};{RECORD}]",
        f"[{RECORD},,{RECORD}]",
        f"[{RECORD},   {RECORD}]",
        '[{"a":{"b":1}}]',
        '[{"a":"}"}]',
    ],
)
def test_anything_else_is_left_to_the_parser(text: str) -> None:
    assert flat_section(text.encode()) is None


def test_characters_are_counted() -> None:
    assert count(b"a:b:c", b":ac") == [2, 1, 1]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"score":0.5', '"score":0.5,"score":0.7', "json-duplicate-key"),
        ('"score":0.5', '"score":0.5,"extra":1e999', "json-number-overflow"),
        ("[1.5,", "[1e999,", "json-number-overflow"),
        ('"score":0.5', '"score":"0.5"', "score-value"),
        ("[1.5,1.5,", "[1.5,", "keypoints-length"),
        ('"score":0.5', '"score":0.5,"note":"},{"', None),
    ],
)
def test_a_fault_among_flat_records_is_found_all_the_same(
    write_json: Callable[..., Path], old: str, new: str, rule: str | None
) -> None:
    path = write_json(f"[{RECORD},{RECORD.replace(old, new, 1)}]", "results.json")

    found, findings = scan_predictions(path, "coco")

    assert rule in {None, *(f.rule for f in findings)}
    assert bool(findings) == (rule is not None)
    assert found.image_id[0] == 7


def test_fields_that_are_left_out_get_their_defaults(
    write_json: Callable[..., Path],
) -> None:
    record = json.loads(RECORD)
    del record["category_id"]

    found, findings = scan_predictions(write_json([record, record], "results.json"), "coco")

    assert findings == []
    assert found.category_id.tolist() == [1, 1]
    assert found.annotation_id.tolist() == [-1, -1]
