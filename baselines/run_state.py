"""A training run as it stands: what changes while it trains, saved and brought back.

The state is one safetensors file with every tensor in full precision; what is no tensor (the
validations so far, and which data they belong to) stands in its metadata. It is replaced
whole or not at all, so a run that is killed goes on from a state that is complete.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.checkpoints import read_metadata, read_tensors, write_tensors
from baselines.monitor import Record
from toolkit.dataset import Dataset
from toolkit.errors import OutputExistsError, ReadError, SchemaError, UsageError

STATE = "last.state.safetensors"
WEIGHTS = ("best.safetensors", "last.safetensors", STATE)  # what training leaves in a folder


class _Told(NamedTuple):
    """What a state says beside its tensors; older ones say less."""

    history: list[Record] | None = None
    data_sha256: str | None = None
    validation_sha256: str | None = None
    keypoint_names: list[str] | None = None


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


def check_no_weights(out: Path, name: str) -> None:
    """Refuse a folder whose weights a training that cannot be resumed would replace.

    Args:
        out: The folder that was asked for; it need not exist.
        name: Of the model that is to be trained.

    Raises:
        OutputExistsError: It holds weights, of whatever model, or the facts of some.
    """
    facts = [name for name in ("best.json", "last.json") if (out / name).exists()]
    held = held_weights(out) + facts
    if held:
        raise OutputExistsError(
            f"{out}: holds '{held[0]}', which '{name}' would replace; choose another --out"
        )


def save_state(out: Path, run: Run, dataset: Dataset, validation: Dataset | None) -> None:
    """Write everything that resuming needs, in full precision.

    Args:
        out: Folder of the run.
        run: As it stands.
        dataset: What it is trained on.
        validation: What "best" is chosen on.
    """
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
        "validation_sha256": None if validation is None else validation.sha256,
        "keypoint_names": list(dataset.schema.names),
    }
    metadata = {key: json.dumps(value) for key, value in told.items()}
    write_tensors(out / STATE, tensors, force=True, metadata=metadata)


def _kept(value: Tensor) -> Tensor:
    return value.detach().cpu().clone()


def load_state(out: Path, run: Run, dataset: Dataset, validation: Dataset | None) -> None:
    """Bring a run back to where `save_state` left it.

    Raises:
        SchemaError: It was trained on other keypoints.
        UsageError: It was trained or validated on other annotations.
        ReadError: The state is damaged or of another network.
    """
    path = out / STATE
    tensors = read_tensors(path)
    told = _read_told(path)
    _check_data(path, told, dataset, validation)
    try:
        for prefix, module in run.modules().items():
            module.load_state_dict(_below(tensors, prefix))
        run.step, run.best = int(tensors["step"]), float(tensors["best"])
        run.history = [dict(record) for record in told.history or []]
        _load_optimizer(run, _below(tensors, "optimizer"))
        scaler = {key: value.item() for key, value in _below(tensors, "scaler").items()}
        if scaler:
            whole = ("growth_interval", "_growth_tracker")
            run.scaler.load_state_dict(
                {key: int(value) if key in whole else value for key, value in scaler.items()}
            )
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ReadError(
            f"{path}: does not fit the recipe: {reason}; train anew with another --out"
        ) from error


def _load_optimizer(run: Run, tensors: dict[str, Tensor]) -> None:
    """Give the optimizer its running means, in the memory layout of their parameters.

    A state holds every tensor row by row; means that stay so beside a parameter in channels
    last make a step some three times slower. No number changes.

    Raises:
        ValueError: They are not those of this run's parameters.
    """
    held: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        place, name = key.split(".")
        held.setdefault(int(place), {})[name] = value
    groups = run.optimizer.state_dict()["param_groups"]
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    # A parameter that no output depends on has none, so that only too many can be seen; and
    # with scaled gradients the first steps may all have been left out.
    if run.step > 0 and not held and not run.scaler.is_enabled():
        raise ValueError(f"step {run.step} without the optimizer's tensors")
    for index, values in held.items():
        if not 0 <= index < len(parameters):
            raise ValueError(f"optimizer.{index} of {len(parameters)} parameters")
        wanted = parameters[index].shape
        shapes = {"step": torch.Size(), "exp_avg": wanted, "exp_avg_sq": wanted}
        if {name: value.shape for name, value in values.items()} != shapes:
            raise ValueError(f"optimizer.{index} is not of a parameter {tuple(wanted)}")
    run.optimizer.load_state_dict({"state": held, "param_groups": groups})
    for parameter, values in run.optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            values[name] = torch.empty_like(parameter).copy_(values[name])


def _read_told(path: Path) -> _Told:
    """What a state says beside its tensors.

    Raises:
        ReadError: It is no state, or says something that none says.
    """
    try:
        told = {key: json.loads(value) for key, value in read_metadata(path).items()}
        found = _Told(**{key: told[key] for key in _Told._fields if key in told})
    except ValueError as error:
        raise ReadError(
            f"{path}: not the state of a training run: {error}; train anew with another --out"
        ) from error
    right = {
        "history": found.history is None or _is_list(found.history, dict),
        "keypoint_names": found.keypoint_names is None or _is_list(found.keypoint_names, str),
        "data_sha256": isinstance(found.data_sha256, str | None),
        "validation_sha256": isinstance(found.validation_sha256, str | None),
    }
    wrong = next((key for key, is_right in right.items() if not is_right), None)
    if wrong is not None:
        raise ReadError(
            f"{path}: not the state of a training run: '{wrong}' is "
            f"{json.dumps(told[wrong])[:40]}; train anew with another --out"
        )
    return found


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


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


def _check_data(path: Path, told: _Told, dataset: Dataset, validation: Dataset | None) -> None:
    """Refuse to go on with other data: a run's facts name one file, its "best" is of one."""
    names = told.keypoint_names
    if names is not None and names != list(dataset.schema.names):
        raise SchemaError(
            f"{path}: was trained on {len(names)} keypoints of another schema; "
            f"'{dataset.schema.name}' has {dataset.schema.num_keypoints}. Resume with the same "
            "--data and --schema, or train anew with another --out"
        )
    used = [("trained", "--data", told.data_sha256, dataset.sha256)]
    if validation is not None:
        used.append(("validated", "--val-data", told.validation_sha256, validation.sha256))
    for what, option, before, now in used:
        if before is not None and before != now:
            raise UsageError(
                f"{path}: was {what} on other annotations (SHA-256 {before[:12]}..., now "
                f"{str(now)[:12]}...); resume with the same {option}, or start from its "
                "weights: --init best.safetensors with another --out"
            )
