"""torchvision's detectors: Faster R-CNN and Keypoint R-CNN, built by name, with their weights.

Weights come by torchvision's tag (`COCO_V1`: fetched once, checked against the hash in its
name whenever it is read, weights only) or from a local safetensors file with torchvision's
tensor names.

torchvision builds another network for its weights than for none: BatchNorm is frozen, and for
COCO_V1 of the ResNet-50s it divides by the variance alone (`FrozenBatchNorm2d` with `eps` 0,
as those weights were trained). So do we. Tensors do not say which it was: a local file is taken
for COCO_V1's, unless it has the name of another of torchvision's files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.hub import HASH_REGEX
from torchvision.models import WeightsEnum, detection
from torchvision.ops import FrozenBatchNorm2d

from baselines.checkpoints import load_weights, read_tensors, without_counters
from baselines.hub import reach
from toolkit.errors import ReadError, ServiceError, UsageError
from toolkit.files import sha256_file

# How each is made, its tags, and `eps` of its frozen BatchNorm; None: it is not frozen.
FASTER_RCNN: dict[str, tuple[Any, Any, float | None]] = {
    "fasterrcnn": (
        detection.fasterrcnn_resnet50_fpn,
        detection.FasterRCNN_ResNet50_FPN_Weights,
        0.0,
    ),
    "fasterrcnn-v2": (
        detection.fasterrcnn_resnet50_fpn_v2,
        detection.FasterRCNN_ResNet50_FPN_V2_Weights,
        None,
    ),
    "fasterrcnn-mobile": (
        detection.fasterrcnn_mobilenet_v3_large_320_fpn,
        detection.FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
        1e-5,
    ),
}
KEYPOINT_RCNN = detection.KeypointRCNN_ResNet50_FPN_Weights


def build_faster_rcnn(name: str, weights: str) -> nn.Module:
    """A Faster R-CNN with COCO's 91 classes and trained weights.

    Args:
        name: A key of `FASTER_RCNN`.
        weights: One of torchvision's tags, or a safetensors file.

    Raises:
        UsageError: Neither a file nor a tag.
        ServiceError: The tag's file is not here and cannot be fetched.
        UnsafeInputError: The file is a pickle.
        ReadError: The file cannot be read, or its tensors are not this network's.
    """
    make, tags, eps = FASTER_RCNN[name]
    network: nn.Module = make(weights=None, weights_backbone=None)
    if eps is not None:
        freeze_batchnorm(network, eps)
    path, tensors = tensors_of(name, weights, tags)
    load_weights(path, network, tensors)
    return network


def keypoint_rcnn_eps(weights: str) -> float:
    """`eps` of the BatchNorm that Keypoint R-CNN's weights, a tag or a file, were trained with.

    0 for COCO_V1's and for files whose name says nothing; torchvision's default for the
    tag COCO_LEGACY and for its file.
    """
    legacy = Path(KEYPOINT_RCNN.COCO_LEGACY.url).stem
    is_legacy = weights == "COCO_LEGACY" or Path(weights).stem == legacy
    return 1e-5 if is_legacy else 0.0


def freeze_batchnorm(network: nn.Module, eps: float) -> None:
    """Put a frozen BatchNorm in the place of every one, as torchvision does for its weights.

    Args:
        network: To be changed; its tensors keep their names.
        eps: What is added to the variance.
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, FrozenBatchNorm2d(child.num_features, eps))


def tensors_of(
    name: str, weights: str, tags: type[WeightsEnum]
) -> tuple[Path, dict[str, Tensor]]:
    """The tensors that a file or a tag stands for, and the file.

    Raises:
        UsageError: Neither a file nor a tag.
        ServiceError: The tag's file is not here and cannot be fetched.
        UnsafeInputError: The file is a pickle.
        ReadError: The file cannot be read, or the tag's file is damaged.
    """
    known = [tag for tag in tags.__members__ if tag != "DEFAULT"]
    if weights in known:
        path, tensors = _fetched(name, weights, tags[weights].url)
        return path, without_counters(tensors)
    path = Path(weights)
    if not path.is_file():
        raise UsageError(
            f"'{name}': no weights '{weights}': neither a file nor one of torchvision's tags "
            f"({', '.join(known)})"
        )
    return path, without_counters(read_tensors(path))


def _fetched(name: str, tag: str, url: str) -> tuple[Path, dict[str, Tensor]]:
    """Weights by tag, from the cache or the hub."""
    file = url.rsplit("/", 1)[1]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / file
    if cached.is_file():
        _check_hash(cached)
    else:
        try:
            reach(url)
        except OSError as error:
            raise _unreachable(name, tag, url, cached, error) from error
    try:
        held = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, progress=False, weights_only=True
        )
    except (URLError, OSError, RuntimeError) as error:
        raise _unreachable(name, tag, url, cached, error) from error
    return cached, held


def _check_hash(cached: Path) -> None:
    """Compare a cached file with its name: torch does so once, when it fetches it.

    Raises:
        ReadError: The file is not the one that its name promises.
    """
    named = HASH_REGEX.search(cached.name)
    digest = sha256_file(cached)
    if named is not None and not digest.startswith(named[1]):
        raise ReadError(
            f"{cached}: is damaged: its SHA-256 begins with {digest[:8]}, its name says "
            f"{named[1]}; remove it, and it is fetched again"
        )


def _unreachable(name: str, tag: str, url: str, cached: Path, error: Exception) -> ServiceError:
    return ServiceError(
        f"'{name}': weights '{tag}' could not be fetched ({type(error).__name__}); without a "
        f"network, download {url} elsewhere and put it at {cached}, or name a safetensors file"
    )
