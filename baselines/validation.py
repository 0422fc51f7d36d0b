"""The people that a network is validated on while it trains, and how good it is there.

The measure is a plain PCKh, to choose the best checkpoint by.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from baselines.config import TrainConfig
from baselines.crops import crop_boxes
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ReadError, UnsafeInputError
from toolkit.geometry import inside_box
from toolkit.images import resolve_images
from toolkit.metrics.head_size import head_sizes
from toolkit.models import PoseModel
from toolkit.processes import predict

HEADLESS = 0.2  # of the box's diagonal, where nobody has a head


def validate(
    model: PoseModel, dataset: Dataset, images_dir: Path, *, batch_size: int
) -> dict[str, float]:
    """PCKh@0.5 in per cent (see `pckh_shares`), each process on its share."""
    predicted = predict(model, dataset, images_dir, batch_size=batch_size)
    return pckh_shares(dataset, predicted.keypoints)


def pckh_shares(dataset: Dataset, keypoints: np.ndarray[Any, Any]) -> dict[str, float]:
    """A plain PCKh@0.5 for choosing checkpoints; `toolkit evaluate` is the real one.

    Args:
        dataset: Truth; instances without a head size by the schema's rules are left out.
            Where nobody has one (no heads in the schema), a fifth of the box's diagonal
            stands for it: then this is PCK at a tenth of the diagonal.
        keypoints: (N, K, 2) px.

    Returns:
        Per cent of labelled keypoints within half a head: `all`, `body`, and for each other
        report group its value outside the human box. But for `all`, a share of nothing is left
        out; what is counted depends on the truth alone.
    """
    people, schema = dataset.annotations, dataset.schema
    head = head_sizes(people).size
    if not np.isfinite(head).any():
        head = HEADLESS * np.hypot(*people.bbox_xywh[:, 2:].T)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.linalg.norm(keypoints - people.keypoints, axis=2) / head[:, None]
    true = np.isfinite(people.keypoints).all(axis=2)
    counted = true & (np.isfinite(head) & (head > 0))[:, None]
    right = error <= 0.5  # of a prediction that is no number: False
    outside = counted & ~inside_box(people.keypoints, people.bbox_xywh)

    parts = {"all": counted, "body": counted & ~schema.is_extension}
    for name, rows in schema.report_groups.items():
        columns = np.zeros(schema.num_keypoints, dtype=bool)
        columns[rows] = True
        if (columns & schema.is_extension).any():
            parts[f"{name} out"] = outside & columns
            parts[f"{name} in"] = counted & ~outside & columns
    shares = {n: 100 * float(right[part].mean()) for n, part in parts.items() if part.any()}
    return {"all": 0.0} | shares


def validation_part(
    validation: tuple[Dataset, Path], dataset: Dataset, config: TrainConfig
) -> tuple[Dataset, Path]:
    """The people to validate on; what is wrong with them is told before the first step.

    Raises:
        SchemaError: They have not the keypoints of the training data in the same order.
        InvalidDataError: A box cannot be cropped, or images are missing.
        ReadError: Their folder does not exist.
        UnsafeInputError: An image's name leaves its folder.
    """
    held_out, images_dir = validation
    held_out.schema.require_same_keypoints(
        dataset.schema,
        f"--val-data: {held_out.name}",
        "give --data and --val-data of one schema",
    )
    part = held_out.subset(slice(0, config.validation_instances))
    images = part.images
    with told_of_validation():
        frames = np.unique(part.image_row)
        names = [images.file_names[frame] for frame in frames]
        resolve_images(images_dir, names, images.ids[frames].tolist())
        crop_boxes(part, config)
    return part, images_dir


@contextmanager
def told_of_validation() -> Iterator[None]:
    """A block about the validation data: its errors name their options, not the training's.

    Raises:
        InvalidDataError: Of the block.
        ReadError: Of the block.
        UnsafeInputError: Of the block.
    """
    try:
        yield
    except (InvalidDataError, ReadError, UnsafeInputError) as error:
        said = str(error).replace("--images", "--val-images")
        raise type(error)(f"--val-data: {said}") from error
