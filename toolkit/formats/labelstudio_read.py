"""Reading Label Studio's JSON export: our own tasks come home, those of others are read.

Several annotations of one task stay apart: each gives its own people, and each COCO
annotation says under `labelstudio` which annotation it is from, who made it and when.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, NoReturn

from msgspec import UNSET

from toolkit.formats.base import collector_off
from toolkit.formats.compare import identity
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
    Number,
    category_row,
    decimal_of,
    is_number,
    keypoint_names,
    plain,
)
from toolkit.formats.labelstudio_config import Config, config_beside
from toolkit.formats.labelstudio_people import Region, Regions, people_of, regions_by_kind
from toolkit.formats.labelstudio_regions import (
    Canvas,
    Drawing,
    Drawn,
    box_in_pixels,
    drawn_of,
    percent,
    updated,
)
from toolkit.formats.labelstudio_tasks import (
    Carried,
    carried_by,
    categories_of_tasks,
    categories_sent,
    controls_of,
    file_names,
    list_of,
)
from toolkit.formats.text import load_text
from toolkit.report import Finding
from toolkit.schema import Schema

NEW = object()  # in place of an id that is still to come
_SIZE = ("original_width", "original_height")
_FRAME_FIELDS = (*_SIZE, "image_rotation")
_FRAME = itemgetter(*_FRAME_FIELDS)
_KEPT = ("completed_by", "created_at", "updated_at", "ground_truth", "lead_time")
_NO_FIRST = (
    "the task that carries what belongs to no image (info, licenses and other top-level keys, "
    "people whose image does not exist) is not among them; only a sidecar still has it"
)
_TASK = re.compile(rb'"(?:annotations|predictions|completions|result)"\s*:')


@dataclass
class _Reading:
    """What is gathered over all tasks."""

    categories: list[Record] = field(default_factory=list)
    next_image: int = 1
    findings: list[Finding] = field(default_factory=list)
    images: list[tuple[int, Record]] = field(default_factory=list)
    annotations: list[tuple[int, Record]] = field(default_factory=list)
    rest: Record | None = None
    drawings: dict[object, Drawing] = field(default_factory=dict)

    def drawing(self, record: Record, index: int) -> Drawing:
        """How an annotation's category is drawn; each category is looked at once.

        Raises:
            InvalidDataError: There is no such category.
        """
        key = identity(record.get("category_id"))
        if key not in self.drawings:
            row = category_row(self.categories, record, index)
            self.drawings[key] = Drawing.of(self.categories[row])
        return self.drawings[key]

    def add(self, rule: str, place: str, message: str, count: int = 1) -> None:
        """Add a finding."""
        self.findings.append(foreign_finding(rule, place, message, count))


def detect_labelstudio(path: Path) -> bool:
    """Whether a JSON file begins as a list of tasks: `data`, and annotations or a result."""
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16)
    except OSError:
        return False
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"{"):  # one task
        return b'"result"' in head and b'"data"' in head and b'"categories"' not in head
    if not head.startswith(b"["):
        return False
    ours = b'"coco": "{' in head
    return ours or (
        _TASK.search(head) is not None and (b'"result"' in head or b'"data"' in head)
    )


def read_labelstudio(path: Path, schema: Schema | None) -> tuple[CocoDocument, list[Finding]]:
    """Read an export (a list of tasks); the configuration is looked for beside it.

    Raises:
        ReadError: It is no JSON, or no list of tasks.
    """
    text = load_text(path)

    def refuse(token: str) -> NoReturn:
        raise foreign_error(path, "", f"{token} is not JSON; write null or leave it out")

    try:
        tasks = json.loads(text.data, parse_constant=refuse)
    except json.JSONDecodeError as error:
        text.fail_at(error.pos, f"not JSON: {error.msg}")
    except (ValueError, RecursionError) as error:
        raise foreign_error(path, "", f"not JSON that can be read: {error}") from error
    tasks = [tasks] if isinstance(tasks, dict) and "data" in tasks else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise foreign_error(
            path, "", "expected a list of tasks; export as JSON from Label Studio"
        )
    if tasks and not any("data" in task for task in tasks):
        raise foreign_error(
            path, "task 0", "no 'data'; JSON-MIN and CSV cannot be read, export as JSON"
        )
    names = controls_of(tasks)
    return document_of(tasks, schema, config_beside(path, names) if names else None)


def document_of(
    tasks: list[Record], schema: Schema | None, config: Config | None
) -> tuple[CocoDocument, list[Finding]]:
    """The COCO document that tasks say."""
    with collector_off():
        return _document_of(tasks, schema, config)


def _document_of(
    tasks: list[Record], schema: Schema | None, config: Config | None
) -> tuple[CocoDocument, list[Finding]]:
    reading = _Reading()
    ours = filter(None, map(carried_by, tasks))
    own = next(filter(None, map(categories_sent, ours)), None)
    reading.categories = own or categories_of_tasks(tasks, schema, config, reading.findings)
    names: list[str] = []
    for number, task in enumerate(tasks):
        carried = carried_by(task)
        if carried is None and not names:  # the first task of others
            names = file_names(tasks)
            reading.next_image = _next_image(tasks)
        _read_task(task, carried, number, names[number] if names else "", reading)
    _number_anew(reading)
    images = [record for _, record in sorted(reading.images, key=lambda pair: pair[0])]
    people = [record for _, record in sorted(reading.annotations, key=lambda pair: pair[0])]
    document: CocoDocument = {"images": images, "annotations": people}
    if reading.rest is None:
        if own:
            reading.add(ASSUMED, "tasks", _NO_FIRST)
        return document | {"categories": reading.categories}, reading.findings
    # What was empty or missing in the document that we sent is so again.
    for key in [key for key, value in document.items() if not value]:
        del document[key]
    whole = {key: document.pop(key, value) for key, value in reading.rest.items()}
    return whole | document, reading.findings


def _next_image(tasks: list[Record]) -> int:
    """An id above those of the images that we sent."""
    ids = [carried.image.get("id") for carried in map(carried_by, tasks) if carried]
    return 1 + max((i for i in ids if type(i) is int), default=0)


def _read_task(
    task: Record, carried: Carried | None, number: int, name: str, reading: _Reading
) -> None:
    place = f"task {task.get('id', number)}"
    annotations = [a for a in list_of(task.get("annotations")) if isinstance(a, dict)]
    done = [a for a in annotations if not a.get("was_cancelled")]
    if len(done) < len(annotations):
        count = len(annotations) - len(done)
        reading.add(LEFT_OUT, place, f"{count} annotations were cancelled", count)
    regions = [regions_by_kind(annotation.get("result")) for annotation in done]
    canvas = _canvas(task, regions, place, reading) or _sent_canvas(task, carried)
    image = _image(task, carried, canvas, name)
    if not carried:
        image["id"] = reading.next_image
        reading.next_image += 1
    at = carried.index if carried else len(reading.images) + (1 << 40)
    reading.images.append((at, image))
    if carried and carried.rest is not UNSET and reading.rest is None:
        reading.rest = carried.rest if isinstance(carried.rest, dict) else {}
        reading.annotations += carried.loose
    sent = carried.annotations if carried else []
    if not done:
        reading.annotations += sent
        if sent and annotations:
            text = f"no annotation left; {len(sent)} people come back as they were sent"
            reading.add(ASSUMED, place, text, len(sent))
        if not carried and task.get("predictions"):
            reading.add(LEFT_OUT, place, "only predictions, which nobody has confirmed")
        return
    for turn, annotation in enumerate(done):
        where = f"{place} annotation {annotation.get('id', turn)}"
        size = canvas or Canvas(1.0, 1.0)
        found, others = people_of(regions[turn], size, where, reading.findings, sent)
        if others and not carried:
            image["labelstudio"].setdefault("regions", []).extend(others)
        elif others:  # the image's record is as it was sent
            _tell_left_out(others, where, reading)
        if canvas is None and found:
            reading.add(UNUSABLE, where, "regions without original_width and original_height")
            continue
        said = _provenance(annotation, task)
        new = _home(found, sent, size, said, turn, where, reading)
        for one in new:
            record = _person(one, image, size, where, reading)
            if record is not None:
                record |= {"labelstudio": said} if said else {}
                reading.annotations.append((1 << 40, record))


def _tell_left_out(regions: list[Region], place: str, reading: _Reading) -> None:
    for kind, count in Counter(str(region.get("type"))[:40] for region in regions).items():
        text = f"{count} regions of type '{kind}'; only rectangles and keypoints have a place"
        reading.add(LEFT_OUT, place, text, count)


def _home(
    found: list[Drawn],
    known: list[tuple[int, Record]],
    canvas: Canvas,
    said: Record,
    turn: int,
    place: str,
    reading: _Reading,
) -> list[Drawn]:
    """Bring the people home that we sent; gives those that were added by a person."""
    by_key = {one.key: one for one in found}
    for index, record in known:
        key = f"p{index}"
        category = reading.drawing(record, index)
        sent = drawn_of(record, key, category, canvas)
        one = by_key.pop(key, None)
        if one is None:
            if (sent.box is None and not sent.points) and turn == 0:
                reading.annotations.append((index, record))
            continue
        changed = updated(record, sent, one, category, canvas)
        other = _named(one.label, reading) if one.label not in (None, sent.label) else None
        if other is not None:
            changed["category_id"] = other.get("id")
        unknown = one.points.keys() - category.names if one.points != sent.points else ()
        if unknown:
            text = f"labels that are no keypoints of the category: {', '.join(sorted(unknown))}"
            reading.add(UNUSABLE, place, text[:300], len(unknown))
        if turn:
            changed["id"] = NEW
        if said:
            changed["labelstudio"] = said
        reading.annotations.append((index, changed))
    return list(by_key.values())


def _person(
    one: Drawn, image: Record, canvas: Canvas, place: str, reading: _Reading
) -> Record | None:
    """A COCO annotation of somebody that no record of ours describes; its id comes later."""
    category = _named(one.label, reading) or next(iter(reading.categories), None)
    if category is None:
        reading.add(UNUSABLE, place, "no category is known; pass --schema")
        return None
    names = keypoint_names(category)
    record: Record = {
        "id": NEW,
        "image_id": image.get("id"),
        "category_id": category.get("id"),
    }
    unknown = sorted(set(one.points) - set(names))
    if unknown:
        text = f"labels that are no keypoints of the category: {', '.join(unknown)}"
        reading.add(UNUSABLE, place, text[:300], len(unknown))
    if names:
        flat: list[Number] = []
        for name in names:
            x, y, visibility = one.points.get(name, (0, 0, 0))
            px = canvas.to_pixels(x, y) if visibility else (0, 0)
            flat += [*px, visibility]
        record["keypoints"] = flat
        record["num_keypoints"] = sum(value > 0 for value in flat[2::3])
    if one.box is not None:
        record["bbox"] = box_in_pixels(one.box, canvas)
    return record | {"iscrowd": 0}


def _named(label: str | None, reading: _Reading) -> Record | None:
    """The category of a rectangle's label."""
    return next((c for c in reading.categories if str(c.get("name")) == label), None)


