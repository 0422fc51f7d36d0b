"""The network and its losses, on crops of 64 x 64 px and three keypoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from baselines.config import TrainConfig
from tokenclipose import CHECKPOINTS
from tokenclipose.family import TOKENCLIPOSE, TOKENCLIPOSE_COARSE
from tokenclipose.losses import Spots, TokenCLIPoseLoss, Trails
from tokenclipose.model import (
    ATTENTIONS,
    MODALITIES,
    RIDGE,
    Intention,
    Poses,
    TokenCLIPose,
    eliminated,
    position_code,
)
from tokenclipose.votes import STRIDE, Votes
from toolkit.errors import ReadError, UsageError
from toolkit.models import get_model

CROP = (64, 64)
MAP = (CROP[1] // STRIDE, CROP[0] // STRIDE)  # 8 x 8 cells
EXTENSION = torch.tensor([False, True, True])
EDGES = torch.tensor([[0, 1], [1, 2]])


def make_network(**options: object) -> TokenCLIPose:
    torch.manual_seed(0)
    arguments = {"crop_wh": CROP, "dim": 32, "layers": 1, "heads": 2, **options}
    has_text = "text" in str(options.get("modalities", "text"))
    return TokenCLIPose(3, torch.randn(3, 8) if has_text else None, **arguments)


def make_loss(**options: float) -> TokenCLIPoseLoss:
    return TokenCLIPoseLoss(EDGES, EXTENSION, crop_wh=CROP, **options)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("coarse", ["vote", "mlp"])
def test_every_keypoint_gets_a_place_and_a_positive_scale(
    images: Tensor, modalities: str, coarse: str
) -> None:
    poses = make_network(modalities=modalities, coarse=coarse)(images)
    for places in (poses.mu, poses.mu_coarse):
        assert places.shape == (2, 3, 2)
    for scales in (poses.sigma, poses.sigma_coarse):
        assert scales.shape == (2, 3, 2)
        assert (scales > 0).all()


@pytest.mark.parametrize(
    "options",
    [
        *({"modalities": m, "attention": a} for m in MODALITIES for a in ATTENTIONS),
        {"guided": True},
        {"evidence": False},
        {"coarse": "mlp"},
        {"coarse": "mlp", "modalities": "image"},
        {"final": "absolute"},
        {"coarse": "mlp", "final": "absolute", "modalities": "image+text"},
        {"backbone": "resnet50"},
        {"registers": 0},
    ],
    ids=lambda options: ", ".join(str(value) for value in options.values()),
)
def test_a_step_of_every_option_reaches_every_parameter(
    images: Tensor, options: dict[str, object]
) -> None:
    network = make_network(**options)
    loss = make_loss(guide_weight=float("guided" in options), error_weight=1.0)
    for name, parameter in network.backbone.named_parameters():
        if name.endswith("bn3.weight"):  # timm starts a ResNet's blocks at nothing
            torch.nn.init.ones_(parameter)
    if options.get("coarse") != "mlp":
        network.coarse.gate_bias.data[:] = torch.tensor([-9.0, 9.0, 9.0])
    truth = torch.tensor([[[0.0, 0.0], [0.1, 0.2], [0.9, 0.1]]]).expand(2, -1, -1)
    loss(network(images), truth, torch.ones(2, 3, dtype=torch.bool)).backward()
    for name, parameter in [*network.named_parameters(), *loss.named_parameters()]:
        if parameter.numel():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    torch.optim.AdamW(network.parameters(), lr=1e-3).step()
    assert torch.isfinite(network(images).mu).all()


def test_an_unlabelled_keypoint_gives_no_gradient_even_if_its_place_is_nan(
    images: Tensor,
) -> None:
    found = make_network()(images)
    votes = Votes(*(tensor.detach().requires_grad_() for tensor in found.votes))
    places = [tensor.detach().requires_grad_() for tensor in found[:4]]
    truth = torch.full((2, 3, 2), 0.4)
    truth[:, 1] = torch.nan
    labelled = torch.tensor([[True, False, True]] * 2)
    loss = make_loss(guide_weight=1.0, error_weight=1.0)
    loss(Poses(*places, votes), truth, labelled).backward()
    assert all((places[i].grad[:, 0] != 0).all() for i in range(4))
    for tensor in [*places, *votes]:
        if tensor.grad is not None:
            assert torch.isfinite(tensor.grad).all()
            assert (tensor.grad[:, 1] == 0).all()


def test_an_absolute_place_does_not_start_from_the_coarse_one(images: Tensor) -> None:
    found = {}
    for final in ("offset", "absolute"):
        network = make_network(final=final).eval()
        last = network.delta if final == "offset" else network.delta[-1]
        torch.nn.init.zeros_(last.weight)
        found[final] = network(images)
    assert torch.equal(found["offset"].mu, found["offset"].mu_coarse)
    assert torch.equal(found["absolute"].mu, torch.zeros(2, 3, 2)), "the crop's middle"
    with pytest.raises(UsageError, match="final is 'relative'; known: offset, absolute"):
        make_network(final="relative")


def test_a_keypoint_outside_the_crop_is_supervised_like_any_other(images: Tensor) -> None:
    poses = make_network()(images)
    poses.mu.retain_grad()
    truth = torch.full((2, 3, 2), 0.1)
    truth[:, 2] = 1.7  # more than a crop height beyond the edge
    make_loss()(poses, truth, torch.ones(2, 3, dtype=torch.bool)).backward()
    assert (poses.mu.grad[:, 2] != 0).all()


def test_a_keypoint_in_the_crop_is_looked_for_where_it_is() -> None:
    """Network units (0.25, -0.25) are crop px (47.5, 15.5): on the border of cells 5 and 6
    in x, 1 and 2 in y."""
    target = Spots(CROP, STRIDE)(torch.tensor([[[0.25, -0.25], [0.6, 0.0]]]))[0]
    rows, columns = torch.where(target[0].reshape(MAP) > 0.7)
    assert rows.tolist() == [1, 1, 2, 2]
    assert columns.tolist() == [5, 6, 5, 6]
    assert target[1].sum() == 0, "outside the crop there is nothing to look at"


def test_a_loss_is_on_its_device_with_all_that_it_indexes_by() -> None:
    """What stays behind on the CPU is fetched by the GPU in every step."""
    trails = Trails(EDGES, 3, CROP)
    assert trails.to("meta").edges.device.type == "meta"
    assert not trails.state_dict(), "nothing of it is stored with a run"


def test_what_leads_out_of_the_crop_is_looked_at_along_the_edges() -> None:
    """Keypoint 0 at the centre, 1 and 2 beyond the right edge at the same height."""
    truth = torch.tensor([[[0.0, 0.0], [0.8, 0.0], [0.9, 0.0]]])
    labelled = torch.ones(1, 3, dtype=torch.bool)
    target = Trails(EDGES, 3, CROP)(truth, labelled)[0].reshape(3, *MAP)
    for outside in (1, 2):
        columns, rows = target[outside].sum(0), target[outside].sum(1)
        assert columns[5:].min() > 10 * columns[:2].max()  # right of the centre only
        assert rows[3:5].sum() > 0.5 * rows.sum()  # at its height


def test_nothing_leads_to_a_keypoint_whose_edges_are_all_outside() -> None:
    truth = torch.full((1, 3, 2), 3.0)
    assert Trails(EDGES, 3, CROP)(truth, torch.ones(1, 3, dtype=torch.bool)).sum() == 0


def test_an_edge_with_an_unlabelled_end_leads_nowhere() -> None:
    truth = torch.tensor([[[0.0, 0.0], [0.2, 0.0], [0.3, 0.0]]])
    target = Trails(EDGES, 3, CROP)(truth, torch.tensor([[True, False, True]]))
    assert target.sum() == 0


def test_two_crops_can_be_learned_by_heart(images: Tensor) -> None:
    network, loss = make_network(), make_loss(guide_weight=1.0, error_weight=1.0)
    truth = torch.tensor(
        [[[0.0, 0.1], [0.3, -0.3], [0.8, 0.2]], [[-0.2, 0.3], [0.1, 0.0], [-0.9, 0.1]]]
    )
    labelled = torch.ones(2, 3, dtype=torch.bool)
    parameters = [*network.parameters(), *loss.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    for _ in range(160):
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
    with pytest.raises(
        UsageError, match="attention is 'linear'; known: cross, self, intention"
    ):
        make_network(attention="linear")


def test_the_coarse_reader_gives_what_the_network_knew_before_its_decoder() -> None:
    config = TrainConfig(family="tokenclipose")
    parts = [torch.full((1, 20, 2), value) for value in (0.1, 0.2, 0.3, 0.4)]
    poses = Poses(*parts, votes=None)
    final, coarse = (f.decode(poses, config) for f in (TOKENCLIPOSE, TOKENCLIPOSE_COARSE))
    height = config.input_wh[1]
    assert torch.allclose(coarse.points - final.points, torch.tensor(0.2 * height))
    assert torch.allclose(coarse.sigma, torch.tensor(0.4 * height))


def test_text_tokens_and_modalities_must_agree() -> None:
    with pytest.raises(UsageError, match="modalities 'image' and the text embeddings do not"):
        TokenCLIPose(3, torch.randn(3, 8), crop_wh=CROP, modalities="image")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "modalities 'image.location.text' and the text embeddings do not agree"),
        (torch.zeros(20), r"tensor 'text' has shape \(20,\); expected a row for each of 20"),
        (torch.zeros(3, 8), r"tensor 'text' has shape \(3, 8\); expected a row for each of"),
    ],
    ids=["none", "one dimension", "other keypoints"],
)
def test_a_checkpoint_without_its_text_tokens_is_damaged_and_asks_no_encoder(
    text: Tensor | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("an encoder was asked for")

    monkeypatch.setattr("tokenclipose.family.keypoint_embeddings", never)
    shipped = CHECKPOINTS / "tokenclipose-small_hockey.safetensors"
    tensors, path = load_file(shipped), tmp_path / "best.safetensors"
    del tensors["text"]
    save_file(tensors if text is None else {**tensors, "text": text}, path)
    path.with_suffix(".json").write_bytes(shipped.with_suffix(".json").read_bytes())

    with pytest.raises(ReadError, match=f"best.safetensors: the weights are not.*{said}"):
        get_model("tokenclipose-small").load(path, "cpu")


def test_only_without_attention_do_the_image_tokens_leave_the_answer_alone(
    images: Tensor,
) -> None:
    """With the MLP's coarse places and text only, the answer reads the image by attention."""
    options = {"coarse": "mlp", "modalities": "image+text"}
    for attention in ATTENTIONS:
        network = make_network(attention=attention, **options).eval()
        with torch.inference_mode():
            found = network(images)
        differs = not torch.allclose(
            (found.mu - found.mu_coarse)[0], (found.mu - found.mu_coarse)[1]
        )
        assert differs == (attention != "none"), attention


