"""Checkpoints: weights in safetensors, and beside them one JSON file that says what they are.

Only safetensors is ever read. A pickle (`.pt`, `.pth`, a torch zip, or one under a false
name) can run code when it is opened, so it is refused unopened, and nothing falls back to it.

`NAME.json` names the model, schema, recipe (all values), seed, images seen, SHA-256 of the
training annotations, generator, code version, parameters, text encoder and metrics.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from baselines.config import TrainConfig, make_config
from toolkit.errors import ReadError, UnsafeInputError
from toolkit.files import atomic_file, check_outputs, write_text
from toolkit.schema import Schema
from toolkit.schema_facts import read_schema
from toolkit.schema_facts import schema_to_facts as schema_to_facts

FORMAT = 1
_PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"}
_PICKLE = re.compile(rb"\APK\x03\x04|\A\x80[\x01-\x06]|\A\(*c[\w.]+\n|\A\([ldt]p?\d*\n")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        UnsafeInputError: It is a pickle or a torch archive, whatever its name.
        ReadError: It cannot be read, or its header lies.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        raise ReadError(f"{path}: cannot read the checkpoint: {error.strerror}") from error
    # A safetensors file begins with its header's length, then that header, a JSON object.
    header = int.from_bytes(start[:8], "little")
    is_safetensors = start[8:9] == b"{" and header + 8 <= size
    if not is_safetensors and (_PICKLE.match(start) or path.suffix in _PICKLE_SUFFIXES):
        raise UnsafeInputError(
            f"{path}: refused: not safetensors but a pickle or torch archive, which can run "
            "code when it is opened; save the weights as safetensors, or let 'toolkit adopt "
            "MODEL FILE --allow-pickle' read the tensors in it and nothing else"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ReadError(
            f"{path}: not a whole safetensors file: {error}; fetch or train it again"
        ) from error


def read_metadata(path: Path) -> dict[str, str]:
    """What stands beside the tensors in a safetensors file; `read_tensors` it first."""
    with safe_open(path, framework="pt") as opened:
        return dict(opened.metadata() or {})


def write_tensors(
    path: Path,
    tensors: dict[str, Tensor],
    *,
    force: bool,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write a safetensors file, whole or not at all."""
    with atomic_file(path, force=force) as temporary:
        contiguous = {key: value.contiguous() for key, value in tensors.items()}
        save_file(contiguous, temporary, metadata=metadata)


def save_checkpoint(
    path: Path,
    network: nn.Module,
    facts: dict[str, object],
    *,
    force: bool = False,
    half: bool = True,
) -> None:
    """Write weights (parameters in half precision) and their facts.

    Args:
        path: `NAME.safetensors`; the facts go to `NAME.json`.
        network: Its buffers (running means and variances) stay in full precision.
        facts: JSON values.
        force: Replace what is there.
        half: False keeps the parameters in full precision too.

    Raises:
        OutputExistsError: One of the two exists and `force` was not given; neither is written.
        WriteError: They cannot be written.
    """
    check_checkpoint(path, force=force)
    parameters = {name for name, _ in network.named_parameters() if half}
    tensors = {
        key: value.detach().cpu().half() if key in parameters else value.detach().cpu()
        for key, value in without_counters(network.state_dict()).items()
    }
    write_tensors(path, tensors, force=force)
    document = {"format": FORMAT, **facts}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path.with_suffix(".json"), text + "\n", force=force)


