"""Published weights become checkpoints: whole, by name, and never by running a pickle."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from baselines.config import load_recipe
from baselines.family import HEATMAP
from baselines.predictor import CheckpointModel
from toolkit import write
from toolkit.dataset import Dataset
from toolkit.models import load_checkpoint
from toolkit.schema import Schema

COCO = Schema.load("coco")


def published(model: str) -> dict[str, torch.Tensor]:
    """A random network's tensors in the names of the original repository."""
    torch.manual_seed(5)
    recipe = {"hrnet-w32": "hrnet_w32", "simplebaseline-r50": "simplebaseline_r50"}[model]
    state = HEATMAP.build(COCO, load_recipe(recipe), None).state_dict()
    return {key.removeprefix("backbone.net."): value for key, value in state.items()}


@pytest.mark.parametrize("model", ["hrnet-w32", "simplebaseline-r50"])
def test_published_heatmap_networks_are_adopted_bit_for_bit(
    toolkit_cli: Callable[..., object], tmp_path: Path, model: str
) -> None:
    state = published(model)
    torch.save({"state_dict": state, "meta": {"epoch": 210}}, tmp_path / "pose.pth")
    out = tmp_path / "adopted.safetensors"
    words = ("adopt", model, tmp_path / "pose.pth", "--out", out)

    refused = toolkit_cli(*words)
    assert refused.exit_code == 4
    assert refused.stderr.count("--allow-pickle") == 1
    assert not out.exists()
    ran = toolkit_cli(*words, "--allow-pickle")
    assert ran.exit_code == 0, ran.stderr

    loaded = load_checkpoint(out, "cpu")
    assert (loaded.name, loaded.schema.name) == (model, "coco")
    assert loaded.facts["source"] == "pose.pth"
    assert loaded.facts["images_seen"] is None
    recipe = loaded.facts["recipe"]
    assert (recipe["heatmap_grid"], recipe["refine"], recipe["flip_test"]) == (
        "original", "quarter", True,
    )  # fmt: skip
    tensors = loaded.network.network.state_dict()
    for key, value in state.items():
        ours = key if key in tensors else f"backbone.net.{key}"
        assert torch.equal(tensors[ours], value) or key.endswith("num_batches_tracked")


@pytest.mark.parametrize("model", ["simplebaseline-r50", "keypoint-rcnn"])
def test_facts_of_something_else_are_kept_and_no_half_of_a_checkpoint_is_written(
    toolkit_cli: Callable[..., object], tmp_path: Path, model: str
) -> None:
    (tmp_path / "pose.json").write_text("precious")
    words = ("adopt", model, tmp_path / "absent.pth", "--out", tmp_path / "pose.safetensors")

    refused = toolkit_cli(*words)

    assert refused.exit_code == 2
    assert "pose.json: exists already; pass --force to replace it" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pose.json"]
    assert (tmp_path / "pose.json").read_text() == "precious"


