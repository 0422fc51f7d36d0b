"""What the training loop and the predictor need to know of a family of networks.

A family builds its network, its loss and the way from the network's output to keypoints.
`HEATMAP` is below; `tokenclipose.family.TOKENCLIPOSE` is the other. The loop and the
predictor are the same for both, so a comparison differs in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from baselines.backbones import load_pretrained
from baselines.codecs import decode_heatmaps, encode_heatmaps
from baselines.config import TrainConfig
from baselines.hrnet import HRNetHeatmap
from baselines.precision import full
from toolkit.schema import Schema

HEATMAP_STRIDE = 4


class Decoded(NamedTuple):
    """Keypoints of B crops."""

    points: Tensor  # (B, K, 2) crop px
    scores: Tensor  # (B, K) in [0, 1]
    sigma: Tensor | None  # (B, K, 2) crop px


@dataclass(frozen=True)
class Family:
    """One kind of network.

    Attributes:
        name: As in a recipe's `family`.
        build: (schema, config, stored weights or None) → network. The stored weights are
            given when a checkpoint is loaded, so that no text encoder is needed then.
        build_loss: (schema, config) → module called with (network output, (B, K, 2) crop px,
            (B, K) labelled); it may hold parameters that only training needs. Every tensor of
            the output begins with B: with several processes the loss sees the whole batch.
        decode: (network output, config) → keypoints.
    """

    name: str
    build: Callable[[Schema, TrainConfig, dict[str, Tensor] | None], nn.Module]
    build_loss: Callable[[Schema, TrainConfig], nn.Module]
    decode: Callable[..., Decoded]


class HeatmapLoss(nn.Module):
    """Squared error of the maps, or cross-entropy of their softmax.

    Only keypoints labelled inside the crop have a target: a map cannot hold the others.

    Args:
        config: Input size, target width and which loss.
    """

    def __init__(self, config: TrainConfig) -> None:
        """Keep the recipe."""
        super().__init__()
        self.config = config

    def forward(self, maps: Tensor, points: Tensor, labelled: Tensor) -> Tensor:
        """Mean loss of a keypoint that has a target; 0 where none has."""
        config = self.config
        target, weight = encode_heatmaps(
            points, labelled, config.input_wh, HEATMAP_STRIDE, config.heatmap_sigma
        )
        maps, target = full(maps).flatten(2), target.flatten(2)  # (B, K, P)
        if config.heatmap_loss == "cross_entropy":
            share = target / target.sum(dim=2, keepdim=True).clamp_min(1e-6)
            each = -(share * maps.log_softmax(dim=2)).sum(dim=2)  # (B, K)
        else:
            each = ((maps - target) ** 2).mean(dim=2)
        return (each * weight).sum() / weight.sum().clamp_min(1)


def _decode(maps: Tensor, config: TrainConfig) -> Decoded:
    maps = full(maps)
    if config.heatmap_loss == "cross_entropy":
        maps = maps.flatten(2).softmax(dim=2).reshape(maps.shape)
    points, scores = decode_heatmaps(maps, config.input_wh)
    return Decoded(points, scores.clamp(0, 1), None)


def _build(schema: Schema, config: TrainConfig, stored: dict[str, Tensor] | None) -> nn.Module:
    network = HRNetHeatmap(schema.num_keypoints, backbone=config.backbone)
    if stored is None:
        load_pretrained(network.backbone, config.pretrained)
    return network


HEATMAP = Family(
    name="heatmap",
    build=_build,
    build_loss=lambda schema, config: HeatmapLoss(config),
    decode=_decode,
)
