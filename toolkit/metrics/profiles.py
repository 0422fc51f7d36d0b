"""Evaluation profiles: which area, which ignore rule, which AP names.

`coco` and `extension` follow COCO's rules on the file's `area`; `crowdpose` follows the
CrowdPose authors' code: area is 0.53 x the box, and APE, APM, APH stand for easy, medium
and hard crowds. All ignore an instance by its stored `num_keypoints` (0) or as a crowd.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError
from toolkit.metrics.ap import Subset
from toolkit.metrics.pairing import prediction_boxes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
ProfileName = Literal["coco", "crowdpose", "extension"]
CROWD_BANDS = (0.2, 0.8)
CROWD_AREA_FACTOR = 0.53
BOX_AREA_RULE = f"{CROWD_AREA_FACTOR} * bbox width * bbox height"

_COCO_NAMES = {
    "AP": ("AP:all", None),
    "AP50": ("AP:all", 0),
    "AP75": ("AP:all", 5),
    "APM": ("AP:medium", None),
    "APL": ("AP:large", None),
    "AR": ("AR:all", None),
    "AR50": ("AR:all", 0),
    "AR75": ("AR:all", 5),
    "ARM": ("AR:medium", None),
    "ARL": ("AR:large", None),
}
_CROWD_NAMES = {
    "AP": ("AP:all", None),
    "AP50": ("AP:all", 0),
    "AP75": ("AP:all", 5),
    "AR": ("AR:all", None),
    "AR50": ("AR:all", 0),
    "AR75": ("AR:all", 5),
    "APE": ("AP:easy", None),
    "APM": ("AP:medium", None),
    "APH": ("AP:hard", None),
}


@dataclass(frozen=True)
class Profile:
    """Rules of one profile.

    Attributes:
        name: Its name.
        ap_names: Result key -> table entry and threshold index (None: mean over all).
        area_ranges: (A, 2) px², inclusive.
        by_area: Names of the area ranges that are reported.
        crowd: Whether bands of crowdIndex are reported.
        area: Which areas to use for the instances: (N,) values and the rule's name.
    """

    name: ProfileName
    ap_names: dict[str, tuple[str, int | None]]
    area_ranges: tuple[tuple[float, float], ...]
    by_area: tuple[str, ...]
    crowd: bool
    area: Callable[[Annotations], tuple[Floats, str]]


def box_area(truth: Annotations) -> tuple[Floats, str]:
    """CrowdPose's area: 0.53 x the box, whatever the file says."""
    # w * h first, as the authors' code: the product rounds the same way
    return truth.bbox_xywh[:, 2] * truth.bbox_xywh[:, 3] * CROWD_AREA_FACTOR, BOX_AREA_RULE


def stored_area(truth: Annotations) -> tuple[Floats, str]:
    """COCO's area: the file's.

    Raises:
        InvalidDataError: An annotation has none; a guess would move AP by points.
    """
    missing = np.isnan(truth.area)
    if missing.any():
        first = int(truth.instance_id[missing][0])
        raise InvalidDataError(
            f"{int(missing.sum())} of {len(truth)} annotations have no 'area', the first "
            f"id={first}; OKS needs it. Add areas, or use --profile crowdpose "
            f"(area = {BOX_AREA_RULE})"
        )
    return truth.area, "area field of the annotations"


def stored_or_box_area(truth: Annotations) -> tuple[Floats, str]:
    """The file's area; 0.53 x the box where no annotation of the file has one."""
    if len(truth) and np.isnan(truth.area).all():
        return box_area(truth)[0], f"{BOX_AREA_RULE} (no annotation has an area)"
    return stored_area(truth)


_COCO_RANGES = ((0.0, 1e10), (32.0**2, 96.0**2), (96.0**2, 1e10))
PROFILES = {
    "coco": Profile(
        "coco", _COCO_NAMES, _COCO_RANGES, ("all", "medium", "large"), False, stored_area
    ),
    "crowdpose": Profile("crowdpose", _CROWD_NAMES, ((0.0, 1e10),), ("all",), True, box_area),
    "extension": Profile(
        "extension",
        _COCO_NAMES,
        _COCO_RANGES,
        ("all", "medium", "large"),
        False,
        stored_or_box_area,
    ),
}


def profile_named(name: str) -> Profile:
    """A profile by name.

    Raises:
        UsageError: There is none.
    """
    if name not in PROFILES:
        raise UsageError(f"no profile '{name}'; known: {', '.join(PROFILES)}")
    return PROFILES[name]


def default_profile(dataset: Dataset) -> ProfileName:
    """The profile that fits the data, where the user names none.

    `crowdpose` for CrowdPose's schema, or images with crowdIndex and people without area;
    `extension` where the schema has extension keypoints; else `coco`.
    """
    no_area = len(dataset.annotations) > 0 and bool(np.isnan(dataset.annotations.area).all())
    crowded = bool((~np.isnan(dataset.images.crowd_index)).any())
    if dataset.schema.name == "crowdpose" or (crowded and no_area):
        return "crowdpose"
    return "extension" if dataset.schema.is_extension.any() else "coco"


@dataclass(frozen=True)
class Bands:
    """CrowdPose's bands.

    Attributes:
        masks: (I,) images of easy, medium, hard; None where crowdIndex is unusable.
        bad_ids: Images whose crowdIndex is missing, negative or not a number.
    """

    masks: dict[str, Bools] | None
    bad_ids: tuple[int, ...]


def crowd_bands(images: Images, limits: tuple[float, float]) -> Bands:
    """Part the images by crowdIndex: below the first limit, below the second, the rest."""
    index = images.crowd_index
    bad = ~(index >= 0)
    if bad.any():
        return Bands(None, tuple(int(i) for i in images.ids[bad]))
    low, high = limits
    easy, hard = index < low, index >= high
    return Bands({"easy": easy, "medium": ~easy & ~hard, "hard": hard}, ())


def subsets(profile: Profile, bands: Bands | None) -> tuple[Subset, ...]:
    """What AP is reported for under a profile."""
    ranges = tuple(Subset(name, row) for row, name in enumerate(profile.by_area))
    if bands is None or bands.masks is None:
        return ranges
    return ranges + tuple(Subset(name, 0, mask) for name, mask in bands.masks.items())


def ignored(truth: Annotations) -> Bools:
    """(N,) ignored by AP: crowd, or num_keypoints 0 as stored (counted where not stored)."""
    stored = truth.num_keypoints
    counted = truth.labelled.sum(axis=1)
    return np.asarray(truth.is_crowd | (np.where(stored < 0, counted, stored) == 0))


def detection_areas(predictions: Predictions, extent_xywh: Floats) -> tuple[Floats, str]:
    """(M,) area of each detection, for area ranges, and the rule's name.

    As pycocotools' `loadRes`: the box where the first result has one, else the extent of
    the keypoints.

    Args:
        predictions: M detections.
        extent_xywh: (M, 4) smallest box round each detection's keypoints.
    """
    own = len(predictions) > 0 and bool(np.isfinite(predictions.bbox_xywh[0]).all())
    if own:
        boxes, rule = prediction_boxes(predictions), "bbox of the result"
        return boxes[:, 2] * boxes[:, 3], rule
    return extent_xywh[:, 2] * extent_xywh[:, 3], "extent of the predicted keypoints"


def scored_detections(profile: Profile, predictions: Predictions) -> Bools:
    """(M,) detections that AP looks at.

    CrowdPose's evaluator leaves out results whose keypoint scores are all 0.
    """
    if not profile.crowd:
        return np.ones(len(predictions), dtype=bool)
    return np.asarray((predictions.keypoint_scores > 0).any(axis=1))
