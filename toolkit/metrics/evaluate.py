"""`evaluate`: ground truth and predictions in, numbers with their rules out."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.metrics import auc, engines, ex_oks, pairing, pck
from toolkit.metrics.ap import MAX_DETECTIONS, OKS_THRESHOLDS
from toolkit.metrics.bootstrap import LEVEL, By, draw_weights, interval
from toolkit.metrics.evaluation import Cell, Evaluation, Interval
from toolkit.metrics.head_size import torso_ratio
from toolkit.metrics.pckh import median_error
from toolkit.metrics.profiles import (
    CROWD_BANDS,
    default_profile,
    ignored,
    scored_detections,
)
from toolkit.metrics.scoring import (
    Options,
    Scored,
    check_sides,
    overall_cell,
    rows_of_ids,
    score,
)
from toolkit.metrics.strata import MEAN_RULE

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
        InvalidDataError: No ground truth, results for unknown images, or no area.
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
    if _has_pckh(scored) and scored.errors is not None:
        values["median_error_heads"] = median_error(scored.errors.heads)
    intervals: dict[str, Interval | None] = {}
    cell_intervals: dict[tuple[str, str, str], Interval | None] = {}
    if bootstrap:
        weights = sorted_weights(truth, bootstrap, by, seed)
        intervals, cell_intervals = _intervals(scored, options, weights)
    settings = _settings(truth, predictions, options, scored, engine, bootstrap, by, seed)
    return Evaluation(
        profile=options.profile.name,
        metrics={name: known(value) for name, value in values.items()},
        strata=_strata(scored, by_key, cell_intervals),
        per_keypoint=_per_keypoint(truth, scored, by_key, cell_intervals),
        intervals=intervals,
        settings=settings,
        notes=_notes(truth, predictions, options, scored, settings["ignored"]),
        ground_truth_sha256=truth.sha256,
        predictions_sha256=predictions.sha256,
        versions=_versions(engine),
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
    scored: Scored, options: Options, weights: NDArray[np.int32]
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


def sorted_weights(truth: Dataset, bootstrap: int, by: By, seed: int) -> NDArray[np.int32]:
    """Bootstrap weights with images in the order that scoring uses: by rising id."""
    weights = draw_weights(truth.images, bootstrap, by, seed)
    return weights[:, np.argsort(truth.images.ids, kind="stable")]


def cell_metrics(scored: Scored) -> list[str]:
    """Metrics that cells were made for, in order."""
    return list(dict.fromkeys(metric for _, _, metric in scored.cells.keys))


def known(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


def _pick(table: dict[str, Floats], source: str, index: int | None) -> Floats:
    """One key's value from (..., T) values a threshold; NaN for a band that is not there."""
    if source not in table:
        return np.full_like(next(iter(table.values()))[..., 0], np.nan)
    values = table[source]
    return np.asarray(values.mean(axis=-1) if index is None else values[..., index])


def _has_pckh(scored: Scored) -> bool:
    return "PCKh@0.5" in cell_metrics(scored)


