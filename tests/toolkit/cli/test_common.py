"""What all commands share: exit codes, one-line errors, streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from toolkit import errors
from toolkit.cli.common import echo_json, progress_bar
from toolkit.cli.running import run
from toolkit.cli.together import _tell


def command(body: Callable[[], object]) -> click.Command:
    """A command that does this; it takes `--debug` like the real one."""

    @click.command()
    @click.option("--debug", is_flag=True)
    def made(*, debug: bool) -> object:
        return body()

    return made


def ended(body: Callable[[], object], *words: str) -> int:
    """Run a command; gives its exit code."""
    with pytest.raises(SystemExit, match=r"^\d+$") as raised:
        run(command(body), list(words))
    assert isinstance(raised.value.code, int)
    return raised.value.code


def fail_with(error: BaseException) -> Callable[[], object]:
    def body() -> object:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (errors.InvalidDataError("bad area"), 1, "Error: bad area"),
        (errors.UsageError("no file"), 2, "Error: no file"),
        (errors.ReadError("not JSON"), 3, "Error: not JSON"),
        (errors.UnsafeInputError("a pickle"), 4, "Error: a pickle"),
        (errors.WriteError("no folder"), 5, "Error: no folder"),
        (errors.MissingExtraError("no torch"), 6, "Error: no torch"),
        (MemoryError(), 5, "Error: out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.exceptions.Abort(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_is_one_line_and_an_exit_code(
    capfd: pytest.CaptureFixture[str], error: BaseException, exit_code: int, line: str
) -> None:
    assert ended(fail_with(error)) == exit_code

    streams = capfd.readouterr()
    assert streams.out == ""
    assert streams.err.strip() == line


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (errors.ReadError("not JSON"), 3, "Error: not JSON (process 0 of 1)"),
        (MemoryError(), 5, "Error: out of memory (process 0 of 1)"),
        (OSError(28, "No space left", "a.json"), 5, "Error: a.json: No space left (process 0"),
        (KeyError("area"), 70, "Error: the toolkit itself failed (KeyError: 'area'); 'toolkit"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_one_of_several_processes_ends_in_the_same_line_and_exit_code(
    capfd: pytest.CaptureFixture[str], error: BaseException, exit_code: int, line: str
) -> None:
    assert _tell(error, debug=False) == exit_code

    told = capfd.readouterr().err
    assert told.startswith(line)
    assert told.count("\n") == 1


@pytest.mark.parametrize("error", [errors.ReadError, OSError, ValueError])
def test_an_error_that_quotes_a_file_cannot_steer_the_terminal(
    capfd: pytest.CaptureFixture[str], error: type[Exception]
) -> None:
    ended(fail_with(error("category '\x1b[2J'")))
    _tell(error("category '\x1b[2J'"), debug=False)

    told = capfd.readouterr().err
    assert "\x1b" not in told
    assert told.count("category '\\x1b[2J'") == 2


def test_a_traceback_is_shown_on_demand_only(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(fail_with(errors.ReadError("not JSON")), "--debug") == 3

    assert "Traceback" in capfd.readouterr().err


def test_wrong_usage_ends_with_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: None, "--nonsense") == 2
    assert "--nonsense" in capfd.readouterr().err


@pytest.mark.parametrize(("value", "exit_code"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_s_number_is_the_exit_code(value: int | None, exit_code: int) -> None:
    assert ended(lambda: value) == exit_code


def test_a_programming_error_is_told_as_ours(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: 1 // 0) == 70
    told = capfd.readouterr().err
    assert told.startswith("Error: the toolkit itself failed (ZeroDivisionError: ")
    assert told.count("\n") == 1

    assert ended(lambda: 1 // 0, "--debug") == 70
    assert "Traceback" in capfd.readouterr().err


def test_an_error_of_the_system_that_nobody_foresaw_is_one_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert ended((tmp_path / "none").read_text) == 5
    assert capfd.readouterr().err == f"Error: {tmp_path / 'none'}: No such file or directory\n"


def test_a_document_holds_no_nan(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        echo_json({"AP": float("nan")})
    assert capfd.readouterr().out == ""


def test_a_document_keeps_its_letters(capfd: pytest.CaptureFixture[str]) -> None:
    echo_json({"name": "игрок"})

    assert json.loads(capfd.readouterr().out) == {"name": "игрок"}


def test_progress_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading") as update:
        update(1, 2)

    assert capfd.readouterr().out == ""


def test_a_reader_that_leaves_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "toolkit", "validate", "--explain", "all", "--json"]

    ended = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)

    assert b"Traceback" not in ended.stderr
    assert ended.returncode == 0, ended.stderr
