"""The fault catalogue: one row, one test, through the real command line.

Every test asserts the named message and the exit code, and the fixture `fault` asserts for
all of them that no traceback is shown, that inputs keep their bytes, and that nothing was
left behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size < 1 << 24
    }


@pytest.fixture
def fault(tmp_path: Path, toolkit_cli: Callable[..., Any]) -> Callable[..., str]:
    """Run a command on faulty input; gives all that it printed.

    Args of the function: the command's words, then `exit_code`, and `message`, a regular
    expression that the output must hold.
    """

    def run(*words: object, exit_code: int, message: str) -> str:
        before = _contents(tmp_path)

        result = toolkit_cli(*words)
        output: str = result.stdout + result.stderr

        assert result.exit_code == exit_code, output
        assert re.search(message, output), output
        assert "Traceback" not in output
        assert _contents(tmp_path) == before, "inputs changed, or something was left behind"
        return output

    return run
