"""Files and the data sets that they hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit import formats
from toolkit.curate.records import load_document
from toolkit.dataset import Dataset
from toolkit.formats.document import Document


@pytest.fixture
def dataset_of(write_json: Callable[..., Path]) -> Callable[..., Dataset]:
    """The data set of a document, read leniently."""
    return lambda document, name="a.json": formats.scan(write_json(document, name)).dataset


@pytest.fixture(scope="session")
def side_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, Document]]:
    """A document (or its text), as `merge` takes it."""
    folder = tmp_path_factory.mktemp("sides")

    def build(document: Any, name: str = "side.json") -> tuple[str, Document]:
        text = document if isinstance(document, str) else json.dumps(document)
        (folder / name).write_text(text, "utf-8")
        return name, load_document(folder / name)

    return build
