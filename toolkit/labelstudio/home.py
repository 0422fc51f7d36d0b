"""A person's edits put into the annotation file that was pushed, or a later state of it.

Three states of a record are compared, field by field: as it was sent, as it came back, and as
the file has it now. What differs between the first two is what a person changed, and only
that is written; every other byte stays the file's. Each record remembers in a hash what came
home: where the file still has that, a later pull compares with it, not with what was sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath

from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError
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

Origin = tuple[object, object]  # number of an annotation on the server, and of its image
CONTENT = "content"  # of a record's `labelstudio`: hash of what came home


@dataclass(frozen=True)
class Merged:
    """A file with a person's edits.

    Attributes:
        content: The file's bytes; also with the labelled pictures of tasks that were made by
            others.
        changed: Annotations of which something changed, but for who labelled it and when.
        added: Annotations that are new.
        removed: Annotations that a person took away.
        conflicts: Fields, and single keypoints, that the file and a person changed, both; the
            person's is taken.
        kept: Fields, keypoints and people that are in Label Studio as they were sent, and not
            so in the file: its state stays. Somebody may have put them back there.
    """

    content: bytes
    changed: int
    added: int
    removed: int
    conflicts: list[str]
    kept: list[str]


def merged(
    base: Dataset,
    pulled: CocoDocument,
    sent: Mapping[object, Record],
    submitted: Set[object] = frozenset(),
) -> Merged:
    """Put what a person changed into a file.

    Args:
        base: The file, as it was read.
        pulled: What came home.
        sent: By `identity` of their ids: the records as they were sent.
        submitted: By `identity` of their ids: the annotations on the server, also those in
            which nobody is left.

    Raises:
        UsageError: The file is no COCO file, or not the one that was pushed.
        InvalidDataError: An entry of its annotations is no object.
    """
    source = base.source
    if not isinstance(source, CocoSource) or "annotations" not in source.document.sections:
        raise UsageError(f"{base.name}: --base must be the COCO file that was pushed")
    document = source.document
    size = len(document.sections["annotations"])
    records = [json.loads(document.record("annotations", row)) for row in range(size)]
    _check_objects(base.name, records)
    rows, added = _rows(records, sent)
    ids = [i for one in (*records, *sent.values()) if type(i := one.get("id")) is int]
    fresh = count(1 + max(ids, default=0))
    count_of_images = len(document.sections.get("images", ()))
    frames = [json.loads(document.record("images", row)) for row in range(count_of_images)]
    _check_frames(base.name, frames, pulled)
    moved, pictures = _pictures(frames, pulled)
    replaced: dict[int, bytes] = {}
    edited = 0
    appended, seen, conflicts, kept = [], set(), list[str](), list[str]()
    came = _came(pulled, sent, moved)
    earlier, gone = _earlier(came, sent, added, records)
    gone |= _emptied(came, submitted, added)
    for number, record in enumerate(came):
        key = identity(record.get("id"))
        at = rows.get(key)
        if key not in sent:
            # A person's own addition. Its number was free among what was pushed; in the file
            # another frame's annotation may have it. An earlier pull may have brought it.
            at = earlier.get(number)
            record["id"] = next(fresh) if at is None else records[at]["id"]
        elif at is None:  # the file has lost the person since
            if _unlabelled(record) == _unlabelled(sent[key]):
                kept.append(f"annotation {record.get('id')}, which the file no longer has")
                continue
            conflicts.append(f"annotation {record.get('id')}, which the file no longer has")
        if at is None:
            appended.append(json.dumps(record, ensure_ascii=False).encode())
            continue
        seen.add(key)
        before, now = document.record("annotations", at), records[at]
        known = _last_known(now, record)  # else what was sent tells what was changed
        changes = _changes(before, record, known or sent.get(key, {}), conflicts)
        if known is None and _came_last(now, record):  # changed here and there since
            if key in sent:
                kept += _as_sent(now, record, sent[key])
            else:
                names = (name for name in changes if name != "labelstudio")
                conflicts += [f"annotation {record.get('id')} field '{name}'" for name in names]
        if changes:
            replaced[at] = patch_record(before, changes)
            edited += set(changes) != {"labelstudio"}
    gone |= {rows[key] for key in sent if key in rows and key not in seen}
    order = [row for row in range(size) if row not in gone]
    edit = Edit(replaced, order if gone else None, tuple(appended))
    edits = {"annotations": edit}
    if pictures:
        edits["images"] = Edit(appended=tuple(pictures))
    content = b"".join(document.render(edits))
    return Merged(content, edited, len(appended), len(gone), conflicts, kept)


def _rows(
    records: list[Record], sent: Mapping[object, Record]
) -> tuple[dict[object, int], dict[Origin, list[int]]]:
    """The file's rows: by id; and of those that were not sent, by where they came from."""
    rows: dict[object, int] = {}
    added: dict[Origin, list[int]] = {}
    for row, record in enumerate(records):
        key = identity(record.get("id"))
        rows.setdefault(key, row)
        if key not in sent and (origin := _origin(record)) is not None:
            added.setdefault(origin, []).append(row)
    return rows, added


