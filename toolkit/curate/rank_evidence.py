"""Kinds of label errors, each with its odds against "the label is right".

All odds are natural logarithms of likelihood ratios under one density (`rank_scale`), so
that a swap, a stray keypoint and a missing one can stand in one queue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions, Visibility
from toolkit.curate.rank_expect import expected
from toolkit.curate.rank_scale import NEAREST, Scale, calibrate, log_density
from toolkit.geometry import inside_box
from toolkit.metrics.matching import image_pairs
from toolkit.metrics.pairing import keypoint_extent

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]
NOTHING = -np.inf
PAIR_COST = 2.0  # odds that each exchanged pair needs when sides differ in part of a body
SCORE_BANDS = 5
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Labels:
    """N instances with a prediction for each, in the same order.

    Attributes:
        people: The labels.
        predicted: The model's answers.
        image_row: (N,) which image each is of; only equality matters.
        order: (N,) the rows in an order that does not depend on the file's.
    """

    people: Annotations
    predicted: Predictions
    image_row: Indices
    order: Indices

    @cached_property
    def size(self) -> Floats:
        """(N,) px: the person's length, the root of the box's area."""
        size = _side(self.people.bbox_xywh)
        extent = _side(keypoint_extent(self.predicted.keypoints))
        return np.asarray(np.fmax(np.where(np.isnan(size), extent, size), 1.0))

    @cached_property
    def centre(self) -> Floats:
        """(N, 2) px: the box's centre, or that of the predicted keypoints."""
        boxes = self.people.bbox_xywh
        middle = boxes[:, :2] + boxes[:, 2:] / 2
        fallback = self.predicted.keypoints.mean(axis=1)
        return np.asarray(np.where(np.isfinite(middle), middle, fallback))

    @cached_property
    def points(self) -> Floats:
        """(N, K, 2) px, NaN where not labelled or not finite."""
        points = self.people.keypoints
        return np.where(np.isfinite(points).all(axis=2, keepdims=True), points, np.nan)

    @cached_property
    def known(self) -> Bools:
        """(N, K) labelled keypoints."""
        return np.asarray(np.isfinite(self.points[..., 0]))

    @cached_property
    def offset(self) -> Floats:
        """(N, K, 2) label minus prediction in lengths of the person."""
        away = self.points - self.predicted.keypoints
        return np.asarray(away / self.size[:, None, None])

    @cached_property
    def features(self) -> Floats:
        """(N, K, 5) what is known before the label is seen, but for its visibility."""
        spread = np.log(self._predicted_scale / self.size[:, None])
        shape = spread.shape
        visible = self.people.visibility == Visibility.VISIBLE
        overlap = np.broadcast_to(self._overlap[:, None], shape)
        inside = inside_box(self.predicted.keypoints, self.people.bbox_xywh)
        square = (spread - spread.mean()) ** 2 if spread.size else spread
        return np.stack([spread, square, visible, overlap, inside], axis=2).astype(np.float64)

    @property
    def _predicted_scale(self) -> Floats:
        """(N, K) px; one number for a keypoint where the model gives none."""
        if self.predicted.sigma is None:
            return np.broadcast_to(0.1 * self.size[:, None], self.known.shape)
        scale = np.sqrt(np.abs(self.predicted.sigma).prod(axis=2))
        least = NEAREST * self.size[:, None]
        usable = np.where(np.isfinite(scale), scale, self.size[:, None])
        return np.asarray(np.maximum(usable, least))

    @property
    def _overlap(self) -> Floats:
        """(N,) largest share of the box that another box of the image covers."""
        boxes = np.nan_to_num(self.people.bbox_xywh)
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        one, other = self.neighbours
        side = np.minimum(high[one], high[other]) - np.maximum(low[one], low[other])
        area = np.maximum(boxes[:, 2] * boxes[:, 3], 1e-9)
        covered: Floats = np.zeros(len(boxes))
        np.maximum.at(covered, one, np.clip(side, 0, None).prod(axis=1) / area[one])
        return np.asarray(np.minimum(covered, 1.0))

    @cached_property
    def neighbours(self) -> tuple[Indices, Indices]:
        """Rows of all ordered pairs of two instances of one image."""
        images = int(self.image_row.max(initial=-1)) + 1
        one, other = image_pairs(self.image_row, self.image_row, images)
        apart = one != other
        return one[apart], other[apart]


def _side(boxes: Floats) -> Floats:
    """(N,) root of the area of xywh boxes, NaN where there is none."""
    sides = boxes[:, 2:]
    usable = (np.isfinite(sides) & (sides > 0)).all(axis=1)
    return np.asarray(np.sqrt(np.where(usable, sides[:, 0] * sides[:, 1], np.nan)))


@dataclass(frozen=True)
class Hearing:
    """How far labels lie from where they are expected.

    Attributes:
        distance: (N, K) in lengths of the person; NaN where there is no label, or where
            nothing is expected.
        scale: What distances are ordinary.
    """

    distance: Floats
    scale: Scale

    @cached_property
    def surprise(self) -> Floats:
        """(N, K) odds of "moved by an error" against "as expected"; 0 where nothing is said."""
        return np.nan_to_num(self.scale.surprise(self.distance), nan=0.0)


