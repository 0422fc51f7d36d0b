"""A small document with a bit of everything that must survive, and ways to write files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    """Two images, two people and a category of three keypoints, unknown keys everywhere.

    Person 1 has all keypoints labelled. Person 2 has coordinates under visibility 0.
    """
    return {
        "info": {"note": "ours", "nested": {"deep": [1, 2.50, None, True]}},
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80, "colour": "blue"},
            {
                "id": 3,
                "width": 50,
                "height": 60,
                "file_name": "b.jpg",
                "clip": "c1",
                "frame": 4,
            },
        ],
        "annotations": [
            {
                "id": 11,
                "image_id": 7,
                "category_id": 1,
                "keypoints": [10, 20, 2, 30.5, 40, 1, 50, 60.25, 2],
                "num_keypoints": 3,
                "bbox": [5.0, 10, 60, 55.5],
                "area": 1234.0,
                "iscrowd": 0,
                "mine": {"hat": "red"},
            },
            {
                "mine": [1, {"x": 1.0}],
                "iscrowd": 0,
                "area": 9.5,
                "bbox": [1, 2, 3, 4],
                "num_keypoints": 1,
                "keypoints": [1.5, 2, 0, 3, 4, 1, 0, 0, 0],
                "category_id": 1,
                "image_id": 3,
                "id": 12,
            },
        ],
        "categories": [
            {
                "id": 1,
                "name": "walker",
                "keypoints": ["top", "middle", "bottom"],
                "skeleton": [[1, 2], [2, 3]],
                "extra": "kept",
            }
        ],
        "ours": {"a": 1},
    }


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a document, text or bytes to a file in the test's folder."""

    def write(content: object, name: str = "file.json") -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8")
        return path

    return write
