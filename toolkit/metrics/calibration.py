"""Keypoint scores as probabilities: how far they are from it, and a fit that makes them so.

The event is that a keypoint lies within half a head size of the truth (PCKh@0.5), wherever
it is, in the crop or out. A calibrated score of 0.7 is right seven times in ten.

The fit is Platt's: for each keypoint, `p = sigmoid(offset + slope * logit(score))`, two
numbers fitted by maximum likelihood. A network's raw score falls with its predicted scale (one
minus sigma), so that this is a logistic curve in the logarithm of sigma. It keeps the order of
a keypoint's scores. It is fitted on validation data; training data would flatter it.

Source: Platt, "Probabilistic outputs for support vector machines", 1999; expected calibration
error as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, ten equal bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.charts import COLORS, SOFT, Series, curves, standalone
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.metrics.bootstrap import By, clip_or_image, units
from toolkit.metrics.errors_in_heads import errors_in_heads

Floats = NDArray[np.float64]
HEADS = 0.5
BINS = 10
ENOUGH = 50  # labelled instances, with ten of either kind, that a keypoint's own fit needs
PRIOR = 1e-3  # keeps the fit finite where scores separate right from wrong
EDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """The fit of a model.

    Attributes:
        keypoints: K names.
        slope: (K,).
        offset: (K,).
        heads: Distance of the event in head sizes.
    """

    keypoints: tuple[str, ...]
    slope: Floats
    offset: Floats
    heads: float = HEADS

    def apply(self, scores: Floats) -> Floats:
        """Probabilities, (N, K) from raw scores (N, K); NaN stays NaN."""
        result: Floats = 1 / (1 + np.exp(-(self.offset + self.slope * logit(scores))))
        return result

    def to_facts(self) -> dict[str, object]:
        """JSON values, for the facts of a checkpoint."""
        pairs = zip(self.keypoints, self.slope, self.offset, strict=True)
        return {
            "method": "platt",
            "event": f"error <= {self.heads} head sizes",
            "heads": self.heads,
            "keypoints": {
                name: {"slope": round(float(a), 5), "offset": round(float(b), 5)}
                for name, a, b in pairs
            },
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, object], names: Sequence[str]) -> Calibration:
        """What `to_facts` gave, in the order of some names.

        Raises:
            KeyError, TypeError, ValueError: It is something else, or lacks a name.
        """
        if facts["method"] != "platt":
            raise ValueError(f"method {facts['method']!r}")
        stored = facts["keypoints"]
        if not isinstance(stored, dict):
            raise TypeError("'keypoints' is no object")
        rows = [stored[name] for name in names]
        return cls(
            tuple(names),
            np.array([float(row["slope"]) for row in rows]),
            np.array([float(row["offset"]) for row in rows]),
            float(facts["heads"]),  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Reliability:
    """Scores beside what came true, in equal bins of the score.

    Attributes:
        edges: (B + 1,) of the bins.
        count: (B,) keypoints.
        score: (B,) mean score, NaN where empty.
        share: (B,) share that was right, NaN where empty.
        ece: Expected calibration error: the mean gap, each bin by its count.
    """

    edges: Floats
    count: NDArray[np.int64]
    score: Floats
    share: Floats
    ece: float


def within_heads(truth: Dataset, predictions: Predictions, heads: float = HEADS) -> Floats:
    """(N, K) 1 where a keypoint lies within so many head sizes, 0 where not, NaN unlabelled.

    Raises:
        InvalidDataError: No instance has a head size.
    """
    errors = errors_in_heads(truth, predictions).heads
    if np.isnan(errors).all():
        raise InvalidDataError(
            f"{truth.name}: no labelled keypoint of a person with a head size; calibration "
            "counts errors in head sizes, so 'head_box' or a torso is needed"
        )
    return np.where(np.isnan(errors), np.nan, (errors <= heads).astype(np.float64))


def logit(scores: Floats) -> Floats:
    """Log odds; scores are kept `EDGE` away from 0 and 1."""
    kept = np.clip(scores, EDGE, 1 - EDGE)
    result: Floats = np.log(kept / (1 - kept))
    return result


def fit_calibration(names: Sequence[str], scores: Floats, right: Floats) -> Calibration:
    """Fit every keypoint; one with too few labels shares the fit of all together.

    Args:
        names: K keypoints.
        scores: (N, K) raw scores.
        right: (N, K) 1, 0, or NaN for not counted.
    """
    known = ~np.isnan(right)
    shared = _platt(scores[known], right[known])
    pairs = []
    for column in range(len(names)):
        mine = known[:, column]
        hits = right[mine, column].sum()
        enough = mine.sum() >= ENOUGH and 10 <= hits <= mine.sum() - 10
        pairs.append(_platt(scores[mine, column], right[mine, column]) if enough else shared)
    slope, offset = np.array(pairs).T
    return Calibration(tuple(names), slope, offset)


def _platt(scores: Floats, right: Floats) -> tuple[float, float]:
    """Slope and offset of greatest likelihood, by Newton's steps, halved if too long."""
    if not len(right):
        return 0.0, 0.0
    odds = logit(scores)
    middle, width = odds.mean(), max(odds.std(), EDGE)
    x = np.stack([(odds - middle) / width, np.ones(len(odds))], axis=1)  # (M, 2)

    def cost(weights: Floats) -> float:
        lifted = x @ weights
        loss = np.logaddexp(0, lifted) - right * lifted
        return float(loss.sum() + PRIOR * (weights**2).sum() / 2)

    weights: Floats = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (p - right) + PRIOR * weights
        curve = (x * (p * (1 - p))[:, None]).T @ x + PRIOR * np.eye(2)
        step = np.linalg.solve(curve, slope)
        while cost(weights - step) > cost(weights) and np.abs(step).max() > EDGE:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= EDGE:
            break
    if weights[0] < 0:  # scores that say nothing must not be turned round
        share = np.clip(right.mean(), EDGE, 1 - EDGE)
        return 0.0, float(np.log(share / (1 - share)))
    return float(weights[0] / width), float(weights[1] - weights[0] * middle / width)


