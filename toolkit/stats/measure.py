"""All statistics of one data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.crop_curve import CropCurve, crop_curve
from toolkit.dataset import Dataset
from toolkit.report import Finding, Severity
from toolkit.stats.density import Density, densities
from toolkit.stats.files import (
    CategoryCount,
    Clips,
    count_categories,
    count_clips,
    crowd_index_json,
)
from toolkit.stats.keypoints import (
    KeypointCounts,
    count_groups,
    count_keypoints,
    outside_masks,
)
from toolkit.stats.people import Crowding, Sizes, measure_crowding, measure_sizes


@dataclass(frozen=True)
class Statistics:
    """What `toolkit stats` says about a file.

    Attributes:
        file: Its name.
        schema: Name of the schema.
        images: How many.
        images_without_annotations: Of these, how many hold no instance.
        instances: How many are in the arrays.
        without_box: Of these, without a usable box.
        crowds: Of these, with iscrowd 1.
        without_image: Of these, naming an image that the file does not have.
        categories: Instances of each category.
        keypoints: Counts of each keypoint.
        groups: Counts of each group.
        sizes: Of people.
        crowding: Neighbours.
        crowd_index: CrowdPose's, or None.
        clips: Of the images.
        densities: Of each extension keypoint; of none where the schema has none.
        crop: The crop curve.
        unread: What the reader could not use: for each rule the severity, the number of
            records and the first message.
    """

    file: str
    schema: str
    images: int
    images_without_annotations: int
    instances: int
    without_box: int
    crowds: int
    without_image: int
    categories: tuple[CategoryCount, ...]
    keypoints: tuple[KeypointCounts, ...]
    groups: tuple[KeypointCounts, ...]
    sizes: Sizes
    crowding: Crowding
    crowd_index: dict[str, object] | None
    clips: Clips
    densities: tuple[Density, ...]
    crop: CropCurve
    unread: tuple[tuple[str, str, int, str], ...]

    def to_json(self) -> dict[str, object]:
        """One document; a share of nothing is None."""
        return {
            "file": self.file,
            "schema": self.schema,
            "counts": {
                "images": self.images,
                "images_without_annotations": self.images_without_annotations,
                "instances": self.instances,
                "instances_without_box": self.without_box,
                "instances_without_image": self.without_image,
                "crowd_regions": self.crowds,
                "categories": [category.to_json() for category in self.categories],
            },
            "keypoints": {row.name: row.to_json() for row in self.keypoints},
            "groups": {row.name: row.to_json() for row in self.groups},
            "sizes": self.sizes.to_json(),
            "crowding": self.crowding.to_json() | {"crowd_index": self.crowd_index},
            "clips": self.clips.to_json(),
            "density": {item.name: item.to_json() for item in self.densities},
            "crop": self.crop.to_json(),
            "unread": [
                {"rule": rule, "severity": severity, "count": count, "first": first}
                for rule, severity, count, first in self.unread
            ],
        }


def measure(dataset: Dataset, findings: Iterable[Finding] = ()) -> Statistics:
    """Measure a data set.

    Nothing is refused: what cannot be counted in one number is left out of it, and that
    number says of how many it is.

    Args:
        dataset: What was read, errors and all.
        findings: What the reader could not use.
    """
    people = dataset.annotations
    rows = _image_rows(dataset)
    sizes = np.vstack([dataset.images.size_wh, np.zeros((1, 2), np.int64)])[rows]
    outside = outside_masks(people, sizes)
    held = np.isin(dataset.images.ids, people.image_id)
    return Statistics(
        file=dataset.name,
        schema=dataset.schema.name,
        images=len(dataset.images),
        images_without_annotations=int((~held).sum()),
        instances=len(people),
        without_box=int((~np.isfinite(people.bbox_xywh).all(axis=1)).sum()),
        crowds=int(people.is_crowd.sum()),
        without_image=int((rows < 0).sum()),
        categories=count_categories(dataset),
        keypoints=count_keypoints(people, outside),
        groups=count_groups(people, outside),
        sizes=measure_sizes(people),
        crowding=measure_crowding(people),
        crowd_index=crowd_index_json(dataset.images),
        clips=count_clips(dataset.images),
        densities=densities(people, np.flatnonzero(dataset.schema.is_extension)),
        crop=crop_curve(people),
        unread=_unread(findings),
    )


def _image_rows(dataset: Dataset) -> NDArray[np.int64]:
    """(N,) row of each annotation's image, -1 where there is none."""
    ids, wanted = dataset.images.ids, dataset.annotations.image_id
    if not len(ids):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    return np.where(ids[order[at]] == wanted, order[at], -1)


def _unread(findings: Iterable[Finding]) -> tuple[tuple[str, str, int, str], ...]:
    """For each rule: severity, number of records, first message; errors first."""
    counts: Counter[str] = Counter()
    first: dict[str, Finding] = {}
    for finding in findings:
        counts[finding.rule] += finding.count
        first.setdefault(finding.rule, finding)
    rank = list(Severity)
    listed = sorted(first.values(), key=lambda finding: rank.index(finding.severity))
    return tuple(
        (f.rule, f.severity.value, counts[f.rule], f"{f.place}: {f.message}".lstrip(": "))
        for f in listed
    )
