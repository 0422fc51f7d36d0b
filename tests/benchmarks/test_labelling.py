"""The labelling benchmark runs in a short form and brings home the document that went."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_short_form_reports_rates_there_and_home(root: Path) -> None:
    options = ["--scale", "0.01", "--repeat", "1", "--json"]
    ended = subprocess.run(
        [sys.executable, "benchmarks/labelling.py", *options],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    report = json.loads(ended.stdout)

    assert report["people"] == 110
    assert set(report["rates"]) == {
        "to tasks",
        "from tasks",
        "file to file, to tasks",
        "label-studio-sdk, file to file",
        "from a file",
    }
    assert min(report["rates"].values()) > 0