def clips_or_images(truth: Dataset) -> tuple[NDArray[np.int64], By]:
    """What `held_out` parts by: (N,) the clip of each person, and the word for it.

    Frames of a clip look alike, so that a fit on one of them has as good as seen the others.
    By image where an image names no clip, or all name the same.
    """
    by = clip_or_image(truth.images, least=2)
    return units(truth.images, by)[truth.image_row], by


def held_out(
    names: Sequence[str], scores: Floats, right: Floats, group: NDArray[np.int64]
) -> Floats:
    """Calibrated scores, (N, K), each by a fit that has not seen its clip (or image).

    Args:
        names: K keypoints.
        scores: (N, K) raw.
        right: (N, K) as in `fit_calibration`.
        group: (N,) clip or image of each row, see `clips_or_images`; of those that count,
            every other one, in order, is one half.

    Raises:
        InvalidDataError: Fewer than two groups count, so that a half has nothing to fit.
    """
    counts = ~np.isnan(right).all(axis=1)
    used = np.unique(group[counts])
    if len(used) < 2:
        raise InvalidDataError(
            "calibration: labelled people with a head size are in fewer than 2 clips (or "
            "images, where no clip is named); one is needed to fit on, another to measure on"
        )
    half = np.searchsorted(used, group) % 2
    found = np.full(scores.shape, np.nan)
    for side in (0, 1):
        fitted = fit_calibration(names, scores[half != side], right[half != side])
        found[half == side] = fitted.apply(scores[half == side])
    return found


def reliability(scores: Floats, right: Floats) -> Reliability:
    """Scores in bins beside the share that was right; NaN in `right` is not counted."""
    known = ~np.isnan(right)
    score, hit = scores[known], right[known]
    edges: Floats = np.linspace(0, 1, BINS + 1, dtype=np.float64)
    place = np.clip((score * BINS).astype(int), 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, score, BINS) / count
        share = np.bincount(place, hit, BINS) / count
    gap = np.nan_to_num(np.abs(mean - share))
    return Reliability(edges, count, mean, share, float((gap * count).sum() / count.sum()))


def reliability_chart(found: Mapping[str, Reliability], title: str = "Reliability") -> str:
    """A standalone SVG: the share that was right against the score, a line for each entry."""
    first = next(iter(found.values()))
    x = ((first.edges[:-1] + first.edges[1:]) / 2).tolist()
    series = [
        Series(
            f"{name} ({entry.ece:.3f})",
            [None if np.isnan(value) else float(value) for value in entry.share],
            COLORS[index],
        )
        for index, (name, entry) in enumerate(found.items())
    ]
    perfect = Series("perfect", x, SOFT, dashed=True)
    chart = curves(
        title,
        x,
        [*series, perfect],
        x_name="share that is right by keypoint score, ten bins; (ECE)",
    )
    return standalone(chart)
