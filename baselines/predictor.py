"""From a checkpoint to predictions in image px."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from baselines.checkpoints import (
    facts_config,
    load_weights,
    read_facts,
    read_tensors,
    schema_from_facts,
)
from baselines.config import TrainConfig
from baselines.crops import crop_boxes, cut_crops, normalised
from baselines.family import Family
from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import ReadError
from toolkit.files import sha256_file
from toolkit.geometry import apply_affine, box_to_crop_affine, invert_affine
from toolkit.schema import Schema

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


class CheckpointModel:
    """A trained network behind the toolkit's `PoseModel` protocol.

    Attributes:
        name: Of the model.
        schema: Whose keypoints it predicts.
        num_parameters: Of the network.
        facts: What stands beside the weights, plus `box`.
    """

    def __init__(self, path: Path, families: Mapping[str, Family], device: str) -> None:
        """Read a checkpoint and its facts.

        Raises:
            UnsafeInputError: The file is a pickle.
            ReadError: It cannot be read, or its tensors do not fit its facts.
        """
        tensors = read_tensors(path)
        facts = read_facts(path)
        self.config: TrainConfig = facts_config(path, facts)
        self.schema: Schema = schema_from_facts(path, facts)
        if self.config.family not in families:
            raise ReadError(
                f"{path}: family '{self.config.family}' is not one of "
                f"{', '.join(sorted(families))}"
            )
        self.family = families[self.config.family]
        self.network = self.family.build(self.schema, self.config, tensors)
        load_weights(path, self.network, tensors)
        self.network.to(device).to(memory_format=torch.channels_last).eval()
        self.device = device
        self.name = str(facts.get("model", path.stem))
        self.num_parameters = sum(p.numel() for p in self.network.parameters())
        self.facts: dict[str, object] = {
            **facts,
            "box": self.config.box,
            "checkpoint_sha256": sha256_file(path),
        }

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: Floats | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Predictions:
        """Predict every instance; see `toolkit.models.PoseModel`."""
        return predict_crops(
            self.network,
            self.family,
            self.config,
            dataset,
            images_dir,
            boxes=boxes,
            batch_size=batch_size,
            device=self.device,
            schema=self.schema,
            model=self.name,
            progress=progress,
        )


def predict_crops(
    network: nn.Module,
    family: Family,
    config: TrainConfig,
    dataset: Dataset,
    images_dir: Path,
    *,
    boxes: Floats | None = None,
    batch_size: int = 64,
    device: str = "cpu",
    bfloat16: bool = False,
    schema: Schema | None = None,
    model: str = "",
    progress: Progress | None = None,
) -> Predictions:
    """Run a network over all instances of a data set.

    Args:
        network: In evaluation mode.
        family: How to read its output.
        config: Crop size and box policy.
        dataset: N instances, in any schema; only boxes are read (but see the oracle).
        images_dir: Their frames.
        boxes: (N, 4) boxes in place of the data set's.
        batch_size: Crops at a time.
        device: Torch device.
        bfloat16: Compute in bfloat16.
        schema: Of the network; the data set's where None.
        model: Name to write into the predictions.
        progress: Called with (instances done, instances in all).

    Returns:
        N predictions in the order of the annotations.
    """
    schema = dataset.schema if schema is None else schema
    people = dataset.annotations
    count, keypoints = len(people), schema.num_keypoints
    regions = crop_boxes(dataset, config, boxes)
    points = np.full((count, keypoints, 2), np.nan)
    scores = np.zeros((count, keypoints))
    sigma = np.full((count, keypoints, 2), np.nan)
    done = 0
    for rows, images in _batches(dataset, images_dir, regions, config, batch_size):
        inputs = torch.from_numpy(normalised(images)).to(device).permute(0, 3, 1, 2)
        kind = torch.device(device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, bfloat16):
            decoded = family.decode(network(inputs), config)
        points[rows] = decoded.points.double().cpu().numpy()
        scores[rows] = decoded.scores.double().cpu().numpy()
        if decoded.sigma is not None:
            sigma[rows] = decoded.sigma.double().cpu().numpy()
        done += len(rows)
        if progress is not None:
            progress(done, count)
    affines = box_to_crop_affine(regions, config.input_wh)
    px_per_crop_px = 1 / affines[:, 0, 0]
    return Predictions.from_arrays(
        schema,
        people.image_id,
        apply_affine(invert_affine(affines), points),
        scores=scores.mean(axis=1),
        keypoint_scores=scores,
        sigma=None if np.isnan(sigma).all() else sigma * px_per_crop_px[:, None, None],
        annotation_id=people.instance_id,
        bbox_xywh=people.bbox_xywh if boxes is None else boxes,
        category_id=people.category_id,
        model=model,
    )


def _batches(
    dataset: Dataset,
    images_dir: Path,
    regions: Floats,
    config: TrainConfig,
    batch_size: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Full batches of crops across frames, with the rows they belong to."""
    held_rows: list[NDArray[np.int64]] = []
    held: list[NDArray[np.uint8]] = []
    waiting = 0
    for rows, crops in cut_crops(dataset, images_dir, regions, config.input_wh):
        held_rows.append(rows)
        held.append(crops)
        waiting += len(rows)
        while waiting >= batch_size:
            all_rows, all_crops = np.concatenate(held_rows), np.concatenate(held)
            yield all_rows[:batch_size], all_crops[:batch_size]
            held_rows, held = [all_rows[batch_size:]], [all_crops[batch_size:]]
            waiting -= batch_size
    if waiting:
        yield np.concatenate(held_rows), np.concatenate(held)