def _provenance(annotation: Record, task: Record) -> Record:
    """Whose annotation it is; nothing for one that no server has seen."""
    if annotation.get("id") is None:
        return {}
    said = {key: annotation[key] for key in _KEPT if annotation.get(key) is not None}
    who = said.get("completed_by")
    if isinstance(who, dict) and "id" in who:  # without the name and address of a person
        said["completed_by"] = who["id"]
    return {"annotation": annotation["id"], "task": task.get("id"), **said}


def _image(task: Record, carried: Carried | None, canvas: Canvas | None, name: str) -> Record:
    if carried:
        return carried.image
    image: Record = {"id": 0, "file_name": name}
    if canvas is not None:
        right, bottom = _padding(task)[2:]
        image["width"] = plain(decimal_of(canvas.width - canvas.left - right))
        image["height"] = plain(decimal_of(canvas.height - canvas.top - bottom))
    data = task.get("data")
    others = {k: v for k, v in data.items() if k != "padding"} if isinstance(data, dict) else {}
    return image | {"labelstudio": {"task": task.get("id"), "data": others}}


def _padding(task: Record) -> tuple[Number, ...]:
    """Margin left, top, right and bottom in px."""
    data = task.get("data")
    padding = data.get("padding") if isinstance(data, dict) else None
    sides = padding if isinstance(padding, dict) else {}
    found = [sides.get(side, 0) for side in ("left", "top", "right", "bottom")]
    return tuple(value if is_number(value) else 0 for value in found)


