"""What stops a computation, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit import checks, formats
from toolkit.report import Severity

Document = dict[str, Any]


def errors(path: Path, **options: Any) -> list[str]:
    scan = formats.scan(path)
    report = checks.validate(scan.dataset, findings=scan.findings, profile="coco", **options)
    return [finding.line(path.name) for finding in report.errors]


@pytest.mark.parametrize(
    "change",
    [
        {"num_keypoints": 3},
        {"num_keypoints": 0},
        {"num_keypoints": None},
        {"bbox": [500, 500, 10, 10]},
    ],
    ids=["lie", "zero", "null", "box outside the image"],
)
def test_evaluation_goes_on_where_scores_do_not_depend_on_the_fault(
    coco_document: Document, write_json: Callable[..., Path], change: dict[str, object]
) -> None:
    coco_document["annotations"][0].update(change)
    path = write_json(coco_document)

    assert "annotations[0] id=1" in errors(path)[0]
    assert errors(path, purpose="evaluate") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 2}, "has the same id"),
        ({"image_id": 99}, "no image has id 99"),
        ({"category_id": 5}, "no category has id 5"),
        ({"bbox": [1, 1, -1, 5]}, "width and height must be above 0"),
        ({"area": -1}, "-1; wanted a finite number above 0"),
        ({"keypoints": [1, 2]}, "2 numbers; schema 'coco' has 17 keypoints"),
        ({"iscrowd": 2}, "got 2; expected 0 or 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_evaluation_refuses_what_makes_scores_wrong(
    coco_document: Document,
    write_json: Callable[..., Path],
    change: dict[str, object],
    message: str,
) -> None:
    coco_document["annotations"][0].update(change)

    assert message in errors(write_json(coco_document), purpose="evaluate")[0]


SUSPICIONS = {
    "keypoint-far": 6,
    "keypoint-duplicate": 2,
    "limb-length": 3,
    "sides-crossed": 2,
    "bbox-swapped": 2,
    "bbox-elsewhere": 1,
    "instance-duplicate": 3,
}


def test_crowdpose_as_published_passes_under_its_own_profile(shared_data: Path) -> None:
    scan = formats.scan(shared_data / "crowdpose" / "crowdpose_val.json")

    report = checks.validate(
        scan.dataset, findings=scan.findings, profile="crowdpose", limit=100
    )
    numbers = {f.rule: f for f in report.findings}

    # Nobody can be sure of these from geometry alone: 2 in 1,000 people of 8,527.
    assert {
        f.rule: sum(g.count for g in report.findings if g.rule == f.rule)
        for f in report.findings
        if f.severity is Severity.WARNING
    } == SUSPICIONS
    assert report.counts()["error"] == 0
    assert numbers["num-keypoints-zero"].count == 954
    assert "(3,915 keypoints)" in numbers["keypoint-outside-box"].message
    assert "(9 keypoints)" in numbers["keypoint-outside-image"].message
    assert "skeleton-index" in numbers


def test_crowdpose_as_published_fails_under_coco(shared_data: Path) -> None:
    scan = formats.scan(shared_data / "crowdpose" / "crowdpose_val.json")

    report = checks.validate(scan.dataset, findings=scan.findings, profile="coco")

    assert {f.rule for f in report.errors} == {
        "area-missing",
        "num-keypoints-mismatch",
        "num-keypoints-zero",
        "skeleton-index",
    }


@pytest.mark.parametrize(
    "name",
    [
        "xtcocoapi/example_coco_val.json",
        "mmpose/coco/test_coco.json",
        "cvat/person_keypoints_default.excerpt.json",
        "datumaro/person_keypoints_train.json",
    ],
)
def test_real_coco_files_have_no_error(shared_data: Path, name: str) -> None:
    scan = formats.scan(shared_data / name)

    assert checks.validate(scan.dataset, findings=scan.findings).ok
