"""Image records into columns."""

from __future__ import annotations

import math
import struct

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from toolkit.annotations import Images
from toolkit.formats.decode import REFUSED
from toolkit.formats.fields import Place, integer, kind, load_record, number, optional, whole
from toolkit.formats.rules import Findings


class _ImageRecord(Struct, gc=False):
    id: int
    file_name: str
    width: int
    height: int
    clip: str | int | None = None
    frame: int = -1
    crowdIndex: float = math.nan  # noqa: N815 - CrowdPose's own spelling


_ROW = struct.Struct("=4qd")
_DECODE = msgspec.json.Decoder(_ImageRecord).decode


def decode_images(raws: list[Raw], findings: Findings) -> tuple[Images, NDArray[np.int64]]:
    """Decode image records into columns.

    Returns:
        The images, and the index of each image's record in the file's list.
    """
    decode, pack, size = _DECODE, _ROW.pack_into, _ROW.size
    buffer = bytearray(max(1, len(raws)) * size)
    records: list[int] = []
    names: list[str] = []
    clips: list[str | None] = []
    offset = 0
    for index, raw in enumerate(raws):
        try:
            r = decode(raw)
            pack(buffer, offset, r.id, r.width, r.height, r.frame, r.crowdIndex)
        except REFUSED:
            repaired = _slow_image(raw, index, findings)
            if repaired is None:
                continue
            r = repaired
            pack(buffer, offset, r.id, r.width, r.height, r.frame, r.crowdIndex)
        names.append(r.file_name)
        clips.append(None if r.clip is None else str(r.clip))
        records.append(index)
        offset += size
    rows = slice(len(records))
    columns = np.frombuffer(buffer, np.int64).reshape(-1, 5)[rows].T.copy()
    images = Images(
        ids=columns[0],
        file_names=tuple(names),
        size_wh=columns[1:3].T.copy(),
        clips=tuple(clips),
        frames=columns[3],
        crowd_index=columns[4].view(np.float64),
    )
    return images, np.array(records, dtype=np.int64)


def _slow_image(raw: Raw, index: int, findings: Findings) -> _ImageRecord | None:
    place = Place(findings, "images", index, None)
    record = load_record(bytes(raw), place)
    if record is None:
        return None
    place = Place(findings, "images", index, record.get("id"))
    name = record.get("file_name")
    if not isinstance(name, str):
        got = f"got {kind(name)}" if "file_name" in record else "it is missing"
        place.add("file-name-missing", "file_name", f"{got}; expected a file name")
        name = ""
    clip = record.get("clip")
    if clip is not None and (isinstance(clip, bool) or not isinstance(clip, str | int)):
        place.add("image-field-type", "clip", f"got {kind(clip)}; expected a string")
        clip = None
    rule = "image-field-type"
    return _ImageRecord(
        id=integer(record, "id", place),
        file_name=name,
        width=_size(record, "width", place),
        height=_size(record, "height", place),
        clip=clip if isinstance(clip, str | int) else None,
        frame=int(optional(record, "frame", place, rule, -1, whole, "an integer")),
        crowdIndex=optional(
            record, "crowdIndex", place, rule, math.nan, number, "a finite number"
        ),
    )


def _size(record: dict[str, object], field: str, place: Place) -> int:
    """Width or height in px; a whole float (640.0) is taken as it is meant."""
    value = record.get(field)
    found = number(value)
    if found is None or found != int(found) or abs(found) > 2**53:
        got = f"got {kind(value)}" if field in record else "it is missing"
        place.add("image-size-type", field, f"{got}; expected an integer number of px")
        return 0
    return int(found)
