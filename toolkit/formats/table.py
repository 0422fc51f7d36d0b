"""One row an instance: the columns that Parquet and CSV share, and back to COCO records.

Columns: `annotation_id`, `image_id`, `file_name`, `width`, `height`, `clip`, `frame`,
`category_id`, `category`, `iscrowd`, `num_keypoints`, `bbox_x` to `bbox_h`, `area`,
`crowd_index` and `head_box_x` to `head_box_h` where the data have them, then `NAME_x`,
`NAME_y`, `NAME_v` for each keypoint. What is missing is None or NaN; a keypoint that is
not labelled has no coordinates and `v` 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Images
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.formats.coco_write import CocoSource
from toolkit.formats.foreign import (
    LEFT_OUT,
    UNUSABLE,
    CocoDocument,
    Record,
    foreign_finding,
)
from toolkit.report import Finding

Cell = str | int | float | None
Column = list[Cell] | NDArray[np.float64] | NDArray[np.int64]
Columns = dict[str, Column]

TEXT = ("file_name", "clip", "category")
WHOLE = (
    "annotation_id",
    "image_id",
    "width",
    "height",
    "frame",
    "category_id",
    "iscrowd",
    "num_keypoints",
)
BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")
HEAD_BOX = ("head_box_x", "head_box_y", "head_box_w", "head_box_h")
FIXED = (
    "annotation_id",
    "image_id",
    "file_name",
    "width",
    "height",
    "clip",
    "frame",
    "category_id",
    "category",
    "iscrowd",
    "num_keypoints",
    *BOX,
    "area",
    "crowd_index",
    *HEAD_BOX,
)
_LARGEST = 2**53
_WHOLE = re.compile(r"-?[0-9]{1,400}")


def keypoint_columns(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Column names of each keypoint.

    Raises:
        InvalidDataError: Two columns would have one name.
    """
    found = [(f"{name}_x", f"{name}_y", f"{name}_v") for name in names]
    seen = set(FIXED) | {"record"}
    for name, columns in zip(names, found, strict=True):
        if seen & set(columns):
            raise InvalidDataError(
                f"keypoint '{name}' gives a column '{sorted(seen & set(columns))[0]}' that is "
                "there already; rename the keypoint"
            )
        seen |= set(columns)
    return found


def table_of(dataset: Dataset) -> Columns:
    """The columns of a data set, N values each, by name in their order; NaN is missing."""
    people, images = dataset.annotations, dataset.images
    row_of = {image: row for row, image in enumerate(images.ids.tolist())}
    rows = [row_of.get(image) for image in people.image_id.tolist()]

    def of_image(values: Sequence[Cell]) -> list[Cell]:
        return [None if row is None else values[row] for row in rows]

    names = _category_names(dataset)
    found: Columns = {
        "annotation_id": people.instance_id,
        "image_id": people.image_id,
        "file_name": of_image(images.file_names),
        "width": of_image(images.size_wh[:, 0].tolist()),
        "height": of_image(images.size_wh[:, 1].tolist()),
        "clip": of_image(images.clips),
        "frame": of_image([None if f == -1 else f for f in images.frames.tolist()]),
        "category_id": people.category_id,
        "category": [names.get(category) for category in people.category_id.tolist()],
        "iscrowd": people.is_crowd.astype(np.int64),
        "num_keypoints": [None if n == -1 else n for n in people.num_keypoints.tolist()],
    }
    for axis, name in enumerate(BOX):
        found[name] = people.bbox_xywh[:, axis]
    found["area"] = people.area
    if not np.isnan(images.crowd_index).all():
        found["crowd_index"] = of_image(images.crowd_index.tolist())
    if not np.isnan(people.head_box_xywh).all():
        for axis, name in enumerate(HEAD_BOX):
            found[name] = people.head_box_xywh[:, axis]
    for index, (x, y, v) in enumerate(keypoint_columns(dataset.schema.names)):
        found[x] = people.keypoints[:, index, 0]
        found[y] = people.keypoints[:, index, 1]
        found[v] = people.visibility[:, index].astype(np.int64)
    return found


