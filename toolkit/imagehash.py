"""Fingerprints of pictures, from their pixels: is this frame a copy of that one?

A picture's file is told by its SHA-256. A picture that was mirrored, scaled, saved again at
another quality, or that is the neighbouring frame of the same clip has other bytes; it is
told by a small grey thumbnail. Frames of one rink look alike as a whole (a 64-bit hash of
one finds hundreds of others), so two frames are compared block by block: each 8 x 8 block
of one thumbnail is looked for in the other, up to `REACH` thumbnail pixels away. Between
neighbouring frames players move and are found; between two clips of one rink the ice is
found and the players are not.

The distance is the mean squared difference of the details that remains, in units of their
variance: 0 for the same picture, about 1 for unrelated ones. Measured on rendered frames
(640 x 360, moving camera, 0.08 to 0.16 s between frames), block distances of pairs:

| pairs (copies: brighter ones too) | number | median | 99 % | extreme |
|---|---|---|---|---|
| saved again (JPEG 50, PNG), mirrored, halved, doubled | 528 | 0.0002 | 0.001 | 0.001 |
| a quarter of the size, JPEG 50 | 88 | 0.004 | 0.009 | 0.009 |
| neighbouring frames, hockey (three sets) | 822 | 0.15 | 0.33 | 0.38 |
| neighbouring frames, lacrosse (fewer, larger people) | 172 | 0.22 | 0.41 | 0.45 |
| other clips, hockey: the candidates among 155,000 pairs | 634 | 0.75 | | least 0.46 |
| other clips, fixed camera on one rink | 4,416 | 0.6 | | least 0.32 |

`NEAR` is 0.4: all copies and all hockey neighbours are below it, 98 % of the lacrosse
neighbours, and no pair of two clips filmed by a moving camera (nor in 1.8 million pairs of
1,897 frames of 267 other clips). Under a fixed camera 11 of
the 4,416 pairs pass. The classic 64-bit hash cannot do this: there, neighbouring frames
differ in up to 18 bits, and frames of two clips in as few as 8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.images import look_at
from toolkit.parallel import Progress, map_in_order

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

SIDE = 64  # px of the thumbnail: a player 200 px tall in 640 x 360 is 35 px tall here
BLOCK = 8
REACH = 4  # thumbnail px: 40 px across and 23 px down in 640 x 360
NEAR = 0.4
SMOOTH = 6.0  # thumbnail px: slower changes (ice against boards, light) are left out
COARSE_SIDE = 16
COARSE = 0.35  # cosine distance of coarse thumbnails above which no pair is compared
DETAIL_SIDE = 32
DETAIL = 0.8  # the same for details, before blocks are looked for
QUICK = 0.5  # block distance of the 32 x 32 details above which the 64 x 64 are not compared
FLAT = 1.0  # grey levels: a picture with less contrast counts as having this much
HASH_SIDE = 32
ROWS = 256  # fingerprints of each side that are compared at once: enough tables for all cores
PAIRS = 64  # pairs compared at once: they fit in the cache and are work enough for a thread


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a picture to know it again; 4.2 kB.

    Attributes:
        sha256: Of the file's bytes, 64 hexadecimal digits.
        thumbnail: (64, 64) uint8 luminance of the upright picture, its sides squeezed to a
            square.
    """

    sha256: str
    thumbnail: U8

    @property
    def hash64(self) -> int:
        """Signs of the 8 x 8 lowest cosine frequencies against their median.

        The classic perceptual hash: for indices and quick looks. It alone does not tell
        clips of one rink apart.
        """
        return _signs(_waves(self.thumbnail))

    @property
    def mirror64(self) -> int:
        """`hash64` of the mirrored picture."""
        odd = np.where(np.arange(8) % 2, -1, 1)  # odd waves change their sign
        return _signs(_waves(self.thumbnail) * odd)


