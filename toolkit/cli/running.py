"""A command from its arguments to its exit code; an error is one line on standard error."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from toolkit.cli.outcome import INTERRUPTED, outcome


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
