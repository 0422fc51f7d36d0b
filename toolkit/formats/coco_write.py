"""Writing a COCO data set: only what differs from the file that was read is written anew."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.files import write_bytes
from toolkit.formats.categories import Category
from toolkit.formats.document import (
    Document,
    Edit,
    field_texts,
    number_tokens,
    patch_record,
    with_tokens,
)
from toolkit.formats.encode import (
    annotation_record,
    category_record,
    image_record,
    list_lines,
    number_text,
    string_text,
)
from toolkit.formats.text import BOM
from toolkit.schema import Schema


@dataclass(frozen=True)
class CocoSource:
    """What a data set remembers of the file that it was read from.

    Attributes:
        document: The file's bytes and the offsets of its records.
        schema: The schema that the arrays were decoded with.
        images: The images as they were read.
        image_records: (I,) index of each image's record in the file's list.
        annotations: The annotations as they were read.
        annotation_records: (N,) index of each annotation's record in the file's list.
        absent_with_coordinates: (N,) keypoints with visibility 0 whose coordinates in
            the file are not 0.
        categories: The file's categories.
        format: Name of the format.
    """

    document: Document
    schema: Schema
    images: Images
    image_records: NDArray[np.int64]
    annotations: Annotations
    annotation_records: NDArray[np.int64]
    absent_with_coordinates: NDArray[np.int64]
    categories: tuple[Category, ...]
    format: str


def write_coco(dataset: Dataset, path: Path, force: bool = False) -> None:
    """Write a data set as COCO JSON, whole or not at all.

    What was read and not changed is written byte for byte. Of a changed record only the
    changed fields are written anew. Annotations that were left out of the arrays (other
    categories, unusable records) stay in the file.

    Raises:
        OutputExistsError: The file exists and `force` was not given.
        InvalidDataError: A number is infinite, or a box is NaN in part.
        WriteError: The file cannot be written; what stood there before is intact.
    """
    source = dataset.source
    if not isinstance(source, CocoSource):
        write_bytes(path, canonical_document(dataset), force=force)
        return
    source.document.write(path, edits_of(dataset, source), force=force)


def coco_bytes(dataset: Dataset) -> bytes:
    """What `write_coco` writes."""
    source = dataset.source
    if not isinstance(source, CocoSource):
        return canonical_document(dataset)
    return b"".join(source.document.render(edits_of(dataset, source)))


def document_of_dataset(dataset: Dataset) -> dict[str, Any]:
    """What `write_coco` writes, as JSON values.

    Raises:
        InvalidDataError: It holds a value that Python's JSON has no place for, such as an
            integer of more than 4,300 digits.
    """
    try:
        found: dict[str, Any] = msgspec.json.decode(coco_bytes(dataset).removeprefix(BOM))
    except msgspec.DecodeError as error:
        raise InvalidDataError(
            f"{dataset.name}: a value that cannot be taken: {error}"
        ) from error
    return found


def canonical_document(dataset: Dataset) -> bytes:
    """A document for a data set that was not read from a file."""
    images, people = dataset.images, dataset.annotations
    parts = [
        (b'"images": ', (image_record(images, row) for row in range(len(images)))),
        (b'"annotations": ', (annotation_record(people, r) for r in range(len(people)))),
        (b'"categories": ', iter([category_record(dataset.schema)])),
    ]
    body = b",\n".join(key + list_lines(records) for key, records in parts)
    return b"{\n" + body + b"\n}\n"


def edits_of(dataset: Dataset, source: CocoSource) -> dict[str, Edit]:
    """What has to change in the file so that it says what the arrays say."""
    edits = {}
    if dataset.annotations is not source.annotations:
        edits["annotations"] = _annotation_edit(dataset.annotations, source)
    if dataset.images is not source.images:
        edits["images"] = _image_edit(dataset.images, source)
    if dataset.schema.names != source.schema.names:
        edits["categories"] = _category_edit(dataset.schema, source)
    return edits


def _annotation_edit(people: Annotations, source: CocoSource) -> Edit:
    old = source.annotations
    match = match_rows(people.instance_id, old.instance_id)
    known = np.flatnonzero(match >= 0)
    changed = _Changes(people, old, known, match[known])
    replaced = {}
    for row in changed.rows():
        index = int(source.annotation_records[match[row]])
        record = source.document.record("annotations", index)
        patched = patch_record(record, changed.fields(row, int(match[row]), record))
        replaced[index] = patched
    new = np.flatnonzero(match < 0)
    return Edit(
        replaced,
        new_order(match[known], source.annotation_records, source, "annotations"),
        tuple(annotation_record(people, int(row)) for row in new),
    )


def match_rows(ids: NDArray[np.int64], old_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which old row each row comes from, -1 for none.

    Rows match by id, equal ids in order. Where both tables are equally long, a row whose
    id is new matches the old row in its place: it was renumbered.
    """
    if np.array_equal(ids, old_ids):
        return np.arange(len(ids))
    waiting: dict[int, list[int]] = {}
    for row, old_id in reversed(list(enumerate(old_ids.tolist()))):
        waiting.setdefault(old_id, []).append(row)
    match = np.full(len(ids), -1, np.int64)
    for row, wanted in enumerate(ids.tolist()):
        if waiting.get(wanted):
            match[row] = waiting[wanted].pop()
    if len(ids) == len(old_ids):
        free = np.setdiff1d(np.flatnonzero(match < 0), match[match >= 0])
        match[free] = free
    return match


