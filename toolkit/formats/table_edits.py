"""Cells of a table that differ from the records beside them, as changes to the document."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolkit.dataset import Dataset
from toolkit.formats.changes import Changes, SectionChanges, merged
from toolkit.formats.coco_write import CocoSource
from toolkit.formats.compare import MISSING, field_differences, same
from toolkit.formats.foreign import UNUSABLE, Record, foreign_finding
from toolkit.formats.table import (
    FIXED,
    Cell,
    CellError,
    Column,
    Columns,
    Table,
    agree,
    annotation_of,
    image_of,
    image_table,
    table_of,
)
from toolkit.report import Finding


@dataclass(frozen=True)
class Edits:
    """Rows of a table that are not what the document says.

    Attributes:
        changed: (row of the table, row of the arrays) with at least one other cell.
        new: Rows of the table that have no record.
        expected: The cells that the document gives, by row of the arrays.
    """

    changed: list[tuple[int, int]]
    new: list[int]
    expected: Columns

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.changed or self.new)


def edited_rows(columns: Columns, records: list[str | None], dataset: Dataset) -> Edits:
    """Find the rows whose cells differ from their records.

    Args:
        columns: The table's cells.
        records: Each row's record; None for a new row.
        dataset: What the document that the records make holds; its k-th record is the
            k-th that is not None.
    """
    source = dataset.source
    expected = table_of(dataset)
    new = [row for row, record in enumerate(records) if record is None]
    if not isinstance(source, CocoSource) or len(new) == len(records):
        return Edits([], new, expected)
    with_record = np.flatnonzero([record is not None for record in records])
    rows = with_record[source.annotation_records]
    differs = np.zeros(len(rows), bool)
    for name, values in columns.items():
        if name in expected:
            differs |= _differs(_taken(values, rows), expected[name])
        elif name in FIXED:
            differs |= _differs(_taken(values, rows), [None] * len(rows))
    found = np.flatnonzero(differs).tolist()
    return Edits([(int(rows[row]), row) for row in found], new, expected)


def _taken(values: Column, rows: NDArray[np.int64]) -> Column:
    if isinstance(values, np.ndarray):
        return values[rows]
    if len(rows) == len(values) and (not len(rows) or rows[-1] == len(rows) - 1):
        return values
    return [values[row] for row in rows.tolist()]


def _differs(one: Column, other: Column) -> NDArray[np.bool_]:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        unequal = one != other
        if one.dtype.kind == other.dtype.kind == "f":
            unequal &= ~(np.isnan(one) & np.isnan(other))
        return np.asarray(unequal)
    # A list of cells: None and NaN are both "nothing there".
    pairs = zip(_cells(one), _cells(other), strict=True)
    return np.fromiter((a != b for a, b in pairs), bool, len(one))


def _cells(values: Column) -> list[Cell]:
    cells: list[Cell] = values.tolist() if isinstance(values, np.ndarray) else values
    return [None if value != value else value for value in cells]


def apply_edits(
    columns: Columns, edits: Edits, dataset: Dataset
) -> tuple[Changes, list[Finding]]:
    """The edited cells and new rows as changes to the document.

    Returns:
        The changes, and a finding for each row that could not be used.
    """
    source = dataset.source
    assert isinstance(source, CocoSource)
    applying = _Applying(columns, edits, dataset, source)
    findings = []
    for row, old_row in [*edits.changed, *((row, None) for row in edits.new)]:
        try:
            applying.row(row, old_row)
        except CellError as error:
            findings.append(foreign_finding(UNUSABLE, f"row {row}", str(error)))
    return applying.changes, findings


class _Applying:
    """Collects changes row by row."""

    def __init__(
        self, columns: Columns, edits: Edits, dataset: Dataset, source: CocoSource
    ) -> None:
        self.columns, self.edits, self.source = columns, edits, source
        self.names, self.images = dataset.schema.names, dataset.images
        self.changes = Changes()
        self._image_rows = {i: row for row, i in enumerate(dataset.images.ids.tolist())}
        self._next_id = 1 + max(self._ids(dataset.annotations.instance_id), default=0)
        self._new_images: dict[int, Record] = {}

    def _ids(self, own: NDArray[np.int64]) -> Iterator[int]:
        """Ids that are taken: in the arrays, in the file's other records, in the table."""
        yield from own.tolist()
        document = self.source.document
        rows = range(len(document.sections["annotations"]))
        for index in set(rows) - set(self.source.annotation_records.tolist()):
            found = msgspec.json.decode(document.record("annotations", index))
            if isinstance(found, dict) and type(found.get("id")) is int:
                yield found["id"]
        for cell in _cells(self.columns.get("annotation_id", [])):
            if isinstance(cell, int | float) and math.isfinite(cell):
                yield int(cell)

    def row(self, row: int, old_row: int | None) -> None:
        """Take what one row of the table says."""
        cells = {name: [_python(values[row])] for name, values in self.columns.items()}
        if old_row is None:
            record = annotation_of(Table(cells), 0, self.names)
            if "id" not in record:
                record = {"id": self._next_id} | record
                self._next_id += 1
            self.changes.sections["annotations"].added.append(record)
            self._image(Table(cells), None)
            return
        before = {n: [_python(values[old_row])] for n, values in self.edits.expected.items()}
        old, new = Table(before), Table(before | cells)
        index = int(self.source.annotation_records[old_row])
        kept: Record = msgspec.json.decode(self.source.document.record("annotations", index))
        was, now = annotation_of(old, 0, self.names), annotation_of(new, 0, self.names)
        self._set(self.changes.sections["annotations"], index, kept, was, now)
        self._image(new, old)
        self._category(new, old)

    def _set(
        self, section: SectionChanges, index: int, kept: Record, was: Record, now: Record
    ) -> None:
        for key, before, after in field_differences(was, now):
            value = merged(kept.get(key, MISSING), before, after, key)
            fields = section.fields.setdefault(index, {})
            if key in fields and not same(fields[key], value):
                raise CellError(
                    f"gives '{key}' another value ({value!r}) than another row of the same "
                    f"record ({fields[key]!r}), which is taken"
                )
            fields[key] = value

    def _image(self, new: Table, old: Table | None) -> None:
        now = image_of(new, 0)
        if now is None:
            return
        row = self._image_rows.get(now["id"])
        if row is None:
            if now["id"] not in self._new_images:
                self._new_images[now["id"]] = now
                self.changes.sections["images"].added.append(now)
            agree(self._new_images[now["id"]], now, "image")
            return
        index = int(self.source.image_records[row])
        section = self.changes.sections["images"]
        was = None if old is None else image_of(old, 0)
        if was is None:  # a new row: what it says beyond the others is taken
            was = image_of(image_table(self.images, row), 0) or {"id": now["id"]}
            was |= section.fields.get(index, {})
            agree(filled := dict(was), now, "image")
            now = filled
        if was["id"] == now["id"]:
            kept: Record = msgspec.json.decode(self.source.document.record("images", index))
            self._set(section, index, kept, was, now)

    def _category(self, new: Table, old: Table) -> None:
        name, was = new.text("category", 0), old.text("category", 0)
        moved = new.whole("category_id", 0) != old.whole("category_id", 0)
        if name is None or name == was or moved:
            return
        for category in self.source.categories:
            if category.id == old.whole("category_id", 0):
                section = self.changes.sections["categories"]
                kept: Record = {"name": was}
                self._set(section, category.index, kept, {"name": was}, {"name": name})


def _python(value: Cell | np.generic) -> Cell:
    """A cell as a plain value; NaN is None."""
    plain: Cell = value.item() if isinstance(value, np.generic) else value
    return None if plain != plain else plain
