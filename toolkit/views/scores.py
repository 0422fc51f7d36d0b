"""OKS and PCKh of each instance, by the toolkit's own metrics.

FiftyOne's OKS is not COCO's (another scale, no sigmas of the schema), so nothing of it is
used. An instance that no prediction answers for has 0; one without labelled keypoints, and
a crowd, has no score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.metrics import default_profile
from toolkit.metrics.oks import OksTruth, pair_oks
from toolkit.metrics.pairing import pair_instances
from toolkit.metrics.pckh import keypoint_errors, pckh
from toolkit.metrics.profiles import profile_named
from toolkit.metrics.scoring import check_sides, rows_of_ids

Floats = NDArray[np.float64]
PCKH_THRESHOLD = 0.5  # head sizes


@dataclass(frozen=True)
class Scores:
    """How well one set of predictions fits each of N instances.

    Attributes:
        predictions: The M predictions, in the schema of the truth.
        prediction: (N,) row of the prediction that answers for each instance, -1 for none.
        oks: (N,) COCO's OKS; NaN where there is none, everywhere without sigmas or areas.
        pckh: (N,) share of labelled keypoints within half a head size; NaN where unknown.
        rank: (N,) 1 for the worst instance by OKS, else by PCKh; 0 where neither is known.
    """

    predictions: Predictions
    prediction: NDArray[np.int64]
    oks: Floats
    pckh: Floats
    rank: NDArray[np.int64]

    def of_predictions(self, values: Floats) -> Floats:
        """(M,) the value of the instance that each prediction answers for, else NaN."""
        result = np.full(len(self.predictions), np.nan)
        paired = self.prediction >= 0
        result[self.prediction[paired]] = values[paired]
        return result


def score_instances(truth: Dataset, predictions: Predictions) -> Scores:
    """Score every instance.

    Raises:
        InvalidDataError: No ground truth, or results for images that it does not have.
        SchemaError: The predictions lack keypoints of the truth.
    """
    predictions = check_sides(truth, predictions)
    image_ids = np.sort(truth.images.ids)
    people = truth.annotations
    pairing = pair_instances(
        people,
        rows_of_ids(image_ids, people.image_id),
        predictions,
        rows_of_ids(image_ids, predictions.image_id),
        len(image_ids),
    )
    counts = people.labelled.any(axis=1) & ~people.is_crowd
    oks = _oks(truth, predictions, pairing.prediction)
    hits = pckh(keypoint_errors(people, predictions, pairing).heads, PCKH_THRESHOLD)
    known = ~np.isnan(hits)
    share = np.where(known, hits, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    oks[~counts] = np.nan
    share[~counts | ~known.any(axis=1)] = np.nan
    return Scores(predictions, pairing.prediction, oks, share, worst_first(oks, share))


def worst_first(oks: Floats, share: Floats) -> NDArray[np.int64]:
    """(N,) rank from 1 by rising OKS and then PCKh; 0 where neither is known."""
    order = np.lexsort((np.nan_to_num(share, nan=2), np.nan_to_num(oks, nan=2)))
    order = order[~(np.isnan(oks) & np.isnan(share))[order]]
    rank = np.zeros(len(oks), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    return rank


def _oks(truth: Dataset, predictions: Predictions, answer: NDArray[np.int64]) -> Floats:
    """(N,) OKS of the paired instances, 0 of the others; NaN where it cannot be known."""
    people = truth.annotations
    result = np.full(len(people), np.nan)
    profile = profile_named(default_profile(truth))
    area = people.area
    if np.isnan(area).any() and not profile.crowd:
        missing = np.isnan(area)
        area = area if not missing.all() else profile_named("crowdpose").area(people)[0]
    elif profile.crowd:
        area = profile.area(people)[0]
    if not truth.schema.has_sigmas:
        return result
    known = ~np.isnan(area)
    result[known] = 0.0
    rows = np.flatnonzero((answer >= 0) & known & people.labelled.any(axis=1))
    table = OksTruth(
        people.keypoints, people.labelled, people.bbox_xywh, area, truth.schema.sigmas
    )
    result[rows] = pair_oks(table, predictions.keypoints, rows, answer[rows])
    return result
