"""The reading benchmark runs in a short form and writes the file again byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_short_form_reports_ratios_and_memory(root: Path) -> None:
    options = ["--scale", "0.002", "--repeat", "1", "--json"]
    ended = subprocess.run(
        [sys.executable, "benchmarks/reading.py", *options],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    report = json.loads(ended.stdout)

    assert set(report["tasks"]) == {"orjson.loads", "toolkit", "toolkit, rewrite"}
    assert report["tasks"]["orjson.loads"]["ratio"] == 1
    assert report["bytes"] > 100_000
