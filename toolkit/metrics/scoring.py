"""One scoring pass: everything that values, intervals and paired tests are taken from.

`score` matches once and keeps two tables: matched detections (AP family) and pooled cells
(PCKh, PCK, AUC, Ex-OKS). Both answer plain values and bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, SchemaError, UsageError
from toolkit.metrics import auc, ex_oks, pck
from toolkit.metrics.cells import Cells, join, keypoint_cells, sum_by_image
from toolkit.metrics.keypoint_ap import ApInput, ApTable, build_ap_table
from toolkit.metrics.oks import OksTruth
from toolkit.metrics.pairing import Pairing, keypoint_extent, pair_instances
from toolkit.metrics.pckh import THRESHOLDS, KeypointErrors, keypoint_errors, pckh
from toolkit.metrics.profiles import (
    CROWD_BANDS,
    Bands,
    Profile,
    crowd_bands,
    detection_areas,
    ignored,
    profile_named,
    scored_detections,
    subsets,
)
from toolkit.metrics.strata import ALL, MEAN, group_members, strata_masks

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
FAMILIES = ("AP", "PCKh", "PCK", "AUC", "ExOKS")
_TABLE_LIMIT = 1 << 22  # ids below this are looked up in a table
INSTANCE = "instance"  # the group name of values that are taken by instance


@dataclass(frozen=True)
class Options:
    """What to score and how.

    Attributes:
        profile: Rules, see `toolkit.metrics.profiles`.
        families: Any of `FAMILIES`.
        bands: CrowdPose's limits of crowdIndex between easy, medium and hard.
        groups: Extra keypoint groups by name.
        ex_oks_variant: `paper` or `exococotools`.
    """

    profile: Profile
    families: frozenset[str]
    bands: tuple[float, float] = CROWD_BANDS
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ex_oks_variant: ex_oks.Variant = "paper"

    @classmethod
    def make(
        cls,
        profile: str,
        metrics: Iterable[str] | None,
        bands: tuple[float, float] = CROWD_BANDS,
        groups: Mapping[str, Sequence[str]] | None = None,
        ex_oks_variant: ex_oks.Variant = "paper",
    ) -> Options:
        """Options from names, checked.

        Raises:
            UsageError: An unknown name, or limits out of order.
        """
        wanted = FAMILIES if metrics is None else tuple(metrics)
        if not wanted:
            raise UsageError(f"metrics: none is named; known: {', '.join(FAMILIES)}")
        for name in wanted:
            if name not in FAMILIES:
                raise UsageError(f"no metric '{name}'; known: {', '.join(FAMILIES)}")
        if not 0 <= bands[0] <= bands[1]:
            raise UsageError(f"crowd bands {bands}: expected 0 <= first <= second")
        return cls(
            profile_named(profile), frozenset(wanted), bands, groups or {}, ex_oks_variant
        )


@dataclass(frozen=True)
class Scored:
    """Result of one pass.

    Attributes:
        ap: Matched detections, or None where AP was not asked for.
        cells: Pooled cells; stratum `all` holds the overall values, and keypoint names
            stand as groups of the stratum `keypoint`.
        errors: Distances, or None where no family needs them.
        pairing: Who answers for whom, or None likewise.
        strata: (N, K) masks by name; empty where only AP was asked for.
        groups: Keypoint indices by name.
        bands: CrowdPose's bands, or None under other profiles.
        area_rule: Name of the rule for the instances' area; None where none was needed.
        detection_area_rule: The same of the detections.
        skipped: Families left out, with the reason.
    """

    ap: ApTable | None
    cells: Cells
    errors: KeypointErrors | None
    pairing: Pairing | None
    strata: dict[str, NDArray[np.bool_]]
    groups: dict[str, Indices]
    bands: Bands | None
    area_rule: str | None
    detection_area_rule: str | None
    skipped: dict[str, str]


def require_ground_truth(truth: Dataset) -> None:
    """Refuse a truth without people.

    Raises:
        InvalidDataError: There is no instance.
    """
    if not len(truth.annotations):
        raise InvalidDataError(
            f"{truth.name}: no ground truth: 'annotations' holds no instance with "
            f"keypoints of schema '{truth.schema.name}', so that no score exists"
        )


def check_sides(truth: Dataset, predictions: Predictions) -> Predictions:
    """The predictions in the truth's schema, or an error that says what does not fit.

    Raises:
        InvalidDataError: No ground truth, annotations or results for unknown images,
            broken coordinates.
        SchemaError: The predictions lack keypoints of the truth.
    """
    require_ground_truth(truth)
    _ = truth.image_row  # refuses annotations of unknown images
    unknown = ~np.isin(predictions.image_id, truth.images.ids)
    if unknown.any():
        first = int(predictions.image_id[unknown][0])
        raise InvalidDataError(
            f"{predictions.path or 'predictions'}: {int(unknown.sum())} of "
            f"{len(predictions)} detections are for images that {truth.name} does not have, "
            f"the first image_id {first}; are these results for another file?"
        )
    if not _all_finite(predictions):
        broken = ~(
            np.isfinite(predictions.keypoints).all(axis=(1, 2))
            & np.isfinite(predictions.scores)
        )
        raise InvalidDataError(
            f"{predictions.path or 'predictions'}: results[{int(np.argmax(broken))}]: score or "
            f"keypoints are not finite ({int(broken.sum())} such results)"
        )
    if predictions.schema.names != truth.schema.names:
        return predictions.to_schema(truth.schema)
    return predictions


def rows_of_ids(sorted_ids: Indices, wanted: Indices) -> Indices:
    """Row in `sorted_ids` of each wanted id, all of which are there."""
    if len(sorted_ids) and sorted_ids[0] >= 0 and sorted_ids[-1] < _TABLE_LIMIT:
        table = np.zeros(int(sorted_ids[-1]) + 1, dtype=np.int64)
        table[sorted_ids] = np.arange(len(sorted_ids))
        return table[wanted]  # ten times as quick as a search
    return np.asarray(np.searchsorted(sorted_ids, wanted), dtype=np.int64)


def _all_finite(predictions: Predictions) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(predictions.keypoints.sum() + predictions.scores.sum()):
            return True  # the sum of finite numbers; the quick way
    finite = np.isfinite(predictions.keypoints).all() and np.isfinite(predictions.scores).all()
    return bool(finite)


def score(truth: Dataset, predictions: Predictions, options: Options) -> Scored:
    """Match and measure once; `predictions` has passed `check_sides`.

    Raises:
        InvalidDataError: The profile needs an area that the file does not have, or the
            predictions name annotations or categories that are not the truth's.
    """
    skipped: dict[str, str] = {}
    if not truth.schema.has_sigmas:
        unknown = ", ".join(k.name for k in truth.schema.keypoints if k.sigma is None)
        lacking = f"schema '{truth.schema.name}' has no OKS sigma for {unknown}"
        skipped = {name: lacking for name in ("AP", "ExOKS") if name in options.families}
    families = options.families - set(skipped)
    if not families:
        raise SchemaError(
            f"{'; '.join(skipped.values())}: pass --schema with a file that has them"
        )
    # rows by rising image id: COCO's order, which decides ties of score
    sorted_rows = np.argsort(truth.images.ids, kind="stable")
    image_ids = truth.images.ids[sorted_rows]
    truth_image = rows_of_ids(image_ids, truth.annotations.image_id)
    image = rows_of_ids(image_ids, predictions.image_id)
    bands = crowd_bands(truth.images, options.bands) if options.profile.crowd else None
    area, area_rule, detection_rule, table = None, None, None, None
    if families & {"AP", "ExOKS"}:
        area, area_rule = options.profile.area(truth.annotations)
    if "AP" in families and area is not None:
        _check_categories(truth, predictions)
        extent = keypoint_extent(predictions.keypoints)
        detection_area, detection_rule = detection_areas(predictions, extent)
        in_order = _sorted_bands(bands, sorted_rows)
        table = build_ap_table(
            _ap_input(
                truth,
                predictions,
                options,
                area,
                detection_area,
                extent,
                truth_image,
                image,
                in_order,
            )
        )
    groups = group_members(truth.schema, options.groups)
    strata: dict[str, NDArray[np.bool_]] = {}
    errors, pairing, cells = None, None, join([], len(image_ids))
    if families - {"AP"}:
        strata = strata_masks(truth.annotations, truth.size_wh)
        pairing = pair_instances(
            truth.annotations, truth_image, predictions, image, len(image_ids)
        )
        if pairing.unknown_ids:
            _refuse_unknown_ids(truth, predictions)
        errors = keypoint_errors(truth.annotations, predictions, pairing)
        values = _values(
            truth.annotations, predictions, pairing, errors, area, families, options
        )
        cells = _all_cells(truth, values, strata, groups, truth_image, len(image_ids))
    return Scored(
        ap=table,
        cells=cells,
        errors=errors,
        pairing=pairing,
        strata=strata,
        groups=groups,
        bands=bands,
        area_rule=area_rule,
        detection_area_rule=detection_rule,
        skipped=skipped,
    )


def _check_categories(truth: Dataset, predictions: Predictions) -> None:
    """AP compares within a category: without a common one it is 0 and says nothing."""
    people = np.unique(truth.annotations.category_id)
    if not len(predictions) or np.isin(predictions.category_id, people).any():
        return
    raise InvalidDataError(
        f"{predictions.path or 'predictions'}: results[0]: category_id: "
        f"{int(predictions.category_id[0])} (1 where a result has none); no result has a "
        f"category of the people in {truth.name} ({', '.join(map(str, people[:10]))}), and "
        "AP compares within a category"
    )


def _refuse_unknown_ids(truth: Dataset, predictions: Predictions) -> NoReturn:
    """An id that is not in its image is a mistake, and nobody would be matched by it."""
    people = truth.annotations
    known = set(zip(people.image_id.tolist(), people.instance_id.tolist(), strict=True))
    named = zip(predictions.image_id.tolist(), predictions.annotation_id.tolist(), strict=True)
    wrong = [row for row, pair in enumerate(named) if pair[1] != -1 and pair not in known]
    first = wrong[0]
    raise InvalidDataError(
        f"{predictions.path or 'predictions'}: results[{first}]: annotation_id: "
        f"{int(predictions.annotation_id[first])} is no annotation of image "
        f"{int(predictions.image_id[first])} in {truth.name} ({len(wrong)} of "
        f"{len(predictions)} results have such an id); without annotation_id people are "
        "matched by box overlap"
    )


def _sorted_bands(bands: Bands | None, sorted_rows: Indices) -> Bands | None:
    if bands is None or bands.masks is None:
        return bands
    return Bands({name: mask[sorted_rows] for name, mask in bands.masks.items()}, ())


def _ap_input(
    truth: Dataset,
    predictions: Predictions,
    options: Options,
    area: Floats,
    detection_area: Floats,
    extent: Floats,
    truth_image: Indices,
    image: Indices,
    bands: Bands | None,
) -> ApInput:
    people = truth.annotations
    seen = scored_detections(options.profile, predictions)
    rows = slice(None) if seen.all() else np.flatnonzero(seen)
    return ApInput(
        truth=OksTruth(
            people.keypoints, people.labelled, people.bbox_xywh, area, truth.schema.sigmas
        ),
        truth_image=truth_image,
        truth_category=people.category_id,
        truth_ignored=ignored(people),
        truth_crowd=people.is_crowd,
        predicted=predictions.keypoints[rows],
        image=image[rows],
        category=predictions.category_id[rows],
        scores=predictions.scores[rows],
        area=detection_area[rows],
        extent=extent[rows],
        num_images=len(truth.images),
        area_ranges=np.array(options.profile.area_ranges),
        subsets=subsets(options.profile, bands),
    )


def _values(
    truth: Annotations,
    predictions: Predictions,
    pairing: Pairing,
    errors: KeypointErrors,
    area: Floats | None,
    families: frozenset[str],
    options: Options,
) -> dict[str, Floats]:
    """(N, K) value of each keypoint under each metric, NaN where it does not count."""
    values: dict[str, Floats] = {}
    if "PCKh" in families:
        for threshold in THRESHOLDS:
            values[f"PCKh@{threshold:g}"] = pckh(errors.heads, threshold)
    if "PCK" in families:
        values[f"PCK@{pck.THRESHOLD:g}"] = pck.pck(errors.px, pck.box_norm(truth.bbox_xywh))
    if "AUC" in families:
        values["AUC"] = auc.auc(errors.heads)
    if "ExOKS" in families and area is not None:
        terms = np.where(np.isnan(errors.px), np.nan, 0.0)
        paired = pairing.prediction >= 0
        rows = pairing.prediction[paired]
        terms[paired] += ex_oks.ex_oks_terms(
            truth.keypoints[paired],
            truth.visibility[paired],
            truth.bbox_xywh[paired],
            area[paired],
            predictions.keypoints[rows],
            predictions.keypoint_scores[rows],
            truth.schema.sigmas,
            variant=options.ex_oks_variant,
        )
        values["ExOKS"] = terms
    return values


def _all_cells(
    truth: Dataset,
    values: dict[str, Floats],
    strata: dict[str, NDArray[np.bool_]],
    groups: dict[str, Indices],
    truth_image: Indices,
    num_images: int,
) -> Cells:
    singles = {name: np.array([row]) for row, name in enumerate(truth.schema.names)}
    parts = []
    for metric, value in values.items():
        valid = ~np.isnan(value)
        parts.append(
            keypoint_cells(metric, value, valid, strata, groups, truth_image, num_images)
        )
        parts.append(
            keypoint_cells(
                metric,
                value,
                valid,
                {"keypoint": strata[ALL]},
                singles,
                truth_image,
                num_images,
            )
        )
    if "ExOKS" in values:
        whole = ex_oks.ex_oks(values["ExOKS"])
        known = ~np.isnan(whole)
        parts.append(
            Cells(
                ((ALL, INSTANCE, "ExOKS"),),
                sum_by_image(np.where(known, whole, 0), truth_image, num_images)[:, None],
                sum_by_image(known.astype(float), truth_image, num_images)[:, None],
            )
        )
    return join(parts, num_images)


def overall_cell(metric: str) -> tuple[str, str, str]:
    """The cell that a metric's overall value stands in."""
    return (ALL, INSTANCE if metric == "ExOKS" else MEAN, metric)


def cell_metrics(scored: Scored) -> list[str]:
    """Metrics that cells were made for, in order."""
    return list(dict.fromkeys(metric for _, _, metric in scored.cells.keys))


def has_pckh(scored: Scored) -> bool:
    """Whether PCKh was measured."""
    return "PCKh@0.5" in cell_metrics(scored)
