"""Detected person boxes in place of the true ones: what table 7 compares."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.dataset import Dataset
from toolkit.errors import ReadError

Boxes = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
MIN_SCORE = 0.3  # of a detection that gets a pose


def read_boxes(path: Path) -> Boxes:
    """Image ids (M,), boxes (M, 4) xywh px and scores (M,) of a COCO results file.

    Raises:
        ReadError: It is no list of detections with `image_id` and `bbox`.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        image_id = np.array([record["image_id"] for record in records], dtype=np.int64)
        boxes = np.array([record["bbox"] for record in records], dtype=np.float64)
        scores = np.array([record.get("score", 1.0) for record in records], dtype=np.float64)
        boxes = boxes.reshape(len(image_id), 4)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReadError(
            f"{path}: not a list of detections with 'image_id' and 'bbox': {error}"
        ) from error
    return image_id, boxes, scores


def people_of(truth: Dataset, boxes: Boxes) -> Dataset:
    """The images of a data set with one unlabelled person for each detected box.

    Boxes with a score under `MIN_SCORE`, without extent, or in images that the data set does
    not have are left out.
    """
    image_id, box, score = boxes
    kept = (score >= MIN_SCORE) & (box[:, 2:] > 0).all(axis=1)
    kept &= np.isin(image_id, truth.images.ids)
    count, keypoints = int(kept.sum()), truth.schema.num_keypoints
    people = Annotations.from_arrays(
        truth.schema,
        image_id[kept],
        np.full((count, keypoints, 2), np.nan),
        np.zeros((count, keypoints), np.uint8),
        box[kept],
    )
    return replace(truth, annotations=people, digest=None, source=None)
