"""Visibility of keypoints, and how many lie outside their box and outside their image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Visibility
from toolkit.metrics.strata import group_members

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class KeypointCounts:
    """Counts of one keypoint, or of a group of them, over all instances.

    Attributes:
        name: Of the keypoint or the group.
        extension: Whether it reaches beyond the person (False for a mixed group).
        instances: Places where it could be labelled: instances, times members of a group.
        visible: Labelled and visible.
        occluded: Labelled and not visible.
        beyond: Visibility 3, which only CropCOCO has.
        boxed: Labelled in an instance whose box is known.
        out_of_box: Of these, outside that box.
        sized: Labelled in an image whose size is known.
        out_of_image: Of these, outside the image.
    """

    name: str
    extension: bool
    instances: int
    visible: int
    occluded: int
    beyond: int
    boxed: int
    out_of_box: int
    sized: int
    out_of_image: int

    @property
    def labelled(self) -> int:
        """Visibility above 0."""
        return self.visible + self.occluded + self.beyond

    @property
    def absent(self) -> int:
        """Visibility 0."""
        return self.instances - self.labelled

    @property
    def out_of_box_share(self) -> float | None:
        """Share outside the box of what is labelled and has a box."""
        return share(self.out_of_box, self.boxed)

    @property
    def out_of_image_share(self) -> float | None:
        """Share outside the image of what is labelled in an image of known size."""
        return share(self.out_of_image, self.sized)

    def to_json(self) -> dict[str, object]:
        """Counts and shares as plain values."""
        return {
            "extension": self.extension,
            "instances": self.instances,
            "labelled": self.labelled,
            "visible": self.visible,
            "occluded": self.occluded,
            "beyond": self.beyond,
            "absent": self.absent,
            "labelled_share": share(self.labelled, self.instances),
            "visible_share_of_labelled": share(self.visible, self.labelled),
            "with_box": self.boxed,
            "out_of_box": self.out_of_box,
            "out_of_box_share": self.out_of_box_share,
            "with_image_size": self.sized,
            "out_of_image": self.out_of_image,
            "out_of_image_share": self.out_of_image_share,
        }


@dataclass(frozen=True)
class Outside:
    """(N, K) masks of labelled keypoints, in the senses of `toolkit.metrics.strata`."""

    boxed: Bools
    out_of_box: Bools
    sized: Bools
    out_of_image: Bools


def outside_masks(people: Annotations, size_wh: Counts) -> Outside:
    """Which labelled keypoints lie outside their box and outside their image.

    The rules are `inside_box` (edges inside) and `inside_image` (far edges outside), written
    by column: over a quarter of a million people a reduction over an axis of two is slow.

    Args:
        people: N instances.
        size_wh: (N, 2) px, 0 where unknown.
    """
    x, y = people.keypoints[:, :, 0], people.keypoints[:, :, 1]
    left, top, width, height = (people.bbox_xywh[:, [side]] for side in range(4))
    wide, high = size_wh[:, [0]], size_wh[:, [1]]
    boxed = people.labelled & np.isfinite(people.bbox_xywh).all(axis=1, keepdims=True)
    sized = people.labelled & (size_wh > 0).all(axis=1, keepdims=True)
    in_box = (x >= left) & (x <= left + width) & (y >= top) & (y <= top + height)
    in_image = (x >= 0) & (x < wide) & (y >= 0) & (y < high)
    return Outside(boxed, boxed & ~in_box, sized, sized & ~in_image)


def count_keypoints(people: Annotations, outside: Outside) -> tuple[KeypointCounts, ...]:
    """Counts of each keypoint, in the schema's order."""
    columns = _columns(people, outside)
    return tuple(
        KeypointCounts(
            name,
            bool(people.schema.is_extension[k]),
            len(people),
            *(int(c[k]) for c in columns),
        )
        for k, name in enumerate(people.schema.names)
    )


def count_groups(people: Annotations, outside: Outside) -> tuple[KeypointCounts, ...]:
    """Counts of each group: body, extension, the schema's report groups, Mean for all."""
    columns = _columns(people, outside)
    return tuple(
        KeypointCounts(
            name,
            len(members) > 0 and bool(people.schema.is_extension[members].all()),
            len(people) * len(members),
            *(int(column[members].sum()) for column in columns),
        )
        for name, members in group_members(people.schema).items()
    )


def share(part: int, whole: int) -> float | None:
    """A share, None of nothing."""
    return part / whole if whole else None


def _columns(people: Annotations, outside: Outside) -> tuple[Counts, ...]:
    """(K,) counts in the order of `KeypointCounts`."""
    seen = people.visibility
    return tuple(
        mask.sum(axis=0, dtype=np.int64)
        for mask in (
            seen == Visibility.VISIBLE,
            seen == Visibility.OCCLUDED,
            seen == Visibility.BEYOND,
            outside.boxed,
            outside.out_of_box,
            outside.sized,
            outside.out_of_image,
        )
    )
