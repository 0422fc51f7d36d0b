"""Faults of JSON text that parsers keep quiet about, found at the speed of memory.

Every parser keeps the last of two equal keys, reads `1e999` as infinity or refuses it
without a record, and passes NUL on. Walking every character in Python would cost minutes,
so numpy looks at the quotes of some megabytes at a time: the keys of every record are
hashed, and only records in which two hashes agree are parsed again, exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.formats.parse import Section
from toolkit.formats.rules import Findings

_PAD = 16
_QUOTE, _BACKSLASH, _COLON, _SPACE, _E = 34, 92, 58, 32, 101
# Python converts no integer of more digits than 4,300: such a run has a digit at this many
# offsets in a row that are this far apart.
_STRIDE, _STRIDES = 256, 16
_LONE = re.compile(r"[\ud800-\udfff]")


def lint_section(data: bytes, section: Section, findings: Findings) -> None:
    """Find repeated keys, overflowing numbers and unusable strings in records.

    Args:
        data: The whole text, as the file has it.
        section: Where the records lie.
        findings: Where findings go.
    """
    for begin, end in section.chunks():
        first, last = int(section.starts[begin]), int(section.ends[end - 1])
        starts = section.starts[begin:end] - first
        suspects = _suspects(data[first:last], starts)
        for row in suspects.tolist():
            at = begin + row
            record = data[section.starts[at] : section.ends[at]]
            lint_record(record, findings, section=section.name, index=at)


def _suspects(chunk: bytes, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Records that may have a fault; every record that has one is among them."""
    text = np.zeros(len(chunk) + _PAD, dtype=np.uint8)
    text[: len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    backslashes: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    if b"\\" in chunk:
        backslashes = np.flatnonzero(text == _BACKSLASH)
        quotes = quotes[~_escaped(text, quotes)]
    opens, closes = quotes[0::2], quotes[1::2]
    after = closes + 1
    spaces = text[after] <= _SPACE
    while spaces.any() and after[spaces].max() < len(chunk):
        after[spaces] += 1
        spaces = (text[after] <= _SPACE) & (after < len(chunk))
    is_key = text[after] == _COLON
    found = [_repeated(text, opens[is_key] + 1, closes[is_key], starts)]
    if len(backslashes):
        # An escaped key may equal another; \u0000 and \ud800 need a backslash too.
        risky = np.flatnonzero(text[backslashes + 1] == ord("u"))
        found.append(_record_of(starts, backslashes[risky]))
        string = np.searchsorted(opens, backslashes, side="right") - 1
        found.append(_record_of(starts, backslashes[is_key[string]]))
    found.append(_record_of(starts, _exponents(text, quotes)))
    found.append(_record_of(starts, _long_runs(text)))
    return np.unique(np.concatenate(found))


def _record_of(starts: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.searchsorted(starts, offsets, side="right") - 1)


def _escaped(text: NDArray[np.uint8], quotes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which quotes follow an odd number of backslashes."""
    escaped = np.zeros(len(quotes), dtype=bool)
    for row in np.flatnonzero(text[quotes - 1] == _BACKSLASH):
        at = int(quotes[row]) - 1
        while at >= 0 and text[at] == _BACKSLASH:
            at -= 1
        escaped[row] = (int(quotes[row]) - 1 - at) % 2 == 1
    return escaped


def _repeated(
    text: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Records in which two keys have one hash, at whatever level."""
    if not len(begins):
        return np.zeros(0, dtype=np.int64)
    hashes = _hash_keys(text, begins, ends)
    bounds = np.searchsorted(begins, np.append(starts, len(text)))
    counts = np.diff(bounds)
    found = []
    for count in np.unique(counts[counts > 1]).tolist():
        rows = np.flatnonzero(counts == count)
        keys = hashes[bounds[rows][:, None] + np.arange(count)]
        # Most records of a file have the same keys in the same order: look once.
        same = (keys == keys[0]).all(axis=1)
        looked = np.append(np.flatnonzero(~same), 0)
        ordered = np.sort(keys[looked], axis=1)
        repeated = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        found.append(rows[looked[repeated]])
        if repeated[-1]:
            found.append(rows[same])
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _hash_keys(
    text: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """A hash of each key's bytes: its length, its first 8 and its last 8 bytes."""
    words: NDArray[np.uint64] = np.ndarray((len(text) - 7,), "<u8", buffer=text, strides=(1,))
    length = (ends - begins).astype(np.uint64)
    short = np.minimum(length, 8)
    drop = (np.uint64(8) - short) * np.uint64(8)
    # Shifting by 64 is undefined, so an empty key is shifted in two steps.
    half = drop // np.uint64(2)
    head = words[begins] << half << (drop - half)
    tail = words[np.maximum(ends - 8, begins)] << half << (drop - half)
    mixed = head * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= tail * np.uint64(0xC2B2AE3D27D4EB4F)
    return np.asarray(mixed ^ length)


def _exponents(text: NDArray[np.uint8], quotes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets of exponents of three digits or more, outside strings."""
    marked = (text[1:] | np.uint8(32)) == _E
    marked &= (text[:-1] - np.uint8(48)) < 10
    at = np.flatnonzero(marked[: -_PAD + 1]) + 1
    if not len(at):
        return at
    at = at[np.searchsorted(quotes, at) % 2 == 0]
    signed = (text[at + 1] == ord("+")) | (text[at + 1] == ord("-"))
    digits = text[(at + 1 + signed)[:, None] + np.arange(3)] - np.uint8(48)
    return np.asarray(at[(digits < 10).all(axis=1)])


def _long_runs(text: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Offsets within what may be thousands of digits, each in the record that holds them."""
    is_digit = (text[::_STRIDE] - np.uint8(48)) < 10
    if len(is_digit) < _STRIDES:
        return np.zeros(0, dtype=np.int64)
    runs = np.lib.stride_tricks.sliding_window_view(is_digit, _STRIDES).all(axis=1)
    return np.flatnonzero(runs) * _STRIDE


def lint_record(
    record: bytes,
    findings: Findings,
    *,
    section: str | None = None,
    index: int | None = None,
) -> None:
    """Parse one record, or a whole small document, exactly; add what is wrong with it."""
    repeated: list[str] = []

    def keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for key, value in pairs:
            if key in seen:
                repeated.append(key)
            seen[key] = value
        return seen

    try:
        value = json.loads(record, object_pairs_hook=keep)
    except ValueError:
        # A number of more digits than Python converts.
        findings.add(
            "json-number-overflow",
            "holds a number of thousands of digits",
            section=section,
            index=index,
        )
        return
    shown_id = value.get("id") if isinstance(value, dict) else None
    for key in dict.fromkeys(repeated):
        findings.add(
            "json-duplicate-key",
            f"key '{_printable(key)}' stands {repeated.count(key) + 1} times in an "
            "object; parsers keep one of them in silence",
            section=section,
            index=index,
            id=shown_id,
            field=_printable(key),
        )
    fields = value.items() if isinstance(value, dict) else [(None, value)]
    for field, part in fields:
        name = None if field is None else _printable(field)
        for rule, message in _bad_values(part, field):
            findings.add(rule, message, section=section, index=index, id=shown_id, field=name)


def _bad_values(value: object, key: str | None) -> Iterator[tuple[str, str]]:
    """Rule and message for every infinite number and unusable string below a value."""
    stack: list[object] = [value] if key is None else [value, key]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\x00" in item:
                yield "json-string", "a string holds the character NUL (\\u0000)"
            if _LONE.search(item):
                yield "json-string", "a string holds half a surrogate pair (\\ud800-\\udfff)"
        elif isinstance(item, float):
            if item in (float("inf"), float("-inf")):
                yield "json-number-overflow", "a number is too large for 64 bits"
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())


def _printable(key: str) -> str:
    return key.encode("utf-8", "backslashreplace").decode("utf-8")
