"""`evaluate`: ground truth and predictions in, numbers with their rules out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.metrics import engines, ex_oks
from toolkit.metrics.bootstrap import By, draw_weights, interval
from toolkit.metrics.evaluation import Cell, Evaluation, Interval
from toolkit.metrics.pckh import median_error
from toolkit.metrics.profiles import CROWD_BANDS, default_profile
from toolkit.metrics.rules import notes_of, settings_of, versions_of, warnings_of
from toolkit.metrics.scoring import (
    Options,
    Scored,
    cell_metrics,
    check_sides,
    has_pckh,
    overall_cell,
    score,
)

Floats = NDArray[np.float64]


def evaluate(
    truth: Dataset,
    predictions: Predictions,
    profile: str | None = None,
    *,
    engine: engines.Engine = "toolkit",
    metrics: Iterable[str] | None = None,
    bootstrap: int = 0,
    by: By = "image",
    seed: int = 0,
    bands: tuple[float, float] = CROWD_BANDS,
    groups: Mapping[str, Sequence[str]] | None = None,
    ex_oks_variant: ex_oks.Variant = "paper",
) -> Evaluation:
    """Score predictions against a data set.

    Args:
        truth: Images and instances.
        predictions: In the same images; another schema is mapped by keypoint name.
        profile: `coco`, `crowdpose` or `extension`; None chooses by the data.
        engine: What computes AP: `toolkit`, `hotcoco` or `pycocotools`; they agree.
        metrics: Any of AP, PCKh, PCK, AUC, ExOKS; None is all.
        bootstrap: Resamples for the intervals; 0 for none.
        by: What a resample draws: images, or whole clips.
        seed: Of the resamples.
        bands: CrowdPose's limits of crowdIndex between easy, medium and hard.
        groups: Extra groups of keypoint names to report.
        ex_oks_variant: `paper` or `exococotools`.

    Returns:
        The numbers and the rules.

    Raises:
        InvalidDataError: No ground truth, no area, or results for images, annotations or
            categories that the truth does not have.
        SchemaError: Keypoints do not fit, or nothing can be computed without sigmas.
        UsageError: An unknown name, or clips asked for where there are none.
    """
    options = Options.make(
        profile or default_profile(truth), metrics, bands, groups, ex_oks_variant
    )
    predictions = check_sides(truth, predictions)
    scored = score(truth, predictions, options)
    values = ap_values(scored, options)
    if engine != "toolkit" and scored.ap is not None:
        values = engines.ap_by_engine(engine, truth, predictions, options, scored)
    cell_values = scored.cells.values()
    by_key = dict(zip(scored.cells.keys, cell_values.tolist(), strict=True))
    values |= {name: by_key[overall_cell(name)] for name in cell_metrics(scored)}
    if has_pckh(scored) and scored.errors is not None:
        values["median_error_heads"] = median_error(scored.errors.heads)
    intervals: dict[str, Interval | None] = {}
    cell_intervals: dict[tuple[str, str, str], Interval | None] = {}
    if bootstrap:
        weights = sorted_weights(truth, bootstrap, by, seed)
        intervals, cell_intervals = _intervals(scored, options, weights)
    settings = settings_of(truth, predictions, options, scored, engine, bootstrap, by, seed)
    return Evaluation(
        profile=options.profile.name,
        metrics={name: known(value) for name, value in values.items()},
        strata=_strata(scored, by_key, cell_intervals),
        per_keypoint=_per_keypoint(truth, scored, by_key, cell_intervals),
        intervals=intervals,
        settings=settings,
        notes=notes_of(truth, predictions, options, scored, settings),
        ground_truth_sha256=truth.sha256,
        predictions_sha256=predictions.sha256,
        versions=versions_of(engine),
        warnings=warnings_of(truth, predictions, scored),
    )


def ap_values(scored: Scored, options: Options) -> dict[str, float]:
    """The profile's AP keys, NaN where there is no ground truth."""
    if scored.ap is None:
        return {}
    table = scored.ap.values()
    return {
        name: float(_pick(table, source, index))
        for name, (source, index) in options.profile.ap_names.items()
    }


