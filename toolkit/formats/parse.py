"""From a file's bytes to undecoded records, with every syntax error at its byte.

A document is parsed once for its top-level keys and once for the entries of its lists;
records stay slices of the file's bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from toolkit.errors import counted
from toolkit.formats.text import Text, without_constants


class _Usual(Struct):
    images: list[Raw]
    annotations: list[Raw]
    categories: list[Raw]


_USUAL = msgspec.json.Decoder(_Usual)
_TOP = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
CHUNK = 1 << 20
TOO_DEEP = "nested too deeply; an annotation file needs about 6 levels"
_BYTE = re.compile(r" \(byte (\d+)\)$")
_SEPARATORS = np.frombuffer(b", \t\r\n", dtype=np.uint8)
_SPACE = re.compile(rb"[ \t\r\n]*")
_SKIP = re.compile(rb"[, \t\r\n]*")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_REPLACEMENT = rb"\ufffd"  # an escape as long as the one it stands for


@dataclass(frozen=True)
class Section:
    """A list of records in a file's bytes.

    Attributes:
        name: Its top-level key; `results` where the list is the whole document.
        begin: Offset just after `[`.
        end: Offset of `]`.
        starts: (R,) int64 offsets of the records.
        ends: (R,) int64 offsets just after them.
    """

    name: str
    begin: int
    end: int
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.starts)

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges of records of about a mebibyte, for numpy to look at.

        Smaller ones cost calls, larger ones the processor's cache and fresh memory.
        """
        begin = 0
        while begin < len(self):
            limit = int(self.starts[begin]) + CHUNK
            end = max(int(np.searchsorted(self.ends, limit, side="right")), begin + 1)
            yield begin, end
            begin = end


@dataclass(frozen=True)
class Parsed:
    """A document whose records are not decoded yet.

    Attributes:
        data: The bytes to decode; the file's, with lone surrogates replaced.
        top: Top-level values by key; empty where the document is a list, or where `lists`
            has what is needed.
        items: The undecoded entries where the document is a list, else None.
        lists: The undecoded records of images, annotations and categories, where all
            three are there and none is empty; one pass over the file gives them.
    """

    data: bytes
    top: dict[str, Raw]
    items: list[Raw] | None
    lists: dict[str, list[Raw]] = field(default_factory=dict)


def parse(text: Text) -> Parsed:
    """Parse a document's outermost level and check the syntax of all of it.

    Raises:
        ReadError: It is not JSON (with the byte), is nested too deeply, or is neither an
            object nor a list.
    """
    data = text.data
    try:
        return _parse(data)
    except RecursionError:
        text.fail(TOO_DEEP)
    except msgspec.DecodeError as error:
        patched = _without_surrogates(data)
        if patched is not data:
            try:
                return _parse(patched)
            except (msgspec.DecodeError, RecursionError):
                pass
        _fail(text, error)


def _parse(data: bytes) -> Parsed:
    opened = _SPACE.match(data)
    at = opened.end() if opened else 0
    if data[at : at + 1] != b"{":
        return Parsed(data, {}, _LIST.decode(data))
    try:
        usual = msgspec.structs.asdict(_USUAL.decode(data))
    except msgspec.ValidationError:
        usual = {}
    if usual and all(usual.values()):
        return Parsed(data, {}, None, usual)
    return Parsed(data, _TOP.decode(data), None)


def top_level_keys(data: bytes) -> list[str]:
    """The keys of a document that is an object and was parsed before."""
    return list(_TOP.decode(data))


def _fail(text: Text, error: msgspec.DecodeError) -> NoReturn:
    message = str(error)
    if isinstance(error, msgspec.ValidationError):
        kind = message.rsplit("`", 2)[-2] if "`" in message else "another value"
        text.fail(f"the document is {kind}; expected an object or a list of results")
    if "truncated" in message:
        text.fail_at(len(text.data), "the file ends in the middle; it is cut off (truncated)")
    found = _BYTE.search(message)
    offset = int(found[1]) if found else 0
    reason = _BYTE.sub("", message).removeprefix("JSON is malformed: ")
    patched, constants = without_constants(text.data)
    near = [o for o in constants if o <= offset <= o + 2]
    if near:
        where = place_of(Text(text.path, text.prefix, patched), near[0])
        token = re.match(rb"-?[A-Za-z]+", text.data[near[0] :])
        name = token[0].decode() if token else "NaN"
        text.fail_at(
            near[0],
            f"{where}{name} is not JSON; write null or leave the field out "
            f"({counted(len(constants), 'such token')} in the file)",
        )
    if reason == "trailing characters":
        reason = "characters after the end of the document"
        offset -= 1  # msgspec counts the character it has read
    text.fail_at(offset, f"not JSON: {reason}")


