"""The AP family of one set of predictions: order, pairs, OKS, matching, curves.

One matching pass serves every area range, every crowd band, the point values and all
bootstrap resamples. Several categories are matched apart and averaged, as COCO does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.metrics.ap import (
    MAX_DETECTIONS,
    OKS_THRESHOLDS,
    Subset,
    SubsetTable,
    precision_recall,
    resampled_precision_recall,
    subset_table,
)
from toolkit.metrics.matching import (
    evaluation_order,
    greedy_match,
    image_pairs,
    near_decisions,
)
from toolkit.metrics.oks import OksTruth, exact_oks, pair_oks, reachable

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ApInput:
    """Instances and detections as arrays; the profile has made its choices already.

    Attributes:
        truth: N instances for OKS, with the profile's area.
        truth_image: (N,) image rows.
        truth_category: (N,) ids.
        truth_ignored: (N,) ignored whatever the area: crowd, or no labelled keypoints.
        truth_crowd: (N,) may be matched more than once.
        predicted: (M, K, 2) px.
        image: (M,) image rows of the detections.
        category: (M,) ids.
        scores: (M,).
        area: (M,) px², the detections' own area.
        extent: (M, 4) xywh, smallest box round the detection's keypoints.
        num_images: I.
        area_ranges: (A, 2) px², both ends inclusive.
        subsets: What to report.
    """

    truth: OksTruth
    truth_image: Indices
    truth_category: Indices
    truth_ignored: Bools
    truth_crowd: Bools
    predicted: Floats
    image: Indices
    category: Indices
    scores: Floats
    area: Floats
    extent: Floats
    num_images: int
    area_ranges: Floats
    subsets: tuple[Subset, ...]


@dataclass(frozen=True)
class ApTable:
    """Matched detections of every category and subset.

    Attributes:
        tables: By subset name, one table a category that has ground truth.
    """

    tables: Mapping[str, tuple[SubsetTable, ...]]

    def values(self) -> dict[str, Floats]:
        """`AP:name` and `AR:name` -> (T,) values a threshold, NaN without ground truth."""
        result = {}
        for name, tables in self.tables.items():
            parts = [precision_recall(table) for table in tables]
            result[f"AP:{name}"] = _mean_of([p.mean(axis=1) for p, _ in parts])
            result[f"AR:{name}"] = _mean_of([r for _, r in parts])
        return result

    def resampled(self, weights: NDArray[np.int16]) -> dict[str, Floats]:
        """The same for (B, I) image weights: (B, T) values a name."""
        result = {}
        for name, tables in self.tables.items():
            parts = [resampled_precision_recall(table, weights) for table in tables]
            result[f"AP:{name}"] = _mean_of([p for p, _ in parts])
            result[f"AR:{name}"] = _mean_of([r for _, r in parts])
        return result


def build_ap_table(given: ApInput) -> ApTable:
    """Match all detections once and collect what every subset needs."""
    tables: dict[str, list[SubsetTable]] = {subset.name: [] for subset in given.subsets}
    for category in np.unique(given.truth_category):
        for name, table in _category_tables(given, int(category)).items():
            tables[name].append(table)
    return ApTable({name: tuple(rows) for name, rows in tables.items()})


def _category_tables(given: ApInput, category: int) -> dict[str, SubsetTable]:
    of_category = np.flatnonzero(given.truth_category == category)
    truth = OksTruth(
        given.truth.keypoints[of_category],
        given.truth.labelled[of_category],
        given.truth.bbox_xywh[of_category],
        given.truth.area[of_category],
        given.truth.sigmas,
    )
    truth_image = given.truth_image[of_category]
    low, high = given.area_ranges[:, :1], given.area_ranges[:, 1:]
    truth_ignored = given.truth_ignored[of_category] | ~(
        (truth.area >= low) & (truth.area <= high)
    )  # (A, N)
    rows = np.flatnonzero(given.category == category)
    rows = rows[evaluation_order(given.image[rows], given.scores[rows], MAX_DETECTIONS)]
    image, area = given.image[rows], given.area[rows]

    pair_truth, pair_detection = image_pairs(truth_image, image, given.num_images)
    pair_pred = rows[pair_detection]
    near = np.flatnonzero(
        reachable(truth, given.extent, pair_truth, pair_pred, OKS_THRESHOLDS[0])
    )
    pair_truth, pair_detection, pair_pred = (
        pair_truth[near],
        pair_detection[near],
        pair_pred[near],
    )
    similarity = pair_oks(truth, given.predicted, pair_truth, pair_pred)
    for at in near_decisions(similarity, pair_detection, OKS_THRESHOLDS):
        similarity[at] = exact_oks(truth, given.predicted, pair_truth[at], pair_pred[at])
    matches = greedy_match(
        similarity,
        pair_truth,
        pair_detection,
        image,
        truth_ignored,
        given.truth_crowd[of_category],
        OKS_THRESHOLDS,
    )
    by_falling_score = np.argsort(-given.scores[rows], kind="stable")
    in_range = (area >= low) & (area <= high)
    return {
        subset.name: subset_table(
            matches,
            subset,
            len(OKS_THRESHOLDS),
            image,
            by_falling_score,
            in_range[subset.area],
            truth_ignored[subset.area],
            truth_image,
            given.num_images,
        )
        for subset in given.subsets
    }


def _mean_of(parts: list[Floats]) -> Floats:
    """Mean over categories, leaving out those without ground truth."""
    stack = np.stack(parts)
    known = ~np.isnan(stack)
    total = np.where(known, stack, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
