"""Loaders that import torch only when they are called: controls, detectors, R-CNNs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from baselines.entries import CHECKPOINTS, find_checkpoint
from toolkit.detectors import PersonDetector
from toolkit.errors import UsageError
from toolkit.models import AdoptRequest, PoseModel, TrainRequest, check_model, require_torch
from toolkit.processes import by_leader, processes


def load_control(name: str) -> Callable[[str | Path, str], PoseModel]:
    """The loader of a control."""

    def load(schema_or_path: str | Path, device: str) -> PoseModel:
        path = find_checkpoint(name, schema_or_path, CHECKPOINTS)
        require_torch(f"loading '{name}'")
        from baselines.controls import CONTROLS  # lazy: torch costs seconds

        model = CONTROLS[name].load(path, device)
        check_model(path, model.name, name)  # one is given the true joints, another is not
        return model

    return load


def train_control(name: str) -> Callable[[TrainRequest], Path]:
    """The trainer of a control."""

    def train(request: TrainRequest) -> Path:
        require_torch(f"training '{name}'")
        given = (request.init, request.recipe, request.images_seen)
        if request.tensorboard or request.resume or any(one is not None for one in given):
            raise UsageError(
                f"model '{name}' is fitted at once, not trained step by step: --init, "
                "--recipe, --images-seen, --resume and --tensorboard are for networks"
            )
        from baselines.controls import CONTROLS  # lazy: torch costs seconds

        return by_leader(lambda: CONTROLS[name].train(request))

    return train


def load_keypoint_rcnn(schema_or_path: str | Path, device: str) -> PoseModel:
    """Keypoint R-CNN for given boxes."""
    path = find_checkpoint("keypoint-rcnn", schema_or_path, CHECKPOINTS)
    require_torch("loading 'keypoint-rcnn'")
    from baselines.keypoint_rcnn import KeypointRCNNModel  # lazy: torch costs seconds

    return KeypointRCNNModel(path, device)


def train_rcnn(request: TrainRequest) -> Path:
    """Train Keypoint R-CNN."""
    require_torch("training 'keypoint-rcnn'")
    _refuse("keypoint-rcnn", request, "tensorboard", "val_data")
    from baselines.keypoint_rcnn import train_keypoint_rcnn  # lazy: torch costs seconds

    return train_keypoint_rcnn(request)


def adopt_rcnn(request: AdoptRequest) -> Path:
    """Torchvision's weights of Keypoint R-CNN as a checkpoint."""
    require_torch("adopting weights of 'keypoint-rcnn'")
    from baselines.adoption import adopt_keypoint_rcnn  # lazy: torch costs seconds

    return adopt_keypoint_rcnn(request)


def load_small_detector(weights: str | Path | None, device: str) -> PersonDetector:
    """The small detector that ships, or another checkpoint of it."""
    from baselines.detector import load_small_detector as load  # lazy: torch costs seconds

    return load(Path(weights or CHECKPOINTS / "person-small_hockey.safetensors"), device)


def train_small_detector(request: TrainRequest) -> Path:
    """Train the small detector."""
    require_torch("training 'person-small'")
    _refuse("person-small", request, "init", "tensorboard")
    from baselines.detector_training import train_detector  # lazy: torch costs seconds

    return train_detector(request)


def _refuse(name: str, request: TrainRequest, *options: str) -> None:
    """What a detector's training would not look at is a mistake of the caller's."""
    for option in options:
        if getattr(request, option):
            raise UsageError(
                f"'{name}' has no use for --{option.replace('_', '-')}; leave it away"
            )
    if processes().size > 1:
        raise UsageError(f"'{name}' trains in one process; start it without torchrun")


def load_rcnn_detector(weights: str | Path | None, device: str) -> PersonDetector:
    """Keypoint R-CNN for the boxes that it finds itself."""
    from baselines.detector import TorchvisionDetector  # lazy: torch costs seconds
    from baselines.keypoint_rcnn import KeypointRCNNModel

    path = find_checkpoint("keypoint-rcnn", "" if weights is None else weights, CHECKPOINTS)
    model = KeypointRCNNModel(path, device)
    return TorchvisionDetector(model.name, model.net, device, model.facts)


def load_faster_rcnn(name: str) -> Callable[[str | Path | None, str], PersonDetector]:
    """The loader of one of torchvision's Faster R-CNNs; its tag COCO_V1 where none is given."""

    def load(weights: str | Path | None, device: str) -> PersonDetector:
        from baselines.detector import TorchvisionDetector  # lazy: torch costs seconds
        from baselines.torchvision_weights import build_faster_rcnn

        chosen = str(weights or "COCO_V1")
        network = build_faster_rcnn(name, chosen)
        return TorchvisionDetector(name, network, device, {"weights": chosen})

    return load
