"""Outlines of instances: polygons and run-length encoded masks.

pycocotools crashes on some of what is named here (coordinates far out, counts that do not
add up), so nothing of it is handed to C code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import numpy as np

from toolkit.checks.base import ERROR, Check, Hits, Subject, everywhere
from toolkit.checks.outlines import FEWEST, suspects
from toolkit.checks.rle import rle_fault

FARTHEST = 1_000_000  # px; larger pictures do not exist, larger numbers are mistakes

Fault = tuple[str, str]  # the last word of the rule's code, and a sentence


def outline_faults(subject: Subject) -> dict[int, Fault]:
    """What is wrong with the outline of each row that has a fault."""
    if subject.source is None or subject.annotation_index is None:
        return {}
    document = subject.source.document
    section = document.sections.get("annotations")
    if section is None:
        return {}
    records = suspects(document.data, section)
    # Records of other categories have no row, and are not looked at.
    rows = np.searchsorted(subject.annotation_index, records)
    inside = rows < len(subject.annotation_index)
    rows, records = rows[inside], records[inside]
    known = subject.annotation_index[rows] == records
    found = {}
    for row, index in zip(rows[known].tolist(), records[known].tolist(), strict=True):
        width, height = subject.size_wh[row].tolist()
        size = (width, height) if width > 0 and height > 0 else None
        fault = _fault(document.record("annotations", index), size)
        if fault is not None:
            found[row] = fault
    return found


def _fault(record: bytes, size_wh: tuple[int, int] | None) -> Fault | None:
    try:
        fields = json.loads(record)
    except ValueError:  # a number of thousands of digits, which the reader has told
        return None
    if not isinstance(fields, dict) or "segmentation" not in fields:
        return None
    value = fields["segmentation"]
    if isinstance(value, dict):
        found = rle_fault(value, size_wh)
        return None if found is None else (f"rle-{found[0]}", found[1])
    if not isinstance(value, list):
        return "type", f"got {_kind(value)}; wanted a list of polygons or a mask"
    for index, polygon in enumerate(value):
        fault = _polygon_fault(polygon)
        if fault is not None:
            return fault[0], f"polygon {index}: {fault[1]}"
    return None


def _polygon_fault(polygon: object) -> Fault | None:
    if not isinstance(polygon, list):
        return "type", f"got {_kind(polygon)}; wanted a list of numbers x1, y1, x2, y2, ..."
    for index, value in enumerate(polygon):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "type", f"entry {index} is {_kind(value)}; wanted numbers"
        if not math.isfinite(value) or abs(value) >= FARTHEST:
            return "coordinate", (
                f"coordinate {value:g} is not in any picture; pycocotools crashes on such"
            )
    if len(polygon) % 2:
        return "length", f"{len(polygon)} numbers; x and y make an even number"
    if len(polygon) < FEWEST:
        return "points", f"{len(polygon) // 2} points; an outline has three or more"
    return None


def _kind(value: object) -> str:
    if value is None:
        return "null"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _finds(kind: str, summary: str) -> Callable[[Subject], Iterator[Hits]]:
    def find(subject: Subject) -> Iterator[Hits]:
        faults = subject.outline_faults
        rows = np.array(sorted(r for r, f in faults.items() if f[0] == kind), dtype=np.int64)

        def describe(row: int) -> str:
            return faults[row][1]

        yield Hits("annotations", rows, describe, summary, "segmentation")

    return find


SEGMENTATION_TYPE = Check(
    "segmentation-type",
    "A segmentation is a list of polygons, each a list of numbers, or a mask with counts "
    "and size.",
    everywhere(ERROR),
    _finds("type", "segmentation of the wrong kind"),
    family="segmentation",
    repair="Write [] where there is no outline.",
)
SEGMENTATION_POINTS = Check(
    "segmentation-points",
    "A polygon has three points or more; importers stop at two.",
    everywhere(ERROR),
    _finds("points", "polygon of fewer than three points"),
    family="segmentation",
    repair="Remove the polygon, or draw it again.",
)
SEGMENTATION_LENGTH = Check(
    "segmentation-length",
    "A polygon has an even number of coordinates: x and y in turn.",
    everywhere(ERROR),
    _finds("length", "polygon with an odd number of coordinates"),
    family="segmentation",
    repair="Draw the polygon again: which number is missing cannot be known.",
)
SEGMENTATION_COORDINATE = Check(
    "segmentation-coordinate",
    "A polygon's coordinates are below 1,000,000 px: pycocotools crashes on points far out.",
    everywhere(ERROR),
    _finds("coordinate", "polygon with impossible coordinates"),
    family="segmentation",
    repair="Draw the polygon again.",
)
SEGMENTATION_RLE = Check(
    "segmentation-rle",
    "A run-length encoded mask has a size of two whole numbers and counts that can be "
    "decoded: pycocotools crashes on others.",
    everywhere(ERROR),
    _finds("rle-form", "mask that cannot be decoded"),
    family="segmentation",
    repair="Encode the mask again.",
)
SEGMENTATION_RLE_SIZE = Check(
    "segmentation-rle-size",
    "The counts of a mask add up to height times width, which are those of the image.",
    everywhere(ERROR),
    _finds("rle-size", "mask of the wrong size"),
    family="segmentation",
    repair="Encode the mask again at the image's size; mind that size is [height, width].",
)
