"""Person detectors, as the toolkit sees them: a record for each, found by entry point.

As with models (`toolkit.models`), the toolkit imports none: a package lists `DetectorEntry`
records under the entry-point group `toolkit.detectors`. What they find is written as COCO
results without keypoints, so that whatever reads a detector's boxes reads ours.

Adding one: make a `DetectorEntry`, name it in `[project.entry-points."toolkit.detectors"]`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.files import write_bytes
from toolkit.models import Progress, TrainRequest, require_torch

GROUP = "toolkit.detectors"
MIN_SCORE = 0.05  # what AP is measured on; below it there is hardly a true person
USED_SCORE = 0.3  # what poses are predicted for: a lower one costs time and finds few more
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Detections:
    """M boxes of people.

    Attributes:
        image_id: (M,) int64.
        bbox_xywh: (M, 4) px in the image.
        scores: (M,) between 0 and 1.
    """

    image_id: NDArray[np.int64]
    bbox_xywh: Floats
    scores: Floats

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.image_id)


class PersonDetector(Protocol):
    """Something that finds people in images.

    Attributes:
        name: Of the detector.
        num_parameters: Of its network.
        facts: JSON values, as of a `PoseModel`.
    """

    name: str
    num_parameters: int
    facts: dict[str, object]

    def detect(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        min_score: float = MIN_SCORE,
        progress: Progress | None = None,
    ) -> Detections:
        """Find people in all images of a data set; its annotations are not read.

        Args:
            dataset: Its images are looked at, in their order.
            images_dir: Folder of the images.
            min_score: Boxes below it are dropped.
            progress: Called with (images done, images in all).
        """


@dataclass(frozen=True)
class DetectorEntry:
    """One detector that can be run.

    Attributes:
        name: As on the command line.
        title: As in a table.
        load: (weights, device) → the detector. `weights` is a file, a hub's tag, or None for
            what ships with the project.
        train: Trains it and gives the path of the checkpoint; None where that is not offered.
        note: What a user must know.
    """

    name: str
    title: str
    load: Callable[[str | Path | None, str], PersonDetector]
    train: Callable[[TrainRequest], Path] | None = None
    note: str = ""


def find_detectors() -> dict[str, DetectorEntry]:
    """All detectors of all installed packages, by name, sorted."""
    found = {point.name: point.load() for point in entry_points(group=GROUP)}
    return {name: found[name] for name in sorted(found)}


def load_detector(name: str, device: str, weights: str | Path | None = None) -> PersonDetector:
    """A detector by name, with the weights that were asked for.

    Raises:
        UsageError: There is none of that name.
    """
    detectors = find_detectors()
    if name not in detectors:
        close = difflib.get_close_matches(name, detectors, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise UsageError(f"no detector '{name}'; {hint}known: {', '.join(detectors)}")
    require_torch(f"detecting with '{name}'")
    return detectors[name].load(weights, device)


def category_of(dataset: Dataset) -> int:
    """The category that found people get: that of the data's first person, else 1."""
    categories = dataset.annotations.category_id
    return int(categories[0]) if len(categories) else 1


def people_in_boxes(
    dataset: Dataset, image_id: NDArray[np.int64], bbox_xywh: Floats
) -> Dataset:
    """The images of a data set with one unlabelled person for each box.

    They have no annotation ids (-1), no keypoints, and the category of `category_of`.

    Args:
        dataset: Whose images and category are taken; its people are left out.
        image_id: (M,) of the boxes.
        bbox_xywh: (M, 4) px.
    """
    count, keypoints = len(image_id), dataset.schema.num_keypoints
    people = Annotations.from_arrays(
        dataset.schema,
        image_id,
        np.full((count, keypoints, 2), np.nan),
        np.zeros((count, keypoints), np.uint8),
        bbox_xywh,
        instance_id=np.full(count, -1, np.int64),
        category_id=np.full(count, category_of(dataset), np.int64),
    )
    return replace(dataset, annotations=people, digest=None, source=None)


def write_detections(
    found: Detections, path: Path, *, category_id: int = 1, force: bool = False
) -> None:
    """Write boxes as COCO results, one record a line, whole or not at all.

    Raises:
        OutputExistsError: The file exists and `force` was not given.
        WriteError: The file cannot be written.
    """
    records = [
        json.dumps(
            {
                "image_id": int(found.image_id[row]),
                "category_id": category_id,
                "bbox": [round(float(side), 3) for side in found.bbox_xywh[row]],
                "score": round(float(found.scores[row]), 6),
            }
        )
        for row in range(len(found))
    ]
    write_bytes(path, ("[" + ",\n".join(records) + "]\n").encode(), force=force)
