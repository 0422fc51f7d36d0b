"""AUC: the area under the PCKh curve over thresholds from 0 to 0.5 head sizes.

Computed exactly, not on a grid: a keypoint with error e is right for the share
1 - e / 0.5 of the thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LIMIT = 0.5
RULE = f"mean of PCKh over all thresholds in [0, {LIMIT}] head sizes, exact integral"


def auc(errors_in_heads: Floats) -> Floats:
    """(N, K) share of thresholds at which each keypoint is right; NaN stays NaN."""
    return np.clip(1 - errors_in_heads / LIMIT, 0, 1)
