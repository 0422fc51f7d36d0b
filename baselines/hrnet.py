"""The heatmap network of HRNet's authors: the finest feature map, and one convolution on it.

A heatmap has cells inside the crop only. What lies outside the crop has no target here and
cannot be predicted: the decoded place is always inside. That is the point of comparison
with regression, not a defect to repair.

Weights that others published load by `baselines.hrnet_names`.
"""

from __future__ import annotations

from torch import Tensor, nn

from baselines.backbones import HRNETS, Backbone
from toolkit.errors import UsageError


class HRNetHeatmap(nn.Module):
    """Top-down heatmap network: one map for each keypoint at a quarter of the resolution.

    Args:
        num_keypoints: K.
        backbone: A key of `baselines.backbones.HRNETS`.
    """

    def __init__(self, num_keypoints: int, *, backbone: str = "hrnet-small") -> None:
        """Build backbone and head."""
        super().__init__()
        if backbone not in HRNETS:
            raise UsageError(f"no HRNet '{backbone}'; known: {', '.join(HRNETS)}")
        # Only the finest map is read. The published networks make no other (28.5 M parameters
        # at w32); `small` keeps all four, because the checkpoints that ship hold them.
        self.backbone = Backbone(backbone, maps=4 if backbone == "hrnet-small" else 1)
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
