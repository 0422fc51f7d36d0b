"""Where the data that ships with the project is found, and the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import places
from toolkit.errors import ReadError


def test_a_checkout_s_own_folder_is_found(root: Path) -> None:
    assert places.datasets_root() == root / "datasets"


def test_a_named_folder_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_DATASETS", str(tmp_path / "none"))

    with pytest.raises(ReadError, match=r"TOOLKIT_DATASETS is '.*none', which is not a folder"):
        places.datasets_root()


def test_the_cache_is_where_the_user_says(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOOLKIT_CACHE", raising=False)
    assert places.cache_root() == root / ".cache"

    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "elsewhere"))
    assert places.cache_root() == tmp_path / "elsewhere"
    assert not (tmp_path / "elsewhere").exists()
