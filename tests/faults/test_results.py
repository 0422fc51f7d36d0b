"""Rows 27, 34 and 44 to 50 of the catalogue: predictions that do not fit their truth."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.schema import Schema

Document = dict[str, Any]
Result = dict[str, Any]


def result_of(person: dict[str, Any], score: object) -> Result:
    """A detection that is right, with a score."""
    return {
        "image_id": person["image_id"],
        "category_id": 1,
        "keypoints": list(person["keypoints"]),
        "score": score,
    }


@pytest.fixture
def truth(coco_document: Document, write_json: Callable[..., Path]) -> Path:
    return write_json(coco_document, "truth.json")


@pytest.fixture
def results(coco_document: Document) -> list[Result]:
    """Both people found, the second with the lower score."""
    people = coco_document["annotations"]
    return [result_of(people[0], 0.9), result_of(people[1], 0.8)]


def changed(results: list[Result], **fields: object) -> list[Result]:
    return [results[0] | fields, *results[1:]]


def without(results: list[Result], field: str) -> list[Result]:
    del results[0][field]
    return results


ROWS: list[tuple[str, Callable[[list[Result]], object], int, str]] = [
    (
        "44 one unknown image",
        lambda r: changed(r, image_id=99),
        1,
        "1 of 2 detections are for images that truth.json does not have, the first image_id 99",
    ),
    (
        "44 all images unknown",
        lambda r: [item | {"image_id": 99} for item in r],
        1,
        "2 of 2 detections are for images that truth.json does not have",
    ),
    ("45 score missing", lambda r: without(r, "score"), 1, r"results\[0\].* field 'score': "),
    (
        "45 score a string",
        lambda r: changed(r, score="0.9"),
        1,
        r"results\[0\].* field 'score'",
    ),
    ("45 score null", lambda r: changed(r, score=None), 1, r"results\[0\].* field 'score': "),
    (
        "45 score NaN",
        lambda r: json.dumps(changed(r, score=float("nan"))),
        3,
        r"results\[0\] field 'score': NaN is not JSON",
    ),
    (
        "30 of another schema",
        lambda r: changed(r, keypoints=[1, 1, 1] * 20),
        1,
        r"results\[0\].* field 'keypoints': 60 numbers; schema 'coco' has 17 .*'hockey'",
    ),
    ("2 truncated", lambda r: json.dumps(r)[:40], 3, "predictions.json: byte 40 .*truncated"),
    ("1 empty file", lambda r: b"", 3, "predictions.json: empty"),
    ("48 no results", lambda r: [], 0, "there are no predictions: every score is 0"),
    ("sound", lambda r: r, 0, "AP"),
]


@pytest.mark.parametrize(
    ("broken", "exit_code", "message"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_fault_of_the_results_is_named(
    truth: Path,
    results: list[Result],
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    broken: Callable[[list[Result]], object],
    exit_code: int,
    message: str,
) -> None:
    path = write_json(broken(results), "predictions.json")

    fault("evaluate", truth, path, exit_code=exit_code, message=message)


def evaluated(toolkit_cli: Callable[..., Any], *words: object) -> tuple[dict[str, Any], str]:
    """The JSON document of a run that must end well, and its notices."""
    result = toolkit_cli("evaluate", *words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def test_46_more_than_20_detections_in_an_image_are_noted(
    truth: Path,
    coco_document: Document,
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
) -> None:
    person = coco_document["annotations"][0]
    many = [result_of(person, 0.5 - i / 100) for i in range(25)]
    path = write_json(many, "predictions.json")

    document, notices = evaluated(toolkit_cli, truth, path)

    # One of two people is found: AP 0.5 up to the 101 recall points.
    assert document["metrics"]["AP"] == pytest.approx(51 / 101)
    assert document["settings"]["ignored"]["detections_beyond_max"] == 5
    assert "5 detections beyond the best 20 of their image were left out" in notices


def test_47_tied_scores_give_one_result_in_any_order(
    truth: Path,
    results: list[Result],
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
) -> None:
    order = random.Random(0)
    wrong = [r | {"keypoints": [v + 3 for v in r["keypoints"]]} for r in results]
    tied = [r | {"score": 0.5} for r in results + wrong]
    found = []
    for _ in range(3):
        path = write_json(tied, "predictions.json")
        first, _ = evaluated(toolkit_cli, truth, path)
        again, _ = evaluated(toolkit_cli, truth, path)
        assert first == again
        found.append(first["metrics"])
        order.shuffle(tied)

    assert all(set(metrics) == set(found[0]) for metrics in found)


def test_48_no_results_score_zero(
    truth: Path, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    document, _ = evaluated(toolkit_cli, truth, write_json([], "predictions.json"))

    assert document["metrics"]["AP"] == 0
    assert document["metrics"]["AR"] == 0


def test_49_truth_and_predictions_swapped_is_told(
    truth: Path,
    results: list[Result],
    write_json: Callable[..., Path],
    fault: Callable[..., str],
) -> None:
    path = write_json(results, "predictions.json")

    fault("evaluate", path, truth, exit_code=3, message="predictions.json: .*results file")
    fault("evaluate", truth, truth, exit_code=3, message="truth.json: .*(swap|ground.truth)")


def test_27_no_ground_truth_is_an_error_not_a_score(
    coco_document: Document, write_json: Callable[..., Path], fault: Callable[..., str]
) -> None:
    truth = write_json(coco_document | {"annotations": []}, "truth.json")
    predictions = write_json([], "predictions.json")

    fault("evaluate", truth, predictions, exit_code=1, message="no ground truth")


def test_34_num_keypoints_is_never_a_reason_to_refuse(
    coco_document: Document,
    results: list[Result],
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
) -> None:
    coco_document["annotations"][0]["num_keypoints"] = 3
    truth = write_json(coco_document, "truth.json")

    document, _ = evaluated(toolkit_cli, truth, write_json(results, "predictions.json"))

    assert document["metrics"]["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 2}, r"annotations\[1\] id=2 field 'id': annotations\[0\] has the same id"),
        ({"image_id": 99}, r"annotations\[0\] id=1 field 'image_id': no image has id 99"),
        ({"area": -1}, r"annotations\[0\] id=1 field 'area': -1; wanted a finite number"),
        ({"keypoints": [1, 2]}, r"annotations\[0\] id=1 field 'keypoints': 2 numbers"),
    ],
    ids=["id", "image_id", "area", "keypoints"],
)
def test_truth_with_errors_is_refused_with_the_record(
    coco_document: Document,
    results: list[Result],
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    change: dict[str, object],
    message: str,
) -> None:
    coco_document["annotations"][0].update(change)
    truth = write_json(coco_document, "truth.json")
    predictions = write_json(results, "predictions.json")

    fault("evaluate", truth, predictions, exit_code=1, message=message)


@pytest.mark.parametrize("head", ["missing", "zero length"])
def test_50_people_without_a_head_size_are_left_out_and_counted(
    coco_document: Document,
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
    head: str,
) -> None:
    schema = Schema.load("crowdpose")
    coco_document["categories"] = [schema.coco_category()]
    coco_document["images"][0]["crowdIndex"] = 0.5
    for person in coco_document["annotations"]:
        x, y = person["bbox"][:2]
        points = [[x + k, y + 2 * k, 2] for k in range(14)]
        person["keypoints"] = [value for point in points for value in point]
        person["num_keypoints"] = 14
    broken = coco_document["annotations"][0]
    if head == "missing":  # no head, no neck, no shoulders: no rule applies
        for k in (0, 1, 12, 13):
            broken["keypoints"][3 * k : 3 * k + 3] = [0, 0, 0]
    else:
        for k in range(14):
            broken["keypoints"][3 * k : 3 * k + 2] = [30, 30]
    people = coco_document["annotations"]
    truth = write_json(coco_document, "truth.json")
    results = [result_of(person, 0.5) for person in people]
    predictions = write_json(results, "predictions.json")

    document, notices = evaluated(toolkit_cli, truth, predictions, "--profile", "crowdpose")

    assert document["metrics"]["PCKh@0.5"] == 1  # of the other one
    assert "Infinity" not in json.dumps(document)
    assert document["settings"]["head_size"]["used"]["none"] == 1
    assert "1 instances have no head size and are left out of PCKh" in notices


@pytest.mark.parametrize(
    ("sigma", "exit_code", "message"),
    [
        (None, 1, "has no OKS sigma for nose"),
        ({"value": -0.1, "source": "x"}, 1, "keypoint 'nose' has sigma -0.1; expected a"),
        ({"value": [0.1, 0.2], "source": "x"}, 1, "'nose': sigma value is list; expected a"),
    ],
    ids=["missing", "negative", "a list"],
)
def test_40_a_sigma_that_is_missing_or_wrong_stops_before_evaluation(
    root: Path,
    truth: Path,
    results: list[Result],
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    sigma: object,
    exit_code: int,
    message: str,
) -> None:
    document = yaml.safe_load((root / "datasets" / "coco" / "schema.yaml").read_text("utf-8"))
    document["name"] = "mine"
    document["keypoints"][0]["sigma"] = sigma
    schema = write_json(yaml.safe_dump(document), "schema.yaml")
    predictions = write_json(results, "predictions.json")

    words = ("evaluate", truth, predictions, "--schema", schema, "--metrics", "AP")
    fault(*words, exit_code=exit_code, message=message)
