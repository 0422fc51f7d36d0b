"""What is wrong with outlines of instances: polygons and run-length encoded masks.

pycocotools crashes on some of what is named here (coordinates far out, counts that do not
add up), so nothing of it is handed to C code.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.outlines import FEWEST, suspects
from toolkit.checks.rle import rle_fault

if TYPE_CHECKING:
    from toolkit.formats.document import Document

FARTHEST = 1_000_000  # px; larger pictures do not exist, larger numbers are mistakes

Fault = tuple[str, str]  # the last word of the rule's code, and a sentence


def outline_faults(
    document: Document, annotation_index: NDArray[np.int64], size_wh: NDArray[np.int64]
) -> dict[int, Fault]:
    """What is wrong with the outline of each row that has a fault.

    Args:
        document: The file.
        annotation_index: (N,) index in the file of each row, ascending.
        size_wh: (N, 2) size of each row's image in px, 0 where it is unknown.
    """
    section = document.sections.get("annotations")
    if section is None:
        return {}
    records = suspects(document.data, section)
    # Records of other categories have no row, and are not looked at.
    rows = np.searchsorted(annotation_index, records)
    inside = rows < len(annotation_index)
    rows, records = rows[inside], records[inside]
    known = annotation_index[rows] == records
    found = {}
    for row, index in zip(rows[known].tolist(), records[known].tolist(), strict=True):
        width, height = size_wh[row].tolist()
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
