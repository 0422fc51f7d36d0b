"""What is wrong with a checkpoint is named, with the next step, by all that read it."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.errors import ReadError, UsageError
from toolkit.models import get_model, load_checkpoint

ALL = ("predict", "export", "benchmark", "init", "resume")
SECONDS = 30  # of CPU, torch's import among them; each takes a few


class _Payload:
    """Unpickling it would write a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.canary,)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Payload(path.parent / "canary")))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def lacking(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    prefix = "network." if path.name.startswith("last.state") else ""
    del tensors[f"{prefix}final_layer.weight"]
    save_file(tensors, path)


@pytest.fixture
def call(
    root: Path, tmp_path: Path, toolkit_cli: Callable[..., object]
) -> Callable[..., object]:
    """Run a command on a checkpoint of hrnet-small that was changed, on the hockey sample."""
    sample = root / "datasets" / "hockey" / "sample"
    data = ("--data", sample / "annotations.json", "--images", sample / "images")

    def run(command: str, change: Callable[[Path], None], schema: str = "hockey") -> object:
        shipped = root / "baselines" / "checkpoints" / f"hrnet-small_{schema}.safetensors"
        path = tmp_path / "mine.safetensors"
        for suffix in (".safetensors", ".json"):
            shutil.copy(shipped.with_suffix(suffix), path.with_suffix(suffix))
        recipe = tmp_path / "tiny.toml"
        recipe.write_text("input_wh = [32, 32]\nimages_seen = 4\nbatch_size = 4\n")
        train = ("train", "hrnet-small", *data, "--recipe", recipe, "--out", tmp_path / "run")
        if command == "resume":
            assert toolkit_cli(*train, "--device", "cpu").exit_code == 0
            change(tmp_path / "run" / "last.state.safetensors")
        else:
            change(path)
        arguments = {
            "predict": ("predict", path, *data, "--out", tmp_path / "out.json"),
            "export": ("export", path, tmp_path / "out.onnx"),
            "benchmark": (
                *("benchmark", "--suite", "hockey", *data, "--bootstrap", 0),
                *("--models", f"mine={path}", "--out", tmp_path / "report"),
            ),
            "init": (*train, "--init", path),
            "resume": (*train, "--resume"),
        }[command]
        started = time.process_time()
        result = toolkit_cli(*arguments)
        assert time.process_time() - started < SECONDS
        assert not (tmp_path / "canary").exists()
        for name in ("out.json", "out.onnx", "report", "run/best.safetensors"):
            assert command == "resume" or not (tmp_path / name).exists()
        return result

    return run


@pytest.mark.parametrize("command", ALL)
def test_a_malicious_pickle_is_refused_and_not_run(command: str, call: Callable) -> None:
    result = call(command, pickled)
    assert result.exit_code == 4, result.stderr
    assert "refused: not safetensors but a pickle" in result.stderr
    assert "toolkit adopt" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ALL)
def test_a_truncated_file_is_named(command: str, call: Callable) -> None:
    result = call(command, truncated)
    assert result.exit_code == 3, result.stderr
    assert "not a whole safetensors file" in result.stderr
    assert "fetch or train it again" in result.stderr


@pytest.mark.parametrize("command", ALL)
def test_a_missing_weight_is_named(command: str, call: Callable) -> None:
    result = call(command, lacking)
    assert result.exit_code == 3, result.stderr
    assert "final_layer.weight" in result.stderr
    assert ("train anew" if command == "resume" else "fetch both files again") in result.stderr


@pytest.mark.parametrize("command", ["benchmark", "init"])
def test_a_checkpoint_of_another_schema_is_named(command: str, call: Callable) -> None:
    result = call(command, lambda path: None, schema="crowdpose")
    assert result.exit_code in (1, 2), result.stderr
    assert "crowdpose" in result.stderr
    assert "hockey" in result.stderr


@pytest.mark.parametrize(
    ("named", "held"), [("mean-pose", "hrnet-small"), ("hrnet-small", "mean-pose")]
)
def test_a_checkpoint_of_another_model_is_named_and_not_called_damaged(
    named: str, held: str, root: Path
) -> None:
    path = root / "baselines" / "checkpoints" / f"{held}_hockey.safetensors"
    with pytest.raises(UsageError, match=f"holds model '{held}', not .*{named}"):
        get_model(named).load(path, "cpu")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ("{}", "names no model; known: body-to-stick"),
        ('{"model": []}', r"names model '\[\]'; known: body-to-stick"),
        (
            '{"detector": "person-small"}',
            "names detector 'person-small' and no model; .*--boxes person-small=.*mine.saf",
        ),
        ("[" * 100_000, "not the facts of a checkpoint: maximum recursion"),
        ("[]", "not the facts of a checkpoint: got list"),
    ],
    ids=["none", "a list", "a detector", "deep", "no object"],
)
def test_facts_that_name_no_model_are_refused(facts: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"")
    path.with_suffix(".json").write_text(facts)
    with pytest.raises(ReadError, match=f"mine.json: {said}"):
        load_checkpoint(path, "cpu")


def test_predicting_with_a_checkpoint_of_another_schema_says_what_is_lacking(
    call: Callable, tmp_path: Path, root: Path, toolkit_cli: Callable
) -> None:
    """It gives the keypoints that it knows, and says that these are not the data's."""
    sample = root / "datasets" / "hockey" / "sample"
    path = root / "baselines" / "checkpoints" / "hrnet-small_crowdpose.safetensors"
    out = tmp_path / "out.json"
    result = toolkit_cli(
        *("predict", path, "--data", sample / "annotations.json"),
        *("--images", sample / "images", "--out", out, "--runtime", "torch"),
    )
    assert result.exit_code == 0, result.stderr
    assert "stick_toe" in result.stderr
    assert len(json.loads(out.read_text())[0]["keypoints"]) == 3 * 14


def test_a_hub_that_cannot_be_reached_is_named_at_once(
    root: Path, tmp_path: Path, toolkit_cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    sample = root / "datasets" / "hockey" / "sample"
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'backbone = "hrnet-w48"\npretrained = "ms_in1k"\nimages_seen = 4\nbatch_size = 4\n'
    )
    started = time.process_time()
    result = toolkit_cli(
        *("train", "hrnet-w48", "--data", sample / "annotations.json"),
        *("--images", sample / "images", "--recipe", recipe, "--out", tmp_path / "run"),
    )
    assert time.process_time() - started < SECONDS
    assert result.exit_code == 6, result.stderr
    assert "could not be fetched" in result.stderr
    assert "pretrained = 'FILE.safetensors'" in result.stderr
