"""A document that was read, and how to write it again with only the changes changed.

A document is the file's bytes and the offsets of its records, nothing more: unknown keys,
key order, white space and the spelling of numbers are kept because they are never touched.
An edit replaces records (or fields of records, `patch_record`), drops them, reorders them
or appends new ones; every other byte is copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.files import atomic_file
from toolkit.formats.parse import Section

# Values are only measured here, so numbers stay text: no digit limit, no rounding.
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r"[^\[\],\s]+")


@dataclass(frozen=True)
class Document:
    """A file's bytes and where its records lie.

    Attributes:
        prefix: Byte order mark, or nothing.
        data: Everything after it.
        sections: Lists of records by top-level key, in file order.
    """

    prefix: bytes = field(repr=False)
    data: bytes = field(repr=False)
    sections: Mapping[str, Section]

    def record(self, section: str, index: int) -> bytes:
        """The bytes of one record."""
        rows = self.sections[section]
        return self.data[rows.starts[index] : rows.ends[index]]

    def write(self, path: Path, edits: Mapping[str, Edit], *, force: bool) -> None:
        """Write the document with edits, whole or not at all.

        Raises:
            WriteError: The file cannot be written; what stood there before is intact.
        """
        with atomic_file(path, force=force) as temporary, temporary.open("wb") as stream:
            stream.writelines(self.render(edits))

    def render(self, edits: Mapping[str, Edit]) -> Iterator[bytes | memoryview]:
        """The document's bytes in pieces."""
        view = memoryview(self.data)
        yield self.prefix
        at = 0
        for section in sorted(self.sections.values(), key=lambda s: s.begin):
            edit = edits.get(section.name)
            if edit is None or edit.is_empty:
                continue
            yield view[at : section.begin]
            yield from _render_section(view, section, edit)
            at = section.end
        yield view[at:]


@dataclass(frozen=True)
class Edit:
    """Changes to one list of records.

    Attributes:
        replaced: New bytes by record index.
        order: Indices of the records to keep, in the order to write; None keeps all.
        appended: New records, written after the others.
    """

    replaced: Mapping[int, bytes] = field(default_factory=dict)
    order: list[int] | None = None
    appended: tuple[bytes, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not self.replaced and self.order is None and not self.appended


def _render_section(
    view: memoryview, section: Section, edit: Edit
) -> Iterator[bytes | memoryview]:
    starts, ends = section.starts, section.ends
    if edit.order is None and not edit.appended:
        at = section.begin
        for index in sorted(edit.replaced):
            yield view[at : starts[index]]
            yield edit.replaced[index]
            at = int(ends[index])
        yield view[at : section.end]
        return
    lead, gap, tail = b"", b", ", b""
    if len(section):
        lead = bytes(view[section.begin : starts[0]])
        tail = bytes(view[ends[-1] : section.end])
        if len(section) > 1:
            gap = bytes(view[ends[0] : starts[1]])
        elif lead:
            gap = b"," + lead
    order: Iterable[int] = range(len(section)) if edit.order is None else edit.order
    before = lead
    for index in order:
        yield before
        new = edit.replaced.get(index)
        yield view[starts[index] : ends[index]] if new is None else new
        before = gap
    for record in edit.appended:
        yield before
        yield record
        before = gap
    yield tail if before is gap else b""


@dataclass(frozen=True)
class _Span:
    """Where a field stands in a record's text: its key, and its value."""

    key: str
    key_begin: int
    key_end: int
    begin: int
    end: int


def _spans(text: str) -> list[_Span]:
    found = []
    at = _skip(text, 1)
    while text[at] != "}":
        key, key_end = _SCANNER.raw_decode(text, at)
        begin = _skip(text, _skip(text, key_end) + 1)
        _, end = _SCANNER.raw_decode(text, begin)
        found.append(_Span(key, at, key_end, begin, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def field_texts(record: bytes) -> dict[str, str]:
    """The text of each field's value; the last of two equal keys, as parsers have it."""
    text = record.decode("utf-8")
    return {span.key: text[span.begin : span.end] for span in _spans(text)}


def patch_record(record: bytes, changes: Mapping[str, str | None]) -> bytes:
    """Replace, add or remove fields of one record; every other byte stays.

    Args:
        record: The record's bytes, a JSON object.
        changes: New JSON text by key; None removes the field. New keys go to the end.

    Returns:
        The new record.
    """
    text = record.decode("utf-8")
    spans = _spans(text)
    last = {span.key: span for span in spans}
    added = {k: v for k, v in changes.items() if k not in last and v is not None}
    pieces, at = [], 0
    comma, colon = ", ", ": "
    if spans:
        colon = text[spans[0].key_end : spans[0].begin]
    if len(spans) > 1:
        comma = text[spans[0].end : spans[1].key_begin]
    kept = 0
    for index, span in enumerate(spans):
        new = changes.get(span.key, "")
        if new is None:
            follows = spans[index + 1].key_begin if index + 1 < len(spans) else span.end
            # The first kept field needs no comma before it, later ones bring their own.
            cut = span.key_begin if not kept else spans[index - 1].end
            pieces.append(text[at : max(at, cut)])
            at = follows if not kept else span.end
            continue
        kept += 1
        if new and last[span.key] is span:
            pieces.append(text[at : span.begin] + new)
            at = span.end
    end = spans[-1].end if spans else 1
    pieces.append(text[at:end] if at < end else "")
    for key, value in added.items():
        pieces.append(comma if kept else "")
        pieces.append(json.dumps(key) + colon + value)
        kept += 1
    pieces.append(text[max(at, end) :])
    return "".join(pieces).encode("utf-8")


def number_tokens(value: str | None) -> list[str]:
    """The entries of a flat list of numbers, as spelled; none where it is no such list."""
    if value is None or value.count("[") != 1 or '"' in value:
        return []
    return _TOKEN.findall(value)


def with_tokens(value: str | None, tokens: list[str]) -> str:
    """A flat list with new entries; white space stays where the length does."""
    old = number_tokens(value)
    if value is None or not old:
        return "[" + ", ".join(tokens) + "]"
    if len(old) == len(tokens):
        rest = iter(tokens)
        return _TOKEN.sub(lambda _: next(rest), value)
    places = list(_TOKEN.finditer(value))
    gap = value[places[0].end() : places[1].start()] if len(places) > 1 else ", "
    return value[: places[0].start()] + gap.join(tokens) + value[places[-1].end() :]
