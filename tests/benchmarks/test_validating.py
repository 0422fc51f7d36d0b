"""The validating benchmark runs in a short form, finds its data sound, and judges its bars."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def benchmark(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("validating")


def test_the_short_form_reports_time_memory_and_growth(root: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "benchmarks/validating.py", "--scale", "0.01", "--growth", "--json"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    report = json.loads(ended.stdout)

    assert set(report["tasks"]) == {"orjson.loads", "toolkit", "toolkit, a tenth"}
    assert [bar["wanted"] for bar in report["bars"]] == [1.0, 4.0, 14.0]
    assert report["bytes"] > 1_000_000


def test_bars_are_ratios_of_what_was_measured(benchmark: ModuleType) -> None:
    seconds = {"orjson.loads": 4.0, "toolkit": 3.0, "toolkit, a tenth": 0.2}
    seconds |= {"convert, a tenth": 0.5, "Datumaro, a tenth": 20.0}

    bars = benchmark.bars_of(seconds, memory=4.5)

    assert [(bar["got"], bar["met"]) for bar in bars] == [
        (0.75, True),
        (4.5, False),
        (pytest.approx(15.0), False),
        (40.0, True),
    ]


def test_the_same_scale_gives_the_same_bytes(benchmark: ModuleType, tmp_path: Path) -> None:
    first = benchmark.write_file(tmp_path / "a.json", 0.0005)
    second = benchmark.write_file(tmp_path / "b.json", 0.0005)

    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 50_000
