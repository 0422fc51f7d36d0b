"""Several real processes under torchrun, and one that is killed: the result is the same."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.checkpoints import read_metadata, read_tensors
from baselines.run_state import STATE
from baselines.shards import gathered, share_of_batch
from toolkit import write
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.processes import (
    Processes,
    choose_device,
    own_threads,
    processes,
    share_of_frames,
)

RECIPE = """
{family}
input_wh = [32, 32]
images_seen = {images}
batch_size = 4
validate_every = {every}
precision = "{precision}"
batchnorm = "{batchnorm}"
shift = 0.3
half_body = 0.3
deterministic = true
"""
FAMILIES = {
    "hrnet-small": 'family = "heatmap"',
    "tokenclipose-small": """
family = "tokenclipose"
text = "learned"
dim = 16
layers = 1
guide_weight = 20.0
error_weight = 10.0
""",
}
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "toolkit")


def start(*arguments: object, processes: int = 1) -> subprocess.Popen[str]:
    module = ("toolkit",) if processes == 1 else TORCHRUN
    return subprocess.Popen(
        [sys.executable, "-m", *module, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: object, processes: int = 1) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, without what torchrun itself says."""
    child = start(*arguments, processes=processes)
    out, err = child.communicate(timeout=170)
    return child.returncode, out, err


@pytest.fixture
def data(people: tuple[Dataset, Path], tmp_path: Path) -> list[object]:
    """Options that name eight drawn people in four frames."""
    path = tmp_path / "annotations.json"
    write(people[0], path)
    return ["--data", path, "--images", people[1]]