@dataclass(frozen=True)
class Near:
    """Two pictures that look like one another.

    Attributes:
        first: Index in the first list.
        second: Index in the second list (in the same list where there is one only).
        distance: 0 for the same picture, below `NEAR` for copies and neighbours.
        mirrored: Whether the second is nearer when mirrored.
        same_bytes: Whether the files are equal, byte for byte.
    """

    first: int
    second: int
    distance: float
    mirrored: bool
    same_bytes: bool


def fingerprint(path: str | Path) -> Fingerprint:
    """The fingerprint of an image file.

    Raises:
        InvalidDataError: The file is missing, damaged, or no image that can be read.
        UnsafeInputError: It is refused before decoding; see `toolkit.images`.
    """
    from toolkit.files import sha256_file

    thumbnail = look_at(path, SIDE).grey
    return fingerprint_of(thumbnail, sha256_file(Path(path)))


def fingerprint_of(thumbnail: U8, sha256: str | None = None) -> Fingerprint:
    """The fingerprint of a (64, 64) grey thumbnail; without a file, the thumbnail's SHA-256."""
    digest = sha256 or hashlib.sha256(thumbnail.tobytes()).hexdigest()
    return Fingerprint(digest, thumbnail)


def fingerprints(
    paths: Sequence[str | Path],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> list[Fingerprint]:
    """Fingerprints of many files, in their order; see `toolkit.parallel.map_in_order`.

    Raises:
        InvalidDataError: A file cannot be read; the first in order is named.
        UnsafeInputError: A file is refused.
    """
    return map_in_order(
        fingerprint, paths, workers=workers, scheduler=scheduler, progress=progress
    )


def near(
    first: Sequence[Fingerprint],
    second: Sequence[Fingerprint] | None = None,
    *,
    limit: float = NEAR,
    first_groups: Sequence[str | None] | None = None,
    second_groups: Sequence[str | None] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Near]:
    """Every pair of pictures that look like one another, mirrored ones included.

    Candidates come from products of 16 x 16 thumbnails and then of 32 x 32 details, as
    matrix products (quadratic, but 100,000 against 10,000 take about two minutes on two
    busy cores). Only they are compared block by block: 0.06 ms each at a quarter of the
    pixels, and 1 ms for what is left. Of rendered frames that share a rink one pair in 300
    is a candidate, of unrelated pictures hardly any.

    Args:
        first: N fingerprints.
        second: M others; without them the pairs within `first` are looked for, each once.
        limit: Distance below which a pair is given.
        first_groups: Clip of each of `first`: pairs within one group are left out, None
            belongs to no group.
        second_groups: The same for `second`.
        workers: Threads; None is one for each core.
        progress: Called with (done, total) tables of 256 x 256 pairs.

    Returns:
        Pairs by (first, second), the same whatever the workers. Memory beyond the
        fingerprints: 7 kB for each of them, 10 MB a worker, and the pairs found.
    """
    left = _Table(first, workers)
    right = left if second is None else _Table(second, workers)
    left_codes, right_codes = _group_codes(first_groups, second_groups, left, right)

    def compare(corner: tuple[int, int]) -> list[Near]:
        rows, columns, mirrored = _candidates(left, right, *corner)
        keep = ~_same_group(left_codes[rows], right_codes[columns])
        if right is left:
            keep &= rows < columns
        few = _quick(left, right, rows[keep], columns[keep], mirrored[keep])
        return _confirm(left, right, *few, limit)

    corners = [
        (top, start)
        for top in range(0, len(left), ROWS)
        for start in range(top if right is left else 0, len(right), ROWS)
    ]
    tables = map_in_order(compare, corners, workers=workers, progress=progress, batch=1)
    return sorted((p for found in tables for p in found), key=lambda p: (p.first, p.second))


def distances(first: U8, second: U8, limit: float = np.inf) -> F32:
    """(P,) block-wise distances of P pairs of (P, 64, 64) thumbnails; symmetric.

    Each block of one is looked for in the other within `REACH`, both ways round, and the
    worse way counts: a player who appears in only one of the two is seen either way. Where
    the first way already reaches `limit`, the second is not computed.
    """
    result = np.empty(len(first), np.float32)
    for start in range(0, len(first), PAIRS):
        part = slice(start, start + PAIRS)
        one, other = _details(first[part]), _details(second[part])
        worse = _remaining(one, other)
        open_ = np.flatnonzero(worse < limit)
        back = _remaining(other[open_], one[open_])
        worse[open_] = np.maximum(worse[open_], back)
        result[part] = worse
    return result


class _Table:
    """Fingerprints as arrays.

    Attributes:
        sha256: Of each.
        thumbnails: (N, 64, 64).
        coarse: (N, 16, 16) thumbnails with mean 0 and norm 1, or 0 where a picture is flat.
        details: (N, 32, 32) details with norm 1; half precision is ample to choose candidates.
    """

    def __init__(self, prints: Sequence[Fingerprint], workers: int | None) -> None:
        self.sha256 = [each.sha256 for each in prints]
        empty = np.empty((0, SIDE, SIDE), np.uint8)
        self.thumbnails = np.stack([p.thumbnail for p in prints]) if prints else empty
        self.coarse = np.empty((len(prints), COARSE_SIDE, COARSE_SIDE), np.float32)
        self.details = np.empty((len(prints), DETAIL_SIDE, DETAIL_SIDE), np.float16)

        def fill(start: int) -> None:
            part = slice(start, start + ROWS)
            self.coarse[part] = _coarse(self.thumbnails[part])
            self.details[part] = _small_details(self.thumbnails[part])

        map_in_order(fill, range(0, len(prints), ROWS), workers=workers, batch=1)

    def __len__(self) -> int:
        return len(self.sha256)


def _coarse(thumbnails: U8) -> F32:
    step = SIDE // COARSE_SIDE
    blocks = thumbnails.reshape(-1, COARSE_SIDE, step, COARSE_SIDE, step)
    small = blocks.mean(axis=(2, 4), dtype=np.float32)
    small -= small.mean(axis=(1, 2), keepdims=True)
    norm = np.linalg.norm(small, axis=(1, 2), keepdims=True)
    return np.asarray(small / np.maximum(norm, FLAT * COARSE_SIDE), np.float32)


def _small_details(thumbnails: U8) -> F32:
    step = SIDE // DETAIL_SIDE
    blocks = _details(thumbnails).reshape(-1, DETAIL_SIDE, step, DETAIL_SIDE, step)
    small = blocks.mean(axis=(2, 4), dtype=np.float32)
    norm = np.linalg.norm(small, axis=(1, 2), keepdims=True)
    return np.asarray(small / np.maximum(norm, FLAT), np.float32)


Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


def _candidates(left: _Table, right: _Table, top: int, start: int) -> Pairs:
    """Rows, columns and whether mirrored of the pairs in one table worth comparing."""
    coarse = left.coarse[top : top + ROWS], right.coarse[start : start + ROWS]
    details = left.details[top : top + ROWS], right.details[start : start + ROWS]
    rows, columns, turned = [], [], []
    for mirrored in (False, True):
        table = _cosine_distance(*coarse, mirrored) <= COARSE
        if table.any():
            table &= _cosine_distance(*details, mirrored) <= DETAIL
        row, column = np.nonzero(table)
        rows.append(row + top)
        columns.append(column + start)
        turned.append(np.full(len(row), mirrored))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(turned)


def _cosine_distance(a: NDArray[np.floating], b: NDArray[np.floating], mirrored: bool) -> F32:
    """(R, C) distances 1 - cos; a flat picture, whose vector is short, is near its like."""
    one = a.reshape(len(a), -1).astype(np.float32)
    other = (b[:, :, ::-1] if mirrored else b).reshape(len(b), -1).astype(np.float32)
    lengths = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None]
    return np.asarray(lengths / 2 - one @ other.T, np.float32)


