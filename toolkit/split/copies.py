"""Copied pictures: saved again, scaled or mirrored, known by their thumbnails alone.

Frames of one rink differ in their players only. A copy differs nowhere by more than coding
noise, so the worst of 64 blocks of the thumbnail decides, not the mean of the picture.
Candidates come from one matrix product of 16 x 16 thumbnails.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.imagehash import Fingerprint

Indices = NDArray[np.int64]
F32 = NDArray[np.float32]

COARSE = 0.04  # squared distance of normalised 16 x 16 thumbnails; copies: at most 0.027
# RMS difference of the worst block, in standard deviations of the picture: copies 0.10 and
# below (0.47 with washed-out lights), other frames of one rink 1.2 and above.
WORST = 0.5
FLAT = 4.0  # grey levels: less contrast than this is noise and counts as this much
_ROWS = 2048
_CHUNK = 4096


def copies(
    a: list[Fingerprint], b: list[Fingerprint]
) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """Pairs of pictures of which one is a copy of the other.

    Returns:
        Rows of `a`, rows of `b`, and whether mirrored; sorted.
    """
    if not a or not b:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool)
    found: dict[tuple[int, int], bool] = {}
    thumbs_a, thumbs_b = (np.stack([p.thumbnail for p in side]) for side in (a, b))
    coarse_a, coarse_b = _coarse(thumbs_a), _coarse(thumbs_b)
    for mirrored in (True, False):  # the plain answer wins where both hold
        other = coarse_b[:, :, ::-1] if mirrored else coarse_b
        flat_b = np.ascontiguousarray(other).reshape(len(b), -1)
        for start in range(0, len(a), _ROWS):
            flat_a = coarse_a[start : start + _ROWS].reshape(-1, flat_b.shape[1])
            for top in range(0, len(b), _ROWS):
                i, j = np.nonzero(_squares(flat_a, flat_b[top : top + _ROWS]) <= COARSE)
                for part in range(0, len(i), _CHUNK):
                    rows = start + i[part : part + _CHUNK]
                    columns = top + j[part : part + _CHUNK]
                    given = thumbs_b[columns]
                    worst = worst_block(
                        thumbs_a[rows], given[:, :, ::-1] if mirrored else given
                    )
                    for at in np.flatnonzero(worst <= WORST).tolist():
                        found[int(rows[at]), int(columns[at])] = mirrored
    pairs = sorted(found)
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1], np.array([found[pair] for pair in pairs], bool)


def worst_block(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> F32:
    """(P,) RMS difference of the worst 8 x 8 block of (P, 64, 64) thumbnails."""
    square = (_normalised(first) - _normalised(second)) ** 2
    blocks = square.reshape(len(square), 8, 8, 8, 8).mean(axis=(2, 4))
    return np.asarray(np.sqrt(blocks.max(axis=(1, 2))), np.float32)


def _normalised(thumbs: NDArray[np.uint8]) -> F32:
    values = thumbs.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    deviation = np.maximum(values.std(axis=(1, 2), keepdims=True), FLAT)
    return np.asarray(values / deviation, np.float32)


def _coarse(thumbs: NDArray[np.uint8]) -> F32:
    """(N, 16, 16) with mean 0 and squares that add up to at most 1."""
    small = thumbs.reshape(-1, 16, 4, 16, 4).mean(axis=(2, 4), dtype=np.float32)
    small -= small.mean(axis=(1, 2), keepdims=True)
    norm = np.maximum(np.linalg.norm(small, axis=(1, 2), keepdims=True), FLAT * 16)
    return np.asarray(small / norm, np.float32)


def _squares(a: F32, b: F32) -> F32:
    length_a, length_b = (a**2).sum(axis=1), (b**2).sum(axis=1)
    return np.asarray(length_a[:, None] + length_b[None] - 2 * (a @ b.T), np.float32)
