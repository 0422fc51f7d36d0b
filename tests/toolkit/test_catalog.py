"""Where the data that ships with the project is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import catalog
from toolkit.errors import ReadError, UsageError


def test_a_checkout_s_own_folder_is_found(root: Path) -> None:
    assert catalog.datasets_root() == root / "datasets"
    assert catalog.list_datasets() == ("coco", "crowdpose", "hockey", "lacrosse")


def test_another_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rugby").mkdir()
    (tmp_path / "rugby" / "schema.yaml").write_text("")
    monkeypatch.setenv("TOOLKIT_DATASETS", str(tmp_path))

    assert catalog.list_datasets() == ("rugby",)


def test_a_named_folder_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_DATASETS", str(tmp_path / "none"))

    with pytest.raises(ReadError, match=r"TOOLKIT_DATASETS is '.*none', which is not a folder"):
        catalog.datasets_root()


def test_a_set_without_a_sample_is_told() -> None:
    with pytest.raises(UsageError, match="no sample 'coco'; known: "):
        catalog.sample_path("coco")


def test_the_cache_is_where_the_user_says(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOOLKIT_CACHE", raising=False)
    assert catalog.cache_root() == root / ".cache"

    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "elsewhere"))
    assert catalog.cache_root() == tmp_path / "elsewhere"
    assert not (tmp_path / "elsewhere").exists()
