"""Overlays: annotations and predictions drawn over the image, nothing hidden.

What is drawn, and how to read it:

* truth in green (body) and orange (extension), a prediction in blue and magenta;
* a filled disc is a visible keypoint, a ring an occluded one;
* a yellow diamond round a keypoint says that it lies outside its own human box;
* a solid white line is the human box, a dashed one the crop that a network would see, and
  the number at a box is the annotation's id;
* where a keypoint lies outside the image, the canvas grows so that it is shown; the part
  beyond the image is hatched.

Small images and small regions are enlarged before drawing, and line widths follow the size
of the person, so that an overlay is legible at any size. Pixel centres are at whole numbers:
image point p lies at `p * scale + origin` on the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions, Visibility
from toolkit.geometry import expand_to_aspect, inside_box
from toolkit.ink import (
    DARK,
    PREDICTED_BODY,
    PREDICTED_STICK,
    TRUTH_BODY,
    TRUTH_STICK,
    Color,
    Floats,
    Marker,
    Pixels,
    corners_of,
    diamond,
    hatched,
    label_tile,
    line,
    mark,
    paste,
    rectangle,
    rim,
)

if TYPE_CHECKING:
    from toolkit.schema import Schema

MIN_CANVAS = 720  # px on the long side; smaller images are enlarged
SCREEN = 1100  # px that people look at: strokes on a larger canvas grow with it
MAX_MARGIN = 1.0  # of the image's own size: keypoints further out are cut off
FAR = 1e7  # px from the image's corner: no picture shows more
CROP_ASPECT, CROP_PADDING = 0.75, 1.1  # what the small models are shown


@dataclass(frozen=True)
class Canvas:
    """A drawing, and where image points lie on it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        scale: Canvas px for one image px.
        origin: (2,) canvas position of image point (0, 0).
    """

    pixels: Pixels
    scale: float
    origin: Floats

    def locate(self, points: Floats) -> Floats:
        """Canvas positions of (..., 2) image points."""
        return points * self.scale + self.origin

    @property
    def unit(self) -> float:
        """Canvas px that are one px on a screen which shows the canvas whole, at least 1."""
        return max(1.0, max(self.pixels.shape[:2]) / SCREEN)


@dataclass(frozen=True)
class _People:
    """Skeletons to draw in one pair of colours."""

    schema: Schema
    keypoints: Floats  # (N, K, 2), NaN where there is nothing to draw
    rings: NDArray[np.bool_]  # (N, K)
    outside: NDArray[np.bool_]  # (N, K)
    size: Floats  # (N,) px, sets the widths
    body: Color
    stick: Color


def draw_image(
    image: Pixels,
    truth: Annotations | None = None,
    predictions: Predictions | None = None,
    *,
    view_xywh: Floats | None = None,
    long_side: int = MIN_CANVAS,
    crops: bool = True,
    crop_padding: float = CROP_PADDING,
    crop_aspect: float = CROP_ASPECT,
    labels: bool = False,
) -> Canvas:
    """Draw the people of one image.

    Args:
        image: (H, W, 3) RGB.
        truth: its annotations, if any.
        predictions: its predictions, if any; a prediction's own box, or that of the
            annotation that it names, says what is outside.
        view_xywh: the region to show, in image px; None shows the image and every
            keypoint beyond it.
        long_side: the canvas is enlarged to at least this many px; a view to exactly this.
        crops: whether to draw the network's crop beside the human box.
        crop_padding: its padding.
        crop_aspect: its width over height.
        labels: whether to write the annotation's id at each box that has room for it.
    """
    groups = []
    if truth is not None and len(truth):
        groups.append(_from_truth(truth))
    if predictions is not None and len(predictions):
        groups.append(_from_predictions(predictions, truth))
    canvas = _make_canvas(image, groups, view_xywh, long_side)
    crop = (crop_padding, crop_aspect) if crops else None
    if truth is not None and len(truth):
        _draw_boxes(canvas, truth.bbox_xywh, crop)
    elif predictions is not None and len(predictions):
        _draw_boxes(canvas, predictions.bbox_xywh, crop)
    for people in groups:
        for row in range(len(people.keypoints)):
            _draw_person(canvas, people, row)
    if labels and truth is not None:
        _write_ids(canvas, truth)
    return canvas


def whole_view(
    image: Pixels, truth: Annotations | None, predictions: Predictions | None
) -> Floats:
    """The region that `draw_image` shows by itself: the image and every keypoint.

    Returns:
        (4,) px, xywh.
    """
    groups = []
    if truth is not None and len(truth):
        groups.append(_from_truth(truth))
    if predictions is not None and len(predictions):
        groups.append(_from_predictions(predictions, truth))
    low, high = _extent(image.shape[1], image.shape[0], groups)
    return np.concatenate([low, high - low])


def instance_view(
    bbox_xywh: Floats, points: Floats, *, aspect: float = 1.0, margin: float = 0.08
) -> Floats:
    """A region that shows one instance whole: its box and every finite point.

    Args:
        bbox_xywh: (4,) px.
        points: (..., 2) px, NaN ignored.
        aspect: width over height of the region.
        margin: free space round it, as a share of its size.

    Returns:
        (4,) px, xywh; may reach beyond the image, but not beyond `FAR` px: of larger
        numbers not even the difference need be finite.
    """
    corners = np.stack([bbox_xywh[:2], bbox_xywh[:2] + bbox_xywh[2:]])
    flat = points.reshape(-1, 2)
    both = np.concatenate([corners, flat[_finite(flat)]])
    both = np.clip(both, -FAR, FAR)
    low, high = both.min(axis=0), both.max(axis=0)
    tight = np.concatenate([low, np.maximum(high - low, 1.0)])
    return np.asarray(expand_to_aspect(tight[None], aspect, 1 + 2 * margin)[0])


def _from_truth(truth: Annotations) -> _People:
    outside = truth.labelled & ~inside_box(truth.keypoints, truth.bbox_xywh)
    has_box = _finite(truth.bbox_xywh)
    return _People(
        schema=truth.schema,
        keypoints=truth.keypoints,
        rings=truth.visibility == Visibility.OCCLUDED,
        outside=outside & has_box[:, None],
        size=_person_size(truth.keypoints, truth.bbox_xywh),
        body=TRUTH_BODY,
        stick=TRUTH_STICK,
    )


def _from_predictions(predictions: Predictions, truth: Annotations | None) -> _People:
    boxes = predictions.bbox_xywh.copy()
    if truth is not None:
        row_of = {int(key): row for row, key in enumerate(truth.instance_id)}
        for row, key in enumerate(predictions.annotation_id):
            if int(key) in row_of:
                boxes[row] = truth.bbox_xywh[row_of[int(key)]]
    has_box = _finite(boxes)
    # COCO results write a keypoint that was not predicted as 0, 0 with score 0.
    nowhere = (predictions.keypoints == 0).all(axis=2) & (predictions.keypoint_scores == 0)
    points = np.where(nowhere[..., None], np.nan, predictions.keypoints)
    return _People(
        schema=predictions.schema,
        keypoints=points,
        rings=np.zeros(points.shape[:2], bool),
        outside=~inside_box(points, boxes) & has_box[:, None],
        size=_person_size(points, boxes),
        body=PREDICTED_BODY,
        stick=PREDICTED_STICK,
    )


def _person_size(keypoints: Floats, bbox_xywh: Floats) -> Floats:
    """(N,) size in px: the box's, else the extent of the keypoints."""
    size = np.asarray(np.sqrt(np.clip(bbox_xywh[:, 2:], 0, None).prod(axis=1)), np.float64)
    for row in np.flatnonzero(~np.isfinite(size)):
        finite = keypoints[row][_finite(keypoints[row])]
        size[row] = np.ptp(finite, axis=0).max() if len(finite) else 100.0
    return size


