"""The flip test: a network sees each crop and its mirror image, and both answers count.

It costs a second forward pass. What is averaged is the family's business (`Family.merge`):
of heatmaps the maps themselves, of regression the keypoints.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from baselines.config import TrainConfig
from baselines.family import Decoded, Family
from toolkit.errors import UsageError
from toolkit.schema import Schema


class Readable(Protocol):
    """A loaded network, as far as reading its answers goes."""

    name: str
    network: nn.Module
    family: Family
    config: TrainConfig
    schema: Schema
    facts: dict[str, object]


class BothWays(nn.Module):
    """A network on crops and on their mirror images.

    Args:
        network: From images (B, 3, H, W) to anything.
        family: Of the network alone.
    """

    def __init__(self, network: nn.Module, family: Family) -> None:
        """Keep both."""
        super().__init__()
        self.network, self.family = network, family

    def forward(self, images: Tensor) -> tuple[Any, Any]:
        """What it says of the images, and of their mirror images."""
        return self.network(images), self.network(images.flip(3))


def bare(network: nn.Module) -> nn.Module:
    """The network itself, whether or not it looks at mirror images too."""
    inner: nn.Module = network.network if isinstance(network, BothWays) else network
    return inner


def flip_tested(family: Family, network: nn.Module, schema: Schema) -> tuple[Family, BothWays]:
    """A family and a network that average over both ways of looking at a crop.

    Args:
        family: Of the network.
        network: As trained.
        schema: Says which keypoints change places in a mirror.
    """
    partner = torch.from_numpy(schema.flip_index)

    def decode(outputs: tuple[Any, Any], config: TrainConfig) -> Decoded:
        seen, mirrored = outputs
        if family.merge is not None:
            return family.decode(family.merge(seen, mirrored, partner, config), config)
        return mean_of_both(
            family.decode(seen, config), family.decode(mirrored, config), partner, config
        )

    return replace(family, decode=decode, merge=None), BothWays(network, family)


def mean_of_both(
    seen: Decoded, mirrored: Decoded, partner: Tensor, config: TrainConfig
) -> Decoded:
    """Mean of keypoints and of those seen in a mirror, turned back.

    Args:
        seen: Keypoints of B crops.
        mirrored: Keypoints of their mirror images.
        partner: (K,) index of each keypoint's mirror partner.
        config: Names the crop's width.
    """
    width = config.input_wh[0]
    points, scores, sigma = mirrored
    points, scores = points[:, partner], scores[:, partner]
    points = torch.stack([width - 1 - points[..., 0], points[..., 1]], dim=-1)
    both = None
    if seen.sigma is not None and sigma is not None:
        both = (seen.sigma + sigma[:, partner]) / 2
    return Decoded((seen.points + points) / 2, (seen.scores + scores) / 2, both)


def decode_by(
    model: Readable, *, refine: str | None = None, flip_test: bool | None = None
) -> None:
    """Let a model read its answers as asked; None leaves the choice to its recipe.

    Args:
        model: Changed in place; its facts tell of it.
        refine: How a peak is found between the cells, see `baselines.codecs`.
        flip_test: Whether mirror images count as well.

    Raises:
        UsageError: A refinement was asked for, and the network has no heatmaps.
    """
    if refine is not None and model.config.family != "heatmap":
        raise UsageError(
            f"model '{model.name}' has no heatmaps to refine: its family is "
            f"'{model.config.family}'"
        )
    wanted = model.config.flip_test if flip_test is None else flip_test
    model.config = replace(model.config, flip_test=wanted, refine=refine or model.config.refine)
    model.facts["recipe"] = model.config.to_dict()
    if isinstance(model.network, BothWays):
        model.family, model.network = model.network.family, model.network.network
    if wanted:
        model.family, model.network = flip_tested(model.family, model.network, model.schema)
