"""Which outlines (`segmentation`) need a closer look, found at the speed of memory.

Polygons are most of a COCO file's bytes. Decoding them costs more than decoding everything
else, so numpy looks at the bytes of some records at a time: where the brackets are, how many
commas lie between them, and whether a number has seven digits or an exponent. What is not a
plain list of plain polygons of even length is named, for `segmentation` to decode; no
record with a fault is left unnamed. Sums run in 8 bits, which is several times quicker than
finding each comma, and longer polygons are told from short ones by their bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from toolkit.formats.parse import Section

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

FEWEST = 6  # numbers of a polygon: three points
_QUOTE, _COMMA, _OPEN, _CLOSE, _COLON, _DOT, _EXPONENT = (ord(c) for c in '",[]:.E')
_KEY = b'"segmentation"'
_FIRST, _LAST = (np.frombuffer(_KEY[a : a + 8], "<u8")[0] for a in (0, len(_KEY) - 8))
_SPACES = 4  # blanks looked over before a colon or a value; more is looked at closely


def suspects(data: bytes, section: Section) -> Indices:
    """Indices of records whose outline is not plainly sound, ascending."""
    whole = np.frombuffer(data, np.uint8)
    found: list[Indices] = [np.zeros(0, np.int64)]
    for begin, end in section.chunks():
        first, last = int(section.starts[begin]), int(section.ends[end - 1])
        lists, others = _values(whole, first, last)
        wrong = np.concatenate([others, lists[_unsound(whole[first:last], lists - first)]])
        if len(wrong):
            found.append(np.searchsorted(section.starts, wrong, side="right") - 1)
    return np.unique(np.concatenate(found))


def _values(whole: Bytes, first: int, last: int) -> tuple[Indices, Indices]:
    """Where the lists of outlines begin in a range, and where outlines are of another kind."""
    # The last possible key is followed by a value, "}" and "]": words never leave the file.
    stop = min(last, len(whole) - len(_KEY) - 2)
    words: NDArray[np.uint64] = np.ndarray(
        (max(0, len(whole) - 7),), "<u8", buffer=whole.data, strides=(1,)
    )
    # Few keys have a "g": most of the text is passed over at once.
    keys = first - _KEY.index(b"g") + np.flatnonzero(whole[first:stop] == ord("g"))
    keys = keys[keys >= first]
    keys = keys[words[keys] == _FIRST]
    keys = keys[words[keys + len(_KEY) - 8] == _LAST]
    at = _skip_blanks(whole, keys + len(_KEY))
    unclear = at[whole[at] <= ord(" ")]
    at = _skip_blanks(whole, at[whole[at] == _COLON] + 1)
    plain = whole[at] == _OPEN
    return at[plain], np.concatenate([at[~plain], unclear])


def _skip_blanks(whole: Bytes, at: Indices) -> Indices:
    for _ in range(_SPACES):
        blank = whole[at] <= ord(" ")
        if not blank.any():
            break
        at = at + blank
    return at


def _unsound(text: Bytes, values: Indices) -> Mask:
    """Which of the lists are not plain polygons of three points and more."""
    if not len(values):
        return np.zeros(0, dtype=bool)
    brackets = np.flatnonzero((text == _OPEN) | (text == _CLOSE))
    closing = text[brackets] == _CLOSE
    place = np.searchsorted(brackets, values)
    # A list of polygons is [ [..] [..] ]: it ends with the next two closing brackets in a
    # row, or at once. Up to there, opening and closing brackets take turns.
    following = brackets[np.minimum(place + 1, len(brackets) - 1)]
    empty = following == brackets[place] + 1
    empty &= text[following] == _CLOSE
    twice = np.append(np.flatnonzero(closing[1:] & closing[:-1]) + 1, len(closing))
    nested = np.flatnonzero(~closing[1:] & ~closing[:-1]) + 1
    end = twice[np.searchsorted(twice, place, side="right")]
    inner = np.searchsorted(nested, end) - np.searchsorted(nested, place + 1, side="right")
    plain = ~empty & (end < len(closing)) & (inner == 0) & ((end - place) % 2 == 1)
    wrong = ~plain & ~empty
    rows = np.flatnonzero(plain)
    wrong[rows] = _bad_lists(text, brackets, place[rows], end[rows])
    return np.asarray(wrong)


def _bad_lists(text: Bytes, brackets: Indices, place: Indices, end: Indices) -> Mask:
    """Which lists have a polygon that is short, odd, or not of plain small numbers."""
    bad = np.zeros(len(place), dtype=bool)
    if not len(place):
        return bad
    spans = np.column_stack([brackets[place], brackets[end]]).ravel()
    # Letters, quotes and braces: words, strings, objects; exponents begin with e or E.
    bad |= np.maximum.reduceat(text, spans)[::2] > _CLOSE
    bad |= _counts((text == _QUOTE) | (text == _EXPONENT), spans)[::2] > 0
    long = _long_numbers(text)
    if len(long):
        bad |= np.diff(np.searchsorted(long, spans))[::2] > 0
    polygons = (end - place - 1) // 2
    owner = np.repeat(np.arange(len(place)), polygons)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(polygons) - polygons, polygons)
    opening = np.repeat(place, polygons) + 1 + 2 * step
    spans = np.column_stack([brackets[opening], brackets[opening + 1]]).ravel()
    commas = _counts(text == _COMMA, spans)[::2]
    short = (commas < FEWEST - 1) & (np.diff(spans)[::2] < 256)
    bad[owner[short | (commas % 2 == 0)]] = True
    return bad


def _counts(mask: Mask, spans: Indices) -> NDArray[np.uint8]:
    """How often something is true from each offset to the next, modulo 256."""
    return np.add.reduceat(mask.view(np.uint8), spans, dtype=np.uint8)


def _long_numbers(text: Bytes) -> Indices:
    """Offsets of whole parts of seven digits and more."""
    digit = (text - np.uint8(48)) < 10
    if len(digit) < 7:
        return np.zeros(0, np.int64)
    two = digit[:-1] & digit[1:]
    four = two[:-2] & two[2:]
    starts = np.flatnonzero(four[:-3] & four[3:])
    if len(starts):
        before = text[np.maximum(starts - 1, 0)]
        starts = starts[~((before - np.uint8(48)) < 10) & (before != _DOT)]
    return np.asarray(starts)