def place_of(text: Text, offset: int) -> str:
    """The record and field that a byte belongs to, or nothing where that is unclear."""
    try:
        parsed = _parse(text.data)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if parsed.items is not None:
        return _list_place(text.data, results_section(parsed), offset)
    for name, records in parsed.lists.items():
        section = section_around(text.data, name, records)
        if section.begin <= offset < section.end:
            return _list_place(text.data, section, offset)
    for name, raw in parsed.top.items():
        begin = offset_of(text.data, raw)
        if not begin <= offset < begin + len(memoryview(raw)):
            continue
        if text.data[begin : begin + 1] != b"[":
            return f"field '{name}': "
        return _list_place(text.data, section_of(text.data, name, raw)[0], offset)
    return ""


def _list_place(data: bytes, section: Section, offset: int) -> str:
    row = int(np.searchsorted(section.starts, offset, side="right")) - 1
    if row < 0 or offset >= section.ends[row]:
        return f"{section.name}: "
    record = data[section.starts[row] : section.ends[row]]
    at = offset - int(section.starts[row])
    return _record_place(section.name, row, record, at)


def _record_place(name: str, row: int, record: bytes, offset: int) -> str:
    if record[:1] != b"{":
        return f"{name}[{row}]: "
    fields = msgspec.json.decode(record, type=dict[str, Raw])
    shown = bytes(fields["id"]).decode() if "id" in fields else ""
    place = f"{name}[{row}]" + (f" id={shown}" if shown else "")
    for key, raw in fields.items():
        begin = offset_of(record, raw)
        if begin <= offset < begin + len(memoryview(raw)):
            return f"{place} field '{key}': "
    return f"{place}: "


def offset_of(data: bytes, raw: Raw) -> int:
    """Where in `data` a slice of it begins."""
    base = np.frombuffer(data, dtype=np.uint8).ctypes.data
    return int(np.frombuffer(raw, dtype=np.uint8).ctypes.data - base)


def section_of(data: bytes, name: str, raw: Raw) -> tuple[Section, list[Raw]]:
    """The records of a list, as offsets and as undecoded slices.

    Raises:
        msgspec.ValidationError: It is not a list.
    """
    records = _LIST.decode(raw)
    begin = offset_of(data, raw) + 1
    end = begin + len(memoryview(raw)) - 2
    starts, ends = _offsets(data, records, begin, end)
    return Section(name, begin, end, starts, ends), records


def section_around(data: bytes, name: str, records: list[Raw]) -> Section:
    """The list that undecoded records come from; there is at least one."""
    first, last = offset_of(data, records[0]), offset_of(data, records[-1])
    last += len(memoryview(records[-1]))
    begin = data.rindex(b"[", 0, first) + 1
    end = data.index(b"]", last)
    starts, ends = _offsets(data, records, begin, end)
    return Section(name, begin, end, starts, ends)


def results_section(parsed: Parsed) -> Section:
    """The records of a document that is a list."""
    begin, end = parsed.data.index(b"[") + 1, parsed.data.rindex(b"]")
    starts, ends = _offsets(parsed.data, parsed.items or [], begin, end)
    return Section("results", begin, end, starts, ends)


def _offsets(
    data: bytes, records: list[Raw], begin: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets of consecutive records, from their lengths and what lies between them."""
    sizes = np.array([len(memoryview(record)) for record in records], dtype=np.int64)
    if not len(sizes):
        return sizes, sizes.copy()
    match = _SKIP.match(data, begin)
    first = match.end() if match else begin
    second = first + int(sizes[0])
    gap_match = _SKIP.match(data, second)
    gap = (gap_match.end() if gap_match else second) - second
    ends = first + np.cumsum(sizes + gap) - gap
    starts = ends - sizes
    if ends[-1] <= end and _same_gaps(data, starts, ends, gap):
        return starts, ends
    # Irregular white space: walk from record to record.
    at = begin
    for row, size in enumerate(sizes.tolist()):
        match = _SKIP.match(data, at)
        starts[row] = match.end() if match else at
        at = int(starts[row]) + size
        ends[row] = at
    return starts, ends


def _same_gaps(
    data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], gap: int
) -> bool:
    """Whether between any two records lie exactly `gap` separators.

    The first offset is right; where every gap is separators only and ends at a byte that
    is none, each next offset is right too.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    inside = ends[:-1, None] + np.arange(gap)
    return bool(
        np.isin(text[inside], _SEPARATORS).all()
        and not np.isin(text[starts[1:]], _SEPARATORS).any()
    )


def _without_surrogates(data: bytes) -> bytes:
    """The text with halves of surrogate pairs replaced; itself where there are none."""
    offsets = [m.start() for m in _ESCAPE.finditer(data) if m["lone"]]
    if not offsets:
        return data
    patched = bytearray(data)
    for offset in offsets:
        patched[offset : offset + len(_REPLACEMENT)] = _REPLACEMENT
    return bytes(patched)
