"""Repeated keys and overflowing numbers are found in all texts, however they are spelled."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.formats import lint
from toolkit.formats.parse import CHUNK, Section
from toolkit.formats.rules import Findings

WORDS = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20
)
KEYS = st.one_of(st.sampled_from(["a", "id", "", 'a"b', "a:b", "keypoints", "\\", "é"]), WORDS)
VALUES = st.one_of(st.integers(), WORDS, st.just("4e622"), st.just(['"', "\\", ":", "1e999"]))
PAIRS = st.lists(st.tuples(KEYS, VALUES), max_size=6)
SPACES = st.sampled_from(["", " ", "\n  ", "\t"])


def section_of(records: list[bytes], gap: bytes = b", ") -> tuple[bytes, Section]:
    data, starts, ends = b"[", [], []
    for record in records:
        data += gap if starts else b""
        starts.append(len(data))
        data += record
        ends.append(len(data))
    bounds = (np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64))
    return data + b"]", Section("annotations", 1, len(data), *bounds)


def found_in(records: list[bytes]) -> list[tuple[str, int | None, str | None]]:
    data, section = section_of(records)
    findings = Findings()
    lint.lint_section(data, section, findings)
    return [(f.rule, f.index, f.field) for f in findings.close()]


def spelled(pairs: list[tuple[str, object]], space: str, *, ascii_only: bool) -> bytes:
    inside = f"{space},{space}".join(
        json.dumps(key, ensure_ascii=ascii_only)
        + f"{space}:{space}"
        + json.dumps(value, ensure_ascii=ascii_only)
        for key, value in pairs
    )
    return f"{{{space}{inside}{space}}}".encode()


@settings(deadline=None, max_examples=200)
@given(
    records=st.lists(PAIRS, min_size=1, max_size=5),
    space=SPACES,
    ascii_only=st.booleans(),
)
def test_exactly_the_repeated_keys_are_found(
    records: list[list[tuple[str, Any]]], space: str, ascii_only: bool
) -> None:
    texts = [spelled(pairs, space, ascii_only=ascii_only) for pairs in records]

    found = {(index, field) for rule, index, field in found_in(texts)}

    wanted = {
        (index, key)
        for index, pairs in enumerate(records)
        for key in {k for k, _ in pairs}
        if [k for k, _ in pairs].count(key) > 1
    }
    assert found == wanted


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (b'{"id": 1, "area": 1e999}', "area"),
        (b'{"id": 1, "area": -1.5E+400}', "area"),
        (b'{"id": 1, "mine": {"deep": [[0, 1e0999]]}}', "mine"),
        (b'{"id": 1, "area": 1e-999}', None),
        (b'{"id": 1, "area": 1e308}', None),
        (b'{"id": 1, "note": "1e999"}', None),
        (b'{"id": 1, "note": "\\"1e999"}', None),
    ],
)
def test_only_numbers_that_overflow_are_found(record: bytes, field: str | None) -> None:
    wanted = [] if field is None else [("json-number-overflow", 1, field)]

    assert found_in([b'{"id": 0}', record, b'{"id": 2}']) == wanted


def test_a_key_spelled_in_two_ways_is_repeated() -> None:
    assert found_in([b'{"id": 1, "\\u0069d": 2}']) == [("json-duplicate-key", 0, "id")]


def test_equal_keys_at_different_levels_are_no_fault() -> None:
    assert found_in([b'{"id": 1, "attributes": {"id": 2, "x": {"id": 3}}}'] * 3) == []


def test_records_beyond_one_chunk_are_looked_at() -> None:
    sound = b'{"id": 1, "text": "' + b"x" * 1000 + b'"}'
    count = 2 * CHUNK // len(sound)
    records = [sound] * count
    records[count - 2] = sound.replace(b'"text"', b'"id"')

    assert found_in(records) == [("json-duplicate-key", count - 2, "id")]


@pytest.mark.parametrize("entry", [b"5", b'"a:\\"b"', b"null", b"[1]", b'{"a": 1}'])
def test_entries_of_any_kind_are_fine(entry: bytes) -> None:
    assert found_in([entry, entry]) == []


@pytest.mark.parametrize("before", [0, 1, 100, 255])
def test_an_integer_that_python_does_not_convert_is_found_wherever_it_lies(before: int) -> None:
    sound = b'{"id": 1, "a": "' + b"x" * before + b'", "b": ' + b"7" * 4300 + b"}"
    long = sound.replace(b"}", b"7}")

    assert found_in([sound, sound]) == []
    assert [rule for rule, *_ in found_in([sound, long, sound])] == ["json-number-overflow"]
