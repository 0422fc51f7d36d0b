"""Reading MPII's RELEASE, LSP's and LSPET's `joints`, and mmpose's JSON list of MPII.

Visibility. MPII: `is_visible` 1 is 2, 0 is 1 (annotated, hidden), a point that is missing
is 0; without `is_visible` a point counts as visible. mmpose's JSON: `joints_vis` 1 is 2, 0
is 0. LSP (3x14xN): the third number says hidden, so 1 is 1 and 0 is 2. LSPET (14x3xN): it
says visible, so 1 is 2 and 0 is 0. Coordinates stay as they are: MATLAB counts pixels
from 1, so they may lie one px right of and below COCO's.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import MissingExtraError, ReadError, UnsafeInputError
from toolkit.formats.foreign import (
    ASSUMED,
    UNUSABLE,
    CocoDocument,
    Record,
    foreign_error,
    foreign_finding,
)
from toolkit.formats.foreign_values import (
    Number,
    Point,
    flattened,
    is_number,
    labelled,
    picture_size,
)
from toolkit.formats.text import check_memory, load_text
from toolkit.images import unsafe_name_reason
from toolkit.report import Finding
from toolkit.schema import Schema

_LIMBS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
)
_ARMS = (
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
MPII_NAMES = (*_LIMBS, "pelvis", "thorax", "upper_neck", "head_top", *_ARMS)
LSP_NAMES = (*_LIMBS, *_ARMS, "neck", "head_top")
_MAX_BYTES = 1 << 31  # what a compressed .mat may unpack to; MPII's is 0.3 GB
_COMPRESSED = 15
_Found = tuple[CocoDocument, list[Finding]]


def need_scipy() -> None:
    """Say how to get scipy where it is missing.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if find_spec("scipy") is None:
        raise MissingExtraError(
            ".mat files need scipy; install it: pip install 'extension-keypoints[tables]'"
        )


def detect_mat(path: Path) -> bool:
    """Whether a file is a `.mat`, or a JSON list whose first record has `joints_vis`."""
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 14)
    except OSError:
        return False
    if head.startswith(b"MATLAB "):
        return True
    return head.lstrip().startswith(b"[") and b'"joints_vis"' in head and b'"joints"' in head


def read_mat(path: Path, schema: Schema | None) -> _Found:
    """Read a `.mat`, or mmpose's JSON.

    Raises:
        ReadError: It is neither, or holds neither RELEASE nor `joints`.
        UnsafeInputError: It unpacks to more than 2 GiB.
    """
    try:
        with path.open("rb") as stream:
            is_mat = stream.read(7) == b"MATLAB "
            if not is_mat:
                return _read_json(path)
            check_memory(path, path.stat().st_size)
            _check_unpacked(stream, path.name)
            stream.seek(0)
            return document_of_mat(stream, path, schema)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"{path}: cannot read: {reason}") from error


def document_of_mat(stream: BinaryIO, path: Path, schema: Schema | None) -> _Found:
    """The COCO document that a `.mat` says; `path` is for messages and pictures beside it."""
    need_scipy()
    from scipy.io import loadmat  # lazy: scipy costs 0.2 s

    names = ["RELEASE", "annolist", "joints", "img_train"]
    try:
        plain = loadmat(stream, variable_names=["joints"])
        stream.seek(0)
        found = loadmat(stream, variable_names=names, simplify_cells=True)
    except NotImplementedError as error:
        text = "MATLAB 7.3 (HDF5); save it with -v7 in MATLAB"
        raise foreign_error(path, "", text) from error
    except OSError:
        raise
    except Exception as error:  # scipy lets through whatever a broken file causes
        detail = f"{type(error).__name__}: {error}"[:200]
        raise foreign_error(path, "", f"not a .mat that can be read: {detail}") from error
    if "joints" in plain:
        return _joints(plain["joints"], path)
    release = found.get("RELEASE", found)
    if not isinstance(release, dict) or "annolist" not in release:
        text = "neither 'RELEASE' (MPII) nor 'joints' (LSP, LSPET) in it"
        raise foreign_error(path, "", text)
    return _mpii(release, path)