def new_order(
    kept: NDArray[np.int64],
    records: NDArray[np.int64],
    source: CocoSource,
    section: str,
) -> list[int] | None:
    """The records to write, in order; None where all stay in their places.

    Records that are not in the arrays stay where they are, and the kept rows fill the
    places of kept rows in the order of the arrays.
    """
    if np.array_equal(kept, np.arange(len(records))):
        return None
    total = len(source.document.sections[section])
    in_arrays = np.zeros(total, bool)
    in_arrays[records] = True
    stays = np.zeros(total, bool)
    stays[records[kept]] = True
    places = np.flatnonzero(stays | ~in_arrays)
    order = places.copy()
    order[stays[places]] = records[kept]
    return [int(index) for index in order]


class _Changes:
    """Which fields of which rows differ from the file, and their new text."""

    def __init__(
        self,
        people: Annotations,
        old: Annotations,
        rows: NDArray[np.int64],
        old_rows: NDArray[np.int64],
    ) -> None:
        self.people, self.old = people, old
        names = old.schema.names
        # The old keypoint of each keypoint, by name; -1 where the old schema had none.
        self.old_index = [
            names.index(name) if name in names else -1 for name in people.schema.names
        ]
        self.masks = {
            name: self._mask(name, rows, old_rows)
            for name in (
                "instance_id",
                "image_id",
                "category_id",
                "bbox_xywh",
                "area",
                "is_crowd",
                "num_keypoints",
                "head_box_xywh",
            )
        }
        self.masks["keypoints"] = self._keypoints_mask(rows, old_rows)

    def _mask(
        self, name: str, rows: NDArray[np.int64], old_rows: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        new, old = getattr(self.people, name)[rows], getattr(self.old, name)[old_rows]
        return self._spread(_differs(new, old), rows)

    def _keypoints_mask(
        self, rows: NDArray[np.int64], old_rows: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        if self.people.schema.names != self.old.schema.names:
            return self._spread(np.ones(len(rows), bool), rows)
        points = _differs(self.people.keypoints[rows], self.old.keypoints[old_rows])
        flags = _differs(self.people.visibility[rows], self.old.visibility[old_rows])
        return self._spread(points | flags, rows)

    def _spread(self, mask: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        whole = np.zeros(len(self.people), bool)
        whole[rows] = mask
        return whole

    def rows(self) -> list[int]:
        """Rows in which anything differs."""
        changed = np.logical_or.reduce(list(self.masks.values()))
        return [int(row) for row in np.flatnonzero(changed)]

    def fields(self, row: int, old_row: int, record: bytes) -> dict[str, str | None]:
        """New text of each changed field; None removes it."""
        texts = field_texts(record)
        people, found = self.people, {name for name, m in self.masks.items() if m[row]}
        changes: dict[str, str | None] = {}
        for key, name in (
            ("id", "instance_id"),
            ("image_id", "image_id"),
            ("category_id", "category_id"),
            ("num_keypoints", "num_keypoints"),
            ("iscrowd", "is_crowd"),
        ):
            if name in found:
                value = int(getattr(people, name)[row])
                missing = name == "num_keypoints" and value == -1
                changes[key] = None if missing else str(value)
        if "keypoints" in found:
            changes["keypoints"] = self._keypoints(row, old_row, texts.get("keypoints"))
        if "area" in found:
            area = float(people.area[row])
            like = texts.get("area", "0")
            changes["area"] = None if math.isnan(area) else number_text(area, like)
        for key, name in (("bbox", "bbox_xywh"), ("head_box_xywh", "head_box_xywh")):
            if name in found:
                values = getattr(people, name)[row].tolist()
                old = getattr(self.old, name)[old_row].tolist()
                changes[key] = _numbers_text(values, old, texts.get(key))
        return changes

    def _keypoints(self, row: int, old_row: int, value: str | None) -> str:
        """The keypoints of a row; tokens of what did not change are kept as spelled."""
        tokens = number_tokens(value)
        usable = len(tokens) == 3 * self.old.schema.num_keypoints
        points, flags = self.people.keypoints[row], self.people.visibility[row]
        out: list[str] = []
        for index, old_index in enumerate(self.old_index):
            new = [*points[index].tolist(), int(flags[index])]
            if not usable or old_index < 0:
                absent = new[2] == 0
                out += ["0", "0", "0"] if absent else [number_text(n) for n in new]
                continue
            spelled = tokens[3 * old_index : 3 * old_index + 3]
            was = [
                *self.old.keypoints[old_row, old_index].tolist(),
                int(self.old.visibility[old_row, old_index]),
            ]
            if new[2] == 0 and was[2] == 0:
                out += spelled
                continue
            if new[2] == 0:
                new[:2] = [0.0, 0.0]
            out += [
                text if value == before else number_text(value, text)
                for value, before, text in zip(new, was, spelled, strict=True)
            ]
        return with_tokens(value, out)


def _numbers_text(new: list[float], old: list[float], text: str | None) -> str | None:
    """A box; None where it is missing."""
    if all(math.isnan(value) for value in new):
        return None
    tokens = number_tokens(text)
    if len(tokens) != len(new):
        return with_tokens(None, [number_text(value) for value in new])
    return with_tokens(
        text,
        [
            token if value == before else number_text(value, token)
            for value, before, token in zip(new, old, tokens, strict=True)
        ],
    )


def _differs(new: NDArray[np.generic], old: NDArray[np.generic]) -> NDArray[np.bool_]:
    """(N,) whether anything in a row differs; NaN equals NaN."""
    unequal = new != old
    if np.issubdtype(new.dtype, np.floating):
        unequal &= ~(np.isnan(new) & np.isnan(old))
    return np.asarray(unequal.any(axis=tuple(range(1, unequal.ndim))))


def _image_edit(images: Images, source: CocoSource) -> Edit:
    old = source.images
    match = match_rows(images.ids, old.ids)
    known = np.flatnonzero(match >= 0)
    replaced = {}
    for row in known.tolist():
        changes = dict(_image_changes(images, row, old, int(match[row])))
        if changes:
            index = int(source.image_records[match[row]])
            record = source.document.record("images", index)
            replaced[index] = patch_record(record, changes)
    new = np.flatnonzero(match < 0)
    return Edit(
        replaced,
        new_order(match[known], source.image_records, source, "images"),
        tuple(image_record(images, int(row)) for row in new),
    )


def _image_changes(
    images: Images, row: int, old: Images, old_row: int
) -> Iterator[tuple[str, str | None]]:
    if images.ids[row] != old.ids[old_row]:
        yield "id", str(int(images.ids[row]))
    if images.file_names[row] != old.file_names[old_row]:
        yield "file_name", string_text(images.file_names[row])
    for axis, key in enumerate(("width", "height")):
        if images.size_wh[row, axis] != old.size_wh[old_row, axis]:
            yield key, str(int(images.size_wh[row, axis]))
    if images.clips[row] != old.clips[old_row]:
        clip = images.clips[row]
        yield "clip", None if clip is None else string_text(clip)
    if images.frames[row] != old.frames[old_row]:
        frame = int(images.frames[row])
        yield "frame", None if frame == -1 else str(frame)
    new, was = float(images.crowd_index[row]), float(old.crowd_index[old_row])
    if new != was and not (math.isnan(new) and math.isnan(was)):
        yield "crowdIndex", None if math.isnan(new) else number_text(new)


def _category_edit(schema: Schema, source: CocoSource) -> Edit:
    """The categories that had the old schema's keypoints get the new schema's."""
    category = schema.coco_category()
    changes: dict[str, str | None] = {
        key: json.dumps(category[key], ensure_ascii=False) for key in ("keypoints", "skeleton")
    }
    replaced = {}
    for old in source.categories:
        if old.keypoints == source.schema.names:
            record = source.document.record("categories", old.index)
            replaced[old.index] = patch_record(record, changes)
    return Edit(replaced)