def test_intention_is_the_ridge_regression_of_values_on_keys() -> None:
    """Each head against the plain formula in float64, NumPy's inverse."""
    rng = np.random.default_rng(0)
    q, k, v = (
        rng.normal(size=(2, 3, 5, 4)),
        rng.normal(size=(2, 3, 9, 4)),
        rng.normal(size=(2, 3, 9, 4)),
    )
    found = Intention(12, 3).mix(*(torch.from_numpy(part).float() for part in (q, k, v)))
    for batch in range(2):
        for head in range(3):
            keys, values = k[batch, head], v[batch, head]
            inverse = np.linalg.inv(keys.T @ keys + RIDGE * np.eye(4))
            wanted = q[batch, head] @ inverse @ keys.T @ values
            assert np.allclose(found[batch, head].numpy(), wanted, atol=1e-4)


def test_elimination_solves_what_torch_solves() -> None:
    keys = torch.randn(2, 3, 40, 16, generator=torch.Generator().manual_seed(0)) * 3
    gram = keys.transpose(2, 3) @ keys + RIDGE * torch.eye(16)
    right = torch.randn(2, 3, 16, 5, generator=torch.Generator().manual_seed(1))
    wanted = torch.linalg.solve(gram.double(), right.double())
    found = eliminated(gram, right)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_intention_computes_in_float32_under_autocast() -> None:
    part = torch.randn(1, 1, 6, 4, generator=torch.Generator().manual_seed(0))
    layer = Intention(4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.mix(part.bfloat16(), part.bfloat16(), part.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, layer.mix(*[part.bfloat16().float()] * 3))


@pytest.mark.parametrize("coarse", ["vote", "mlp"])
def test_places_are_not_rounded_to_eight_bits_under_autocast(
    images: Tensor, coarse: str
) -> None:
    network = make_network(coarse=coarse).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = network(images)
    places = {"mu": found.mu, "mu_coarse": found.mu_coarse}
    if found.votes is not None:
        places["spot"] = found.votes.spot
    for name, values in places.items():
        assert values.dtype == torch.float32, name
        assert not torch.equal(values, values.bfloat16().float()), name