def _make_canvas(
    image: Pixels, groups: list[_People], view_xywh: Floats | None, long_side: int
) -> Canvas:
    """The image on a hatched ground that is large enough for every keypoint."""
    height, width = image.shape[:2]
    if view_xywh is None:
        low, high = _extent(width, height, groups)
        scale = float(max(1, -(-long_side // max(width, height))))
    else:
        low, high = view_xywh[:2], view_xywh[:2] + view_xywh[2:]
        scale = long_side / float(max(high - low))
    size = np.maximum(np.rint((high - low) * scale), 1).astype(int)
    origin = -low * scale + (scale - 1) / 2
    ground = hatched(int(size[0]), int(size[1]))
    return Canvas(_place(image, scale, origin, ground), scale, origin)


def _place(image: Pixels, scale: float, origin: Floats, ground: Pixels) -> Pixels:
    """The image, scaled and moved, over a ground that shows where it ends."""
    import cv2  # lazy: opencv

    height, width = image.shape[:2]
    corner = np.maximum(np.rint(origin - (scale - 1) / 2), 0).astype(int)
    end = np.rint(origin - (scale - 1) / 2 + np.array([width, height]) * scale)
    if scale < 1:  # averaging first, or thin lines flicker
        smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA))
    factor = np.array([width, height]) * scale / image.shape[1::-1]
    offset = origin - (scale - 1) / 2 + (factor - 1) / 2
    affine = np.array([[factor[0], 0, offset[0]], [0, factor[1], offset[1]]])
    moved = cv2.warpAffine(
        image,
        affine,
        (ground.shape[1], ground.shape[0]),
        flags=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = np.s_[corner[1] : max(int(end[1]), 0), corner[0] : max(int(end[0]), 0)]
    ground[inside] = moved[inside]
    return ground


def _extent(width: int, height: int, groups: list[_People]) -> tuple[Floats, Floats]:
    """Lower and upper corner of a region that holds the image and all keypoints."""
    size = np.array([width, height], dtype=np.float64)
    low, high = np.zeros(2), size.copy()
    for people in groups:
        points = people.keypoints[_finite(people.keypoints)]
        if len(points) and not ((points >= 0) & (points < size)).all():
            room = max(8.0, float(people.size.mean()) * 0.08)
            low = np.minimum(low, points.min(axis=0) - room)
            high = np.maximum(high, points.max(axis=0) + room)
    limit = MAX_MARGIN * size
    return np.floor(np.maximum(low, -limit)), np.ceil(np.minimum(high, size + limit))


def _draw_boxes(canvas: Canvas, bbox_xywh: Floats, crop: tuple[float, float] | None) -> None:
    """Human boxes, and crops where a padding and an aspect ratio are given."""
    for box in bbox_xywh[_finite(bbox_xywh)]:
        if box[2] <= 0 or box[3] <= 0:
            continue
        width = _line_width(canvas, float(np.sqrt(box[2] * box[3]))) * 0.75
        rectangle(canvas.pixels, canvas.locate(corners_of(box)), width)
        if crop is not None:
            padding, aspect = crop
            seen = expand_to_aspect(box[None], aspect, padding)[0]
            corners = canvas.locate(corners_of(seen))
            rectangle(canvas.pixels, corners, max(1.6, width * 0.7), dash_px=9.0 * canvas.unit)


def _write_ids(canvas: Canvas, truth: Annotations) -> None:
    """The id at the corner of each box, where the box is as wide as the text."""
    for row in np.flatnonzero(_finite(truth.bbox_xywh)):
        box = truth.bbox_xywh[row]
        text = label_tile(str(int(truth.instance_id[row])), round(13 * canvas.unit))
        if box[2] * canvas.scale >= 0.8 * text.shape[1]:
            paste(canvas.pixels, text, canvas.locate(box[:2]) - [0, text.shape[0]])


def _draw_person(canvas: Canvas, people: _People, row: int) -> None:
    """Edges first, then markers, body under extension."""
    points = canvas.locate(people.keypoints[row])
    drawable = _finite(points)
    width = _line_width(canvas, float(people.size[row]))
    is_extension = people.schema.is_extension
    for a, b in people.schema.edge_index:
        if drawable[a] and drawable[b]:
            color = people.stick if is_extension[a] or is_extension[b] else people.body
            line(canvas.pixels, points[a], points[b], DARK, width + rim(width))
            line(canvas.pixels, points[a], points[b], color, width)
    for index in np.argsort(is_extension, kind="stable"):
        if drawable[index]:
            color = people.stick if is_extension[index] else people.body
            marker: Marker = "ring" if people.rings[row, index] else "disc"
            radius = width * (1.9 if is_extension[index] else 1.5) + canvas.unit
            if people.outside[row, index]:
                diamond(canvas.pixels, points[index], radius * 1.9 + 2, width * 0.8)
            mark(canvas.pixels, points[index], radius, color, marker)


def _line_width(canvas: Canvas, person_px: float) -> float:
    """Width in canvas px for a person of that size in image px.

    On a canvas larger than a screen the least width grows, or lines vanish when it is shown
    whole, but never so far that a small person drowns in them.
    """
    size = person_px * canvas.scale
    least = max(2.0, min(2.0 * canvas.unit, 0.04 * size))
    return float(np.clip(0.012 * size, least, 7.0 * canvas.unit))


def _finite(points: Floats) -> NDArray[np.bool_]:
    """Which points (or boxes) have no NaN and no infinity in their last axis."""
    return np.asarray(np.isfinite(points).all(axis=-1), dtype=bool)
