"""Residual log-likelihood estimation: a regression loss whose error density is learned.

Source: Li et al., "Human Pose Regression with Residual Log-likelihood Estimation", ICCV
2021. A network predicts a place `mu` and a scale `sigma` for each keypoint and axis. With
`e = (truth - mu) / sigma`, a RealNVP flow G learns what a simple density Q (a Laplace one)
misses:

    L = -log Q(e) - log G(e) - log s + log sigma

The constant `log s`, which makes Q * G integrate to one, is left out, as in the reference;
G alone, which is a density already, then learns all of the errors' density. `normalised=True`
brings `log s` back (a Riemann sum), so that G learns what Q misses.
The reference code also counts `log G` and `log sigma` twice (the first by broadcasting a
(B, K, 1) tensor over both axes, the second because its Q is written over the error in px
instead of over e). Here each is counted once; `as_reference=True` brings both back, for
who wants to compare with published training runs. The flow is a training aid: prediction
never needs it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from baselines.precision import full


class RealNVP(nn.Module):
    """A density on the plane, by affine coupling layers over a unit Gaussian.

    Args:
        layers: Coupling layers; they transform x and y in turn.
        width: Hidden units of the scale and translation networks.
    """

    masks: Tensor

    def __init__(self, *, layers: int = 6, width: int = 64) -> None:
        """Build the coupling layers."""
        super().__init__()
        self.scale = nn.ModuleList(self._mlp(width, bounded=True) for _ in range(layers))
        self.shift = nn.ModuleList(self._mlp(width, bounded=False) for _ in range(layers))
        pattern = [[0.0, 1.0], [1.0, 0.0]] * ((layers + 1) // 2)
        self.register_buffer("masks", torch.tensor(pattern[:layers]), persistent=False)

    @staticmethod
    def _mlp(width: int, *, bounded: bool) -> nn.Sequential:
        layers: list[nn.Module] = [
            nn.Linear(2, width),
            nn.LeakyReLU(),
            nn.Linear(width, width),
            nn.LeakyReLU(),
            nn.Linear(width, 2),
        ]
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, gain=0.01)
        return nn.Sequential(*layers, nn.Tanh()) if bounded else nn.Sequential(*layers)

    def log_prob(self, errors: Tensor) -> Tensor:
        """Log density of (M, 2) errors, (M,)."""
        z, log_det = errors, errors.new_zeros(len(errors))
        for scale, shift, mask in zip(
            reversed(self.scale), reversed(self.shift), self.masks.flip(0), strict=True
        ):
            kept = mask * z
            s = scale(kept) * (1 - mask)
            t = shift(kept) * (1 - mask)
            z = (1 - mask) * (z - t) * torch.exp(-s) + kept
            log_det = log_det - s.sum(dim=1)
        return -0.5 * (z**2).sum(dim=1) - math.log(2 * math.pi) + log_det


class RLELoss(nn.Module):
    """The loss of one output head, with the flow that belongs to it.

    Args:
        as_reference: Count `log G` and `log sigma` once for each axis, as the reference
            implementation does.
        normalised: Count `log s`.
    """

    grid: Tensor
    REACH, STEP = 8.0, 0.25  # of the Riemann sum, in scales: log s within 0.02

    def __init__(self, *, as_reference: bool = False, normalised: bool = False) -> None:
        """Build the flow."""
        super().__init__()
        self.flow = RealNVP()
        self.as_reference, self.normalised = as_reference, normalised
        axis = torch.arange(-self.REACH + self.STEP / 2, self.REACH, self.STEP)
        self.register_buffer("grid", torch.cartesian_prod(axis, axis), persistent=False)

    def forward(self, mu: Tensor, sigma: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
        """Mean loss of a labelled keypoint and axis.

        Args:
            mu: (B, K, 2) predicted places.
            sigma: (B, K, 2) predicted scales, positive.
            truth: (B, K, 2) places in the same units; anything (NaN too) where unlabelled.
            labelled: (B, K) bool. Unlabelled keypoints add nothing and get no gradient.

        Returns:
            A scalar; 0 where nothing is labelled.
        """
        mu, sigma, truth = full(mu[labelled]), full(sigma[labelled]), truth[labelled]
        if not len(mu):
            return mu.sum()
        error = (full(truth) - mu) / sigma  # (M, 2)
        log_flow = self.flow.log_prob(error)  # (M,)
        log_laplace = _log_laplace(error)  # (M, 2)
        weight = 2 if self.as_reference else 1
        per_axis = weight * sigma.log() - log_laplace  # (M, 2)
        loss = (per_axis.sum() - weight * log_flow.sum()) / error.numel()
        return loss - self.log_s() / 2 if self.normalised else loss

    def log_s(self) -> Tensor:
        """`log s`, a scalar: minus the logarithm of the integral of Q * G."""
        log_product = _log_laplace(self.grid).sum(dim=1) + self.flow.log_prob(self.grid)
        return -log_product.logsumexp(dim=0) - 2 * math.log(self.STEP)

    def log_density(self, errors: Tensor) -> Tensor:
        """Log of the density Q * G * s of (M, 2) errors in scales, (M,); it integrates to one.

        That is the density of places times sigma_x sigma_y.
        """
        return _log_laplace(errors).sum(dim=1) + self.flow.log_prob(errors) + self.log_s()


def make_rle(counts: str) -> RLELoss:
    """The loss of a recipe: `plain`, `normalised` or `reference`."""
    return RLELoss(as_reference=counts == "reference", normalised=counts == "normalised")


def _log_laplace(errors: Tensor) -> Tensor:
    """Log of Q for each axis."""
    return -math.log(2) - errors.abs()
