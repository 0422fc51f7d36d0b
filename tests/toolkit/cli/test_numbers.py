from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("diff a.json b.json", "--tolerance"),
        ("diff a.json b.json", "--oks"),
        ("show a.json --images . --out out", "--crop"),
        ("labelstudio push a.json --images .", "--margin"),
        ("detect person --data a.json --images . --out p.json", "--min-score"),
    ],
)
def test_a_number_that_is_none_is_wrong_usage(
    command: str, option: str, toolkit_cli: Callable[..., Any]
) -> None:
    result = toolkit_cli(*command.split(), option, "nan")

    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr
    assert "not a finite number" in result.stderr


def test_an_infinite_tolerance_is_wrong_usage(toolkit_cli: Callable[..., Any]) -> None:
    assert toolkit_cli("diff", Path("a"), Path("b"), "--tolerance", "inf").exit_code == 2


def test_a_negative_seed_is_wrong_usage(toolkit_cli: Callable[..., Any]) -> None:
    result = toolkit_cli("evaluate", "a.json", "p.json", "--bootstrap", "5", "--seed", "-1")

    assert result.exit_code == 2
    assert "Invalid value for '--seed': -1 is not in the range x>=0" in result.stderr
