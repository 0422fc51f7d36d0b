"""Result records into columns, a thousand at a time; see `decode` for annotations."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.formats.decode import CHUNK, REFUSED, wrong_length
from toolkit.formats.fields import (
    Place,
    box,
    integer,
    kind,
    list_kind,
    load_record,
    number,
    numbers,
    overflows,
)
from toolkit.formats.flat import Pieces, count
from toolkit.formats.rules import Findings
from toolkit.schema import Schema

_NAN_BOX = (math.nan, math.nan, math.nan, math.nan)
_ABSENT = -(1 << 62)  # stands for a category_id that the file does not have


class _ResultRecord(Struct, gc=False):
    image_id: int
    score: float
    category_id: int = _ABSENT
    annotation_id: int = -1
    keypoints: list[float] | None = None
    bbox: tuple[float, float, float, float] = _NAN_BOX
    keypoint_scores: list[float] | None = None
    sigmas: list[float] | None = None


_DECODE = msgspec.json.Decoder(_ResultRecord).decode


class ResultsReader:
    """Columns of results and the loop that fills them."""

    def __init__(self, capacity: int, schema: Schema, findings: Findings) -> None:
        """Make columns for `capacity` records; findings are added as they are met."""
        self.schema, self.findings = schema, findings
        width = schema.num_keypoints
        self._packer = struct.Struct(f"=3q5d{3 * width}d")
        self._buffer = bytearray(CHUNK * self._packer.size)
        self._reals = np.frombuffer(self._buffer).reshape(CHUNK, -1)
        self._whole = np.frombuffer(self._buffer, np.int64).reshape(CHUNK, -1)
        self._unlabelled = [math.nan] * (3 * width)
        self._without: list[int] = []
        self.repaired = False
        self._absent_categories = 0
        self._extra_keys = np.zeros(2, np.int64)  # keypoint_scores and sigmas
        self.count = 0
        self.ids = np.empty((capacity, 3), np.int64)
        self.scores = np.empty(capacity)
        self.bbox = np.empty((capacity, 4))
        self.keypoints = np.empty((capacity, width, 2))
        self.keypoint_scores = np.empty((capacity, width))
        self.sigma: NDArray[np.float64] | None = None
        self.records = np.empty(capacity, np.int64)

    def read(self, raws: Sequence[Raw] | Pieces, *, boxes: bool) -> None:
        """Decode all records."""
        for begin in range(0, len(raws), CHUNK):
            self._read_chunk(raws, begin)
        if not self._without:
            return
        if len(self._without) == self.count:
            if not boxes:
                self.findings.add(
                    "results-without-keypoints",
                    f"none of {self.count} results has keypoints; these are detector "
                    "boxes, not poses",
                    section="results",
                )
            return
        for index in self._without:
            self.findings.add(
                "keypoints-missing",
                f"'keypoints' is missing; schema '{self.schema.name}' needs "
                f"{3 * self.schema.num_keypoints} numbers",
                section="results",
                index=index,
                field="keypoints",
            )

    def accounts_for(self, data: bytes) -> bool:
        """Whether the columns hold all there is in the text, which then has no hidden fault.

        Every record was decoded by type, which refuses numbers beyond 64 bits. If the text
        has exactly as many colons as fields were found, there is no unknown and no repeated
        key either; without a backslash there is no escape.
        """
        if self.repaired or b"\\" in data:
            return False
        rows = slice(0, self.count)
        fields = (
            2 * self.count  # image_id and score
            + self.count
            - self._absent_categories
            + int((self.ids[rows, 2] != -1).sum())  # annotation_id
            + self.count
            - len(self._without)  # keypoints
            + int((~np.isnan(self.bbox[rows, 0])).sum())
            + int(self._extra_keys.sum())
        )
        return count(data, b":") == [fields]

    def _read_chunk(self, raws: Sequence[Raw] | Pieces, begin: int) -> None:
        pack, buffer, size = self._packer.pack_into, self._buffer, self._packer.size
        records: list[int] = []
        extras: list[tuple[int, _ResultRecord]] = []
        offset = 0
        for index, raw in enumerate(raws[begin : begin + CHUNK], begin):
            try:
                r = _DECODE(raw)
                points = r.keypoints
                if points is None:
                    points = self._unlabelled
                    self._without.append(index)
                # fmt: off
                pack(buffer, offset, r.image_id, r.category_id, r.annotation_id,
                     r.score, *r.bbox, *points)
                # fmt: on
            except REFUSED:
                repaired = self._slow(raw, index)
                self.repaired = True
                if repaired is None:
                    continue
                r, points = repaired, repaired.keypoints or self._unlabelled
                # fmt: off
                pack(buffer, offset, r.image_id, r.category_id, r.annotation_id,
                     r.score, *r.bbox, *points)
                # fmt: on
            if r.keypoint_scores is not None or r.sigmas is not None:
                extras.append((len(records), r))
            records.append(index)
            offset += size
        self._take(records, extras)

    def _take(self, records: list[int], extras: list[tuple[int, _ResultRecord]]) -> None:
        rows = slice(self.count, self.count + len(records))
        reals = self._reals[: len(records)]
        self.records[rows] = records
        self.ids[rows] = self._whole[: len(records), :3]
        category = self.ids[rows, 1]
        absent = category == _ABSENT
        category[absent] = 1
        self._absent_categories += int(absent.sum())
        self.scores[rows] = reals[:, 3]
        self.bbox[rows] = reals[:, 4:8]
        triples = reals[:, 8:].reshape(len(records), self.keypoints.shape[1], 3)
        self.keypoints[rows] = triples[:, :, :2]
        self.keypoint_scores[rows] = triples[:, :, 2]
        for at, record in extras:
            self._take_extra(self.count + at, records[at], record)
        self.count = rows.stop

    def _take_extra(self, row: int, index: int, record: _ResultRecord) -> None:
        """keypoint_scores and sigmas of one record."""
        width = self.schema.num_keypoints
        self._extra_keys += record.keypoint_scores is not None, record.sigmas is not None
        if record.keypoint_scores is not None:
            if len(record.keypoint_scores) == width:
                self.keypoint_scores[row] = record.keypoint_scores
            else:
                self._wrong_extra(index, "keypoint_scores", len(record.keypoint_scores), width)
        if record.sigmas is not None:
            if len(record.sigmas) == 2 * width:
                if self.sigma is None:
                    self.sigma = np.full(self.keypoints.shape, np.nan)
                self.sigma[row] = np.reshape(record.sigmas, (width, 2))
            else:
                self._wrong_extra(index, "sigmas", len(record.sigmas), 2 * width)

    def _wrong_extra(self, index: int, field: str, got: int, wanted: int) -> None:
        self.findings.add(
            "sigmas-shape" if field == "sigmas" else "keypoint-scores-shape",
            f"{got} numbers; schema '{self.schema.name}' needs {wanted}",
            section="results",
            index=index,
            field=field,
        )

    def _slow(self, raw: Raw | bytes, index: int) -> _ResultRecord | None:
        """What can be used of a record that does not decode, with findings."""
        place = Place(self.findings, "results", index, None)
        record = load_record(bytes(raw), place)
        if record is None:
            return None
        record.setdefault("category_id", 1)
        record.setdefault("annotation_id", -1)
        return _ResultRecord(
            image_id=integer(record, "image_id", place),
            score=_score(record, place),
            category_id=integer(record, "category_id", place),
            annotation_id=integer(record, "annotation_id", place),
            keypoints=self._slow_keypoints(record, index, place),
            bbox=box(record, "bbox", place, "bbox-shape"),
            keypoint_scores=_extra(record, "keypoint_scores", "keypoint-scores-shape", place),
            sigmas=_extra(record, "sigmas", "sigmas-shape", place),
        )

    def _slow_keypoints(
        self, record: dict[str, object], index: int, place: Place
    ) -> list[float] | None:
        value = record.get("keypoints")
        if value is None:
            if index not in self._without[-1:]:
                self._without.append(index)
            return None
        found = numbers(value)
        if found is None and overflows(value):
            return None
        if found is None:
            place.add(
                "keypoints-type",
                "keypoints",
                f"got {list_kind(value)}; expected {3 * self.schema.num_keypoints} "
                "finite numbers",
            )
        elif len(found) == 3 * self.schema.num_keypoints:
            return found
        else:
            message = wrong_length(len(found), self.schema)
            place.add("keypoints-length", "keypoints", message)
        return None

    def predictions(self, path: Path, sha256: str) -> Predictions:
        """The columns as predictions; `path` and `sha256` are the file's."""
        rows = slice(0, self.count)
        ids = np.ascontiguousarray(self.ids[rows].T)
        return Predictions(
            schema=self.schema,
            image_id=ids[0],
            keypoints=self.keypoints[rows],
            scores=self.scores[rows],
            keypoint_scores=self.keypoint_scores[rows],
            sigma=None if self.sigma is None else self.sigma[rows],
            annotation_id=ids[2],
            bbox_xywh=self.bbox[rows],
            category_id=ids[1],
            model=path.stem,
            path=str(path),
            sha256=sha256,
        )


def _score(record: dict[str, object], place: Place) -> float:
    if "score" not in record:
        place.add("score-missing", "score", "'score' is missing; a number is needed")
        return math.nan
    value = number(record["score"])
    if value is None and overflows(record["score"]):
        return math.nan
    if value is None:
        got = kind(record["score"])
        place.add("score-value", "score", f"got {got}; expected a finite number")
        return math.nan
    return value


def _extra(
    record: dict[str, object], field: str, rule: str, place: Place
) -> list[float] | None:
    if record.get(field) is None:
        return None
    found = numbers(record[field])
    if found is None and not overflows(record[field]):
        got = list_kind(record[field])
        place.add(rule, field, f"got {got}; expected a flat list of finite numbers")
    return found