def check_checkpoint(path: Path, *, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse a checkpoint of which one of the two files cannot or may not be written.

    Args:
        path: `NAME.safetensors`; the facts go to `NAME.json`.
        force: Replace what is there.
        inputs: What is read for it.

    Raises:
        UsageError: One of them is an input.
        OutputExistsError: One of them exists and `force` was not given.
        WriteError: Their folder does not exist or cannot be written.
    """
    check_outputs((path, path.with_suffix(".json")), force=force, inputs=inputs)


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON document beside a checkpoint.

    Raises:
        ReadError: It is missing, not JSON, or of another format.
    """
    beside = path.with_suffix(".json")
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReadError(
            f"{path}: the facts '{beside.name}' beside the checkpoint are missing; "
            "a checkpoint is two files"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ReadError(f"{beside}: cannot read the checkpoint's facts: {error}") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ReadError(f"{beside}: not the facts of a checkpoint in format {FORMAT}")
    return facts


def facts_config(path: Path, facts: dict[str, Any]) -> TrainConfig:
    """The recipe that a checkpoint was trained by."""
    recipe = facts.get("recipe")
    if not isinstance(recipe, dict):
        raise ReadError(f"{path.with_suffix('.json')}: 'recipe' is missing")
    return make_config(recipe, where=f"{path.with_suffix('.json')}: recipe")


def without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by name, but for BatchNorm's step counters, which nothing here reads."""
    return {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}


class Misfit(NamedTuple):
    """The names by which given tensors are not the wanted ones."""

    missing: list[str]
    unknown: list[str]
    misshapen: list[str]
    infinite: list[str]  # with values that are not finite


def misfit(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Misfit:
    """Compare given tensors with the wanted ones, by name, shape and values.

    Returns:
        Names in the order of `wanted`, the unknown ones in that of `given`; all empty where
        the tensors fit.
    """
    shared = [key for key in wanted if key in given]
    return Misfit(
        missing=[key for key in wanted if key not in given],
        unknown=[key for key in given if key not in wanted],
        misshapen=[key for key in shared if given[key].shape != wanted[key].shape],
        infinite=[key for key in shared if not torch.isfinite(given[key].float()).all()],
    )


def require_all(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], *, where: str, hint: str
) -> None:
    """Refuse weights to start from that lack something; what is left over does no harm.

    Args:
        wanted: A network's tensors.
        given: Tensors by the same names.
        where: Of the weights, for errors.
        hint: What may be the matter.

    Raises:
        ReadError: A tensor is missing, of the wrong shape or not finite; the first is named.
    """
    found = misfit(wanted, given)
    wrong = {*found.missing, *found.misshapen, *found.infinite}
    if not wrong:
        return
    key = next(key for key in wanted if key in wrong)
    got = "values that are not finite"
    if key in found.missing:
        got = "no such tensor"
    elif key in found.misshapen:
        got = f"shape {tuple(given[key].shape)}"
    raise ReadError(
        f"{where}: tensor '{key}': wanted shape {tuple(wanted[key].shape)}, got {got} "
        f"({len(wrong)} of {len(wanted)} do not fit); {hint}"
    )


def load_weights(path: Path, network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put tensors into a network; names and shapes must fit exactly.

    Raises:
        ReadError: A tensor is missing, left over, of the wrong shape or not finite; the
            first of each is named.
    """
    wanted = without_counters(network.state_dict())
    found = misfit(wanted, tensors)
    missing, extra = sorted(found.missing), sorted(found.unknown)
    if missing or extra:
        named = [f"lacks tensor '{missing[0]}'"] if missing else []
        named += [f"has unknown tensor '{extra[0]}'"] if extra else []
        raise ReadError(
            f"{path}: {' and '.join(named)} ({len(missing)} missing, {len(extra)} unknown); "
            "the weights are not of the network that the facts describe; fetch both files again"
        )
    for key in found.misshapen:
        raise ReadError(
            f"{path}: tensor '{key}' has shape {tuple(tensors[key].shape)}; "
            f"expected {tuple(wanted[key].shape)}"
        )
    for key in found.infinite:
        raise ReadError(f"{path}: tensor '{key}' holds values that are not finite")
    network.load_state_dict(
        {k: tensors[k].to(v.dtype) for k, v in wanted.items()}, strict=False
    )


def schema_from_facts(path: Path, facts: dict[str, Any]) -> Schema:
    """The schema of a checkpoint; see `toolkit.schema_facts.read_schema`.

    Raises:
        ReadError: The facts do not describe a schema.
    """
    return read_schema(facts.get("schema"), where=str(path.with_suffix(".json")))