def training(
    data: list[object], out: Path, model: str = "hrnet-small", **recipe: object
) -> list[object]:
    settings = {"images": 40, "every": 20, "precision": "float32", "batchnorm": "train"}
    path = out.with_suffix(".toml")
    path.write_text(RECIPE.format(family=FAMILIES[model], **(settings | recipe)))
    return ["train", model, *data, "--out", out, "--recipe", path, "--device", "cpu"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", FAMILIES)
def test_two_processes_follow_the_loss_of_one(
    data: list[object], model: str, tmp_path: Path
) -> None:
    """BatchNorm frozen, float64, 50 steps: the same loss to far below 1e-4."""
    losses = []
    for count in (1, 2):
        out = tmp_path / f"run{count}"
        options = training(
            data, out, model, images=200, every=4, precision="float64", batchnorm="frozen"
        )
        code, printed, err = run(*options, processes=count)
        assert code == 0, err
        assert printed.splitlines() == [str(out / "best.safetensors")], "only one prints"
        history = json.loads(read_metadata(out / STATE)["history"])
        losses.append([record["loss"] for record in history])
        assert not list(out.glob("crops.*")), "the shared cache is gone"
    assert len(losses[0]) == len(losses[1]) == 50
    assert losses[0][0] != losses[0][-1]
    assert np.abs(np.subtract(*losses)).max() < 1e-9


@pytest.mark.timeout(600)
def test_a_run_killed_at_random_moments_ends_with_the_weights_of_an_unbroken_one(
    data: list[object], tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    code, _, err = run(*training(data, whole, images=160))
    assert code == 0, err

    for attempt in range(2):
        child = start(*training(data, broken, images=160), *["--resume"] * (attempt > 0))
        before = (broken / STATE).stat().st_mtime if attempt else 0
        while not (broken / STATE).is_file() or (broken / STATE).stat().st_mtime == before:
            assert child.poll() is None, child.communicate()
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        assert child.returncode == -signal.SIGKILL
        assert int(read_tensors(broken / STATE)["step"]) < 40, "it was still at work"
    code, _, err = run(*training(data, broken, images=160), "--resume")
    assert code == 0, err

    for name in ("best.safetensors", "last.safetensors", STATE):
        expected, found = read_tensors(whole / name), read_tensors(broken / name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert torch.equal(value, found[key]), (name, key)
    seen = [row.split(",")[0] for row in (broken / "log.csv").read_text().splitlines()]
    assert seen == ["images_seen", *[f"{20.0 * n}" for n in range(1, 9)]]


def test_two_processes_predict_what_one_does_in_the_same_order(
    data: list[object], tmp_path: Path
) -> None:
    found = []
    for count in (1, 2):
        out = tmp_path / f"{count}.json"
        options = ("predict", "tokenclipose-small", *data, "--out", out, "--runtime", "torch")
        code, _, err = run(*options, "--batch-size", 3, processes=count)
        assert code == 0, err
        assert err.count("8 people, schema 'hockey'") == 1
        found.append(json.loads(out.read_text()))
    for one, other in zip(*found, strict=True):
        assert one["annotation_id"] == other["annotation_id"]
        assert np.abs(np.subtract(one["keypoints"], other["keypoints"])).max() < 1e-3
        assert np.abs(np.subtract(one["sigmas"], other["sigmas"])).max() < 1e-3


MACHINES = """
import os
import sys
from pathlib import Path

os.chdir(Path(__file__).parent / f"machine{os.environ['RANK']}")
os.environ |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": os.environ["RANK"]}
sys.argv[0] = "toolkit"
from toolkit.cli import main

main()
"""


@pytest.mark.timeout(600)
def test_processes_that_do_not_share_the_folder_end_before_the_first_step(
    data: list[object], tmp_path: Path
) -> None:
    """Two machines with folders of their own: the second lacks the run, or even the folder."""
    (tmp_path / "machines.py").write_text(MACHINES)
    own, other = tmp_path / "machine0", tmp_path / "machine1"
    own.mkdir()
    other.mkdir()
    options = training(data, own / "run")
    code, _, err = run(*options)
    assert code == 0, err
    options[options.index(own / "run")] = Path("run")
    command = [sys.executable, "-m", *TORCHRUN[:-2], tmp_path / "machines.py", *options]
    before = read_tensors(own / "run" / STATE)["step"]

    for there, message in (
        (False, "run: made by the first process, not there in this one; --out must be one"),
        (True, "at image 40 for process 0, at 0 for process 1; --out must be one folder"),
    ):
        if there:
            (other / "run").mkdir()
        ran = subprocess.run(
            [*map(str, command), "--resume"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert ran.returncode != 0
        assert message in ran.stderr, ran.stderr
    assert torch.equal(read_tensors(own / "run" / STATE)["step"], before)


def test_the_cores_are_shared_out_for_benchmark_too(
    toolkit_cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, found = torch.get_num_threads(), []

    def measured(*_: object) -> None:
        found.append(torch.get_num_threads())
        raise UsageError("measured")

    monkeypatch.setattr("toolkit.processes.own_threads", lambda threads: threads or 3)
    monkeypatch.setattr("toolkit.benchmark.runner.run", measured)
    try:
        assert "measured" in toolkit_cli("benchmark", "--suite", "hockey").stderr
    finally:
        torch.set_num_threads(before)
    assert found == [3]


def test_two_processes_fill_the_table_of_one(root: Path) -> None:
    """All but the seconds a person, which are measured."""
    sample = root / "datasets" / "hockey" / "sample"
    rows = []
    for count in (1, 2):
        code, out, err = run(
            *("benchmark", "--suite", "hockey", "--data", sample / "annotations.json"),
            *(
                "--images",
                sample / "images",
                "--models",
                "mean-pose",
                "--bootstrap",
                0,
                "--json",
            ),
            processes=count,
        )
        assert code == 0, err
        (table,) = json.loads(out)["tables"]
        rows.append(re.sub(r'"s/person": [^,}]*', "", json.dumps(table)))
    assert rows[0] == rows[1]


def test_an_error_of_one_process_ends_all_with_one_message(
    people: tuple[Dataset, Path], data: list[object], tmp_path: Path
) -> None:
    """The fourth frame, which the second process reads, is no image."""
    images = tmp_path / "images"
    images.mkdir()
    for path in people[1].iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    (images / "3.png").write_text("no image")
    out = tmp_path / "out.json"
    code, printed, err = run(
        *("predict", "hrnet-small", *data[:2], "--images", images, "--out", out),
        processes=2,
    )
    assert code != 0
    assert printed == ""
    (message,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert "3.png" in message
    assert message.endswith("(process 1 of 2)")
    assert not out.exists()


def test_an_error_of_all_processes_is_told_once(data: list[object], tmp_path: Path) -> None:
    code, _, err = run(
        *training(data, tmp_path / "run"), "--val-data", tmp_path / "none.json", processes=2
    )
    assert code != 0
    assert err.count("Error: --val-data needs --val-images") == 1


def test_what_several_processes_would_all_do_in_full_is_refused(data: list[object]) -> None:
    code, _, err = run("validate", data[1], processes=2)
    assert code != 0
    assert err.count("'toolkit validate' is not done by several processes") == 1


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match=r"batch_size 32 .* among 3 processes; nearest .* 33"):
        share_of_batch(32, Processes(rank=0, size=3))
    assert share_of_batch(32, Processes(rank=1, size=4)) == slice(8, 16)


def test_every_frame_is_one_process_s_and_shares_are_about_equal() -> None:
    """Frames of 4, 1, 1 and 2 people, in no order: 2 3 7 7 7 7 | 9 9."""
    frame_of = np.array([7, 2, 7, 7, 3, 9, 7, 9])
    shares = [share_of_frames(frame_of, Processes(rank, 2)).tolist() for rank in range(2)]
    assert shares == [[0, 1, 2, 3, 4, 6], [5, 7]]


def test_nobody_s_frames_are_shared_by_nobody() -> None:
    for rank in range(3):
        assert share_of_frames(np.zeros(0, np.int64), Processes(rank, 3)).tolist() == []
    one_frame = [share_of_frames(np.zeros(5, np.int64), Processes(r, 2)) for r in range(2)]
    assert sorted(np.concatenate(one_frame).tolist()) == list(range(5))


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert processes() == Processes(rank=0, size=1)
    assert own_threads(None) is None
    assert choose_device("cpu") == "cpu"
    output = torch.ones(2)
    assert gathered(output, processes()) is output


def test_threads_are_shared_and_a_gpu_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    for name, value in zip(names, ("1", "2", "1", "2"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert processes() == Processes(1, 2, 1, 2)
    assert own_threads(None) == 4
    assert own_threads(3) == 3
    with pytest.raises(UsageError, match="device 'cuda:0' is one GPU for 2 processes"):
        choose_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="2 processes for 1 GPUs; start as many"):
        choose_device("cuda")


@pytest.mark.parametrize("device", [None, "cuda"])
def test_each_process_selects_its_own_gpu_before_it_puts_anything_on_one(
    monkeypatch: pytest.MonkeyPatch, device: str | None
) -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    for name, value in zip(names, ("1", "2", "1", "2"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    done: list[tuple[str, object]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda own: done.append(("select", own)))
    monkeypatch.setattr(torch, "zeros", lambda _, device: done.append(("put", device)))
    assert choose_device(device) == "cuda:1"
    assert done == [("select", 1), ("put", "cuda:1")]
