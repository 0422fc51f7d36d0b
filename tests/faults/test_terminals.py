"""Row 66 of the catalogue: names in any alphabet, on any terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAME = "игрок💥.json"
TERMINALS = {
    "UTF-8": {"PYTHONIOENCODING": "utf-8"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "locale C": {"LC_ALL": "C"},
    "locale C, nothing else": {
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
    },
}


@pytest.mark.parametrize("settings", TERMINALS.values(), ids=TERMINALS)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_66_a_name_that_the_terminal_cannot_show_ends_nothing(
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    settings: dict[str, str],
    as_json: bool,
) -> None:
    coco_document["annotations"][0]["area"] = 0
    coco_document["categories"][0]["name"] = "игрок 💥"
    path = write_json(coco_document, NAME)
    words = [sys.executable, "-m", "toolkit", "validate", str(path)]

    ended = subprocess.run(
        words + (["--json"] if as_json else []),
        capture_output=True,
        env=os.environ | settings,
        check=False,
    )

    assert ended.returncode == 1, ended.stderr
    assert b"Traceback" not in ended.stderr
    assert b"area-value" in ended.stdout
    if as_json:
        encoding = settings.get("PYTHONIOENCODING", "utf-8")
        report = json.loads(ended.stdout.decode(encoding))
        assert "area-value" in {finding["rule"] for finding in report["findings"]}
