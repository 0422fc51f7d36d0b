"""MPII-style `.mat`, the joints of LSP and LSPET, and mmpose's JSON list of MPII.

MPII knows points, a head box, a centre (`objpos`) and a scale; no person box, no area, no
ids. We add two things that MPII's readers pass over: `keypoint_names` in RELEASE, and
width and height beside the image's name. See `mat_read` for what reading assumes.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import InvalidDataError
from toolkit.formats.foreign import FILE, CocoDocument, Files, Foreign, Record, records_of
from toolkit.formats.foreign_values import (
    Number,
    Point,
    box_of,
    categories_of,
    is_number,
    keypoint_names,
    people_by_image,
    points_of,
    without_image,
)
from toolkit.formats.mat_read import (
    detect_mat,
    document_of_mat,
    need_scipy,
    read_mat,
)
from toolkit.schema import Schema

# MATLAB's header of 116 bytes holds the time of writing; the same data are the same bytes.
_HEADER = b"MATLAB 5.0 MAT-file, MPII-style annotations".ljust(116)
_PERSON_HEIGHT = 200.0  # MPII: scale is the person's height divided by 200 px


def encode(document: CocoDocument, schema: Schema) -> Files:
    """An MPII-style `.mat`."""
    need_scipy()
    from scipy.io import savemat  # lazy: scipy costs 0.2 s

    categories = categories_of(document, schema)
    names = max((keypoint_names(category) for category in categories), key=len)
    records = records_of(document, "annotations")
    people, _ = people_by_image(document)
    images = records_of(document, "images")
    entries: list[dict[str, object]] = [
        {
            "image": _structs([_image(image, row)]),
            "annorect": _structs([_person(records[index]) for index in people[row]]),
        }
        for row, image in enumerate(images)
    ]
    release: dict[str, object] = {
        "annolist": _structs(entries),
        "keypoint_names": np.array(names, dtype=object).reshape(1, -1),
    }
    train = [image.get("img_train") for image in images]
    if train and all(value in (0, 1) for value in train):
        release["img_train"] = np.array([train], dtype=np.float64)
    stream = io.BytesIO()
    try:
        savemat(stream, {"RELEASE": release}, long_field_names=True)
    except (UnicodeEncodeError, OverflowError, ValueError) as error:
        raise InvalidDataError(f"cannot write as .mat: {error}; change that text") from error
    return {FILE: _HEADER + stream.getvalue()[len(_HEADER) :]}


def decode(files: Files) -> CocoDocument:
    """The document that a `.mat` says."""
    return document_of_mat(io.BytesIO(files[FILE]), Path("x.mat"), None)[0]


def _structs(items: list[dict[str, object]]) -> NDArray[np.object_]:
    """A MATLAB struct array; a field that an item lacks is empty there."""
    fields = list(dict.fromkeys(field for item in items for field in item))
    if not fields:
        return np.zeros((0, 0), dtype=object)
    array = np.empty((1, len(items)), dtype=[(field, object) for field in fields])
    for row, item in enumerate(items):
        for field in fields:
            array[0, row][field] = item.get(field, np.zeros((0, 0)))
    return array


def _image(image: Record, row: int) -> dict[str, object]:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise InvalidDataError(
            f"images[{row}] id={image.get('id')} field 'file_name': got {name!r}; "
            "MPII needs a name"
        )
    size = {
        field: float(value)
        for field in ("width", "height")
        if isinstance(value := image.get(field), int | float) and is_number(value)
    }
    return {"name": name, **size}


def _person(record: Record) -> dict[str, object]:
    person: dict[str, object] = {}
    head = box_of(record, "head_box_xywh")
    if head is not None:
        corners = [head[0], head[1], _end(head[0], head[2]), _end(head[1], head[3])]
        person |= dict(zip(("x1", "y1", "x2", "y2"), map(float, corners), strict=True))
    points = [_point(k, point) for k, point in enumerate(points_of(record) or []) if point[2]]
    person["annopoints"] = _structs([{"point": _structs(points)}] if points else [])
    centre, scale = record.get("center"), record.get("scale")
    box = box_of(record)
    if isinstance(centre, list) and len(centre) == 2 and all(map(is_number, centre)):
        person["objpos"] = _structs([{"x": float(centre[0]), "y": float(centre[1])}])
    elif box is not None:
        x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
        person["objpos"] = _structs([{"x": float(x), "y": float(y)}])
    if isinstance(scale, int | float) and is_number(scale):
        person["scale"] = float(scale)
    elif box is not None:
        person["scale"] = max(box[2], box[3]) / _PERSON_HEIGHT
    return person


def _point(k: int, point: Point) -> dict[str, object]:
    seen = 0.0 if point[2] == 1 else 1.0
    return {"x": float(point[0]), "y": float(point[1]), "id": float(k), "is_visible": seen}


def _end(start: Number, span: Number) -> float:
    """Where a side ends, so that the difference is `span` again where a float64 can do it."""
    end = float(start) + float(span)
    tries = (end, math.nextafter(end, math.inf), math.nextafter(end, -math.inf))
    return next((value for value in tries if value - float(start) == span), end)


MAT = Foreign(
    name="mat",
    suffixes=(".mat",),
    description="MPII-style .mat; reads LSP's and LSPET's joints.mat and mmpose's MPII JSON",
    is_folder=False,
    detect=detect_mat,
    to_coco=read_mat,
    encode=encode,
    decode=decode,
    dropped=without_image,
    numbered=frozenset({"images", "annotations"}),
)
