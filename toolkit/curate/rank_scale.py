"""How far a label may lie from where it is expected: a density learned from the set itself.

Most labels of a set are right. Their distances from what is expected say how large a
distance is ordinary: a regression of the logarithm of the distance on what is known
beforehand (the model's predicted scale, visibility, overlap, in or out of the box) gives
the scale of each keypoint of each person, and two quantiles in three bands of that scale
give the tail, so that a keypoint which the model cannot see does not flood the queue.
Medians and logarithms hardly move with the few labels that are wrong. The density is the
bivariate Student t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.schema import Schema

Floats = NDArray[np.float64]
NEAREST = 0.003  # of the person's size: labels are no more exact
BROAD = 0.5  # of the person's size: the scale of a label that went wrong
FEWEST = 60  # distances that a keypoint needs to be judged by itself
_BANDS = 3
_RIDGE = 3.0
_MEDIAN, _UPPER = 0.5, 0.9
_TAILS = np.geomspace(1.2, 200, 400)


@dataclass(frozen=True)
class Scale:
    """Bivariate Student t of N x K distances.

    Attributes:
        width: (N, K) scale, in the unit of the distances.
        tail: (N, K) degrees of freedom; small is heavy.
    """

    width: Floats
    tail: Floats

    def log_density(self, distance: Floats) -> Floats:
        """(N, K) natural logarithm of the density of distances; NaN stays NaN."""
        return log_density(distance, self.width, self.tail)

    def surprise(self, distance: Floats) -> Floats:
        """(N, K) log-odds of "moved by an error" against "as expected"."""
        moved = log_density(distance, np.hypot(self.width, BROAD), self.tail)
        return np.asarray(moved - self.log_density(distance))


def log_density(distance: Floats, width: Floats, tail: Floats) -> Floats:
    """Logarithm of the bivariate Student t at a distance from its centre."""
    return np.asarray(
        -np.log(2 * np.pi * width**2)
        - (tail / 2 + 1) * np.log1p(distance**2 / (tail * width**2))
    )


def pools(schema: Schema) -> list[list[int]]:
    """Keypoints that are judged together: each with its partner of the other side."""
    flip = schema.flip_index.tolist()
    return [sorted({k, flip[k]}) for k in range(len(flip)) if k <= flip[k]]


def calibrate(schema: Schema, distance: Floats, features: Floats) -> Scale:
    """Learn what distances are ordinary.

    Args:
        schema: What the keypoints are.
        distance: (N, K) in lengths of the person; NaN where not labelled.
        features: (N, K, F) what is known without the label's place.
    """
    width, tail = np.ones_like(distance), np.full_like(distance, 3.0)
    everything = list(range(distance.shape[1]))
    for pool in pools(schema):
        enough = np.isfinite(distance[:, pool]).sum() >= FEWEST
        learn_on = pool if enough else everything
        _fit_pool(distance, features, pool, learn_on, width, tail)
    return Scale(width, tail)


def _fit_pool(
    distance: Floats,
    features: Floats,
    pool: list[int],
    learn_on: list[int],
    width: Floats,
    tail: Floats,
) -> None:
    """Fill the columns `pool` of `width` and `tail` from the distances of `learn_on`."""
    known = np.isfinite(distance[:, learn_on])
    if not known.any():
        return
    learned = distance[:, learn_on][known]
    rows = features[:, learn_on][known]
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    scaled = (rows - mean) / spread
    height = np.log(np.maximum(learned, NEAREST))
    gram = scaled.T @ scaled + _RIDGE * np.eye(scaled.shape[1])
    slope = np.linalg.solve(gram, scaled.T @ (height - height.mean()))
    ordinary = np.exp(height.mean() + scaled @ slope)
    wanted = np.exp(height.mean() + (features[:, pool] - mean) / spread @ slope)
    bands = _BANDS if len(learned) >= FEWEST * _BANDS else 1
    edges = np.quantile(ordinary, np.arange(1, bands) / bands)
    of_learned, of_wanted = np.digitize(ordinary, edges), np.digitize(wanted, edges)
    for band in range(bands):
        ratio = (learned / ordinary)[of_learned == band]
        factor, freedom = _fit_tail(ratio)
        inside = of_wanted == band
        width[:, pool] = np.where(inside, wanted * factor, width[:, pool])
        tail[:, pool] = np.where(inside, freedom, tail[:, pool])
    width[:, pool] = np.maximum(width[:, pool], NEAREST)


def _fit_tail(ratio: Floats) -> tuple[float, float]:
    """Scale and degrees of freedom of a bivariate t from its median and 90 % quantile."""
    if not len(ratio):
        return 1.0, 3.0
    middle, upper = np.quantile(ratio, (_MEDIAN, _UPPER))
    middle = max(float(middle), 1e-9)
    low = (1 - _MEDIAN) ** (-2 / _TAILS) - 1
    high = (1 - _UPPER) ** (-2 / _TAILS) - 1
    best = int(np.argmin(np.abs(np.sqrt(high / low) - upper / middle)))
    freedom = float(_TAILS[best]) if len(ratio) >= 10 else 3.0
    return middle / float(np.sqrt(freedom * ((1 - _MEDIAN) ** (-2 / freedom) - 1))), freedom
