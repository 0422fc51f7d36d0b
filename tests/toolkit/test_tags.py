"""Tags: findings and strata by instance, and wishes that choose among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import formats
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.metrics.strata import STRATA
from toolkit.report import Finding, Severity
from toolkit.tags import Wish, tag, wanted


def names(bits: int) -> set[str]:
    return {name for position, name in enumerate(STRATA) if bits >> position & 1}


def test_every_keypoint_has_its_strata(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset()
    people = dataset.annotations
    points, flags = people.keypoints.copy(), people.visibility.copy()
    points[0, 2], flags[0] = [-1, 30], [1, 0, 2]
    points[0, 1] = np.nan

    tags = tag(
        replace(dataset, annotations=replace(people, keypoints=points, visibility=flags))
    )

    assert names(tags.strata[0, 0]) == {"in_box", "occluded"}
    assert tags.strata[0, 1] == 0
    assert names(tags.strata[0, 2]) == {"out_of_box", "out_of_image", "visible"}


def test_findings_go_to_their_person_and_their_image(
    make_dataset: Callable[..., Dataset],
) -> None:
    findings = [
        Finding("bbox-shape", Severity.ERROR, "m", "annotations", 1, 2, "bbox"),
        Finding("json-string", Severity.WARNING, "m", "images", 0, 1, "file_name"),
        Finding("json-bom", Severity.INFO, "m"),
    ]

    tags = tag(make_dataset(), findings)

    assert "bbox-shape" in tags.rules[1]
    assert "bbox-shape" not in tags.rules[0]
    assert "json-string" in tags.image_rules[0]
    assert tags.worst.tolist() == [2]


def test_rows_are_found_where_records_before_them_are_left_out(
    coco_document: dict[str, Any], write_json: Callable[..., Path]
) -> None:
    coco_document["annotations"].insert(0, "no object")
    coco_document["annotations"][2]["bbox"] = [1, 2]
    scan = formats.scan(write_json(coco_document))

    tags = tag(scan.dataset, scan.findings)

    assert "bbox-shape" in tags.rules[1]
    assert "bbox-shape" not in tags.rules[0]


def test_wishes_are_joined_by_and(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset()
    dataset = replace(dataset, images=replace(dataset.images, clips=("a",)))
    findings = [Finding("bbox-shape", Severity.ERROR, "m", "annotations", 1, 2, "bbox")]
    tags = tag(dataset, findings)

    def found(**wish: str) -> list[bool]:
        return wanted(dataset, tags, Wish(**wish)).tolist()

    assert found() == [True, True]
    assert found(stratum="out_of_box") == [True, True]
    assert found(keypoint="head", stratum="out_of_box") == [False, False]
    assert found(keypoint="tip", stratum="out_of_box") == [True, True]
    assert found(rule="bbox-shape", keypoint="tip", clip="a") == [False, True]


@pytest.mark.parametrize(
    "wish", [Wish(keypoint="toe"), Wish(stratum="nowhere"), Wish(clip="z")]
)
def test_what_does_not_exist_cannot_be_wished_for(
    wish: Wish, make_dataset: Callable[..., Dataset]
) -> None:
    dataset = make_dataset()

    with pytest.raises(UsageError, match="known: "):
        wanted(dataset, tag(dataset), wish)
