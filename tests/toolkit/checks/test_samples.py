"""The data that ship with the project have no error."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit import checks, formats
from toolkit.catalog import sample_path


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("hockey", "extension"),
        ("hockey", "coco"),
        ("lacrosse", "extension"),
        ("lacrosse", "coco"),
        ("crowdpose", "crowdpose"),
    ],
)
def test_a_shipped_sample_has_no_error(name: str, profile: Any) -> None:
    scan = formats.scan(sample_path(name))

    report = checks.validate(scan.dataset, findings=scan.findings, profile=profile)

    assert report.errors == ()
    assert checks.missing_images(scan.dataset, sample_path(name).parent / "images") == []
