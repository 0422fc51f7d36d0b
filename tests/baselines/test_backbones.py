"""Image encoders: their maps, and weights to start from."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from baselines.backbones import BACKBONES, Backbone, load_pretrained
from baselines.config import _CHOICES, make_config
from baselines.vitpose import SIZES as VITPOSES
from toolkit.errors import InvalidDataError, ReadError, ServiceError, UsageError


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_maps_at_strides_4_to_32(name: str) -> None:
    backbone = Backbone(name).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 64, 96))
    strides = zip(backbone.channels, (4, 8, 16, 32), strict=True)
    wanted = [(1, channels, 64 // s, 96 // s) for channels, s in strides]
    assert [tuple(found.shape) for found in maps] == wanted


def test_recipes_know_exactly_these_backbones() -> None:
    assert _CHOICES["backbone"] == (*BACKBONES, *VITPOSES)


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no backbone 'vgg'; known: hrnet-small"):
        Backbone("vgg")


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.", "backbone.net."])
def test_a_local_file_fills_every_tensor_whoever_named_it(tmp_path: Path, prefix: str) -> None:
    theirs, ours = Backbone("hrnet-small"), Backbone("hrnet-small")
    tensors = {prefix + key: value.clone() for key, value in theirs.net.state_dict().items()}
    save_file({**tensors, "classifier.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    load_pretrained(ours, str(tmp_path / "w.safetensors"))
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    save_file(Backbone("hrnet-small").net.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ReadError, match=r"'conv1.weight': wanted shape \(64, 3.*'resnet50'"):
        load_pretrained(Backbone("resnet50"), str(tmp_path / "w.safetensors"))


def test_weights_that_are_not_finite_are_no_start(tmp_path: Path) -> None:
    tensors = Backbone("hrnet-small").net.state_dict()
    tensors["conv1.weight"][0] = torch.nan
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ReadError, match=r"'conv1.weight': wanted shape .* that are not finite"):
        load_pretrained(Backbone("hrnet-small"), str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("hrnet-small", "ms_in1k", "tags: none, a local file only"),
        ("hrnet-w32", "imagenet", "neither a file nor a tag of 'hrnet-w32'; tags: ms_in1k"),
        ("resnet50", "none.safetensors", "no file 'none.safetensors' with weights"),
    ],
)
def test_weights_that_are_not_there_are_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_pretrained(Backbone(name), weights)


def test_without_a_network_a_tag_fails_at_once_and_says_how_to_supply_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's address is one that never answers; its cache is empty."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    backbone, started = Backbone("resnet50"), time.monotonic()
    with pytest.raises(ServiceError, match=r"could not be fetched.*pretrained = 'FILE"):
        load_pretrained(backbone, "a1_in1k")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("backbone", "w48", "'backbone' is 'w48'; expected one of hrnet-small"),
        ("modalities", "text", "'modalities' is 'text'; expected one of image, image+loc"),
        ("attention", "linear", "'attention' is 'linear'; expected one of cross, self, int"),
        ("prompts", "many", "'prompts' is 'many'; expected one of none, single, ensemble"),
        ("input_wh", [100, 128], "'input_wh' is [100, 128]; width and height must be"),
    ],
)
def test_a_recipe_with_another_choice_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(InvalidDataError, match=re.escape(message)):
        make_config({key: value}, where="r.toml")
