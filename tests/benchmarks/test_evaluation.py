"""The evaluation benchmark runs in its short form and reports equal numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_short_form_reports_ratios_and_equal_numbers(root: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "benchmarks/evaluation.py", "--quick", "--json"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    report = json.loads(ended.stdout)

    assert set(report["tasks"]) == {"pycocotools", "hotcoco", "toolkit", "everything"}
    assert all(row["max_abs_diff"] <= 1e-12 for row in report["tasks"].values())
    assert report["tasks"]["toolkit"]["cpu_ratio"] > 0
