"""A source folder small enough to know by heart: one picture, two people, both in train."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CARD = """---
name: tiny-set
licence: CC-BY-4.0
version: 1.2.0
citation: "Nobody, 2026."
source_url: https://example.org/tiny
date_published: 2026-01-01
rai:
  data_collection: Written by hand.
  data_annotation_protocol: By rule.
  data_limitations: Tiny.
  data_biases: [Two people only.]
  personal_sensitive_information: None.
  data_use_cases: [Tests.]
---

Two people.
"""


@pytest.fixture
def source_folder(
    tmp_path: Path,
    root: Path,
    coco_document: dict[str, object],
    toolkit_cli: Callable[..., object],
) -> Path:
    """`annotations.json`, `images/`, `schema.yaml`, `card.md` and `splits/`."""
    from toolkit.ink import encode_jpeg

    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    coco_document["licenses"] = [{"id": 3, "name": "CC0", "url": "https://example.org/cc0"}]
    images = [
        {
            "id": 7,
            "file_name": "seven.jpg",
            "width": 100,
            "height": 80,
            "clip": "a",
            "frame": 0,
        },
        {
            "id": 8,
            "file_name": "eight.jpg",
            "width": 100,
            "height": 80,
            "clip": "b",
            "frame": 0,
        },
    ]
    images[1]["license"] = 3
    coco_document["images"] = images
    other = coco_document["annotations"][1]  # another pose, or the two would be a leak
    other |= {"image_id": 8, "bbox": [43, 12, 18, 54], "area": 500.5}
    other["keypoints"] = [v for k in range(17) for v in (60 - k + k % 3, 14 + 3 * k, 2)]
    for seed, image in enumerate(images):
        pixels = np.random.default_rng(seed).integers(0, 255, (80, 100, 3), dtype=np.uint8)
        (folder / "images" / image["file_name"]).write_bytes(encode_jpeg(pixels))
    (folder / "annotations.json").write_text(json.dumps(coco_document))
    (folder / "card.md").write_text(CARD)
    shutil.copy(root / "datasets" / "coco" / "schema.yaml", folder / "schema.yaml")
    done = toolkit_cli(
        "split", folder / "annotations.json", "--out", folder / "splits",
        "--fractions", "train=0.5,test=0.5", "--images", folder / "images",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return folder
