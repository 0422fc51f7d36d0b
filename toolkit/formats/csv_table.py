"""CSV: one row an instance, for spreadsheets and scripts.

Text that a spreadsheet would run as a formula gets an apostrophe in front, which is taken
off again on the way home.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from toolkit.dataset import Dataset
from toolkit.files import write_bytes
from toolkit.formats.adapter import scanned
from toolkit.formats.base import Format
from toolkit.formats.coco_write import CocoSource, document_of_dataset
from toolkit.formats.compare import identity, measured_loss
from toolkit.formats.foreign import CocoDocument, Record, records_of
from toolkit.formats.table import (
    Cell,
    Table,
    columns_left_out,
    document_of_table,
    keypoint_names,
    table_of,
)
from toolkit.formats.text import Text, load_text
from toolkit.report import Finding
from toolkit.schema import Schema

_FORMULA = "=+-@\t\r'"
_HEAD = 4096
_ANNOTATION = (
    "id",
    "image_id",
    "category_id",
    "keypoints",
    "num_keypoints",
    "bbox",
    "area",
    "iscrowd",
    "head_box_xywh",
)
_IMAGE = ("id", "file_name", "width", "height", "clip", "frame", "crowdIndex")


def escaped(text: str) -> str:
    """A text cell that no spreadsheet runs as a formula."""
    return f"'{text}" if text[:1] in tuple(_FORMULA) and _is_risky(text) else text


def unescaped(text: str) -> str:
    """The text that `escaped` was given."""
    return text[1:] if text[:1] == "'" and text[1:2] in tuple(_FORMULA) else text


def _is_risky(text: str) -> bool:
    return text[0] != "'" or text[1:2] in tuple(_FORMULA)


def write_csv(dataset: Dataset, path: Path, force: bool) -> None:
    """Write a data set as CSV: UTF-8, commas, Unix line ends, floats in full precision."""
    columns = table_of(dataset)
    stream = io.StringIO(newline="")
    few = csv.writer(stream, lineterminator="\n")
    # By itself it quotes a line feed only, and a bare \r ends the row for every reader.
    every = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    cells = [
        values if isinstance(values, list) else values.tolist() for values in columns.values()
    ]
    rows = ([_cell(value) for value in row] for row in zip(*cells, strict=True))
    for row in chain([[escaped(name) for name in columns]], rows):
        (every if any("\r" in cell for cell in row) else few).writerow(row)
    write_bytes(path, stream.getvalue().encode("utf-8"), force=force)


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def scan_csv(path: Path, schema: Schema | None) -> tuple[Dataset, list[Finding]]:
    """Read a CSV file of instances.

    Raises:
        ReadError: It is no CSV, or a column that is needed is missing.
    """
    text = load_text(path)
    table = _table(text)
    document, told = document_of_table(table)
    dataset, findings = scanned(path, document, schema, "csv")
    return dataset, [*columns_left_out(list(table.columns)), *told, *findings]


def _table(text: Text) -> Table:
    try:
        rows = _numbered(text.data.decode("utf-8"))
    except csv.Error as error:
        text.fail(f"not CSV: {error}")
    if not rows:
        text.fail("holds no cells; expected a header and one row an instance")
    header = [unescaped(name) for name in rows[0][1]]
    if "image_id" not in header or not keypoint_names(header):
        hint = "; save it with commas" if len(header) == 1 and ";" in header[0] else ""
        text.fail(
            "no table of instances: expected columns 'image_id' and, for each keypoint, "
            f"'NAME_x', 'NAME_y', 'NAME_v'; got {len(header)} columns, the first "
            f"'{header[0][:40]}'{hint}"
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        text.fail(f"line {rows[0][0]}: column '{twice[0]}' stands twice")
    for line, row in rows[1:]:
        if len(row) != len(header):
            text.fail(f"line {line}: {len(row)} cells; the first line names {len(header)}")
    filled = [row for _, row in rows[1:]]
    columns: dict[str, list[Cell]] = {
        name: [unescaped(row[at]) or None for row in filled] for at, name in enumerate(header)
    }
    return Table(columns, [line for line, _ in rows[1:]], "line")


def _numbered(text: str) -> list[tuple[int, list[str]]]:
    """Rows that are not empty, with the line on which each begins.

    Raises:
        csv.Error: It is not CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    found, line = [], 1
    for row in reader:
        if row:
            found.append((line, row))
        line = reader.line_num + 1  # a cell may hold line breaks
    return found