@pytest.mark.parametrize(
    ("file", "options", "size", "read", "sigma", "assumed"),
    [
        ("pose.pth", (), "256x192", "quarter", 2.0, ["input", "decoding"]),
        ("pose_256x192.pth", (), "256x192", "quarter", 2.0, ["input", "decoding"]),
        ("pose.pth", ("--input", "384x288"), "384x288", "quarter", 3.0, ["decoding"]),
        (
            "hrnet_w32_coco_384x288_dark-307dafc2_20210203.pth",
            ("--input", "384x288", "--decoding", "dark"), "384x288", "dark", 3.0, [],
        ),
        ("pose_udp.pth", ("--decoding", "udp"), "256x192", "udp", 2.0, ["input"]),
        ("pose_udp.pth", ("--decoding", "quarter"), "256x192", "quarter", 2.0, ["input"]),
    ],
)  # fmt: skip
def test_size_and_decoding_are_the_named_ones_and_what_was_assumed_is_told(
    toolkit_cli: Callable[..., object],
    tmp_path: Path,
    file: str,
    options: tuple[str, ...],
    size: str,
    read: str,
    sigma: float,
    assumed: list[str],
) -> None:
    torch.save(published("simplebaseline-r50"), tmp_path / file)
    out = tmp_path / "adopted.safetensors"
    words = ("adopt", "simplebaseline-r50", tmp_path / file, "--out", out, "--allow-pickle")

    ran = toolkit_cli(*words, *options, "--json")

    assert ran.exit_code == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["input"], said["decoding"], said["assumed"]) == (size, read, assumed)
    config = load_checkpoint(out, "cpu").config
    assert f"{config.input_wh[1]}x{config.input_wh[0]}" == size
    grid = {"quarter": "original", "dark": "original", "udp": "udp"}[read]
    assert (config.heatmap_grid, config.refine) == (grid, read.replace("udp", "dark"))
    assert config.heatmap_sigma == sigma
    told = toolkit_cli(*words, *options, "--force").stderr
    assert ("assumed: " in told) == bool(assumed)
    assert ("input 256x192" in told) == ("input" in assumed)
    assert ("decoding quarter" in told) == ("decoding" in assumed)


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("pose_hrnet_w32_384x288.pth", (), "says 384x288, 256x192 would be .* --input 384x288"),
        ("w32_256x192_udp-aba0be42.pth", (), "says udp, .*'quarter' .* --decoding udp"),
        ("td-hm_w32_dark-8xb64_coco.pth", (), "says dark, .* --decoding dark"),
        ("pose.pth", ("--input", "384"), "option --input: got '384'; wanted height x width"),
        ("pose.pth", ("--input", "250x192"), "got '250x192'; .* multiples of 32 px"),
    ],
)
def test_a_name_that_contradicts_what_would_be_assumed_is_refused_with_the_option(
    toolkit_cli: Callable[..., object],
    tmp_path: Path,
    file: str,
    options: tuple[str, ...],
    message: str,
) -> None:
    out = tmp_path / "o.safetensors"
    ran = toolkit_cli(
        "adopt", "hrnet-w32", tmp_path / file, "--out", out, "--allow-pickle", *options
    )
    assert ran.exit_code == 2
    assert re.search(message, ran.stderr), ran.stderr
    assert not out.exists()


def test_a_network_of_whole_frames_has_no_crop_to_name(
    toolkit_cli: Callable[..., object], tmp_path: Path
) -> None:
    for option in (("--input", "384x288"), ("--decoding", "udp")):
        ran = toolkit_cli(
            "adopt", "keypoint-rcnn", "COCO_V1", "--out", tmp_path / "o.safetensors", *option
        )
        assert ran.exit_code == 2
        assert "'keypoint-rcnn' takes whole frames; --input and --decoding" in ran.stderr


def test_vitpose_of_another_crop_is_adopted_with_its_size(
    toolkit_cli: Callable[..., object], tmp_path: Path
) -> None:
    config = replace(load_recipe("vitpose_s"), input_wh=(288, 384))
    HEATMAP.build(COCO, config, None).net.save_pretrained(tmp_path / "vit")
    words = ("adopt", "vitpose-s", tmp_path / "vit", "--out", tmp_path / "o.safetensors")

    refused = toolkit_cli(*words)
    assert refused.exit_code == 3
    assert "position_embeddings': wanted shape" in refused.stderr
    ran = toolkit_cli(*words, "--input", "384x288", "--json")
    assert ran.exit_code == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["input"], said["decoding"]) == ("384x288", "udp")


def test_vitpose_and_keypoint_rcnn_are_adopted_from_local_files(
    toolkit_cli: Callable[..., object], tmp_path: Path
) -> None:
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    source = HEATMAP.build(COCO, load_recipe("vitpose_s"), None)
    source.net.save_pretrained(tmp_path / "vit")
    rcnn = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    save_file(rcnn.state_dict(), tmp_path / "rcnn.safetensors")

    for model, given in (("vitpose-s", "vit"), ("keypoint-rcnn", "rcnn.safetensors")):
        out = tmp_path / f"{model}.safetensors"
        ran = toolkit_cli("adopt", model, tmp_path / given, "--out", out, "--json")
        assert ran.exit_code == 0, ran.stderr
        assert json.loads(ran.stdout)["checkpoint"] == str(out)
        assert load_checkpoint(out, "cpu").name == model


