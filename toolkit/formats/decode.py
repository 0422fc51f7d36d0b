"""Annotation records into columns, a thousand at a time.

Each record is decoded by type with msgspec and packed at once into a small row buffer;
full buffers are copied into preallocated arrays. No object survives its record.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Container
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.formats.categories import builtin_schemas
from toolkit.formats.fields import (
    INT64_MIN,
    Place,
    box,
    integer,
    kind,
    list_kind,
    load_record,
    number,
    numbers,
    optional,
    overflows,
    whole,
)
from toolkit.formats.rules import Findings
from toolkit.schema import Schema

CHUNK = 1024
_NO_FLAG = INT64_MIN  # no iscrowd in the file
_NAN_BOX = (math.nan, math.nan, math.nan, math.nan)
REFUSED = (msgspec.DecodeError, struct.error, TypeError, UnicodeDecodeError)


class _AnnotationRecord(Struct, gc=False, kw_only=True):
    # In the order in which COCO writes them: a decoder looks for the next field first.
    num_keypoints: int = -1
    area: float = math.nan
    iscrowd: int = _NO_FLAG
    keypoints: list[float]
    image_id: int
    bbox: tuple[float, float, float, float] = _NAN_BOX
    category_id: int
    id: int
    head_box_xywh: tuple[float, float, float, float] = _NAN_BOX


@dataclass(frozen=True)
class Rows:
    """Decoded annotations, and which record of the file each row is.

    Attributes:
        annotations: N rows.
        records: (N,) int64 index of each row's record in the file's list.
        absent_with_coordinates: (N,) int64 keypoints with visibility 0 whose coordinates
            in the file are not 0.
        other: Number of records left out because their category has other keypoints.
    """

    annotations: Annotations
    records: NDArray[np.int64]
    absent_with_coordinates: NDArray[np.int64]
    other: int


_INTEGERS = ("id", "image_id", "category_id", "iscrowd", "num_keypoints")
_DECODE_ANNOTATION = msgspec.json.Decoder(_AnnotationRecord).decode


def decode_annotations(
    raws: list[Raw], schema: Schema, other: Container[int], findings: Findings
) -> Rows:
    """Decode annotation records into columns.

    Args:
        raws: The records, undecoded.
        schema: What the keypoints are.
        other: Ids of categories that have other keypoints; their records are left out.
        findings: Where findings go.

    Returns:
        The rows that belong to the schema.
    """
    columns = _Columns(len(raws), schema.num_keypoints)
    slow = _SlowPath(schema, other, findings)
    left_out = 0
    for begin in range(0, len(raws), CHUNK):
        records, skipped = _pack_chunk(raws, begin, columns, other, slow)
        left_out += skipped
        columns.take(records)
    kept = columns.finish()
    _check_flags(schema, kept, findings)
    return Rows(_annotations(schema, kept), kept.records, kept.stray, left_out)


def _pack_chunk(
    raws: list[Raw],
    begin: int,
    columns: _Columns,
    other: Container[int],
    slow: _SlowPath,
) -> tuple[list[int], int]:
    """Decode one chunk into the row buffer; returns the records and how many to skip."""
    decode, pack, buffer = _DECODE_ANNOTATION, columns.packer.pack_into, columns.buffer
    size = columns.packer.size
    offset = skipped = 0
    records = []
    for index, raw in enumerate(raws[begin : begin + CHUNK], begin):
        try:
            r = decode(raw)
            if r.category_id in other:
                skipped += 1
                continue
            # fmt: off
            pack(buffer, offset, r.id, r.image_id, r.category_id, r.iscrowd,
                 r.num_keypoints, r.area, *r.bbox, *r.head_box_xywh, *r.keypoints)
            # fmt: on
        except REFUSED:
            values = slow.values(raw, index)
            if values is None:
                skipped += slow.was_other
                continue
            pack(buffer, offset, *values)
        records.append(index)
        offset += size
    return records, skipped


class _Columns:
    """Preallocated columns and the row buffer that fills them."""

    def __init__(self, capacity: int, num_keypoints: int) -> None:
        self.packer = struct.Struct(f"=5q9d{3 * num_keypoints}d")
        self.buffer = bytearray(CHUNK * self.packer.size)
        self._width = self.packer.size // 8
        self._reals = np.frombuffer(self.buffer, np.float64).reshape(CHUNK, self._width)
        self._whole = np.frombuffer(self.buffer, np.int64).reshape(CHUNK, self._width)
        self.count = 0
        self.integers: NDArray[np.int64] = np.empty((capacity, 5), np.int64)
        self.area: NDArray[np.float64] = np.empty(capacity)
        self.bbox: NDArray[np.float64] = np.empty((capacity, 4))
        self.head_box: NDArray[np.float64] = np.empty((capacity, 4))
        self.keypoints: NDArray[np.float64] = np.empty((capacity, num_keypoints, 2))
        self.visibility: NDArray[np.uint8] = np.empty((capacity, num_keypoints), np.uint8)
        self.records: NDArray[np.int64] = np.empty(capacity, np.int64)
        self.stray: NDArray[np.int64] = np.empty(capacity, np.int64)
        self.odd_flags: list[tuple[int, int, float]] = []  # record, keypoint, value

    def take(self, records: list[int]) -> None:
        """Copy the first rows of the buffer to the end of the columns."""
        rows = slice(self.count, self.count + len(records))
        self.count = rows.stop
        reals = self._reals[: len(records)]
        self.records[rows] = records
        self.integers[rows] = self._whole[: len(records), :5]
        self.area[rows] = reals[:, 5]
        self.bbox[rows] = reals[:, 6:10]
        self.head_box[rows] = reals[:, 10:14]
        triples = reals[:, 14:].reshape(len(records), self.keypoints.shape[1], 3)
        points, values = self.keypoints[rows], triples[:, :, 2]
        points[:] = triples[:, :, :2]
        with np.errstate(invalid="ignore"):
            flags = values.astype(np.uint8)
        odd = (flags > 2) | (flags != values)
        if odd.any():
            for row, keypoint in np.argwhere(odd).tolist():
                value = float(values[row, keypoint])
                self.odd_flags.append((records[row], keypoint, value))
            flags[odd & (values != 3)] = 0
        absent = flags == 0
        stray = ((points[:, :, 0] != 0) | (points[:, :, 1] != 0)) & absent
        self.stray[rows] = np.count_nonzero(stray, axis=1)
        np.copyto(points, np.nan, where=absent[:, :, None])
        self.visibility[rows] = flags

    def finish(self) -> _Columns:
        """Give back the unused end of each column."""
        for name in ("integers", "area", "bbox", "head_box", "keypoints", "visibility"):
            setattr(self, name, getattr(self, name)[: self.count])
        self.records = self.records[: self.count]
        self.stray = self.stray[: self.count]
        return self


def _annotations(schema: Schema, columns: _Columns) -> Annotations:
    ids = np.ascontiguousarray(columns.integers.T)
    return Annotations(
        schema=schema,
        instance_id=ids[0],
        image_id=ids[1],
        category_id=ids[2],
        keypoints=columns.keypoints,
        visibility=columns.visibility,
        bbox_xywh=columns.bbox,
        area=columns.area,
        is_crowd=ids[3] == 1,
        num_keypoints=ids[4],
        head_box_xywh=columns.head_box,
    )


def _check_flags(schema: Schema, columns: _Columns, findings: Findings) -> None:
    """Visibility flags and iscrowd: decoded well, but none of the allowed values."""
    rows = np.searchsorted(columns.records, [record for record, _, _ in columns.odd_flags])
    for row, (record, keypoint, value) in zip(rows, columns.odd_flags, strict=True):
        findings.add(
            "visibility-beyond" if value == 3 else "visibility-value",
            f"keypoint '{schema.names[keypoint]}' has visibility {value:g}; COCO allows "
            "0, 1 and 2" + ("; 3 exists only in profile 'cropcoco'" if value == 3 else ""),
            section="annotations",
            index=record,
            id=int(columns.integers[row, 0]),
            field="keypoints",
        )
    crowd = columns.integers[:, 3]
    for row in np.flatnonzero((crowd != 0) & (crowd != 1)).tolist():
        missing = crowd[row] == _NO_FLAG
        findings.add(
            "iscrowd-missing" if missing else "iscrowd-value",
            "'iscrowd' is missing; write 0 for one person, 1 for a crowd"
            if missing
            else f"got {crowd[row]}; expected 0 or 1",
            section="annotations",
            index=int(columns.records[row]),
            id=int(columns.integers[row, 0]),
            field="iscrowd",
        )


class _SlowPath:
    """Values of a record that the fast path refused, with findings for what is wrong."""

    def __init__(self, schema: Schema, other: Container[int], findings: Findings) -> None:
        self.schema = schema
        self.other = other
        self.findings = findings
        self.was_other = False

    def values(self, raw: Raw, index: int) -> tuple[float, ...] | None:
        """What to pack for a record, or None where it has no place in the columns."""
        self.was_other = False
        place = Place(self.findings, "annotations", index, None)
        record = load_record(bytes(raw), place)
        if record is None:
            return None
        if whole(record.get("category_id")) in self.other:
            self.was_other = True
            return None
        place = Place(self.findings, "annotations", index, record.get("id"))
        # fmt: off
        return (
            integer(record, "id", place), integer(record, "image_id", place),
            integer(record, "category_id", place), _crowd(record, place),
            int(optional(record, "num_keypoints", place, "num-keypoints-type", -1,
                         whole, "an integer")),
            optional(record, "area", place, "area-type", math.nan, number,
                     "a finite number"),
            *box(record, "bbox", place, "bbox-shape"),
            *box(record, "head_box_xywh", place, "head-box-shape"),
            *_keypoints(record, self.schema, place),
        )
        # fmt: on


def _crowd(record: dict[str, object], place: Place) -> int:
    """iscrowd; that it is missing is left for the check of all rows to name."""
    if "iscrowd" not in record:
        return _NO_FLAG
    value = whole(record["iscrowd"])
    if value is None:
        place.add("iscrowd-value", "iscrowd", f"got {kind(record['iscrowd'])}; expected 0 or 1")
        return 0
    return value


def _keypoints(record: dict[str, object], schema: Schema, place: Place) -> list[float]:
    """3K numbers; zeros with a finding where the record has no usable keypoints."""
    unusable = [0.0] * (3 * schema.num_keypoints)
    value = record.get("keypoints")
    if value is None:
        got = "is null" if "keypoints" in record else "is missing"
        place.add(
            "keypoints-missing",
            "keypoints",
            f"'keypoints' {got}; schema '{schema.name}' needs "
            f"{3 * schema.num_keypoints} numbers",
        )
        return unusable
    found = numbers(value)
    if found is None and overflows(value):
        return unusable
    if found is None:
        place.add(
            "keypoints-type",
            "keypoints",
            f"got {list_kind(value)}; expected {3 * schema.num_keypoints} finite numbers",
        )
        return unusable
    if len(found) != 3 * schema.num_keypoints:
        place.add("keypoints-length", "keypoints", wrong_length(len(found), schema))
        return unusable
    return found


def wrong_length(length: int, schema: Schema) -> str:
    """Says how long keypoints should be, and which built-in schemas have this length."""
    message = (
        f"{length} numbers; schema '{schema.name}' has {schema.num_keypoints} keypoints, "
        f"so {3 * schema.num_keypoints} are needed"
    )
    if length % 3:
        return message + f" ({length} is no multiple of 3)"
    fitting = [
        f"'{known.name}'"
        for known in builtin_schemas()
        if known.name != schema.name and 3 * known.num_keypoints == length
    ]
    return message + (f" ({length} fits {' and '.join(fitting)})" if fitting else "")
