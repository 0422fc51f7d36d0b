"""One training loop for every family of networks.

The budget is counted in images seen, never in seconds, so that a busy machine changes
nothing. Chance comes from the seed and the step number alone: on a CPU a run that is
interrupted and resumed gives the same weights as one that is not; a GPU repeats its own bits
only with `deterministic` in the recipe. Several processes follow the loss of one to rounding,
but for BatchNorm in training, which normalises by each one's share (see `baselines.shards`).

In the output folder: `recipe.json` (resolved), `log.csv`, `tensorboard` (on request),
`last.state.safetensors` (to resume from), `best.safetensors` and `last.safetensors` with
their JSON, and `lock`, which one training at a time holds. *Best* is by PCKh@0.5 on the
validation data; without any, last is best.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from baselines.augmentation import augmented_batch
from baselines.checkpoints import save_checkpoint, schema_to_facts
from baselines.config import TrainConfig, make_config
from baselines.crops import TrainingCrops, load_training_crops
from baselines.family import Family
from baselines.monitor import Monitor, Record, require_tensorboard, write_log
from baselines.pipeline import prefetched
from baselines.precision import (
    Precision,
    choose_precision,
    whole_float32,
    within_memory,
)
from baselines.predictor import NetworkModel, to_device
from baselines.run_state import (
    STATE,
    Run,
    check_validated,
    held_weights,
    load_state,
    save_state,
)
from baselines.shards import (
    add_gradients,
    average_running_statistics,
    gathered,
    share_of_batch,
)
from baselines.validation import validate, validation_part
from toolkit.code_version import code_version
from toolkit.dataset import Dataset
from toolkit.errors import (
    OutputExistsError,
    ReadError,
    ToolkitError,
    UsageError,
)
from toolkit.files import make_folder, write_text
from toolkit.locks import only_one
from toolkit.processes import (
    Processes,
    by_leader,
    choose_device,
    gather,
    join,
    leader_first,
)

Progress = Callable[[int, int], None]
Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]
STATES = 5  # states saved between two validations ...
STATE_SECONDS = 120.0  # ... and at least so often: the most that an interruption can cost
_SHARED = "--out must be one folder that all machines share"
SHOWN = 20  # losses shown in TensorBoard between two validations


@dataclass(frozen=True)
class Plan:
    """Everything about a training run that does not change while it trains.

    Attributes:
        family: What is trained.
        dataset: On what; its schema is the network's.
        out: Folder to write to.
        config: The recipe.
        seed: Of the initial weights, the order and the augmentation.
        steps: In all.
        device: Of this process.
        precision: Of the forward pass.
        here: Which process this is.
        facts: To write beside the weights.
        validation: Data set and images that "best" is chosen on.
    """

    family: Family
    dataset: Dataset
    out: Path
    config: TrainConfig
    seed: int
    steps: int
    device: str
    precision: Precision
    here: Processes
    facts: dict[str, object]
    validation: tuple[Dataset, Path] | None


def train(
    family: Family,
    dataset: Dataset,
    images_dir: Path,
    out: Path,
    config: TrainConfig,
    *,
    model: str,
    seed: int = 0,
    device: str | None = "cpu",
    validation: tuple[Dataset, Path] | None = None,
    resume: bool = False,
    stop_after: int | None = None,
    facts: dict[str, object] | None = None,
    progress: Progress | None = None,
    tensorboard: bool = False,
    initialise: Callable[[nn.Module], None] | None = None,
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
        device: Torch device; None is a GPU where there is one. With several processes each
            takes a GPU of its own.
        validation: Data set and images that "best" is chosen on.
        resume: Go on from the state in `out`.
        stop_after: Stop early after this many images, as an interruption would.
        facts: More facts to write beside the weights.
        progress: Called with (images seen, images in all).
        tensorboard: Also write scalars for TensorBoard.
        initialise: Puts other weights into a new network before the first step.

    Returns:
        Path of the best checkpoint.

    Raises:
        UsageError: `out` holds another run, another training is at work in it, a run to
            resume does not fit, the processes do not see one `out`, or the device cannot do
            what the recipe asks for.
        SchemaError: The validation data have other keypoints, or in another order.
        InvalidDataError: An image is missing, or a box is empty; of the validation data too.
        ResourceError: A step needs more memory than the GPU has.
        ToolkitError: The loss is not finite.
    """
    device = choose_device(device)  # before the processes meet: each on its own GPU
    here = join()
    precision = choose_precision(config.precision, device)
    share_of_batch(config.batch_size, here)
    if tensorboard:
        require_tensorboard()
    held_out = None
    if validation is not None:
        held_out = validation_part(validation, dataset, config)
    with ExitStack() as held:  # the leader's lock on the folder
        by_leader(lambda: _start_folder(out, config, held, seed=seed, resume=resume))
        if not out.is_dir():
            raise UsageError(
                f"{out}: made by the first process, not there in this one; {_SHARED}"
            )
        crops = load_training_crops(dataset, images_dir, config, shared=out)
        with leader_first():  # it fills the caches of text and of hubs
            torch.manual_seed(seed)
            run = _new_run(family, dataset, config, device, precision, initialise)
        if resume and (out / STATE).is_file():
            load_state(out, run, dataset, None if held_out is None else held_out[0])
            check_validated(out, run, now=validation is not None)
        _check_same_step(out, gather(run.step), config.batch_size)
        about: dict[str, object] = {
            "model": model,
            "schema": schema_to_facts(dataset.schema),
            "recipe": config.to_dict(),
            "seed": seed,
            "data_sha256": dataset.sha256,
            "training_instances": len(dataset.annotations),
            "code_version": code_version(),
            "num_parameters": sum(p.numel() for p in run.network.parameters()),
            "text_encoder": config.text_encoder,
            **(facts or {}),
        }
        steps = max(1, math.ceil(config.images_seen / config.batch_size))
        plan = Plan(
            family, dataset, out, config, seed, steps, device, precision, here, about, held_out
        )
        whole = config.precision == "float32"
        with deterministic(wanted=config.deterministic), whole_float32(wanted=whole):
            _loop(run, plan, crops, stop_after, progress, tensorboard=tensorboard)
    return out / "best.safetensors"


