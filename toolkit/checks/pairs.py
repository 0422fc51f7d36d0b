"""Pairs of instances in one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import Subject

Indices = NDArray[np.int64]
MOST_PAIRS = 20_000_000  # of a file; what is beyond is not compared


def same_image_pairs(subject: Subject, *, touching: bool) -> tuple[Indices, Indices]:
    """Rows of every two instances in one image: (P,) the earlier, (P,) the later.

    Crowds and people without an image are in no pair; with `touching`, nor are people
    whose boxes are apart.
    """
    people = subject.dataset.annotations
    usable = np.flatnonzero((subject.image_row >= 0) & ~people.is_crowd)
    images = subject.image_row[usable]
    # Image and place as one number: sorting it is several times quicker than a stable argsort.
    places = len(usable)
    order = np.sort(images * places + np.arange(places)) % max(places, 1)
    rows, images = usable[order], images[order]
    left, top, width, height = (people.bbox_xywh[rows, axis] for axis in range(4))
    right, bottom = left + width, top + height
    first, second = [], []
    at: Indices = np.arange(len(rows))
    looked = 0
    for distance in range(1, len(rows)):
        at = at[at < len(rows) - distance]
        at = at[images[at] == images[at + distance]]
        looked += len(at)
        if not len(at) or looked > MOST_PAIRS:
            break
        to = at + distance
        if not touching:
            first.append(rows[at])
            second.append(rows[to])
            continue
        touch = (left[at] <= right[to]) & (left[to] <= right[at])
        touch &= (top[at] <= bottom[to]) & (top[to] <= bottom[at])
        first.append(rows[at[touch]])
        second.append(rows[to[touch]])
    if not first:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(first), np.concatenate(second)