def _canvas(
    task: Record, annotations: list[Regions], place: str, reading: _Reading
) -> Canvas | None:
    """The canvas that the regions' original size tells; None where no region does."""
    sizes: set[tuple[Number, Number]] = set()
    turned = False
    for annotation in annotations:
        for frame in _frames(annotation.all):
            turned |= frame.get("image_rotation") not in (0, None)
            size = percent(frame, *_SIZE)
            if size is not None and min(size) > 0:
                sizes.add((size[0], size[1]))
    if turned:
        text = "the picture was turned in the editor; the regions are taken unturned"
        reading.add(ASSUMED, place, text)
    if not sizes:
        return None
    width, height = max(sizes)
    if len(sizes) > 1:
        text = f"regions tell {len(sizes)} sizes; {width:g} x {height:g} is taken"
        reading.add(ASSUMED, place, text)
    left, top = _padding(task)[:2]
    return Canvas(width, height, left, top)


def _sent_canvas(task: Record, carried: Carried | None) -> Canvas | None:
    """The canvas that we sent, for regions of a program that do not tell theirs."""
    size = percent(carried.image, "width", "height") if carried else None
    if size is None or min(size) <= 0:
        return None
    left, top, right, bottom = _padding(task)
    return Canvas(size[0] + left + right, size[1] + top + bottom, left, top)


def _frames(regions: list[Any]) -> list[Region]:
    """What regions say of their picture; what nearly all of them say alike is told once."""
    try:
        said = set(map(_FRAME, regions))
    except (KeyError, TypeError):  # one says less, or something odd
        return [region for region in regions if isinstance(region, dict)]
    return [dict(zip(_FRAME_FIELDS, one, strict=True)) for one in said]


def _number_anew(reading: _Reading) -> None:
    """Ids for the annotations that have none yet."""
    ids = [record.get("id") for _, record in reading.annotations]
    last = max((i for i in ids if type(i) is int), default=0)
    for _, record in reading.annotations:
        if "id" in record and record["id"] is NEW:
            last += 1
            record["id"] = last
