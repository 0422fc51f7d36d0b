"""Every network that can be trained: it builds, learns, and listens to labels alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from baselines.config import TrainConfig, load_recipe
from baselines.family import HEATMAP, Family
from baselines.flip_test import flip_tested
from baselines.regression import REGRESSION
from baselines.vitpose import load_published
from toolkit.errors import ReadError, ServiceError, UnsafeInputError, UsageError
from toolkit.models import find_models
from toolkit.schema import Schema

HOCKEY = Schema.load("hockey")
FAMILIES = {family.name: family for family in (HEATMAP, REGRESSION)}
RECIPES = {
    "hrnet-small": "hrnet_small",
    "hrnet-w32": "hrnet_w32",
    "simplebaseline-r50": "simplebaseline_r50",
    "vitpose-s": "vitpose_s",
    "rle-small": "rle_small",
    "rle-r50": "rle_r50",
    "rle-w32": "rle_w32",
}
SMALL = ("hrnet-small", "rle-small")
# Maps that a heatmap does not read; the weights that ship hold them.
UNREAD = {"hrnet-small": "backbone.net.stage4.0.fuse_layers."}


def small_crops(name: str) -> tuple[Family, TrainConfig]:
    config = replace(load_recipe(RECIPES[name]), input_wh=(64, 64), precision="float32")
    return FAMILIES[config.family], config


def batch(count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, points (the last three, the stick, left of the crop) and labelled."""
    chance = torch.Generator().manual_seed(4)
    images = torch.randn(count, 3, 64, 64, generator=chance)
    points = 8 + 48 * torch.rand(count, HOCKEY.num_keypoints, 2, generator=chance)
    points[:, -3:, 0] = -20
    return images, points, torch.ones(count, HOCKEY.num_keypoints, dtype=torch.bool)


@pytest.mark.parametrize("name", RECIPES)
def test_a_network_answers_for_every_keypoint_and_a_step_reaches_every_parameter(
    name: str,
) -> None:
    torch.manual_seed(0)
    family, config = small_crops(name)
    network = family.build(HOCKEY, config, None).train()
    loss = family.build_loss(HOCKEY, config)
    for key, parameter in network.named_parameters():
        if (
            key.endswith("weight") and not parameter.any()
        ):  # timm's residual branches start at 0
            nn.init.constant_(parameter, 0.5)
    images, points, labelled = batch(4)

    output = network(images)
    decoded = family.decode(output, config)
    assert decoded.points.shape == (4, 20, 2)
    assert decoded.scores.shape == (4, 20)
    loss(output, points, labelled).backward()

    silent = [
        key
        for module in (network, loss)
        for key, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    expected = UNREAD.get(name, "\0")
    unexpected = [key for key in silent if not key.startswith(expected)]
    assert unexpected == []
    assert find_models()[name].name == name


@pytest.mark.parametrize("name", SMALL)
def test_a_small_network_learns_two_samples_by_heart(name: str) -> None:
    torch.manual_seed(0)
    family, config = small_crops(name)
    network, loss = family.build(HOCKEY, config, None), family.build_loss(HOCKEY, config)
    optimizer = torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=3e-3)
    images, points, labelled = batch()

    for _ in range(80):
        optimizer.zero_grad()
        loss(network(images), points, labelled).backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
    with torch.no_grad():
        decoded = family.decode(network(images), config)

    error = (decoded.points - points).norm(dim=2)
    seen = error[:, :-3] if name == "hrnet-small" else error  # a map cannot leave the crop
    assert float(seen.median()) < 2.5
    assert name == "hrnet-small" or float(error[:, -3:].max()) < 10


@pytest.mark.parametrize("name", ["simplebaseline-r50", "rle-small", "hrnet-small"])
def test_an_unlabelled_keypoint_gives_no_gradient(name: str) -> None:
    torch.manual_seed(0)
    family, config = small_crops(name)
    network, loss = family.build(HOCKEY, config, None), family.build_loss(HOCKEY, config)
    images, points, labelled = batch()
    labelled[:, 3] = False
    points[:, 3] = torch.nan

    output = network(images)
    values = output if isinstance(output, torch.Tensor) else output.mu
    values.retain_grad()
    loss(output, points, labelled).backward()

    gradient = values.grad.flatten(2).abs().sum(dim=2)
    assert gradient[:, 3].sum() == 0
    assert (gradient[:, 4] > 0).all()
    # What lies outside the crop teaches a regression, and not a heatmap.
    assert ((gradient[:, -1] > 0) == (name == "rle-small")).all()


def test_simplebaseline_has_its_published_size() -> None:
    config = load_recipe("simplebaseline_r50")
    network = HEATMAP.build(Schema.load("coco"), config, None)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(34.0, abs=0.05)
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, 256, 192)).shape == (1, 17, 64, 48)


def test_vitpose_has_its_published_size() -> None:
    config = load_recipe("vitpose_b")
    network = HEATMAP.build(Schema.load("coco"), config, None)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(85.8, abs=0.3)


