"""The rules that made a result, what was ignored and why, and what a reader should know."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import counted
from toolkit.metrics import auc, ex_oks, pairing, pck
from toolkit.metrics.ap import MAX_DETECTIONS, OKS_THRESHOLDS
from toolkit.metrics.bootstrap import By, note_on_few, settings_of_draws
from toolkit.metrics.head_size import torso_ratio
from toolkit.metrics.profiles import ignored, scored_detections
from toolkit.metrics.scoring import Options, Scored, has_pckh, rows_of_ids
from toolkit.metrics.strata import MEAN_RULE

_UNSCORED = "detections_with_all_keypoint_scores_zero"


def settings_of(
    truth: Dataset,
    predictions: Predictions,
    options: Options,
    scored: Scored,
    engine: str,
    bootstrap: int,
    by: By,
    seed: int,
) -> dict[str, Any]:
    """Every rule of one evaluation, as a JSON document."""
    settings: dict[str, Any] = {
        "schema": truth.schema.name,
        "metrics": [m for m in ("AP", "PCKh", "PCK", "AUC", "ExOKS") if m in options.families],
        "skipped": dict(scored.skipped),
        "instances": len(truth.annotations),
        "images": len(truth.images),
        "predictions": len(predictions),
        "ignored": _ignored_counts(truth, predictions, options),
    }
    settings |= _oks_rules(truth, scored)
    settings |= _ap_rules(options, scored, engine)
    settings |= _band_rules(options, scored)
    settings |= _distance_rules(truth, options, scored)
    if bootstrap:
        settings["bootstrap"] = settings_of_draws(truth.images, bootstrap, by, seed)
    return settings


def _oks_rules(truth: Dataset, scored: Scored) -> dict[str, Any]:
    """The object's scale and the sigmas with their sources, where OKS was computed."""
    if scored.area_rule is None:
        return {}
    sigmas = {
        k.name: {"sigma": k.sigma, "source": k.sigma_source, "published": k.sigma_published}
        for k in truth.schema.keypoints
    }
    return {"area_rule": scored.area_rule, "sigmas": sigmas}


def _ap_rules(options: Options, scored: Scored, engine: str) -> dict[str, Any]:
    """Thresholds, limits and areas, where AP was computed."""
    if scored.ap is None:
        return {}
    profile = options.profile
    return {
        "engine": engine,
        "oks_thresholds": OKS_THRESHOLDS.tolist(),
        "recall_points": 101,
        "max_detections": MAX_DETECTIONS,
        "detection_area_rule": scored.detection_area_rule,
        "area_ranges": dict(zip(profile.by_area, map(list, profile.area_ranges), strict=True)),
        "ignore_rule": "num_keypoints == 0 as stored in the file, or iscrowd",
    }


def _band_rules(options: Options, scored: Scored) -> dict[str, Any]:
    """CrowdPose's bands, where they were formed."""
    bands = scored.bands
    if bands is None:
        return {}
    masks = bands.masks
    return {
        "bands": {
            "limits": list(options.bands),
            "rule": "easy: crowdIndex < first; medium: < second; hard: the rest",
            "images": None if masks is None else {n: int(m.sum()) for n, m in masks.items()},
            "images_without_crowd_index": list(bands.bad_ids),
        }
    }


def _distance_rules(truth: Dataset, options: Options, scored: Scored) -> dict[str, Any]:
    """How people were paired and distances normalised, where they were measured."""
    errors, paired = scored.errors, scored.pairing
    if errors is None or paired is None:
        return {}
    return {
        "groups": group_names(truth, scored),
        "matching": pairing.RULE,
        "matched": {
            "by_annotation_id": paired.by_id,
            "by_box_iou": paired.by_iou,
            "unmatched_instances": int((paired.prediction < 0).sum()),
            "unknown_annotation_ids": paired.unknown_ids,
        },
        "head_size": {
            "rule": list(errors.head.keys),
            "used": errors.head.counts(_measured(truth)),
            "torso_ratio": torso_ratio(truth.annotations),
        },
        "unmatched_rule": "an instance without a prediction counts as wrong everywhere, "
        "and as infinitely far in medians (null in JSON)",
        "mean_rule": MEAN_RULE,
        "strata_rule": "in_box and out_of_box by the ground truth's bbox alone, edges inside; "
        "out_of_image (0 <= px < width is inside) is part of out_of_box unless the bbox "
        "itself reaches past the image",
        "pck_norm": pck.NORM,
        "auc_rule": auc.RULE,
        "ex_oks": {
            "variant": options.ex_oks_variant,
            "window": f"bbox grown to {ex_oks.ASPECT:g}, then x {ex_oks.PADDING:g}",
            "confidence": ex_oks.CONFIDENCE,
            "rule": "metrics: mean over instances; strata and keypoints: mean of terms",
        },
    }


