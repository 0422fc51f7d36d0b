"""A training run as it stands: what changes while it trains, saved and brought back.

The state is one safetensors file with every tensor in full precision; what is no tensor (the
validations so far, and which data they belong to) stands in its metadata. It is replaced
whole or not at all, so a run that is killed goes on from a state that is complete.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.checkpoints import read_metadata, read_tensors, write_tensors
from baselines.monitor import Record
from toolkit.dataset import Dataset
from toolkit.errors import ReadError, SchemaError, UsageError

STATE = "last.state.safetensors"
WEIGHTS = ("best.safetensors", "last.safetensors", STATE)  # what training leaves in a folder


@dataclass
class Run:
    """Everything that changes while training.

    Attributes:
        network: Being trained.
        loss: With the parameters that only training needs.
        averaged: Running mean of the network's weights; what is validated and kept.
        optimizer: Over network and loss.
        scaler: Of float16's gradients; does nothing in other precisions.
        step: Steps done.
        best: Best validation score so far.
        history: One record a validation.
    """

    network: nn.Module
    loss: nn.Module
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    best: float = -1.0
    history: list[Record] = field(default_factory=list)

    def modules(self) -> dict[str, nn.Module]:
        """Those with weights, by the names that the state has for them."""
        return {"network": self.network, "loss": self.loss, "averaged": self.averaged}


def held_weights(out: Path) -> list[str]:
    """Names of the weights that a folder holds: a new run there would replace them."""
    return [name for name in WEIGHTS if (out / name).exists()]


def save_state(out: Path, run: Run, dataset: Dataset) -> None:
    """Write everything that resuming needs, in full precision."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in run.modules().items():
        tensors |= {f"{prefix}.{k}": _kept(v) for k, v in module.state_dict().items()}
    for index, values in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": _kept(v) for k, v in values.items()}
    for key, value in run.scaler.state_dict().items():
        tensors[f"scaler.{key}"] = torch.tensor(value, dtype=torch.float64)
    tensors["step"] = torch.tensor(run.step)
    tensors["best"] = torch.tensor(run.best, dtype=torch.float64)
    told = {
        "history": run.history,
        "data_sha256": dataset.sha256,
        "keypoint_names": list(dataset.schema.names),
    }
    metadata = {key: json.dumps(value) for key, value in told.items()}
    write_tensors(out / STATE, tensors, force=True, metadata=metadata)


def _kept(value: Tensor) -> Tensor:
    return value.detach().cpu().clone()


def load_state(out: Path, run: Run, dataset: Dataset) -> None:
    """Bring a run back to where `save_state` left it.

    Raises:
        SchemaError: It was trained on other keypoints.
        UsageError: It was trained on other annotations.
        ReadError: The state is damaged or of another network.
    """
    path = out / STATE
    tensors = read_tensors(path)
    try:
        told = {key: json.loads(value) for key, value in read_metadata(path).items()}
    except ValueError as error:
        raise ReadError(
            f"{path}: not the state of a training run: {error}; train anew with another --out"
        ) from error
    _check_data(path, told, dataset)
    try:
        for prefix, module in run.modules().items():
            module.load_state_dict(_below(tensors, prefix))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, "optimizer").items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        groups = run.optimizer.state_dict()["param_groups"]
        run.optimizer.load_state_dict({"state": state, "param_groups": groups})
        scaler = {key: value.item() for key, value in _below(tensors, "scaler").items()}
        if scaler:
            whole = ("growth_interval", "_growth_tracker")
            run.scaler.load_state_dict(
                {key: int(value) if key in whole else value for key, value in scaler.items()}
            )
        run.step, run.best = int(tensors["step"]), float(tensors["best"])
        run.history = [dict(record) for record in told.get("history", [])]
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ReadError(
            f"{path}: does not fit the recipe: {reason}; train anew with another --out"
        ) from error


def check_validated(out: Path, run: Run, *, now: bool) -> None:
    """Refuse to begin or to end validating on the way: log and "best" are of one measure.

    Raises:
        UsageError: The run has a record of the other kind.
    """
    if run.history and ("all" in run.history[0]) != now:
        before = "without" if now else "with"
        raise UsageError(
            f"{out}: the run to resume was begun {before} --val-data; resume it {before}, or "
            "start from its weights: --init best.safetensors with another --out"
        )


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _check_data(path: Path, told: dict[str, object], dataset: Dataset) -> None:
    """Refuse to go on with other data: a run's facts name one file."""
    names = told.get("keypoint_names")
    if names is not None and names != list(dataset.schema.names):
        raise SchemaError(
            f"{path}: was trained on {len(names)} keypoints of another schema; "  # type: ignore[arg-type]
            f"'{dataset.schema.name}' has {dataset.schema.num_keypoints}. Resume with the same "
            "--data and --schema, or train anew with another --out"
        )
    sha256 = told.get("data_sha256")
    if sha256 is not None and sha256 != dataset.sha256:
        raise UsageError(
            f"{path}: was trained on other annotations (SHA-256 {str(sha256)[:12]}..., now "
            f"{str(dataset.sha256)[:12]}...); resume with the same --data, or start from its "
            "weights: --init best.safetensors with another --out"
        )
