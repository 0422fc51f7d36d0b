"""The parts that checks are made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit import checks
from toolkit.annotations import Annotations, Images
from toolkit.checks.base import ERROR, INFO, Subject, everywhere, rows_of
from toolkit.dataset import Dataset
from toolkit.report import Finding
from toolkit.schema import Schema


def test_a_severity_table_has_exceptions_by_profile() -> None:
    table = everywhere(ERROR, crowdpose=INFO, extension=None)

    assert table == {"coco": ERROR, "crowdpose": INFO, "cropcoco": ERROR, "extension": None}


def test_a_severity_table_refuses_an_unknown_profile() -> None:
    with pytest.raises(ValueError, match=r"no profile \['coc'\]; known: coco, crowdpose"):
        everywhere(ERROR, coc=INFO)


def test_rows_that_the_reader_told_are_left_out(make_dataset: Callable[..., Dataset]) -> None:
    told = Finding("bbox-shape", ERROR, "", section="annotations", index=1, field="bbox")
    subject = Subject(make_dataset(3), (told,))

    rows = subject.unreported("annotations", np.ones(3, bool), "bbox")

    assert rows.tolist() == [0, 2]


def test_an_unknown_image_has_row_minus_one_and_no_size(
    make_dataset: Callable[..., Dataset],
) -> None:
    dataset = make_dataset(2)
    dataset.annotations.image_id[1] = 99
    subject = Subject(dataset)

    assert subject.image_row.tolist() == [0, -1]
    assert subject.size_wh.tolist() == [[100, 100], [0, 0]]


@pytest.mark.parametrize("step", [1, 10**15], ids=["ids close together", "ids far apart"])
def test_rows_are_found_by_id_and_the_first_of_equal_ids_counts(step: int) -> None:
    ids = np.array([7, 5, 7, 9]) * step
    wanted = np.array([9, 7, 6, 5, -1, 10**18]) * 1
    wanted[:5] *= step

    assert rows_of(ids, wanted).tolist() == [3, 0, -1, 1, -1, -1]


def test_rows_are_found_at_the_ends_of_64_bits() -> None:
    ends = np.array([2**63 - 1, -(2**63)])

    assert rows_of(ends[:1], ends).tolist() == [0, -1]
    assert rows_of(ends, ends).tolist() == [0, 1]


def test_codes_are_unique_and_kebab_case() -> None:
    codes = [check.code for check in checks.CHECKS]

    assert len(set(codes)) == len(codes)
    assert all(code == code.lower() and "_" not in code and " " not in code for code in codes)


@pytest.mark.parametrize("faulty", [False, True], ids=["sound", "every record faulty"])
def test_a_large_set_is_checked_in_less_than_a_few_seconds(faulty: bool) -> None:
    # 262,000 instances as in COCO's training set; a loop over them would take a minute.
    schema, count, per_image = Schema.load("coco"), 262_000, 2
    rng = np.random.default_rng(0)
    points = rng.uniform(10, 90, (count, 17, 2))
    people = Annotations.from_arrays(
        schema,
        image_id=np.arange(count) // per_image,
        keypoints=points,
        visibility=np.full((count, 17), 2, np.uint8),
        bbox_xywh=np.tile([0.0, 0.0, 100.0, 100.0], (count, 1)),
        area=np.full(count, -1.0 if faulty else 100.0),
        num_keypoints=np.full(count, 3 if faulty else 17),
    )
    images = Images.from_ids(
        np.arange(count // per_image), size_wh=np.full((count // per_image, 2), 100)
    )
    dataset = Dataset(schema=schema, images=images, annotations=people)

    start = time.process_time()
    report = checks.validate(dataset, limit=100)
    seconds = time.process_time() - start

    assert report.counts()["error"] == (2 * count if faulty else 0)
    assert seconds < 5, f"{seconds:.1f} s"


def test_the_report_is_the_command_line_s_document(make_dataset: Callable[..., Any]) -> None:
    report = checks.validate(make_dataset()).to_json()

    assert list(report) == [
        "file",
        "schema",
        "profile",
        "ok",
        "counts",
        "findings",
        "total",
    ]
    (finding,) = report["findings"]  # type: ignore[misc]
    assert {"rule", "severity", "message", "section", "index", "id", "field"} <= set(finding)
