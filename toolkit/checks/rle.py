"""COCO's run-length encoded masks, decoded to their counts without any C code.

A mask is {"counts": ..., "size": [height, width]}: runs of 0 and 1 in turn, column by
column, as a list of lengths or as COCO's text of them (5 bits a character, from "0" on;
from the fourth on a length is told as the difference to the one before the last). The
reference implementation trusts the text, and reads and writes past its memory when
the sum is wrong; here every fault is a sentence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MORE, _SIGN, _BITS = 0x20, 0x10, 5
_LONGEST = 12  # characters of a number of 60 bits
_LARGEST = 1 << 40  # pixels


def rle_fault(
    mask: dict[str, object], size_wh: tuple[int, int] | None
) -> tuple[str, str] | None:
    """What is wrong with a mask: `form` or `size`, and a sentence; None where it is sound.

    Args:
        mask: `counts` and `size` as decoded from JSON.
        size_wh: Size of the image in px, or None where it is unknown.
    """
    size = mask.get("size")
    if not (
        isinstance(size, list)
        and len(size) == 2
        and all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in size)
        and size[0] * size[1] < _LARGEST
    ):
        return "form", f"size is {_short(size)}; wanted [height, width] in px"
    counts = mask.get("counts")
    try:
        if isinstance(counts, str):
            runs = text_counts(counts)
        elif isinstance(counts, list):
            runs = _list_counts(counts)
        else:
            return "form", "counts is neither a list of lengths nor a text of them"
    except ValueError as error:
        return "form", f"counts: {error}"
    height, width = size
    total = sum(runs)
    if total != height * width:
        return "size", (
            f"counts add up to {total:,} px; a mask of {width} x {height} px has "
            f"{height * width:,}"
        )
    if size_wh is not None and (width, height) != size_wh:
        return "size", (
            f"a mask of {width} x {height} px in an image of {size_wh[0]} x {size_wh[1]} px"
        )
    return None


def _list_counts(counts: list[object]) -> list[int]:
    for index, value in enumerate(counts):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"entry {index} is {_short(value)}; wanted whole numbers")
    return [value for value in counts if isinstance(value, int)]


def text_counts(text: str) -> list[int]:
    """The lengths of runs that COCO's text stands for.

    Raises:
        ValueError: It is no such text.

    >>> text_counts("52203")
    [5, 2, 2, 2, 5]
    """
    codes = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - 48
    if ((codes < 0) | (codes > 63)).any():
        raise ValueError("it has characters that COCO's text of lengths does not use")
    if len(codes) and codes[-1] & _MORE:
        raise ValueError("it ends in the middle of a number")
    ends = np.flatnonzero((codes & _MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts + 1
    if (lengths > _LONGEST).any():
        raise ValueError("a number in it is longer than 60 bits")
    values = _numbers(codes, starts, ends, lengths)
    # From the fourth on, each is the difference to the one before the last.
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    if (values < 0).any() or (values > _LARGEST).any():
        raise ValueError("a run in it has an impossible length")
    return [int(value) for value in values]


def _numbers(
    codes: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The signed numbers: 5 bits a character, the lowest first."""
    owner = np.repeat(np.arange(len(ends)), lengths)
    shift = _BITS * (np.arange(len(codes)) - np.repeat(starts, lengths))
    values = np.zeros(len(ends), np.int64)
    np.add.at(values, owner, (codes & 0x1F) << shift)
    negative = (codes[ends] & _SIGN) != 0
    values[negative] -= np.int64(1) << (_BITS * lengths[negative])
    return values


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
