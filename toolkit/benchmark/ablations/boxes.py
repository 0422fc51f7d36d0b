"""Detected person boxes in place of the true ones: what table 7 compares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.annotations import Annotations, Predictions
from toolkit.dataset import Dataset
from toolkit.detectors import USED_SCORE, category_of


def people_of(truth: Dataset, boxes: Predictions) -> Dataset:
    """The images of a data set with one unlabelled person for each detected box.

    Boxes with a score under `USED_SCORE`, without extent, or in images that the data set does
    not have are left out.

    Args:
        truth: Whose images, and whose category the people get.
        boxes: As `toolkit.formats.read_predictions` reads a detector's; nothing else counts.
    """
    box = boxes.bbox_xywh
    kept = (boxes.scores >= USED_SCORE) & (box[:, 2:] > 0).all(axis=1)
    kept &= np.isin(boxes.image_id, truth.images.ids)
    count, keypoints = int(kept.sum()), truth.schema.num_keypoints
    people = Annotations.from_arrays(
        truth.schema,
        boxes.image_id[kept],
        np.full((count, keypoints, 2), np.nan),
        np.zeros((count, keypoints), np.uint8),
        box[kept],
        category_id=np.full(count, category_of(truth), np.int64),
    )
    return replace(truth, annotations=people, digest=None, source=None)
