"""Where keypoints lie relative to their box: 2-D histograms in box units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.crop_curve import usable_boxes
from toolkit.geometry import points_to_box

EXTENT = (-1.5, -1.5, 2.5, 2.5)  # left, top, right, bottom in box units
BINS, FEW_BINS = 48, 24
FEW = 3000  # points: below that, small cells show single points


@dataclass(frozen=True)
class Density:
    """The places of one keypoint, in units of its box.

    Attributes:
        name: Of the keypoint.
        counts: (B, B) int64, rows downwards, over `EXTENT`; larger cells for few points.
        total: Labelled keypoints of instances with a usable box.
        beyond: Of these, outside `EXTENT`: counted here and drawn nowhere.
        median_xy: Median place, or None where there is none.
    """

    name: str
    counts: NDArray[np.int64]
    total: int
    beyond: int
    median_xy: tuple[float, float] | None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "extent": list(EXTENT),
            "bins": list(self.counts.shape),
            "counts": self.counts.tolist(),
            "total": self.total,
            "beyond": self.beyond,
            "median": None if self.median_xy is None else list(self.median_xy),
        }


def densities(people: Annotations, keypoints: NDArray[np.int64]) -> tuple[Density, ...]:
    """The density of each of these keypoints.

    Args:
        people: N instances; those without a usable box are left out.
        keypoints: Indices.
    """
    usable = usable_boxes(people.bbox_xywh)
    boxes = people.bbox_xywh[usable]
    placed = points_to_box(people.keypoints[usable][:, keypoints], boxes)
    found = []
    for column, index in enumerate(keypoints.tolist()):
        points = placed[:, column]
        points = points[np.isfinite(points[:, 0]) & np.isfinite(points[:, 1])]
        found.append(_density(people.schema.names[index], points))
    return tuple(found)


def _density(name: str, points: NDArray[np.float64]) -> Density:
    left, top, right, bottom = EXTENT
    bins = BINS if len(points) >= FEW else FEW_BINS
    counts, _, _ = np.histogram2d(
        points[:, 1], points[:, 0], bins=bins, range=((top, bottom), (left, right))
    )
    drawn = counts.astype(np.int64)
    median = None
    if len(points):
        x, y = np.median(points, axis=0).tolist()
        median = (x, y)
    return Density(name, drawn, len(points), len(points) - int(drawn.sum()), median)
