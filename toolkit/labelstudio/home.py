"""A person's edits put into the annotation file that was pushed, or a later state of it.

Three states of a record are compared, field by field: as it was sent, as it came back, and as
the file has it now. What differs between the first two is what a person changed, and only
that is written; every other byte stays the file's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath

from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats.coco_write import CocoSource
from toolkit.formats.compare import identity
from toolkit.formats.document import (
    Edit,
    field_texts,
    number_tokens,
    patch_record,
    with_tokens,
)
from toolkit.formats.foreign import CocoDocument, Record, records_of


@dataclass(frozen=True)
class Merged:
    """A file with a person's edits.

    Attributes:
        content: The file's bytes; also with the labelled pictures of tasks that were made by
            others.
        changed: Annotations of which something changed, but for who labelled it and when.
        added: Annotations that are new.
        removed: Annotations that a person took away.
        conflicts: Fields that the file and a person changed, both; the person's is taken.
    """

    content: bytes
    changed: int
    added: int
    removed: int
    conflicts: list[str]


def merged(base: Dataset, pulled: CocoDocument, sent: Mapping[object, Record]) -> Merged:
    """Put what a person changed into a file.

    Args:
        base: The file, as it was read.
        pulled: What came home.
        sent: By `identity` of their ids: the records as they were sent.

    Raises:
        UsageError: The file is no COCO file, or not the one that was pushed.
    """
    source = base.source
    if not isinstance(source, CocoSource) or "annotations" not in source.document.sections:
        raise UsageError(f"{base.name}: --base must be the COCO file that was pushed")
    document = source.document
    rows: dict[object, int] = {}
    added: dict[object, list[int]] = {}
    size = len(document.sections["annotations"])
    records = [json.loads(document.record("annotations", row)) for row in range(size)]
    for row, record in enumerate(records):
        key = identity(record.get("id"))
        rows.setdefault(key, row)
        if key not in sent and (origin := _origin(record)) is not None:
            added.setdefault(origin, []).append(row)
    ids = [i for one in (*records, *sent.values()) if type(i := one.get("id")) is int]
    fresh = count(1 + max(ids, default=0))
    count_of_images = len(document.sections.get("images", ()))
    frames = [json.loads(document.record("images", row)) for row in range(count_of_images)]
    _check_frames(base.name, frames, pulled)
    moved, pictures = _pictures(frames, pulled)
    replaced: dict[int, bytes] = {}
    edited = 0
    appended, seen, conflicts = [], set(), list[str]()
    for record in records_of(pulled, "annotations"):
        key = identity(record.get("id"))
        at = rows.get(key)
        if key not in sent:
            # A person's own addition. Its number was free among what was pushed; in the file
            # another frame's annotation may have it. An earlier pull may have brought it.
            image = identity(record.get("image_id"))
            record["image_id"] = moved.get(image, record.get("image_id"))
            earlier = added.get(_origin(record))
            at = earlier.pop(0) if earlier else None
            record["id"] = next(fresh) if at is None else records[at]["id"]
        if at is None:
            appended.append(json.dumps(record, ensure_ascii=False).encode())
            continue
        seen.add(key)
        before = document.record("annotations", at)
        changes = _changes(before, record, sent.get(key, {}), conflicts)
        if changes:
            replaced[at] = patch_record(before, changes)
            edited += set(changes) != {"labelstudio"}
    gone = {rows[key] for key in sent if key in rows and key not in seen}
    order = [row for row in range(size) if row not in gone]
    edit = Edit(replaced, order if gone else None, tuple(appended))
    edits = {"annotations": edit}
    if pictures:
        edits["images"] = Edit(appended=tuple(pictures))
    content = b"".join(document.render(edits))
    return Merged(content, edited, len(appended), len(gone), conflicts)


def _origin(record: Record) -> object:
    """Which annotation on the server a record came from, and its image; None for none."""
    said = record.get("labelstudio")
    number = said.get("annotation") if isinstance(said, dict) else None
    return None if number is None else (identity(number), identity(record.get("image_id")))


def _check_frames(name: str, frames: list[Record], pulled: CocoDocument) -> None:
    """Refuse a file whose frames have other names: ids alone fit many a wrong file."""
    names: dict[object, object] = {}
    for one in frames:
        names.setdefault(identity(one.get("id")), one.get("file_name"))
    sent = [one for one in records_of(pulled, "images") if _task(one) is None]
    others = [
        one
        for one in sent
        if identity(one.get("id")) in names
        and _last(names[identity(one.get("id"))]) != _last(one.get("file_name"))
    ]
    if others:
        first, number = others[0], others[0].get("id")
        raise UsageError(
            f"{name}: {len(others)} of the {len(sent)} pushed frames have other names in it: "
            f"image id={number} is '{names[identity(number)]}' and was pushed "
            f"as '{first.get('file_name')}'; --base must be the file that was pushed, or a "
            "later state of it (folders may differ, file names not)"
        )


def _last(name: object) -> str:
    return PurePosixPath(str(name)).name


def _pictures(
    frames: list[Record], pulled: CocoDocument
) -> tuple[dict[object, object], list[bytes]]:
    """The labelled pictures of tasks that somebody else made: their ids in the file.

    Returns:
        By `identity` of the id that came home, the id in the file; and the records to add, of
        those that no earlier pull has brought.
    """
    names = {identity(one.get("id")): one.get("file_name") for one in frames}
    there = {(_task(one), one.get("file_name")): one.get("id") for one in frames}
    labelled = {identity(one.get("image_id")) for one in records_of(pulled, "annotations")}
    ids = [one.get("id") for one in (*frames, *records_of(pulled, "images"))]
    fresh = count(1 + max((i for i in ids if type(i) is int), default=0))
    moved: dict[object, object] = {}
    new = []
    for image in records_of(pulled, "images"):
        key, name = identity(image.get("id")), image.get("file_name")
        if _task(image) is None or key not in labelled or names.get(key) == name:
            continue
        number = there.get((_task(image), name))
        if number is None:
            number = next(fresh)
            new.append(json.dumps(image | {"id": number}, ensure_ascii=False).encode())
        moved[key] = number
    return moved, new


def _task(image: Record) -> object:
    """The task that an image came from, where somebody else made it; else None."""
    said = image.get("labelstudio")
    return identity(said.get("task")) if isinstance(said, dict) and "data" in said else None


def _changes(
    before: bytes, came: Record, sent: Record, conflicts: list[str]
) -> dict[str, str | None]:
    """The fields that a person changed, as JSON; None for one that is gone."""
    now: Record = json.loads(before)
    texts = field_texts(before)
    changes: dict[str, str | None] = {}
    for name in {**sent, **came}:
        same = name in sent and name in came and sent[name] == came[name]
        if same or (name in came and name in now and now[name] == came[name]):
            continue
        if name in sent and now.get(name) != sent[name]:
            conflicts.append(f"annotation {came.get('id')} field '{name}'")
        changes[name] = _text(came[name], texts.get(name)) if name in came else None
    return changes


def _text(value: object, old: str | None) -> str:
    """JSON for a value; of a list of numbers the entries that stay keep their spelling."""
    tokens = number_tokens(old)
    if not isinstance(value, list) or len(tokens) != len(value):
        return json.dumps(value, ensure_ascii=False)
    new = [
        token if json.loads(token) == entry else json.dumps(entry)
        for token, entry in zip(tokens, value, strict=True)
    ]
    return with_tokens(old, new)
