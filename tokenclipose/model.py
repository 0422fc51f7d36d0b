"""TokenCLIPose, all of it: pose estimation that sees beyond the crop.

Source: B. Balaji, J. Bright, Y. Chen, S. Rambhatla, J. S. Zelek, D. A. Clausi, "Seeing Beyond
the Crop: Using Language Priors for Out-of-Bounding Box Keypoint Prediction", NeurIPS 2024
(openreview LGus3wXPxc). The authors' code is not public; this was written from the paper's
description at second hand. Every choice that the paper leaves open stands, with its reason,
in one table: docs/model.md.

The crop holds the human only. Every keypoint, the stick's too, is regressed in coordinates
that may leave the crop, and one outside is supervised like any other:

    image ─ backbone ─ feature map ─┬─ coarse head ─ mu_f, sigma_f ─ location tokens ─┐
                                    └─ image tokens ─────────────────────────────────┤
    prompts ─ text encoder ─ text tokens (learnable) ─────── register tokens ─── decoder ─ mu_d

    loss = RLE(mu_f, sigma_f) + RLE(mu_d, sigma_d), mu_d = mu_f + delta

Letters: B batch, K keypoints, P cells of the feature map, R registers, D width of a token,
T tokens. Coordinates are network units (see `baselines.codecs`), unclamped.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.backbones import Backbone
from baselines.codecs import cell_centers
from baselines.precision import full, in_full
from tokenclipose.votes import STRIDE, Coarse, VoteHead, Votes, positive
from toolkit.errors import UsageError

MODALITIES = ("image", "image+location", "image+text", "image+location+text")
ATTENTIONS = ("cross", "self", "intention", "none")
COARSE_HEADS = ("vote", "mlp")
FINAL_HEADS = ("offset", "absolute")
RIDGE = 1.0  # alpha of the least-squares attention


class Poses(NamedTuple):
    """What the network says about B crops, in network units; the rest only from votes."""

    mu: Tensor  # (B, K, 2) final places
    sigma: Tensor  # (B, K, 2) their scales
    mu_coarse: Tensor  # (B, K, 2)
    sigma_coarse: Tensor  # (B, K, 2)
    votes: Votes | None


class TokenCLIPose(nn.Module):
    """The network.

    Args:
        num_keypoints: K.
        text_embeddings: (K, E) one embedding a keypoint (see `tokenclipose.text`); they
            initialise learnable tokens and are saved with the weights. None without text.
        crop_wh: Width and height of the crop in px, multiples of 32.
        backbone: Image encoder, one of `baselines.backbones.BACKBONES`.
        dim: D, a multiple of 4.
        layers: Decoder layers.
        heads: Attention heads.
        registers: R; 0 for none.
        modalities: One of `MODALITIES`: which tokens the decoder has. Without location and
            text no token stands for a keypoint: one query, the mean of the image tokens,
            answers for all K.
        attention: How tokens read the image, one of `ATTENTIONS`: `cross` (keypoint tokens
            query image tokens), `self` (all tokens attend to all), `intention` (as cross, by
            least squares), `none` (tokens attend among themselves only).
        coarse: `vote` (ours) or `mlp` (the paper's).
        final: `offset` adds a step to the coarse place, `absolute` asks an MLP for the place
            itself: only then must a token tell which keypoint it stands for.
        evidence: Whether location tokens carry the features behind their votes.
        guided: Whether the weights of the votes are trained by the guide alone.
    """

    centers: Tensor

    def __init__(
        self,
        num_keypoints: int,
        text_embeddings: Tensor | None,
        *,
        crop_wh: tuple[int, int],
        backbone: str = "hrnet-small",
        dim: int = 96,
        layers: int = 3,
        heads: int = 4,
        registers: int = 4,
        modalities: str = "image+location+text",
        attention: str = "cross",
        coarse: str = "vote",
        final: str = "offset",
        evidence: bool = True,
        guided: bool = False,
    ) -> None:
        """Build the network."""
        super().__init__()
        _require("modalities", modalities, MODALITIES)
        _require("attention", attention, ATTENTIONS)
        _require("coarse", coarse, COARSE_HEADS)
        _require("final", final, FINAL_HEADS)
        has_text, has_location = "text" in modalities, "location" in modalities
        if has_text != (text_embeddings is not None):
            raise UsageError(f"modalities '{modalities}' and the text embeddings do not agree")
        self.num_keypoints, self.modalities, self.attention = (
            num_keypoints,
            modalities,
            attention,
        )
        width, height = crop_wh
        map_hw = (height // STRIDE, width // STRIDE)
        self.register_buffer("centers", cell_centers(map_hw, crop_wh), persistent=False)

        self.backbone = Backbone(backbone)
        self.fuse = FusedMap(self.backbone.channels, dim)
        self.to_cells = CellTower(dim)
        self.coarse: nn.Module = (
            VoteHead(num_keypoints, dim, crop_wh, guided=guided)
            if coarse == "vote"
            else PooledHead(num_keypoints, dim)
        )
        self.image_position = nn.Linear(dim, dim) if attention != "none" else None
        self.location = nn.Linear(dim, dim) if has_location else None
        carried = has_location and evidence and coarse == "vote"
        self.location_evidence = nn.Linear(2 * dim, dim) if carried else None
        self.text: nn.Parameter | None = None  # (K, E)
        if text_embeddings is not None:
            self.text = nn.Parameter(standardised(text_embeddings))
            self.text_projection = nn.Linear(text_embeddings.shape[1], dim)
        self.registers = nn.Parameter(torch.randn(registers, dim) * 0.02)
        self.decoder = nn.ModuleList(DecoderLayer(dim, heads, attention) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        answers = 1 if has_text or has_location else num_keypoints  # a token
        self.final = final
        self.delta, last = _final_head(dim, 2 * answers, final)
        self.scale = nn.Linear(dim, 2 * answers)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
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

        image = cells  # (B, P, D)
        if self.image_position is not None:
            image = cells + self.image_position(position_code(self.centers, cells.shape[2]))
        tokens, asked = self._tokens(coarse, image)  # (B, T, D)
        if self.attention == "self":
            tokens = torch.cat([tokens, image], dim=1)  # (B, T + P, D)
        for layer in self.decoder:
            tokens = layer(tokens, image)
        answers = full(self.norm(tokens[:, :asked]))  # (B, K, D), or (B, 1, D)
        with in_full(answers):
            delta = self.delta(answers).reshape(coarse.mu.shape)  # (B, K, 2)
            scale = self.scale(answers).reshape(coarse.mu.shape)  # (B, K, 2)
        start = coarse.mu.detach() if self.final == "offset" else 0  # the crop's middle
        return Poses(
            mu=start + delta,
            sigma=positive(scale),
            mu_coarse=coarse.mu,
            sigma_coarse=coarse.sigma,
            votes=coarse.votes,
        )

    def _tokens(self, coarse: Coarse, image: Tensor) -> tuple[Tensor, int]:
        """All but the image tokens, (B, T, D); the first of them, so many, are asked."""
        batch, _, dim = image.shape
        registers = self.registers.expand(batch, -1, -1)  # (B, R, D)
        parts: list[Tensor] = []
        if self.text is not None:
            parts.append(self.text_projection(self.text).expand(batch, -1, -1))  # (B, K, D)
        if self.location is not None:
            location = self.location(position_code(coarse.mu.detach(), dim))  # (B, K, D)
            if self.location_evidence is not None:
                location = location + self.location_evidence(coarse.evidence)
            parts.append(location)
        if len(parts) == 2:
            text, location = parts
            # A keypoint asks as the sum of its two tokens, which stay to be looked at.
            parts = [text + location, text, location]  # (B, 3K, D)
        if not parts:
            parts = [image.mean(dim=1, keepdim=True)]  # (B, 1, D)
        return torch.cat([*parts, registers], dim=1), parts[0].shape[1]


def _final_head(dim: int, values: int, final: str) -> tuple[nn.Module, nn.Linear]:
    """What turns an answer into places, and its last layer: linear, or an MLP."""
    if final == "offset":
        last = nn.Linear(dim, values)
        return last, last
    last = nn.Linear(2 * dim, values)
    return nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), last), last


class FusedMap(nn.Module):
    """The backbone's four maps (strides 4 to 32) as one of D channels at stride 4."""

    def __init__(self, channels: tuple[int, ...], dim: int) -> None:
        """One projection for each map."""
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(c, dim, 1, bias=False) for c in channels)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B, D, H / 4, W / 4) from maps at strides 4, 8, 16 and 32."""
        total = self.project[0](maps[0])
        for level in range(1, len(maps)):
            part = self.project[level](maps[level])  # (B, D, H / s, W / s)
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
        hidden = full(self.mlp(cells.mean(dim=1)))
        with in_full(hidden):
            raw = self.out(hidden)  # (B, 4K)
        mu, scale = raw.reshape(len(cells), -1, 2, 2).unbind(dim=2)  # (B, K, 2) each
        return Coarse(mu, positive(scale - 1.5))


class DecoderLayer(nn.Module):
    """Tokens look at each other, then at the image if asked for; then an MLP."""

    def __init__(self, dim: int, heads: int, attention: str) -> None:
        """One kind of attention to the image, of `ATTENTIONS`."""
        super().__init__()
        kinds = {"cross": Attention, "intention": Intention}
        reads = kinds.get(attention)
        self.among = Attention(dim, heads)
        self.to_image = reads(dim, heads) if reads else None
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )
        self.norm_among = nn.LayerNorm(dim)
        self.norm_to_image = nn.LayerNorm(dim) if reads else None

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
        key, value = self.key_value(context).chunk(2, dim=2)  # (B, S, D) each
        q, k, v = (
            part.reshape(batch, -1, self.heads, dim // self.heads).transpose(1, 2)
            for part in (self.query(queries), key, value)
        )  # (B, heads, T or S, D / heads)
        mixed = self.mix(q, k, v)  # (B, heads, T, D / heads)
        attended: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, count, dim))
        return attended

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(..., T, d) from queries (..., T, d), keys and values (..., S, d)."""
        # Written out: the fused kernel's backward pass is 8 times slower on a CPU.
        weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(dim=3)  # (..., T, S)
        return weights.to(v.dtype) @ v


