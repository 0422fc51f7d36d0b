"""The table of formats: each detects, reads and writes its own sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.cli.common import FORMATS as NAMES
from toolkit.errors import UsageError
from toolkit.formats import FORMATS, format_named, scan

Document = dict[str, Any]


@pytest.fixture
def samples(document: Document) -> dict[str, object]:
    """A sound file of each format, by name."""
    images = [image | {"crowdIndex": 0.5} for image in document["images"]]
    result = {"image_id": 1, "category_id": 1, "keypoints": [1, 2, 0.5], "score": 0.5}
    beyond = document["annotations"][0] | {"keypoints": [10, 20, 3, 30, 40, 1, 50, 60, 2]}
    return {
        "coco": document,
        "crowdpose": document | {"images": images},
        "cropcoco": {"annotations": [beyond], **{k: document[k] for k in ("images",)}}
        | {"categories": document["categories"]},
        "results": [result],
    }


def test_the_command_line_offers_the_formats_of_the_table() -> None:
    assert [item.name for item in FORMATS] == list(NAMES)


@pytest.mark.parametrize("name", ["coco", "crowdpose", "cropcoco", "results"])
def test_a_format_detects_reads_and_writes_its_sample(
    name: str, samples: dict[str, object], save: Callable[..., Path], tmp_path: Path
) -> None:
    path, target = save(samples[name]), tmp_path / "again.json"
    found: Any = format_named(name)

    content, findings = found.scan(path, None)
    found.write(content, target, False)

    assert found.detect(path)
    assert {f.rule for f in findings} <= {"visibility-beyond"}
    assert target.read_bytes() == path.read_bytes()
    assert path.suffix in found.suffixes
    assert found.description


def test_a_sample_is_detected_as_no_stranger_format(
    samples: dict[str, object], save: Callable[..., Path]
) -> None:
    results, truth = save(samples["results"], "results.json"), save(samples["coco"])

    assert [item.name for item in FORMATS if item.detect(results)] == ["results"]
    assert [item.name for item in FORMATS if item.detect(truth)] == ["coco"]


def test_an_unknown_format_is_told_with_the_nearest_name(
    document: Document, save: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match=r"unknown format 'coc'; did you mean 'coco'\? known"):
        scan(save(document), format="coc")
    with pytest.raises(UsageError, match="results are no annotations"):
        scan(save(document), format="results")
