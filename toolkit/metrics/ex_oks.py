"""Ex-OKS: OKS that also judges whether a keypoint was said to be outside the crop.

From the formula of ProbPose (Purkrabek and Matas, CVPR 2025), written from the paper's
text. The activation window is the ground-truth box grown to 3:4, then by 1.25. The
distance of a keypoint depends on where truth and prediction stand:

- truth in, prediction in: their distance;
- truth out, prediction in: the prediction's way to the window's edge;
- truth in, prediction out: the truth's way to the edge;
- both out: 0.

A prediction is "out" when its keypoint score is below 0.5. The published implementation
measures the way to the edge as sqrt(mx² + my²) of the nearest margins in x and y, not as
the nearest edge: variant `exococotools` does the same, `paper` follows the formula.

Full credit for abstaining is not what a stick outside the box needs: it must be found.
Ex-OKS is therefore a secondary metric here; PCKh by stratum is the headline.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Visibility
from toolkit.geometry import expand_to_aspect

Floats = NDArray[np.float64]
Variant = Literal["paper", "exococotools"]
ASPECT = 3 / 4
PADDING = 1.25
CONFIDENCE = 0.5
_EPS = float(np.spacing(1))


def ex_oks_terms(
    truth_points: Floats,
    visibility: NDArray[np.uint8],
    bbox_xywh: Floats,
    area: Floats,
    predicted: Floats,
    confidence: Floats,
    sigmas: Floats,
    *,
    confidence_threshold: float = CONFIDENCE,
    variant: Variant = "paper",
) -> Floats:
    """Similarity of each keypoint of N paired instances.

    Args:
        truth_points: (N, K, 2) px.
        visibility: (N, K); 3 is outside the window whatever the coordinates say.
        bbox_xywh: (N, 4) px, ground truth.
        area: (N,) px².
        predicted: (N, K, 2) px.
        confidence: (N, K) keypoint scores.
        sigmas: (K,).
        confidence_threshold: Below it a prediction says "outside".
        variant: How the way to the window's edge is measured.

    Returns:
        (N, K) in [0, 1], NaN where not labelled; their mean over K is the Ex-OKS.
    """
    window = expand_to_aspect(bbox_xywh, ASPECT, PADDING)
    truth_margin = _way_out(truth_points, window, variant)
    truth_in = (truth_margin > 0) & (visibility != Visibility.BEYOND)
    predicted_in = confidence >= confidence_threshold
    offset = predicted - truth_points
    distance = np.where(
        truth_in,
        np.where(predicted_in, np.hypot(offset[..., 0], offset[..., 1]), truth_margin),
        np.where(predicted_in, _way_out(predicted, window, variant), 0.0),
    )
    variances = (sigmas * 2) ** 2
    with np.errstate(over="ignore", under="ignore"):
        terms = np.exp(-(distance**2) / (2 * variances * (area + _EPS)[:, None]))
    return np.where(visibility > 0, terms, np.nan)


def ex_oks(terms: Floats) -> Floats:
    """(N,) Ex-OKS of each instance: mean over labelled keypoints, NaN without any."""
    known = ~np.isnan(terms)
    total = np.where(known, terms, 0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def _way_out(points: Floats, window_xywh: Floats, variant: Variant) -> Floats:
    """(N, K) px from each point to the window's edge; 0 for points outside it."""
    low = points - window_xywh[:, None, :2]
    high = window_xywh[:, None, :2] + window_xywh[:, None, 2:] - points
    margin = np.minimum(low, high)  # (N, K, 2), negative outside
    nearest = np.maximum(margin.min(axis=2), 0)
    if variant == "paper":
        return np.asarray(nearest)
    return np.where(nearest > 0, np.hypot(margin[..., 0], margin[..., 1]), 0.0)
