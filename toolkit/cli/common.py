"""What all commands share: options, output and progress.

Standard output carries a command's result and nothing else; progress, notices and errors
go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.printed import printable_lines

if TYPE_CHECKING:
    from rich.console import Console

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
