"""Predictions that were read and changed keep all that was not changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.annotations import Predictions
from toolkit.errors import InvalidDataError
from toolkit.formats import read_predictions, write_predictions
from toolkit.schema import Schema

Save = Callable[..., Path]
TEXT = (
    '[{"mine": 1.50, "image_id": 7, "category_id": 1, "keypoints": [1, 2, 0.50, 3.0, 4, 1, 5, '
    '6, 1], "score": 0.90, "bbox": [1, 2, 3, 4]},\n {"image_id": 8, "category_id": 1, '
    '"keypoints": [0, 0, 0, 0, 0, 0, 9, 9, 1], "score": 1, "note": {"a": [1.0]}}]'
)


@pytest.fixture
def found(save: Save, tiny_schema: Schema) -> Predictions:
    return read_predictions(save(TEXT), tiny_schema)


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[[Predictions], str]:
    def text(changed: Predictions) -> str:
        write_predictions(changed, tmp_path / "out.json", force=True)
        return (tmp_path / "out.json").read_text("utf-8")

    return text


def test_nothing_changed(found: Predictions, rewritten: Callable[..., str]) -> None:
    assert rewritten(found) == TEXT
    assert rewritten(replace(found, scores=found.scores.copy())) == TEXT


def test_a_moved_keypoint_and_a_new_score(
    found: Predictions, rewritten: Callable[..., str]
) -> None:
    points, scores = found.keypoints.copy(), found.scores.copy()
    points[0, 1], scores[1] = [8, 4.5], 0.25

    text = rewritten(replace(found, keypoints=points, scores=scores))

    assert text == TEXT.replace("3.0, 4, 1", "8.0, 4.5, 1").replace(
        '"score": 1,', '"score": 0.25,'
    )


def test_a_dropped_box_goes_and_a_new_one_comes(
    found: Predictions, rewritten: Callable[..., str]
) -> None:
    boxes = np.array([[np.nan] * 4, [1, 2, 3, 4.5]])

    text = rewritten(replace(found, bbox_xywh=boxes))

    assert text == TEXT.replace(', "bbox": [1, 2, 3, 4]', "").replace(
        '{"a": [1.0]}', '{"a": [1.0]}, "bbox": [1, 2, 3, 4.5]'
    )


def test_a_subset_keeps_its_records(found: Predictions, rewritten: Callable[..., str]) -> None:
    text = rewritten(found[np.array([False, True])])

    assert json.loads(text) == json.loads(TEXT)[1:]
    assert '"note": {"a": [1.0]}' in text


def test_the_order_of_the_arrays_is_the_order_of_the_file(
    found: Predictions, rewritten: Callable[..., str]
) -> None:
    assert json.loads(rewritten(found[np.array([1, 0])])) == json.loads(TEXT)[::-1]


def test_predictions_without_a_file_have_canonical_keys(
    tiny_schema: Schema, tmp_path: Path
) -> None:
    made = Predictions.from_arrays(
        tiny_schema,
        np.array([7, 8]),
        np.array([[[1, 2], [3, 4.5], [5, 6]], np.full((3, 2), np.nan)]),
        scores=np.array([0.5, 1]),
        bbox_xywh=np.array([[np.nan] * 4, [1, 2, 3, 4]]),
        annotation_id=np.array([40, -1]),
        sigma=np.ones((2, 3, 2)),
    )

    write_predictions(made, tmp_path / "out.json")

    assert (tmp_path / "out.json").read_text().splitlines() == [
        "[",
        '{"image_id": 7, "category_id": 1, "keypoints": [1, 2, 1, 3, 4.5, 1, 5, 6, 1], '
        '"score": 0.5, "annotation_id": 40, "keypoint_scores": [1, 1, 1], '
        '"sigmas": [1, 1, 1, 1, 1, 1]},',
        '{"image_id": 8, "category_id": 1, "score": 1, "bbox": [1, 2, 3, 4]}',
        "]",
    ]


def test_what_was_written_is_read_again(tiny_schema: Schema, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = Predictions.from_arrays(
        tiny_schema,
        np.arange(5),
        rng.normal(size=(5, 3, 2)) * 1e3,
        scores=rng.random(5),
        keypoint_scores=rng.random((5, 3)),
        sigma=rng.random((5, 3, 2)),
        annotation_id=np.arange(5) + 10,
        bbox_xywh=rng.random((5, 4)),
    )

    write_predictions(made, tmp_path / "out.json")
    again = read_predictions(tmp_path / "out.json", tiny_schema)

    for name in ("image_id", "keypoints", "scores", "keypoint_scores", "annotation_id"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    np.testing.assert_array_equal(again.bbox_xywh, made.bbox_xywh)
    assert again.sigma is not None
    assert made.sigma is not None
    np.testing.assert_array_equal(again.sigma, made.sigma)


def test_a_pose_that_is_nan_in_part_is_refused(
    found: Predictions, tmp_path: Path, tiny_schema: Schema
) -> None:
    points: Any = found.keypoints.copy()
    points[0, 1] = np.nan
    made = Predictions.from_arrays(tiny_schema, found.image_id, points)

    with pytest.raises(InvalidDataError, match=r"predictions\[0\]: some keypoints are NaN"):
        write_predictions(made, tmp_path / "out.json")
    with pytest.raises(InvalidDataError, match="some numbers of a prediction are NaN"):
        write_predictions(replace(found, keypoints=points), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_flags_that_stand_beside_scores_stay_flags_in_another_schema(
    save: Save, tiny_schema: Schema, rewritten: Callable[..., str]
) -> None:
    record = {"image_id": 7, "category_id": 1, "score": 0.5}
    record |= {"keypoints": [1, 2, 2, 3, 4, 1, 5, 6, 0], "keypoint_scores": [0.9, 0.8, 0.7]}
    found = read_predictions(save([record]), tiny_schema)
    turned = replace(
        tiny_schema, keypoints=tiny_schema.keypoints[:0:-1], edges=(), head_size=()
    )

    written = json.loads(rewritten(found.to_schema(turned)))[0]

    assert turned.names == ("tip", "foot")
    assert written["keypoints"] == [5, 6, 0, 3, 4, 1]
    assert written["keypoint_scores"] == [0.7, 0.8]


def test_sorted_results_of_one_image_take_their_own_fields_along(
    save: Save, tiny_schema: Schema, rewritten: Callable[..., str]
) -> None:
    records = [
        {"image_id": 7, "category_id": 1, "keypoints": [x] * 9, "score": score, "track": track}
        for x, score, track in ((1, 0.25, "low"), (2, 0.75, "high"), (3, 0.5, "middle"))
    ]
    found = read_predictions(save(json.dumps(records)), tiny_schema)

    best_first = rewritten(found[np.argsort(-found.scores)])

    assert json.loads(best_first) == [records[1], records[2], records[0]]


def test_of_results_with_one_score_the_dropped_one_goes_with_its_own_fields(
    save: Save, tiny_schema: Schema, rewritten: Callable[..., str]
) -> None:
    records = [
        {"image_id": 7, "category_id": 1, "keypoints": [x] * 9, "score": 1, "track": x}
        for x in (1, 2)
    ]
    found = read_predictions(save(json.dumps(records)), tiny_schema)

    assert json.loads(rewritten(found[np.array([1])])) == records[1:]


def test_new_scores_stay_in_their_places_though_one_is_a_neighbours_old_one(
    save: Save, tiny_schema: Schema, rewritten: Callable[..., str]
) -> None:
    records = [
        {"image_id": 7, "category_id": 1, "keypoints": [x] * 9, "score": score, "track": x}
        for x, score in ((1, 0.5), (2, 0.25))
    ]
    found = read_predictions(save(json.dumps(records)), tiny_schema)

    text = rewritten(replace(found, scores=np.array([0.25, 0.125])))

    assert [r["track"] for r in json.loads(text)] == [1, 2]
    assert [r["score"] for r in json.loads(text)] == [0.25, 0.125]
