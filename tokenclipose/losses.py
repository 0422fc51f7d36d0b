"""What TokenCLIPose is trained with: RLE twice, and (ours) a guide for the votes.

The paper's loss is `RLE(mu_f, sigma_f) + RLE(mu_d, sigma_d)`; with both weights at 0 that is
all there is here. Nothing masks a keypoint but its label: one outside the crop counts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.codecs import cell_centers
from baselines.rle import RLELoss
from tokenclipose.model import STRIDE, Poses


class TokenCLIPoseLoss(nn.Module):
    """RLE on the coarse and on the final places, and the guide for the votes.

    Args:
        edge_index: (E, 2) edges of the skeleton, 0-based.
        num_keypoints: K.
        map_hw: Height and width of the feature map.
        crop_wh: Width and height of the crop in px.
        guide_weight: Weight of `GuideLoss`; 0 leaves it out.
        error_weight: Weight of the plain mean absolute error of both outputs. RLE divides
            errors by sigma, so keypoints that are hard to place pull little at first; this
            term pulls on all alike.
    """

    def __init__(
        self,
        edge_index: Tensor,
        num_keypoints: int,
        *,
        map_hw: tuple[int, int],
        crop_wh: tuple[int, int],
        guide_weight: float = 0.0,
        error_weight: float = 0.0,
    ) -> None:
        """Build both RLE losses and the guide."""
        super().__init__()
        self.coarse, self.final = RLELoss(), RLELoss()
        self.guide = GuideLoss(edge_index, num_keypoints, map_hw=map_hw, crop_wh=crop_wh)
        self.guide_weight, self.error_weight = guide_weight, error_weight

    def forward(self, poses: Poses, truth: Tensor, labelled: Tensor) -> Tensor:
        """Loss of B crops.

        Args:
            poses: Of the network.
            truth: (B, K, 2) network units, unclamped; anything where unlabelled.
            labelled: (B, K) bool. Nothing else masks a keypoint: one outside the crop counts.
        """
        loss: Tensor = self.coarse(poses.mu_coarse, poses.sigma_coarse, truth, labelled)
        loss = loss + self.final(poses.mu, poses.sigma, truth, labelled)
        if self.error_weight:
            loss = loss + self.error_weight * self._error(poses, truth, labelled)
        if self.guide_weight and poses.vote_logits is not None:
            loss = loss + self.guide_weight * self.guide(poses.vote_logits, truth, labelled)
        return loss

    def _error(self, poses: Poses, truth: Tensor, labelled: Tensor) -> Tensor:
        """Mean absolute error of both outputs; beyond the crop, of every vote and the gate."""
        count = max(int(labelled.sum()), 1)
        total = (poses.mu[labelled].float() - truth[labelled]).abs().sum()
        total = total + (poses.mu_coarse[labelled] - truth[labelled]).abs().sum()
        if poses.votes is None or poses.vote_logits is None or poses.beyond is None:
            return total / count
        outside = labelled & ~self.guide.inside(truth)
        weights = poses.vote_logits.detach().softmax(dim=2)  # (B, K, P)
        gap = (poses.votes[outside] - truth[outside][:, None]).abs().sum(dim=2)  # (M, P)
        total = total + (weights[outside] * gap).sum()
        gate = functional.binary_cross_entropy_with_logits(
            poses.beyond[labelled], outside[labelled].float(), reduction="sum"
        )
        return (total + 0.2 * gate) / count


class GuideLoss(nn.Module):
    """Cross-entropy between the votes' softmax and where a keypoint can be read off.

    The target of a keypoint in the crop is a small Gaussian on it. The target of one outside
    is the part of its skeleton edges (up to `REACH` edges away) that lies in the crop: for
    a stick's toe the visible shaft. Nothing visible, no target.
    """

    reach: Tensor
    columns: Tensor
    rows: Tensor
    steps: Tensor
    REACH = 2

    def __init__(
        self,
        edge_index: Tensor,
        num_keypoints: int,
        *,
        map_hw: tuple[int, int],
        crop_wh: tuple[int, int],
        samples: int = 16,
    ) -> None:
        """Find which edges lead to which keypoint."""
        super().__init__()
        near = torch.eye(num_keypoints)
        for _ in range(self.REACH):
            for a, b in edge_index.tolist():
                near[:, [a, b]] = torch.maximum(near[:, [a, b]], near[:, [b, a]] * 0.5)
        ends = edge_index.reshape(-1, 2)
        at_ends = near[:, ends]  # (K, E, 2)
        reach = (at_ends.amin(2) >= 0.5**self.REACH).float()  # (K, E)
        self.edges = ends
        self.unit = STRIDE / crop_wh[1]  # one cell in network units
        self.half = (crop_wh[0] / crop_wh[1] / 2, 0.5)
        self.register_buffer("reach", reach, persistent=False)
        cells = cell_centers(map_hw, crop_wh).reshape(*map_hw, 2)
        self.register_buffer("columns", cells[0, :, 0].clone(), persistent=False)
        self.register_buffer("rows", cells[:, 0, 1].clone(), persistent=False)
        self.register_buffer("steps", torch.linspace(0, 1, samples), persistent=False)

    def forward(self, logits: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
        """Mean cross-entropy of the keypoints that have a target, 0 where none has."""
        target = self.target(truth, labelled)  # (B, K, P)
        mass = target.sum(dim=2, keepdim=True)
        usable = mass[..., 0] > 1e-3  # (B, K)
        target = target / mass.clamp_min(1e-3)
        entropy = -(target * logits.log_softmax(dim=2)).sum(dim=2)
        return (entropy * usable).sum() / usable.sum().clamp_min(1)

    def target(self, truth: Tensor, labelled: Tensor) -> Tensor:
        """(B, K, P) unnormalised targets; all zero where there is nothing to look at."""
        points = torch.where(labelled[..., None], truth, torch.full_like(truth, 1e3))
        gauss_x, gauss_y = self._gaussians(points)  # (B, K, W' or H')
        spots = (gauss_y[..., :, None] * gauss_x[..., None, :]).flatten(2)  # (B, K, P)
        seen = self.inside(points)  # (B, K)
        ends = points[:, self.edges]  # (B, E, 2, 2)
        steps = self.steps[:, None]  # (S, 1)
        along = ends[:, :, None, 0] * (1 - steps) + ends[:, :, None, 1] * steps
        gauss_x, gauss_y = self._gaussians(along)  # (B, E, S, W' or H')
        gauss_x = gauss_x * self.inside(along)[..., None]
        lines = torch.einsum("besh,besw->behw", gauss_y, gauss_x).flatten(2)  # (B, E, P)
        both = labelled[:, self.edges].all(dim=2)  # (B, E)
        trails = torch.einsum("ke,bep->bkp", self.reach, lines * both[..., None])
        guide = torch.where(seen[..., None], spots, trails)
        return guide * labelled[..., None]

    def inside(self, points: Tensor) -> Tensor:
        """Which of (..., 2) points lie in the crop."""
        return (points.abs() <= points.new_tensor(self.half)).all(dim=-1)

    def _gaussians(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Gaussians of one cell round (..., 2) points, sampled on columns and on rows."""
        gap_x = (points[..., :1] - self.columns) / self.unit
        gap_y = (points[..., 1:] - self.rows) / self.unit
        return torch.exp(-0.5 * gap_x * gap_x), torch.exp(-0.5 * gap_y * gap_y)
