"""Which data sets there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import catalog
from toolkit.errors import UsageError


def test_the_shipped_sets_are_listed() -> None:
    assert catalog.list_datasets() == ("coco", "crowdpose", "hockey", "lacrosse")


def test_another_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rugby").mkdir()
    (tmp_path / "rugby" / "schema.yaml").write_text("")
    monkeypatch.setenv("TOOLKIT_DATASETS", str(tmp_path))

    assert catalog.list_datasets() == ("rugby",)


def test_a_set_without_a_sample_is_told() -> None:
    with pytest.raises(UsageError, match="no sample 'coco'; known: "):
        catalog.sample_path("coco")
