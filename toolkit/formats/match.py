"""Which person of an edited file is which person of the file that was written.

Ids may be lost, so people are matched within their image: equal ones first, then by how
many coordinates are still equal, then by how much their boxes overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import product

import msgspec

from toolkit.formats.compare import by_image, identity
from toolkit.formats.foreign import CocoDocument, Record, records_of

_IDS = ("id", "image_id")
_SAME_BOX = 0.5  # overlap from which two boxes of otherwise different people are one's


def match_people(
    written: CocoDocument, now: CocoDocument, keeps_ids: bool = False
) -> dict[int, int]:
    """Index in `written` of each annotation of `now` that was there already.

    Args:
        written: The document when it was written.
        now: The document today.
        keeps_ids: Whether ids can be trusted to be the same person's.
    """
    old, new = records_of(written, "annotations"), records_of(now, "annotations")
    there = by_image(written)
    pairs: dict[int, int] = {}
    for name, rows in by_image(now).items():
        candidates = there.get(name, [])
        if keeps_ids:
            pairs |= _equal(rows, candidates, new, old, _id)
        pairs |= _equal(*_left(rows, candidates, pairs), new, old, _content)
        pairs |= _nearest(*_left(rows, candidates, pairs), new, old)
    return pairs


def _left(
    rows: list[int], candidates: list[int], pairs: dict[int, int]
) -> tuple[list[int], list[int]]:
    taken = {pairs[row] for row in rows if row in pairs}
    return [r for r in rows if r not in pairs], [c for c in candidates if c not in taken]


def _id(record: Record) -> bytes:
    return identity(record.get("id")).encode()


def _content(record: Record) -> bytes:
    rest = {key: value for key, value in record.items() if key not in _IDS}
    return msgspec.json.encode(rest, order="sorted")


def _equal(
    rows: list[int],
    candidates: list[int],
    new: list[Record],
    old: list[Record],
    key: Callable[[Record], bytes],
) -> dict[int, int]:
    waiting: dict[bytes, list[int]] = defaultdict(list)
    for row in reversed(candidates):
        waiting[key(old[row])].append(row)
    pairs = {}
    for row in rows:
        if found := waiting.get(key(new[row])):
            pairs[row] = found.pop()
    return pairs


def _nearest(
    rows: list[int], candidates: list[int], new: list[Record], old: list[Record]
) -> dict[int, int]:
    scored = [
        (_likeness(new[row], old[other]), -abs(row - other), row, other)
        for row, other in product(rows, candidates)
    ]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for likeness, _, row, other in sorted(scored, reverse=True):
        if likeness > 0 and row not in pairs and other not in taken:
            pairs[row] = other
            taken.add(other)
    return pairs


def _likeness(one: Record, other: Record) -> float:
    """Equal coordinates, plus the overlap of the boxes where that is large; 0 for strangers."""
    points, others = _numbers(one, "keypoints"), _numbers(other, "keypoints")
    equal = 0
    if len(points) == len(others):
        equal = sum(
            points[at] == others[at] != 0
            for at in range(len(points))
            if at % 3 != 2  # visibility is no coordinate
        )
    overlap = _overlap(_numbers(one, "bbox"), _numbers(other, "bbox"))
    return equal + (overlap if equal or overlap >= _SAME_BOX else 0.0)


def _numbers(record: Record, name: str) -> list[float]:
    value = record.get(name)
    if not isinstance(value, list) or not all(isinstance(v, int | float) for v in value):
        return []
    return value


def _overlap(one: list[float], other: list[float]) -> float:
    if len(one) != 4 or len(other) != 4:
        return 0.0
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (one[2] * one[3] + other[2] * other[3] - both)
