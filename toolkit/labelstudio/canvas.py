"""Padded canvas: room round a picture for what lies outside it.

Label Studio clamps every drag to the picture. So a frame with keypoints (or a box) outside
the picture is pushed as a larger picture with a hatched margin; the task's `padding` says by
how many px on each side, and reading the task takes that off again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats.foreign import Record
from toolkit.formats.foreign_values import box_of, points_of, size_of
from toolkit.formats.labelstudio import Padding

Pad = Literal["auto", "all", "none"]
MARGIN = 0.25  # of the picture's size, on each side
FURTHEST = 1.0  # of the picture's size: more margin than this shows nothing any more
_SLACK = 0.05  # of the picture's size, beyond the outermost point: room to grab it
NONE: Padding = (0, 0, 0, 0)


def paddings_of(
    images: Sequence[Record],
    people: Sequence[Iterable[Record]],
    rows: Iterable[int],
    pad: Pad = "auto",
    margin: float = MARGIN,
) -> dict[int, Padding]:
    """Margins in px for each side, by row in `images`; a frame without one is not there.

    Args:
        images: Image records.
        people: For each image the records that are drawn in it.
        rows: Which images.
        pad: `auto` for frames with something outside, `all`, or `none`.
        margin: Least share of the picture's size on each side of a padded frame; more where
            a point lies further out.

    Raises:
        InvalidDataError: Something lies too far out for any margin; or outside, and `none`
            was asked for.
        UsageError: The margin is negative or above 1.
    """
    if not 0 <= margin <= FURTHEST:
        raise UsageError(f"--margin {margin:g}: wanted a share from 0 to {FURTHEST:g}")
    found = {}
    for row in rows:
        width, height = size_of(images[row], row)
        reach = _reach(people[row], float(width), float(height))
        outside = max(reach) > 0
        if outside and pad == "none":
            raise InvalidDataError(
                f"images[{row}] id={images[row].get('id')}: something lies outside the "
                "picture, where Label Studio shows nothing; push with --pad auto"
            )
        if pad == "all" or outside:
            sides = (width, height, width, height)
            found[row] = _padding(images[row], row, reach, sides, margin)
    return found


def _padding(
    image: Record,
    row: int,
    reach: tuple[float, ...],
    sides: tuple[float, ...],
    margin: float,
) -> Padding:
    px = []
    for far, side in zip(reach, sides, strict=True):
        if far > FURTHEST * side:
            raise InvalidDataError(
                f"images[{row}] id={image.get('id')}: something lies {far:,.0f} px outside the "
                f"picture, which is {side:g} px there; no margin shows that. Correct it, or "
                "leave the frame out"
            )
        px.append(math.ceil(max(margin * side, far + _SLACK * side if far else 0.0)))
    left, top, right, bottom = px
    return left, top, right, bottom


def _reach(people: Iterable[Record], width: float, height: float) -> tuple[float, ...]:
    """How far the labels reach out of the picture: left, top, right, bottom, px; 0 inside."""
    xs, ys = [0.0, width], [0.0, height]
    for record in people:
        for x, y, visibility in points_of(record) or ():
            if visibility:
                xs.append(float(x))
                ys.append(float(y))
        box = box_of(record)
        if box is not None:
            xs += [float(box[0]), float(box[0] + box[2])]
            ys += [float(box[1]), float(box[1] + box[3])]
    return -min(xs), -min(ys), max(xs) - width, max(ys) - height
