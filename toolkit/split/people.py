"""The same people on two sides: equal poses anywhere, and poses that moved a little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.dataset import Dataset

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

ENOUGH_POINTS = 4  # fewer labelled keypoints have no shape to compare
SAME = 0.01  # RMS distance in units of the pose's radius: what rounding to 0.1 px leaves
MOVED = 0.12  # RMS distance of two poses in units of the person's size
PLACE, SIZE = 0.6, 0.25  # how far a person moves, and log of how much larger they become
_BLOCK, _CHUNK = 256, 65536


@dataclass(frozen=True)
class People:
    """What is compared of N instances.

    Attributes:
        points: (N, K, 2) px, 0 where not labelled.
        labelled: (N, K) bool.
        size: (N,) px, square root of the box's (else the keypoints') area; 0 unknown.
        image: (N,) row of each one's image.
        ids: (N,) annotation ids.
        width: (N,) width of each one's image in px, 0 where unknown.
        flip: (K,) index of each keypoint's partner in a mirrored image.
    """

    points: Floats
    labelled: Bools
    size: Floats
    image: Indices
    ids: Indices
    width: Floats
    flip: Indices

    def __len__(self) -> int:
        """Number of instances."""
        return len(self.ids)

    def mirrored(self) -> People:
        """The people of the mirrored images; x of an unknown width counts from 0."""
        labelled = self.labelled[:, self.flip]
        points = self.points[:, self.flip].copy()
        points[..., 0] = self.width[:, None] - 1 - points[..., 0]
        points[~labelled] = 0
        return People(points, labelled, self.size, self.image, self.ids, self.width, self.flip)


def people_of(dataset: Dataset, names: tuple[str, ...]) -> People:
    """The people of a data set, in the keypoints `names` (those that two schemas share)."""
    order = np.array([dataset.schema.names.index(name) for name in names], np.int64)
    flip = np.array([_partner(dataset, name, names) for name in names], np.int64)
    people = dataset.annotations
    labelled = people.labelled[:, order]
    points = np.where(labelled[..., None], people.keypoints[:, order], 0.0)
    sides = np.abs(people.bbox_xywh[:, 2:])
    size = np.sqrt(sides[:, 0] * sides[:, 1])
    low = np.where(labelled[..., None], points, np.inf).min(axis=1, initial=np.inf)
    high = np.where(labelled[..., None], points, -np.inf).max(axis=1, initial=-np.inf)
    extent = np.sqrt(np.prod(np.maximum(high - low, 0), axis=1))
    size = np.where(np.isfinite(size) & (size > 0), size, extent)
    size = np.where(np.isfinite(size), size, 0.0)
    return People(
        points=points,
        labelled=labelled,
        size=size,
        image=dataset.image_row,
        ids=people.instance_id,
        width=dataset.size_wh[:, 0].astype(np.float64),
        flip=flip,
    )


def _partner(dataset: Dataset, name: str, names: tuple[str, ...]) -> int:
    schema = dataset.schema
    partner = schema.names[int(schema.flip_index[schema.names.index(name)])]
    return names.index(partner if partner in names else name)


def same_poses(a: People, b: People) -> tuple[Indices, Indices]:
    """Pairs with one pose, wherever in the image and however large.

    Both must have the same keypoints labelled, at least four. A pose is compared after
    its mean is moved to 0 and its radius (RMS distance from the mean) scaled to 1.
    """
    shape_a, key_a = _shapes(a)
    shape_b, key_b = _shapes(b)
    found = []
    for rows, columns in _windows(key_a, key_b, (SAME, 2 * SAME, 0.5), None):
        alike = (a.labelled[rows] == b.labelled[columns]).all(axis=1)
        rows, columns = rows[alike], columns[alike]
        square = ((shape_a[rows] - shape_b[columns]) ** 2).sum(axis=(1, 2))
        close = square <= SAME**2 * a.labelled[rows].sum(axis=1)
        found.append((rows[close], columns[close]))
    return _joined(found)


def _shapes(people: People) -> tuple[NDArray[np.float32], Floats]:
    """Normalised poses, and three figures that equal poses share."""
    count = people.labelled.sum(axis=1)
    inside = people.labelled[..., None]
    mean = people.points.sum(axis=1) / np.maximum(count, 1)[:, None]
    centred = np.where(inside, people.points - mean[:, None], 0.0)
    radius = np.sqrt((centred**2).sum(axis=(1, 2)) / np.maximum(count, 1))
    usable = (count >= ENOUGH_POINTS) & (radius > 1)
    shape = centred / np.where(radius > 0, radius, 1.0)[:, None, None]
    wide = np.sqrt((shape[..., 0] ** 2).sum(axis=1) / np.maximum(count, 1))
    slant = shape.prod(axis=2).sum(axis=1) / np.maximum(count, 1)
    keys = np.stack([np.where(usable, wide, np.nan), slant, count], axis=1)
    return shape.astype(np.float32), keys


def moved_people(a: People, b: People) -> tuple[Indices, Indices]:
    """Pairs in nearly the same place of the picture, in nearly the same pose.

    Places are relative to the width of the picture where both widths are known, so that
    copies of another size are found.
    """
    found = []
    limits = (PLACE, PLACE, SIZE)
    quick = _factors(a)[0], _factors(b)[1]
    for rows, columns in _windows(_places(a), _places(b), limits, quick):
        error, offset = pose_error(a, b, rows, columns)
        close = (error <= MOVED) & (offset <= PLACE)
        found.append((rows[close], columns[close]))
    return _joined(found)


def pose_error(a: People, b: People, rows: Indices, columns: Indices) -> tuple[Floats, Floats]:
    """(P,) RMS distance after the mean offset is taken out, and that offset, in sizes."""
    errors: list[Floats] = [np.empty(0)]
    offsets: list[Floats] = [np.empty(0)]
    for start in range(0, len(rows), _CHUNK):
        i, j = rows[start : start + _CHUNK], columns[start : start + _CHUNK]
        both = a.labelled[i] & b.labelled[j]
        count = both.sum(axis=1)
        enough = 2 * count >= np.maximum(a.labelled[i].sum(axis=1), b.labelled[j].sum(axis=1))
        enough &= count >= ENOUGH_POINTS
        scale_a, scale_b = _scale(a)[i], _scale(b)[j]
        size = np.sqrt(a.size[i] / scale_a * b.size[j] / scale_b)
        step = a.points[i] / scale_a[:, None, None] - b.points[j] / scale_b[:, None, None]
        step = np.where(both[..., None], step / np.maximum(size, 1e-12)[:, None, None], 0)
        mean = step.sum(axis=1) / np.maximum(count, 1)[:, None]
        rest = np.where(both[..., None], step - mean[:, None], 0)
        square = (rest**2).sum(axis=(1, 2)) / np.maximum(count, 1)
        errors.append(np.where(enough, np.sqrt(square), np.inf))
        offsets.append(np.sqrt((mean**2).sum(axis=1)))
    return np.concatenate(errors), np.concatenate(offsets)


def _scale(people: People) -> Floats:
    return np.where(people.width > 0, people.width, 1.0)


def _places(people: People) -> Floats:
    """Mean of the keypoints in picture widths, and the log of the size in them."""
    count = np.maximum(people.labelled.sum(axis=1), 1)
    mean = people.points.sum(axis=1) / count[:, None] / _scale(people)[:, None]
    size = people.size / _scale(people)
    usable = (people.labelled.sum(axis=1) >= ENOUGH_POINTS) & (size > 0)
    log = np.log(np.where(size > 0, size, 1.0))
    return np.stack([np.where(usable, mean[:, 0], np.nan), mean[:, 1], log], axis=1)


def _factors(people: People) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two tables whose product is negative or 0 where poses may be near: a quick test.

    The product is the sum of squared distances over the keypoints that both have, less
    what is allowed for each; poses are taken about their own mean, in their own size, so
    that the limit is wider than that of the exact test.
    """
    count = np.maximum(people.labelled.sum(axis=1), 1)
    mean = people.points.sum(axis=1) / count[:, None]
    centred = people.points - mean[:, None]
    pose = np.where(people.labelled[..., None], centred, 0.0)
    pose = pose / np.maximum(people.size, 1e-9)[:, None, None]
    seen = people.labelled.astype(np.float64)
    square, flat = (pose**2).sum(axis=2), pose.reshape(len(pose), 2 * pose.shape[1])
    left = [square - (2 * MOVED) ** 2 * seen, seen, -2 * flat]
    right = [seen, square, flat]
    return (
        np.concatenate(left, axis=1).astype(np.float32),
        np.concatenate(right, axis=1).astype(np.float32),
    )


