"""Where the records of a results file lie, found by braces alone.

Results are a list of flat objects. Where braces open and close in turn, with nothing but a
comma between, the records can be cut without parsing the text an extra time. Whoever
decodes the pieces by type checks the rest of the syntax: a piece that does not decode means
that this guess was wrong, and the document must be parsed in full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.formats.parse import Section

_STRETCH = 1 << 18
_SPACES = b" \t\r\n"


@dataclass(frozen=True)
class Pieces:
    """The records of a section as bytes, cut when a range of them is asked for."""

    data: bytes
    section: Section

    def __len__(self) -> int:
        """Number of records."""
        return len(self.section)

    def __getitem__(self, rows: slice) -> list[bytes]:
        """The records of a range."""
        starts, ends = self.section.starts[rows].tolist(), self.section.ends[rows].tolist()
        return [self.data[begin:end] for begin, end in zip(starts, ends, strict=True)]


def flat_section(data: bytes) -> Section | None:
    """The records of a list of flat objects, or None where the text does not look so."""
    text = np.frombuffer(data, dtype=np.uint8)
    starts, closes = _offsets_of(text, ord("{")), _offsets_of(text, ord("}"))
    if not len(starts) or len(starts) != len(closes) or (starts > closes).any():
        return None
    gaps = starts[1:] - closes[:-1] - 1
    # The gap is a comma, perhaps with one space or line end: same in all records.
    if len(gaps) and (gaps[0] not in (1, 2) or (gaps != gaps[0]).any()):
        return None
    if (text[closes[:-1] + 1] != ord(",")).any():
        return None
    if len(gaps) and gaps[0] == 2 and not np.isin(text[closes[:-1] + 2], list(_SPACES)).all():
        return None
    head, tail = data[: int(starts[0])].strip(_SPACES), data[int(closes[-1]) + 1 :]
    if head != b"[" or tail.strip(_SPACES) != b"]":
        return None
    return Section("results", data.index(b"[") + 1, data.rindex(b"]"), starts, closes + 1)


def count(data: bytes, characters: bytes) -> list[int]:
    """How often each character occurs; `bytes.count` is slow where there are many."""
    text = np.frombuffer(data, dtype=np.uint8)
    totals = [0] * len(characters)
    for begin in range(0, len(text), _STRETCH):
        stretch = text[begin : begin + _STRETCH]
        for index, character in enumerate(characters):
            totals[index] += int(np.count_nonzero(stretch == character))
    return totals


def _offsets_of(text: NDArray[np.uint8], character: int) -> NDArray[np.int64]:
    found = [
        np.flatnonzero(text[begin : begin + _STRETCH] == character) + begin
        for begin in range(0, len(text), _STRETCH)
    ]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
