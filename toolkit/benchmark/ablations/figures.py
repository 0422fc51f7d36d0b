"""Charts of the first seed's errors: by distance from the crop, by predicted scale, by score.

All of them count labelled keypoints of the test set; errors are in head sizes, and "right"
is PCKh@0.5. The crop is the one that networks on the human box are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.benchmark.render_html import Figure
from toolkit.charts import COLORS, Series, curves
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.geometry import distance_from_box, expand_to_aspect
from toolkit.metrics import errors_in_heads
from toolkit.metrics.calibration import clips_or_images, held_out, reliability, within_heads

Floats = NDArray[np.float64]
DISTANCES = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0)  # heads, edges of bins
SCALES = 8  # bins of the predicted scale, equally full
FEWEST = 10  # keypoints in a bin; fewer say nothing


@dataclass(frozen=True)
class Crop:
    """The crop of the networks on the human box.

    Attributes:
        aspect: Width by height.
        padding: Factor on both sides after the box has that aspect.
    """

    aspect: float = 96 / 128
    padding: float = 1.1


def make_figures(
    truth: Dataset, predictions: Mapping[str, Predictions], data: str
) -> list[Figure]:
    """All charts that the predictions allow.

    Args:
        truth: The test set.
        predictions: By row label, one seed each, in the truth's schema.
        data: What the numbers were measured on, for the notes.

    Raises:
        InvalidDataError: No labelled person has a head size.
    """
    errors = {label: errors_in_heads(truth, p).heads for label, p in predictions.items()}
    distance = edge_distance(truth, Crop())
    figures = [
        _by_distance(errors, distance, data, right=False),
        _by_distance(errors, distance, data, right=True),
    ]
    scales = {
        label: scale_in_heads(truth, p)
        for label, p in predictions.items()
        if p.sigma is not None
    }
    edges = _equally_full(scales)
    if len(edges) > 1:
        figures.append(_by_scale(errors, scales, edges, data))
    figures.append(_reliability(truth, predictions, data))
    return figures


def edge_distance(truth: Dataset, crop: Crop) -> Floats:
    """(N, K) signed distance from the crop's edge in head sizes: negative inside.

    NaN where a keypoint is not labelled or the instance has no head size.
    """
    people = truth.annotations
    region = expand_to_aspect(people.bbox_xywh, crop.aspect, crop.padding)
    heads = distance_from_box(people.keypoints, region) / _heads(truth)[:, None]
    return np.asarray(np.where(people.labelled, heads, np.nan))


def scale_in_heads(truth: Dataset, predictions: Predictions) -> Floats:
    """(N, K) predicted scale, mean of both axes, in head sizes of the annotated person.

    NaN where no prediction names the annotation, or it has no scale.
    """
    return _aligned(truth, predictions, _mean_sigma(predictions)) / _heads(truth)[:, None]


def binned(
    values: Floats, by: Floats, edges: Floats, *, share: bool
) -> tuple[list[float], list[float | None]]:
    """Centres of the bins, and in each the median of the values or the share up to 0.5.

    Args:
        values: (M,) errors in heads; NaN is left out.
        by: (M,) what is binned.
        edges: (B + 1,) ascending; the last edge belongs to the last bin.
        share: The share of values up to 0.5 in place of the median.

    Returns:
        B centres, and B numbers, None where fewer than `FEWEST` values are in the bin.
    """
    known = ~(np.isnan(values) | np.isnan(by))
    values, by = values[known], by[known]
    place = np.clip(np.searchsorted(edges, by, side="right") - 1, -1, len(edges) - 1)
    place[by == edges[-1]] = len(edges) - 2
    found: list[float | None] = []
    for number in range(len(edges) - 1):
        inside = values[place == number]
        if len(inside) < FEWEST:
            found.append(None)
        else:
            number_ = np.mean(inside <= 0.5) if share else np.median(inside)
            found.append(float(number_) if np.isfinite(number_) else None)
    return [float(c) for c in (edges[:-1] + edges[1:]) / 2], found


def _by_distance(
    errors: Mapping[str, Floats], distance: Floats, data: str, *, right: bool
) -> Figure:
    edges = np.array(DISTANCES)
    series, x = [], [0.0]
    for index, (label, values) in enumerate(errors.items()):
        x, y = binned(values.ravel(), distance.ravel(), edges, share=right)
        series.append(Series(label, y, COLORS[index % len(COLORS)]))
    what = "PCKh@0.5" if right else "Median error (heads)"
    svg = curves(
        f"{what} by distance from the crop's edge",
        x,
        series,
        x_name="head sizes from the crop's edge; right of 0: outside",
        marks=[(0.0, "edge of the crop")],
        show=None if right else lambda value: f"{value:.1f}",
    )
    name = "pckh-by-distance" if right else "error-by-distance"
    return Figure(name, f"{what} by distance from the crop's edge", _note(data), svg)


def _equally_full(scales: Mapping[str, Floats]) -> Floats:
    """Edges of bins for all rows; fewer than two where hardly any scale is known."""
    pooled = [scale[np.isfinite(scale)] for scale in scales.values()]
    if not any(scale.size for scale in pooled):  # no row has scales, or nobody a head size
        return np.empty(0)
    edges = np.quantile(np.concatenate(pooled), np.linspace(0, 1, SCALES + 1))
    return np.asarray(np.unique(edges))


def _by_scale(
    errors: Mapping[str, Floats], scales: Mapping[str, Floats], edges: Floats, data: str
) -> Figure:
    """The bins are the same for all rows."""
    series, x = [], [0.0]
    for index, (label, scale) in enumerate(scales.items()):
        x, y = binned(errors[label].ravel(), scale.ravel(), edges, share=False)
        series.append(Series(label, y, COLORS[index % len(COLORS)]))
    svg = curves(
        "Median error by predicted scale",
        x,
        series,
        x_name="predicted scale in head sizes",
        show=lambda value: f"{value:.1f}",
    )
    note = (
        f"{_note(data)} RLE's flow gives a scale its meaning: its order counts, not its size."
    )
    return Figure("error-by-scale", "Median error (heads) by predicted scale", note, svg)


def _reliability(truth: Dataset, predictions: Mapping[str, Predictions], data: str) -> Figure:
    """Raw scores, and the first row's as probabilities: each half fitted on the other."""
    scores = {
        label: _aligned(truth, found, found.keypoint_scores)
        for label, found in predictions.items()
    }
    right = {label: within_heads(truth, found) for label, found in predictions.items()}
    first = next(iter(scores))
    group, unit = clips_or_images(truth)
    told = f"Fitted: {first}, each half of the {unit}s by a fit on the other half."
    try:
        fitted = held_out(truth.schema.names, scores[first], right[first], group)
    except InvalidDataError as error:
        told = f"No fitted scores: {error}."
    else:
        scores["fitted scores"], right["fitted scores"] = fitted, right[first]
    series, gaps = [], []
    for index, (label, values) in enumerate(scores.items()):
        known = ~np.isnan(values)
        found = reliability(values[known], right[label][known])
        shares = [
            float(share) if count >= FEWEST else None
            for share, count in zip(found.share, found.count, strict=True)
        ]
        series.append(Series(label, shares, COLORS[index % len(COLORS)]))
        gaps.append(f"{label} {found.ece:.3f}")
    centers = ((found.edges[:-1] + found.edges[1:]) / 2).tolist()
    series.append(Series("score = share right", centers, "#888888", dashed=True))
    svg = curves("Share of keypoints that are right, by score", centers, series, x_name="score")
    note = f"{_note(data)} {told} Expected calibration error: {', '.join(gaps)}."
    title = "Reliability: share within half a head, by score"
    return Figure("reliability", title, note, svg)


def _note(data: str) -> str:
    return f"{data}; first training seed; bins with fewer than {FEWEST} keypoints are left out."


def _heads(truth: Dataset) -> Floats:
    from toolkit.metrics.head_size import head_sizes

    return head_sizes(truth.annotations).size


def _mean_sigma(predictions: Predictions) -> Floats:
    assert predictions.sigma is not None
    return np.asarray(predictions.sigma.mean(axis=2))


def _aligned(truth: Dataset, predictions: Predictions, values: Floats) -> Floats:
    """(N, K) values of the predictions in the order of the annotations, by annotation id."""
    ids = truth.annotations.instance_id
    order = np.argsort(predictions.annotation_id, kind="stable")
    at = np.searchsorted(predictions.annotation_id[order], ids)
    at = np.minimum(at, len(order) - 1)
    rows = order[at]
    named = predictions.annotation_id[rows] == ids
    return np.asarray(np.where(named[:, None], values[rows], np.nan))
