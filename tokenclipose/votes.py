"""A coarse head of votes: ours, in place of the paper's MLP (`coarse = "vote"`).

The MLP on pooled features is the slowest learner at small budgets. Here a keypoint is either
where a softmax over the finest map peaks, or, for what lies beyond the crop, where the cells
that lead to it propose: each its own centre plus an offset. A gate chooses. Both read the
image where it is informative.

Letters as in `tokenclipose.model`; S cells at stride 4, P at stride 8.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.codecs import cell_centers
from baselines.precision import full, in_full

SPOT_STRIDE = 4  # crop px a cell of the fused map: where a keypoint is seen
STRIDE = 8  # crop px a cell that proposes, and an image token
SHARPEN = 3.0  # a softmax trained on Gaussians of one cell keeps 0.6 of their width


class Votes(NamedTuple):
    """What the vote head saw, for its losses."""

    spot_logits: Tensor  # (B, K, S) where it is seen
    spot: Tensor  # (B, K, 2) place of the peak
    trail_logits: Tensor  # (B, K, P) what leads to it
    proposals: Tensor  # (B, K, P, 2) places that the cells propose
    beyond: Tensor  # (B, K, 2) place by the proposals
    gate: Tensor  # (B, K) logit: are the proposals the better place?


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
        spot_map = full(self.spot(fine))  # (B, K, H/4, W/4)
        spot_logits = spot_map.flatten(2)  # (B, K, S)
        trail_logits = full(self.trail(cells).transpose(1, 2))  # (B, K, P)
        # Guided weights learn where to look from the guide alone: through the means below
        # RLE would pull on them with 1 / sigma, and drown it.
        looked = spot_map.detach() if self.guided else spot_map
        walked = trail_logits.detach() if self.guided else trail_logits
        sharp = self._peak(looked.flatten(2))  # (B, K, S)
        with in_full(cells):
            spot = sharp @ self.spot_centers  # (B, K, 2)
            offsets = self.propose(full(cells)).reshape(batch, places, -1, 2)  # (B, P, K, 2)
        proposals = centers + offsets.transpose(1, 2)  # (B, K, P, 2)
        weights = (SHARPEN * walked).softmax(dim=2)  # (B, K, P)
        beyond = (weights[..., None] * proposals).sum(dim=2)  # (B, K, 2)

        seen_at = functional.avg_pool2d(sharp.reshape(looked.shape), 2).flatten(2) * 4
        looks = torch.cat([seen_at, weights], dim=1).to(cells.dtype)  # (B, 2K, P)
        evidence = torch.cat((looks @ cells).chunk(2, dim=1), dim=2)  # (B, K, 2D)
        gate = full(self.gate(evidence)[..., 0]) + self.gate_bias  # (B, K)
        mu = torch.where(gate[..., None] > 0, beyond, spot)  # (B, K, 2)
        votes = Votes(spot_logits, spot, trail_logits, proposals, beyond, gate)
        return Coarse(mu, positive(self.scale(evidence)), votes, evidence)

    def _peak(self, logits: Tensor) -> Tensor:
        """Weights of the cells round each maximum: of several modes it takes one."""
        best = self.spot_centers[logits.argmax(dim=2)]  # (B, K, 2)
        gap = (self.spot_centers - best[:, :, None]).abs().amax(dim=3)  # (B, K, S)
        return (SHARPEN * logits).masked_fill(gap > self.window, -torch.inf).softmax(dim=2)


def positive(raw: Tensor) -> Tensor:
    """Scales in network units from what a layer gives."""
    return full(raw).sigmoid() + 1e-3
