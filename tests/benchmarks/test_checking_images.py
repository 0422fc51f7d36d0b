"""The benchmark of the image checks runs in a short form and compares the findings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_short_form_reports_times_and_the_same_findings(root: Path) -> None:
    sample = root / "datasets" / "hockey" / "sample"
    options = ["--data", str(sample), "--repeat", "1", "--json"]
    ended = subprocess.run(
        [sys.executable, "benchmarks/checking_images.py", *options],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=False,  # a busy machine misses the bar
    )

    report = json.loads(ended.stdout)

    assert report["pictures"] == 21
    assert report["same_findings"] is True
    assert set(report["runs"]) == {"1 worker", "2 workers"}
