"""TokenCLIPose, all of it: pose estimation that sees beyond the crop.

Source: B. Balaji, J. Bright, Y. Chen, S. Rambhatla, J. S. Zelek, D. A. Clausi, "Seeing Beyond
the Crop: Using Language Priors for Out-of-Bounding Box Keypoint Prediction", NeurIPS 2024
(openreview LGus3wXPxc). The authors' code is not public; this was written from the paper's
description at second hand, so treat every detail below as ours where the paper is silent.

The crop holds the human only. Every keypoint, the stick's too, is regressed in coordinates
that may leave the crop, and one outside is supervised like any other:

    image ─ HRNet ─ feature map ─┬─ coarse head ─ mu_f, sigma_f ─ location tokens ─┐
                                 └─ image tokens ─────────────────────────────────┤
    prompts ─ text encoder ─ text tokens (learnable) ──── register tokens ─── decoder ─ mu_d

    loss = RLE(mu_f, sigma_f) + RLE(mu_d, sigma_d), mu_d = mu_f + delta

What differs from the paper, each a keyword argument and a recipe key:

* `coarse="vote"` (small size). The paper's MLP on pooled features (`"mlp"`) is the slowest
  learner at small budgets. Here a keypoint is either where a softmax over HRNet's finest map
  peaks, or, for what lies beyond the crop, where the cells that lead to it propose: each its
  own centre plus an offset. A gate chooses. Both read the image where it is informative.
* `evidence=True`: a location token carries, beside mu_f, the features that it came from.
* `guide_weight` (`tokenclipose.losses`): while training, both softmaxes are told where to look:
  at the keypoint, and along the skeleton's edges that lead to it, such as the part of the
  shaft that can be seen. It uses training labels only.

Letters: B batch, K keypoints, P cells of the feature map, R registers, D width of a token.
Coordinates are network units (see `baselines.codecs`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.backbones import Backbone
from baselines.codecs import cell_centers
from toolkit.errors import UsageError

SPOT_STRIDE = 4  # crop px a cell of the fused map: where a keypoint is seen
STRIDE = 8  # crop px a cell that proposes, and an image token
SHARPEN = 3.0  # a softmax trained on Gaussians of one cell keeps 0.6 of their width


class Poses(NamedTuple):
    """What the network says about B crops, in network units; the rest only from votes."""

    mu: Tensor  # (B, K, 2) final places
    sigma: Tensor  # (B, K, 2) their scales
    mu_coarse: Tensor  # (B, K, 2)
    sigma_coarse: Tensor  # (B, K, 2)
    votes: Votes | None


class Votes(NamedTuple):
    """What the vote head saw, for its losses."""

    spot_logits: Tensor  # (B, K, S) where it is seen, S cells at stride 4
    spot: Tensor  # (B, K, 2) place of the peak
    trail_logits: Tensor  # (B, K, P) what leads to it, P cells at stride 8
    proposals: Tensor  # (B, K, P, 2) places that the cells propose
    beyond: Tensor  # (B, K, 2) place by the proposals
    gate: Tensor  # (B, K) logit: are the proposals the better place?


class TokenCLIPose(nn.Module):
    """The network.

    Args:
        text_embeddings: (K, E) one embedding a keypoint (see `tokenclipose.text`); they
            initialise learnable tokens and are saved with the weights.
        crop_wh: Width and height of the crop in px, multiples of 32.
        backbone: Image encoder, one of `baselines.backbones.BACKBONES`.
        dim: D.
        layers: Decoder layers.
        heads: Attention heads.
        registers: R; 0 for none.
        attention: `cross` (keypoint tokens query image tokens) or `self` (all tokens attend
            to all).
        coarse: `vote` or `mlp`.
        evidence: Whether location tokens carry the features behind their votes.
        guided: Whether the weights of the votes are trained by the guide alone.
    """

    centers: Tensor

    def __init__(
        self,
        text_embeddings: Tensor,
        *,
        crop_wh: tuple[int, int],
        backbone: str = "hrnet-small",
        dim: int = 96,
        layers: int = 3,
        heads: int = 4,
        registers: int = 4,
        attention: str = "cross",
        coarse: str = "vote",
        evidence: bool = True,
        guided: bool = False,
    ) -> None:
        """Build the network."""
        super().__init__()
        _require("attention", attention, ("cross", "self"))
        _require("coarse", coarse, ("vote", "mlp"))
        keypoints = len(text_embeddings)
        self.attention, self.evidence = attention, evidence and coarse == "vote"
        self.backbone = Backbone(backbone)
        self.fuse = FusedMap(self.backbone.channels, dim)
        self.to_cells = CellTower(dim)
        width, height = crop_wh
        map_hw = (height // STRIDE, width // STRIDE)
        self.register_buffer("centers", cell_centers(map_hw, crop_wh), persistent=False)
        self.coarse: nn.Module = (
            VoteHead(keypoints, dim, crop_wh, guided=guided)
            if coarse == "vote"
            else PooledHead(keypoints, dim)
        )
        self.image_position = nn.Linear(dim, dim)
        self.location = nn.Linear(dim, dim)
        self.location_evidence = nn.Linear(2 * dim, dim) if self.evidence else None
        self.text = nn.Parameter(_standardised(text_embeddings))  # (K, E)
        self.text_projection = nn.Linear(text_embeddings.shape[1], dim)
        self.registers = nn.Parameter(torch.randn(registers, dim) * 0.02)
        self.decoder = nn.ModuleList(
            DecoderLayer(dim, heads, cross=attention == "cross") for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.delta = nn.Linear(dim, 2)
        self.scale = nn.Linear(dim, 2)
        nn.init.normal_(self.delta.weight, std=0.01)
        nn.init.zeros_(self.delta.bias)
        nn.init.constant_(self.scale.bias, -1.5)

    def forward(self, images: Tensor) -> Poses:
        """Predict all keypoints of B crops.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            Places and scales, coarse and final; unclamped.
        """
        fine = self.fuse(self.backbone(images))  # (B, D, H/4, W/4)
        cells = self.to_cells(fine).flatten(2).transpose(1, 2)  # (B, P, D)
        coarse = self.coarse(fine, cells, self.centers)

        image = cells + self.image_position(position_code(self.centers, cells.shape[2]))
        location = self.location(position_code(coarse.mu.detach(), image.shape[2]))
        if self.location_evidence is not None:
            location = location + self.location_evidence(coarse.evidence)
        batch = len(images)
        text = self.text_projection(self.text).expand(batch, -1, -1)  # (B, K, D)
        registers = self.registers.expand(batch, -1, -1)  # (B, R, D)
        tokens = torch.cat([text + location, text, location, registers], dim=1)
        if self.attention == "self":
            tokens = torch.cat([tokens, image], dim=1)  # (B, 3K + R + P, D)
        for layer in self.decoder:
            tokens = layer(tokens, image)
        answers = self.norm(tokens[:, : len(self.text)]).float()  # (B, K, D)
        return Poses(
            mu=coarse.mu.detach() + self.delta(answers).float(),
            sigma=_positive(self.scale(answers)),
            mu_coarse=coarse.mu,
            sigma_coarse=coarse.sigma,
            votes=coarse.votes,
        )


class FusedMap(nn.Module):
    """HRNet's four maps (strides 4 to 32) as one of D channels at stride 4."""

    def __init__(self, channels: tuple[int, ...], dim: int) -> None:
        """One projection for each map."""
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(c, dim, 1, bias=False) for c in channels)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B, D, H / 4, W / 4) from maps at strides 4, 8, 16 and 32."""
        total = self.project[0](maps[0])
        for level in range(1, len(maps)):
            part = self.project[level](maps[level])
            total = total + functional.interpolate(part, scale_factor=2**level)
        return functional.relu(self.norm(total))


class CellTower(nn.Module):
    """The fused map at stride 8, with layers of its own that look far along a shaft."""

    def __init__(self, dim: int) -> None:
        """One convolution that halves the map, then two residual ones."""
        super().__init__()
        self.halve = nn.Conv2d(dim, dim, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(dim)
        self.far = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(dim, dim, 3, padding=gap, dilation=gap, bias=False),
                nn.BatchNorm2d(dim),
            )
            for gap in (2, 3)
        )

    def forward(self, fine: Tensor) -> Tensor:
        """(B, D, H / 8, W / 8) from (B, D, H / 4, W / 4)."""
        cells = functional.relu(self.norm(self.halve(fine)))
        for layer in self.far:
            cells = functional.relu(cells + layer(cells))
        return cells


class Coarse(NamedTuple):
    """What a coarse head gives; the last two only from votes."""

    mu: Tensor  # (B, K, 2)
    sigma: Tensor  # (B, K, 2)
    votes: Votes | None = None
    evidence: Tensor | None = None  # (B, K, 2 D)


class VoteHead(nn.Module):
    """Two ways to a place, and a gate that chooses for each keypoint.

    The *spot* is where a softmax over the cells of the finest map peaks: in the crop. The
    *beyond* is what the cells that lead to the keypoint propose, each its own centre plus an
    offset, weighed by a softmax of its own: anywhere.
    """

    spot_centers: Tensor

    def __init__(
        self, keypoints: int, dim: int, crop_wh: tuple[int, int], *, guided: bool
    ) -> None:
        """One linear layer for each thing that is predicted."""
        super().__init__()
        self.guided = guided
        width, height = crop_wh
        spot_hw = (height // SPOT_STRIDE, width // SPOT_STRIDE)
        self.register_buffer("spot_centers", cell_centers(spot_hw, crop_wh), persistent=False)
        self.window = 2.5 * SPOT_STRIDE / height  # two cells on each side
        self.spot = nn.Conv2d(dim, keypoints, 1)
        self.trail = nn.Linear(dim, keypoints)
        self.propose = nn.Linear(dim, 2 * keypoints)
        self.gate = nn.Linear(2 * dim, 1)
        self.gate_bias = nn.Parameter(torch.zeros(keypoints))
        self.scale = nn.Linear(2 * dim, 2)
        nn.init.zeros_(self.propose.bias)
        nn.init.constant_(self.scale.bias, -1.5)

    def forward(self, fine: Tensor, cells: Tensor, centers: Tensor) -> Coarse:
        """Coarse places.

        Args:
            fine: (B, D, H / 4, W / 4) the fused map.
            cells: (B, P, D) the same at stride 8.
            centers: (P, 2) of its cells.
        """
        batch, places, _ = cells.shape
        spot_map = self.spot(fine).float()  # (B, K, H/4, W/4)
        spot_logits = spot_map.flatten(2)  # (B, K, S)
        trail_logits = self.trail(cells).transpose(1, 2).float()  # (B, K, P)
        # Guided weights learn where to look from the guide alone: through the means below
        # RLE would pull on them with 1 / sigma, and drown it.
        looked = spot_map.detach() if self.guided else spot_map
        walked = trail_logits.detach() if self.guided else trail_logits
        sharp = self._peak(looked.flatten(2))  # (B, K, S)
        spot = sharp @ self.spot_centers  # (B, K, 2)
        offsets = self.propose(cells).float().reshape(batch, places, -1, 2)
        proposals = centers + offsets.transpose(1, 2)  # (B, K, P, 2)
        weights = (SHARPEN * walked).softmax(dim=2)
        beyond = (weights[..., None] * proposals).sum(dim=2)  # (B, K, 2)

        seen_at = functional.avg_pool2d(sharp.reshape(looked.shape), 2).flatten(2) * 4
        looks = torch.cat([seen_at, weights], dim=1).to(cells.dtype)  # (B, 2K, P)
        evidence = torch.cat((looks @ cells).chunk(2, dim=1), dim=2)  # (B, K, 2D)
        gate = self.gate(evidence)[..., 0].float() + self.gate_bias  # (B, K)
        mu = torch.where(gate[..., None] > 0, beyond, spot)
        votes = Votes(spot_logits, spot, trail_logits, proposals, beyond, gate)
        return Coarse(mu, _positive(self.scale(evidence)), votes, evidence)

    def _peak(self, logits: Tensor) -> Tensor:
        """Weights of the cells round each maximum: of several modes it takes one."""
        best = self.spot_centers[logits.argmax(dim=2)]  # (B, K, 2)
        gap = (self.spot_centers - best[:, :, None]).abs().amax(dim=3)  # (B, K, S)
        return (SHARPEN * logits).masked_fill(gap > self.window, -torch.inf).softmax(dim=2)


class PooledHead(nn.Module):
    """The paper's coarse head: an MLP on the pooled feature map."""

    def __init__(self, keypoints: int, dim: int) -> None:
        """One hidden layer."""
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU())
        self.out = nn.Linear(4 * dim, 4 * keypoints)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, fine: Tensor, cells: Tensor, centers: Tensor) -> Coarse:
        """Coarse places from (B, P, D) cells; neither where they lie nor `fine` is used."""
        raw = self.out(self.mlp(cells.mean(dim=1))).float()
        mu, scale = raw.reshape(len(cells), -1, 2, 2).unbind(dim=2)
        return Coarse(mu, _positive(scale - 1.5))


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to the image tokens if asked for, and an MLP."""

    def __init__(self, dim: int, heads: int, *, cross: bool) -> None:
        """Attention, then an MLP."""
        super().__init__()
        self.among = Attention(dim, heads)
        self.to_image = Attention(dim, heads) if cross else None
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )
        self.norm_among = nn.LayerNorm(dim)
        self.norm_to_image = nn.LayerNorm(dim) if cross else None

    def forward(self, tokens: Tensor, image: Tensor) -> Tensor:
        """(B, T, D) tokens after looking at each other and at (B, P, D) image tokens."""
        normed = self.norm_among(tokens)
        tokens = tokens + self.among(normed, normed)
        if self.to_image is not None and self.norm_to_image is not None:
            tokens = tokens + self.to_image(self.norm_to_image(tokens), image)
        return tokens + self.mlp(tokens)


class Attention(nn.Module):
    """Multi-head softmax attention of queries to a context."""

    def __init__(self, dim: int, heads: int) -> None:
        """Projections of queries, keys and values."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """(B, T, D) from queries (B, T, D) and context (B, S, D)."""
        batch, count, dim = queries.shape
        key, value = self.key_value(context).chunk(2, dim=2)
        q, k, v = (
            part.reshape(batch, -1, self.heads, dim // self.heads).transpose(1, 2)
            for part in (self.query(queries), key, value)
        )  # (B, heads, T or S, D / heads)
        # Written out: the fused kernel's backward pass is 8 times slower on a CPU.
        weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(dim=3)
        mixed = weights.to(v.dtype) @ v  # (B, heads, T, D / heads)
        attended: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, count, dim))
        return attended


def position_code(points: Tensor, dim: int) -> Tensor:
    """Sines and cosines of places, (..., dim) from (..., 2) network units, unclamped."""
    octaves = torch.arange(dim // 4, device=points.device) * (6 / max(dim // 4 - 1, 1))
    angles = points[..., None] * (2**octaves) * math.pi / 2  # (..., 2, dim / 4)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def _standardised(embeddings: Tensor) -> Tensor:
    """Embeddings without what all keypoints share, at unit scale: prompts are much alike."""
    centred = embeddings - embeddings.mean(dim=0, keepdim=True)
    return centred / centred.std().clamp_min(1e-6)


def _positive(raw: Tensor) -> Tensor:
    return raw.float().sigmoid() + 1e-3


def _require(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} is '{value}'; known: {', '.join(known)}")