def _category_names(dataset: Dataset) -> dict[int, str]:
    source = dataset.source
    if isinstance(source, CocoSource):
        return {category.id: category.name for category in source.categories}
    schema = dataset.schema
    return {schema.category_id: schema.category_name}


def keypoint_names(columns: Sequence[str]) -> list[str]:
    """Names of the keypoints that have all three columns, in the table's order."""
    there = set(columns)
    return [
        name[:-2]
        for name in columns
        if name.endswith("_x")
        and name not in FIXED
        and {f"{name[:-2]}_y", f"{name[:-2]}_v"} <= there
    ]


def columns_left_out(names: Sequence[str], known: Sequence[str] = ()) -> list[Finding]:
    """A finding for the columns that no record has a place for; pandas' row numbers aside."""
    points = keypoint_names(names)
    wanted = {*FIXED, *known, *(f"{name}_{part}" for name in points for part in "xyv")}
    others = [n for n in names if n and n not in wanted and not n.startswith("__index_level_")]
    if not others:
        return []
    shown = ", ".join(f"'{name[:40]}'" for name in others[:8])
    more = f" and {len(others) - 8} more" if len(others) > 8 else ""
    text = f"{shown}{more}: not among a table's columns (a keypoint has all of _x, _y and _v)"
    return [foreign_finding(LEFT_OUT, "columns", text, len(others))]


