"""HRNet and SimpleBaseline checkpoints that others published, loaded by their names.

Our network is timm's, whose modules are named as in the original repository
(leoxiaobin/deep-high-resolution-net.pytorch); mmpose keeps those names below `backbone.`:

    ours                       original         mmpose
    backbone.net.conv1.weight  conv1.weight     backbone.conv1.weight
    backbone.net.stage2.0...   stage2.0...      backbone.stage2.0...
    final_layer.weight         final_layer...   head.final_layer... (1.x),
                                                keypoint_head.final_layer... (0.x)

Both expect RGB crops normalised as ours are (`baselines.crops`), the box padded by 1.25.
Adding a naming: one line in `_RENAMES`.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from baselines.backbones import HRNETS
from baselines.checkpoints import misfit, read_tensors, without_counters
from baselines.hrnet import HRNetHeatmap
from baselines.simple_baseline import SimpleBaseline
from toolkit.errors import ReadError, UnsafeInputError, UsageError

VARIANTS = ("w32", "w48")
# Where training loops keep the weights, the first that is there counts: mmengine's, Lightning's
# and the original's `state_dict`; then the running means of mmengine, timm and others.
_HOLDERS = ("state_dict", "model", "ema_state_dict", "state_dict_ema", "model_ema")
_EMA = ("ema.", "ema_model.", "model_ema.")  # a running mean beside or in place of the weights
_WRAPPERS = ("module.", "model.")  # DataParallel's, Lightning's
_NOT_WEIGHTS = ("steps", "data_preprocessor.")
# Theirs → ours; the first prefix that fits counts.
_RENAMES = (
    ("keypoint_head.final_layer.", "final_layer."),
    ("head.final_layer.", "final_layer."),
    ("final_layer.", "final_layer."),
    ("keypoint_head.deconv_layers.", "deconv_layers."),
    ("head.deconv_layers.", "deconv_layers."),
    ("deconv_layers.", "deconv_layers."),
    ("backbone.", "backbone.net."),
    ("", "backbone.net."),
)
_CLASSIFIER = ("incre_modules.", "downsamp_modules.", "classifier.")


def load_hrnet_checkpoint(
    path_or_state_dict: str | Path | Mapping[str, Tensor],
    variant: str = "w32",
    num_keypoints: int = 17,
    *,
    allow_pickle: bool = False,
) -> HRNetHeatmap:
    """An HRNet with published weights, in evaluation mode.

    Args:
        path_or_state_dict: A safetensors file, or tensors by name; in the original
            repository's or in mmpose's names, bare or under `state_dict` (or another of the
            keys that training loops use), with or without `module.` before each name. Where
            a running mean (`ema.`) lies beside the weights, it is taken.
        variant: `w32` or `w48`.
        num_keypoints: K.
        allow_pickle: Also open `.pth` files, weights only: torch then builds tensors and
            plain containers and refuses everything else.

    Returns:
        A network from (B, 3, H, W) to (B, K, H / 4, W / 4).

    Raises:
        UsageError: No such variant.
        UnsafeInputError: The file is a pickle and `allow_pickle` is off, or it holds more
            than weights.
        ReadError: The file cannot be read, or its tensors are not exactly this network's;
            the first of each kind are named.
    """
    if variant not in VARIANTS:
        raise UsageError(f"no published HRNet '{variant}'; known: {', '.join(VARIANTS)}")
    if isinstance(path_or_state_dict, str | Path):
        where = str(path_or_state_dict)
        found = read_published(Path(path_or_state_dict), allow_pickle=allow_pickle)
    else:
        where, found = "state dict", path_or_state_dict
    network = HRNetHeatmap(num_keypoints, backbone=f"hrnet-{variant}")
    fit_published(network, unwrapped(found, where), where, f"HRNet {variant}")
    return network.eval()


def read_published(path: Path, *, allow_pickle: bool) -> Mapping[str, object]:
    """What a file holds; a pickle only where allowed, and then weights only."""
    try:
        return dict(read_tensors(path))
    except UnsafeInputError:
        if not allow_pickle:
            raise
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's protocol; what matters raises
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        asked = f" (it asks for '{named[1]}')" if named else ""
        raise UnsafeInputError(
            f"{path}: refused, and nothing in it was run: it holds more than weights{asked}; "
            "ask its author for safetensors"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        first = str(error).split("\n", 1)[0]
        raise ReadError(f"{path}: not a whole torch file: {first}; fetch it again") from error
    if not isinstance(held, Mapping):
        raise ReadError(f"{path}: holds a {type(held).__name__}; expected tensors by name")
    return held


def unwrapped(held: Mapping[str, object], where: str) -> dict[str, Tensor]:
    """The tensors, without the wrappings of training loops.

    Raises:
        ReadError: There is something else than tensors among them.
    """
    holder = next((key for key in _HOLDERS if key in held), None)
    inner = held if holder is None else held[holder]
    if not isinstance(inner, Mapping):
        raise ReadError(f"{where}: '{holder}' is a {type(inner).__name__}; expected tensors")
    tensors: dict[str, Tensor] = {}
    for key, value in inner.items():
        if isinstance(key, str) and key.startswith(_NOT_WEIGHTS):
            continue
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ReadError(
                f"{where}: '{key}' is a {type(value).__name__}; expected tensors by name, "
                "bare or under 'state_dict'"
            )
        tensors[key] = value
    for prefix in _EMA:
        if any(key.startswith(prefix) for key in tensors):
            tensors = {
                k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
            }
    for prefix in _WRAPPERS:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _our_names(tensors: dict[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
    """Our name → (their name, tensor); BatchNorm's step counters are left out."""
    renamed = {}
    for key, value in without_counters(tensors).items():
        theirs, ours = next(pair for pair in _RENAMES if key.startswith(pair[0]))
        renamed[ours + key.removeprefix(theirs)] = (key, value)
    return renamed


