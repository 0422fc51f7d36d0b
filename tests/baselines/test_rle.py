"""Residual log-likelihood estimation, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.rle import RealNVP, RLELoss, make_rle

LABELLED = torch.tensor([[True, False]])


def flat_loss(**options: bool) -> RLELoss:
    """A loss whose flow is the identity: a unit Gaussian."""
    loss = RLELoss(**options)
    for parameter in loss.flow.parameters():
        torch.nn.init.zeros_(parameter)
    return loss


def test_the_flow_is_a_density() -> None:
    """Its integral over a grid that holds nearly all of it is one."""
    torch.manual_seed(0)
    flow = RealNVP()
    for parameter in flow.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    axis = torch.linspace(-12, 12, 481)
    grid = torch.cartesian_prod(axis, axis)
    mass = flow.log_prob(grid).exp().sum() * (24 / 480) ** 2
    assert mass.item() == pytest.approx(1.0, abs=1e-3)


def test_an_identity_flow_is_a_unit_gaussian() -> None:
    value = flat_loss().flow.log_prob(torch.tensor([[1.0, 2.0]]))
    assert value.item() == pytest.approx(-2.5 - math.log(2 * math.pi))


def test_the_loss_counts_the_flow_once_and_each_axis_once() -> None:
    """Error (1, 2) at sigma 0.5: e = (2, 4).

    Each axis gives log 0.5 + log 2 + |e|, so 2 and 4; the flow 10 + log 2 pi for the point;
    both divided by two axes.
    """
    mu, truth = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 2.0], [9.0, 9.0]]])
    value = flat_loss()(mu, torch.full((1, 2, 2), 0.5), truth, LABELLED)
    assert value.item() == pytest.approx((6 + 10 + math.log(2 * math.pi)) / 2)


def test_the_reference_counts_flow_and_sigma_twice() -> None:
    mu, truth = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 2.0], [9.0, 9.0]]])
    sigma = torch.full((1, 2, 2), 0.5)
    once = flat_loss()(mu, sigma, truth, LABELLED)
    twice = flat_loss(as_reference=True)(mu, sigma, truth, LABELLED)
    more = (2 * math.log(0.5) + 10 + math.log(2 * math.pi)) / 2
    assert (twice - once).item() == pytest.approx(more)


def test_unlabelled_keypoints_get_no_gradient_even_from_nan() -> None:
    mu = torch.zeros(1, 2, 2, requires_grad=True)
    sigma = torch.full((1, 2, 2), 0.5, requires_grad=True)
    truth = torch.tensor([[[1.0, 2.0], [math.nan, math.nan]]])
    RLELoss()(mu, sigma, truth, LABELLED).backward()
    assert mu.grad is not None
    assert sigma.grad is not None
    assert (mu.grad[0, 1] == 0).all()
    assert (sigma.grad[0, 1] == 0).all()
    assert (mu.grad[0, 0] != 0).all()


def test_nothing_labelled_is_a_loss_of_zero() -> None:
    mu = torch.zeros(1, 2, 2, requires_grad=True)
    value = RLELoss()(mu, mu.detach() + 1, mu.detach(), torch.zeros(1, 2, dtype=torch.bool))
    assert value.item() == 0
    value.backward()


def test_with_log_s_the_product_is_a_density() -> None:
    """Checked on a grid finer than the one it is computed on."""
    torch.manual_seed(0)
    loss = RLELoss(normalised=True)
    for parameter in loss.flow.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    axis = torch.linspace(-10, 10, 401)
    mass = loss.log_density(torch.cartesian_prod(axis, axis)).exp().sum() * 0.05**2
    assert mass.item() == pytest.approx(1.0, abs=0.02)


def test_log_s_of_an_identity_flow_is_that_of_laplace_times_gauss() -> None:
    """On one axis the integral of exp(-|e|) / 2 * N(e) is sqrt(e) * (1 - Phi(1))."""
    beyond = 0.5 * math.erfc(1 / math.sqrt(2))
    wanted = -2 * math.log(math.exp(0.5) * beyond)
    assert flat_loss(normalised=True).log_s().item() == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("counts", ["plain", "normalised", "reference"])
def test_a_recipe_says_what_rle_counts(counts: str) -> None:
    loss = make_rle(counts)
    wanted = RLELoss(normalised=counts == "normalised", as_reference=counts == "reference")
    wanted.load_state_dict(loss.state_dict())
    for module in (loss, wanted):
        module.eval()
    generator = torch.Generator().manual_seed(0)
    mu, sigma, truth = torch.rand(3, 2, 4, 2, generator=generator)
    labelled = torch.ones(2, 4, dtype=torch.bool)
    found = loss(mu, sigma + 0.1, truth, labelled)
    assert torch.equal(found, wanted(mu, sigma + 0.1, truth, labelled))
    plain = RLELoss()
    plain.load_state_dict(loss.state_dict())
    same = torch.equal(found, plain(mu, sigma + 0.1, truth, labelled))
    assert same == (counts == "plain")


@pytest.mark.parametrize("normalised", [True, False])
def test_on_skewed_errors_scale_and_flow_beat_a_laplace_on_held_out_samples(
    normalised: bool,
) -> None:
    """Errors to the right only (exponential) in x, Gaussian in y.

    The rival is the best Laplace there is: medians, and mean absolute deviations from them.
    """
    generator = torch.Generator().manual_seed(0)
    raw = torch.rand(2000, generator=generator)
    samples = torch.stack([-raw.log(), 0.3 * torch.randn(2000, generator=generator)], dim=1)
    fit, held = samples[:1000], samples[1000:]
    torch.manual_seed(0)
    loss = RLELoss(normalised=normalised)
    mu, raw_scale = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    parameters = [mu, raw_scale, *loss.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    for _ in range(120):
        places, scales = mu.expand(1, 1000, 2), raw_scale.exp().expand(1, 1000, 2)
        optimizer.zero_grad()
        loss(places, scales, fit[None], torch.ones(1, 1000, dtype=torch.bool)).backward()
        optimizer.step()
    with torch.no_grad():
        errors = (held - mu) / raw_scale.exp()
        log_density = loss.log_density if normalised else loss.flow.log_prob
        ours = (log_density(errors) - raw_scale.sum()).mean().item()
    middle = fit.median(dim=0).values
    width = (fit - middle).abs().mean(dim=0)
    laplace = -((held - middle).abs() / width + (2 * width).log()).sum(dim=1).mean().item()
    assert ours > laplace + 0.1, (ours, laplace)
