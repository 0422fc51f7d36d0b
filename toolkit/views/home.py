"""A person's edits written into the file that the view was made from.

Only what a person changed changes: every other byte is the kept file's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Images, Visibility
from toolkit.curate.annotators import joined
from toolkit.curate.records import last_id
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.files import sha256_bytes
from toolkit.formats.coco import scan_text
from toolkit.formats.coco_write import CocoSource, edits_of
from toolkit.formats.document import Edit, patch_record
from toolkit.formats.text import Text
from toolkit.views.documents import Json, scaled_boxes, scaled_points
from toolkit.views.edits import Edits, NewPerson, find_edits, moved, shortest
from toolkit.views.keep import Kept, load

if TYPE_CHECKING:
    from fiftyone import Dataset as FiftyOneDataset

Floats = NDArray[np.float64]
PULLED = "toolkit_pulled_sha256"
TAGS = "tags"  # the field of a record that tags come home in


@dataclass(frozen=True)
class Home:
    """A file with a person's edits.

    Attributes:
        before: The kept file.
        coco: The new file's bytes.
        kept: Where the view came from.
        notes: What cannot come home, in words.
    """

    before: Dataset
    coco: bytes
    kept: Kept
    notes: tuple[str, ...]

    @property
    def after(self) -> Dataset:
        """The new file as arrays."""
        return _read(self.coco, self.kept)

    @property
    def unchanged(self) -> bool:
        """Whether nothing was edited."""
        return self.coco == self.kept.coco


def bring_home(view: FiftyOneDataset) -> Home:
    """The kept file of a data set with everything that a person changed in it.

    Raises:
        UsageError: The toolkit did not make this data set.
    """
    kept = load(view)
    before = _read(kept.coco, kept)
    return home_of(kept, before, find_edits(view, kept, before))


def home_of(kept: Kept, before: Dataset, edits: Edits) -> Home:
    """The kept file with these edits.

    Args:
        kept: Where the view came from.
        before: The kept file as arrays.
        edits: What a person changed.
    """
    after = apply(before, edits)
    return Home(before, _bytes(before, after, edits), kept, tuple(edits.notes))


def _read(coco: bytes, kept: Kept) -> Dataset:
    prefix = coco[: 3 if coco.startswith(b"\xef\xbb\xbf") else 0]
    text = Text(Path(kept.file), prefix, coco[len(prefix) :])
    return scan_text(text, kept.schema).dataset


def apply(before: Dataset, edits: Edits) -> Dataset:
    """The arrays with the edits; `before` is not altered."""
    people = before.annotations
    size = edits.size_wh[before.image_row].astype(np.float64)
    points, visibility = _points(people, edits, size)
    box = _boxes(people, edits, size)
    counted = people.num_keypoints == people.labelled.sum(axis=1)
    number = np.where(counted, (visibility > 0).sum(axis=1), people.num_keypoints)
    category, crowd = people.category_id.copy(), people.is_crowd.copy()
    category[list(edits.categories)] = list(edits.categories.values())
    crowd[list(edits.crowds)] = list(edits.crowds.values())
    edited = replace(
        people, keypoints=points, visibility=visibility, bbox_xywh=box, num_keypoints=number,
        category_id=category, is_crowd=crowd,
    )  # fmt: skip
    gone = np.isin(before.image_row, list(edits.removed_images))
    gone[list(edits.removed)] = True
    edited = edited[~gone]
    if new := [_new(before, edits, person) for person in _stay(edits)]:
        ids = 1 + last_id(before) + np.arange(len(new))
        edited = joined(edited, replace(reduce(joined, new), instance_id=ids))
    return replace(before, annotations=edited, images=_images(before, edits))


def _points(
    people: Annotations, edits: Edits, size: Floats
) -> tuple[Floats, NDArray[np.uint8]]:
    """(N, K, 2) px and (N, K) flags: the file's, but where a person changed them."""
    before = scaled_points(people.keypoints, size.astype(np.int64))
    now, flags = edits.points.copy(), edits.visibility.copy()
    there = ~np.isnan(now).any(axis=2)
    # A point that was given a place is labelled; one that lost it, or its flag, is not.
    flags[there & ~people.labelled & (flags == Visibility.ABSENT)] = Visibility.VISIBLE
    flags[~there] = Visibility.ABSENT
    # A flag of 0 on a point that stands where it stood: the label was taken away.
    now[flags == Visibility.ABSENT] = np.nan
    points = people.keypoints.copy()
    for row, column, axis in np.argwhere(moved(now, before, size[:, None])).tolist():
        value = float(now[row, column, axis])
        points[row, column, axis] = shortest(value, float(size[row, axis]))
    return points, flags


def _boxes(people: Annotations, edits: Edits, size: Floats) -> Floats:
    before = scaled_boxes(people.bbox_xywh, size.astype(np.int64))
    whole = np.concatenate([size, size], axis=1)
    # A box that the file has in part, or not at all, was not shown and cannot have changed.
    shown = np.isfinite(people.bbox_xywh).all(axis=1, keepdims=True)
    boxes = people.bbox_xywh.copy()
    changed = moved(edits.box, before, whole) & (shown | ~np.isnan(edits.box))
    for row, axis in np.argwhere(changed).tolist():
        value = float(edits.box[row, axis])
        boxes[row, axis] = shortest(value, float(whole[row, axis]))
    return boxes


