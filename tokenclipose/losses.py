"""What TokenCLIPose is trained with: RLE twice, and (ours) a guide for the votes.

The paper's loss is `RLE(mu_f, sigma_f) + RLE(mu_d, sigma_d)`; with both weights at 0 that is
all there is here. Nothing masks a keypoint but its label: one outside the crop counts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.codecs import cell_centers
from baselines.rle import make_rle
from tokenclipose.model import Poses
from tokenclipose.votes import SPOT_STRIDE, STRIDE, Votes

# Both guides are means over their keypoints. At equal weight the few extension keypoints
# pull on the shared features as hard as the whole body, which then learns more slowly.
TRAIL_SHARE = 0.15


class TokenCLIPoseLoss(nn.Module):
    """RLE on the coarse and on the final places, and what the vote head needs.

    Args:
        edge_index: (E, 2) edges of the skeleton, 0-based.
        extension: (K,) bool, the keypoints whose proposals are trained; all if none is.
        crop_wh: Width and height of the crop in px.
        guide_weight: Weight of the guide for both softmaxes; 0 leaves it out.
        error_weight: Weight of plain absolute errors: of both outputs, of every proposal, and
            of the gate's choice. RLE divides errors by sigma, so keypoints that are hard to
            place pull little at first; these terms pull on all alike.
        rle: What both RLE losses count, see `baselines.rle.make_rle`.
    """

    extension: Tensor

    def __init__(
        self,
        edge_index: Tensor,
        extension: Tensor,
        *,
        crop_wh: tuple[int, int],
        guide_weight: float = 0.0,
        error_weight: float = 0.0,
        rle: str = "plain",
    ) -> None:
        """Build both RLE losses and the guide."""
        super().__init__()
        self.coarse, self.final = make_rle(rle), make_rle(rle)
        self.spots = Spots(crop_wh, SPOT_STRIDE)
        self.trails = Trails(edge_index, len(extension), crop_wh)
        everything = torch.ones_like(extension)
        chosen = extension if extension.any() else everything
        self.register_buffer("extension", chosen, persistent=False)
        self.guide_weight, self.error_weight = guide_weight, error_weight

    def forward(self, poses: Poses, truth: Tensor, labelled: Tensor) -> Tensor:
        """Loss of B crops.

        Args:
            poses: Of the network.
            truth: (B, K, 2) network units, unclamped; anything where unlabelled.
            labelled: (B, K) bool. Nothing else masks a keypoint: one outside the crop counts.
        """
        truth = torch.where(labelled[..., None], truth, torch.zeros_like(truth))
        loss: Tensor = self.coarse(poses.mu_coarse, poses.sigma_coarse, truth, labelled)
        loss = loss + self.final(poses.mu, poses.sigma, truth, labelled)
        if self.error_weight:
            loss = loss + self.error_weight * self._error(poses, truth, labelled)
        if self.guide_weight and poses.votes is not None:
            loss = loss + self.guide_weight * self._guide(poses.votes, truth, labelled)
        return loss

    def _error(self, poses: Poses, truth: Tensor, labelled: Tensor) -> Tensor:
        """Mean absolute errors, and the cross-entropy of the gate."""
        total = _mean((poses.mu - truth).abs().sum(dim=2), labelled)
        total = total + _mean((poses.mu_coarse - truth).abs().sum(dim=2), labelled)
        votes = poses.votes
        if votes is None:
            return total
        trained = labelled & self.extension
        weights = (2 * votes.trail_logits.detach()).softmax(dim=2)  # (B, K, P)
        gap = (votes.proposals - truth[:, :, None]).abs().sum(dim=3)  # (B, K, P)
        total = total + _mean((weights * gap).sum(dim=2), trained)
        by_spot = (votes.spot - truth).norm(dim=2).detach()
        by_proposals = (votes.beyond - truth).norm(dim=2).detach()
        better = (by_proposals < by_spot).to(votes.gate.dtype)
        gate = functional.binary_cross_entropy_with_logits(votes.gate, better, reduction="none")
        return total + 0.1 * _mean(gate, labelled)

    def _guide(self, votes: Votes, truth: Tensor, labelled: Tensor) -> Tensor:
        """Cross-entropy of both softmaxes with where there is something to look at."""
        spots = self.spots(truth) * labelled[..., None]
        trails = self.trails(truth, labelled) * (labelled & self.extension)[..., None]
        seen = _entropy(votes.spot_logits, spots)
        return seen + TRAIL_SHARE * _entropy(votes.trail_logits, trails)


class Spots(nn.Module):
    """A Gaussian of one cell on each keypoint in the crop; nothing for one outside.

    Args:
        crop_wh: Width and height of the crop in px.
        stride: Crop px a cell.
    """

    columns: Tensor
    rows: Tensor

    def __init__(self, crop_wh: tuple[int, int], stride: int) -> None:
        """Find the cells' centres."""
        super().__init__()
        width, height = crop_wh
        map_hw = (height // stride, width // stride)
        cells = cell_centers(map_hw, crop_wh).reshape(*map_hw, 2)
        self.register_buffer("columns", cells[0, :, 0].clone(), persistent=False)
        self.register_buffer("rows", cells[:, 0, 1].clone(), persistent=False)
        self.unit = stride / height  # one cell in network units
        self.extent = (width / height / 2, 0.5)

    def forward(self, points: Tensor) -> Tensor:
        """(B, M, cells) from (B, M, 2) network units."""
        x, y = self.gaussians(points)
        return (y[..., :, None] * x[..., None, :]).flatten(2)

    def gaussians(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The same as two factors, on columns and on rows; zero outside the crop."""
        gap_x = (points[..., :1] - self.columns) / self.unit
        gap_y = (points[..., 1:] - self.rows) / self.unit
        inside = (points.abs() <= points.new_tensor(self.extent)).all(dim=-1, keepdim=True)
        return torch.exp(-0.5 * gap_x * gap_x) * inside, torch.exp(-0.5 * gap_y * gap_y)


class Trails(nn.Module):
    """What leads to a keypoint: the part of its skeleton edges that lies in the crop.

    Edges count up to `REACH` steps away: for a stick's toe the blade and the shaft.

    Args:
        edge_index: (E, 2).
        num_keypoints: K.
        crop_wh: Width and height of the crop in px.
    """

    edges: Tensor
    reach: Tensor
    steps: Tensor
    REACH = 2
    SAMPLES = 16

    def __init__(
        self, edge_index: Tensor, num_keypoints: int, crop_wh: tuple[int, int]
    ) -> None:
        """Find which edges lead to which keypoint."""
        super().__init__()
        self.spots = Spots(crop_wh, STRIDE)
        # A buffer, so that it stands where the targets are: a GPU fetches no index a step.
        self.register_buffer("edges", edge_index.reshape(-1, 2), persistent=False)
        distance = torch.full((num_keypoints, num_keypoints), torch.inf)
        distance.fill_diagonal_(0)
        for _ in range(self.REACH):
            for a, b in self.edges.tolist():
                distance[:, a] = torch.minimum(distance[:, a], distance[:, b] + 1)
                distance[:, b] = torch.minimum(distance[:, b], distance[:, a] + 1)
        far_end = distance[:, self.edges].amax(dim=2)  # (K, E)
        self.register_buffer("reach", (far_end <= self.REACH).float(), persistent=False)
        steps = torch.linspace(0, 1, self.SAMPLES)[:, None]
        self.register_buffer("steps", steps, persistent=False)

    def forward(self, truth: Tensor, labelled: Tensor) -> Tensor:
        """(B, K, P) unnormalised targets; all zero where nothing in the crop leads there."""
        ends = truth[:, self.edges]  # (B, E, 2, 2)
        along = ends[:, :, None, 0] * (1 - self.steps) + ends[:, :, None, 1] * self.steps
        x, y = self.spots.gaussians(along)  # (B, E, S, W' or H')
        lines = torch.einsum("besh,besw->behw", y, x).flatten(2)  # (B, E, P)
        both = labelled[:, self.edges].all(dim=2)  # (B, E)
        return torch.einsum("ke,bep->bkp", self.reach, lines * both[..., None])


def _entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of the softmaxes that have a target, 0 where none has."""
    mass = target.sum(dim=2, keepdim=True)
    share = target / mass.clamp_min(1e-3)
    return _mean(-(share * logits.log_softmax(dim=2)).sum(dim=2), mass[..., 0] > 1e-3)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)
