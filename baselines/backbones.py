"""Image encoders: a crop to feature maps at strides 4, 8, 16 and 32.

Both kinds are timm's (MIT), without their classification heads:

* HRNet (Sun et al., CVPR 2019), which stays at high resolution: `hrnet-w32` and `hrnet-w48`
  are the published sizes, `hrnet-small` is ours and trains on two CPU cores.
* `resnet50` (He et al., CVPR 2016).

Pretrained weights (`load_pretrained`) come from a hub by timm's tag or from a local
safetensors file, whose tensors may be named as timm, torchvision, the original HRNet
repository, mmpose or our own checkpoints name them. A pose network's HRNet makes the finest
map only: where four are wanted, the layers that make the other three start at random.

Tensors are (B, C, H, W); H and W must be multiples of 32.

Adding one: a line in `BACKBONES`, and its `forward` if it is of another kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from timm.models.hrnet import HighResolutionNet
from torch import Tensor, nn

from baselines.checkpoints import read_tensors, require_all, without_counters
from baselines.hub import hub_or_cache
from toolkit.errors import ServiceError, UsageError


def _stage(channels: tuple[int, ...], blocks: int, modules: int) -> dict[str, Any]:
    return {
        "num_modules": modules,
        "num_branches": len(channels),
        "block_type": "BASIC",
        "num_blocks": (blocks,) * len(channels),
        "num_channels": channels,
        "fuse_method": "SUM",
    }


def _size(
    channels: tuple[int, int, int, int],
    *,
    stem_width: int,
    first: tuple[str, int, int],
    blocks: int,
    modules: tuple[int, int, int],
) -> dict[str, Any]:
    """A configuration of timm's HighResolutionNet.

    Args:
        channels: Of the four branches at strides 4, 8, 16 and 32.
        stem_width: Channels of the first convolution.
        first: Block type, number of blocks and channels of stage 1.
        blocks: Residual blocks in every branch of stages 2 to 4.
        modules: Exchange modules in stages 2 to 4.
    """
    block_type, count, width = first
    return {
        "stem_width": stem_width,
        "stage1": {
            "num_modules": 1,
            "num_branches": 1,
            "block_type": block_type,
            "num_blocks": (count,),
            "num_channels": (width,),
            "fuse_method": "SUM",
        },
        "stage2": _stage(channels[:2], blocks, modules[0]),
        "stage3": _stage(channels[:3], blocks, modules[1]),
        "stage4": _stage(channels, blocks, modules[2]),
    }


def _published(width: int) -> dict[str, Any]:
    channels = (width, 2 * width, 4 * width, 8 * width)
    return _size(
        channels, stem_width=64, first=("BOTTLENECK", 4, 64), blocks=4, modules=(1, 4, 3)
    )


HRNETS: dict[str, dict[str, Any]] = {
    # Measured: 1.7 times faster to train than widths (32, 64, 128, 256) on one core.
    "hrnet-small": _size(
        (24, 48, 72, 96), stem_width=32, first=("BASIC", 1, 32), blocks=1, modules=(1, 1, 1)
    ),
    "hrnet-w32": _published(32),
    "hrnet-w48": _published(48),
}
BACKBONES = (*HRNETS, "resnet50")
_TIMM = {"hrnet-w32": "hrnet_w32", "hrnet-w48": "hrnet_w48", "resnet50": "resnet50"}
_PREFIXES = ("backbone.net.", "module.", "backbone.")  # ours, DataParallel's, mmpose's


class Backbone(nn.Module):
    """A network up to its four feature maps.

    Args:
        name: One of `BACKBONES`.
        maps: How many maps the last exchange of an HRNet makes, the finest first.

    Attributes:
        name: As given.
        channels: Channels of the maps at strides 4, 8, 16 and 32.
    """

    def __init__(self, name: str, *, maps: int = 4) -> None:
        """Build the network of a name."""
        super().__init__()
        if name not in BACKBONES:
            raise UsageError(f"no backbone '{name}'; known: {', '.join(BACKBONES)}")
        self.name = name
        self.net: Any
        self.channels: tuple[int, ...]
        if name in HRNETS:
            self.net = HighResolutionNet(HRNETS[name], head="")
            last = self.net.stage4[-1]
            last.fuse_layers = last.fuse_layers[:maps]
            self.channels = HRNETS[name]["stage4"]["num_channels"]
        else:
            self.net = timm.create_model(name, num_classes=0)
            self.channels = (256, 512, 1024, 2048)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of normalised images.

        Args:
            images: (B, 3, H, W).

        Returns:
            Maps (B, C_i, H / s, W / s) for s in 4, 8, 16, 32; of an HRNet the first `maps`.
        """
        net = self.net
        features = net.act1(net.bn1(net.conv1(images)))  # (B, stem, H/2, W/2)
        if self.name in HRNETS:
            features = net.act2(net.bn2(net.conv2(features)))  # (B, 64, H/4, W/4)
            return list(net.stages(features))
        maps = [net.layer1(net.maxpool(features))]  # (B, 256, H/4, W/4)
        for layer in (net.layer2, net.layer3, net.layer4):
            maps.append(layer(maps[-1]))  # (B, 512, H/8, W/8) ... (B, 2048, H/32, W/32)
        return maps