class Intention(Attention):
    """Attention by least squares: the linear map that best takes keys to values, on queries.

    Source: Garnelo and Czarnecki, "Exploring the Space of Key-Value-Query Models with
    Intention", 2023 (arXiv 2305.10203): Q (K^T K + alpha I)^-1 K^T V, in each head.
    """

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(..., T, d) from queries (..., T, d), keys and values (..., S, d)."""
        with torch.autocast(q.device.type, enabled=False):  # an inverse needs float32
            q, k, v = full(q), full(k), full(v)
            ridge = RIDGE * torch.eye(k.shape[3], device=k.device, dtype=k.dtype)
            gram = k.transpose(2, 3) @ k + ridge
            # ONNX has no operator for `solve`; what is trained keeps its numerics.
            solve = eliminated if torch.onnx.is_in_onnx_export() else torch.linalg.solve
            fitted = solve(gram, k.transpose(2, 3) @ v)  # (..., d, d)
            return q @ fitted


def eliminated(matrix: Tensor, right: Tensor) -> Tensor:
    """`torch.linalg.solve` of symmetric positive definite matrices, by plain operators.

    Gauss and Jordan's elimination, unrolled; such matrices need no pivoting.

    Args:
        matrix: (..., d, d) symmetric positive definite.
        right: (..., d, m).

    Returns:
        (..., d, m) that the matrix takes to `right`.
    """
    size = matrix.shape[-1]
    rows = torch.cat([matrix, right], dim=-1)  # (..., d, d + m)
    unit = torch.eye(size, device=matrix.device, dtype=torch.bool)
    for place in range(size):
        # In the columns before `place` the rows are those of the unit matrix already.
        pivot = rows[..., place : place + 1, :] / rows[..., place : place + 1, place, None]
        others = rows - rows[..., place, None] * pivot
        rows = torch.where(unit[:, place, None], pivot, others)
    return rows[..., size:]


def position_code(points: Tensor, dim: int) -> Tensor:
    """Sines and cosines of places, (..., dim) from (..., 2) network units, unclamped."""
    octaves = torch.arange(dim // 4, device=points.device) * (6 / max(dim // 4 - 1, 1))
    angles = points[..., None] * (2**octaves) * math.pi / 2  # (..., 2, dim / 4)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def standardised(embeddings: Tensor) -> Tensor:
    """Embeddings without what all keypoints share, at unit scale: prompts are much alike."""
    center, spread = center_and_spread(embeddings)
    return (embeddings - center) / spread


def center_and_spread(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """What (K, E) embeddings share, (1, E), and the deviation of the rest, one number."""
    center = embeddings.mean(dim=0, keepdim=True)
    return center, (embeddings - center).std().clamp_min(1e-6)


def _require(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} is '{value}'; known: {', '.join(known)}")
