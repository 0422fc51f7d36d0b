"""Training of the small person detector: frames in, a checkpoint out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.checkpoints import save_checkpoint
from baselines.crops import require_boxes
from baselines.detector import (
    NAME,
    PERSON,
    DetectorConfig,
    TorchvisionDetector,
    build_detector,
)
from baselines.precision import within_memory
from baselines.requests import generator_of, with_sha256
from baselines.run_state import check_no_weights
from baselines.training import batch_rows
from baselines.validation import told_of_validation
from toolkit.code_version import code_version
from toolkit.dataset import Dataset
from toolkit.detector_scores import box_ap
from toolkit.errors import InvalidDataError, ToolkitError, UsageError
from toolkit.files import make_folder
from toolkit.formats import read
from toolkit.images import load_image, resolve_images
from toolkit.models import TrainRequest
from toolkit.processes import choose_device

Floats = NDArray[np.float64]
MIN_VISIBLE = 0.3  # share of a box that must stay in the frame after it was moved


@dataclass(frozen=True)
class Frame:
    """One image with its people, at the network's size.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        corners: (n, 4) xyxy px.
        keypoints: (n, K, 2) px, NaN where not labelled; None where they are not learnt.
    """

    pixels: NDArray[np.uint8]
    corners: Floats
    keypoints: Floats | None = None


def train_detector(request: TrainRequest) -> Path:
    """Train the small detector; the boxes of the annotations are the truth.

    Raises:
        UsageError: A recipe or --resume was given: a run is minutes, and has neither.
        OutputExistsError: The folder holds weights.
        InvalidDataError: A box is unusable, or an image is missing; of the validation data
            too, or nobody in them has a box.
        WriteError: The folder cannot be made or written.
    """
    if request.recipe is not None or request.resume:
        raise UsageError(f"'{NAME}' has one recipe and no --resume; leave both away")
    if request.val_data is not None and request.val_images is None:
        raise UsageError("--val-data needs --val-images, the folder of its images")
    config = DetectorConfig()
    if request.images_seen is not None:
        config = DetectorConfig(images_seen=request.images_seen)
    dataset = with_sha256(read(request.data, request.schema), request.data)
    held_out = _held_out(request)
    check_no_weights(request.out, NAME)
    make_folder(request.out)
    device = choose_device(request.device)
    frames = load_frames(dataset, request.images, config)
    torch.manual_seed(request.seed)
    network = build_detector(config)
    fit(network, frames, config, request, device)
    facts = {"detector": NAME, **training_facts(network, dataset, config, request)}
    if held_out is not None:
        truth, images = held_out
        found = TorchvisionDetector(NAME, network, device, {}).detect(truth, images)
        facts["validation"] = {"data_sha256": truth.sha256, **box_ap(truth, found)}
    out = request.out / "best.safetensors"
    save_checkpoint(out, network, facts)
    return out


def _held_out(request: TrainRequest) -> tuple[Dataset, Path] | None:
    """What the detector is scored on, and its images: looked at before the first step.

    Raises:
        InvalidDataError: An image is missing, or nobody has a box.
        UnsafeInputError: An image's name leaves its folder.
    """
    if request.val_data is None or request.val_images is None:
        return None
    truth = with_sha256(read(request.val_data, request.schema), request.val_data)
    with told_of_validation():
        images = truth.images
        resolve_images(request.val_images, list(images.file_names), images.ids.tolist())
        if not np.isfinite(truth.annotations.bbox_xywh).all(axis=1).any():
            raise InvalidDataError(f"{truth.name}: nobody has a box to score the detector by")
    return truth, request.val_images


def training_facts(
    network: nn.Module, dataset: Dataset, config: DetectorConfig, request: TrainRequest
) -> dict[str, object]:
    """What stands beside the weights."""
    return {
        "recipe": config.to_dict(),
        "seed": request.seed,
        "images_seen": config.images_seen,
        "data_sha256": dataset.sha256,
        "training_images": len(dataset.images.ids),
        "training_instances": len(dataset.annotations),
        "generator": generator_of(dataset),
        "code_version": code_version(),
        "num_parameters": sum(p.numel() for p in network.parameters()),
    }


def load_frames(
    dataset: Dataset, images_dir: Path, config: DetectorConfig, *, keypoints: bool = False
) -> list[Frame]:
    """Every image once, shrunk or grown to the network's size, with its people."""
    boxes, people = require_boxes(dataset), dataset.annotations
    images = dataset.images
    paths = resolve_images(images_dir, list(images.file_names), images.ids.tolist())
    frames = []
    for row, path in enumerate(paths):
        pixels = load_image(path)
        height, width = pixels.shape[:2]
        factor = min(config.input_wh[0] / width, config.input_wh[1] / height)
        size = (round(width * factor), round(height * factor))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        mine = dataset.image_row == row
        own = boxes[mine] * factor
        frames.append(
            Frame(
                np.asarray(small, np.uint8),
                np.concatenate([own[:, :2], own[:, :2] + own[:, 2:]], axis=1),
                people.keypoints[mine] * factor if keypoints else None,
            )
        )
    return frames


