"""Fields that differ between two files: everything but labelled keypoints and boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Images
from toolkit.curate.match import Pairs, Shared
from toolkit.curate.records import (
    MISSING,
    Key,
    Record,
    fields_of,
    load_record,
    record_keys,
    same,
    top_level,
)
from toolkit.errors import counted
from toolkit.formats.document import Document
from toolkit.printed import printable

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class FieldChange:
    """A field that differs, or a record that only one file has.

    Attributes:
        section: Top-level key of the list that the record is in; nothing for the document.
        key: The record's id in the old file (in the new one, where the old has none).
        field: The field; nothing for a whole record.
        old: Its value before, `MISSING` for none.
        new: Its value after, `MISSING` for none.
    """

    section: str
    key: Key
    field: str
    old: object
    new: object

    @property
    def place(self) -> str:
        """Where it is, in words that a terminal can show."""
        record = f"{self.section} id={self.key} " if self.section else ""
        return printable(record + (f"'{self.field}'" if self.field else "")).rstrip()


@dataclass(frozen=True)
class Records:
    """A file's records beside its arrays.

    Attributes:
        document: The file.
        images: Its images.
        people: Its annotations.
        image_records: (I,) index of each image's record.
        people_records: (N,) index of each annotation's record.
    """

    document: Document
    images: Images
    people: Annotations
    image_records: Indices
    people_records: Indices


def changed_fields(
    sides: tuple[Records, Records],
    images: Pairs,
    people: Pairs,
    shared: Shared,
    image_of: dict[int, int],
    touched: NDArray[np.bool_],
) -> Iterator[FieldChange]:
    """Every difference that is none of a labelled keypoint, a box or an id.

    Args:
        sides: The two files.
        images: Paired images.
        people: Paired people.
        shared: The keypoints in common.
        image_of: The new image id of each old image id.
        touched: (P,) whether a labelled keypoint of the pair differs.
    """
    yield from _image_fields(sides, images)
    yield from _people_fields(sides, people, shared, image_of, touched)
    rows = [(side.image_records, side.people_records) for side in sides]
    for at, section in enumerate(("images", "annotations")):
        yield from _other_records(sides, section, [pair[at] for pair in rows])
    yield from _other_records(sides, "categories", [np.empty(0, np.int64)] * 2)
    yield from _document_fields(sides)


def _image_fields(sides: tuple[Records, Records], pairs: Pairs) -> Iterator[FieldChange]:
    for a, b in zip(pairs.old.tolist(), pairs.new.tolist(), strict=True):
        records = _unlike(sides, "images", sides[0].image_records[a], sides[1].image_records[b])
        if records is not None:
            yield from _fields("images", int(sides[0].images.ids[a]), *records)


def _people_fields(
    sides: tuple[Records, Records],
    pairs: Pairs,
    shared: Shared,
    image_of: dict[int, int],
    touched: NDArray[np.bool_],
) -> Iterator[FieldChange]:
    old, new = sides
    rows = zip(pairs.old.tolist(), pairs.new.tolist(), touched.tolist(), strict=True)
    for a, b, moved in rows:
        records = _unlike(sides, "annotations", old.people_records[a], new.people_records[b])
        if records is None:
            continue
        before, after = records
        if image_of.get(int(old.people.image_id[a])) == int(new.people.image_id[b]):
            before.pop("image_id", None), after.pop("image_id", None)
        if not np.isnan([old.people.bbox_xywh[a], new.people.bbox_xywh[b]]).any():
            before.pop("bbox", None), after.pop("bbox", None)
        before.pop("id", None), after.pop("id", None)
        key = int(old.people.instance_id[a])
        if "keypoints" in before and "keypoints" in after:
            lists = before.pop("keypoints"), after.pop("keypoints")
            if not same(*lists):
                yield from _keypoint_lists(key, lists, shared, moved=moved)
        yield from _fields("annotations", key, before, after)


def _keypoint_lists(
    key: int, lists: tuple[object, object], shared: Shared, *, moved: bool
) -> Iterator[FieldChange]:
    """Coordinates under visibility 0, and lists that arrays cannot hold."""
    old, new = lists
    whole = FieldChange("annotations", key, "keypoints", old, new)
    if not (isinstance(old, list) and isinstance(new, list) and shared.names):
        yield whole
        return
    if 3 * (max(shared.old) + 1) > len(old) or 3 * (max(shared.new) + 1) > len(new):
        yield whole
        return
    told = moved
    for name, i, j in zip(shared.names, shared.old.tolist(), shared.new.tolist(), strict=True):
        a, b = old[3 * i : 3 * i + 3], new[3 * j : 3 * j + 3]
        if a[2] == 0 and b[2] == 0 and a != b:
            told = True
            yield FieldChange("annotations", key, f"keypoints: unlabelled {name}", a, b)
    if not told and len(old) == len(new):
        yield whole


def _unlike(
    sides: tuple[Records, Records], section: str, a: np.int64, b: np.int64
) -> tuple[Record, Record] | None:
    """The fields of two records; None where their bytes are the same."""
    texts = sides[0].document.record(section, int(a)), sides[1].document.record(section, int(b))
    return None if texts[0] == texts[1] else (fields_of(texts[0]), fields_of(texts[1]))


def _fields(section: str, key: Key, old: Record, new: Record) -> Iterator[FieldChange]:
    for field in dict.fromkeys([*old, *new]):
        before, after = old.get(field, MISSING), new.get(field, MISSING)
        if not same(before, after):
            yield FieldChange(section, key, field, before, after)


def _other_records(
    sides: tuple[Records, Records], section: str, in_arrays: Sequence[Indices]
) -> Iterator[FieldChange]:
    """Differences between the records that are not in the arrays, paired by id."""
    tables = [
        _by_key(side.document, section, rows)
        for side, rows in zip(sides, in_arrays, strict=True)
    ]
    for key in dict.fromkeys([*tables[0], *tables[1]]):
        before, after = tables[0].get(key, MISSING), tables[1].get(key, MISSING)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _fields(section, key[0], before, after)
        elif not same(before, after):
            yield FieldChange(section, key[0], "", before, after)


def _by_key(
    document: Document, section: str, in_arrays: Indices
) -> dict[tuple[Key, int], object]:
    """The other records by id, and by how often the id came before."""
    rows = document.sections.get(section)
    found: dict[tuple[Key, int], object] = {}
    if rows is None or len(rows) == len(in_arrays):
        return found
    keys = record_keys(document, section)
    for index in np.setdiff1d(np.arange(len(rows)), in_arrays).tolist():
        number = 0
        while (keys[index], number) in found:
            number += 1
        found[keys[index], number] = load_record(document.record(section, index))
    return found


def _document_fields(sides: tuple[Records, Records]) -> Iterator[FieldChange]:
    """Differences of what stands beside the lists, such as `info` and `licenses`."""
    texts = [top_level(side.document) for side in sides]
    for key in dict.fromkeys([*texts[0], *texts[1]]):
        if texts[0].get(key) == texts[1].get(key):
            continue
        old, new = (
            load_record(side[key]) if key in side else _list_or_nothing(records, key)
            for side, records in zip(texts, sides, strict=True)
        )
        if not same(old, new):
            yield FieldChange("", key, key, old, new)


def _list_or_nothing(records: Records, key: str) -> object:
    rows = records.document.sections.get(key)
    return MISSING if rows is None else f"a list of {counted(len(rows), 'record')}"
