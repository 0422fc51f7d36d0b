"""What differs between two COCO documents, counted by field.

Images are matched by `file_name`, annotations by their place within their image,
categories by name: ids may be among what a format cannot hold. Equal values are equal
numbers: 5 is 5.0, and true is not 1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from toolkit.formats.foreign import CocoDocument, Record, records_of

_NUMBERS = frozenset((int, float))  # not bool, which is an int to `isinstance`
SECTIONS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Difference:
    """One field of one record, or a record that came or went.

    Attributes:
        name: `annotations.area`, `images` (a record), `info` (a top-level key) or
            `annotations order`.
        place: Which record, for people.
        before: Its value; `MISSING` where there was none.
        after: Its value now; `MISSING` where there is none.
    """

    name: str
    place: str
    before: object
    after: object


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


def measured_loss(
    before: CocoDocument, after: CocoDocument, dropped: Iterable[int] = ()
) -> Counter[str]:
    """How many records differ, by name of what differs.

    Args:
        before: The document that went there.
        after: The document that came back.
        dropped: Indices in `before["annotations"]` that the format has no place for; the
            others are matched in order.

    Returns:
        `info`, `licenses` or another top-level key (1 each); `images`, `annotations`,
        `categories` (records that are only on one side); `images.FIELD`,
        `annotations.FIELD`, `categories.FIELD` (records in which it differs, is new or is
        gone); `images order`, `annotations order` (matched records in another place).
    """
    return Counter(found.name for found in differences(before, after, dropped))


def differences(
    before: CocoDocument, after: CocoDocument, dropped: Iterable[int] = ()
) -> Iterator[Difference]:
    """Every difference; see `measured_loss` for the names."""
    for key in dict.fromkeys([*before, *after]):
        if key not in SECTIONS:
            old, new = before.get(key, MISSING), after.get(key, MISSING)
            if not same(old, new):
                yield Difference(key, f"'{key}'", old, new)
    left_out = set(dropped)
    for section in SECTIONS:
        old_keys, new_keys = record_keys(before, section), record_keys(after, section)
        if section == "annotations":
            old_keys = record_keys(before, section, left_out)
        yield from _records(before, after, section, old_keys, new_keys)


def record_keys(
    document: CocoDocument, section: str, dropped: Iterable[int] = ()
) -> list[tuple[str, int] | None]:
    """What each record is matched by: its image's or its own name, and the how-manieth.

    None for the records whose indices are in `dropped`.
    """
    left_out, counts = set(dropped), Counter[str]()
    names = _image_keys(document) if section == "annotations" else {}
    keys: list[tuple[str, int] | None] = []
    for index, record in enumerate(records_of(document, section)):
        if index in left_out:
            keys.append(None)
            continue
        if section == "annotations":
            name = names.get(identity(record.get("image_id")), "")
        else:
            name = str(record.get("file_name" if section == "images" else "name"))
        keys.append((name, counts[name]))
        counts[name] += 1
    return keys


def image_names(document: CocoDocument) -> dict[str, str]:
    """File name of each image by `identity` of its id."""
    images = records_of(document, "images")
    return {identity(image.get("id")): str(image.get("file_name")) for image in images}


def _image_keys(document: CocoDocument) -> dict[str, str]:
    """What tells each image from all others, by `identity` of its id: name and how-manieth."""
    images = records_of(document, "images")
    keys = filter(None, record_keys(document, "images"))
    return {
        identity(image.get("id")): f"{name}\0{turn}" if turn else name
        for image, (name, turn) in zip(images, keys, strict=True)
    }


def identity(value: object) -> str:
    """An id as a dictionary key: 5 and 5.0 are one, `true` and unhashable ones are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def _records(
    before: CocoDocument,
    after: CocoDocument,
    section: str,
    old_keys: Sequence[tuple[str, int] | None],
    new_keys: Sequence[tuple[str, int] | None],
) -> Iterator[Difference]:
    old, new = records_of(before, section), records_of(after, section)
    rows = {key: row for row, key in enumerate(new_keys)}
    matched = []
    for index, key in enumerate(old_keys):
        place = f"{section}[{index}]"
        row = None if key is None else rows.get(key)
        if row is None:
            yield Difference(section, place, old[index], MISSING)
            continue
        matched.append((index, row))
        for name, was, now in field_differences(old[index], new[row]):
            yield Difference(f"{section}.{name}", place, was, now)
    found = {row for _, row in matched}
    for row, record in enumerate(new):
        if row not in found:
            yield Difference(section, f"{section}[{row}]", MISSING, record)
    if section != "categories":
        for rank, (index, row) in enumerate(moved(matched)):
            yield Difference(f"{section} order", f"{section}[{index}]", rank, row)


def moved(matched: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of (old index, new index) pairs in old order those whose rank is another now."""
    ranks = {new: rank for rank, new in enumerate(sorted(new for _, new in matched))}
    return [(old, new) for rank, (old, new) in enumerate(matched) if ranks[new] != rank]


def field_differences(old: Record, new: Record) -> Iterator[tuple[str, object, object]]:
    """Name, old and new value of each field that differs."""
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name, MISSING), new.get(name, MISSING)
        if not same(was, now):
            yield name, was, now


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; numbers by value, `true` is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        if _NUMBERS.issuperset(map(type, one)) and _NUMBERS.issuperset(map(type, other)):
            return one == other  # most values of a file are lists of plain numbers
        return len(one) == len(other) and all(
            same(a, b) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one == other


def by_image(document: CocoDocument) -> dict[str, list[int]]:
    """Indices of the annotations of each image, by what tells it from the others."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(record_keys(document, "annotations")):
        if key is not None:
            found[key[0]].append(index)
    return found
