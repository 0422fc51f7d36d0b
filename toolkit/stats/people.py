"""Sizes of people, how many share an image, and how much their boxes overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.geometry import bbox_iou
from toolkit.stats.keypoints import share

Floats = NDArray[np.float64]
SMALL, LARGE = 32.0**2, 96.0**2  # px², COCO's limits
BOX_SHARE = 0.53  # of the box, as CrowdPose's authors estimate an area
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
CROWDED_IOU = (0.1, 0.3, 0.5)
MAX_PEOPLE = 4_000  # in one image: beyond that, neighbours are not compared
_BLOCK = 2_000_000  # pairs compared at a time


@dataclass(frozen=True)
class Sizes:
    """How large people are.

    Attributes:
        rule: Which area was used.
        small: Below 32² px².
        medium: From 32² to 96² px².
        large: Above 96² px².
        unknown: Without a usable area.
        heights: (n,) px of the boxes, sorted.
    """

    rule: str
    small: int
    medium: int
    large: int
    unknown: int
    heights: Floats

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "area_rule": self.rule,
            "limits_px2": [SMALL, LARGE],
            "small": self.small,
            "medium": self.medium,
            "large": self.large,
            "unknown": self.unknown,
            "box_height_px": quantiles(self.heights),
        }


@dataclass(frozen=True)
class Crowding:
    """How many people share an image, and how much their boxes overlap.

    Attributes:
        people: (I,) instances of each image that has some, sorted.
        overlap: (n,) largest IoU of each usable box with another of its image, sorted; 0
            where it is alone.
        not_compared: Instances in images with more than `MAX_PEOPLE` of them.
    """

    people: NDArray[np.int64]
    overlap: Floats
    not_compared: int

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        compared = len(self.overlap)
        return {
            "people_per_image": quantiles(self.people),
            "mean_people_per_image": float(self.people.mean()) if len(self.people) else None,
            "max_iou_with_a_neighbour": quantiles(self.overlap),
            "share_with_iou_above": {
                f"{limit:g}": share(int((self.overlap > limit).sum()), compared)
                for limit in CROWDED_IOU
            },
            "compared": compared,
            "not_compared": self.not_compared,
        }


def measure_sizes(people: Annotations) -> Sizes:
    """Sizes by the file's areas, or by the boxes where no annotation has an area."""
    area, rule = people.area, "area field of the annotations"
    if not np.isfinite(area).any():
        box = people.bbox_xywh
        usable = (box[:, 2] > 0) & (box[:, 3] > 0)
        area = np.where(usable, BOX_SHARE * box[:, 2] * box[:, 3], np.nan)
        rule = f"{BOX_SHARE:g} x box (no annotation has an area)"
    known = np.isfinite(area) & (area > 0)
    heights = people.bbox_xywh[:, 3]
    return Sizes(
        rule=rule,
        small=int((area[known] < SMALL).sum()),
        medium=int(((area[known] >= SMALL) & (area[known] <= LARGE)).sum()),
        large=int((area[known] > LARGE).sum()),
        unknown=int((~known).sum()),
        heights=np.sort(heights[np.isfinite(heights) & (heights > 0)]),
    )


def measure_crowding(people: Annotations) -> Crowding:
    """Count the people of each image and compare their boxes (crowd regions left out)."""
    order = np.argsort(people.image_id, kind="stable")
    _, starts, counts = np.unique(people.image_id[order], return_index=True, return_counts=True)
    single = ~people.is_crowd & np.isfinite(people.bbox_xywh).all(axis=1)
    overlap = np.full(len(people), np.nan)
    for count in np.unique(counts).tolist():
        if count > MAX_PEOPLE:
            continue
        first = starts[counts == count]
        batch = max(1, _BLOCK // (count * count))
        for at in range(0, len(first), batch):
            rows = order[first[at : at + batch, None] + np.arange(count)]
            boxes = np.where(single[rows][:, :, None], people.bbox_xywh[rows], np.nan)
            overlap[rows] = _largest_overlap(boxes)
    compared = overlap[single & np.isfinite(overlap)]
    return Crowding(
        people=np.sort(counts),
        overlap=np.sort(compared),
        not_compared=int(counts[counts > MAX_PEOPLE].sum()),
    )


def quantiles(values: NDArray[np.generic]) -> dict[str, float] | None:
    """Seven quantiles of sorted values (the nearest below), None of nothing."""
    if not len(values):
        return None
    at = [int(q * (len(values) - 1)) for q in QUANTILES]
    names = ("min", "p5", "p25", "median", "p75", "p95", "max")
    return {name: values[index].item() for name, index in zip(names, at, strict=True)}


def _largest_overlap(boxes: Floats) -> Floats:
    """(M, n) largest IoU of each of n boxes with another of its image; boxes are (M, n, 4)."""
    images, count = boxes.shape[:2]
    if count == 1:
        return np.zeros((images, 1))
    if images == 1:
        best = np.empty((1, count))
        step = max(1, _BLOCK // count)
        for at in range(0, count, step):
            iou = bbox_iou(boxes[0, at : at + step], boxes[0])
            iou[np.arange(len(iou)), at + np.arange(len(iou))] = 0
            best[0, at : at + step] = iou.max(axis=1)
        return best
    low, high = boxes[:, :, :2], boxes[:, :, :2] + boxes[:, :, 2:]
    shared = np.ones((images, count, count))
    for axis in (0, 1):
        end = np.minimum(high[:, :, None, axis], high[:, None, :, axis])
        begin = np.maximum(low[:, :, None, axis], low[:, None, :, axis])
        shared *= np.clip(end - begin, 0, None)
    area = boxes[:, :, 2] * boxes[:, :, 3]
    union = area[:, :, None] + area[:, None, :] - shared
    usable = np.isfinite(union) & (union > 0)
    iou = np.where(usable, shared / np.where(usable, union, 1.0), 0.0)
    iou[:, np.arange(count), np.arange(count)] = 0
    return np.asarray(iou.max(axis=2))
