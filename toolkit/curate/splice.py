"""Changing the members of a list or an object in a file's bytes, and not one byte more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from toolkit.formats.document import Document
from toolkit.formats.parse import offset_of

_TOP = msgspec.json.Decoder(dict[str, Raw])
_GAP = re.compile(rb"[, \t\r\n]*")
_OPEN = re.compile(rb"[ \t\r\n]*\{")


@dataclass(frozen=True)
class Splice:
    """New bytes for a stretch of old ones."""

    begin: int
    end: int
    new: bytes


@dataclass(frozen=True)
class Members:
    """Where the members of a list or an object stand.

    Attributes:
        begin: Offset just after the opening bracket.
        end: Offset of the closing bracket.
        starts: Offset of each member.
        ends: Offset just after each member.
    """

    begin: int
    end: int
    starts: Sequence[int]
    ends: Sequence[int]


@dataclass
class Changes:
    """What happens to the members of a list or an object.

    Attributes:
        replaced: New bytes by index.
        removed: Indices to leave out.
        appended: New members, for the end.
    """

    replaced: dict[int, bytes] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    appended: list[bytes] = field(default_factory=list)


def apply(data: bytes, splices: Iterable[Splice]) -> Iterator[bytes | memoryview]:
    """The bytes with the splices done, in pieces."""
    view, at = memoryview(data), 0
    for splice in sorted(splices, key=lambda s: (s.begin, s.end)):
        yield view[at : splice.begin]
        yield splice.new
        at = splice.end
    yield view[at:]


def member_splices(data: bytes, members: Members, changes: Changes) -> Iterator[Splice]:
    """Splices that replace, remove and append members; all other bytes stay."""
    starts, ends = members.starts, members.ends
    count = len(starts)
    for index, new in changes.replaced.items():
        if index not in changes.removed:
            yield Splice(int(starts[index]), int(ends[index]), new)
    kept = next((i for i in range(count) if i not in changes.removed), None)
    if kept is None and count:
        yield Splice(int(starts[0]), int(ends[-1]), _joined(data, members, changes.appended))
        return
    if kept is None:
        yield Splice(members.end, members.end, _joined(data, members, changes.appended))
        return
    if kept:  # what comes before the first that stays goes with the gap behind it
        yield Splice(int(starts[0]), int(starts[kept]), b"")
    for index in sorted(changes.removed):
        if index > kept:
            yield Splice(int(ends[index - 1]), int(ends[index]), b"")
    gap = _gap(data, members)
    if changes.appended:
        at = int(ends[-1])
        yield Splice(at, at, b"".join(gap + record for record in changes.appended))


def _joined(data: bytes, members: Members, records: Sequence[bytes]) -> bytes:
    return _gap(data, members).join(records)


def _gap(data: bytes, members: Members) -> bytes:
    """What stands between two members; a comma and a space where there are none."""
    if len(members.starts) > 1:
        return data[members.ends[-2] : members.starts[-1]]
    lead = data[members.begin : members.starts[0]] if len(members.starts) else b""
    return b"," + (lead or b" ")


def top_splices(document: Document, changed: Mapping[str, bytes | None]) -> Iterator[Splice]:
    """Splices that replace, add or remove (None) top-level values of a document."""
    if not changed:
        return
    data = document.data
    opened = _OPEN.match(data)
    begin = opened.end() if opened else 1
    values = [
        (offset_of(data, raw), len(memoryview(raw)), key)
        for key, raw in _TOP.decode(data).items()
    ]
    values.sort()
    starts, ends, at = [], [], begin
    for value, length, _ in values:
        match = _GAP.match(data, at)
        starts.append(match.end() if match else at)
        at = value + length
        ends.append(at)
    members = Members(begin, data.rindex(b"}"), starts, ends)
    changes = Changes()
    for index, (value, _, key) in enumerate(values):
        if key in changed:
            new = changed[key]
            if new is None:
                changes.removed.add(index)
            else:
                changes.replaced[index] = data[starts[index] : value] + new
    known = {key for _, _, key in values}
    changes.appended = [
        msgspec.json.encode(key) + b": " + new
        for key, new in changed.items()
        if new is not None and key not in known
    ]
    yield from member_splices(data, members, changes)
