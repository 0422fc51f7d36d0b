"""Where labelled keypoints lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import INFO, WARNING, Check, Hits, Subject, everywhere


def _outside_image(subject: Subject) -> Iterator[Hits]:
    outside = subject.outside_image

    def describe(row: int) -> str:
        width, height = subject.size_wh[row]
        return f"{_named(subject, outside[row])} outside the image of {width} x {height} px"

    yield _hits(outside, describe, "outside their image")


def _outside_box(subject: Subject) -> Iterator[Hits]:
    outside = subject.outside_box

    def describe(row: int) -> str:
        return f"{_named(subject, outside[row])} outside the box"

    yield _hits(outside, describe, "outside their box")


def _hits(outside: NDArray[np.bool_], describe: Callable[[int], str], where: str) -> Hits:
    counts = outside.sum(axis=1)
    rows = np.flatnonzero(counts)
    return Hits(
        "annotations",
        rows,
        describe,
        f"labelled keypoints {where}",
        "keypoints",
        weights=counts[rows],
        unit="keypoints",
    )


def _named(subject: Subject, mask: NDArray[np.bool_]) -> str:
    names = [subject.dataset.schema.names[k] for k in np.flatnonzero(mask)]
    shown = ", ".join(names[:4]) + (", ..." if names[4:] else "")
    if len(names) == 1:
        return f"1 labelled keypoint ({shown}) lies"
    return f"{len(names)} labelled keypoints ({shown}) lie"


KEYPOINT_OUTSIDE_IMAGE = Check(
    "keypoint-outside-image",
    "A labelled keypoint of a COCO file lies in its image: 0 <= x < width, 0 <= y < height. "
    "Extension keypoints often do not, and are ordinary there.",
    everywhere(WARNING, crowdpose=INFO, extension=INFO, cropcoco=INFO),
    _outside_image,
    family="keypoints",
)
KEYPOINT_OUTSIDE_BOX = Check(
    "keypoint-outside-box",
    "Labelled keypoints outside the instance's own box are ordinary (5 % of CrowdPose's); "
    "the number says how much of the data a crop of the box cannot see.",
    everywhere(INFO),
    _outside_box,
    family="keypoints",
)