def fit_published(
    network: HRNetHeatmap | SimpleBaseline, given: dict[str, Tensor], where: str, what: str
) -> None:
    """Copy tensors of the original's or mmpose's names into a network; all must fit.

    Args:
        network: To be filled.
        given: Their name → tensor, unwrapped.
        where: For messages.
        what: The network, in words.

    Raises:
        ReadError: A name or a shape does not fit; the first of each kind are named.
    """
    tensors = _our_names(given)
    wanted = without_counters(network.state_dict())
    found = misfit(wanted, {key: tensor for key, (_, tensor) in tensors.items()})
    missing = [key.removeprefix("backbone.net.") for key in found.missing]
    unknown = [tensors[key][0] for key in found.unknown]
    if missing or unknown:
        raise ReadError(f"{where}: {_names_that_misfit(missing, unknown)}")
    for key in found.misshapen:
        theirs, tensor = tensors[key]
        raise ReadError(
            f"{where}: tensor '{theirs}' has shape {tuple(tensor.shape)}; {what} "
            f"with {len(network.final_layer.weight)} keypoints has {tuple(wanted[key].shape)}"
            f"{_hint(tensors['final_layer.weight'][1])}"
        )
    for key in found.infinite:
        raise ReadError(f"{where}: tensor '{tensors[key][0]}' holds values that are not finite")
    network.load_state_dict(
        {key: tensors[key][1].to(value.dtype) for key, value in wanted.items()}, strict=False
    )


def _names_that_misfit(missing: list[str], unknown: list[str]) -> str:
    """Which names do not fit, and what that may mean."""
    parts = []
    for word, names in (("lacks", missing), ("has unknown", unknown)):
        if names:
            shown = ", ".join(f"'{name}'" for name in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{word} {shown}{more}")
    meaning = "neither the original repository's names nor mmpose's"
    if any(name.startswith(_CLASSIFIER) for name in unknown):
        meaning = "an ImageNet classifier's weights, not a pose network's"
    return f"{'; '.join(parts)}: {meaning}"


def _hint(final: Tensor) -> str:
    """The arguments that would fit, where the head's shape tells."""
    if final.dim() != 4:
        return ""
    keypoints, channels = final.shape[:2]
    for variant in VARIANTS:
        if HRNETS[f"hrnet-{variant}"]["stage4"]["num_channels"][0] == channels:
            return f"; try variant='{variant}', num_keypoints={keypoints}"
    return ""