def fit(
    network: nn.Module,
    frames: list[Frame],
    config: DetectorConfig,
    request: TrainRequest,
    device: str,
    *,
    flip_index: NDArray[np.int64] | None = None,
) -> None:
    """Train one of torchvision's detectors; it is left in evaluation mode.

    Args:
        network: Gives its losses for images and targets.
        frames: To learn from.
        config: Strengths and budget.
        request: Names seed and progress.
        device: Torch device.
        flip_index: (K,) mirror partners, where keypoints are learnt.

    Raises:
        ToolkitError: The loss is not finite.
        ResourceError: A step needs more memory than the GPU has.
    """
    network.to(device).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = max(1, math.ceil(config.images_seen / config.batch_size))
    for step in range(steps):
        rng = np.random.default_rng([request.seed, 1, step])
        rows = batch_rows(len(frames), config.batch_size, step, request.seed)
        batch = [augmented(frames[row], config, rng, device, flip_index) for row in rows]
        warm = min(1.0, (step + 1) / (0.03 * steps))
        for group in optimizer.param_groups:
            cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
            group["lr"] = config.learning_rate * warm * cosine
        with within_memory(device, "train on the CPU (--device cpu)"):
            losses = network([image for image, _ in batch], [target for _, target in batch])
            loss = sum(losses.values(), torch.zeros((), device=device))
            if not torch.isfinite(loss):
                raise ToolkitError(
                    f"{request.out}: loss became {float(loss.detach())} at step {step}"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
        if request.progress is not None:
            request.progress((step + 1) * config.batch_size, steps * config.batch_size)
    network.eval()


def augmented(
    frame: Frame,
    config: DetectorConfig,
    rng: np.random.Generator,
    device: str,
    flip_index: NDArray[np.int64] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """One frame scaled, moved, mirrored and tinted, with the people that are left in it."""
    height, width = frame.pixels.shape[:2]
    size = np.array([width, height], dtype=np.float64)
    scale = 1 + config.scale * rng.uniform(-1, 1)
    offset = (1 - scale) * size / 2 + config.shift * size * rng.uniform(-1, 1, 2)
    mirror = rng.random() < config.flip
    affine = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    if mirror:
        affine[0] = [-scale, 0, width - 1 - offset[0]]
    moved = cv2.warpAffine(frame.pixels, affine, (width, height)).astype(np.float64)
    gain = 1 + config.color * rng.uniform(-1, 1, 3)
    moved = (moved * gain + 64 * config.color * rng.uniform(-1, 1, 3)) / 255
    image = torch.from_numpy(moved.astype(np.float32)).permute(2, 0, 1).contiguous()
    factor = affine[[0, 1], [0, 1]]
    ends = np.sort(frame.corners.reshape(-1, 2, 2) * factor + affine[:, 2], axis=1)
    inside = np.clip(ends, 0, size)  # (n, low|high, xy)
    side, whole = inside[:, 1] - inside[:, 0], ends[:, 1] - ends[:, 0]
    kept = (side.prod(axis=1) >= MIN_VISIBLE * whole.prod(axis=1)) & (side > 2).all(axis=1)
    target = {
        "boxes": torch.from_numpy(inside[kept].reshape(-1, 4).astype(np.float32)).to(device),
        "labels": torch.full((int(kept.sum()),), PERSON, dtype=torch.int64, device=device),
    }
    if frame.keypoints is not None and flip_index is not None:
        points = frame.keypoints[kept] * factor + affine[:, 2]
        points = points[:, flip_index] if mirror else points
        seen = np.isfinite(points).all(axis=2) & (points >= 0).all(axis=2)
        seen &= (points < size).all(axis=2)
        triples = np.concatenate([np.nan_to_num(points), seen[..., None]], axis=2)
        target["keypoints"] = torch.from_numpy(triples.astype(np.float32)).to(device)
    return image.to(device), target
