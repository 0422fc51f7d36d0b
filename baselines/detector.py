"""A small person detector: torchvision's FCOS on the small HRNet, for practice data.

FCOS (Tian et al., ICCV 2019) gives every cell of a feature map a score and the distances to
the four sides of the box that it lies in; torchvision (BSD-3-Clause) has the head, the
matching, the losses and the suppression of doubles. Here it stands on three maps of
`hrnet-small`, so that it trains on one CPU core in some minutes. It has seen rendered people
only: on photographs use `fasterrcnn` with its published weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

from baselines.backbones import Backbone
from baselines.checkpoints import load_weights, read_facts, read_tensors
from baselines.config import checked_values
from baselines.precision import whole_float32, within_memory
from toolkit.dataset import Dataset
from toolkit.detectors import MIN_SCORE, Detections
from toolkit.errors import InvalidDataError, ReadError
from toolkit.files import sha256_file
from toolkit.images import load_image, resolve_images
from toolkit.models import Progress

_Config = TypeVar("_Config", bound="DetectorConfig")
NAME = "person-small"
ONE_FRAME = "one frame at a time is too much; compute on the CPU (--device cpu)"
PERSON = 1  # torchvision's detectors count classes from 1; 0 is the background


@dataclass(frozen=True)
class DetectorConfig:
    """What the detector and its training depend on, beside data and seed.

    Attributes:
        input_wh: Images are shrunk or grown, in one proportion, until they fit.
        dim: Channels of the maps under the head, a multiple of 32.
        images_seen: Training budget: frames shown, repeats included.
        batch_size: Frames a step.
        learning_rate: Peak of AdamW's, with warm-up and cosine decay to zero.
        weight_decay: Of AdamW.
        scale: Frames are scaled by a factor uniform in [1 - scale, 1 + scale].
        shift: And moved by up to this share of the frame.
        flip: Probability of mirroring.
        color: Random gain and offset of each channel, as a share.
    """

    input_wh: tuple[int, int] = (256, 160)
    dim: int = 64
    images_seen: int = 3_000
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    scale: float = 0.3
    shift: float = 0.15
    flip: float = 0.5
    color: float = 0.2

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


class Maps(nn.Module):
    """The small HRNet's maps at strides 8, 16 and 32, each with the same number of channels."""

    def __init__(self, dim: int) -> None:
        """Build the body and a projection for each map."""
        super().__init__()
        self.body = Backbone("hrnet-small")
        self.project = nn.ModuleList(nn.Conv2d(c, dim, 1) for c in self.body.channels[1:])
        self.out_channels = dim  # torchvision reads it

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Maps of normalised images (B, 3, H, W), by name."""
        maps = self.body(images)[1:]  # (B, C_i, H / s, W / s), s in 8, 16, 32
        return OrderedDict(
            (str(place), project(x))  # (B, dim, H / s, W / s)
            for place, (project, x) in enumerate(zip(self.project, maps, strict=True))
        )


def build_detector(config: DetectorConfig) -> FCOS:
    """An untrained detector of one class."""
    width, height = config.input_wh
    return FCOS(
        Maps(config.dim),
        num_classes=2,
        min_size=height,
        max_size=width,
        anchor_generator=AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3),
        score_thresh=MIN_SCORE,
        nms_thresh=0.6,
    )


class TorchvisionDetector:
    """Any of torchvision's detectors behind the toolkit's `PersonDetector` protocol.

    Attributes:
        name: Of the detector.
        num_parameters: Of its network.
        facts: Where its weights are from.
    """

    def __init__(
        self, name: str, network: nn.Module, device: str, facts: dict[str, object]
    ) -> None:
        """Keep a network that maps a list of images to boxes, labels and scores."""
        self.name, self.device, self.facts = name, device, facts
        self.network = network.to(device).eval()
        self.num_parameters = sum(p.numel() for p in network.parameters())

    def detect(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        min_score: float = MIN_SCORE,
        progress: Progress | None = None,
    ) -> Detections:
        """Find people in all images; see `toolkit.detectors.PersonDetector`."""
        images = dataset.images
        paths = resolve_images(images_dir, list(images.file_names), images.ids.tolist())
        ids, boxes, scores = [], [np.empty((0, 4))], [np.empty(0)]
        for done, (image_id, path) in enumerate(zip(images.ids, paths, strict=True)):
            found = self.one(load_image(path))
            kept = (found["labels"] == PERSON) & (found["scores"] >= min_score)
            corners = found["boxes"][kept].double().cpu().numpy()
            boxes.append(np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1))
            scores.append(found["scores"][kept].double().cpu().numpy())
            ids.extend([int(image_id)] * len(corners))
            if progress is not None:
                progress(done + 1, len(paths))
        return Detections(
            np.array(ids, np.int64), np.concatenate(boxes), np.concatenate(scores)
        )

    def one(self, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> dict[str, Tensor]:
        """What the network says of one image (H, W, 3), boxes xyxy in its px.

        Raises:
            ResourceError: The GPU has not the memory for it.
        """
        with within_memory(self.device, ONE_FRAME), torch.inference_mode(), whole_float32():
            image = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
            (found,) = self.network([image.permute(2, 0, 1).float() / 255])
        return dict(found)


def load_small_detector(path: Path, device: str) -> TorchvisionDetector:
    """The small detector with trained weights.

    Raises:
        UnsafeInputError: The file is a pickle.
        ReadError: It cannot be read, or is of something else.
    """
    tensors, facts = read_tensors(path), read_facts(path)
    recipe = facts.get("recipe")
    if facts.get("detector") != NAME or not isinstance(recipe, dict):
        raise ReadError(
            f"{path}: not weights of the detector '{NAME}'; the facts beside it name "
            f"'{facts.get('detector') or facts.get('model')}'"
        )
    config = config_of(path, recipe, DetectorConfig())
    try:
        network = build_detector(config)
    except (ValueError, RuntimeError) as error:
        raise ReadError(
            f"{path.with_suffix('.json')}: recipe: no detector can be built by it: {error}"
        ) from error
    load_weights(path, network, tensors)
    return TorchvisionDetector(
        NAME, network, device, {**facts, "checkpoint_sha256": sha256_file(path)}
    )


def config_of(path: Path, recipe: Mapping[str, object], defaults: _Config) -> _Config:
    """The settings in a detector's facts; all but the size have a default.

    Args:
        path: The checkpoint, for errors.
        recipe: Of its facts.
        defaults: Of its kind of detector.

    Raises:
        ReadError: The size is missing, a key is unknown, or a value is of the wrong kind or
            beyond its limits.
    """
    where = f"{path.with_suffix('.json')}: recipe"
    if "input_wh" not in recipe:
        raise ReadError(f"{where}: 'input_wh' is missing; fetch both files again")
    try:
        checked = checked_values(recipe, defaults, where=where)
    except InvalidDataError as error:
        raise ReadError(f"{error}; fetch both files again") from error
    config = replace(defaults, **checked)
    if min(config.input_wh) < 1:
        raise ReadError(
            f"{where}: 'input_wh' is {list(config.input_wh)}; expected a width and a height, "
            "px; fetch both files again"
        )
    return config
