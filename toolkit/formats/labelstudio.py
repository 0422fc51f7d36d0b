"""Label Studio's JSON: one task an image, with rectangles and keypoints as regions.

Everything of the COCO document travels in each task's `data["coco"]`, as JSON text, which
Label Studio keeps and does not look into: the image's record, its annotations' records, the
categories, and in the first task the rest. Coming home, the records are as they were, but
what a person changed in the regions wins. See `labelstudio_read` for exports of others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from toolkit.errors import InvalidDataError
from toolkit.formats.base import collector_off
from toolkit.formats.compare import identity
from toolkit.formats.foreign import FILE, CocoDocument, Files, Foreign, Record, records_of
from toolkit.formats.foreign_values import (
    categories_of,
    category_row,
    people_by_image,
    size_of,
)
from toolkit.formats.labelstudio_read import (
    detect_labelstudio,
    document_of,
    read_labelstudio,
)
from toolkit.formats.labelstudio_regions import IMAGE, Canvas, Drawing, Region, regions_of
from toolkit.formats.labelstudio_tasks import CARRIED, SIDES
from toolkit.schema import Schema

Task = dict[str, object]
Padding = tuple[int, int, int, int]  # px left, above, right, below

_encode = json.JSONEncoder(allow_nan=False).encode


def encode(document: CocoDocument, schema: Schema) -> Files:
    """The tasks, ready for Import in Label Studio; one a line."""
    tasks = ",\n".join([_text(task) for task in tasks_of(document, schema)])
    return {FILE: f"[\n{tasks}\n]\n".encode()}


def decode(files: Files) -> CocoDocument:
    """All of the document, unless there is no image: then there is no task to carry it."""
    with collector_off():
        return document_of(json.loads(files[FILE]), None, None)[0]


def tasks_of(
    document: CocoDocument,
    schema: Schema,
    margin: float = 0.0,
    *,
    paddings: Mapping[int, Padding] | None = None,
    rows: Iterable[int] | None = None,
) -> list[Task]:
    """One task an image, with its annotations as one pre-annotation.

    Args:
        document: The COCO document.
        schema: For the categories, where the document has none.
        margin: How much canvas to add on each side, as a share of the picture's size, so
            that points outside the picture can be seen and moved. The pictures must then be
            padded by as much: `data["padding"]` gives it in px.
        paddings: Instead of one margin for all: px for each side by row in `images`; a row
            that is not there has none.
        rows: Which images get a task; all where it is None.

    Returns:
        Tasks; `data["image"]` is the file name, for the caller to turn into an address.
    """
    images = records_of(document, "images")
    if paddings is None:
        paddings = _even(document, images, margin) if margin else {}
    with collector_off():
        writer = _Writer(document, schema)
        chosen = range(len(images)) if rows is None else rows
        return [
            writer.task(row, images[row], paddings.get(row), first=number == 0)
            for number, row in enumerate(chosen)
        ]


class _Writer:
    """Writes tasks; what is the same for all of them is made once."""

    def __init__(self, document: CocoDocument, schema: Schema) -> None:
        self.document = document
        self.records = records_of(document, "annotations")
        self.people, self.loose = people_by_image(document)
        categories = categories_of(document, schema)
        self.categories = [Drawing.of(category) for category in categories]
        self.rows: dict[object, int] = {}
        for row, category in enumerate(categories):
            self.rows.setdefault(identity(category.get("id")), row)
        self.known = categories
        self.categories_text = _text(categories)

    def task(self, row: int, image: Record, padding: Padding | None, *, first: bool) -> Task:
        """The task of one image; the first one carries what belongs to no image."""
        people, records = self.people[row], self.records
        pairs = [[index, records[index]] for index in people]
        own = _text({"index": row, "image": image, "annotations": pairs})
        carried = f'{own[:-1]}, "categories": {self.categories_text}'
        if first:
            loose = [[index, records[index]] for index in sorted(self.loose)]
            carried += f', "rest": {_text(_rest(self.document))}, "loose": {_text(loose)}'
        data: Task = {IMAGE: image.get("file_name"), CARRIED: carried + "}"}
        result: list[Region] = []
        if padding is not None:
            data["padding"] = dict(zip(SIDES, padding, strict=True))
        if people:
            canvas = canvas_of(image, row, padding)
            for index in people:
                record = records[index]
                at = self.rows.get(identity(record.get("category_id")))
                if at is None:  # raises
                    at = category_row(self.known, record, index)
                result += regions_of(record, f"p{index}", self.categories[at], canvas)
        return {"data": data, "annotations": [{"result": result}] if result else []}


def canvas_of(image: Record, row: int, padding: Padding | None) -> Canvas:
    """What per cent are of: the picture with its margin.

    Raises:
        InvalidDataError: The record does not tell the picture's size.
    """
    width, height = size_of(image, row)
    left, top, right, bottom = padding or (0, 0, 0, 0)
    return Canvas(width + left + right, height + top + bottom, left, top)


def _even(document: CocoDocument, images: list[Record], margin: float) -> dict[int, Padding]:
    """The same share on each side of every picture that somebody is in; whole px."""
    people, _ = people_by_image(document)
    found = {}
    for row, image in enumerate(images):
        if people[row]:
            width, height = size_of(image, row)
            across, down = round(margin * width), round(margin * height)
            found[row] = (across, down, across, down)
    return found


def _rest(document: CocoDocument) -> Record:
    """Everything but images and annotations; of these only that they are there."""
    sections = ("images", "annotations")
    return {key: [] if key in sections else value for key, value in document.items()}


def _text(value: object) -> str:
    """JSON in ASCII: no database changes it, and half a surrogate pair survives."""
    try:
        return _encode(value)
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"cannot write the tasks: {error}; JSON has no NaN") from error


LABELSTUDIO = Foreign(
    name="labelstudio",
    suffixes=(".json",),
    description="Label Studio JSON: tasks with rectangles and keypoints",
    is_folder=False,
    detect=detect_labelstudio,
    to_coco=read_labelstudio,
    encode=encode,
    decode=decode,
)
