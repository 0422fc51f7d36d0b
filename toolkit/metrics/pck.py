"""PCK by box: the share of keypoints within a part of the box's longer side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
THRESHOLD = 0.2
NORM = "max(bbox width, bbox height)"


def box_norm(bbox_xywh: Floats) -> Floats:
    """(N,) longer side of each box in px, NaN where it is not positive."""
    side = bbox_xywh[:, 2:].max(axis=1)
    return np.where(side > 0, side, np.nan)


def pck(errors_px: Floats, norm: Floats, threshold: float = THRESHOLD) -> Floats:
    """(N, K) 1 where the error is at most `threshold` x norm, else 0; NaN stays NaN."""
    relative = errors_px / norm[:, None]
    return np.where(np.isnan(relative), np.nan, relative <= threshold)
