"""Pictures of the people whose keypoints moved most: old and new skeleton, and the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.curate.diff import Diff
from toolkit.draw import draw_image, instance_view
from toolkit.errors import InvalidDataError
from toolkit.images import load_image, resolve_image
from toolkit.ink import DARK, Color, line

PICTURES = 12
_LONG_SIDE = 520  # px
_WAY: Color = (255, 214, 10)
_PAPER = 226  # grey of the ground where there is no picture
_MOST_PX = 8192  # of a ground without a picture
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class MovePicture:
    """One person before and after.

    Attributes:
        pair: Which pair of the diff.
        column: Its keypoint that moved most.
        pixels: (H, W, 3) RGB.
        note: Why there is no photograph under it, or nothing.
    """

    pair: int
    column: int
    pixels: Pixels
    note: str


def move_pictures(
    result: Diff, images_dir: Path | None, progress: Callable[[int, int], None]
) -> Iterator[MovePicture]:
    """Draw the people with the largest moves, the largest first.

    Raises:
        UnsafeInputError: A file name leads out of the folder.
    """
    first: dict[int, int] = {}
    for pair, column in result.largest_moves():
        if len(first) < PICTURES:
            first.setdefault(pair, column)
    for done, (pair, column) in enumerate(first.items()):
        pixels, note = _picture(result, pair, images_dir)
        yield MovePicture(pair, column, pixels, note)
        progress(done + 1, len(first))


def _picture(result: Diff, pair: int, images_dir: Path | None) -> tuple[Pixels, str]:
    a, b = int(result.people.old[pair]), int(result.people.new[pair])
    old, new = result.old.annotations[a : a + 1], result.new.annotations[b : b + 1]
    points = np.concatenate([old.keypoints[0], new.keypoints[0]])
    box = np.where(np.isnan(new.bbox_xywh[0]), _around(points), new.bbox_xywh[0])
    ground, note = _ground(result, int(new.image_id[0]), points, images_dir)
    before = Predictions.from_arrays(
        old.schema, old.image_id, old.keypoints, bbox_xywh=old.bbox_xywh
    )
    canvas = draw_image(
        ground,
        new,
        before,
        view_xywh=instance_view(box, points),
        long_side=_LONG_SIDE,
        crops=False,
    )
    for k in np.flatnonzero(result.moved[pair]).tolist():
        start, end = (
            old.keypoints[0, result.shared.old[k]],
            new.keypoints[0, result.shared.new[k]],
        )
        _arrow(canvas.pixels, canvas.locate(start), canvas.locate(end))
    return canvas.pixels, note


def _around(points: Floats) -> Floats:
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    return np.concatenate([low, high - low])


def _ground(
    result: Diff, image_id: int, points: Floats, images_dir: Path | None
) -> tuple[Pixels, str]:
    """The photograph, or plain paper of its size and why."""
    images = result.new.images
    rows = np.flatnonzero(images.ids == image_id)
    note = "no --images given"
    if images_dir is not None and len(rows):
        try:
            name = images.file_names[int(rows[0])]
            return load_image(resolve_image(images_dir, name, image_id)), ""
        except InvalidDataError as error:
            note = str(error)
    size = images.size_wh[int(rows[0])] if len(rows) else np.zeros(2, np.int64)
    if not size.all():
        size = np.nanmax(points, axis=0) + 1
    width, height = np.clip(size, 1, _MOST_PX).astype(int).tolist()
    return np.full((height, width, 3), _PAPER, np.uint8), note


def _arrow(pixels: Pixels, start: Floats, end: Floats) -> None:
    """A line from where a keypoint was to where it is, with a head."""
    way = end - start
    length = float(np.hypot(*way))
    if length < 1:
        return
    along = way / length
    across = np.array([-along[1], along[0]])
    head = min(12.0, 0.5 * length)
    tips = [end - along * head + side * across * head * 0.6 for side in (-1, 1)]
    for color, width in ((DARK, 4.5), (_WAY, 2.0)):
        line(pixels, start, end, color, width)
        for tip in tips:
            line(pixels, end, tip, color, width)