def test_vitpose_is_adopted_from_torchs_own_file_when_asked(
    toolkit_cli: Callable[..., object], tmp_path: Path
) -> None:
    torch.manual_seed(4)
    state = HEATMAP.build(COCO, load_recipe("vitpose_s"), None).net.state_dict()
    torch.save(state, tmp_path / "pytorch_model.bin")
    out = tmp_path / "adopted.safetensors"
    words = ("adopt", "vitpose-s", tmp_path / "pytorch_model.bin", "--out", out)

    refused = toolkit_cli(*words)
    assert refused.exit_code == 4
    assert "--allow-pickle" in refused.stderr
    ran = toolkit_cli(*words, "--allow-pickle")
    assert ran.exit_code == 0, ran.stderr
    found = load_checkpoint(out, "cpu").network.network.net.state_dict()
    for key, value in state.items():
        assert torch.equal(found[key], value) or key.endswith("num_batches_tracked"), key


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "model", ["hrnet-w32", "simplebaseline-r50", "vitpose-b", "keypoint-rcnn"]
)
@pytest.mark.parametrize("allow", [False, True])
def test_a_malicious_pickle_never_runs(
    toolkit_cli: Callable[..., object], tmp_path: Path, model: str, allow: bool
) -> None:
    path, mark, out = tmp_path / "evil.pth", tmp_path / "ran", tmp_path / "o.safetensors"
    torch.save({"state_dict": Payload(mark)}, path)

    option = ("--allow-pickle",) if allow else ()
    ran = toolkit_cli("adopt", model, path, "--out", out, *option)

    assert ran.exit_code == 4, ran.stderr
    assert "refused" in ran.stderr
    assert not mark.exists()
    assert not out.exists()
    pickle.loads(pickle.dumps(Payload(mark)))  # the payload does work
    assert mark.exists()


def test_weights_of_another_schema_or_of_nothing_known_are_named(
    toolkit_cli: Callable[..., object], tmp_path: Path
) -> None:
    save_file(published("simplebaseline-r50"), tmp_path / "pose.safetensors")
    out = tmp_path / "o.safetensors"

    other = toolkit_cli(
        "adopt", "simplebaseline-r50", tmp_path / "pose.safetensors", "--out", out,
        "--schema", "crowdpose",
    )  # fmt: skip
    assert other.exit_code == 3
    assert "'final_layer.weight' has shape (17, 256, 1, 1)" in other.stderr
    absent = toolkit_cli("adopt", "keypoint-rcnn", tmp_path / "none", "--out", out)
    assert absent.exit_code == 2
    assert (
        "neither a file nor one of torchvision's tags (COCO_LEGACY, COCO_V1)" in absent.stderr
    )
    unknown = toolkit_cli("adopt", "rle-small", tmp_path / "none", "--out", out)
    assert unknown.exit_code == 2
    assert "no published weights are known for 'rle-small'; known: hrnet-w32" in unknown.stderr


def test_predict_reads_answers_as_asked(
    toolkit_cli: Callable[..., object], people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, images = people
    data = tmp_path / "annotations.json"
    write(dataset, data)
    found = {}
    for name, options in {
        "plain": (), "same": ("--refine", "parabola", "--no-flip-test"),
        "flip": ("--flip-test",), "dark": ("--refine", "dark"),
    }.items():  # fmt: skip
        out = tmp_path / f"{name}.json"
        ran = toolkit_cli(
            "predict", "hrnet-small", "--data", data, "--images", images, "--out", out,
            "--device", "cpu", "--runtime", "torch", *options,
        )  # fmt: skip
        assert ran.exit_code == 0, ran.stderr
        found[name] = np.array([r["keypoints"] for r in json.loads(out.read_text())])
    assert np.array_equal(found["plain"], found["same"])
    assert np.abs(found["plain"] - found["flip"]).max() > 0.01
    assert np.abs(found["plain"] - found["dark"]).max() > 0.01

    wrong = toolkit_cli(
        "predict", "tokenclipose-small", "--data", data, "--images", images,
        "--out", tmp_path / "o.json", "--device", "cpu", "--refine", "dark",
    )  # fmt: skip
    assert wrong.exit_code == 2
    assert "has no heatmaps to refine" in wrong.stderr


def test_a_flip_tested_model_is_exported_and_agrees(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from baselines import HRNET_SMALL
    from baselines.onnx_export import export_onnx
    from baselines.onnx_model import OnnxModel

    model = HRNET_SMALL.load("hockey", "cpu")
    assert isinstance(model, CheckpointModel)
    model.decoded_by(refine="dark", flip_test=True)
    before = model.predict(*people)
    export_onnx(model, tmp_path / "flip.onnx")

    after = OnnxModel(tmp_path / "flip.onnx").predict(*people)

    assert np.abs(after.keypoints - before.keypoints).max() < 0.1
    model.decoded_by(flip_test=False)
    assert not model.config.flip_test
    assert replace(model.config, refine="parabola").refine == "parabola"
    assert np.abs(model.predict(*people).keypoints - before.keypoints).max() > 0.01
