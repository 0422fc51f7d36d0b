"""The network and its losses, on crops of 64 x 64 px and three keypoints."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tokenclipose.losses import GuideLoss, TokenCLIPoseLoss
from tokenclipose.model import STRIDE, TokenCLIPose, position_code
from toolkit.errors import UsageError

CROP = (64, 64)
MAP = (CROP[1] // STRIDE, CROP[0] // STRIDE)
EDGES = torch.tensor([[0, 1], [1, 2]])


def make_network(**options: object) -> TokenCLIPose:
    torch.manual_seed(0)
    arguments = {"crop_wh": CROP, "dim": 32, "layers": 1, "heads": 2, **options}
    return TokenCLIPose(torch.randn(3, 8), **arguments)


def make_loss(**options: float) -> TokenCLIPoseLoss:
    return TokenCLIPoseLoss(EDGES, 3, map_hw=MAP, crop_wh=CROP, **options)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("attention", ["cross", "self"])
@pytest.mark.parametrize("coarse", ["vote", "mlp"])
def test_every_keypoint_gets_a_place_and_a_positive_scale(
    images: Tensor, attention: str, coarse: str
) -> None:
    poses = make_network(attention=attention, coarse=coarse)(images)
    for places in (poses.mu, poses.mu_coarse):
        assert places.shape == (2, 3, 2)
    for scales in (poses.sigma, poses.sigma_coarse):
        assert scales.shape == (2, 3, 2)
        assert (scales > 0).all()


@pytest.mark.parametrize("coarse", ["vote", "mlp"])
def test_the_gradient_reaches_every_parameter(images: Tensor, coarse: str) -> None:
    network, loss = make_network(coarse=coarse), make_loss(guide_weight=1.0, error_weight=1.0)
    truth = torch.tensor([[[0.0, 0.0], [0.1, 0.2], [0.9, 0.1]]]).expand(2, -1, -1)
    loss(network(images), truth, torch.ones(2, 3, dtype=torch.bool)).backward()
    unused = {"gate"} if coarse == "mlp" else set()
    for name, parameter in [*network.named_parameters(), *loss.named_parameters()]:
        if not unused & set(name.split(".")):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_an_unlabelled_keypoint_gives_no_gradient_even_if_its_place_is_nan(
    images: Tensor,
) -> None:
    poses = make_network()(images)
    tracked = [t for t in poses if t is not None]
    for tensor in tracked:
        tensor.retain_grad()
    truth = torch.zeros(2, 3, 2)
    truth[:, 1] = torch.nan
    labelled = torch.tensor([[True, False, True]] * 2)
    make_loss(guide_weight=1.0, error_weight=1.0)(poses, truth, labelled).backward()
    assert torch.isfinite(poses.mu.grad).all()
    assert (poses.mu.grad[:, 1] == 0).all()
    assert (poses.sigma.grad[:, 1] == 0).all()
    assert (poses.sigma_coarse.grad[:, 1] == 0).all()
    assert (poses.vote_logits.grad[:, 1] == 0).all()
    assert (poses.mu.grad[:, 0] != 0).all()


def test_a_keypoint_outside_the_crop_is_supervised_like_any_other(images: Tensor) -> None:
    poses = make_network()(images)
    poses.mu.retain_grad()
    truth = torch.full((2, 3, 2), 0.1)
    truth[:, 2] = 1.7  # more than a crop height beyond the edge
    make_loss()(poses, truth, torch.ones(2, 3, dtype=torch.bool)).backward()
    assert (poses.mu.grad[:, 2] != 0).all()


def test_the_guide_looks_at_a_keypoint_in_the_crop() -> None:
    guide = GuideLoss(EDGES, 3, map_hw=MAP, crop_wh=CROP)
    truth = torch.zeros(1, 3, 2)
    truth[0, 0] = torch.tensor([0.25, -0.25])  # crop px 47.5, 15.5: cell 11.5, 3.5
    target = guide.target(truth, torch.tensor([[True, False, False]]))
    peak = target[0, 0].reshape(MAP)
    assert peak.argmax() in (3 * 16 + 11, 3 * 16 + 12, 4 * 16 + 11, 4 * 16 + 12)
    assert (target[0, 1:] == 0).all()


def test_the_guide_looks_along_the_edges_that_lead_out_of_the_crop() -> None:
    """Keypoint 0 at the centre, 1 and 2 beyond the right edge at the same height."""
    guide = GuideLoss(EDGES, 3, map_hw=MAP, crop_wh=CROP)
    truth = torch.tensor([[[0.0, 0.0], [0.8, 0.0], [0.9, 0.0]]])
    target = guide.target(truth, torch.ones(1, 3, dtype=torch.bool))[0].reshape(3, *MAP)
    for outside in (1, 2):
        columns, rows = target[outside].sum(0), target[outside].sum(1)
        assert columns[9:].min() > 10 * columns[:6].max()  # right of the centre only
        assert rows[7:9].sum() > 0.5 * rows.sum()  # at its height


def test_the_guide_is_silent_where_nothing_leads_to_the_keypoint() -> None:
    guide = GuideLoss(EDGES, 3, map_hw=MAP, crop_wh=CROP)
    truth = torch.full((1, 3, 2), 3.0)
    labelled = torch.ones(1, 3, dtype=torch.bool)
    assert guide(torch.randn(1, 3, MAP[0] * MAP[1]), truth, labelled) == 0


def test_two_crops_can_be_learned_by_heart(images: Tensor) -> None:
    network, loss = make_network(), make_loss(guide_weight=1.0, error_weight=1.0)
    truth = torch.tensor(
        [[[0.0, 0.1], [0.3, -0.3], [0.8, 0.2]], [[-0.2, 0.3], [0.1, 0.0], [-0.9, 0.1]]]
    )
    labelled = torch.ones(2, 3, dtype=torch.bool)
    parameters = [*network.parameters(), *loss.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        loss(network(images), truth, labelled).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
    error = (network(images).mu - truth).norm(dim=2)
    assert error.max() < 0.1


def test_places_are_coded_alike_wherever_they_lie() -> None:
    inside, outside = torch.tensor([0.1, 0.2]), torch.tensor([1.1, -2.0])
    for point in (inside, outside):
        code = position_code(point, 16)
        assert code.shape == (16,)
        assert code.abs().max() <= 1
    assert not torch.allclose(position_code(inside, 16), position_code(outside, 16))


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="attention is 'linear'; known: cross, self"):
        make_network(attention="linear")