def resampled_values(
    scored: Scored, options: Options, weights: NDArray[np.int16]
) -> tuple[dict[str, Floats], Floats]:
    """(B,) values of each AP key, and (B, S) values of the cells."""
    family = {}
    if scored.ap is not None:
        table = scored.ap.resampled(weights)
        family = {
            name: np.asarray(_pick(table, source, index))
            for name, (source, index) in options.profile.ap_names.items()
        }
    return family, scored.cells.resampled(weights)


def sorted_weights(truth: Dataset, bootstrap: int, by: By, seed: int) -> NDArray[np.int16]:
    """Bootstrap weights with images in the order that scoring uses: by rising id."""
    weights = draw_weights(truth.images, bootstrap, by, seed)
    return weights[:, np.argsort(truth.images.ids, kind="stable")]


def known(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


def _pick(table: dict[str, Floats], source: str, index: int | None) -> Floats:
    """One key's value from (..., T) values a threshold; NaN for a band that is not there."""
    if source not in table:
        return np.full_like(next(iter(table.values()))[..., 0], np.nan)
    values = table[source]
    return np.asarray(values.mean(axis=-1) if index is None else values[..., index])


def _intervals(
    scored: Scored, options: Options, weights: NDArray[np.int16]
) -> tuple[dict[str, Interval | None], dict[tuple[str, str, str], Interval | None]]:
    family, resampled = resampled_values(scored, options, weights)
    intervals = {name: interval(values) for name, values in family.items()}
    by_cell = {
        key: interval(resampled[:, column]) for column, key in enumerate(scored.cells.keys)
    }
    for metric in cell_metrics(scored):
        intervals[metric] = by_cell[overall_cell(metric)]
    return intervals, by_cell


def _strata(
    scored: Scored,
    values: dict[tuple[str, str, str], float],
    intervals: dict[tuple[str, str, str], Interval | None],
) -> dict[str, dict[str, Cell]]:
    if scored.errors is None:
        return {}
    heads = scored.errors.heads
    numbers = dict(zip(scored.cells.keys, scored.cells.numbers().tolist(), strict=True))
    metrics = cell_metrics(scored)
    return {
        stratum: {
            group: _cell(
                {m: values[stratum, group, m] for m in metrics},
                numbers[stratum, group, metrics[0]],
                {m: intervals.get((stratum, group, m)) for m in metrics} if intervals else {},
                np.where(mask, heads, np.nan)[:, members] if has_pckh(scored) else None,
            )
            for group, members in scored.groups.items()
        }
        for stratum, mask in scored.strata.items()
    }


def _per_keypoint(
    truth: Dataset,
    scored: Scored,
    values: dict[tuple[str, str, str], float],
    intervals: dict[tuple[str, str, str], Interval | None],
) -> dict[str, Cell]:
    if scored.errors is None:
        return {}
    numbers = dict(zip(scored.cells.keys, scored.cells.numbers().tolist(), strict=True))
    metrics = cell_metrics(scored)
    return {
        name: _cell(
            {m: values["keypoint", name, m] for m in metrics},
            numbers["keypoint", name, metrics[0]],
            {m: intervals.get(("keypoint", name, m)) for m in metrics} if intervals else {},
            scored.errors.heads[:, row] if has_pckh(scored) else None,
        )
        for row, name in enumerate(truth.schema.names)
    }


def _cell(
    values: dict[str, float],
    n: int,
    intervals: dict[str, Interval | None],
    errors: Floats | None,
) -> Cell:
    return Cell(
        values={name: known(value) for name, value in values.items()},
        n=n,
        intervals=intervals,
        median_error_heads=None if errors is None else known(median_error(errors)),
    )
