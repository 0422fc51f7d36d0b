"""One class for each thing a caller may catch, each with its exit code."""

from __future__ import annotations

import pytest

from toolkit import errors
from toolkit.errors import InvalidDataError, SchemaError, ToolkitError
from toolkit.report import Report

EXIT_CODES = {
    "ToolkitError": 1,
    "InvalidDataError": 1,
    "SchemaError": 1,
    "UsageError": 2,
    "OutputExistsError": 2,
    "ReadError": 3,
    "UnsafeInputError": 4,
    "WriteError": 5,
    "ResourceError": 5,
    "MissingExtraError": 6,
    "ServiceError": 6,
}


def classes() -> dict[str, type[ToolkitError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, ToolkitError)
    }


def test_every_error_has_its_exit_code() -> None:
    assert {name: error.exit_code for name, error in classes().items()} == EXIT_CODES


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = errors.__doc__ or ""

    for name, error in classes().items():
        line = next(line for line in drawn.splitlines() if f" {name} " in line)
        parents = len(error.__mro__) - len(ToolkitError.__mro__)
        assert line.index(name) == 4 * (parents + 1), f"{name} is drawn under another class"
        assert f" {error.exit_code} " in f"{line} "


def test_invalid_data_carries_its_report() -> None:
    report = Report("a.json", "coco", "coco", ())

    assert InvalidDataError("bad", report).report is report
    assert SchemaError("bad").report is None


def test_a_caller_can_catch_all_of_them() -> None:
    for error in classes().values():
        with pytest.raises(ToolkitError, match="what happened"):
            raise error("what happened")
