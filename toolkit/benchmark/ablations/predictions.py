"""Predictions of a trained network on the test set, kept in the cache like all others."""

from __future__ import annotations

import json
import time
from pathlib import Path

from toolkit.annotations import Predictions
from toolkit.benchmark.ablations.boxes import people_of
from toolkit.benchmark.demo_data import make_cache
from toolkit.benchmark.entrants import code_of
from toolkit.benchmark.prediction_cache import cache_key, cached
from toolkit.dataset import Dataset
from toolkit.files import sha256_file
from toolkit.formats import read_predictions
from toolkit.models import Progress, get_model


def predict_row(
    reader: str,
    checkpoint: Path,
    truth: Dataset,
    images_dir: Path,
    device: str,
    *,
    pictures: str | None = None,
    boxes_file: Path | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """What a model says of the test set, from the cache or computed now.

    Args:
        reader: Registered name of the model that reads the checkpoint.
        checkpoint: Trained weights.
        truth: The test set, N people; its own boxes are given unless there is a file.
        images_dir: Its images.
        device: Torch device.
        pictures: Hash of the images where they are the user's own, see `prediction_file`.
        boxes_file: Detected boxes (COCO results) in place of the true ones.
        progress: Called with (people done, people in all).

    Returns:
        N predictions with `annotation_id`; from detected boxes one for each box, without it
        (-1), to be matched by the boxes' overlap.

    Raises:
        InvalidDataError, ReadError: The file of boxes has errors, or cannot be read.
    """
    entry = get_model(reader)
    given = truth
    if boxes_file is not None:
        given = people_of(truth, read_predictions(boxes_file, truth.schema, boxes=True))
    path = prediction_file(
        reader, checkpoint, truth, images_dir, pictures=pictures, boxes_file=boxes_file
    )

    def compute() -> tuple[Predictions, float]:
        start = time.perf_counter()
        found = entry.load(checkpoint, device).predict(given, images_dir, progress=progress)
        return found, time.perf_counter() - start

    return cached(path, truth.schema, compute)[0]


def prediction_file(
    reader: str,
    checkpoint: Path,
    truth: Dataset,
    images_dir: Path,
    *,
    pictures: str | None = None,
    boxes_file: Path | None = None,
) -> Path:
    """Where the predictions are kept: named by weights, code, data, pictures and boxes.

    Args:
        reader: Registered name of the model that reads the checkpoint.
        checkpoint: Trained weights.
        truth: The test set.
        images_dir: Its images.
        pictures: `pictures_sha256` of them; None for a rendered set, whose folder's name
            tells what is in it.
        boxes_file: Detected boxes in place of the true ones.
    """
    key = cache_key(
        reader,
        sha256_file(checkpoint),
        sha256_file(checkpoint.with_suffix(".json")),
        code_of(get_model(reader)),
        truth.sha256,
        pictures or images_dir.resolve(),
        None if boxes_file is None else sha256_file(boxes_file),
    )
    return make_cache("predictions") / f"{reader}_ablations_{key}.npz"


def num_parameters(checkpoint: Path) -> int | None:
    """From the facts beside a checkpoint."""
    facts = json.loads(checkpoint.with_suffix(".json").read_text(encoding="utf-8"))
    count = facts.get("num_parameters")
    return count if isinstance(count, int) else None