def _quick(
    left: _Table,
    right: _Table,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
) -> Pairs:
    """The pairs that are still alike when blocks are looked for in the small details."""
    keep = np.empty(len(rows), bool)
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        one = left.details[rows[part]].astype(np.float32) * DETAIL_SIDE
        other = right.details[columns[part]].astype(np.float32) * DETAIL_SIDE
        turned = mirrored[part]
        other[turned] = other[turned][:, :, ::-1]
        keep[part] = _remaining(one, other) <= QUICK
    return rows[keep], columns[keep], mirrored[keep]


def _confirm(
    left: _Table,
    right: _Table,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
    limit: float,
) -> list[Near]:
    best: dict[tuple[int, int], Near] = {}
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        other = right.thumbnails[columns[part]]
        turned = mirrored[part]
        other[turned] = other[turned][:, :, ::-1]
        values = distances(left.thumbnails[rows[part]], other, limit)
        for at in np.flatnonzero(values < limit).tolist():
            i, j = int(rows[start + at]), int(columns[start + at])
            same = left.sha256[i] == right.sha256[j]
            pair = Near(i, j, float(values[at]), bool(turned[at]), same)
            if (i, j) not in best or pair.distance < best[i, j].distance:
                best[i, j] = pair
    return list(best.values())


def _details(thumbnails: U8) -> F32:
    """(P, 64, 64) details (what a Gaussian of `SMOOTH` leaves) with standard deviation 1."""
    values = thumbnails.astype(np.float32)
    blur = _gaussian()
    values -= blur @ values @ blur.T
    return np.asarray(
        values / np.maximum(values.std(axis=(1, 2), keepdims=True), FLAT), np.float32
    )


