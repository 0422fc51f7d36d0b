"""HRNet: a feature pyramid that stays at high resolution, and the heatmap head on it.

The backbone is timm's `HighResolutionNet` (MIT; Sun et al., CVPR 2019); this file only names
the sizes, drops the classification head and adds the stride-4 heatmap head of the original
pose network. Sizes: `w48` and `w32` are the paper's; `small` trains on two CPU cores.
Weights that others published load by `baselines.hrnet_names`.

A heatmap has cells inside the crop only. What lies outside the crop has no target here and
cannot be predicted: the decoded place is always inside. That is the point of comparison
with regression, not a defect to repair.

Tensors are (B, C, H, W); H and W must be multiples of 32.
"""

from __future__ import annotations

from typing import Any

from timm.models.hrnet import HighResolutionNet
from torch import Tensor, nn

from toolkit.errors import UsageError


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


SIZES: dict[str, dict[str, Any]] = {
    # Measured: 1.7 times faster to train than widths (32, 64, 128, 256) on one core.
    "small": _size(
        (24, 48, 72, 96), stem_width=32, first=("BASIC", 1, 32), blocks=1, modules=(1, 1, 1)
    ),
    "w32": _published(32),
    "w48": _published(48),
}


class Backbone(nn.Module):
    """HRNet up to its four feature maps.

    Args:
        size: A key of `SIZES`.
        maps: How many maps the last exchange makes, the finest first.

    Attributes:
        channels: Channels of the maps at strides 4, 8, 16 and 32.
    """

    def __init__(self, size: str, *, maps: int = 4) -> None:
        """Build the network of a size."""
        super().__init__()
        if size not in SIZES:
            raise UsageError(f"no HRNet size '{size}'; known: {', '.join(SIZES)}")
        self.net = HighResolutionNet(SIZES[size], head="")
        last = self.net.stage4[-1]
        last.fuse_layers = last.fuse_layers[:maps]
        self.channels: tuple[int, ...] = SIZES[size]["stage4"]["num_channels"]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of normalised images.

        Args:
            images: (B, 3, H, W).

        Returns:
            Maps (B, C_i, H / s, W / s) for s in 4, 8, 16, 32; the first `maps` of them.
        """
        net = self.net
        features = net.act1(net.bn1(net.conv1(images)))  # (B, stem, H/2, W/2)
        features = net.act2(net.bn2(net.conv2(features)))  # (B, 64, H/4, W/4)
        return list(net.stages(features))


class HRNetHeatmap(nn.Module):
    """Top-down heatmap network: one map for each keypoint at a quarter of the resolution.

    Args:
        num_keypoints: K.
        size: A key of `SIZES`.
    """

    def __init__(self, num_keypoints: int, *, size: str = "small") -> None:
        """Build backbone and head."""
        super().__init__()
        # Only the finest map is read. The published networks make no other (28.5 M parameters
        # at w32); `small` keeps all four, because the checkpoints that ship hold them.
        self.backbone = Backbone(size, maps=4 if size == "small" else 1)
        self.final_layer = nn.Conv2d(self.backbone.channels[0], num_keypoints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        if self.final_layer.bias is not None:
            nn.init.zeros_(self.final_layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps of normalised images.

        Args:
            images: (B, 3, H, W).

        Returns:
            (B, K, H / 4, W / 4), unbounded.
        """
        maps: Tensor = self.final_layer(self.backbone(images)[0])
        return maps
