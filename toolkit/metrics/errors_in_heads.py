"""Errors in head sizes as an array, for tables and pictures that pool them their own way."""

from __future__ import annotations

import numpy as np

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.metrics.pairing import Pairing, pair_instances
from toolkit.metrics.pckh import KeypointErrors, keypoint_errors
from toolkit.metrics.scoring import check_sides, rows_of_ids


def errors_in_heads(truth: Dataset, predictions: Predictions) -> KeypointErrors:
    """Distance of each labelled keypoint from its prediction, in px and in head sizes.

    Returns:
        `px` and `heads`, (N, K): infinite where no prediction answers, NaN where the
        keypoint is not labelled (or, for `heads`, the instance has no head size); and
        `head`, the (N,) head sizes with the step that gave each.

    Raises:
        InvalidDataError: No ground truth, or results for unknown images.
    """
    predictions = check_sides(truth, predictions)
    return keypoint_errors(truth.annotations, predictions, pair_people(truth, predictions))


def pair_people(truth: Dataset, predictions: Predictions) -> Pairing:
    """Which prediction answers for each person; `predictions` has passed `check_sides`."""
    image_ids = np.sort(truth.images.ids)
    return pair_instances(
        truth.annotations,
        rows_of_ids(image_ids, truth.annotations.image_id),
        predictions,
        rows_of_ids(image_ids, predictions.image_id),
        len(image_ids),
    )
