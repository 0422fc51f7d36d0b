"""The rules about outlines of instances: polygons and run-length encoded masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from toolkit.checks.base import ERROR, Check, Hits, Subject, everywhere


def _finds(kind: str, summary: str) -> Callable[[Subject], Iterator[Hits]]:
    def find(subject: Subject) -> Iterator[Hits]:
        faults = subject.outline_faults
        rows = np.array(sorted(r for r, f in faults.items() if f[0] == kind), dtype=np.int64)

        def describe(row: int) -> str:
            return faults[row][1]

        yield Hits("annotations", rows, describe, summary, "segmentation")

    return find


SEGMENTATION_TYPE = Check(
    "segmentation-type",
    "A segmentation is a list of polygons, each a list of numbers, or a mask with counts "
    "and size.",
    everywhere(ERROR),
    _finds("type", "segmentation of the wrong kind"),
    family="segmentation",
    repair="Write [] where there is no outline.",
)
SEGMENTATION_POINTS = Check(
    "segmentation-points",
    "A polygon has three points or more; importers stop at two.",
    everywhere(ERROR),
    _finds("points", "polygon of fewer than three points"),
    family="segmentation",
    repair="Remove the polygon, or draw it again.",
)
SEGMENTATION_LENGTH = Check(
    "segmentation-length",
    "A polygon has an even number of coordinates: x and y in turn.",
    everywhere(ERROR),
    _finds("length", "polygon with an odd number of coordinates"),
    family="segmentation",
    repair="Draw the polygon again: which number is missing cannot be known.",
)
SEGMENTATION_COORDINATE = Check(
    "segmentation-coordinate",
    "A polygon's coordinates are below 1,000,000 px: pycocotools crashes on points far out.",
    everywhere(ERROR),
    _finds("coordinate", "polygon with impossible coordinates"),
    family="segmentation",
    repair="Draw the polygon again.",
)
SEGMENTATION_RLE = Check(
    "segmentation-rle",
    "A run-length encoded mask has a size of two whole numbers and counts that can be "
    "decoded: pycocotools crashes on others.",
    everywhere(ERROR),
    _finds("rle-form", "mask that cannot be decoded"),
    family="segmentation",
    repair="Encode the mask again.",
)
SEGMENTATION_RLE_SIZE = Check(
    "segmentation-rle-size",
    "The counts of a mask add up to height times width, which are those of the image.",
    everywhere(ERROR),
    _finds("rle-size", "mask of the wrong size"),
    family="segmentation",
    repair="Encode the mask again at the image's size; mind that size is [height, width].",
)
