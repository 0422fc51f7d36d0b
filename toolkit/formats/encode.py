"""Numbers and new records as JSON text, the same bytes for the same values everywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

import numpy as np

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.errors import InvalidDataError
from toolkit.schema import Schema

_EXACT = 2**53


def number_text(value: float, like: str = "0") -> str:
    """A number as JSON; a whole one without a fraction, unless `like` is spelled with one.

    Raises:
        InvalidDataError: It is NaN or infinite: JSON has no such number.
    """
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        raise InvalidDataError(
            f"cannot write the number {value}: JSON has no such number; give the missing "
            "value (visibility 0, or NaN for a whole box or area) instead"
        )
    fraction = any(letter in like for letter in ".eE")
    if value == int(value) and abs(value) < _EXACT and not fraction:
        return str(int(value))
    return repr(float(value))


def list_text(values: Iterable[float]) -> str:
    """A flat list of numbers as JSON."""
    return "[" + ", ".join(number_text(value) for value in values) + "]"


def object_text(fields: Sequence[tuple[str, str]]) -> bytes:
    """An object of fields that are JSON text already, on one line."""
    inside = ", ".join(f"{json.dumps(key)}: {value}" for key, value in fields)
    return ("{" + inside + "}").encode("utf-8")


def string_text(value: str) -> str:
    """A string as JSON; file names keep their letters."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def keypoints_text(points: Sequence[Sequence[float]], third: Sequence[float]) -> str:
    """`[x, y, v, ...]` or `[x, y, score, ...]`; coordinates that are NaN become 0."""
    flat = []
    for (x, y), value in zip(points, third, strict=True):
        missing = math.isnan(x) and math.isnan(y)
        flat += [0, 0, value] if missing else [x, y, value]
    return list_text(flat)


def image_record(images: Images, row: int) -> bytes:
    """A new image record with its keys in canonical order."""
    width, height = images.size_wh[row].tolist()
    fields = [
        ("id", str(int(images.ids[row]))),
        ("file_name", string_text(images.file_names[row])),
        ("width", str(width)),
        ("height", str(height)),
    ]
    clip = images.clips[row]
    if clip is not None:
        fields.append(("clip", string_text(clip)))
    if images.frames[row] != -1:
        fields.append(("frame", str(int(images.frames[row]))))
    if not math.isnan(images.crowd_index[row]):
        fields.append(("crowdIndex", number_text(float(images.crowd_index[row]))))
    return object_text(fields)


def annotation_record(people: Annotations, row: int) -> bytes:
    """A new annotation record with its keys in canonical order."""
    fields = [
        ("id", str(int(people.instance_id[row]))),
        ("image_id", str(int(people.image_id[row]))),
        ("category_id", str(int(people.category_id[row]))),
        (
            "keypoints",
            keypoints_text(people.keypoints[row].tolist(), people.visibility[row].tolist()),
        ),
    ]
    if people.num_keypoints[row] != -1:
        fields.append(("num_keypoints", str(int(people.num_keypoints[row]))))
    if not np.isnan(people.bbox_xywh[row]).all():
        fields.append(("bbox", list_text(people.bbox_xywh[row].tolist())))
    if not math.isnan(people.area[row]):
        fields.append(("area", number_text(float(people.area[row]))))
    fields.append(("iscrowd", str(int(people.is_crowd[row]))))
    if not np.isnan(people.head_box_xywh[row]).all():
        fields.append(("head_box_xywh", list_text(people.head_box_xywh[row].tolist())))
    return object_text(fields)


def result_record(found: Predictions, row: int) -> bytes:
    """A new result record; keypoints that are all NaN are left out (a box).

    So are sigmas where one is NaN: the format has finite ones for all keypoints or none.
    """
    fields = [
        ("image_id", str(int(found.image_id[row]))),
        ("category_id", str(int(found.category_id[row]))),
    ]
    points, scores = found.keypoints[row], found.keypoint_scores[row]
    has_keypoints = not np.isnan(points).all()
    if has_keypoints:
        if np.isnan(points).any():
            raise InvalidDataError(
                f"predictions[{row}]: some keypoints are NaN; a result gives all of them "
                "or none: give a guess and a low score"
            )
        fields.append(("keypoints", keypoints_text(points.tolist(), scores.tolist())))
    fields.append(("score", number_text(float(found.scores[row]))))
    if not np.isnan(found.bbox_xywh[row]).all():
        fields.append(("bbox", list_text(found.bbox_xywh[row].tolist())))
    if found.annotation_id[row] != -1:
        fields.append(("annotation_id", str(int(found.annotation_id[row]))))
    if has_keypoints:
        fields.append(("keypoint_scores", list_text(scores.tolist())))
        if found.sigma is not None and not np.isnan(found.sigma[row]).any():
            fields.append(("sigmas", list_text(found.sigma[row].ravel().tolist())))
    return object_text(fields)


def category_record(schema: Schema) -> bytes:
    """The category of a schema."""
    return json.dumps(schema.coco_category(), ensure_ascii=False).encode("utf-8")


def list_lines(records: Iterable[bytes]) -> bytes:
    """A list with one record a line, so that a line comparison shows what changed."""
    inside = b",\n".join(records)
    return b"[\n" + inside + b"\n]" if inside else b"[]"
