"""What all commands share: options, output, progress and exit codes.

Standard output carries a command's result and nothing else; progress, notices and errors
go to standard error.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from toolkit.errors import INTERNAL, ResourceError, ToolkitError, WriteError
from toolkit.printed import printable_lines

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
# The names of `toolkit.formats.FORMATS`, which would cost `--help` its speed; a test holds
# them equal.
FORMATS = (
    "coco",
    "crowdpose",
    "cropcoco",
    "results",
    "parquet",
    "csv",
    "yolo",
    "cvat",
    "labelstudio",
    "mat",
)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def json_option(function: _Function) -> _Function:
    """Add `--json` as the keyword `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print one JSON document and nothing else.",
    )(function)


def force_option(function: _Function) -> _Function:
    """Add `--force`."""
    return click.option("--force", is_flag=True, help="Replace an output that exists.")(
        function
    )


# As in `toolkit.checks`, which is not imported before a command runs.
PROFILES = ("coco", "crowdpose", "cropcoco", "extension")


def schema_option(function: _Function) -> _Function:
    """Add `--schema`."""
    return click.option(
        "--schema",
        metavar="NAME|FILE",
        help="Built-in schema (hockey, lacrosse, crowdpose, coco) or a schema file.",
    )(function)


def schema_file(schema: str | None) -> Path | None:
    """The file that `--schema` names; None for a built-in schema, or none."""
    from toolkit.schema import Schema  # lazy: NumPy

    return None if schema is None or schema in Schema.builtin_names() else Path(schema)


def echo_json(document: object) -> None:
    """Print one JSON document; NaN is refused, never printed."""
    escaped = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    click.echo(json.dumps(document, indent=2, ensure_ascii=escaped, allow_nan=False))


def notice(message: str) -> None:
    """Print a notice to standard error; what a file says in it cannot steer the terminal."""
    click.echo(printable_lines(message), err=True)


def console(*, stderr: bool = False) -> Console:
    """A rich console for tables (standard output) or progress (standard error).

    In a file or a pipe nobody can widen the window: tables get 160 columns there, unless
    `COLUMNS` says otherwise.
    """
    from rich.console import Console  # lazy: rich costs 0.1 s

    class Piped(Console):
        """Where the reader of a table leaves (`head`), that is no error of ours."""

        def on_broken_pipe(self) -> None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)

    stream = sys.stderr if stderr else sys.stdout
    piped = not stream.isatty() and "COLUMNS" not in os.environ
    # no emoji codes: a keypoint may be named ":nose:"
    return Piped(stderr=stderr, width=160 if piped else None, emoji=False)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; call the function it gives with (done, total).

    Where standard error is no terminal, a log gets one line in place of a bar.
    """
    if not sys.stderr.isatty():
        notice(f"{label} ...")
        yield lambda done, total: None
        return
    from rich.progress import (  # lazy: rich costs 0.1 s
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(label, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


def run(command: click.Command, arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code; an error is one line, no traceback."""
    argv = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in argv
    _open_closed_streams()
    _escape_what_the_terminal_cannot_show()
    if "TORCHELASTIC_RUN_ID" in os.environ:  # lazy: nobody else needs to know of processes
        from toolkit.cli.together import run_together

        run_together(command, argv)
    stdout = sys.stdout
    try:
        result = command.main(args=argv, prog_name="toolkit", standalone_mode=False)
    except click.ClickException as error:
        with _stderr_that_may_be_full():
            error.show()
        sys.exit(error.exit_code)
    except SystemExit:
        # Where the reader of our output (`head`, a pager) left, click silences the streams
        # and ends with 1. That is no error of ours, and 1 would say that the data are bad.
        if sys.stdout is stdout:
            raise
        sys.exit(0)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, OSError):
            _silence(sys.stdout)
        line, code = outcome(error)
        with _stderr_that_may_be_full():
            if debug and code != INTERRUPTED:
                traceback.print_exc()
            click.echo(line, err=True)
        sys.exit(code)
    sys.exit(result if isinstance(result, int) else 0)


def outcome(error: BaseException) -> tuple[str, int]:
    """What is told of an error that ends a command, and the exit code.

    A message quotes names from files: it cannot steer the terminal. Click's own errors, with
    their usage, are told by click.
    """
    if isinstance(error, KeyboardInterrupt | click.exceptions.Abort):
        return "interrupted", INTERRUPTED
    if isinstance(error, ToolkitError):
        said, code = str(error), error.exit_code
    elif isinstance(error, MemoryError):
        said, code = "out of memory", ResourceError.exit_code
    elif isinstance(error, OSError):
        # Inputs and outputs have errors of their own; what is left is mostly a stream.
        where = error.filename or "cannot write to standard output or standard error"
        said, code = f"{where}: {error.strerror or error}", WriteError.exit_code
    else:  # an error of ours: 1 would say that the data are bad
        name = " ".join(f"{type(error).__name__}: {error}".split())
        said = f"the toolkit itself failed ({name}); 'toolkit --debug ...' shows the traceback"
        code = INTERNAL
    return printable_lines(f"Error: {said}"), code


def _open_closed_streams() -> None:
    """Who closes a stream (`>&-`) does not want it: it goes nowhere.

    Left closed, its number would go to the next file that is opened, and what a library
    prints would end up in there.
    """
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is not None:
            continue
        handle = os.open(os.devnull, os.O_RDWR)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def _escape_what_the_terminal_cannot_show() -> None:
    """A name in another alphabet must not end a command on a Latin-1 terminal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, or Python would try to write it at its end."""
    with suppress(OSError, ValueError):  # a stream of a test has no number
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, stream.fileno())
        os.close(handle)


@contextmanager
def _stderr_that_may_be_full() -> Iterator[None]:
    """An error that cannot be told still has its exit code."""
    try:
        yield
    except OSError:
        _silence(sys.stderr)
