"""`toolkit calibrate`, and what a checkpoint's scores then are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.onnx_export import WithDecoding
from toolkit.errors import ReadError
from toolkit.formats import read
from toolkit.metrics.calibration import Calibration
from toolkit.models import load_checkpoint

SHIPPED = "tokenclipose-small_hockey.safetensors"


@pytest.fixture
def checkpoint(root: Path, tmp_path: Path) -> Path:
    """A copy of the shipped checkpoint."""
    for suffix in (".safetensors", ".json"):
        source = (root / "tokenclipose" / "checkpoints" / SHIPPED).with_suffix(suffix)
        shutil.copy(source, tmp_path / source.name)
    return tmp_path / SHIPPED


def test_the_shipped_scores_are_the_stored_curve_of_the_raw_ones(
    checkpoint: Path, root: Path
) -> None:
    folder = root / "datasets" / "hockey" / "sample"
    sample, images = read(folder / "annotations.json"), folder / "images"
    model = load_checkpoint(checkpoint, "cpu")
    found = model.predict(sample, images)
    raw = model.without_calibration().predict(sample, images)
    fit = Calibration.from_facts(model.facts["calibration"], model.schema.names)
    assert np.allclose(found.keypoint_scores, fit.apply(raw.keypoint_scores), atol=1e-4)
    assert np.allclose(found.scores, found.keypoint_scores.mean(axis=1), atol=1e-6)
    assert np.array_equal(found.keypoints, raw.keypoints)


def test_a_file_for_deployment_has_the_calibrated_scores(checkpoint: Path) -> None:
    model = load_checkpoint(checkpoint, "cpu")
    crops = torch.zeros(1, 3, 128, 96)
    with torch.inference_mode():
        ours = WithDecoding(model).eval()(crops)[1]
        raw = WithDecoding(model.without_calibration()).eval()(crops)[1]
    fit = Calibration.from_facts(model.facts["calibration"], model.schema.names)
    assert np.allclose(ours.numpy(), fit.apply(raw.double().numpy()), atol=1e-4)


def test_a_calibration_of_other_keypoints_is_refused(checkpoint: Path) -> None:
    beside = checkpoint.with_suffix(".json")
    facts = json.loads(beside.read_text("utf-8"))
    del facts["calibration"]["keypoints"]["nose"]
    beside.write_text(json.dumps(facts), "utf-8")
    with pytest.raises(ReadError, match=r"'calibration' does not fit the keypoints.*nose"):
        load_checkpoint(checkpoint, "cpu")


def test_calibrating_writes_the_fit_beside_the_weights_and_a_plot(
    checkpoint: Path, root: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    sample = root / "datasets" / "hockey" / "sample"
    weights = checkpoint.read_bytes()
    arguments = ["calibrate", str(checkpoint), "--data", str(sample / "annotations.json")]
    arguments += ["--images", str(sample / "images")]
    refused = toolkit_cli(*arguments)
    assert refused.exit_code == 2
    assert "holds a calibration already; pass --force" in refused.stderr
    done = toolkit_cli(*arguments, "--force", "--plot", str(tmp_path / "plot.svg"))
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[-4:] == ["ECE", "raw", "ECE", "after"]
    assert (tmp_path / "plot.svg").read_text("utf-8").startswith("<svg")
    stored = json.loads(checkpoint.with_suffix(".json").read_text("utf-8"))["calibration"]
    assert stored["instances"] == len(read(sample / "annotations.json").annotations)
    assert checkpoint.read_bytes() == weights


def test_data_with_fewer_keypoints_leave_the_checkpoint_whole(
    checkpoint: Path, root: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    """Lacrosse has 14 of hockey's 20; the others share the fit of all together."""
    sample = root / "datasets" / "lacrosse" / "sample"
    arguments = ["calibrate", str(checkpoint), "--data", str(sample / "annotations.json")]
    done = toolkit_cli(*arguments, "--images", str(sample / "images"), "--force")
    assert done.exit_code == 0, done.stderr
    model = load_checkpoint(checkpoint, "cpu")
    assert (
        len(Calibration.from_facts(model.facts["calibration"], model.schema.names).slope) == 20
    )


def test_scores_are_fitted_of_a_model_with_a_flip_test_too(
    checkpoint: Path, root: Path
) -> None:
    folder = root / "datasets" / "hockey" / "sample"
    sample, images = read(folder / "annotations.json").subset(slice(0, 3)), folder / "images"
    model = load_checkpoint(checkpoint, "cpu")
    model.decoded_by(flip_test=True)
    raw = model.without_calibration()
    found, plain = model.predict(sample, images), raw.predict(sample, images)
    assert np.array_equal(found.keypoints, plain.keypoints)
    assert not np.allclose(found.keypoint_scores, plain.keypoint_scores)


def test_a_device_that_is_not_there_is_refused(
    checkpoint: Path, root: Path, toolkit_cli: Callable[..., Any]
) -> None:
    sample = root / "datasets" / "hockey" / "sample"
    arguments = ["--data", str(sample / "annotations.json"), "--images", str(sample / "images")]
    done = toolkit_cli("calibrate", str(checkpoint), *arguments, "--device", "nowhere")
    assert done.exit_code == 2
    assert "--device 'nowhere' cannot be used here" in done.stderr


def test_a_checkpoint_that_is_not_there_cannot_be_read(
    root: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    sample = root / "datasets" / "hockey" / "sample"
    arguments = ["--data", str(sample / "annotations.json"), "--images", str(sample / "images")]
    done = toolkit_cli("calibrate", str(tmp_path / "none.safetensors"), *arguments)
    assert done.exit_code == 3
    assert "none.safetensors: no such file; 'toolkit train' writes a checkpoint" in done.stderr


def test_facts_that_cannot_be_written_are_told_before_the_predictions(
    checkpoint: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    toolkit_cli: Callable[..., Any],
) -> None:
    sample = root / "datasets" / "hockey" / "sample"
    arguments = ["--data", str(sample / "annotations.json"), "--images", str(sample / "images")]
    monkeypatch.setattr("toolkit.models.load_checkpoint", lambda *_: pytest.fail("loaded"))
    monkeypatch.setattr("toolkit.files.os.access", lambda path, mode: mode != os.W_OK)
    done = toolkit_cli("calibrate", str(checkpoint), *arguments, "--force")
    assert done.exit_code == 5
    assert f"{checkpoint.with_suffix('.json')}: folder '{checkpoint.parent}'" in done.stderr


def test_predict_says_what_its_scores_are(
    root: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    sample = root / "datasets" / "hockey" / "sample"
    rest = ["--data", str(sample / "annotations.json"), "--images", str(sample / "images")]
    for model, said in (
        ("tokenclipose-small", "the probability of lying within half a head size"),
        ("hrnet-small", "not calibrated, an order only; 'toolkit calibrate'"),
    ):
        out = ["--out", str(tmp_path / f"{model}.json"), "--runtime", "torch"]
        done = toolkit_cli("predict", model, *rest, *out)
        assert said in done.stderr
