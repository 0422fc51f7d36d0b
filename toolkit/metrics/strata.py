"""Strata and groups: which labelled keypoints a number is taken over.

Strata use the ground truth's `bbox`, never the crop a model saw. Inside a box is
x <= px <= x + w; inside the image is 0 <= px < width: `out_of_image` is part of
`out_of_box` unless the box itself reaches past the image, as boxes of practice data do.
`in_box` and `out_of_box` part the labelled keypoints of instances that
have a box; `visible` and `occluded` part those with visibility 2 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Visibility
from toolkit.errors import UsageError
from toolkit.geometry import inside_box, inside_image
from toolkit.schema import Schema

Bools = NDArray[np.bool_]
ALL = "all"
MEAN = "Mean"
STRATA = ("in_box", "out_of_box", "out_of_image", "visible", "occluded")
MEAN_RULE = (
    "a group's mean pools its keypoints: each counts as often as it is labelled; "
    "'Mean' is the group of all keypoints"
)


def strata_masks(truth: Annotations, size_wh: NDArray[np.int64]) -> dict[str, Bools]:
    """(N, K) masks of labelled keypoints: `all`, then one a stratum.

    Args:
        truth: N instances.
        size_wh: (N, 2) px, size of each instance's image; 0 where unknown, and then no
            keypoint counts as outside the image.
    """
    labelled = truth.labelled
    boxed = np.isfinite(truth.bbox_xywh).all(axis=1, keepdims=True)
    sized = (size_wh > 0).all(axis=1, keepdims=True)
    inside = inside_box(truth.keypoints, truth.bbox_xywh)
    return {
        ALL: labelled,
        "in_box": labelled & boxed & inside,
        "out_of_box": labelled & boxed & ~inside,
        "out_of_image": labelled & sized & ~inside_image(truth.keypoints, size_wh),
        "visible": truth.visibility == Visibility.VISIBLE,
        "occluded": truth.visibility == Visibility.OCCLUDED,
    }


def group_members(
    schema: Schema, extra: Mapping[str, Sequence[str]] | None = None
) -> dict[str, NDArray[np.int64]]:
    """Keypoint indices of each group: body, extension, report groups, Mean, then extras.

    Args:
        schema: The schema.
        extra: More groups, by keypoint names.

    Raises:
        UsageError: An extra group has the name of another group.
        SchemaError: An extra group names an unknown keypoint.
    """
    groups = {
        "body": np.flatnonzero(~schema.is_extension),
        "extension": np.flatnonzero(schema.is_extension),
        **schema.report_groups,
        MEAN: np.arange(schema.num_keypoints),
    }
    for name, members in (extra or {}).items():
        if name in groups:
            raise UsageError(f"group '{name}' exists already; choose another name")
        groups[name] = np.array([schema.index(member) for member in members], np.int64)
    return groups
