"""What a split is balanced on, as whole numbers that can be added up over groups.

Shares are counted, not averaged: `out_of_box` is the share of labelled extension keypoints
(of all keypoints where the schema has no extension) outside their person's box, `occluded`
the share of labelled keypoints with visibility 1, and the three sizes are the shares of
people in each third of the whole set's sizes (square root of the box's area, px).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Visibility
from toolkit.dataset import Dataset
from toolkit.geometry import inside_box

STRATA = ("out_of_box", "occluded", "small", "medium", "large")
IMAGES, INSTANCES = 0, 1  # columns of the counts; then a pair of columns for each stratum


@dataclass(frozen=True)
class Counts:
    """Whole numbers of G groups.

    Attributes:
        names: G group names, sorted.
        of_image: (I,) index of each image's group.
        table: (G, 2 + 2 S) int64: images, instances, and for each of the S strata how many
            were counted in it and out of how many.
        size_edges: The two sizes in px that part the thirds.
    """

    names: tuple[str, ...]
    of_image: NDArray[np.int64]
    table: NDArray[np.int64]
    size_edges: tuple[float, float]


def count_groups(dataset: Dataset, groups: list[str]) -> Counts:
    """Count images, instances and strata of each group.

    Raises:
        InvalidDataError: An annotation names an image that does not exist.
    """
    names = tuple(sorted(set(groups)))
    index = {name: at for at, name in enumerate(names)}
    of_image = np.array([index[name] for name in groups], np.int64)
    table = np.zeros((len(names), 2 + 2 * len(STRATA)), np.int64)
    table[:, IMAGES] = np.bincount(of_image, minlength=len(names))
    of_instance = of_image[dataset.image_row]
    table[:, INSTANCES] = np.bincount(of_instance, minlength=len(names))
    size = person_size(dataset)
    known = size[np.isfinite(size)]
    low, high = np.quantile(known, [1 / 3, 2 / 3]) if len(known) else (0.0, 0.0)
    for column, (hits, among) in enumerate(_per_instance(dataset, size, low, high)):
        for side, values in enumerate((hits, among)):
            at = 2 + 2 * column + side
            np.add.at(table[:, at], of_instance, values)
    return Counts(names, of_image, table, (float(low), float(high)))


def person_size(dataset: Dataset) -> NDArray[np.float64]:
    """(N,) square root of each person's box area in px, NaN where there is no box."""
    sides = np.abs(dataset.annotations.bbox_xywh[:, 2:])
    return np.asarray(np.sqrt(sides[:, 0] * sides[:, 1]))


def _per_instance(
    dataset: Dataset, size: NDArray[np.float64], low: float, high: float
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    people, schema = dataset.annotations, dataset.schema
    extension: NDArray[np.bool_] = schema.is_extension
    if not extension.any():
        extension = ~extension
    labelled = people.labelled
    boxed = np.asarray(np.isfinite(people.bbox_xywh).all(axis=1))
    counted = labelled & extension & boxed[:, None]
    outside = counted & ~inside_box(people.keypoints, people.bbox_xywh)
    hidden = labelled & (people.visibility == Visibility.OCCLUDED)
    sized = np.asarray(np.isfinite(size), np.int64)
    bands: tuple[NDArray[np.bool_], ...] = (
        np.less_equal(size, low),
        np.greater(size, low) & np.less_equal(size, high),
        np.greater(size, high),
    )
    return [
        (outside.sum(axis=1), counted.sum(axis=1)),
        (hidden.sum(axis=1), labelled.sum(axis=1)),
        *((band.astype(np.int64), sized) for band in bands),
    ]


def shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """(..., S) share of each stratum from (..., 2 + 2 S) counts, NaN where none counted."""
    hits, among = table[..., 2::2], table[..., 3::2]
    return np.asarray(np.where(among > 0, hits / np.maximum(among, 1), np.nan))