def _intervals(
    scored: Scored, options: Options, weights: NDArray[np.int32]
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
                max(numbers[stratum, group, m] for m in metrics[:1]),
                {m: intervals.get((stratum, group, m)) for m in metrics} if intervals else {},
                np.where(mask, heads, np.nan)[:, members] if _has_pckh(scored) else None,
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
            scored.errors.heads[:, row] if _has_pckh(scored) else None,
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


def _settings(
    truth: Dataset,
    predictions: Predictions,
    options: Options,
    scored: Scored,
    engine: str,
    bootstrap: int,
    by: str,
    seed: int,
) -> dict[str, Any]:
    schema, people = truth.schema, truth.annotations
    settings: dict[str, Any] = {
        "schema": schema.name,
        "metrics": [m for m in ("AP", "PCKh", "PCK", "AUC", "ExOKS") if m in options.families],
        "skipped": dict(scored.skipped),
        "instances": len(people),
        "images": len(truth.images),
        "predictions": len(predictions),
        "ignored": _ignored_counts(truth, predictions, options),
    }
    if scored.area_rule is not None:
        settings["area_rule"] = scored.area_rule
        settings["sigmas"] = {
            k.name: {
                "sigma": k.sigma,
                "source": k.sigma_source,
                "published": k.sigma_published,
            }
            for k in schema.keypoints
        }
    if scored.ap is not None:
        settings |= {
            "engine": engine,
            "oks_thresholds": OKS_THRESHOLDS.tolist(),
            "recall_points": 101,
            "max_detections": MAX_DETECTIONS,
            "detection_area_rule": scored.detection_area_rule,
            "area_ranges": dict(
                zip(
                    options.profile.by_area, map(list, options.profile.area_ranges), strict=True
                )
            ),
            "ignore_rule": "num_keypoints == 0 as stored in the file, or iscrowd",
        }
    if scored.bands is not None:
        settings["bands"] = {
            "limits": list(options.bands),
            "rule": "easy: crowdIndex < first; medium: < second; hard: the rest",
            "images": (
                None
                if scored.bands.masks is None
                else {name: int(mask.sum()) for name, mask in scored.bands.masks.items()}
            ),
            "images_without_crowd_index": list(scored.bands.bad_ids),
        }
    if scored.errors is not None and scored.pairing is not None:
        settings |= {
            "matching": pairing.RULE,
            "matched": {
                "by_annotation_id": scored.pairing.by_id,
                "by_box_iou": scored.pairing.by_iou,
                "unmatched_instances": int((scored.pairing.prediction < 0).sum()),
                "unknown_annotation_ids": scored.pairing.unknown_ids,
            },
            "head_size": {
                "rule": list(scored.errors.head.keys),
                "used": scored.errors.head.counts(),
                "torso_ratio": torso_ratio(truth.annotations),
            },
            "unmatched_rule": "an instance without a prediction counts as wrong everywhere, "
            "and as infinitely far in medians (null in JSON)",
            "mean_rule": MEAN_RULE,
            "strata_rule": "by the ground truth's bbox, edges inside; out_of_box includes "
            "out_of_image (0 <= px < width is inside)",
            "pck_norm": pck.NORM,
            "auc_rule": auc.RULE,
            "ex_oks": {
                "variant": options.ex_oks_variant,
                "window": f"bbox grown to {ex_oks.ASPECT:g}, then x {ex_oks.PADDING:g}",
                "confidence": ex_oks.CONFIDENCE,
                "rule": "metrics: mean over instances; strata and keypoints: mean of terms",
            },
        }
    if bootstrap:
        settings["bootstrap"] = {
            "resamples": bootstrap,
            "by": by,
            "seed": seed,
            "level": LEVEL,
            "interval": "percentile",
        }
    return settings


def _ignored_counts(
    truth: Dataset, predictions: Predictions, options: Options
) -> dict[str, int]:
    people = truth.annotations
    silent = ignored(people) & ~people.is_crowd
    counts = {
        "crowd": int(people.is_crowd.sum()),
        "num_keypoints_zero": int(silent.sum()),
        "num_keypoints_zero_but_labelled": int((silent & people.labelled.any(axis=1)).sum()),
        "detections_beyond_max": _beyond_max(truth, predictions, options),
    }
    if options.profile.crowd:
        unscored = ~scored_detections(options.profile, predictions)
        counts["detections_with_all_keypoint_scores_zero"] = int(unscored.sum())
    return counts


def _beyond_max(truth: Dataset, predictions: Predictions, options: Options) -> int:
    rows = scored_detections(options.profile, predictions)
    beyond = 0
    for category in np.unique(predictions.category_id):
        of_category = rows & (predictions.category_id == category)
        image = rows_of_ids(np.sort(truth.images.ids), predictions.image_id[of_category])
        beyond += int(np.maximum(np.bincount(image) - MAX_DETECTIONS, 0).sum())
    return beyond


def _notes(
    truth: Dataset,
    predictions: Predictions,
    options: Options,
    scored: Scored,
    counts: Mapping[str, int],
) -> tuple[str, ...]:
    notes = []
    if not len(predictions):
        notes.append("there are no predictions: every score is 0")
    if scored.ap is not None and counts["detections_beyond_max"]:
        notes.append(
            f"{counts['detections_beyond_max']} detections beyond the best {MAX_DETECTIONS} of "
            "their image were left out of AP, as COCO does"
        )
    if scored.bands is not None and scored.bands.bad_ids:
        bad = scored.bands.bad_ids
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        notes.append(
            f"crowdIndex is missing, negative or NaN in {len(bad)} images ({shown}): "
            "APE, APM and APH are null"
        )
    if scored.ap is not None:
        guessed = [k.name for k in truth.schema.keypoints if not k.sigma_published]
        if guessed:
            notes.append(
                f"OKS uses unpublished default sigmas for {', '.join(guessed)}: this AP is "
                "comparable only within this schema"
            )
    for name, reason in scored.skipped.items():
        notes.append(f"{name} was left out: {reason}")
    if scored.errors is not None and _has_pckh(scored):
        none = scored.errors.head.counts()["none"]
        if none:
            notes.append(f"{none} instances have no head size and are left out of PCKh")
    return tuple(notes)


def _versions(engine: str) -> dict[str, str]:
    from toolkit import __version__

    versions = {
        "toolkit": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if engine != "toolkit":
        from importlib.metadata import version

        versions[engine] = version(engine)
    return versions
