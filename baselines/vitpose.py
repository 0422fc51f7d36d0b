"""ViTPose: a plain vision transformer and a light decoder, from transformers.

Source: Xu et al., "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation",
NeurIPS 2022. The network is `VitPoseForPoseEstimation` (transformers, Apache-2.0) with the
simple decoder; this file names the sizes and the places that weights come from. Its authors
train and decode on UDP's grid with DARK, and so do the recipes.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from baselines.checkpoints import require_all, without_counters
from baselines.hrnet_names import read_published, unwrapped
from baselines.hub import hub_or_cache
from toolkit.errors import MissingExtraError, ServiceError, UsageError

PATCH = 16
SIZES: dict[str, dict[str, int]] = {
    "vitpose-tiny": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3},
    "vitpose-s": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12},
    "vitpose-b": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
}
LAST_LAYER = ("head.conv.weight", "head.conv.bias")  # of the simple decoder
SIMPLE_TAGS = {"vitpose-b": "usyd-community/vitpose-base-simple"}


class VitPose(nn.Module):
    """ViTPose as a heatmap network.

    Args:
        num_keypoints: K.
        backbone: A key of `SIZES`.
        input_wh: Width and height of the crop in px, multiples of 16.
    """

    def __init__(self, num_keypoints: int, *, backbone: str, input_wh: tuple[int, int]) -> None:
        """Build the network.

        Raises:
            MissingExtraError: transformers is not installed.
            UsageError: No such size.
        """
        super().__init__()
        if backbone not in SIZES:
            raise UsageError(f"no ViTPose '{backbone}'; known: {', '.join(SIZES)}")
        parts = _transformers()
        width, height = input_wh
        inner = parts.VitPoseBackboneConfig(
            image_size=[height, width],
            patch_size=[PATCH, PATCH],
            out_indices=[SIZES[backbone]["num_hidden_layers"]],
            **SIZES[backbone],
        )
        config = parts.VitPoseConfig(
            backbone_config=inner, use_simple_decoder=True, num_labels=num_keypoints
        )
        self.net: nn.Module = parts.VitPoseForPoseEstimation(config)

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps (B, K, H / 4, W / 4) of normalised images (B, 3, H, W)."""
        maps: Tensor = self.net(images).heatmaps
        return maps


def _transformers() -> ModuleType:
    try:
        import transformers  # lazy: costs seconds
    except ImportError as error:
        raise MissingExtraError(
            "ViTPose needs transformers, which is not installed; install it with: "
            "pip install 'extension-keypoints[models]'"
        ) from error
    return transformers


def load_published(
    network: VitPose,
    weights: str,
    *,
    other_keypoints: bool = False,
    allow_pickle: bool = False,
) -> None:
    """Put published weights into a network.

    Args:
        network: To be filled.
        weights: A hub's tag such as `usyd-community/vitpose-base-simple`, a folder that holds
            `model.safetensors`, or that file itself; "" leaves the network as it is.
        other_keypoints: Weights of another number of keypoints will do, to train from: the
            head's last layer, which has one filter a keypoint, then stays as it is.
        allow_pickle: Also open torch's own files, weights only.

    Raises:
        UsageError: There is no such file, or a folder has no safetensors.
        ServiceError: The tag would have to be fetched and cannot be.
        UnsafeInputError: The file is a pickle and `allow_pickle` is off, or it holds more
            than weights.
        ReadError: The tensors are not this network's.
    """
    if not weights:
        return
    given = unwrapped(read_published(_file(weights), allow_pickle=allow_pickle), weights)
    wanted = network.net.state_dict()
    if other_keypoints:
        for key in _of_other_keypoints(wanted, given):
            del wanted[key]
    hint = (
        "are they of another size, another number of keypoints, or another decoder than the "
        "simple one?"
    )
    require_all(without_counters(wanted), given, where=weights, hint=hint)
    with torch.no_grad():
        for key, value in wanted.items():
            if key in given:
                value.copy_(given[key])


def _of_other_keypoints(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> set[str]:
    """Tensors of the last layer that differ in the number of keypoints and in nothing else."""
    return {
        key
        for key in LAST_LAYER
        if key in theirs
        and len(theirs[key]) != len(ours[key])
        and theirs[key].shape[1:] == ours[key].shape[1:]
    }


def _file(weights: str) -> Path:
    """The safetensors file that a path or a tag stands for."""
    path = Path(weights)
    if path.is_dir():
        path = path / "model.safetensors"
        if not path.is_file():
            raise UsageError(
                f"{weights}: holds no 'model.safetensors'; pickled weights "
                "('pytorch_model.bin') are not read"
            )
        return path
    if path.is_file() or path.suffix or weights.count("/") != 1:
        if not path.is_file():
            raise UsageError(
                f"no weights '{weights}': neither a file, a folder, nor a tag OWNER/NAME such "
                f"as {SIMPLE_TAGS['vitpose-b']}"
            )
        return path
    from huggingface_hub import hf_hub_download  # lazy: comes with transformers
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        with hub_or_cache():
            return Path(hf_hub_download(weights, "model.safetensors"))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise ServiceError(
            f"weights '{weights}' could not be fetched from the hub ({type(error).__name__}); "
            "without a network, download 'model.safetensors' elsewhere and name the file or "
            "its folder instead"
        ) from error
