"""TokenCLIPose as a family that the common training loop and predictor can run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from baselines.backbones import load_pretrained
from baselines.codecs import encode_coordinates
from baselines.config import TrainConfig
from baselines.family import Decoded, Family, decode_places
from tokenclipose.losses import TokenCLIPoseLoss
from tokenclipose.model import Poses, TokenCLIPose
from tokenclipose.text import keypoint_embeddings
from toolkit.errors import UsageError
from toolkit.models import PoseModel
from toolkit.schema import Schema
from toolkit.zero_shot import Counterpart

if TYPE_CHECKING:
    from baselines.predictor import CheckpointModel


class _Loss(nn.Module):
    """`TokenCLIPoseLoss` on keypoints in crop px."""

    def __init__(self, schema: Schema, config: TrainConfig) -> None:
        """Build the loss for a recipe."""
        super().__init__()
        self.crop_wh = config.input_wh
        self.loss = TokenCLIPoseLoss(
            torch.from_numpy(schema.edge_index),
            torch.from_numpy(schema.is_extension),
            crop_wh=config.input_wh,
            guide_weight=config.guide_weight,
            error_weight=config.error_weight,
            rle=config.rle,
        )

    def forward(self, poses: Poses, points: Tensor, labelled: Tensor) -> Tensor:
        loss: Tensor = self.loss(poses, encode_coordinates(points, self.crop_wh), labelled)
        return loss


def _build(schema: Schema, config: TrainConfig, stored: dict[str, Tensor] | None) -> nn.Module:
    """A network; with stored weights its text tokens come from them, not from an encoder."""
    embeddings = None
    if stored is not None:
        if "text" in stored:
            shape = stored["text"].shape
            if len(shape) != 2 or shape[0] != schema.num_keypoints:
                raise UsageError(
                    f"tensor 'text' has shape {tuple(shape)}; expected a row for each of "
                    f"{schema.num_keypoints} keypoints"
                )
            embeddings = torch.randn(shape, generator=torch.Generator())
    elif config.text_encoder is not None:
        embeddings = keypoint_embeddings(
            schema, config.text, dim=config.dim, prompts=config.prompts
        )
    network = TokenCLIPose(
        schema.num_keypoints,
        embeddings,
        crop_wh=config.input_wh,
        backbone=config.backbone,
        dim=config.dim,
        layers=config.layers,
        heads=config.heads,
        registers=config.registers,
        modalities=config.modalities,
        attention=config.attention,
        coarse=config.coarse,
        final=config.final,
        evidence=config.evidence,
        guided=config.guide_weight > 0,
    )
    if stored is None:
        load_pretrained(network.backbone, config.pretrained)
    return network


def _decode(poses: Poses, config: TrainConfig) -> Decoded:
    return decode_places(poses.mu, poses.sigma, config)


def _decode_coarse(poses: Poses, config: TrainConfig) -> Decoded:
    """What the network knew before its decoder."""
    return decode_places(poses.mu_coarse, poses.sigma_coarse, config)


def _by_prompts(
    model: CheckpointModel, schema: Schema
) -> tuple[PoseModel, tuple[Counterpart, ...]]:
    from tokenclipose.zero_shot import by_prompts  # it imports the predictor

    return by_prompts(model, schema)


TOKENCLIPOSE = Family(
    name="tokenclipose",
    build=_build,
    build_loss=_Loss,
    decode=_decode,
    by_prompts=_by_prompts,
)

TOKENCLIPOSE_COARSE = replace(TOKENCLIPOSE, decode=_decode_coarse, output="coarse")
