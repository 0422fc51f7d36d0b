"""Loaders of the controls that import torch only when they are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from baselines.entries import CHECKPOINTS, find_checkpoint
from toolkit.models import PoseModel, TrainRequest, require_torch


def load_control(name: str) -> Callable[[str | Path, str], PoseModel]:
    """The loader of a control."""

    def load(schema_or_path: str | Path, device: str) -> PoseModel:
        path = find_checkpoint(name, schema_or_path, CHECKPOINTS)
        require_torch(f"loading '{name}'")
        from baselines.controls import CONTROLS  # lazy: torch costs seconds

        return CONTROLS[name].load(path, device)

    return load


def train_control(name: str) -> Callable[[TrainRequest], Path]:
    """The trainer of a control."""

    def train(request: TrainRequest) -> Path:
        require_torch(f"training '{name}'")
        from baselines.controls import CONTROLS  # lazy: torch costs seconds

        return CONTROLS[name].train(request)

    return train
