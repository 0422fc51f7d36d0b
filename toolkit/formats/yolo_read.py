"""Reading a YOLO-pose folder: which files belong to it, and what their lines say.

Paths in `data.yaml` are never followed: label files are those below the folder that have a
`labels` folder on their way (`labels/train/a.txt` and `train/labels/a.txt` alike), pictures
those with an `images` folder. Links are not followed either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath

from toolkit.errors import ReadError
from toolkit.formats.foreign import (
    ASSUMED,
    LEFT_OUT,
    UNUSABLE,
    CocoDocument,
    Record,
    foreign_error,
    foreign_finding,
)
from toolkit.formats.foreign_values import (
    MAX_SIDE,
    PRECISION,
    Number,
    Point,
    flattened,
    is_number,
    labelled,
    parse_number,
    picture_size,
    plain,
)
from toolkit.formats.text import check_memory
from toolkit.report import Finding
from toolkit.schema import Schema

_YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_MAX_KEYPOINTS = 10_000
_SPLITS = ("train", "val", "valid", "test")


@dataclass(frozen=True)
class Folder:
    """A YOLO-pose folder's text.

    Attributes:
        data: Text of `data.yaml`.
        labels: Text of each label file by its path in the folder, with `/`.
        pictures: Path of each picture by its path in the folder.
        name: The folder's, for messages.
    """

    data: str
    labels: dict[str, str]
    pictures: dict[str, Path]
    name: str = "data.yaml"


@dataclass
class _Setting:
    """What `data.yaml` says."""

    width: int
    values: int
    names: dict[int, str]
    keypoints: dict[int, list[str]]
    sizes: dict[str, tuple[str, Number, Number]]
    findings: list[Finding] = field(default_factory=list)


def detect_folder(path: Path) -> bool:
    """Whether a folder (or a YAML file) describes YOLO-pose data."""
    found = _yaml_of(path)
    if found is None:
        return False
    try:
        with found.open("rb") as stream:
            return b"kpt_shape" in stream.read(1 << 16)
    except OSError:
        return False


def _yaml_of(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix in (".yaml", ".yml") else None
    return next((path / name for name in _YAMLS if (path / name).is_file()), None)


def read_folder(path: Path) -> Folder:
    """All text of a YOLO-pose folder.

    Raises:
        ReadError: There is no `data.yaml`, or a file cannot be read as UTF-8.
    """
    found = _yaml_of(path)
    if found is None:
        raise foreign_error(path, "", "no data.yaml in it; a YOLO-pose folder has one")
    labels, pictures = {}, {}
    for file in _files(found.parent):
        name = file.relative_to(found.parent).as_posix()
        parts = PurePosixPath(name).parts[:-1]
        if file.suffix == ".txt" and "labels" in parts:
            labels[name] = _text(file, name)
        elif file.suffix.lower() in _PICTURES and "images" in parts:
            pictures[name] = file
    return Folder(_text(found, found.name), labels, pictures, found.parent.name)


def _files(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):
        below.sort()
        for name in sorted(files):
            file = Path(folder) / name
            if not file.is_symlink():
                yield file


def _text(path: Path, place: str) -> str:
    try:
        check_memory(path, path.stat().st_size)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{place}: cannot read: {error}") from error


def to_document(folder: Folder, schema: Schema | None) -> tuple[CocoDocument, list[Finding]]:
    """The COCO document that a folder's text says."""
    setting = _setting(folder, schema)
    images: list[Record] = []
    annotations: list[Record] = []
    pictures = {
        key: (name, folder.pictures[name])
        for key, name in _by_key(folder.pictures, "images", LEFT_OUT, setting).items()
    }
    labels = _by_key(folder.labels, "labels", UNUSABLE, setting)
    strip = _common_split({*pictures, *labels})
    for key in _in_order({*pictures, *labels}, strip, setting):
        image = _image(key, strip, setting, pictures.get(key))
        if image is None:
            place = labels.get(key) or pictures[key][0]
            wanted = "no picture beside it and no 'sizes' in data.yaml, so pixels are unknown"
            raise foreign_error(Path(folder.name), place, f"{wanted}; add the pictures")
        image = {"id": len(images) + 1, **image}
        images.append(image)
        place = labels.get(key, "")
        for number, line in enumerate(folder.labels.get(place, "").splitlines(), 1):
            if not line.strip():
                continue
            record = _record(line, f"{place} line {number}", image, setting)
            if record is not None:
                ids = {"id": len(annotations) + 1, "image_id": image["id"]}
                annotations.append({**ids, **record})
    categories = [_category(row, setting) for row in sorted(setting.names)]
    document: CocoDocument = {
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    return document, setting.findings


def _key(name: str, folder: str) -> str:
    """A file's path without its `labels` or `images` folder and without its suffix."""
    parts = list(PurePosixPath(name).parts)
    parts.remove(folder)
    return str(PurePosixPath(*parts).with_suffix(""))


def _by_key(names: Iterable[str], folder: str, rule: str, setting: _Setting) -> dict[str, str]:
    """Files by `_key`; of two that share one the first, with a finding for the other."""
    found: dict[str, str] = {}
    for name in names:
        first = found.setdefault(_key(name, folder), name)
        if first != name:
            text = f"has the name of {first}, which is taken; left out: rename one of them"
            setting.findings.append(foreign_finding(rule, name, text))
    return found


def _common_split(keys: set[str]) -> str:
    """The split's folder that all files share (`train/`), else nothing."""
    first = {PurePosixPath(key).parts[0] for key in keys}
    only = first.pop() if len(first) == 1 else ""
    below = all(len(PurePosixPath(key).parts) > 1 for key in keys)
    return f"{only}/" if only in _SPLITS and below else ""


def _in_order(keys: set[str], strip: str, setting: _Setting) -> list[str]:
    """Keys in the order of `sizes`, the others after them by name."""
    ranks = {key: rank for rank, key in enumerate(setting.sizes)}
    return sorted(keys, key=lambda key: (ranks.get(key.removeprefix(strip), len(ranks)), key))


def _image(
    key: str, strip: str, setting: _Setting, picture: tuple[str, Path] | None
) -> Record | None:
    known = setting.sizes.get(key.removeprefix(strip))
    if known is not None:
        return {"file_name": known[0], "width": known[1], "height": known[2]}
    size = None if picture is None else picture_size(picture[1])
    if picture is None or size is None:
        return None
    name = key.removeprefix(strip) + picture[1].suffix
    return {"file_name": name, "width": size[0], "height": size[1]}


def _category(row: int, setting: _Setting) -> Record:
    category: Record = {"id": row + 1, "name": setting.names[row]}
    if setting.keypoints.get(row):
        category["keypoints"] = setting.keypoints[row]
    return category


def _record(line: str, place: str, image: Record, setting: _Setting) -> Record | None:
    tokens = line.split(None, 5 + setting.values * setting.width)
    wanted = 5 + setting.values * setting.width
    numbers = [parse_number(token) for token in tokens]
    got = ""
    if len(tokens) != wanted:
        count = "more" if len(tokens) > wanted else str(len(tokens))
        shape = [setting.width, setting.values]
        got = f"{count} numbers; kpt_shape {shape} needs {wanted} on a line"
    elif None in numbers:
        got = f"{tokens[numbers.index(None)][:40]!r} is no finite number"
    elif numbers[0] not in setting.names:
        got = f"class {tokens[0][:40]} is not in 'names'"
    if got:
        setting.findings.append(foreign_finding(UNUSABLE, place, f"{got}; left out"))
        return None
    row, *rest = [number for number in numbers if number is not None]
    size = Decimal(repr(image["width"])), Decimal(repr(image["height"]))
    record: Record = {"category_id": int(row) + 1}
    points = _points(rest[4:], size, setting)
    names = setting.keypoints.get(int(row))
    if names != []:
        kept = points[: len(names or points)]
        record |= {"keypoints": flattened(kept), "num_keypoints": labelled(kept)}
    return record | {"bbox": _box(rest[:4], size), "iscrowd": 0}


def _box(values: list[Decimal], size: tuple[Decimal, Decimal]) -> list[Number]:
    spans = [PRECISION.multiply(values[2 + axis], size[axis]) for axis in (0, 1)]
    starts = [
        PRECISION.subtract(PRECISION.multiply(values[axis], size[axis]), spans[axis] / 2)
        for axis in (0, 1)
    ]
    return [plain(value) for value in (*starts, *spans)]


def _points(
    values: list[Decimal], size: tuple[Decimal, Decimal], setting: _Setting
) -> list[Point]:
    step = setting.values
    xs, ys = values[::step], values[1::step]
    if step == 3:
        seen = [plain(value) for value in values[2::step]]
    else:  # Ultralytics takes (0, 0) for a missing one.
        seen = [0 if x == 0 == y else 2 for x, y in zip(xs, ys, strict=True)]
    columns = [
        [plain(PRECISION.multiply(value, side)) for value in column]
        for column, side in zip((xs, ys), size, strict=True)
    ]
    return list(zip(*columns, seen, strict=True))


def _setting(folder: Folder, schema: Schema | None) -> _Setting:
    import yaml

    place = Path(folder.name)
    try:
        data = yaml.load(folder.data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise foreign_error(
            place, "data.yaml", f"not YAML: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(data, dict):
        raise foreign_error(place, "data.yaml", "expected a mapping")
    shape = data.get("kpt_shape")
    good = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape)
    if not isinstance(shape, list) or not good or not _is_shape(*shape):
        wanted = f"expected [K, 3] or [K, 2], K at most {_MAX_KEYPOINTS:,} keypoints"
        got = "nothing" if shape is None else shape if good else type(shape).__name__
        raise foreign_error(place, "data.yaml field 'kpt_shape'", f"got {got}; {wanted}")
    names = _by_class(data.get("names")) or {0: "person"}
    setting = _Setting(shape[0], shape[1], {}, {}, _sizes(data.get("sizes")))
    # A list here would be no name, and as text it could fill the memory (YAML's aliases).
    setting.names = {
        row: str(name) if isinstance(name, str | int | float) else f"class_{row}"
        for row, name in names.items()
    }
    setting.keypoints = _keypoint_names(data.get("kpt_names"), setting, schema)
    if setting.values == 2:
        text = "two numbers a keypoint; visibility is taken as 2, and as 0 at (0, 0)"
        setting.findings.append(foreign_finding(ASSUMED, "data.yaml", text))
    return setting


def _is_shape(keypoints: int, values: int) -> bool:
    return 0 <= keypoints <= _MAX_KEYPOINTS and values in (2, 3)


def _by_class(value: object) -> dict[int, object]:
    """`names` or `kpt_names`: a list, or a mapping from class number."""
    if isinstance(value, list):
        return dict(enumerate(value))
    if isinstance(value, dict):
        return {row: item for row, item in value.items() if type(row) is int and row >= 0}
    return {}


def _keypoint_names(
    value: object, setting: _Setting, schema: Schema | None
) -> dict[int, list[str]]:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        value = dict.fromkeys(setting.names, value)
    found = {
        row: [str(name) for name in names]
        for row, names in _by_class(value).items()
        if isinstance(names, list)
        and len(names) <= setting.width
        and all(isinstance(name, str | int | float) for name in names)
    }
    missing = [row for row in setting.names if row not in found]
    if missing and setting.width:
        known = schema is not None and schema.num_keypoints == setting.width
        names = list(schema.names) if schema is not None and known else []
        names = names or [f"keypoint_{k + 1}" for k in range(setting.width)]
        source = f"those of schema '{schema.name}'" if schema and known else "numbers"
        text = f"no 'kpt_names' for {len(missing)} classes; {source} are taken"
        setting.findings.append(foreign_finding(ASSUMED, "data.yaml", text))
        found |= dict.fromkeys(missing, names)
    return found


def _sizes(value: object) -> dict[str, tuple[str, Number, Number]]:
    """File name, width and height by file name without suffix; what is no size is left."""
    found = {}
    for name, size in value.items() if isinstance(value, dict) else ():
        usable = isinstance(size, list) and len(size) == 2 and all(map(is_number, size))
        if (
            isinstance(name, str)
            and name.strip("/.")
            and usable
            and 0 < min(size) <= max(size) <= MAX_SIDE
        ):
            key = str(PurePosixPath(name).with_suffix(""))
            found[key] = (name, size[0], size[1])
    return found
