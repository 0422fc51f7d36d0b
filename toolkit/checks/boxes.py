"""Boxes, areas, image sizes and CrowdPose's crowdIndex."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import ERROR, INFO, Check, Hits, Subject, everywhere


def _shown(values: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"


def _missing(subject: Subject) -> Iterator[Hits]:
    def describe(row: int) -> str:
        return "missing, or not four finite numbers; wanted [x, y, width, height] in px"

    unusable = ~subject.finite_box
    rows = subject.unreported("annotations", unusable, "bbox")
    yield Hits("annotations", rows, describe, "no usable bbox", "bbox")


def _size(subject: Subject) -> Iterator[Hits]:
    boxes = subject.dataset.annotations.bbox_xywh

    def describe(row: int) -> str:
        return f"{_shown(boxes[row])}: width and height must be above 0"

    empty = subject.finite_box & ((boxes[:, 2] <= 0) | (boxes[:, 3] <= 0))
    rows = subject.unreported("annotations", empty, "bbox")
    yield Hits("annotations", rows, describe, "bbox without extent", "bbox")


def _sized(subject: Subject) -> NDArray[np.bool_]:
    """(N,) boxes with an extent in images of known size."""
    boxes = subject.dataset.annotations.bbox_xywh
    usable = subject.finite_box & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    return np.asarray(usable & (subject.size_wh[:, 0] > 0) & (subject.size_wh[:, 1] > 0))


def _overlap(subject: Subject) -> NDArray[np.bool_]:
    boxes = subject.dataset.annotations.bbox_xywh
    overlaps = np.ones(len(boxes), dtype=bool)
    for axis in range(2):  # quicker than a reduction over an axis of two
        overlaps &= boxes[:, axis] + boxes[:, 2 + axis] > 0
        overlaps &= boxes[:, axis] < subject.size_wh[:, axis]
    return overlaps


def _outside(subject: Subject) -> Iterator[Hits]:
    boxes = subject.dataset.annotations.bbox_xywh

    def describe(row: int) -> str:
        width, height = subject.size_wh[row]
        return f"{_shown(boxes[row])} lies wholly outside the image of {width} x {height} px"

    rows = np.flatnonzero(_sized(subject) & ~_overlap(subject))
    yield Hits("annotations", rows, describe, "bbox outside the image", "bbox")


def _beyond(subject: Subject) -> Iterator[Hits]:
    boxes = subject.dataset.annotations.bbox_xywh
    # One pixel of slack: boxes are often rounded outwards at the image's edge.
    past = np.zeros(len(boxes), dtype=bool)
    for axis in range(2):
        past |= boxes[:, axis] < -1
        past |= boxes[:, axis] + boxes[:, 2 + axis] > subject.size_wh[:, axis] + 1

    def describe(row: int) -> str:
        width, height = subject.size_wh[row]
        return f"{_shown(boxes[row])} reaches out of the image of {width} x {height} px"

    rows = np.flatnonzero(_sized(subject) & _overlap(subject) & past)
    yield Hits(
        "annotations",
        rows,
        describe,
        "bbox reaches out of the image",
        "bbox",
    )


def _area_missing(subject: Subject) -> Iterator[Hits]:
    def describe(row: int) -> str:
        return "missing; OKS scales with it, and the box's width x height is another scale"

    rows = subject.unreported("annotations", np.isnan(subject.dataset.annotations.area), "area")
    yield Hits("annotations", rows, describe, "no area", "area")


def _area_value(subject: Subject) -> Iterator[Hits]:
    area = subject.dataset.annotations.area

    def describe(row: int) -> str:
        return f"{area[row]:g}; wanted a finite number above 0, in px²"

    wrong = ~np.isnan(area) & ~((area > 0) & np.isfinite(area))
    rows = subject.unreported("annotations", wrong, "area")
    yield Hits("annotations", rows, describe, "impossible area", "area")


def _image_size(subject: Subject) -> Iterator[Hits]:
    sizes = subject.dataset.images.size_wh

    def describe(row: int) -> str:
        return f"{sizes[row, 0]} x {sizes[row, 1]} px; wanted whole numbers above 0"

    rows = subject.unreported("images", np.asarray((sizes <= 0).any(axis=1)), "width", "height")
    yield Hits("images", rows, describe, "no size", "width")


def _crowd_missing(subject: Subject) -> Iterator[Hits]:
    def describe(row: int) -> str:
        return "missing; without it the image is in no band, and APE, APM, APH are null"

    rows = subject.unreported(
        "images", np.isnan(subject.dataset.images.crowd_index), "crowdIndex"
    )
    yield Hits("images", rows, describe, "no crowdIndex", "crowdIndex")


def _crowd_value(subject: Subject) -> Iterator[Hits]:
    crowd = subject.dataset.images.crowd_index

    def describe(row: int) -> str:
        return f"{crowd[row]:g}; wanted a finite number of 0 or more"

    wrong = ~np.isnan(crowd) & ((crowd < 0) | np.isinf(crowd))
    rows = subject.unreported("images", wrong, "crowdIndex")
    yield Hits("images", rows, describe, "impossible crowdIndex", "crowdIndex")


def _crowd_above_one(subject: Subject) -> Iterator[Hits]:
    crowd = subject.dataset.images.crowd_index

    def describe(row: int) -> str:
        return f"{crowd[row]:g}, above 1; ordinary: the official file reaches 3.02"

    rows = np.flatnonzero((crowd > 1) & np.isfinite(crowd))
    yield Hits("images", rows, describe, "crowdIndex above 1", "crowdIndex")


BBOX_MISSING = Check(
    "bbox-missing",
    "Every annotation has a bbox of four finite numbers, [x, y, width, height] in px.",
    everywhere(ERROR),
    _missing,
    needed_to_evaluate=True,
    family="boxes",
)
BBOX_SIZE = Check(
    "bbox-size",
    "A bbox has a width and a height above 0.",
    everywhere(ERROR),
    _size,
    needed_to_evaluate=True,
    family="boxes",
)
BBOX_OUTSIDE_IMAGE = Check(
    "bbox-outside-image",
    "A bbox overlaps its image.",
    everywhere(ERROR),
    _outside,
    family="boxes",
)
BBOX_BEYOND_IMAGE = Check(
    "bbox-beyond-image",
    "A bbox that reaches out of the image by more than a pixel is kept as it is; some tools "
    "clip it.",
    everywhere(INFO),
    _beyond,
    family="boxes",
)
AREA_MISSING = Check(
    "area-missing",
    "COCO states the area of every instance, and OKS scales with it. CrowdPose has none and "
    "is scored with 0.53 x width x height of the box.",
    everywhere(ERROR, crowdpose=INFO),
    _area_missing,
    needed_to_evaluate=True,
    family="boxes",
)
AREA_VALUE = Check(
    "area-value",
    "An area is a finite number of px² above 0.",
    everywhere(ERROR),
    _area_value,
    needed_to_evaluate=True,
    family="boxes",
)
IMAGE_SIZE = Check(
    "image-size",
    "Every image states a width and a height above 0 px.",
    everywhere(ERROR),
    _image_size,
    family="images",
)
CROWD_INDEX_MISSING = Check(
    "crowd-index-missing",
    "Under CrowdPose every image has a crowdIndex: it decides which of the easy, medium and "
    "hard scores the image counts in.",
    everywhere(None, crowdpose=ERROR),
    _crowd_missing,
    family="images",
)
CROWD_INDEX_VALUE = Check(
    "crowd-index-value",
    "A crowdIndex is a finite number of 0 or more.",
    everywhere(None, crowdpose=ERROR),
    _crowd_value,
    family="images",
)
CROWD_INDEX_ABOVE_ONE = Check(
    "crowd-index-above-one",
    "The paper defines crowdIndex from 0 to 1; the official files go up to 3.02 and count "
    "as hard.",
    everywhere(None, crowdpose=INFO),
    _crowd_above_one,
    family="images",
)
