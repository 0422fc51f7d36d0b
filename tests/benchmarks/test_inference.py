"""The benchmark of inference runs, and its bars fail where they are missed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("inference")


def test_it_measures_a_small_model_and_prints_json(root: Path) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, root / "benchmarks" / "inference.py", "--json"),
            *("--models", "hrnet-small", "--frames", "1", "--rounds", "1"),
        ],
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    (row,) = json.loads(ran.stdout)["models"]
    assert row["decodes_per_frame"] == [1.0, 1.0]
    assert row["largest_difference_px"] < 0.1
    assert set(row["people_per_second"]) == {
        *("eager", "torch", "torch predict", "onnx", "onnx predict")
    }


def test_every_bar_has_a_failing_side(script: ModuleType) -> None:
    good = {
        "model": "hrnet-w32",
        "torch_predict_over_torch": 0.9,
        "onnx_predict_over_onnx": 0.95,
        "onnx_over_eager": 1.4,
        "largest_difference_px": 0.1,
        "decodes_per_frame": [1.0, 1.0],
    }
    assert script.bars(good) == []
    for key, value in [
        ("torch_predict_over_torch", 0.89),
        ("onnx_predict_over_onnx", 0.5),
        ("onnx_over_eager", 1.39),
        ("largest_difference_px", 0.11),
        ("decodes_per_frame", [1.0, 10.0]),
    ]:
        assert len(script.bars({**good, key: value})) == 1, key
    slow = {**good, "model": "hrnet-small", "onnx_predict_over_onnx": 0.3}
    assert script.bars(slow) == []