def _check_unpacked(stream: BinaryIO, name: str) -> None:
    """Refuse a file whose compressed elements unpack to absurd sizes, before that happens."""
    stream.seek(126)
    order = "<" if stream.read(2) == b"IM" else ">"
    total = 0
    while len(tag := stream.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", tag)
        if kind != _COMPRESSED:
            stream.seek(size, 1)
            continue
        unpack = zlib.decompressobj()
        left = size
        while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
            left -= len(chunk)
            try:
                while chunk:
                    total += len(unpack.decompress(chunk, 1 << 22))
                    chunk = unpack.unconsumed_tail
                    if total > _MAX_BYTES:
                        raise UnsafeInputError(
                            f"{name}: unpacks to more than {_MAX_BYTES:,} bytes; refused"
                        )
            except zlib.error as error:
                raise ReadError(f"{name}: damaged: {error}") from error


def _mpii(release: dict[str, Any], path: Path) -> _Found:
    findings: list[Finding] = []
    names = [str(n) for n in _items(release.get("keypoint_names"), str)] or list(MPII_NAMES)
    images: list[Record] = []
    annotations: list[Record] = []
    train = np.atleast_1d(np.asarray(release.get("img_train", [])))
    entries = _items(release["annolist"], dict)
    for row, entry in enumerate(entries):
        image = _image_of(entry, row, path, findings)
        if train.size == len(entries) and np.issubdtype(train.dtype, np.number):
            image["img_train"] = int(train.ravel()[row])
        images.append(image)
        for number, person in enumerate(_items(entry.get("annorect"), dict)):
            place = f"annolist({row + 1}).annorect({number + 1})"
            record = _person(person, names, place, findings)
            ids = {"id": len(annotations) + 1, "image_id": row + 1, "category_id": 1}
            annotations.append(ids | record)
    return _document(images, annotations, names), findings


def _image_of(entry: Record, row: int, path: Path, findings: list[Finding]) -> Record:
    image = entry.get("image")
    image = image if isinstance(image, dict) else {}
    name = image.get("name")
    if not isinstance(name, str) or not name:
        place = f"annolist({row + 1}).image.name"
        findings.append(foreign_finding(UNUSABLE, place, "missing; expected a file name"))
        name = ""
    record: Record = {"id": row + 1, "file_name": name}
    size = {f: _number(image.get(f)) for f in ("width", "height") if f in image}
    known = {field: value for field, value in size.items() if value is not None}
    return record | (known or _size_beside(path, name))


def _size_beside(path: Path, name: str) -> Record:
    """Width and height of a picture beside the file; nothing where there is none."""
    if unsafe_name_reason(name) is not None:
        return {}
    for folder in (path.parent, path.parent / "images"):
        file = folder / name
        if file.is_file() and not file.is_symlink():
            size = picture_size(file)
            if size is not None:
                return {"width": size[0], "height": size[1]}
    return {}


def _person(person: Record, names: list[str], place: str, findings: list[Finding]) -> Record:
    points: list[Point] = [(0, 0, 0)] * len(names)
    annopoints = person.get("annopoints")
    listed = annopoints.get("point") if isinstance(annopoints, dict) else None
    for point in _items(listed, dict):
        x, y, k = (_number(point.get(field)) for field in ("x", "y", "id"))
        if x is None or y is None or not isinstance(k, int) or not 0 <= k < len(names):
            text = f"a point without numbers x, y and an id below {len(names)}; left out"
            findings.append(foreign_finding(UNUSABLE, place, text))
            continue
        points[k] = (x, y, 1 if _number(point.get("is_visible")) == 0 else 2)
    record: Record = {"keypoints": flattened(points), "num_keypoints": labelled(points)}
    record["iscrowd"] = 0
    corners = [_number(person.get(field)) for field in ("x1", "y1", "x2", "y2")]
    head = [corner for corner in corners if corner is not None]
    if len(head) == 4:
        spans = [_whole(float(head[2] - head[0])), _whole(float(head[3] - head[1]))]
        record["head_box_xywh"] = [*head[:2], *spans]
    position = person.get("objpos")
    if isinstance(position, dict):
        centre = [_number(position.get(axis)) for axis in ("x", "y")]
        if None not in centre:
            record["center"] = centre
    scale = _number(person.get("scale"))
    return record if scale is None else record | {"scale": scale}


def _joints(joints: NDArray[Any], path: Path) -> _Found:
    """LSP (3x14xN) or LSPET (14x3xN)."""
    shape = joints.shape
    numeric = np.issubdtype(joints.dtype, np.number) and np.isrealobj(joints)
    if len(shape) == 2 and set(shape) == {3, 14}:
        joints, shape = joints[:, :, None], (*shape, 1)
    if not numeric or len(shape) != 3 or shape[:2] not in ((3, 14), (14, 3)):
        text = f"shape {shape}; expected 3x14xN (LSP) or 14x3xN (LSPET)"
        raise foreign_error(path, "'joints'", text)
    is_lsp = shape[:2] == (3, 14)
    people = joints.transpose(2, 1, 0) if is_lsp else joints.transpose(2, 0, 1)
    digits = 4 if is_lsp else 5
    findings = [
        foreign_finding(
            ASSUMED,
            "'joints'",
            "3x14xN is taken for LSP, whose third row says hidden: 1 is visibility 1, 0 is 2"
            if is_lsp
            else "14x3xN is taken for LSPET, whose third column says visible: 1 is "
            "visibility 2, 0 is 0 (coordinates are kept)",
            int(shape[2]),
        ),
        foreign_finding(
            ASSUMED, "'joints'", f"images are named im{'1'.zfill(digits)}.jpg, ..."
        ),
    ]
    images, annotations = [], []
    for row, person in enumerate(people.astype(np.float64)):
        name = f"im{row + 1:0{digits}d}.jpg"
        images.append({"id": row + 1, "file_name": name, **_size_beside(path, name)})
        if not np.isfinite(person).all():
            text = "a number that is not finite; left out"
            findings.append(foreign_finding(UNUSABLE, f"joints(:,:,{row + 1})", text))
            continue
        points: list[Point] = []
        for x, y, flag in person.tolist():
            seen = (1 if flag else 2) if is_lsp else (2 if flag else 0)
            points.append((_whole(x), _whole(y), seen))
        annotations.append(
            {
                "id": row + 1,
                "image_id": row + 1,
                "category_id": 1,
                "keypoints": flattened(points),
                "num_keypoints": labelled(points),
                "iscrowd": 0,
            }
        )
    return _document(images, annotations, list(LSP_NAMES)), findings


def _read_json(path: Path) -> _Found:
    """Mmpose's list: one record a person, `joints` in MPII's order."""
    text = load_text(path)

    def refuse(token: str) -> NoReturn:
        raise foreign_error(path, "", f"{token} is not JSON; write null or leave it out")

    try:
        people = json.loads(text.data, parse_constant=refuse)
    except json.JSONDecodeError as error:
        text.fail_at(error.pos, f"not JSON: {error.msg}")
    except (ValueError, RecursionError) as error:
        raise foreign_error(path, "", f"not JSON that can be read: {error}") from error
    if not isinstance(people, list):
        raise foreign_error(path, "", "expected a list of people with 'joints' and 'image'")
    findings: list[Finding] = []
    images: dict[str, Record] = {}
    annotations: list[Record] = []
    for row, person in enumerate(people):
        record = _json_person(person, f"[{row}]", findings)
        if record is None:
            continue
        name = person["image"]
        if name not in images:
            size = _size_beside(path, name)
            images[name] = {"id": len(images) + 1, "file_name": name, **size}
        ids = {"id": row + 1, "image_id": images[name]["id"], "category_id": 1}
        annotations.append(ids | record)
    return _document(list(images.values()), annotations, list(MPII_NAMES)), findings


def _json_person(person: object, place: str, findings: list[Finding]) -> Record | None:
    fields = person if isinstance(person, dict) else {}
    joints, seen = _list(fields.get("joints")), _list(fields.get("joints_vis"))
    count = len(MPII_NAMES)
    good = len(joints) == len(seen) == count and isinstance(fields.get("image"), str)
    if not good or not all(map(_is_pair, joints)) or not all(v in (0, 1) for v in seen):
        text = f"expected 'image', {count} pairs 'joints' and {count} flags 'joints_vis'"
        findings.append(foreign_finding(UNUSABLE, place, text))
        return None
    points: list[Point] = [
        (x, y, 2 if v else 0) for (x, y), v in zip(joints, seen, strict=True)
    ]
    record: Record = {"keypoints": flattened(points), "num_keypoints": labelled(points)}
    others = {k: v for k, v in fields.items() if k not in ("joints", "joints_vis", "image")}
    return record | {"iscrowd": 0} | others


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _document(
    images: list[Record], annotations: list[Record], names: list[str]
) -> CocoDocument:
    category: Record = {"id": 1, "name": "person"}
    if names:
        category["keypoints"] = names
    return {"images": images, "annotations": annotations, "categories": [category]}


def _items(value: object, kind: type) -> list[Any]:
    """The entries of a struct array or cell, however scipy has squeezed it."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, list | np.ndarray):
        flat: Iterable[object] = np.asarray(value, dtype=object).ravel().tolist()
        return [item for item in flat if isinstance(item, kind)]
    return []


def _number(value: object) -> Number | None:
    """A MATLAB number, also as text ('1', as some of MPII's flags are); else None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0].item() if hasattr(value.ravel()[0], "item") else None
    if isinstance(value, str) and value.strip() in ("0", "1"):
        return int(value)
    if not isinstance(value, int | float) or not is_number(value):
        return None
    return _whole(float(value)) if isinstance(value, float) else value


def _whole(value: float) -> Number:
    """An int where the value is whole, as COCO files write it."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
