"""Intervals for means of values that hang together: people of one clip, or of one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float] | None
LEVEL = 0.95
RESAMPLES = 1000


def group_weights(group: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """(R, U) how often each row is drawn when groups are drawn with replacement."""
    count = int(group.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / max(count, 1)), size=RESAMPLES)
    return np.asarray(drawn[:, group], dtype=np.float64)


def mean_interval(
    total: Floats, count: Floats, weights: NDArray[np.float64]
) -> tuple[float | None, Interval]:
    """A mean and its 95 % percentile interval.

    Args:
        total: (U,) sum of the values of each row.
        count: (U,) how many values each row has.
        weights: (R, U) from `group_weights`.

    Returns:
        None for both where there is no value; no interval where fewer than two groups have
        values.
    """
    number = count.sum()
    if not number:
        return None, None
    drawn = weights @ count
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ total) / drawn
    means = means[drawn > 0]
    valued = weights[:, count > 0]  # rows of one group are drawn equally often
    if len(means) < RESAMPLES // 2 or not (valued != valued[:, :1]).any():
        return float(total.sum() / number), None
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(total.sum() / number), (float(low), float(high))
