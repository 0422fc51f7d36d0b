"""One training loop for every family of networks.

The budget is counted in images seen, never in seconds, so that a busy machine changes
nothing. Chance comes from the seed and the step number alone: a run that is interrupted and
resumed gives the same weights as one that is not.

In the output folder: `recipe.json` (resolved), `log.csv`, `last.state.safetensors` (to
resume from; removed at the end unless kept), `best.safetensors` and `last.safetensors` with
their JSON. *Best* is by PCKh@0.5 on the validation data; without any, last is best.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.checkpoints import (
    read_tensors,
    save_checkpoint,
    schema_to_facts,
    write_tensors,
)
from baselines.config import TrainConfig
from baselines.crops import (
    TrainingCrops,
    augmented_batch,
    load_training_crops,
)
from baselines.family import Family, bfloat16_is_native
from baselines.predictor import predict_crops
from toolkit import __version__
from toolkit.dataset import Dataset
from toolkit.errors import ReadError, ToolkitError, UsageError
from toolkit.files import write_text
from toolkit.geometry import inside_box

Progress = Callable[[int, int], None]
STATE = "last.state.safetensors"
STATES = 5  # states saved between two validations: the most that an interruption can cost


@dataclass
class Run:
    """Everything that changes while training.

    Attributes:
        network: Being trained.
        loss: With the parameters that only training needs.
        averaged: Running mean of the network's weights; what is validated and kept.
        optimizer: Over network and loss.
        step: Steps done.
        best: Best validation score so far.
        history: One record a validation.
    """

    network: nn.Module
    loss: nn.Module
    averaged: nn.Module
    optimizer: torch.optim.AdamW
    step: int = 0
    best: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    family: Family,
    dataset: Dataset,
    images_dir: Path,
    out: Path,
    config: TrainConfig,
    *,
    model: str,
    seed: int = 0,
    device: str = "cpu",
    validation: tuple[Dataset, Path] | None = None,
    resume: bool = False,
    stop_after: int | None = None,
    facts: dict[str, object] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a network and write its checkpoints.

    Args:
        family: What to train.
        dataset: Labelled instances; its schema is the network's.
        images_dir: Their frames.
        out: Folder to write to; made if it does not exist.
        config: The recipe.
        model: Name for the facts.
        seed: Of the initial weights, the order and the augmentation.
        device: Torch device.
        validation: Data set and images that "best" is chosen on.
        resume: Go on from the state in `out`.
        stop_after: Stop early after this many images, as an interruption would.
        facts: More facts to write beside the weights.
        progress: Called with (images seen, images in all).

    Returns:
        Path of the best checkpoint.

    Raises:
        UsageError: `out` holds another run, or a run to resume does not fit.
        ToolkitError: The loss is not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    _start_folder(out, config, seed=seed, resume=resume)
    crops = load_training_crops(dataset, images_dir, config)
    torch.manual_seed(seed)
    run = _new_run(family, dataset, config, device)
    if resume and (out / STATE).is_file():
        _load_state(out, run)
    steps = max(1, math.ceil(config.images_seen / config.batch_size))
    every = max(1, config.validate_every // config.batch_size)
    about: dict[str, object] = {
        "model": model,
        "schema": schema_to_facts(dataset.schema),
        "recipe": config.to_dict(),
        "seed": seed,
        "data_sha256": dataset.sha256,
        "training_instances": len(dataset.annotations),
        "code_version": __version__,
        "num_parameters": sum(p.numel() for p in run.network.parameters()),
        "text_encoder": config.text_encoder,
        **(facts or {}),
    }
    held_out = None if validation is None else _validation_part(validation, config)
    started, start_step = time.monotonic(), run.step
    while run.step < steps:
        value = _one_step(run, crops, dataset, config, seed=seed, steps=steps, device=device)
        if not math.isfinite(value):
            raise ToolkitError(
                f"{out}: loss became {value} at image {run.step * config.batch_size}; "
                "lower 'learning_rate' in the recipe"
            )
        seen = run.step * config.batch_size
        if progress is not None:
            progress(min(seen, config.images_seen), config.images_seen)
        near_end = steps - run.step < every // 2
        if run.step == steps or (run.step % every == 0 and not near_end):
            speed = (run.step - start_step) * config.batch_size / (time.monotonic() - started)
            _checkpoint(run, family, out, config, about, value, speed, held_out, device)
        elif run.step % max(1, every // STATES) == 0:
            _save_state(out, run)
        if stop_after is not None and seen >= stop_after:
            _save_state(out, run)
            break
    return out / "best.safetensors"


def _start_folder(out: Path, config: TrainConfig, *, seed: int, resume: bool) -> None:
    """Write the resolved recipe, or check that a resumed run has the same one."""
    path = out / "recipe.json"
    text = json.dumps({"seed": seed, **config.to_dict()}, indent=2) + "\n"
    if path.exists():
        if not resume:
            raise UsageError(
                f"{out}: holds a training run already; pass --resume to go on with it, or "
                "another --out"
            )
        if path.read_text(encoding="utf-8") != text:
            raise UsageError(
                f"{path}: the run to resume has another recipe or seed; use the same ones"
            )
    else:
        write_text(path, text)


def _new_run(family: Family, dataset: Dataset, config: TrainConfig, device: str) -> Run:
    network = family.build(dataset.schema, config, None).to(device)
    network = network.to(memory_format=torch.channels_last)
    averaged = family.build(dataset.schema, config, dict(network.state_dict())).to(device)
    averaged.load_state_dict(network.state_dict())
    averaged = averaged.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    loss = family.build_loss(dataset.schema, config).to(device)
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in [*network.parameters(), *loss.parameters()]:
        (decayed if parameter.dim() > 1 else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return Run(network, loss, averaged, torch.optim.AdamW(groups, lr=config.learning_rate))


def _one_step(
    run: Run,
    crops: TrainingCrops,
    dataset: Dataset,
    config: TrainConfig,
    *,
    seed: int,
    steps: int,
    device: str,
) -> float:
    """Forward, backward, update; returns the loss."""
    rows = batch_rows(len(crops.pixels), config.batch_size, run.step, seed)
    rng = np.random.default_rng([seed, 1, run.step])
    images, points, labelled = augmented_batch(
        crops, rows, dataset.schema.flip_index, config, rng
    )
    for group in run.optimizer.param_groups:
        group["lr"] = config.learning_rate * rate(run.step, steps, config)
    run.network.train()
    inputs = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # channels last
    with torch.autocast(torch.device(device).type, torch.bfloat16, uses_bf16(config, device)):
        output = run.network(inputs)
    loss = run.loss(
        output, torch.from_numpy(points).to(device), torch.from_numpy(labelled).to(device)
    )
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [*run.network.parameters(), *run.loss.parameters()]
    nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    run.optimizer.step()
    run.step += 1
    _average(run.averaged, run.network, min(config.ema_decay, run.step / (run.step + 10)))
    return float(loss.detach())


def batch_rows(count: int, batch: int, step: int, seed: int) -> np.ndarray[Any, Any]:
    """Which instances a step shows: every instance once an epoch, in an order of its own."""
    places = np.arange(step * batch, (step + 1) * batch)
    epochs = places // count
    orders = {
        int(e): np.random.default_rng([seed, 0, int(e)]).permutation(count)
        for e in np.unique(epochs)
    }
    return np.array([orders[int(e)][p % count] for e, p in zip(epochs, places, strict=True)])


def rate(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the peak learning rate at a step."""
    warm = max(1, round(config.warmup * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    if config.schedule == "step":
        return 1.0 if done < 0.7 else 0.1 if done < 0.9 else 0.01
    return 0.5 * (1 + math.cos(math.pi * done))


def uses_bf16(config: TrainConfig, device: str) -> bool:
    """Whether to compute in bfloat16: on request, or where the device does so natively."""
    if config.precision == "auto":
        return bfloat16_is_native(device)
    return config.precision == "bfloat16"


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running mean towards the network's weights and buffers."""
    mean, new = averaged.state_dict(), network.state_dict()
    floats = [key for key, value in mean.items() if value.is_floating_point()]
    torch._foreach_lerp_([mean[k] for k in floats], [new[k] for k in floats], 1 - decay)


def _validation_part(
    validation: tuple[Dataset, Path], config: TrainConfig
) -> tuple[Dataset, Path]:
    dataset, images = validation
    return dataset.subset(slice(0, config.validation_instances)), images


def _checkpoint(
    run: Run,
    family: Family,
    out: Path,
    config: TrainConfig,
    about: dict[str, object],
    loss: float,
    speed: float,
    validation: tuple[Dataset, Path] | None,
    device: str,
) -> None:
    """Validate, log, and write state and checkpoints."""
    seen = run.step * config.batch_size
    record = {"images_seen": float(seen), "loss": loss, "images_per_second": speed}
    if validation is not None:
        record.update(_validate(run.averaged, family, config, *validation, device))
    score = record.get("all", float(seen))
    run.history.append(record)
    facts = {
        **about,
        "images_seen": seen,
        "validation": {k: v for k, v in record.items() if k != "images_per_second"},
    }
    if score >= run.best:
        run.best = score
        save_checkpoint(out / "best.safetensors", run.averaged, facts, force=True)
    save_checkpoint(out / "last.safetensors", run.averaged, facts, force=True)
    _save_state(out, run)
    with (out / "log.csv").open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(record))
        if stream.tell() == 0:
            writer.writeheader()
        writer.writerow({key: round(value, 4) for key, value in record.items()})


def _validate(
    network: nn.Module,
    family: Family,
    config: TrainConfig,
    dataset: Dataset,
    images_dir: Path,
    device: str,
) -> dict[str, float]:
    """PCKh@0.5 in per cent: all, body, extension outside the box (see `pckh_shares`)."""
    predicted = predict_crops(
        network,
        family,
        config,
        dataset,
        images_dir,
        device=device,
        bfloat16=uses_bf16(config, device),
    )
    return pckh_shares(dataset, predicted.keypoints)


def pckh_shares(dataset: Dataset, keypoints: np.ndarray[Any, Any]) -> dict[str, float]:
    """A plain PCKh@0.5 for choosing checkpoints; `toolkit evaluate` is the real one.

    Args:
        dataset: Truth with head boxes; instances without one are left out.
        keypoints: (N, K, 2) px.

    Returns:
        Per cent of labelled keypoints within half a head: `all`, `body`, and for each other
        report group its value outside the human box.
    """
    people, schema = dataset.annotations, dataset.schema
    head = 0.6 * np.linalg.norm(people.head_box_xywh[:, 2:], axis=1)
    error = np.linalg.norm(keypoints - people.keypoints, axis=2) / head[:, None]
    counted = np.isfinite(error)
    right = error <= 0.5
    outside = counted & ~inside_box(people.keypoints, people.bbox_xywh)

    def share(mask: np.ndarray[Any, Any]) -> float:
        return 100 * float(right[mask].mean()) if mask.any() else 0.0

    result = {"all": share(counted), "body": share(counted & ~schema.is_extension)}
    for name, rows in schema.report_groups.items():
        columns = np.zeros(schema.num_keypoints, dtype=bool)
        columns[rows] = True
        if (columns & schema.is_extension).any():
            result[f"{name} out"] = share(outside & columns)
            result[f"{name} in"] = share(counted & ~outside & columns)
    return result


def _save_state(out: Path, run: Run) -> None:
    """Everything that resuming needs, in full precision."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in _modules(run).items():
        tensors |= {f"{prefix}.{k}": v.clone() for k, v in module.state_dict().items()}
    for index, values in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v.clone() for k, v in values.items()}
    tensors["step"] = torch.tensor(run.step)
    tensors["best"] = torch.tensor(run.best, dtype=torch.float64)
    write_tensors(out / STATE, tensors, force=True)


def _load_state(out: Path, run: Run) -> None:
    """Bring a run back to where `_save_state` left it."""
    tensors = read_tensors(out / STATE)
    try:
        for prefix, module in _modules(run).items():
            start = f"{prefix}."
            module.load_state_dict(
                {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            )
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        groups = run.optimizer.state_dict()["param_groups"]
        run.optimizer.load_state_dict({"state": state, "param_groups": groups})
        run.step, run.best = int(tensors["step"]), float(tensors["best"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise ReadError(f"{out / STATE}: does not fit the recipe: {error}") from error


def _modules(run: Run) -> dict[str, nn.Module]:
    return {"network": run.network, "loss": run.loss, "averaged": run.averaged}


def with_budget(config: TrainConfig, images_seen: int | None) -> TrainConfig:
    """The recipe with another budget, validations spread as before."""
    if images_seen is None:
        return config
    every = max(1, config.validate_every * images_seen // config.images_seen)
    return replace(config, images_seen=images_seen, validate_every=every)