class CellError(Exception):
    """A cell of a table is not what it must be; the message is the finding's."""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        columns: Values by column; all are equally long.
        lines: What each row is called in messages; they are counted from 0 by default.
        row_word: What stands before that.
    """

    columns: Mapping[str, Column | Sequence[Cell]]
    lines: Sequence[int] = ()
    row_word: str = "row"

    def __len__(self) -> int:
        """Number of rows."""
        return next((len(values) for values in self.columns.values()), 0)

    def fail(self, column: str, value: object, wanted: str) -> CellError:
        """The error that a cell is not what it must be."""
        got = "nothing" if value is None else repr(value)[:60]
        return CellError(f"column '{column}': got {got}; expected {wanted}")

    def place(self, row: int) -> str:
        """A row as a person calls it."""
        return f"{self.row_word} {self.lines[row] if self.lines else row}"

    def text(self, column: str, row: int) -> str | None:
        """A text cell."""
        value = self._cell(column, row)
        return None if value is None else str(value)

    def number(self, column: str, row: int) -> float | None:
        """A finite number; None where the cell is empty or NaN."""
        value = self._cell(column, row)
        if value is None or value == "":
            return None
        try:
            found = float(value)
        except ValueError:
            raise self.fail(column, value, "a number") from None
        if "_" in str(value):  # Python's way of writing, nobody's in a table
            raise self.fail(column, value, "a number")
        if math.isinf(found):
            raise self.fail(column, value, "a finite number")
        return None if math.isnan(found) else found

    def whole(self, column: str, row: int) -> int | None:
        """A whole number; None where the cell is empty."""
        value = self._cell(column, row)
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            return int(value)
        found = self.number(column, row)
        if found is None:
            return None
        if found != int(found) or abs(found) > _LARGEST:
            raise self.fail(column, value, "a whole number")
        return int(found)

    def box(self, names: Sequence[str], row: int) -> list[float] | None:
        """Four numbers; None where all cells are empty."""
        if not all(name in self.columns for name in names):
            return None
        found = [self.number(name, row) for name in names]
        given = [value for value in found if value is not None]
        if not given:
            return None
        if len(given) < len(names):
            empty = names[found.index(None)]
            raise self.fail(empty, None, "a number, as in the box's other columns")
        return given

    def _cell(self, column: str, row: int) -> Cell:
        return cast(Cell, self.columns[column][row]) if column in self.columns else None


def annotation_of(table: Table, row: int, names: Sequence[str]) -> Record:
    """A row as a COCO annotation; keypoints that are not labelled are 0, 0, 0."""
    record: Record = {}
    for key, column in (
        ("id", "annotation_id"),
        ("image_id", "image_id"),
        ("category_id", "category_id"),
    ):
        value = table.whole(column, row)
        if value is None and key == "category_id" and column not in table.columns:
            value = 1
        if value is not None:
            record[key] = value
    record["keypoints"] = [value for name in names for value in keypoint_of(table, row, name)]
    if (stated := table.whole("num_keypoints", row)) is not None:
        record["num_keypoints"] = stated
    if (box := table.box(BOX, row)) is not None:
        record["bbox"] = box
    if (area := table.number("area", row)) is not None:
        record["area"] = area
    crowd = table.whole("iscrowd", row)
    record["iscrowd"] = 0 if crowd is None and "iscrowd" not in table.columns else crowd
    if (head := table.box(HEAD_BOX, row)) is not None:
        record["head_box_xywh"] = head
    return {key: value for key, value in record.items() if value is not None}


def keypoint_of(table: Table, row: int, name: str) -> tuple[float, float, int]:
    """One keypoint of a row: x, y and visibility."""
    flag = table.whole(f"{name}_v", row) or 0
    x, y = table.number(f"{name}_x", row), table.number(f"{name}_y", row)
    if flag == 0:
        return 0.0, 0.0, 0
    if x is None or y is None:
        empty = f"{name}_x" if x is None else f"{name}_y"
        raise table.fail(empty, None, f"a number, or 0 in '{name}_v'")
    return x, y, flag


def image_of(table: Table, row: int) -> Record | None:
    """The image of a row as a COCO image; None where the row names no file."""
    name, image_id = table.text("file_name", row), table.whole("image_id", row)
    if name is None or image_id is None:
        return None
    record: Record = {"id": image_id, "file_name": name}
    for key in ("width", "height"):
        size = table.whole(key, row)
        record[key] = 0 if size is None and key not in table.columns else size
    record["clip"] = table.text("clip", row)
    record["frame"] = table.whole("frame", row)
    record["crowdIndex"] = table.number("crowd_index", row)
    return {key: value for key, value in record.items() if value is not None}


def image_table(images: Images, row: int) -> Table:
    """What the cells of a row would say of an image of the data, as `image_of` reads them."""
    width, height = images.size_wh[row].tolist()
    frame, crowd = int(images.frames[row]), float(images.crowd_index[row])
    cells: dict[str, Cell] = {
        "image_id": int(images.ids[row]),
        "file_name": images.file_names[row],
        "width": width,
        "height": height,
        "clip": images.clips[row],
        "frame": None if frame == -1 else frame,
        "crowd_index": None if math.isnan(crowd) else crowd,
    }
    return Table({name: [cell] for name, cell in cells.items()})


def _category_of(
    table: Table, row: int, category_id: int | None, names: list[str]
) -> Record | None:
    """The category of a row as a COCO category; None where the row does not name it."""
    label = table.text("category", row)
    if label is None and "category" not in table.columns:
        label = "person"
    if category_id is None or label is None:
        return None
    return {"id": category_id, "name": label, "keypoints": names}


def agree(first: Record, other: Record, what: str) -> None:
    """Two rows say the same of one image or category; what the first leaves empty is filled.

    Raises:
        CellError: They do not.
    """
    for key, value in other.items():
        if first.get(key, value) != value:
            raise CellError(
                f"gives '{key}' of {what} {other['id']} another value ({value!r}) than an "
                f"earlier row ({first[key]!r}); make all its rows alike"
            )
    first.update(other)


def document_of_table(table: Table) -> tuple[CocoDocument, list[Finding]]:
    """A COCO document of what a table says; images in the order of their first rows.

    Returns:
        The document, and a finding for each row that was left out of it.
    """
    names = keypoint_names(list(table.columns))
    images: dict[int, Record] = {}
    categories: dict[int, Record] = {}
    annotations: list[Record] = []
    findings = []
    for row in range(len(table)):
        try:
            record = annotation_of(table, row, names)
            image = image_of(table, row)
            if image is not None:
                agree(images.setdefault(image["id"], image), image, "image")
            label = _category_of(table, row, record.get("category_id"), names)
            if label is not None:
                agree(categories.setdefault(label["id"], label), label, "category")
        except CellError as error:
            findings.append(foreign_finding(UNUSABLE, table.place(row), str(error)))
            continue
        annotations.append(record)
    document = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": list(categories.values()),
    }
    return document, findings
