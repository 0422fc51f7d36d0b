"""Direct regression: pooled features, one linear layer, coordinates and scales (RLE).

Source: Li et al., "Human Pose Regression with Residual Log-likelihood Estimation", ICCV
2021. The network pools a backbone's maps and regresses a place and a scale for each keypoint;
the flow that shapes the loss is left out of prediction. A ResNet is pooled at its last map,
as in the paper. An HRNet has no such map: each of its four is pooled, and all are read, where
the paper's code adds the convolutions of the classification network first.

Places are in network units and not bounded, so that a keypoint outside the crop is regressed
like any other.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.backbones import HRNETS, Backbone, load_pretrained
from baselines.codecs import encode_coordinates
from baselines.config import TrainConfig
from baselines.family import Decoded, Family, decode_places
from baselines.precision import full, in_full
from baselines.rle import make_rle
from toolkit.schema import Schema


class Regressed(NamedTuple):
    """Keypoints of B crops, network units."""

    mu: Tensor  # (B, K, 2)
    sigma: Tensor  # (B, K, 2), positive


class DirectRegression(nn.Module):
    """A backbone, global pooling and a linear layer.

    Args:
        num_keypoints: K.
        backbone: One of `baselines.backbones.BACKBONES`.
    """

    def __init__(self, num_keypoints: int, *, backbone: str = "resnet50") -> None:
        """Build backbone and head."""
        super().__init__()
        self.backbone = Backbone(backbone)
        self.pooled = 4 if backbone in HRNETS else 1
        self.out = nn.Linear(sum(self.backbone.channels[-self.pooled :]), 4 * num_keypoints)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, images: Tensor) -> Regressed:
        """Places and scales of normalised images (B, 3, H, W)."""
        maps = self.backbone(images)[-self.pooled :]  # (B, C_i, H_i, W_i)
        pooled = torch.cat([m.mean(dim=(2, 3)) for m in maps], dim=1)  # (B, C)
        with in_full(pooled):
            raw = self.out(full(pooled))  # (B, 4K)
        raw = raw.reshape(len(pooled), -1, 2, 2)  # (B, K, mu|sigma, 2)
        mu, scale = raw.unbind(dim=2)
        return Regressed(mu, (scale - 1.5).sigmoid() + 1e-3)


class _Loss(nn.Module):
    """RLE on keypoints in crop px."""

    def __init__(self, config: TrainConfig) -> None:
        """Build the loss with its flow."""
        super().__init__()
        self.crop_wh, self.rle = config.input_wh, make_rle(config.rle)

    def forward(self, out: Regressed, points: Tensor, labelled: Tensor) -> Tensor:
        units = encode_coordinates(points, self.crop_wh)
        loss: Tensor = self.rle(out.mu, out.sigma, units, labelled)
        return loss


def _build(schema: Schema, config: TrainConfig, stored: dict[str, Tensor] | None) -> nn.Module:
    network = DirectRegression(schema.num_keypoints, backbone=config.backbone)
    if stored is None:
        load_pretrained(network.backbone, config.pretrained)
    return network


def _decode(out: Regressed, config: TrainConfig) -> Decoded:
    return decode_places(out.mu, out.sigma, config)


REGRESSION = Family(
    name="regression",
    build=_build,
    build_loss=lambda schema, config: _Loss(config),
    decode=_decode,
)