def _stay(edits: Edits) -> list[NewPerson]:
    return [person for person in edits.added if person.image not in edits.removed_images]


def _new(before: Dataset, edits: Edits, person: NewPerson) -> Annotations:
    """A new person as a table of one row; its id is set when the tables are joined."""
    schema, size = before.schema, edits.size_wh[person.image].astype(float).tolist()
    points = np.full((1, schema.num_keypoints, 2), np.nan)
    if person.points is not None:
        for column, axis in np.argwhere(~np.isnan(person.points)).tolist():
            points[0, column, axis] = shortest(float(person.points[column, axis]), size[axis])
    flags = np.where(np.isnan(points).any(axis=2), 0, Visibility.VISIBLE).astype(np.uint8)
    given = person.visibility or []
    for column, flag in enumerate(given[: schema.num_keypoints]):
        if flags[0, column] and flag in (1, 2):
            flags[0, column] = flag
    box = np.full((1, 4), np.nan)
    area = math.nan
    if person.box is not None:
        box[0] = [shortest(v, s) for v, s in zip(person.box, size * 2, strict=True)]
        area = float(box[0, 2] * box[0, 3])
    return Annotations.from_arrays(
        schema,
        np.array([before.images.ids[person.image]]),
        points,
        flags,
        box,
        category_id=np.array([_category(before, person.label)]),
        area=np.array([area]),
    )


def _category(before: Dataset, label: str | None) -> int:
    source = before.source
    if isinstance(source, CocoSource):
        known = [c for c in source.categories if c.keypoints == source.schema.names]
        named = [c for c in known if c.name == label]
        if named or known:
            return (named or known)[0].id
    return before.schema.category_id


def _images(before: Dataset, edits: Edits) -> Images:
    if not edits.removed_images:
        return before.images
    images = before.images
    rows = [row for row in range(len(images)) if row not in edits.removed_images]
    return Images(
        ids=images.ids[rows],
        file_names=tuple(images.file_names[row] for row in rows),
        size_wh=images.size_wh[rows],
        clips=tuple(images.clips[row] for row in rows),
        frames=images.frames[rows],
        crowd_index=images.crowd_index[rows],
    )


def _bytes(before: Dataset, after: Dataset, edits: Edits) -> bytes:
    """The new file: the arrays' changes, and the fields that arrays do not hold."""
    source = before.source
    if not isinstance(source, CocoSource):
        raise InvalidDataError(f"{before.name}: the kept file is no COCO file any more")
    changes = edits_of(after, source)
    people: dict[int, Json] = {row: dict(values) for row, values in edits.fields.items()}
    for row, tags in edits.tags.items():
        people.setdefault(row, {})[TAGS] = tags
    frames: dict[int, Json] = {row: dict(values) for row, values in edits.image_fields.items()}
    for row, tags in edits.image_tags.items():
        frames.setdefault(row, {})[TAGS] = tags
    for section, records, wanted in (
        ("annotations", source.annotation_records, people),
        ("images", source.image_records, frames),
    ):
        by_record = {int(records[row]): values for row, values in wanted.items()}
        edit = _patched(changes.get(section, Edit()), source, section, by_record)
        if section == "annotations":
            edit = _new_fields(edit, _stay(edits))
        if not edit.is_empty:
            changes[section] = edit
    return b"".join(source.document.render(changes))


def _patched(edit: Edit, source: CocoSource, section: str, wanted: Mapping[int, Json]) -> Edit:
    """An edit with more fields of records, by index in the file."""
    replaced = dict(edit.replaced)
    for index, values in wanted.items():
        original = source.document.record(section, index)
        had = msgspec.json.decode(original)
        texts = {key: _text(key, value) for key, value in values.items()}
        texts = {key: text for key, text in texts.items() if key in had or text is not None}
        if any(not (key in had and had[key] == values[key]) for key in texts):
            replaced[index] = patch_record(replaced.get(index, original), texts)
    return replace(edit, replaced=replaced)


def _text(key: str, value: object) -> str | None:
    """A value as JSON; nothing for a list of tags, or a value, that is empty."""
    if value is None or (key == TAGS and not value):
        return None
    return msgspec.json.encode(value).decode()


def _new_fields(edit: Edit, added: list[NewPerson]) -> Edit:
    """An edit whose appended records have the tags and attributes of the new people."""
    appended = []
    for record, person in zip(edit.appended, added, strict=True):
        values: Json = {**person.extra, **({TAGS: person.tags} if person.tags else {})}
        texts = {key: _text(key, value) for key, value in values.items()}
        appended.append(patch_record(record, texts) if texts else record)
    return replace(edit, appended=tuple(appended))


def is_pulled(view: FiftyOneDataset, home: Home) -> bool:
    """Whether these edits were brought home before."""
    return bool(view.info.get(PULLED) == sha256_bytes(home.coco))


def mark_pulled(view: FiftyOneDataset, home: Home) -> None:
    """Remember that these edits were brought home."""
    view.info[PULLED] = sha256_bytes(home.coco)
    view.save()
