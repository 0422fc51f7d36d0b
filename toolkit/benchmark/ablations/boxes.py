"""Detected person boxes in place of the true ones: what table 7 compares."""

from __future__ import annotations

import numpy as np

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.detectors import USED_SCORE, people_in_boxes


def people_of(truth: Dataset, boxes: Predictions) -> Dataset:
    """The images of a data set with one unlabelled person for each detected box.

    Boxes with a score under `USED_SCORE`, without extent, or in images that the data set does
    not have are left out.

    Args:
        truth: Whose images and category are taken.
        boxes: As `toolkit.formats.read_predictions` reads a detector's; nothing else counts.
    """
    box = boxes.bbox_xywh
    kept = (boxes.scores >= USED_SCORE) & (box[:, 2:] > 0).all(axis=1)
    kept &= np.isin(boxes.image_id, truth.images.ids)
    return people_in_boxes(truth, boxes.image_id[kept], box[kept])
