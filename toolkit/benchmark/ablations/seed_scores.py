"""Several training seeds of one row, scored on the same resamples of the test set.

Two kinds of chance are kept apart. *Instances*: the test set is resampled by clip (else by
image), each seed's value is computed in each resample, and the mean over the seeds has a
percentile interval. *Seeds*: the values of the seeds themselves, their range, and the
t-interval of their mean, which with three seeds is wide, and rightly so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.benchmark.tables import Interval
from toolkit.dataset import Dataset
from toolkit.metrics.bootstrap import interval
from toolkit.metrics.compare import PairedTest, paired_test
from toolkit.metrics.evaluate import resampled_values
from toolkit.metrics.pckh import median_error
from toolkit.metrics.scoring import Options, Scored, check_sides, rows_of_ids, score

Floats = NDArray[np.float64]
PCKH = "PCKh@0.5"
_T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # 97.5 %


@dataclass(frozen=True)
class Place:
    """Where a column's number comes from.

    Attributes:
        stratum: Of the evaluation.
        group: Of keypoints.
        median: The median error in heads in place of PCKh@0.5.
    """

    stratum: str
    group: str
    median: bool = False


@dataclass(frozen=True)
class SeedScore:
    """One column of one row.

    Attributes:
        seeds: Value of each seed, in the order of the seeds.
        resampled: (B,) mean over the seeds in each resample; B is 0 without intervals.
    """

    seeds: tuple[float, ...]
    resampled: Floats

    @property
    def mean(self) -> float:
        """Over the seeds; NaN where nothing is labelled."""
        return float(np.mean(self.seeds))

    @property
    def over_instances(self) -> Interval:
        """95 % percentile interval of the mean, over the test set."""
        return interval(self.resampled) if self.resampled.size else None

    @property
    def over_seeds(self) -> Interval:
        """95 % t-interval of the mean, over the chance of training; None for one seed."""
        return t_interval(self.seeds)


def t_interval(values: Sequence[float]) -> Interval:
    """95 % interval of the mean of a few values, by Student's t; None for fewer than two."""
    count = len(values)
    if count < 2 or not np.isfinite(values).all():
        return None
    quantile = _T_QUANTILES[count - 2] if count - 2 < len(_T_QUANTILES) else 2.23
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(count)
    mean = float(np.mean(values))
    return mean - half, mean + half


def score_row(
    truth: Dataset,
    predictions: Sequence[Predictions],
    places: Mapping[str, Place],
    options: Options,
    weights: NDArray[np.int16],
) -> dict[str, SeedScore]:
    """Score the predictions of all seeds.

    Args:
        truth: The test set.
        predictions: One a seed.
        places: Column -> where its number comes from.
        options: Of the evaluation; its groups hold those of `places`.
        weights: (B, I) of the resamples, images by rising id; B may be 0.
    """
    seeds: dict[str, list[float]] = {column: [] for column in places}
    resampled: dict[str, list[Floats]] = {column: [] for column in places}
    for prediction in predictions:
        scored = score(truth, check_sides(truth, prediction), options)
        at = {key: place for place, key in enumerate(scored.cells.keys)}
        values = scored.cells.values()
        _, drawn = resampled_values(scored, options, weights)
        for column, place in places.items():
            if place.median:
                errors, image = _errors(truth, scored, place)
                seeds[column].append(median_error(errors))
                resampled[column].append(resampled_medians(errors, image, weights))
            else:
                cell = at[place.stratum, place.group, PCKH]
                seeds[column].append(float(values[cell]))
                resampled[column].append(drawn[:, cell])
    return {
        column: SeedScore(tuple(seeds[column]), np.mean(resampled[column], axis=0))
        for column in places
    }


def compare_rows(a: SeedScore, b: SeedScore) -> PairedTest:
    """The difference a - b of two means over seeds, on the same resamples."""
    if not (a.resampled.size and b.resampled.size):
        return paired_test(a.mean, b.mean, np.empty(0), np.empty(0))
    return paired_test(a.mean, b.mean, a.resampled, b.resampled)


def _errors(truth: Dataset, scored: Scored, place: Place) -> tuple[Floats, NDArray[np.int64]]:
    """(E,) errors in heads of a stratum and group, and the image of each, by rising id."""
    assert scored.errors is not None  # PCKh was asked for
    members = scored.groups[place.group]
    mask = scored.strata[place.stratum][:, members]
    heads = scored.errors.heads[:, members]
    counted = mask & ~np.isnan(heads)
    rows = rows_of_ids(np.sort(truth.images.ids), truth.annotations.image_id)
    return heads[counted], np.repeat(rows, counted.sum(axis=1))


def resampled_medians(
    errors: Floats, image: NDArray[np.int64], weights: NDArray[np.int16]
) -> Floats:
    """Medians of resamples, without repeating any value.

    Args:
        errors: (E,) values; infinite ones count as the largest.
        image: (E,) which image each belongs to.
        weights: (B, I) how often each resample holds each image.

    Returns:
        (B,) medians as `numpy.median` of the repeated values; NaN where there are none.
    """
    order = np.argsort(errors, kind="stable")
    ordered = errors[order]
    result = np.full(len(weights), np.nan)
    for row, weight in enumerate(weights):
        upto = np.cumsum(weight[image[order]], dtype=np.int64)  # (E,)
        total = int(upto[-1]) if len(upto) else 0
        if total:
            low, high = np.searchsorted(upto, [(total - 1) // 2, total // 2], side="right")
            middle = (ordered[low], ordered[high])
            result[row] = middle[0] if middle[0] == middle[1] else np.mean(middle)
    return result
