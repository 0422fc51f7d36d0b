"""`toolkit export`, and `toolkit predict` with what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.catalog import sample_path
from toolkit.errors import UsageError
from toolkit.runtimes import find_runtime, missing_packages

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that all tests of this file share and nobody else."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path_factory.getbasetemp() / "onnx-cache"))


def predict(toolkit_cli: Cli, model: object, out: Path, *options: object) -> Any:
    sample = sample_path("hockey")
    return toolkit_cli(
        "predict", model, "--data", sample, "--images", sample.parent / "images",
        "--out", out, "--json", *options,
    )  # fmt: skip


def keypoints(path: Path) -> Any:
    return np.array([person["keypoints"] for person in json.loads(path.read_text("utf-8"))])


def test_export_then_predict_from_the_file(toolkit_cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"

    exported = toolkit_cli("export", "hrnet-small", out, "--weights", "hockey", "--json")

    assert exported.exit_code == 0, exported.stderr
    said = json.loads(exported.stdout)
    assert said["model"] == "hrnet-small"
    assert said["outputs"] == ["points", "scores"]
    assert said["max_difference_px"] < 0.1
    results = {"file": (out,), "torch": ("hrnet-small", "--runtime", "torch")}
    for name, (model, *options) in results.items():
        predicted = predict(toolkit_cli, model, tmp_path / name, *options)
        assert predicted.exit_code == 0, predicted.stderr
        assert json.loads(predicted.stdout)["runtime"] == ("onnx" if name == "file" else name)
    assert np.abs(keypoints(tmp_path / "file") - keypoints(tmp_path / "torch")).max() < 0.1

    again = toolkit_cli("export", "hrnet-small", out)
    forced = toolkit_cli("export", "hrnet-small", out, "--force")
    assert again.exit_code == 2
    assert "model.onnx" in again.stderr
    assert forced.exit_code == 0
    assert "px from PyTorch on 12 crops" in forced.stderr


def test_a_cpu_takes_onnx_unasked_and_converts_once(toolkit_cli: Cli, tmp_path: Path) -> None:
    first = predict(toolkit_cli, "hrnet-small", tmp_path / "1.json", "--device", "cpu")
    second = predict(toolkit_cli, "hrnet-small", tmp_path / "2.json", "--runtime", "onnx")

    for run in (first, second):
        assert run.exit_code == 0, run.stderr
        assert json.loads(run.stdout)["runtime"] == "onnx"
    assert "once for this checkpoint" not in second.stderr
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_a_control_has_no_network_and_is_computed_as_it_is(
    toolkit_cli: Cli, tmp_path: Path
) -> None:
    auto = predict(toolkit_cli, "mean-pose", tmp_path / "auto.json")
    asked = predict(toolkit_cli, "mean-pose", tmp_path / "asked.json", "--runtime", "onnx")
    exported = toolkit_cli("export", "mean-pose", tmp_path / "out.onnx")

    assert auto.exit_code == 0, auto.stderr
    assert json.loads(auto.stdout)["runtime"] == "torch"
    assert asked.exit_code == 2
    assert "--runtime onnx: model 'mean-pose' has no network to convert" in asked.stderr
    assert exported.exit_code == 2
    assert "has no network that could be exported" in exported.stderr


def test_where_no_cache_can_be_kept_pytorch_computes(
    toolkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "file"))

    found = predict(toolkit_cli, "hrnet-small", tmp_path / "out.json")

    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["runtime"] == "torch"
    assert "computing with PyTorch, not ONNX" in found.stderr


def test_wrong_usage_is_named(toolkit_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model", "utf-8")

    suffix = toolkit_cli("export", "hrnet-small", tmp_path / "out.bin")
    unknown = toolkit_cli("export", "hrnet-smal", tmp_path / "out.onnx")
    untrained = toolkit_cli("export", "hrnet-w48", tmp_path / "out.onnx")
    torch_file = predict(
        toolkit_cli, tmp_path / "text.onnx", tmp_path / "o.json", "--runtime", "torch"
    )
    text = predict(toolkit_cli, tmp_path / "text.onnx", tmp_path / "o.json")
    device = ("--device", "no-such-device")
    gpu = predict(toolkit_cli, "hrnet-small", tmp_path / "o.json", "--runtime", "onnx", *device)
    absent = predict(toolkit_cli, "hrnet-small", tmp_path / "o.json", *device)

    assert (suffix.exit_code, "an ONNX file ends in .onnx" in suffix.stderr) == (2, True)
    assert (unknown.exit_code, "did you mean 'hrnet-small'?" in unknown.stderr) == (2, True)
    assert (untrained.exit_code, "has no checkpoint 'hockey'" in untrained.stderr) == (2, True)
    assert torch_file.exit_code == 2
    assert "an ONNX file; --runtime torch cannot run it" in torch_file.stderr
    assert text.exit_code == 3
    assert "text.onnx: not a whole ONNX model" in text.stderr
    assert gpu.exit_code == 2
    assert "--runtime onnx computes on the CPU; --device is 'no-such-device'" in gpu.stderr
    assert absent.exit_code == 2
    assert "--device 'no-such-device' cannot be used here" in absent.stderr
    assert not (tmp_path / "o.json").exists()


def test_a_device_is_refused_beside_an_onnx_file_unless_a_detector_computes_on_it(
    toolkit_cli: Cli, tmp_path: Path
) -> None:
    file, device = tmp_path / "m.onnx", ("--device", "cuda:99")
    file.write_text("no model", "utf-8")

    alone = predict(toolkit_cli, file, tmp_path / "o.json", *device)
    detector = ("--boxes", "person-small")
    beside = predict(toolkit_cli, file, tmp_path / "o.json", *detector, *device)

    assert (alone.exit_code, beside.exit_code) == (2, 2)
    assert "m.onnx: an ONNX file is computed on the CPU, and --device is 'cuda" in alone.stderr
    assert "--device 'cuda:99' cannot be used here" in beside.stderr


def test_runtimes_are_found_by_name_and_their_packages_looked_for() -> None:
    assert find_runtime("onnx").suffix == ".onnx"
    assert missing_packages(("json", "no_such_package")) == ["no_such_package"]
    with pytest.raises(UsageError, match="no runtime 'tensorflow'"):
        find_runtime("tensorflow")
