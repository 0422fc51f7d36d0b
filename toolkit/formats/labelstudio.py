"""Label Studio's JSON: one task an image, with rectangles and keypoints as regions.

Everything of the COCO document travels in each task's `data["coco"]`, as JSON text, which
Label Studio keeps and does not look into: the image's record, its annotations' records, the
categories, and in the first task the rest. Coming home, the records are as they were, but
what a person changed in the regions wins. See `labelstudio_read` for exports of others.
"""

from __future__ import annotations

import json

from toolkit.errors import InvalidDataError
from toolkit.formats.foreign import FILE, CocoDocument, Files, Foreign, Record, records_of
from toolkit.formats.foreign_values import (
    Number,
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
from toolkit.formats.labelstudio_regions import IMAGE, Canvas, Region, regions_of
from toolkit.formats.labelstudio_tasks import CARRIED
from toolkit.schema import Schema

Task = dict[str, object]


def encode(document: CocoDocument, schema: Schema) -> Files:
    """The tasks, ready for Import in Label Studio."""
    return {FILE: _text(tasks_of(document, schema)).encode()}


def decode(files: Files) -> CocoDocument:
    """All of the document, unless there is no image: then there is no task to carry it."""
    return document_of(json.loads(files[FILE]), None, None)[0]


def tasks_of(document: CocoDocument, schema: Schema, margin: float = 0.0) -> list[Task]:
    """One task an image, with its annotations as one pre-annotation.

    Args:
        document: The COCO document.
        schema: For the categories, where the document has none.
        margin: How much canvas to add on each side, as a share of the picture's size, so
            that points outside the picture can be seen and moved. The pictures must then be
            padded by as much: `data["padding"]` gives it in px.

    Returns:
        Tasks; `data["image"]` is the file name, for the caller to turn into an address.
    """
    categories = categories_of(document, schema)
    records = records_of(document, "annotations")
    people, loose = people_by_image(document)
    tasks: list[Task] = []
    for row, image in enumerate(records_of(document, "images")):
        carried: Record = {"index": row, "image": image}
        carried["annotations"] = [[index, records[index]] for index in people[row]]
        carried["categories"] = categories
        if row == 0:
            carried["rest"] = _rest(document)
            carried["loose"] = [[index, records[index]] for index in sorted(loose)]
        data: Task = {IMAGE: image.get("file_name"), CARRIED: _text(carried)}
        result: list[Region] = []
        if people[row]:
            canvas, padding = _canvas(image, row, margin)
            data |= {"padding": padding} if margin else {}
            for index in people[row]:
                category = categories[category_row(categories, records[index], index)]
                result += regions_of(records[index], f"p{index}", category, canvas)
        tasks.append({"data": data, "annotations": [{"result": result}] if result else []})
    return tasks


def _canvas(image: Record, row: int, margin: float) -> tuple[Canvas, dict[str, Number]]:
    """What per cent are of; the margin is whole px."""
    width, height = size_of(image, row)
    across, down = round(margin * width), round(margin * height)
    padding: dict[str, Number] = {
        "left": across,
        "top": down,
        "right": across,
        "bottom": down,
    }
    return Canvas(width + 2 * across, height + 2 * down, across, down), padding


def _rest(document: CocoDocument) -> Record:
    """Everything but images and annotations; of these only that they are there."""
    sections = ("images", "annotations")
    return {key: [] if key in sections else value for key, value in document.items()}


def _text(value: object) -> str:
    """JSON in ASCII: no database changes it, and half a surrogate pair survives."""
    try:
        return json.dumps(value, allow_nan=False, indent=1 if isinstance(value, list) else None)
    except ValueError as error:
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
