"""The paper's size: HRNet-W48 and a CLIP text tower, from a local file, on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from baselines.checkpoints import save_checkpoint, schema_to_facts
from baselines.config import load_recipe
from baselines.predictor import CheckpointModel
from tokenclipose.family import TOKENCLIPOSE
from toolkit.formats import read
from toolkit.schema import Schema


def test_w48_with_a_clip_tower_takes_a_step_on_a_cpu_and_predicts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tower's weights are random: what is tested is the way from a file to a prediction."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    tower = open_clip.create_model("ViT-B-32", pretrained=None)
    save_file(
        {k: v.clone() for k, v in tower.state_dict().items()}, tmp_path / "clip.safetensors"
    )
    del tower
    schema = Schema.load("hockey")
    text = f"openclip:ViT-B-32/{tmp_path / 'clip.safetensors'}"
    config = load_recipe("tokenclipose_w48", text=text)
    network = TOKENCLIPOSE.build(schema, config, None)
    assert network.text.shape == (20, 512)
    assert len(list((tmp_path / "cache" / "text").glob("*.npy"))) == 1
    loss = TOKENCLIPOSE.build_loss(schema, config)
    parameters = [*network.parameters(), *loss.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    images = torch.randn(2, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    points = torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(1)) * 400 - 100
    before = network.text.detach().clone()
    loss(network(images), points, torch.ones(2, 20, dtype=torch.bool)).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    optimizer.step()
    assert not torch.equal(network.text, before)

    facts = {"schema": schema_to_facts(schema), "recipe": config.to_dict(), "model": "full"}
    save_checkpoint(tmp_path / "full.safetensors", network, facts)
    (tmp_path / "clip.safetensors").unlink()  # prediction needs no text encoder
    model = CheckpointModel(
        tmp_path / "full.safetensors", {"tokenclipose": TOKENCLIPOSE}, "cpu"
    )
    folder = root / "datasets" / "hockey" / "sample"
    sample = read(folder / "annotations.json").subset(slice(0, 1))
    found = model.predict(sample, folder / "images")
    assert found.keypoints.shape == (1, 20, 2)
    assert np.isfinite(found.keypoints).all()
