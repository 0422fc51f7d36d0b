"""One field of one record that does not decode: what can be kept, and what to say.

The fast path decodes records by type and never comes here; a record that it refuses is
looked at field by field, so that a message can name record, field, value and want.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

from toolkit.formats.rules import Findings

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


@dataclass(frozen=True)
class Place:
    """Where findings about a record belong.

    Attributes:
        findings: Where they go.
        section: Top-level key, or `results`.
        index: The record's index in it.
        id: The record's id as the file gives it.
    """

    findings: Findings
    section: str
    index: int
    id: object

    def add(self, rule: str, field: str | None, message: str) -> None:
        """Add a finding about this record."""
        self.findings.add(
            rule,
            message,
            section=self.section,
            index=self.index,
            id=self.id,
            field=field,
        )


def load_record(raw: bytes, place: Place) -> dict[str, object] | None:
    """The record as plain Python, or None with a finding where it is no object."""
    try:
        value = json.loads(raw)
    except ValueError:
        # Python refuses numbers of thousands of digits; the syntax is known to be right.
        place.add("json-number-overflow", None, "holds a number of thousands of digits")
        return None
    if not isinstance(value, dict):
        place.add("record-type", None, f"is {kind(value)}; expected an object")
        return None
    return value


def integer(record: dict[str, object], field: str, place: Place, *, rule: str = "id") -> int:
    """An id or a reference; -1 with a finding where it is unusable."""
    value = record.get(field)
    if field not in record:
        place.add(f"{rule}-missing", field, f"'{field}' is missing; an integer is needed")
    elif isinstance(value, bool) or not isinstance(value, int):
        place.add(f"{rule}-type", field, f"got {kind(value)}; expected an integer")
    elif not INT64_MIN <= value <= INT64_MAX:
        place.add(f"{rule}-range", field, f"got {value}; it does not fit a 64-bit integer")
    else:
        return value
    return -1


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def numbers(value: object) -> list[float] | None:
    """A list of finite numbers, or None."""
    if not isinstance(value, list):
        return None
    found = [number(item) for item in value]
    if any(item is None for item in found):
        return None
    return [item for item in found if item is not None]


def box(
    record: dict[str, object], field: str, place: Place, rule: str
) -> tuple[float, float, float, float]:
    """Four finite numbers; NaN where the field is missing, with a finding where wrong."""
    missing = (math.nan, math.nan, math.nan, math.nan)
    if field not in record:
        return missing
    found = numbers(record[field])
    if found is None and overflows(record[field]):
        return missing
    if found is None or len(found) != 4:
        place.add(
            rule,
            field,
            f"got {list_kind(record[field])}; expected 4 finite numbers [x, y, width, height]",
        )
        return missing
    return found[0], found[1], found[2], found[3]


def optional(
    record: dict[str, object],
    field: str,
    place: Place,
    rule: str,
    missing: float,
    convert: Callable[[object], float | None],
    wanted: str,
) -> float:
    """A field that may be missing; a finding where it is there and unusable."""
    if field not in record:
        return missing
    value = convert(record[field])
    if value is None and overflows(record[field]):
        return missing
    if value is None:
        place.add(rule, field, f"got {kind(record[field])}; expected {wanted}")
        return missing
    return value


def overflows(value: object) -> bool:
    """Whether a value is, or holds, a number like 1e999: the text's lint has told so."""
    if isinstance(value, list):
        return any(overflows(item) for item in value)
    return isinstance(value, float) and math.isinf(value)


def whole(value: object) -> int | None:
    """An integer that fits 64 bits, or None."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if INT64_MIN <= value <= INT64_MAX else None


def kind(value: object) -> str:
    """A value in words for a message, short and printable."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isinf(value):
        return "a number that is too large"
    if isinstance(value, int | float):
        shown = str(value) if not isinstance(value, int) or abs(value) < 10**40 else ""
        return f"the number {shown}" if shown else "a very large number"
    if isinstance(value, str):
        shown = json.dumps(value if len(value) <= 40 else value[:37] + "...")
        return f"the string {shown}"
    return "a list" if isinstance(value, list) else "an object"


def list_kind(value: object) -> str:
    """Like `kind`; of a list, its length, or its first entry that is no number."""
    if not isinstance(value, list):
        return kind(value)
    for index, item in enumerate(value):
        if number(item) is None:
            return f"{kind(item)} at index {index}"
    return f"{len(value)} numbers"