@dataclass(frozen=True)
class Judged:
    """What the labels look like in the light of the model, and of each other.

    Attributes:
        labels: What was judged.
        alone: Scale of the distance to the prediction.
        together: By the prediction and the person's other labels.
        pose: By the person's other labels only: where the model took somebody else for this
            person, they still tell. Nothing is said of people without a box.
    """

    labels: Labels
    alone: Scale
    together: Hearing
    pose: Hearing


def judge(labels: Labels, progress: Callable[[int, int], None] | None = None) -> Judged:
    """Learn from the set what is ordinary, and hold every label against it."""

    def half(number: int) -> Callable[[int, int], None] | None:
        if progress is None:
            return None
        return lambda done, of: progress(number * of + done, 2 * of)

    size = labels.size[:, None, None]
    alone = _hearing(labels, labels.offset).scale
    predicted = (labels.predicted.keypoints - labels.centre[:, None]) / size
    answer = expected(labels.offset, predicted, labels.order, half(0))
    remainder = labels.offset - np.nan_to_num(answer)  # where nothing is: the prediction
    together = _hearing(labels, remainder, np.log(alone.width))
    boxed = np.isfinite(_side(labels.people.bbox_xywh))[:, None, None]
    place = np.where(boxed, (labels.points - labels.centre[:, None]) / size, np.nan)
    answer = expected(place, place[:, :0], labels.order, half(1))
    unheard = labels.known.shape[1] - labels.known.sum(axis=1, keepdims=True)
    few = np.broadcast_to(np.log1p(unheard), labels.known.shape)
    return Judged(labels, alone, together, _hearing(labels, place - answer, few))


def _hearing(labels: Labels, remainder: Floats, more: Floats | None = None) -> Hearing:
    """Learn how large (N, K, 2) remainders are, given what is known and (N, K) `more`."""
    features = labels.features
    if more is not None:
        features = np.concatenate([features, more[..., None]], axis=2)
    distance = np.hypot(remainder[..., 0], remainder[..., 1])
    return Hearing(distance, calibrate(labels.people.schema, distance, features))


def misplaced(judged: Judged) -> Floats:
    """(N, K) odds that a keypoint was moved by an error; -inf where not labelled."""
    odds = judged.together.surprise + judged.pose.surprise
    return np.where(judged.labels.known, odds, NOTHING)


def exchanged(judged: Judged) -> tuple[list[tuple[int, int]], Floats]:
    """Pairs of sides (left, right), and (N, pairs) odds that their labels are exchanged."""
    labels, scale = judged.labels, judged.alone
    flip = labels.people.schema.flip_index
    pairs = [(k, int(flip[k])) for k in range(len(flip)) if k < flip[k]]
    crossed = (labels.points[:, flip] - labels.predicted.keypoints) / labels.size[:, None, None]
    straight = np.hypot(labels.offset[..., 0], labels.offset[..., 1])
    gain = scale.log_density(np.hypot(crossed[..., 0], crossed[..., 1]))
    gain = np.nan_to_num(gain - scale.log_density(straight), nan=0.0)
    if not pairs:
        return [], np.zeros((len(labels.people), 0))
    return pairs, np.stack([gain[:, a] + gain[:, b] for a, b in pairs], axis=1)


def of_another(judged: Judged) -> tuple[Floats, Indices]:
    """(N, K) odds that a keypoint is another person's, and (N, K) whose (row; -1: nobody's)."""
    labels, scale = judged.labels, judged.together.scale
    one, other = labels.neighbours
    best = np.full(labels.known.shape, NOTHING)
    whose = np.full(labels.known.shape, -1)
    own = scale.log_density(judged.together.distance)
    crowd = np.bincount(one, minlength=len(best))
    # Pairs are sorted by `other`; walking them in chunks keeps memory small.
    for start in range(0, len(one), _CHUNK):
        a, b = one[start : start + _CHUNK], other[start : start + _CHUNK]
        away = labels.points[a] - labels.predicted.keypoints[b]
        distance = np.hypot(away[..., 0], away[..., 1]) / labels.size[b][:, None]
        odds = log_density(distance, scale.width[b], scale.tail[b])
        odds += (2 * np.log(labels.size[a] / labels.size[b]) - np.log(crowd[a]))[:, None]
        odds = np.nan_to_num(odds - own[a], nan=NOTHING)
        np.maximum.at(best, a, odds)
        for k in range(odds.shape[1]):
            hit = odds[:, k] >= best[a, k]
            whose[a[hit], k] = b[hit]
    whose[~np.isfinite(best)] = -1
    return best, whose


def missing(judged: Judged) -> Floats:
    """(N, K) odds that a label is missing; -inf where there is one.

    The surprise at its absence, given how often the set has this keypoint where the model
    is as sure of it: a keypoint that is often left out surprises nobody.
    """
    labels = judged.labels
    scores = labels.predicted.keypoint_scores
    odds = np.full(labels.known.shape, NOTHING)
    for k in range(odds.shape[1] if len(odds) else 0):
        edges = np.quantile(scores[:, k], np.arange(1, SCORE_BANDS) / SCORE_BANDS)
        band = np.digitize(scores[:, k], edges)
        for number in range(SCORE_BANDS):
            inside = band == number
            absent = inside & ~labels.known[:, k]
            odds[absent, k] = -np.log((absent.sum() + 0.5) / (inside.sum() + 1))
    return odds
