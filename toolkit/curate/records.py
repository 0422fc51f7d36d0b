"""The records of a COCO document by id, and whether two of them say the same.

Two records that differ only in spelling (`10` and `10.0`, white space, the order of keys)
say the same; `true` and `1` do not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.formats.base import collector_off
from toolkit.formats.coco import document_faults
from toolkit.formats.coco_write import CocoSource, canonical_document
from toolkit.formats.document import Document
from toolkit.formats.parse import TOO_DEEP, Parsed, Section, parse, section_around, section_of
from toolkit.formats.text import Text, load_text

SECTIONS = ("images", "annotations", "categories")
Record = dict[str, object]
Key = int | str


class _HasId(Struct):
    id: int


_NEEDED = frozenset(
    {"section-missing", "section-type", "json-duplicate-key", "json-number-overflow"}
)
_IDS = msgspec.json.Decoder(list[_HasId])
_NUMBERS = frozenset({int, float})  # bool is neither
_TOP = msgspec.json.Decoder(dict[str, Raw])


@dataclass(frozen=True)
class Missing:
    """What stands for a field or a record that is not there."""

    def __repr__(self) -> str:
        """As people read it."""
        return "(none)"


MISSING = Missing()


def same(a: object, b: object) -> bool:
    """Whether two JSON values say the same; numbers by value, `true` is no number."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        if _NUMBERS.issuperset(map(type, a)) and _NUMBERS.issuperset(map(type, b)):
            return a == b  # ten times quicker than entry by entry
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return a == b


def load_record(record: bytes) -> object:
    """The value of a record.

    Raises:
        InvalidDataError: It holds an integer of more digits than Python converts.
    """
    try:
        return msgspec.json.decode(record)
    except (msgspec.DecodeError, RecursionError):  # 1e999, half of a surrogate pair
        pass
    try:
        return json.loads(record)
    except ValueError as error:
        begin = record[:40].decode("utf-8", "replace")
        raise InvalidDataError(
            f"the value that begins {begin!r} holds a number of thousands of digits; "
            "'toolkit validate' lists the errors of its file"
        ) from error


def fields_of(record: bytes) -> Record:
    """The fields of a record; a record that is no object has one, without a name."""
    value = load_record(record)
    return value if isinstance(value, dict) else {"": value}


def record_keys(document: Document, section: str) -> list[Key]:
    """What each record of a list is known by: its id.

    A whole number is itself; any other id is its JSON text; a record without an id is known
    by its own text.
    """
    rows = document.sections.get(section)
    if rows is None or not len(rows):
        return []
    try:
        with collector_off():
            found = _IDS.decode(document.data[rows.begin - 1 : rows.end + 1])
        return [item.id for item in found]
    except msgspec.DecodeError:
        return [_key(document.record(section, index)) for index in range(len(rows))]


def last_id(dataset: Dataset) -> int:
    """The highest id of an annotation in a data set's file, whosever it is; at least 0.

    Annotations of other categories are in the file and not in the arrays.
    """
    ids: list[Key] = dataset.annotations.instance_id.tolist()
    if isinstance(dataset.source, CocoSource):
        ids += record_keys(dataset.source.document, "annotations")
    return max((key for key in ids if isinstance(key, int)), default=0)


def _key(record: bytes) -> Key:
    fields = fields_of(record)
    if "id" not in fields:
        return record.decode("utf-8", "replace")
    value = fields["id"]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return json.dumps(value)


def load_document(path: Path) -> Document:
    """Read a COCO document without judging what its records say.

    Raises:
        ReadError: It cannot be read, is not JSON, or is a list (a results file).
        ResourceError: It needs more memory than there is.
    """
    with collector_off():
        text = load_text(path)
        parsed = parse(text)
        if parsed.items is not None:
            text.fail(
                f"the document is a list of {len(parsed.items)} entries; expected an "
                "object with images, annotations and categories; is this a results file?"
            )
        return _document(text, parsed)


def require_data_set(name: str, document: Document) -> None:
    """Refuse a document whose records cannot be told apart from what parsers dropped.

    A list that is missing looks as if somebody had removed every record, and of a key that
    stands twice only one value is seen.

    Args:
        name: How to call the file.
        document: What was read from it.

    Raises:
        InvalidDataError: A list is missing, a key stands twice, or a number does not fit
            64 bits; the message has the first, as `validate` says it.
    """
    with collector_off():
        found = document_faults(document, top_level(document))
    needed = [finding for finding in found if finding.rule in _NEEDED]
    if needed:
        more = f" (and {len(needed) - 1:,} more errors)" if len(needed) > 1 else ""
        raise InvalidDataError(f"{needed[0].line(name)}{more}; 'toolkit validate' lists them")


def document_of(dataset: Dataset) -> Document:
    """The document that a data set was read from, or would be written as."""
    if isinstance(dataset.source, CocoSource):
        return dataset.source.document
    text = Text(dataset.path or Path(dataset.name), b"", canonical_document(dataset))
    return _document(text, parse(text))


def _document(text: Text, parsed: Parsed) -> Document:
    sections: dict[str, Section] = {}
    for name in SECTIONS:
        if parsed.lists.get(name):
            sections[name] = section_around(parsed.data, name, parsed.lists[name])
        elif name in parsed.top:
            try:
                sections[name], _ = section_of(parsed.data, name, parsed.top[name])
            except msgspec.ValidationError:
                continue  # not a list: it is compared as one value
            except RecursionError:
                text.fail(TOO_DEEP)
    return Document(text.prefix, text.data, sections)


def top_level(document: Document) -> Mapping[str, bytes]:
    """The text of every top-level value that is not one of the document's lists."""
    found = _TOP.decode(_emptied(document))
    return {
        key: bytes(memoryview(raw))
        for key, raw in found.items()
        if key not in document.sections
    }


def _emptied(document: Document) -> bytes:
    """The document with its lists empty."""
    pieces, at = [], 0
    for section in sorted(document.sections.values(), key=lambda s: s.begin):
        pieces.append(document.data[at : section.begin])
        at = section.end
    pieces.append(document.data[at:])
    return b"".join(pieces)
