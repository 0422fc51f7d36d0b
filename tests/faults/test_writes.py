"""Rows 61 to 65 of the catalogue: what can happen while an output is written."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]

# The real command line in a process of its own, under a limit of 500 bytes a file.
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
from toolkit.cli import main
main()
"""
# The real command line, which a signal hits when it opens or renames its temporary file.
STOPPED = """
import os, signal, sys
moment, name = sys.argv.pop(1), sys.argv.pop(1)

def stop(event, arguments):
    if event == moment and ".tmp" in str(arguments[0]):
        os.kill(os.getpid(), getattr(signal, name))

sys.addaudithook(stop)
from toolkit.cli import main
main()
"""


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def source(coco_document: Document, write_json: Callable[..., Path]) -> Path:
    return write_json(coco_document, "source.json")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An output of an earlier run."""
    path = tmp_path / "target.json"
    path.write_bytes(b"old")
    return path


def test_61_a_full_disk_leaves_the_old_output(source: Path, target: Path) -> None:
    before = source.read_bytes()

    ended = run(LIMITED, "convert", source, target, "--force")

    assert ended.returncode == 5, ended.stderr
    assert "target.json: cannot write: File too large; what stood there before is" in (
        ended.stderr
    )
    assert "Traceback" not in ended.stderr
    assert target.read_bytes() == b"old"
    assert source.read_bytes() == before
    assert names(target.parent) == ["source.json", "target.json"]


def test_62_a_missing_folder_is_told_before_the_work(
    source: Path, tmp_path: Path, fault: Callable[..., str]
) -> None:
    fault(
        "convert",
        source,
        tmp_path / "none" / "target.json",
        exit_code=5,
        message="folder '.*none' does not exist; make it first",
    )


def test_62_a_folder_that_takes_no_files_is_told(
    source: Path, fault: Callable[..., str]
) -> None:
    # Nobody can make files in /proc, not even root; elsewhere there is no /proc at all.
    fault("convert", source, "/proc/target.json", exit_code=5, message=r"/proc/target.json: ")


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_63_ctrl_c_leaves_the_old_output_and_ends_with_130(
    source: Path, target: Path, moment: str
) -> None:
    ended = run(STOPPED, moment, "SIGINT", "convert", source, target, "--force")

    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.strip().endswith("interrupted")
    assert "Traceback" not in ended.stderr
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["source.json", "target.json"]


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_63_kill_9_leaves_the_old_output_and_the_next_run_cleans_up(
    source: Path, target: Path, moment: str, toolkit_cli: Callable[..., Any]
) -> None:
    ended = run(STOPPED, moment, "SIGKILL", "convert", source, target, "--force")

    assert ended.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"

    assert toolkit_cli("convert", source, target, "--force").exit_code == 0
    assert target.read_bytes() == source.read_bytes()
    assert names(target.parent) == ["source.json", "target.json"]


def test_an_existing_output_needs_force(
    source: Path, target: Path, fault: Callable[..., str]
) -> None:
    fault("convert", source, target, exit_code=2, message="exists already; pass --force")


def test_65_the_output_is_not_the_input(source: Path, fault: Callable[..., str]) -> None:
    fault(
        "convert",
        source,
        source,
        "--force",
        exit_code=2,
        message="the output is the input; choose another name",
    )


def test_a_faulty_input_leaves_no_output(
    tmp_path: Path, write_json: Callable[..., Path], fault: Callable[..., str]
) -> None:
    fault(
        "convert",
        write_json('{"images": ['),
        tmp_path / "target.json",
        exit_code=3,
        message=r"annotations.json: byte 12 .*truncated",
    )