def load_pretrained(backbone: Backbone, weights: str) -> None:
    """Put pretrained weights into a backbone; every tensor must be there and fit.

    But for one case: pose networks that were published, and our own, end with the fusion that
    makes HRNet's finest map. Where a file holds none of the layers that fuse the coarser maps,
    those stay as they are.

    Args:
        backbone: To be filled.
        weights: A local safetensors file, or a tag of timm's, such as `ms_in1k` for
            `hrnet-w48`; "" leaves the backbone as it is.

    Raises:
        UsageError: It is neither a file nor a tag of that backbone.
        ServiceError: The tag would have to be fetched and cannot be.
        UnsafeInputError: The file is a pickle.
        ReadError: The file cannot be read, or is of another network.
    """
    if not weights:
        return
    path = Path(weights)
    if path.suffix or path.is_file():
        if not path.is_file():
            raise UsageError(f"no file '{weights}' with weights for '{backbone.name}'")
        given = read_tensors(path)
    else:
        given = _from_hub(backbone.name, weights)
    given = {_bare(key): value for key, value in given.items()}
    wanted = without_counters(backbone.net.state_dict())
    coarser = _coarser_fusions(backbone) & wanted.keys()
    if not coarser & given.keys():
        wanted = {key: value for key, value in wanted.items() if key not in coarser}
    hint = f"are the weights of another backbone than '{backbone.name}'?"
    require_all(wanted, given, where=weights, hint=hint)
    backbone.net.load_state_dict({k: given[k].to(v.dtype) for k, v in wanted.items()}, False)


def _coarser_fusions(backbone: Backbone) -> set[str]:
    """Tensors of an HRNet's last fusion that a pose network of the finest map lacks."""
    if backbone.name not in HRNETS:
        return set()
    fusion = f"stage4.{len(backbone.net.stage4) - 1}.fuse_layers."
    finest = f"{fusion}0."
    return {
        key
        for key in backbone.net.state_dict()
        if key.startswith(fusion) and not key.startswith(finest)
    }


def _from_hub(name: str, tag: str) -> dict[str, Tensor]:
    """Tensors by timm's tag."""
    known = timm.list_pretrained(f"{_TIMM[name]}.*") if name in _TIMM else []
    tags = [full.split(".", 1)[1] for full in known]
    if tag not in tags:
        raise UsageError(
            f"pretrained = '{tag}' is neither a file nor a tag of '{name}'; tags: "
            f"{', '.join(tags) or 'none, a local file only'}"
        )
    try:
        with hub_or_cache():
            model = timm.create_model(f"{_TIMM[name]}.{tag}", pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ServiceError(
            f"weights '{tag}' of '{name}' could not be fetched from timm's hub "
            f"({type(error).__name__}); without a network, download their safetensors file "
            "elsewhere and name it: pretrained = 'FILE.safetensors'"
        ) from error
    return dict(model.state_dict())


def _bare(key: str) -> str:
    """A tensor's name without the prefixes of whoever saved it."""
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key