def detect_csv(path: Path) -> bool:
    """Whether a file is named `.csv`, or begins with a header of our columns."""
    if path.suffix.lower() == ".csv":
        return True
    with path.open("rb") as stream:
        first = stream.read(_HEAD).split(b"\n", 1)[0]
    return b"image_id," in first and b"_x," in first and not first.lstrip().startswith(b"{")


def lost_in_csv(dataset: Dataset) -> Counter[str]:
    """What a table of instances does not hold of a data set."""
    document = document_of_dataset(dataset)
    dropped = dropped_by_csv(dataset)
    return measured_loss(
        document, held_by_csv(document, dropped, dataset.schema.names), dropped
    )


def dropped_by_csv(dataset: Dataset) -> set[int]:
    """Annotations that are not in the arrays: those of categories with other keypoints."""
    source = dataset.source
    if not isinstance(source, CocoSource):
        return set()
    count = len(source.document.sections["annotations"])
    return set(range(count)) - set(source.annotation_records.tolist())


def held_by_csv(
    document: CocoDocument, dropped: set[int], names: Sequence[str]
) -> CocoDocument:
    """The part of a document that a table of instances has a place for.

    Args:
        document: What is to be written.
        dropped: Indices of its annotations that have no row.
        names: Of the keypoints; the columns name them even where no category does.
    """
    everyone = records_of(document, "annotations")
    people = [r for index, r in enumerate(everyone) if index not in dropped]
    images = {identity(r.get("id")): r for r in records_of(document, "images")}
    labels = {identity(r.get("id")): r for r in records_of(document, "categories")}
    used_images = dict.fromkeys(identity(r.get("image_id")) for r in people)
    used_labels = dict.fromkeys(identity(r.get("category_id")) for r in people)
    return {
        "images": [  # a row without a file_name is of no image
            _held_image(images[i])
            for i in used_images
            if i in images and images[i].get("file_name")
        ],
        "annotations": [_held_annotation(record) for record in people],
        "categories": [
            {"id": labels[i]["id"], "name": labels[i]["name"], "keypoints": [*names]}
            for i in used_labels
            if i in labels and labels[i].get("name")  # an empty cell names nothing
        ],
    }


def _held_image(image: Record) -> Record:
    held = {key: image[key] for key in _IMAGE if key in image}
    if held.get("clip") in ("", None):
        held.pop("clip", None)
    if held.get("frame") in (-1, None):
        held.pop("frame", None)
    if "clip" in held:
        held["clip"] = str(held["clip"])  # a cell does not tell 3 from "3"
    return held


def _held_annotation(record: Record) -> Record:
    held = {key: record[key] for key in _ANNOTATION if key in record}
    points = held["keypoints"]
    held["keypoints"] = [
        value
        for at in range(0, len(points), 3)
        for value in (points[at : at + 3] if points[at + 2] else (0, 0, 0))
    ]
    for key in ("keypoints", "bbox", "area", "head_box_xywh"):
        if key in held:
            held[key] = _as_float(held[key])
    return held


def _as_float(value: object) -> object:
    """A number, or a list of them, as the arrays hold it: integers above 2**53 are rounded."""
    if isinstance(value, list):
        return [_as_float(item) for item in value]
    return float(value) if isinstance(value, int) else value


CSV = Format(
    name="csv",
    suffixes=(".csv",),
    description="CSV, one row an instance",
    detect=detect_csv,
    scan=scan_csv,
    write=write_csv,
    loses=lost_in_csv,
    dropped=dropped_by_csv,
)
