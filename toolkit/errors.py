"""Errors that a user may meet, one class for each thing a caller may catch.

The tree, with the exit code that the command line gives for each class::

    ToolkitError                  1
    ├── InvalidDataError          1   the data has errors (carries a report)
    │   └── SchemaError           1   a schema file, or two schemas that do not fit
    ├── UsageError                2   wrong arguments
    │   └── OutputExistsError     2   an output exists and may not be overwritten
    ├── ReadError                 3   cannot read or parse the input
    ├── UnsafeInputError          4   refused: unsafe input
    ├── WriteError                5   cannot write the output
    │   └── ResourceError         5   memory, disk or another resource is exhausted
    └── MissingExtraError         6   an optional dependency is not installed
        └── ServiceError          6   a service that was asked for does not answer

A message is one line: what, where, got, wanted, next step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.report import Report

INTERNAL = 70  # the exit code of a fault of the program, not of the data, as in sysexits.h


class ToolkitError(Exception):
    """Root of every error that the toolkit raises on purpose."""

    exit_code = 1


class InvalidDataError(ToolkitError):
    """The data has errors; `report` lists all of them where there is one."""

    exit_code = 1

    def __init__(self, message: str, report: Report | None = None) -> None:
        """Keep the report beside the message."""
        super().__init__(message)
        self.report = report


class SchemaError(InvalidDataError):
    """A schema is wrong in itself, or does not fit the data it is used with."""


class UsageError(ToolkitError):
    """The command or function was called with arguments that make no sense."""

    exit_code = 2


class OutputExistsError(UsageError):
    """An output exists already and `force` was not given."""


class ReadError(ToolkitError):
    """A file cannot be read or parsed."""

    exit_code = 3


class UnsafeInputError(ToolkitError):
    """The input would read, write or run something that it must not."""

    exit_code = 4


class WriteError(ToolkitError):
    """An output cannot be written; what stood there before is intact."""

    exit_code = 5


class ResourceError(WriteError):
    """Memory, disk or another resource is exhausted."""


class MissingExtraError(ToolkitError):
    """An optional dependency is not installed; the message says how to get it."""

    exit_code = 6


class ServiceError(MissingExtraError):
    """A service (a hub, a server) that was asked for cannot be reached."""


def counted(number: int, noun: str) -> str:
    """A number and what it counts, for people.

    >>> counted(1, "image"), counted(2000, "category")
    ('1 image', '2,000 categories')
    """
    if number != 1:
        noun = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun}"
