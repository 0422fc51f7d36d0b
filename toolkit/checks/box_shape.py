"""Boxes beside the points that they should hold: swapped, misread, someone else's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import WARNING, Check, Hits, Subject, everywhere

Mask = NDArray[np.bool_]

FEWEST = 5  # labelled keypoints of the person that show its extent
SLACK = 1.05  # how far an extent may pass the box that is said to hold it
PAST = 1.25  # how far it must pass a box that is said not to
PROTRUDES = 0.5  # of the body's size: beyond any head or hand that has no keypoint
AREA_SLACK = 1.02


def _swapped(subject: Subject) -> Iterator[Hits]:
    boxes = subject.dataset.annotations.bbox_xywh
    low, high = subject.body_extent
    wide, tall = high - low
    width, height = boxes[:, 2], boxes[:, 3]
    fits = (wide <= SLACK * height) & (tall <= SLACK * width) & (width > 0) & (height > 0)
    past = (wide > PAST * width) | (tall > PAST * height)

    def describe(row: int) -> str:
        return (
            f"{width[row]:g} x {height[row]:g} px round keypoints that extend over "
            f"{wide[row]:g} x {tall[row]:g} px: width and height seem swapped"
        )

    rows = np.flatnonzero(fits & past & (subject.labelled_body >= FEWEST))
    yield Hits("annotations", rows, describe, "bbox with width and height swapped", "bbox")


def _corners(subject: Subject) -> Iterator[Hits]:
    boxes = subject.dataset.annotations.bbox_xywh
    low, high = subject.body_extent
    left, top, right, bottom = boxes.T
    inside = (low[0] >= left - 1) & (low[1] >= top - 1)
    inside &= (high[0] <= right + 1) & (high[1] <= bottom + 1)
    # The points must fill the box of the corners, and that of the sizes must leave the image.
    filled = (high[0] - low[0] > 0.5 * (right - left)) & (high[1] - low[1] > (bottom - top) / 2)
    width, height = subject.size_wh.T
    past = (left + right > width + 1) | (top + bottom > height + 1)
    known = (width > 0) & (height > 0) & (right > left) & (bottom > top)

    def describe(row: int) -> str:
        x, y, right, bottom = boxes[row]
        return (
            f"[{x:g}, {y:g}, {right:g}, {bottom:g}] leaves the image as [x, y, width, height] "
            "and fits the keypoints as [x1, y1, x2, y2]; wanted are width and height"
        )

    rows = np.flatnonzero(inside & filled & past & known & (subject.labelled_body >= FEWEST))
    yield Hits("annotations", rows, describe, "bbox of two corners", "bbox")


def _elsewhere(subject: Subject) -> Iterator[Hits]:
    outside = subject.outside_box[:, subject.body]
    count = subject.labelled_body
    away = np.count_nonzero(outside, axis=1)

    def describe(row: int) -> str:
        return (
            f"none of the person's {count[row]} labelled keypoints lies in the box; "
            "is it another person's?"
        )

    boxes = subject.dataset.annotations.bbox_xywh
    wrong = (count >= 3) & (away == count) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    rows = np.flatnonzero(wrong)
    yield Hits("annotations", rows, describe, "bbox without any of its keypoints", "bbox")


def _area(subject: Subject) -> Iterator[Hits]:
    people = subject.dataset.annotations
    size = people.bbox_xywh[:, 2] * people.bbox_xywh[:, 3]

    def describe(row: int) -> str:
        return (
            f"{people.area[row]:g} px², more than the {size[row]:g} px² of its own box; "
            "OKS scales with it"
        )

    wrong = (people.area > AREA_SLACK * size + 1) & (size > 0) & np.isfinite(people.area)
    rows = np.flatnonzero(wrong & (people.bbox_xywh[:, 2] > 0))
    yield Hits("annotations", rows, describe, "area above that of the box", "area")


def _conventions(subject: Subject) -> Iterator[Hits]:
    """The convention of the fewer boxes, in a file that has both."""
    inclusive, human = _inclusive_and_human(subject)
    both = np.count_nonzero(inclusive), np.count_nonzero(human)
    fewer, what = (
        (inclusive, "holds the stick, too") if both[0] <= both[1] else (human, "leaves it out")
    )

    def describe(row: int) -> str:
        return (
            f"the box {what}; of the boxes that show which, {both[1]:,} are drawn round the "
            f"person alone and {both[0]:,} with the stick; a file has one convention"
        )

    rows = np.flatnonzero(fewer if min(both) else np.zeros_like(fewer))
    yield Hits("annotations", rows, describe, "boxes of two conventions", "bbox")


def _inclusive_and_human(subject: Subject) -> tuple[Mask, Mask]:
    """(N,) boxes that hold a stick reaching far from the body; (N,) boxes that do not.

    Every extension keypoint that protrudes must be on one side: what is partly in, or
    protrudes too little, shows nothing.
    """
    low, high = subject.body_extent
    size = np.fmax(*(high - low))
    protruding = np.zeros(len(size), np.int64)
    outside = protruding.copy()
    for keypoint in np.flatnonzero(subject.dataset.schema.is_extension):
        point = subject.xy[:, keypoint]
        reach = np.fmax(low - point, point - high).max(axis=0) > PROTRUDES * size
        protruding += reach
        outside += reach & subject.outside_box[:, keypoint]
    boxes = subject.dataset.annotations.bbox_xywh
    shows = (protruding > 0) & (subject.labelled_body >= FEWEST)
    shows &= subject.finite_box & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    return shows & (outside == 0), shows & (outside == protruding)


def _head_box(subject: Subject) -> Iterator[Hits]:
    boxes = subject.dataset.annotations.head_box_xywh

    def describe(row: int) -> str:
        return f"{boxes[row, 2]:g} x {boxes[row, 3]:g} px: PCKh divides by its diagonal"

    rows = subject.unreported(
        "annotations", (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0), "head_box_xywh"
    )
    yield Hits("annotations", rows, describe, "head box without extent", "head_box_xywh")


BBOX_SWAPPED = Check(
    "bbox-swapped",
    "A box's width and height are in this order: the keypoints fit the box with the two "
    "exchanged, and not as it stands.",
    everywhere(WARNING),
    _swapped,
    family="boxes",
    repair="Exchange the box's last two numbers.",
)
BBOX_CORNERS = Check(
    "bbox-corners",
    "A box is [x, y, width, height]. This one leaves the image as such and fits the "
    "keypoints when its last two numbers are taken for the opposite corner.",
    everywhere(WARNING),
    _corners,
    family="boxes",
    repair="Write x2 - x1 and y2 - y1 for the box's last two numbers.",
)
BBOX_ELSEWHERE = Check(
    "bbox-elsewhere",
    "A box holds at least one of its person's labelled keypoints, where there are three.",
    everywhere(WARNING),
    _elsewhere,
    family="boxes",
    repair="Look whether box and keypoints belong to two different people.",
)
AREA_ABOVE_BBOX = Check(
    "area-above-bbox",
    "The area of an instance is at most that of its box: it is the area of the outline.",
    everywhere(WARNING),
    _area,
    family="boxes",
    repair="Compute the area from the outline, or leave box and area to one tool.",
)
BBOX_CONVENTION = Check(
    "bbox-convention",
    "All boxes of a file are drawn round the person alone, or all round person and stick: "
    "crops, scales and scores of the two cannot be compared. Listed are the fewer.",
    everywhere(WARNING),
    _conventions,
    family="boxes",
    repair="Draw the listed boxes again, as the others are.",
)
HEAD_BOX_SIZE = Check(
    "head-box-size",
    "A head box has a width and a height above 0: PCKh divides by its diagonal.",
    everywhere(WARNING),
    _head_box,
    family="boxes",
    repair="Draw the head box again, or leave the field out.",
)
