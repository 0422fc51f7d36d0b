"""Instances for the eye: motion blur, occlusion, sticks beyond the crop.

The choice depends on the ground truth and the pictures alone, never on a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions, Visibility
from toolkit.benchmark.ablations.figures import Crop, edge_distance
from toolkit.benchmark.exhibits import MIN_BOX, make_gallery
from toolkit.benchmark.render_html import Gallery
from toolkit.dataset import Dataset
from toolkit.images import load_image, resolve_image
from toolkit.metrics import errors_in_heads

EACH = 3  # instances a condition
LOOKED_AT = 200  # people whose sharpness is measured, evenly spread


def make_panels(
    truth: Dataset, images_dir: Path, predictions: Mapping[str, Predictions]
) -> list[Gallery]:
    """One gallery a condition: the instances in which it is strongest.

    Args:
        truth: The test set.
        images_dir: Its images.
        predictions: By row label, in the truth's schema.
    """
    errors = {}
    for label, found in predictions.items():
        heads = errors_in_heads(truth, found).heads
        finite = np.isfinite(heads)
        total = np.where(finite, heads, 0).sum(axis=1)
        count = finite.sum(axis=1)
        errors[label] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    usable = _usable(truth)
    scenes = [
        clip or int(image)
        for clip, image in zip(truth.clips, truth.annotations.image_id, strict=True)
    ]
    strengths = {
        "Motion blur": -_sharpness(truth, images_dir, usable),
        "Occlusion": (truth.annotations.visibility == Visibility.OCCLUDED)
        .sum(axis=1)
        .astype(np.float64),
        "Beyond the crop": _beyond(truth),
    }
    return [
        make_gallery(
            f"{name}: ground truth and predictions",
            truth,
            images_dir,
            predictions,
            strongest(strength, usable, scenes, EACH),
            errors,
            "heads off (mean)",
        )
        for name, strength in strengths.items()
    ]


def strongest(
    strength: NDArray[np.float64],
    usable: NDArray[np.bool_],
    scenes: Sequence[object],
    count: int,
) -> NDArray[np.int64]:
    """Rows with the highest strength, at most one a scene, ascending.

    Args:
        strength: (N,); NaN is never taken.
        usable: (N,) rows that may be shown.
        scenes: N clips or images.
        count: At most this many.
    """
    ranked = np.where(usable & ~np.isnan(strength), strength, -np.inf)
    chosen: dict[object, int] = {}
    for row in np.argsort(-ranked, kind="stable").tolist():
        if len(chosen) < count and np.isfinite(ranked[row]):
            chosen.setdefault(scenes[row], row)
    return np.sort(np.array(list(chosen.values()), dtype=np.int64))


def _usable(truth: Dataset) -> NDArray[np.bool_]:
    """Large enough to look at, and most of it labelled."""
    people = truth.annotations
    large = (people.bbox_xywh[:, 2:] >= MIN_BOX).all(axis=1) & ~people.is_crowd
    return np.asarray(large & (people.labelled.mean(axis=1) > 0.5))


def _beyond(truth: Dataset) -> NDArray[np.float64]:
    """(N,) how far the furthest labelled keypoint lies outside the crop, in heads."""
    distance = edge_distance(truth, Crop())
    return np.asarray(np.where(np.isnan(distance), -np.inf, distance).max(axis=1))


def _sharpness(
    truth: Dataset, images_dir: Path, usable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(N,) variance of the Laplacian in the box, of some of the people; NaN for the others."""
    import cv2  # lazy: 0.2 s

    result = np.full(len(truth.annotations), np.nan)
    rows = np.flatnonzero(usable)
    rows = rows[:: max(1, len(rows) // LOOKED_AT)]
    for row in rows:
        rank = int(truth.image_row[row])
        name, image_id = truth.images.file_names[rank], int(truth.images.ids[rank])
        image = load_image(resolve_image(images_dir, name, image_id))
        x, y, w, h = np.rint(truth.annotations.bbox_xywh[row]).astype(int)
        part = image[max(y, 0) : max(y + h, 1), max(x, 0) : max(x + w, 1)]
        if part.size:
            grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
            result[row] = cv2.Laplacian(grey, cv2.CV_64F).var()
    return result