@pytest.mark.parametrize("name", ["hrnet-small", "rle-small"])
def test_the_flip_test_answers_the_same_for_a_crop_and_for_its_mirror_image(name: str) -> None:
    """Both see the same two pictures, so the answers are mirror images of each other."""
    torch.manual_seed(1)
    family, config = small_crops(name)
    network = family.build(HOCKEY, config, None).eval()
    images, _, _ = batch()
    both, tested = flip_tested(family, network, HOCKEY)

    with torch.no_grad():
        seen = both.decode(tested(images), config)
        mirrored = both.decode(tested(images.flip(3)), config)
        alone = family.decode(network(images), config)

    back = mirrored.points[:, torch.from_numpy(HOCKEY.flip_index)]
    turned = torch.stack([63 - back[..., 0], back[..., 1]], dim=-1)
    torch.testing.assert_close(turned, seen.points, atol=1e-3, rtol=0)
    assert (alone.points - seen.points).abs().max() > 1e-2


def tiny_vitpose(pretrained: str = "") -> TrainConfig:
    return TrainConfig(backbone="vitpose-tiny", input_wh=(64, 64), pretrained=pretrained)


def test_vitpose_starts_from_a_folder_or_a_file_as_transformers_saves_them(
    tmp_path: Path,
) -> None:
    torch.manual_seed(3)
    source = HEATMAP.build(HOCKEY, tiny_vitpose(), None).eval()
    source.net.save_pretrained(tmp_path / "hub")
    images, _, _ = batch()

    for given in (tmp_path / "hub", tmp_path / "hub" / "model.safetensors"):
        found = HEATMAP.build(HOCKEY, tiny_vitpose(str(given)), None).eval()
        with torch.no_grad():
            torch.testing.assert_close(found(images), source(images))


def test_vitpose_starts_from_other_keypoints_with_a_last_layer_at_random(
    tmp_path: Path,
) -> None:
    """COCO's 17 are given, hockey's 20 are trained; to be adopted, they would have to agree."""
    source = HEATMAP.build(Schema.load("coco"), tiny_vitpose(), None)
    source.net.save_pretrained(tmp_path / "hub")
    torch.manual_seed(11)
    untrained = HEATMAP.build(HOCKEY, tiny_vitpose(), None).state_dict()

    torch.manual_seed(11)
    found = HEATMAP.build(HOCKEY, tiny_vitpose(str(tmp_path / "hub")), None)

    own = {"net.head.conv.weight", "net.head.conv.bias"}
    given = source.state_dict()
    for key, value in found.state_dict().items():
        assert torch.equal(value, untrained[key] if key in own else given[key]), key
    with pytest.raises(ReadError, match=r"'head.conv.weight': wanted shape \(20, 48, 3, 3\)"):
        load_published(found, str(tmp_path / "hub"))


def test_vitpose_names_what_is_wrong_with_given_weights(tmp_path: Path) -> None:
    source = HEATMAP.build(HOCKEY, tiny_vitpose(), None)
    source.net.save_pretrained(tmp_path / "hub")
    whole_state = source.net.state_dict()
    headless = {k: v for k, v in whole_state.items() if not k.startswith("head.")}
    save_file(headless, tmp_path / "headless.safetensors")
    wide = {
        **headless,
        "head.conv.weight": torch.zeros(17, 96, 3, 3),
        "head.conv.bias": torch.zeros(17),
    }
    save_file(wide, tmp_path / "wide.safetensors")
    endless = {**whole_state, "head.conv.bias": torch.full((20,), torch.inf)}
    save_file(endless, tmp_path / "endless.safetensors")
    torch.save(source.state_dict(), tmp_path / "weights.bin")
    (tmp_path / "pickles").mkdir()
    whole = (tmp_path / "hub" / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-500])
    cases: list[tuple[str, type[Exception], str]] = [
        ("headless.safetensors", ReadError, r"'head.conv.weight': wanted .* no such tensor"),
        (
            "wide.safetensors",
            ReadError,
            r"'head.conv.weight': wanted shape \(20, 48, .*\(17, 96",
        ),
        ("endless.safetensors", ReadError, "'head.conv.bias': .*values that are not finite"),
        ("weights.bin", UnsafeInputError, "refused: not safetensors but a pickle"),
        ("pickles", UsageError, "holds no 'model.safetensors'; pickled"),
        ("absent.safetensors", UsageError, "neither a file, a folder, nor a tag"),
        ("cut.safetensors", ReadError, "not a whole safetensors file"),
    ]
    for name, error, message in cases:
        with pytest.raises(error, match=message):
            HEATMAP.build(HOCKEY, tiny_vitpose(str(tmp_path / name)), None)


def test_vitpose_without_a_network_says_at_once_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(ServiceError, match=r"could not be fetched.*download 'model.safetens"):
        HEATMAP.build(HOCKEY, tiny_vitpose("nobody/vitpose-none"), None)
