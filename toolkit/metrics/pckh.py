"""PCKh: the share of keypoints within a part of the head size of their true place.

Every labelled keypoint of a non-crowd instance with a head size counts. Where no
prediction answers for the instance, its keypoints count as wrong, and as infinitely far in
a median. The median error in head sizes stands beside every PCKh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions
from toolkit.metrics.head_size import HeadSizes, head_sizes
from toolkit.metrics.pairing import Pairing

Floats = NDArray[np.float64]
THRESHOLDS = (0.5, 0.1)


@dataclass(frozen=True)
class KeypointErrors:
    """How far each predicted keypoint lies from the truth.

    Attributes:
        px: (N, K) distance in px; infinite where no prediction answers, NaN where the
            keypoint is not labelled or the instance is a crowd.
        heads: (N, K) distance in head sizes; also NaN where there is no head size.
        head: The head sizes and the steps that gave them.
    """

    px: Floats
    heads: Floats
    head: HeadSizes


def keypoint_errors(
    truth: Annotations, predictions: Predictions, pairing: Pairing
) -> KeypointErrors:
    """Distances of every labelled keypoint from the prediction that answers for it."""
    paired = pairing.prediction >= 0
    px = np.full(truth.visibility.shape, np.inf)
    offset = predictions.keypoints[pairing.prediction[paired]] - truth.keypoints[paired]
    px[paired] = np.hypot(offset[..., 0], offset[..., 1])
    px[~truth.labelled | truth.is_crowd[:, None]] = np.nan
    head = head_sizes(truth)
    return KeypointErrors(px=px, heads=px / head.size[:, None], head=head)


def pckh(errors_in_heads: Floats, threshold: float) -> Floats:
    """(N, K) 1 where within `threshold` head sizes, edge included, else 0; NaN stays NaN."""
    return np.where(np.isnan(errors_in_heads), np.nan, errors_in_heads <= threshold)


def median_error(errors_in_heads: Floats) -> float:
    """Median of the errors that are not NaN; infinite if more than half are, NaN if none."""
    known = errors_in_heads[~np.isnan(errors_in_heads)]
    return float(np.median(known)) if known.size else float("nan")
