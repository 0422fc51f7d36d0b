"""What the training loop and the predictor need to know of a family of networks.

A family builds its network, its loss and the way from the network's output to keypoints.
`HEATMAP` is below; `baselines.regression.REGRESSION` and `tokenclipose.family.TOKENCLIPOSE` are
the others. The loop and the predictor are the same for all, so a comparison differs in nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.backbones import HRNETS, load_pretrained
from baselines.codecs import decode_coordinates, decode_heatmaps, encode_heatmaps
from baselines.config import TrainConfig
from baselines.hrnet import HRNetHeatmap
from baselines.precision import full
from baselines.simple_baseline import SimpleBaseline
from toolkit.models import PoseModel
from toolkit.schema import Schema
from toolkit.zero_shot import Counterpart

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
        build: (schema, config, stored weights or None) → network. None is for training: the
            network then starts from the recipe's pretrained weights and text encoder. With
            stored weights, which the caller loads into it, it reads neither; it takes from
            them the size of its text tokens alone. Raises `UsageError` where they or the
            recipe cannot be this family's.
        build_loss: (schema, config) → module called with (network output, (B, K, 2) crop px,
            (B, K) labelled); it may hold parameters that only training needs. Every tensor of
            the output begins with B: with several processes the loss sees the whole batch.
        decode: (network output, config) → keypoints.
        merge: (output, output of the mirrored crops, (K,) mirror partners, config) → output,
            for the flip test; None where the keypoints are averaged instead.
        by_prompts: (model, schema) → the model with that schema's text tokens, and who answers
            for whom; None for a family without language.
        output: Which of the network's outputs is decoded, where it is not the final one.
    """

    name: str
    build: Callable[[Schema, TrainConfig, dict[str, Tensor] | None], nn.Module]
    build_loss: Callable[[Schema, TrainConfig], nn.Module]
    decode: Callable[..., Decoded]
    merge: Callable[[Any, Any, Tensor, TrainConfig], Any] | None = None
    by_prompts: Callable[..., tuple[PoseModel, tuple[Counterpart, ...]]] | None = None
    output: str = ""


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
            points,
            labelled,
            config.input_wh,
            HEATMAP_STRIDE,
            config.heatmap_sigma,
            config.heatmap_grid,  # type: ignore[arg-type]
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
    points, scores = decode_heatmaps(
        maps,
        config.input_wh,
        grid=config.heatmap_grid,  # type: ignore[arg-type]
        refine=config.refine,  # type: ignore[arg-type]
        sigma=config.heatmap_sigma,
    )
    return Decoded(points, scores.clamp(0, 1), None)


def decode_places(mu: Tensor, sigma: Tensor, config: TrainConfig) -> Decoded:
    """Regressed places and scales in crop px; the score falls with the predicted scale.

    Args:
        mu: (B, K, 2) places in network units.
        sigma: (B, K, 2) their scales.
        config: Names the crop's size.
    """
    sigma = full(sigma)
    return Decoded(
        points=decode_coordinates(full(mu), config.input_wh),
        scores=(1 - sigma.mean(dim=2)).clamp(0, 1),
        sigma=sigma * config.input_wh[1],
    )


def merge_heatmaps(
    seen: Tensor, mirrored: Tensor, partner: Tensor, config: TrainConfig
) -> Tensor:
    """Mean of maps (B, K, H', W') and of those seen in a mirror, turned back."""
    back = mirrored[:, partner].flip(3)
    if config.heatmap_grid == "original":  # the grid is not its own mirror image
        back = torch.cat([back[..., :1], back[..., :-1]], dim=3)
    return (seen + back) / 2


def _build(schema: Schema, config: TrainConfig, stored: dict[str, Tensor] | None) -> nn.Module:
    """HRNet's, SimpleBaseline's or ViTPose's network, by the recipe's backbone."""
    if config.backbone.startswith("vitpose"):
        from baselines.vitpose import VitPose, load_published  # lazy: transformers is slow

        vit = VitPose(schema.num_keypoints, backbone=config.backbone, input_wh=config.input_wh)
        if stored is None:
            load_published(vit, config.pretrained, other_keypoints=True)
        return vit
    make = HRNetHeatmap if config.backbone in HRNETS else SimpleBaseline
    network = make(schema.num_keypoints, backbone=config.backbone)
    if stored is None:
        load_pretrained(network.backbone, config.pretrained)
    return network


HEATMAP = Family(
    name="heatmap",
    build=_build,
    build_loss=lambda schema, config: HeatmapLoss(config),
    decode=_decode,
    merge=merge_heatmaps,
)
