"""Where labelled keypoints lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import INFO, WARNING, Check, Hits, Subject, everywhere

REGION_SLACK = 0.25  # of the box's longer side
FAR = 1.0  # in longer sides of the box
TINY = 64.0  # px of the box's longer side: smaller people are labelled to the pixel
_BLOCK = 4096  # instances at a time
_MIX = 1234.56789  # makes one number of x and y


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
    counts = np.count_nonzero(outside, axis=1)
    rows = np.flatnonzero(counts)
    return Hits(
        "annotations",
        rows,
        describe,
        f"labelled keypoints {where}",
        "keypoints",
        weights=counts[rows],
        unit="keypoint",
    )


def _named(subject: Subject, mask: NDArray[np.bool_]) -> str:
    names = [subject.dataset.schema.names[k] for k in np.flatnonzero(mask)]
    shown = ", ".join(names[:4]) + (", ..." if names[4:] else "")
    if len(names) == 1:
        return f"1 labelled keypoint ({shown}) lies"
    return f"{len(names)} labelled keypoints ({shown}) lie"


def _region(subject: Subject) -> Iterator[Hits]:
    """Keypoints outside the region that the schema allows them, by more than a little."""
    schema = subject.dataset.schema
    boxes = subject.dataset.annotations.bbox_xywh
    slack = REGION_SLACK * np.fmax(boxes[:, 2], boxes[:, 3])
    slack = np.where(slack > 0, slack, 0)
    count, width = len(boxes), schema.num_keypoints
    outside: NDArray[np.bool_] = np.zeros((count, width), dtype=bool)
    for keypoint, region in enumerate(k.region for k in schema.keypoints):
        if region == "box":
            low, size, past = boxes[:, :2].T, boxes[:, 2:].T, subject.outside_box
        elif region == "image":
            low, size = np.zeros((2, 1)), subject.size_wh.T.astype(np.float64)
            past = subject.outside_image
        else:
            continue
        rows = np.flatnonzero(past[:, keypoint])
        point = subject.xy[:, keypoint, rows]
        low = np.broadcast_to(low, (2, count))[:, rows]
        far = np.fmax(low - point, point - low - size[:, rows]).max(axis=0) > slack[rows]
        outside[rows[far], keypoint] = True

    def describe(row: int) -> str:
        regions = {schema.keypoints[k].region for k in np.flatnonzero(outside[row])}
        said = f"{_named(subject, outside[row])} outside the region that the schema allows"
        return f"{said} ({', '.join(sorted(regions))})"

    yield _hits(outside, describe, "outside their region")


def _far(subject: Subject) -> Iterator[Hits]:
    """Keypoints of the person farther from the box than the box is long."""
    boxes = subject.dataset.annotations.bbox_xywh
    far: NDArray[np.bool_] = np.zeros(subject.outside_box.shape, dtype=bool)
    for keypoint in subject.body:
        rows = np.flatnonzero(subject.outside_box[:, keypoint])
        low, size = boxes[rows, :2].T, boxes[rows, 2:].T
        point = subject.xy[:, keypoint, rows]
        gap = np.fmax(low - point, point - low - size).max(axis=0)
        far[rows, keypoint] = (gap > FAR * size.max(axis=0)) & (size > 0).all(axis=0)

    def describe(row: int) -> str:
        return f"{_named(subject, far[row])} farther from the box than the box is long"

    yield _hits(far, describe, "far from their box")


def _same_place(subject: Subject) -> Iterator[Hits]:
    """Two keypoints of one person at one place, where the person is not tiny.

    A hand may be where a stick's end is, so that only keypoints of one group are compared.
    """
    boxes = subject.dataset.annotations.bbox_xywh
    x, y = subject.xy
    tiny = np.fmax(boxes[:, 2], boxes[:, 3]) < TINY
    group = subject.dataset.schema.is_extension
    one_group = group[:, None] == group
    pairs: dict[int, list[tuple[int, int]]] = {}
    for begin in range(0, len(boxes), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        # Equal places give equal numbers; unequal ones seldom do, and are looked at again.
        code = x[:, block] + y[:, block] * _MIX
        maybe = np.zeros(code.shape[1], dtype=bool)
        for first in range(1, len(x)):
            maybe |= (code[first:] == code[:-first]).any(axis=0)
        for row in (begin + np.flatnonzero(maybe & ~tiny[block])).tolist():
            same = (x[:, None, row] == x[:, row]) & (y[:, None, row] == y[:, row]) & one_group
            if len(found := np.argwhere(np.triu(same, 1)).tolist()):
                pairs[row] = [(first, second) for first, second in found]
    names = subject.dataset.schema.names

    def describe(row: int) -> str:
        found = [f"{names[a]} and {names[b]}" for a, b in pairs[row][:3]]
        first = pairs[row][0][0]
        at_x, at_y = subject.xy[:, first, row]
        return f"{', '.join(found)} at one place, ({at_x:g}, {at_y:g})"

    hits = np.array(sorted(pairs), dtype=np.int64)
    yield Hits("annotations", hits, describe, "two keypoints at one place", "keypoints")


def _origin(subject: Subject) -> Iterator[Hits]:
    x, y = subject.xy
    at_origin = np.asarray(((x == 0) & (y == 0)).T)

    def describe(row: int) -> str:
        return f"{_named(subject, at_origin[row])} at (0, 0), where tools put missing ones"

    yield _hits(at_origin, describe, "at the image's corner (0, 0)")


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
KEYPOINT_REGION = Check(
    "keypoint-region",
    "A keypoint lies in the region that the schema allows it: in the box, in the image, or "
    "anywhere. A quarter of the box's longer side is let pass, for people at the edge.",
    everywhere(WARNING),
    _region,
    family="keypoints",
    repair="Move the keypoint, set its visibility to 0, or give it another region.",
)
KEYPOINT_FAR = Check(
    "keypoint-far",
    "A keypoint of the person is no farther from the box than the box is long.",
    everywhere(WARNING),
    _far,
    family="keypoints",
    repair="Look whether the keypoint, or the box, is another person's.",
)
KEYPOINT_DUPLICATE = Check(
    "keypoint-duplicate",
    f"Two keypoints of a person {TINY:g} px or larger are not at exactly the same place.",
    everywhere(WARNING),
    _same_place,
    family="keypoints",
    repair="Move one of the two, or set its visibility to 0 if it cannot be known.",
)
KEYPOINT_AT_ORIGIN = Check(
    "keypoint-at-origin",
    "A labelled keypoint is not at (0, 0): that is where tools write the missing ones.",
    everywhere(WARNING),
    _origin,
    family="keypoints",
    repair="Set the keypoint's visibility to 0, or place it.",
)
