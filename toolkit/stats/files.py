"""Images, categories and clips of an annotation file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from toolkit.annotations import Images
from toolkit.dataset import Dataset
from toolkit.formats.coco_write import CocoSource
from toolkit.stats.people import quantiles

CROWD_LIMITS = (0.1, 0.8)  # CrowdPose: easy below, medium below, hard


@dataclass(frozen=True)
class CategoryCount:
    """How many instances a category has.

    Attributes:
        id: As in the file.
        name: As in the file, or None where no category has the id.
        instances: With keypoints of the schema; None for a category with other keypoints,
            whose instances are not in the arrays.
    """

    id: int
    name: str | None
    instances: int | None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"id": self.id, "name": self.name, "instances": self.instances}


@dataclass(frozen=True)
class Clips:
    """Clips of the images.

    Attributes:
        frames: Frames of each clip, by name in order of first appearance.
        without: Images that name no clip.
    """

    frames: dict[str, int]
    without: int

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        per_clip = np.sort(np.array(list(self.frames.values()), np.int64))
        return {
            "clips": len(self.frames),
            "images_without_clip": self.without,
            "frames_per_clip": quantiles(per_clip),
        }


def count_categories(dataset: Dataset) -> tuple[CategoryCount, ...]:
    """Instances of each category: those of the file first, then ids that it does not list."""
    ids, numbers = np.unique(dataset.annotations.category_id, return_counts=True)
    counts = dict(zip(ids.tolist(), numbers.tolist(), strict=True))
    source = dataset.source
    if not isinstance(source, CocoSource):
        schema = dataset.schema
        return tuple(
            CategoryCount(i, schema.category_name if i == schema.category_id else None, n)
            for i, n in counts.items()
        )
    found = []
    for category in source.categories:
        fits = not category.keypoints or len(category.keypoints) == len(dataset.schema.names)
        number = counts.pop(category.id, 0 if fits and category.keypoints else None)
        found.append(CategoryCount(category.id, category.name, number))
    return (*found, *(CategoryCount(i, None, n) for i, n in counts.items()))


def count_clips(images: Images) -> Clips:
    """Frames of each clip."""
    frames = Counter(clip for clip in images.clips if clip is not None)
    return Clips(dict(frames), sum(clip is None for clip in images.clips))


def crowd_index_json(images: Images) -> dict[str, object] | None:
    """CrowdPose's crowdIndex, None where no image has a usable one."""
    usable = np.sort(images.crowd_index[images.crowd_index >= 0])
    if not len(usable):
        return None
    low, high = CROWD_LIMITS
    return {
        "images": len(usable),
        "limits": list(CROWD_LIMITS),
        "easy": int((usable < low).sum()),
        "medium": int(((usable >= low) & (usable < high)).sum()),
        "hard": int((usable >= high).sum()),
        "quantiles": quantiles(usable),
    }
