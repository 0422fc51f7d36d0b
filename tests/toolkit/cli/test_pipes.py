"""A reader of our output that leaves early (`head`, a pager) is no error of the data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "arguments",
    [("stats", "SAMPLE"), ("validate", "--explain", "all"), ("datasets", "list")],
    ids=lambda arguments: arguments[0],
)
def test_a_reader_that_leaves_ends_a_command_with_0_and_in_silence(
    root: Path, arguments: tuple[str, ...]
) -> None:
    sample = str(root / "datasets" / "hockey" / "sample" / "annotations.json")
    command = [sample if argument == "SAMPLE" else argument for argument in arguments]
    child = subprocess.Popen(
        [sys.executable, "-m", "toolkit", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()

    said = child.stderr.read()
    child.stderr.close()

    assert (child.wait(), said) == (0, b"")
