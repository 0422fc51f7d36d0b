"""One small rendered set that the tests of the generator share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit.synth import render_dataset


@pytest.fixture(scope="session")
def hockey_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """45 people of seed 5, rendered in this process."""
    out = tmp_path_factory.mktemp("synth") / "hockey"
    render_dataset("hockey", out, 45, 5, workers=1)
    return out


@pytest.fixture(scope="session")
def hockey_document(hockey_folder: Path) -> dict[str, Any]:
    """Its annotation file."""
    return json.loads((hockey_folder / "annotations.json").read_text(encoding="utf-8"))
