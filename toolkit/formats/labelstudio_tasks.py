"""What Label Studio's tasks carry: our records, the pictures' names, and the labels."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from toolkit.formats.foreign import ASSUMED, Record, foreign_finding
from toolkit.formats.labelstudio_config import Config
from toolkit.formats.labelstudio_regions import IMAGE
from toolkit.report import Finding
from toolkit.schema import Schema

CARRIED = "coco"  # key of a task's data that holds our records, as text
SIDES = ("left", "top", "right", "bottom")  # keys of a task's `data["padding"]`, px


class Carried(msgspec.Struct):
    """What we sent with a task, as its text says it.

    Attributes:
        index: Row of the image in the document.
        image: Its record.
        annotations: Its people's records, with their rows in the document.
        categories: The document's, as JSON: every task has them, one is read.
        rest: All else of the document; only the first task has it.
        loose: Records of people in no image, with their rows; only in the first task.
    """

    index: int
    image: Record
    annotations: list[tuple[int, Record]] = []
    categories: msgspec.Raw = msgspec.Raw(b"null")
    rest: Any = msgspec.UNSET
    loose: list[tuple[int, Record]] = []


_decode = msgspec.json.Decoder(Carried).decode


def carried_by(task: Record) -> Carried | None:
    """What we sent with a task; None for a task of others, or where it was spoilt."""
    data = task.get("data")
    text = data.get(CARRIED) if isinstance(data, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # half of a surrogate pair, say, which `json` takes; or no people at all
    try:
        found = json.loads(text)
        for people in ("annotations", "loose"):
            if not isinstance(found.get(people), list):
                found.pop(people, None)
        categories = found.pop("categories", None)
        carried = msgspec.convert(found, Carried)
    except (msgspec.DecodeError, ValueError, AttributeError, TypeError, RecursionError):
        return None
    carried.categories = msgspec.Raw(json.dumps(categories).encode())
    return carried


def categories_sent(carried: Carried) -> list[Record] | None:
    """The categories that a task carries; None where it carries none, or no records."""
    try:
        found = json.loads(bytes(carried.categories))
    except (ValueError, RecursionError):  # a number of thousands of digits, say
        return None
    good = isinstance(found, list) and found and all(isinstance(c, dict) for c in found)
    return found if good else None


def list_of(value: object) -> list[object]:
    """A JSON list; empty where the value is none."""
    return value if isinstance(value, list) else []


def file_names(tasks: list[Record]) -> list[str]:
    """The pictures' file names; with their folder where two would have the same."""
    paths = []
    for number, task in enumerate(tasks):
        data = task.get("data")
        values = data if isinstance(data, dict) else {}
        texts = [v for k, v in values.items() if isinstance(v, str) and k != CARRIED]
        image = values.get(IMAGE)
        url = image if isinstance(image, str) else (texts or [f"task{number}"])[0]
        paths.append(path_in(url))
    short = [PurePosixPath(path).name or path for path in paths]
    counts = Counter(short)
    return [s if counts[s] == 1 else p for s, p in zip(short, paths, strict=True)]


def path_in(url: str) -> str:
    """The path in a picture's address: `/data/upload/18/a.jpg` is `18/a.jpg`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path)
    return path.removeprefix("/data/upload/").lstrip("/")


def controls_of(tasks: list[Record]) -> set[str]:
    """Names of the keypoint and rectangle controls that the regions come from."""
    return {
        str(region.get("from_name"))
        for task in tasks
        for annotation in list_of(task.get("annotations"))
        if isinstance(annotation, dict)
        for region in list_of(annotation.get("result"))
        if isinstance(region, dict)
        if region.get("type") in ("keypointlabels", "rectanglelabels")
    }


def categories_of_tasks(
    tasks: list[Record], schema: Schema | None, config: Config | None, findings: list[Finding]
) -> list[Record]:
    """One category for each rectangle label, with all keypoint labels."""
    seen: dict[str, list[str]] = {"keypointlabels": [], "rectanglelabels": []}
    for task in tasks:
        for annotation in list_of(task.get("annotations")):
            result = annotation.get("result") if isinstance(annotation, dict) else None
            for region in list_of(result):
                kind = str(region.get("type")) if isinstance(region, dict) else ""
                value = region.get("value") if isinstance(region, dict) else None
                labels = value.get(kind) if isinstance(value, dict) else None
                if kind in seen and isinstance(labels, list):
                    seen[kind] += [x for x in labels[:1] if isinstance(x, str)]
    points = list(dict.fromkeys(seen["keypointlabels"]))
    boxes = list(dict.fromkeys(seen["rectanglelabels"]))
    if schema is not None:
        points = list(schema.names)
        first = schema.coco_category()
        others = [name for name in boxes if name != schema.category_name]
        return [first] if len(boxes) < 2 else [first, *_numbered(others, points, 2)]
    if config is not None:
        points = list(dict.fromkeys([*config.points, *points]))
        boxes = list(dict.fromkeys([*config.boxes, *boxes]))
    elif points:
        text = (
            "no labelling configuration beside the file; keypoints are in order of appearance"
        )
        findings.append(foreign_finding(ASSUMED, "labels", text, len(points)))
    return _numbered(boxes or ["person"], points, 1)


def _numbered(names: list[str], points: list[str], start: int) -> list[Record]:
    keypoints = {"keypoints": points} if points else {}
    return [{"id": row, "name": name, **keypoints} for row, name in enumerate(names, start)]