@lru_cache(maxsize=1)
def _gaussian() -> F32:
    """(64, 64) matrix that blurs a column; the picture is mirrored at its border."""
    place = np.arange(SIDE)
    away = place[:, None] - np.concatenate([place, -1 - place, 2 * SIDE - 1 - place])[None]
    weight = np.exp(-0.5 * (away / SMOOTH) ** 2).reshape(SIDE, 3, SIDE).sum(axis=1)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


def _remaining(wanted: F32, given: F32) -> F32:
    """(P,) mean squared difference after each block of `wanted` is found in `given`.

    Blocks and reach are those of `BLOCK` and `REACH`, scaled to the side of the pictures.
    """
    count, side = wanted.shape[:2]
    block, reach = BLOCK * side // SIDE, REACH * side // SIDE
    cells = side // block
    around = np.pad(given, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    best = np.full((count, cells, cells), np.inf, np.float32)
    for down in range(2 * reach + 1):
        for across in range(2 * reach + 1):
            difference = wanted - around[:, down : down + side, across : across + side]
            np.square(difference, out=difference)
            rows = difference.reshape(count, cells, block, side).sum(axis=2)
            np.minimum(best, rows.reshape(count, cells, cells, block).sum(axis=3), out=best)
    return np.asarray(best.mean(axis=(1, 2)) / block**2, np.float32)


def _group_codes(
    first: Sequence[str | None] | None,
    second: Sequence[str | None] | None,
    left: _Table,
    right: _Table,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each group's name, -1 for none."""
    numbers: dict[str, int] = {}

    def codes(names: Sequence[str | None] | None, size: int) -> NDArray[np.int64]:
        given = [None] * size if names is None else names
        numbered = [-1 if n is None else numbers.setdefault(n, len(numbers)) for n in given]
        return np.array(numbered, np.int64)

    one = codes(first, len(left))
    return one, one if right is left else codes(second, len(right))


def _same_group(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((a == b) & (a >= 0))


def _waves(thumbnail: U8) -> NDArray[np.float64]:
    """(8, 8) lowest cosine frequencies of the picture at half its side."""
    half = thumbnail.reshape(HASH_SIDE, 2, HASH_SIDE, 2).mean(axis=(1, 3))
    frequency, position = np.arange(8)[:, None], np.arange(HASH_SIDE)[None]
    basis = np.cos(np.pi * frequency * (2 * position + 1) / (2 * HASH_SIDE))
    return np.asarray(basis @ half @ basis.T)


def _signs(waves: NDArray[np.float64]) -> int:
    varying = waves.ravel()[1:]  # without the mean, which says how bright the picture is
    bits = np.packbits(np.concatenate([[False], varying > np.median(varying)]))
    return int.from_bytes(bits.tobytes(), "big")
