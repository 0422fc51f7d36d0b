"""How a command ends: the line that is told of an error, and the exit code."""

from __future__ import annotations

import click

from toolkit.errors import INTERNAL, ResourceError, ToolkitError, WriteError
from toolkit.printed import printable_lines

INTERRUPTED = 130


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
