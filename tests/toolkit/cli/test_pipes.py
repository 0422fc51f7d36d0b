"""Standard output and error that end early, are closed, or are full: no error of the data."""

from __future__ import annotations

import shlex
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


# The real command line, whose files (and streams that are files) can take no byte.
FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from toolkit.cli import main
main()
"""


@pytest.mark.parametrize("words", [("--help",), ("validate", "--help"), ("datasets", "list")])
def test_a_full_standard_output_ends_with_5_and_one_line(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    with (tmp_path / "out").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", FULL, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 5
    assert done.stderr == (
        "Error: cannot write to standard output or standard error: File too large\n"
    )


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("validate", "none.json"), 3),
        (("validate", "--nonsense"), 2),
        (("split", "verify", "none"), 5),  # it tells its progress before anything else
    ],
    ids=["an error", "wrong usage", "progress"],
)
def test_a_full_standard_error_changes_no_exit_code_but_that_of_success(
    tmp_path: Path, words: tuple[str, ...], exit_code: int
) -> None:
    with (tmp_path / "out").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", FULL, *words],
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )

    assert (done.returncode, done.stdout) == (exit_code, b"")


@pytest.mark.parametrize(
    ("closing", "arrives"),
    [("<&-", True), ("2>&-", True), (">&-", False), ("<&- >&- 2>&-", False)],
)
@pytest.mark.parametrize("words", [("stats",), ("validate",), ("validate", "--json")])
def test_a_stream_that_is_closed_gets_nothing_and_ends_nothing(
    root: Path, words: tuple[str, ...], closing: str, arrives: bool
) -> None:
    sample = root / "datasets" / "hockey" / "sample" / "annotations.json"
    command = shlex.join([sys.executable, "-m", "toolkit", words[0], str(sample), *words[1:]])

    done = subprocess.run(
        ["sh", "-c", f"{command} {closing}"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, bool(done.stdout), done.stderr) == (0, arrives, "")