def _came(
    pulled: CocoDocument, sent: Mapping[object, Record], moved: Mapping[object, object]
) -> list[Record]:
    """The records that came home, with their hashes; additions under the file's image ids."""
    came = [_stamped(one, sent) for one in records_of(pulled, "annotations")]
    for record in came:
        if identity(record.get("id")) not in sent:
            image = identity(record.get("image_id"))
            record["image_id"] = moved.get(image, record.get("image_id"))
    return came


def _check_objects(name: str, records: list[object]) -> None:
    """Refuse entries that are no annotations: nobody can tell whose they are."""
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise InvalidDataError(
                f"{name}: annotations[{row}] is {json.dumps(record)[:40]}; wanted an object; "
                "correct it, 'toolkit validate' lists such"
            )


def _stamped(record: Record, sent: Mapping[object, Record]) -> Record:
    """A record with the hash of what came home, where an annotation brought it."""
    said = record.get("labelstudio")
    if not isinstance(said, dict) or CONTENT in said:
        return record
    if said == sent.get(identity(record.get("id")), {}).get("labelstudio"):
        return record
    return record | {"labelstudio": said | {CONTENT: _content(record)}}


def _content(record: Record) -> str:
    """Hash of what a record says, whatever its number and however it is spelled."""
    said = {k: v for k, v in record.items() if k not in ("id", "image_id", "labelstudio")}
    text = json.dumps(_plain(said), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """The same with 12.0 as 12."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _came_last(now: Record, came: Record) -> str:
    """The hash of what an earlier pull brought from the same annotation; empty for none."""
    old, new = now.get("labelstudio"), came.get("labelstudio")
    if not isinstance(old, dict) or not isinstance(new, dict):
        return ""
    if any(old.get(key) != new.get(key) for key in ("annotation", "task", "created_at")):
        return ""
    return str(old.get(CONTENT) or "")


def _last_known(now: Record, came: Record) -> Record | None:
    """What came home last, if its annotator or the file has changed nothing since."""
    last = _came_last(now, came)
    same = [one for one in (came, now) if last and _content(one) == last]
    return _unlabelled(same[0]) if same else None


def _as_sent(now: Record, came: Record, sent: Record) -> list[str]:
    """Fields and keypoints that are as they were sent, and otherwise in the file."""
    names = [
        name
        for name in sent
        if name not in ("labelstudio", "keypoints", "num_keypoints")
        and name in came
        and came[name] == sent[name]
        and now.get(name) != sent[name]
    ]
    found = [f"annotation {came.get('id')} field '{name}'" for name in names]
    before, after, have = (_list(one.get("keypoints")) for one in (sent, came, now))
    for at in range(0, min(len(before), len(after), len(have)), 3):
        was, new, there = (one[at : at + 3] for one in (before, after, have))
        if new == was != there:
            found.append(f"annotation {came.get('id')} field 'keypoints' ({at // 3})")
    return found


def _unlabelled(record: Record) -> Record:
    """A record without who labelled it and when."""
    return {name: value for name, value in record.items() if name != "labelstudio"}


def _earlier(
    came: list[Record],
    sent: Mapping[object, Record],
    added: Mapping[Origin, list[int]],
    records: list[Record],
) -> tuple[dict[int, int], set[int]]:
    """Which rows an earlier pull wrote for the people whom an annotator added.

    Of one annotation those that are most alike are paired: somebody may have gone since.

    Returns:
        Row of the file by number in `came`; and the rows whose person is gone.
    """
    several: dict[Origin | None, list[int]] = {_origin(record): [] for record in came}
    for number, record in enumerate(came):
        if identity(record.get("id")) not in sent:
            several[_origin(record)].append(number)
    found: dict[int, int] = {}
    gone: set[int] = set()
    for origin in added.keys() & several.keys():
        rows = set(added[origin])
        pairs = [
            (-_alike(came[number], records[row]), number, row)
            for number in several[origin]
            for row in rows
        ]
        for _, number, row in sorted(pairs):
            if number not in found and row in rows:
                found[number] = row
                rows.discard(row)
        gone |= rows
    return found, gone


def _emptied(
    came: list[Record], submitted: Set[object], added: Mapping[Origin, list[int]]
) -> set[int]:
    """Rows of people whom an annotator added to an annotation in which nobody is left."""
    peopled = {_annotation(record) for record in came}
    return {
        row
        for (annotation, _), rows in added.items()
        if annotation in submitted and annotation not in peopled
        for row in rows
    }


def _alike(one: Record, other: Record) -> int:
    """How many numbers of box and keypoints two records have in common."""
    return sum(
        a == b
        for name in ("bbox", "keypoints")
        for a, b in zip(_list(one.get(name)), _list(other.get(name)), strict=False)
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _origin(record: Record) -> Origin | None:
    """Which annotation on the server a record came from, and its image; None for none."""
    number = _annotation(record)
    return None if number is None else (number, identity(record.get("image_id")))


def _annotation(record: Record) -> object:
    """Which annotation on the server a record came from; None for none."""
    said = record.get("labelstudio")
    number = said.get("annotation") if isinstance(said, dict) else None
    return None if number is None else identity(number)


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
    """The fields that a person changed, as JSON; None for one that is gone.

    Each keypoint is a unit: what the file has since is kept where no person changed it.
    """
    now: Record = json.loads(before)
    texts = field_texts(before)
    changes: dict[str, str | None] = {}
    sent, came = _by_keypoint(sent, came, now, conflicts)
    for name in {**sent, **came}:
        same = name in sent and name in came and sent[name] == came[name]
        if same or (name in came and name in now and now[name] == came[name]):
            continue
        if name in sent and now.get(name) != sent[name]:
            conflicts.append(f"annotation {came.get('id')} field '{name}'")
        changes[name] = _text(came[name], texts.get(name)) if name in came else None
    return changes


def _by_keypoint(
    sent: Record, came: Record, now: Record, conflicts: list[str]
) -> tuple[Record, Record]:
    """What was sent and what came, as if the file's keypoints of now had been sent.

    `num_keypoints` follows where it is the true count in all three.
    """
    lists = [_list(one.get("keypoints")) for one in (sent, came, now)]
    if len({len(one) for one in lists}) > 1 or not lists[0] or len(lists[0]) % 3:
        return sent, came
    before, after, flat = lists
    if before in (after, flat):
        return sent, came
    result: list[object] = []
    for at in range(0, len(flat), 3):
        was, new, have = (one[at : at + 3] for one in lists)
        result += have if new == was else new
        if was not in (new, have) and new != have:
            conflicts.append(f"annotation {came.get('id')} field 'keypoints' ({at // 3})")
    sent, came = sent | {"keypoints": flat}, came | {"keypoints": result}
    records = sent | {"keypoints": before}, came | {"keypoints": after}, now
    if all(one.get("num_keypoints") == _labelled(one["keypoints"]) for one in records):
        sent |= {"num_keypoints": now["num_keypoints"]}
        came |= {"num_keypoints": _labelled(result)}
    return sent, came


def _labelled(keypoints: object) -> int:
    """Number of keypoints with a visibility above 0."""
    flags = _list(keypoints)[2::3]
    return sum(isinstance(flag, int | float) and flag > 0 for flag in flags)


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