def _check_same_step(out: Path, steps: list[int], batch_size: int) -> None:
    """Refuse to go on from different states: the processes would train different steps.

    Raises:
        UsageError: The steps of the processes, in the order of their ranks, differ.
    """
    other = next((rank for rank, step in enumerate(steps) if step != steps[0]), None)
    if other is not None:
        raise UsageError(
            f"{out}: the state to resume is at image {steps[0] * batch_size} for process 0, at "
            f"{steps[other] * batch_size} for process {other}; {_SHARED}"
        )


def _loop(
    run: Run,
    plan: Plan,
    crops: TrainingCrops,
    stop_after: int | None,
    progress: Progress | None,
    *,
    tensorboard: bool,
) -> None:
    """Step after step, to the end of the budget."""
    config, batch_size = plan.config, plan.config.batch_size
    every = max(1, config.validate_every // batch_size)
    state_every = max(1, every // STATES)
    if run.step == 0 and state_every >= min(every, plan.steps) and plan.here.leads:
        # So short a run is validated before it is saved; killed while it writes its first
        # weights, it would leave weights without a state, which nothing goes on from.
        _save_state(run, plan)
    start_step, started = run.step, time.monotonic()
    saved = started
    forward = torch.compile(run.network) if config.compile else run.network
    batches = prefetched(
        lambda step: make_batch(crops, plan, step),
        range(run.step, plan.steps),
        threads=_batch_threads(plan),
    )
    smaller = f"lower 'batch_size' (now {batch_size}) or 'input_wh' in the recipe"
    shown = tensorboard and plan.here.leads
    with (
        Monitor(plan.out, wanted=shown, start=run.step * batch_size) as monitor,
        closing(
            batches  # type: ignore[type-var]
        ),
    ):
        for batch in batches:
            with within_memory(plan.device, smaller):
                loss = one_step(run, forward, batch, plan)
            seen = run.step * batch_size
            if progress is not None:
                progress(min(seen, config.images_seen), config.images_seen)
            if monitor.watches and run.step % max(1, every // SHOWN) == 0:
                rate_now = run.optimizer.param_groups[0]["lr"]
                monitor.show("train", {"loss": float(loss), "rate": rate_now}, seen)
            near_end = plan.steps - run.step < every // 2
            if run.step == plan.steps or (run.step % every == 0 and not near_end):
                value = _finite(loss, run, plan)
                speed = (run.step - start_step) * batch_size / (time.monotonic() - started)
                record = {"images_seen": float(seen), "loss": value, "images_per_second": speed}
                _checkpoint(run, plan, record)
                monitor.show("validation", run.history[-1], seen)
                saved = time.monotonic()
            elif (
                run.step % state_every == 0
                or time.monotonic() - saved > STATE_SECONDS
                or (stop_after is not None and seen >= stop_after)
            ):
                _finite(loss, run, plan)
                if plan.here.leads:
                    _save_state(run, plan)
                saved = time.monotonic()
            if stop_after is not None and seen >= stop_after:
                break


def _finite(loss: Tensor, run: Run, plan: Plan) -> float:
    """The loss as a number; nothing is saved after one that is none.

    It is read at these moments only, because each reading lets the GPU run dry (as do the
    losses that pick the labelled keypoints out by a mask, once a step).
    """
    value = float(loss)
    if not math.isfinite(value):
        raise ToolkitError(
            f"{plan.out}: loss became {value} by image {run.step * plan.config.batch_size}; "
            "lower 'learning_rate' in the recipe"
        )
    return value


def _start_folder(
    out: Path, config: TrainConfig, held: ExitStack, *, seed: int, resume: bool
) -> None:
    """Lock the folder, and write the resolved recipe or check that a resumed run has it.

    Args:
        out: The folder; made if it does not exist.
        config: The recipe.
        held: What the lock is held by, so that no other training writes there meanwhile.
        seed: Of the run.
        resume: Whether it is to go on.

    Raises:
        OutputExistsError: `out` holds weights, and a new run was asked for.
        UsageError: It holds weights, and no run that can be resumed by this recipe and seed;
            or another training is at work in it.
        ReadError: Its recipe cannot be read.
        WriteError: It cannot be made or written.
    """
    make_folder(out)
    path = out / "recipe.json"
    weights = held_weights(out)
    if weights and not path.exists():  # a folder of something else gets no lock either
        raise OutputExistsError(
            f"{out}: holds '{weights[0]}' and no recipe.json, so it is no training run of a "
            "network; choose another --out"
        )
    busy = f"{out}: another training writes here; wait for its end, or choose another --out"
    held.enter_context(only_one(out / "lock", busy))
    weights = held_weights(out)  # those of a training that has just ended too
    if not weights:  # a run that failed at its start left none
        text = json.dumps({"seed": seed, **config.to_dict()}, indent=2) + "\n"
        write_text(path, text, force=True)
        return
    if not resume:
        raise OutputExistsError(
            f"{out}: holds a training run already; pass --resume to go on with it, or "
            "another --out"
        )
    if STATE not in weights:
        raise UsageError(
            f"{out}: the state to resume from, '{STATE}', is gone; start from the weights: "
            f"--init {weights[0]} with another --out"
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        before = (stored.pop("seed"), make_config(stored, where=str(path)))
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise ReadError(f"{path}: cannot read the run to resume: {error!r}") from error
    if before != (seed, config):
        raise UsageError(
            f"{path}: the run to resume has another recipe or seed; use the same ones"
        )


def _new_run(
    family: Family,
    dataset: Dataset,
    config: TrainConfig,
    device: str,
    precision: Precision,
    initialise: Callable[[nn.Module], None] | None,
) -> Run:
    network = family.build(dataset.schema, config, None).to(device, precision.weights)
    if initialise is not None:
        initialise(network)
    network = network.to(memory_format=torch.channels_last)
    averaged = family.build(dataset.schema, config, dict(network.state_dict()))
    averaged = averaged.to(device, precision.weights)
    averaged.load_state_dict(network.state_dict())
    averaged = averaged.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    loss = family.build_loss(dataset.schema, config).to(device, precision.weights)
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in [*network.parameters(), *loss.parameters()]:
        (decayed if parameter.dim() > 1 else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
    scaler = torch.amp.GradScaler(torch.device(device).type, enabled=precision.scales)
    return Run(network, loss, averaged, optimizer, scaler)


def make_batch(crops: TrainingCrops, plan: Plan, step: int) -> Batch:
    """What a step sees: images of this process's share, keypoints of the whole batch."""
    config = plan.config
    rows = batch_rows(len(crops.pixels), config.batch_size, step, plan.seed)
    rng = np.random.default_rng([plan.seed, 1, step])
    share = share_of_batch(config.batch_size, plan.here)
    return augmented_batch(crops, rows, plan.dataset.schema, config, rng, share)


def one_step(run: Run, forward: Callable[[Tensor], Any], batch: Batch, plan: Plan) -> Tensor:
    """Forward, backward, update; returns the loss of the whole batch."""
    config, here = plan.config, plan.here
    images, points, labelled = (
        to_device(values, plan.device, plan.precision.weights) for values in batch
    )
    for group in run.optimizer.param_groups:
        group["lr"] = config.learning_rate * rate(run.step, plan.steps, config)
    run.network.train()
    if config.batchnorm == "frozen":
        _freeze_batchnorm(run.network)
    # Dropout's chance, too, comes from the step alone.
    torch.manual_seed(((plan.seed * 1_000_003 + run.step) * here.size + here.rank) % 2**63)
    with plan.precision.autocast(plan.device):
        output = forward(images.permute(0, 3, 1, 2))  # (b, 3, H, W), channels last
    loss: Tensor = run.loss(gathered(output, here), points, labelled)
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(loss).backward()
    add_gradients(run.network.parameters(), run.loss.parameters(), here)
    run.scaler.unscale_(run.optimizer)
    parameters = [*run.network.parameters(), *run.loss.parameters()]
    nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    average_running_statistics(run.network, here)
    run.step += 1
    _average(run.averaged, run.network, min(config.ema_decay, run.step / (run.step + 10)))
    return loss.detach()


def _freeze_batchnorm(network: nn.Module) -> None:
    """Use the running means and variances, and leave them as they are."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def _batch_threads(plan: Plan) -> int:
    """Threads that make batches: as many as keep a GPU fed; one beside a CPU at work."""
    if torch.device(plan.device).type == "cpu":
        return 1
    return max(1, min(8, (os.cpu_count() or 1) // plan.here.local_size - 1))


@contextmanager
def deterministic(*, wanted: bool) -> Iterator[None]:
    """Inside the block, only algorithms that give the same bits again.

    A CPU has no others here; a GPU is slower for it.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted or before[0])
    torch.backends.cudnn.benchmark = not (wanted or before[0])
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


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


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running mean towards the network's weights and buffers."""
    mean, new = averaged.state_dict(), network.state_dict()
    floats = [key for key, value in mean.items() if value.is_floating_point()]
    torch._foreach_lerp_([mean[k] for k in floats], [new[k] for k in floats], 1 - decay)


def _save_state(run: Run, plan: Plan) -> None:
    """The run as it stands, into its folder."""
    save_state(plan.out, run, plan.dataset, plan.validation and plan.validation[0])


def _checkpoint(run: Run, plan: Plan, record: Record) -> None:
    """Validate, log, and write state and checkpoints."""
    if plan.validation is not None:
        model = NetworkModel(
            run.averaged,
            plan.family,
            plan.config,
            plan.dataset.schema,
            device=plan.device,
            precision=plan.precision,
        )
        record |= validate(model, *plan.validation, batch_size=64)
    score = record.get("all", record["images_seen"])
    run.history.append(record)
    is_best = score >= run.best
    run.best = max(run.best, score)
    if not plan.here.leads:
        return
    facts = {
        **plan.facts,
        "images_seen": int(record["images_seen"]),
        "validation": {k: v for k, v in record.items() if k != "images_per_second"},
    }
    if is_best:
        save_checkpoint(plan.out / "best.safetensors", run.averaged, facts, force=True)
    save_checkpoint(plan.out / "last.safetensors", run.averaged, facts, force=True)
    _save_state(run, plan)
    write_log(plan.out, run.history)


def with_budget(config: TrainConfig, images_seen: int | None) -> TrainConfig:
    """The recipe with another budget, validations spread as before.

    One without any, as in an adopted checkpoint, keeps its `validate_every`.
    """
    if images_seen is None:
        return config
    every = config.validate_every
    if config.images_seen:
        every = max(1, every * images_seen // config.images_seen)
    return replace(config, images_seen=images_seen, validate_every=every)
