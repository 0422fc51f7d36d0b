"""Boxes, crops, spaces and flips; numpy only.

Spaces: *image* px as COCO writes them (x right, y down, no half-pixel shift), *crop* px of
a network's input, and *box* units (0 to 1 across a box). Inside a box is inclusive on all
sides (x <= px <= x + w); inside an image excludes the far edge (0 <= px < width). NaN is
inside nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def inside_box(points: Floats, bbox_xywh: Floats) -> Bools:
    """Which points lie inside their instance's box, edges included.

    Args:
        points: (N, K, 2) px, NaN where not labelled.
        bbox_xywh: (N, 4) px.

    Returns:
        (N, K) bool.
    """
    low = bbox_xywh[:, None, :2]
    high = low + bbox_xywh[:, None, 2:]
    return np.asarray(((points >= low) & (points <= high)).all(axis=2))


def distance_from_box(points: Floats, bbox_xywh: Floats) -> Floats:
    """How far points lie from the edge of their instance's box; negative inside it.

    Args:
        points: (N, K, 2) px, NaN where not labelled.
        bbox_xywh: (N, 4) px.

    Returns:
        (N, K) px: outside, to the nearest point of the box; inside, to the nearest side; NaN
        for a point that is NaN.
    """
    half = bbox_xywh[:, None, 2:] / 2
    beyond = np.abs(points - (bbox_xywh[:, None, :2] + half)) - half  # (N, K, 2)
    outside = np.hypot(*np.moveaxis(np.maximum(beyond, 0), 2, 0))
    return np.where((beyond <= 0).all(axis=2), beyond.max(axis=2), outside)


def inside_image(points: Floats, size_wh: NDArray[np.int64]) -> Bools:
    """Which points lie inside their image, far edges excluded.

    Args:
        points: (N, K, 2) px, NaN where not labelled.
        size_wh: (N, 2) px.

    Returns:
        (N, K) bool.
    """
    return np.asarray(((points >= 0) & (points < size_wh[:, None, :])).all(axis=2))


def bbox_iou(a_xywh: Floats, b_xywh: Floats) -> Floats:
    """Intersection over union of every box with every other.

    Args:
        a_xywh: (A, 4).
        b_xywh: (B, 4).

    Returns:
        (A, B); 0 where either box is empty or NaN.
    """
    low = np.maximum(a_xywh[:, None, :2], b_xywh[None, :, :2])
    high = np.minimum(
        (a_xywh[:, :2] + a_xywh[:, 2:])[:, None], (b_xywh[:, :2] + b_xywh[:, 2:])[None]
    )
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    areas = a_xywh[:, 2:].prod(axis=1)[:, None] + b_xywh[:, 2:].prod(axis=1)[None]
    union = areas - overlap
    valid = np.isfinite(union) & (union > 0)
    return np.where(valid, overlap / np.where(valid, union, 1.0), 0.0)


def paired_iou(a_xywh: Floats, b_xywh: Floats) -> Floats:
    """Intersection over union of boxes row by row.

    Args:
        a_xywh: (P, 4).
        b_xywh: (P, 4).

    Returns:
        (P,); 0 where either box is empty or NaN.
    """
    low = np.maximum(a_xywh[:, :2], b_xywh[:, :2])
    high = np.minimum(a_xywh[:, :2] + a_xywh[:, 2:], b_xywh[:, :2] + b_xywh[:, 2:])
    side = np.clip(high - low, 0, None)
    overlap = side[:, 0] * side[:, 1]
    union = a_xywh[:, 2] * a_xywh[:, 3] + b_xywh[:, 2] * b_xywh[:, 3] - overlap
    valid = np.isfinite(union) & (union > 0)
    return np.where(valid, overlap / np.where(valid, union, 1.0), 0.0)


def expand_to_aspect(bbox_xywh: Floats, aspect: float, padding: float) -> Floats:
    """Boxes of one aspect ratio round the same centres.

    The shorter side grows until width / height is `aspect`, then both sides are
    multiplied with `padding` (1.25 is the usual top-down choice).

    Args:
        bbox_xywh: (N, 4) px.
        aspect: Width over height.
        padding: Factor on both sides, above 0.

    Returns:
        (N, 4) px, xywh.
    """
    center = bbox_xywh[:, :2] + bbox_xywh[:, 2:] / 2
    width = np.maximum(bbox_xywh[:, 2], bbox_xywh[:, 3] * aspect) * padding
    size = np.stack([width, width / aspect], axis=1)
    return np.concatenate([center - size / 2, size], axis=1)


def points_to_box(points: Floats, bbox_xywh: Floats) -> Floats:
    """Image px to box units: (0, 0) is the box's corner, (1, 1) the opposite one.

    Args:
        points: (N, K, 2) px.
        bbox_xywh: (N, 4) px.

    Returns:
        (N, K, 2); unclamped, NaN stays NaN.
    """
    return (points - bbox_xywh[:, None, :2]) / bbox_xywh[:, None, 2:]


def points_from_box(points: Floats, bbox_xywh: Floats) -> Floats:
    """Inverse of `points_to_box`."""
    return points * bbox_xywh[:, None, 2:] + bbox_xywh[:, None, :2]


def box_to_crop_affine(bbox_xywh: Floats, crop_wh: tuple[int, int]) -> Floats:
    """Affine maps from image px to crop px for boxes of the crop's aspect ratio.

    Pixel centres are at whole numbers in both spaces, so the box's outer edge (half a
    pixel beyond its first centre) maps on the crop's outer edge.

    Args:
        bbox_xywh: (N, 4) px.
        crop_wh: Width and height of the crop in px.

    Returns:
        (N, 2, 3): `crop = A[:, :2] @ image + A[:, 2]`.
    """
    scale = np.asarray(crop_wh, dtype=np.float64) / bbox_xywh[:, 2:]
    affine = np.zeros((len(bbox_xywh), 2, 3))
    affine[:, 0, 0] = scale[:, 0]
    affine[:, 1, 1] = scale[:, 1]
    affine[:, :, 2] = (0.5 - bbox_xywh[:, :2]) * scale - 0.5
    return affine


def apply_affine(affine: Floats, points: Floats) -> Floats:
    """Apply (N, 2, 3) maps to (N, K, 2) points; NaN stays NaN."""
    return np.asarray(
        np.einsum("nij,nkj->nki", affine[:, :, :2], points) + affine[:, None, :, 2]
    )


def invert_affine(affine: Floats) -> Floats:
    """Inverse maps of (N, 2, 3) affine maps."""
    linear = np.linalg.inv(affine[:, :, :2])
    offset = -np.einsum("nij,nj->ni", linear, affine[:, :, 2])
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def flip_keypoints(points: Floats, flip_index: NDArray[np.int64], width: float) -> Floats:
    """Keypoints of the mirrored image: x becomes `width - 1 - x`, partners change places.

    Args:
        points: (N, K, 2) px.
        flip_index: (K,) from the schema.
        width: Image or crop width in px.

    Returns:
        (N, K, 2) px; flipping twice gives the input.
    """
    mirrored = points[:, flip_index].copy()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored
