"""Pooled means by cell (stratum, group, metric), ready to be resampled by image.

Every metric here is a share or a mean: a sum of values over keypoints (or instances)
divided by their number. Kept apart by image, both sums answer a bootstrap resample with
one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BLOCK = 256  # resamples at a time
Cell = tuple[str, str, str]  # stratum, group or keypoint, metric


@dataclass(frozen=True)
class Cells:
    """S cells over I images.

    Attributes:
        keys: S cell names.
        sums: (I, S) sum of the values in each image.
        counts: (I, S) number of values in each image.
    """

    keys: tuple[Cell, ...]
    sums: Floats
    counts: Floats

    def values(self) -> Floats:
        """(S,) means, NaN where a cell is empty."""
        return _ratio(self.sums.sum(axis=0), self.counts.sum(axis=0))

    def numbers(self) -> NDArray[np.int64]:
        """(S,) how many values each cell holds."""
        return np.asarray(np.rint(self.counts.sum(axis=0)), dtype=np.int64)

    def resampled(self, weights: NDArray[np.int16]) -> Floats:
        """(B, S) means under (B, I) image weights, NaN where a resample has none."""
        used = np.flatnonzero(self.counts.any(axis=0))
        result = np.full((len(weights), len(self.keys)), np.nan)
        both = np.concatenate([self.sums[:, used], self.counts[:, used]], axis=1)
        both = both.astype(np.float32)
        for start in range(0, len(weights), _BLOCK):
            rows = slice(start, start + _BLOCK)
            drawn = (weights[rows].astype(np.float32) @ both).astype(np.float64)
            result[rows, used] = _ratio(drawn[:, : len(used)], drawn[:, len(used) :])
        return result


def sum_by_image(values: Floats, image_row: NDArray[np.int64], num_images: int) -> Floats:
    """(I, ...) sums of (N, ...) values over the rows of each image."""
    result = np.zeros((num_images, *values.shape[1:]))
    if len(values):
        order = np.argsort(image_row, kind="stable")
        rows = image_row[order]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        result[rows[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return result


def join(parts: list[Cells], num_images: int) -> Cells:
    """All cells side by side."""
    return Cells(
        keys=tuple(key for part in parts for key in part.keys),
        sums=np.concatenate([np.zeros((num_images, 0)), *[p.sums for p in parts]], axis=1),
        counts=np.concatenate([np.zeros((num_images, 0)), *[p.counts for p in parts]], axis=1),
    )


def keypoint_cells(
    metric: str,
    values: Floats,
    valid: NDArray[np.bool_],
    strata: dict[str, NDArray[np.bool_]],
    groups: dict[str, NDArray[np.int64]],
    image_row: NDArray[np.int64],
    num_images: int,
) -> Cells:
    """Cells of one metric that gives a value for every keypoint.

    Args:
        metric: Its name.
        values: (N, K) in [0, 1]; anything where not valid.
        valid: (N, K) which keypoints count at all.
        strata: (N, K) masks by name.
        groups: Keypoint indices by name.
        image_row: (N,).
        num_images: I.
    """
    member = np.zeros((values.shape[1], len(groups)))
    for column, indices in enumerate(groups.values()):
        member[indices, column] = 1
    clean = np.where(valid, values, 0)
    sums: list[Floats] = []
    counts: list[Floats] = []
    keys: list[Cell] = []
    for stratum, mask in strata.items():
        counted = mask & valid
        sums.append(sum_by_image(clean * counted, image_row, num_images) @ member)
        counts.append(sum_by_image(counted.astype(float), image_row, num_images) @ member)
        keys.extend((stratum, group, metric) for group in groups)
    return Cells(tuple(keys), np.concatenate(sums, axis=1), np.concatenate(counts, axis=1))


def _ratio(sums: Floats, counts: Floats) -> Floats:
    return np.where(counts > 0, sums / np.maximum(counts, 1e-12), np.nan)