def group_names(truth: Dataset, scored: Scored) -> dict[str, list[str]]:
    """The keypoints of each group that is reported."""
    names = truth.schema.names
    return {group: [names[at] for at in members] for group, members in scored.groups.items()}


def _measured(truth: Dataset) -> NDArray[np.bool_]:
    """(N,) instances that PCKh could measure: somebody, with something labelled."""
    people = truth.annotations
    return np.asarray(people.labelled.any(axis=1) & ~people.is_crowd)


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
        counts[_UNSCORED] = int(unscored.sum())
    return counts


def _beyond_max(truth: Dataset, predictions: Predictions, options: Options) -> int:
    rows = scored_detections(options.profile, predictions)
    beyond = 0
    for category in np.unique(predictions.category_id):
        of_category = rows & (predictions.category_id == category)
        image = rows_of_ids(np.sort(truth.images.ids), predictions.image_id[of_category])
        beyond += int(np.maximum(np.bincount(image) - MAX_DETECTIONS, 0).sum())
    return beyond


def notes_of(
    truth: Dataset,
    predictions: Predictions,
    options: Options,
    scored: Scored,
    settings: Mapping[str, Any],
) -> tuple[str, ...]:
    """What a reader should see beside the numbers; `settings` are those of `settings_of`."""
    notes = []
    counts = settings["ignored"]
    if not len(predictions):
        notes.append("there are no predictions: every score is 0")
    if scored.ap is not None and counts["detections_beyond_max"]:
        notes.append(
            f"{counts['detections_beyond_max']} detections beyond the best {MAX_DETECTIONS} of "
            "their image were left out of AP, as COCO does"
        )
    if scored.ap is not None and (silent := counts.get(_UNSCORED)):
        notes.append(
            f"{counted(silent, 'result')} with keypoint scores that are all 0: left out of AP, "
            "as CrowdPose's evaluator does"
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
    if scored.errors is not None and has_pckh(scored):
        none = scored.errors.head.counts(_measured(truth))["none"]
        if none:
            notes.append(f"{none} instances have no head size and are left out of PCKh")
    drawn = settings.get("bootstrap")
    if drawn is not None and (few := note_on_few(truth.images, drawn["by"])):
        notes.append(few)
    return tuple(notes)


def warnings_of(truth: Dataset, predictions: Predictions, scored: Scored) -> tuple[str, ...]:
    """Why numbers may not be what they seem, and what would help."""
    warnings = []
    foreign = ~np.isin(predictions.category_id, truth.annotations.category_id)
    if scored.ap is not None and foreign.any():
        first = int(np.argmax(foreign))
        warnings.append(
            f"{int(foreign.sum())} of {len(predictions)} results have a category_id that no "
            f"person of the truth has (results[{first}]: "
            f"{int(predictions.category_id[first])}): AP leaves them out"
        )
    return (*warnings, *_pairing_warnings(truth, predictions, scored))


def _pairing_warnings(truth: Dataset, predictions: Predictions, scored: Scored) -> list[str]:
    """People whom nothing answers for although results in their image are left over.

    A person in an image without such results was missed, and no warning is due.
    """
    if scored.pairing is None:
        return []
    taken = scored.pairing.prediction
    spare = np.ones(len(predictions), bool)
    spare[taken[taken >= 0]] = False
    lost = _measured(truth) & (taken < 0)
    lost &= np.isin(truth.annotations.image_id, predictions.image_id[spare])
    if not lost.any():
        return []
    spare &= np.isin(predictions.image_id, truth.annotations.image_id[lost])
    named = predictions.has_annotation_id
    boxed = np.isfinite(predictions.bbox_xywh).all(axis=1)
    reasons = {
        "with neither annotation_id nor bbox, whose keypoints' extent overlaps no free "
        f"person's box by {pairing.MIN_IOU} (give annotation_id or bbox)": ~named & ~boxed,
        "with a bbox, [x, y, width, height], that overlaps no free person's box by "
        f"{pairing.MIN_IOU}": ~named & boxed,
        "with an annotation_id that a better scored result has (give each person's own)": named,
    }
    why = [
        f"{counted(int(n), 'result')} {reason}"
        for reason, which in reasons.items()
        if (n := (spare & which).sum())
    ]
    return [
        f"{int(lost.sum())} of {int(_measured(truth).sum())} people count as wrong in all but "
        "AP because no result could be matched with them, although their images have left "
        "over: " + "; ".join(why)
    ]


def versions_of(engine: str) -> dict[str, str]:
    """Versions of the programs that computed it."""
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