def _windows(
    a: Floats,
    b: Floats,
    limits: tuple[float, float, float],
    quick: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
) -> Iterator[tuple[Indices, Indices]]:
    """Pairs whose three figures differ by at most `limits`, in blocks of rows of `a`.

    With `quick` the first two limits are in units of the person's size, whose log is the
    third figure, and only pairs whose product is not positive are given. NaN in the first
    figure leaves a row out.
    """
    relative = quick is not None
    rows = np.argsort(a[:, 0], kind="stable")[: np.isfinite(a[:, 0]).sum()]
    columns = np.argsort(b[:, 0], kind="stable")[: np.isfinite(b[:, 0]).sum()]
    left, right = a[rows].astype(np.float32), b[columns].astype(np.float32)
    # A window of one figure must hold whatever the other person's size may be.
    margin = np.exp(left[:, 2] + limits[2]) if relative else np.ones(len(left))
    for start in range(0, len(rows), _BLOCK):
        block = left[start : start + _BLOCK]
        reach = limits[0] * float(margin[start : start + _BLOCK].max(initial=0.0))
        first, last = np.searchsorted(right[:, 0], [block[0, 0] - reach, block[-1, 0] + reach])
        part = right[first:last]
        unit = np.exp(block[:, 2]) if relative else np.ones(len(block), np.float32)
        wide, high = (limits[0] * 1.2 * unit)[:, None], (limits[1] * 1.2 * unit)[:, None]
        near = np.abs(block[:, None, 0] - part[None, :, 0]) <= wide
        near &= np.abs(block[:, None, 1] - part[None, :, 1]) <= high
        near &= np.abs(block[:, None, 2] - part[None, :, 2]) <= limits[2]
        if quick is not None:
            mine = quick[0][rows[start : start + _BLOCK]]
            near &= mine @ quick[1][columns[first:last]].T <= 0
        i, j = np.nonzero(near)
        yield rows[start + i], columns[first + j]


def _joined(found: list[tuple[Indices, Indices]]) -> tuple[Indices, Indices]:
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows = np.concatenate([pair[0] for pair in found])
    columns = np.concatenate([pair[1] for pair in found])
    order = np.lexsort((columns, rows))
    return rows[order], columns[order]
