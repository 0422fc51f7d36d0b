"""AP and AR: by hand, against pycocotools, and under resampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.annotations import Images, Predictions
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, SchemaError, UsageError
from toolkit.metrics import evaluate
from toolkit.metrics.evaluate import ap_values, resampled_values
from toolkit.metrics.scoring import Options, score
from toolkit.schema import Schema

STATS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


def test_one_of_two_people_found_gives_half_the_recall_points(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()

    found = evaluate(truth, predictions_of(truth)[:1], "coco", metrics=["AP"]).metrics

    assert found["AP"] == pytest.approx(51 / 101)  # recall 0, .01, ... .50 are reached
    assert found["AR"] == pytest.approx(0.5)
    assert found["APM"] is None  # area 200 is small: no medium person


def test_a_false_alarm_ahead_of_the_hit_halves_precision(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset(1)
    hit = predictions_of(truth)
    alarm = replace(hit, keypoints=hit.keypoints + 500, scores=np.array([2.0]))
    both = replace(
        hit,
        image_id=np.array([1, 1]),
        keypoints=np.concatenate([alarm.keypoints, hit.keypoints]),
        scores=np.array([0.9, 0.1]),
        keypoint_scores=np.ones((2, 3)),
        annotation_id=np.array([-1, -1]),
        bbox_xywh=np.full((2, 4), np.nan),
        category_id=np.array([1, 1]),
    )

    found = evaluate(truth, both, "coco", metrics=["AP"]).metrics

    assert found["AP"] == pytest.approx(0.5)
    assert found["AR"] == 1


def test_no_predictions_score_zero_and_say_so(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()

    found = evaluate(truth, predictions_of(truth)[:0], "coco")

    assert found.metrics["AP"] == 0
    assert found.metrics["PCKh@0.5"] == 0
    assert "every score is 0" in found.notes[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), detections=st.integers(1, 400))
def test_all_ten_numbers_equal_those_of_pycocotools(
    random_pair: Callable[..., Any],
    pycocotools_stats: Callable[..., dict[str, float | None]],
    seed: int,
    detections: int,
) -> None:
    pair = random_pair(seed, detections=detections)

    ours = evaluate(pair.truth, pair.predictions, "coco", metrics=["AP"]).metrics

    expected = pycocotools_stats(pair.document, pair.results)
    assert list(ours) == list(STATS)
    for name in STATS:
        if expected[name] is None:
            assert ours[name] is None
        else:
            assert ours[name] == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize("engine", ["hotcoco", "pycocotools"])
def test_other_engines_agree(random_pair: Callable[..., Any], engine: str) -> None:
    pair = random_pair(5)

    ours = evaluate(pair.truth, pair.predictions, "coco", metrics=["AP"])
    theirs = evaluate(pair.truth, pair.predictions, "coco", metrics=["AP"], engine=engine)

    assert theirs.metrics == pytest.approx(ours.metrics, abs=1e-12)


def test_own_boxes_of_the_results_decide_their_area_range(
    random_pair: Callable[..., Any], pycocotools_stats: Callable[..., Any]
) -> None:
    pair = random_pair(8)
    rng = np.random.default_rng(0)
    boxes = rng.uniform(1, 120, (len(pair.predictions), 4))
    results = [r | {"bbox": b.tolist()} for r, b in zip(pair.results, boxes, strict=True)]

    ours = evaluate(
        pair.truth, replace(pair.predictions, bbox_xywh=boxes), "coco", metrics=["AP"]
    )

    assert ours.metrics == pytest.approx(pycocotools_stats(pair.document, results), abs=1e-12)
    assert ours.settings["detection_area_rule"] == "bbox of the result"


def test_engines_agree_where_some_results_have_a_box_and_others_none(
    random_pair: Callable[..., Any],
) -> None:
    pair = random_pair(8)
    boxes = np.tile([0.0, 0.0, 50.0, 50.0], (len(pair.predictions), 1))
    boxes[1::2] = np.nan
    predictions = replace(pair.predictions, bbox_xywh=boxes)

    ours, theirs = (
        evaluate(pair.truth, predictions, "coco", metrics=["AP"], engine=engine).metrics
        for engine in ("toolkit", "pycocotools")
    )

    assert theirs == pytest.approx(ours, abs=1e-12)


def test_two_categories_are_matched_apart_and_averaged(
    random_pair: Callable[..., Any], pycocotools_stats: Callable[..., Any]
) -> None:
    pair = random_pair(3, people=40, detections=200)
    of_truth = np.arange(40) % 2 + 1
    of_result = np.arange(200) % 2 + 1
    document = pair.document | {
        "categories": [pair.document["categories"][0] | {"id": i} for i in (1, 2)],
        "annotations": [
            a | {"category_id": int(c)}
            for a, c in zip(pair.document["annotations"], of_truth, strict=True)
        ],
    }
    results = [
        r | {"category_id": int(c)} for r, c in zip(pair.results, of_result, strict=True)
    ]
    truth = replace(
        pair.truth, annotations=replace(pair.truth.annotations, category_id=of_truth)
    )

    ours = evaluate(
        truth, replace(pair.predictions, category_id=of_result), "coco", metrics=["AP"]
    )

    assert ours.metrics == pytest.approx(pycocotools_stats(document, results), abs=1e-12)


def test_order_of_records_does_not_matter_without_ties(random_pair: Callable[..., Any]) -> None:
    pair = random_pair(4)
    rng = np.random.default_rng(1)
    predictions = replace(pair.predictions, scores=rng.permutation(150) / 150)
    shuffled = rng.permutation(150)

    first = evaluate(pair.truth, predictions, "coco").metrics
    second = evaluate(
        pair.truth.subset(rng.permutation(30)), predictions[shuffled], "coco"
    ).metrics

    assert second == pytest.approx(first, abs=1e-12)


def test_weights_of_one_give_the_plain_value(random_pair: Callable[..., Any]) -> None:
    pair = random_pair(6)
    options = Options.make("coco", ["AP"])
    scored = score(pair.truth, pair.predictions, options)

    resampled, _ = resampled_values(scored, options, np.ones((3, 12), np.int16))

    for name, value in ap_values(scored, options).items():
        np.testing.assert_allclose(resampled[name], value, atol=1e-6)


def test_an_image_drawn_twice_counts_as_two_images(
    random_pair: Callable[..., Any],
) -> None:
    pair = random_pair(7)
    rng = np.random.default_rng(2)
    # distinct scores: copies of an image are then neighbours in the order
    predictions = replace(pair.predictions, scores=rng.permutation(150) / 150)
    weights = rng.integers(0, 3, (1, 12)).astype(np.int16)
    options = Options.make("coco", ["AP"])
    in_order = np.argsort(pair.truth.images.ids)

    resampled, _ = resampled_values(score(pair.truth, predictions, options), options, weights)

    copies = _repeated(pair.truth, predictions, weights[0][np.argsort(in_order)])
    expected = ap_values(score(*copies, options), options)
    for name, values in resampled.items():
        np.testing.assert_allclose(values[0], expected[name], atol=1e-5)


def _repeated(
    truth: Dataset, predictions: Predictions, weights: np.ndarray
) -> tuple[Dataset, Predictions]:
    """The data set with each image as often as its weight says, under new ids."""
    people, found, ids = [], [], []
    for row, weight in enumerate(weights):
        for copy in range(weight):
            new = int(truth.images.ids[row]) + 10_000 * copy
            ids.append(new)
            for table, parts in ((truth.annotations, people), (predictions, found)):
                rows = np.flatnonzero(table.image_id == truth.images.ids[row])
                part = table[rows]
                parts.append(replace(part, image_id=np.full(len(rows), new)))
    return (
        replace(truth, images=Images.from_ids(np.array(ids)), annotations=_joined(people)),
        _joined(found),
    )


def _joined(parts: list[Any]) -> Any:
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name, value in vars(parts[0]).items()
        if isinstance(value, np.ndarray)
    }
    return replace(parts[0], **columns)


def test_annotations_of_unknown_images_are_refused(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()
    lost = replace(truth, annotations=replace(truth.annotations, image_id=np.array([1, 9])))

    with pytest.raises(InvalidDataError, match="1 annotations name images that do not exist"):
        evaluate(lost, predictions_of(truth))


def test_predictions_of_another_schema_are_mapped_by_name(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()
    exact = predictions_of(truth)
    keypoints = truth.schema.keypoints
    turned = replace(
        exact,
        schema=replace(truth.schema, name="turned", keypoints=keypoints[::-1]),
        keypoints=exact.keypoints[:, ::-1],
    )

    assert evaluate(truth, turned).metrics == evaluate(truth, exact).metrics
    short = replace(truth.schema, name="short", keypoints=keypoints[:2], edges=())
    with pytest.raises(SchemaError, match="no keypoints tip"):
        evaluate(truth, Predictions.from_arrays(short, np.array([1]), np.zeros((1, 2, 2))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "mpii"}, "no profile 'mpii'; known: coco, crowdpose, extension"),
        ({"metrics": ["mAP"]}, "no metric 'mAP'"),
        ({"engine": "magic"}, "no engine 'magic'; known: toolkit, hotcoco, pycocotools"),
        ({"bands": (0.8, 0.2)}, "expected 0 <= first <= second"),
        ({"bootstrap": 5, "by": "game"}, "bootstrap by 'game' is unknown"),
    ],
)
def test_wrong_arguments_are_named(
    make_dataset: Callable[..., Dataset],
    predictions_of: Callable[..., Predictions],
    arguments: dict[str, Any],
    message: str,
) -> None:
    truth = make_dataset()

    with pytest.raises(UsageError, match=message):
        evaluate(truth, predictions_of(truth), **arguments)


def test_without_sigmas_pckh_is_measured_and_ap_is_left_out_and_told(
    make_dataset: Callable[..., Dataset],
    predictions_of: Callable[..., Predictions],
    tiny_schema: Schema,
) -> None:
    bare = replace(
        tiny_schema, keypoints=tuple(replace(k, sigma=None) for k in tiny_schema.keypoints)
    )
    truth = make_dataset(schema=bare)

    found = evaluate(truth, predictions_of(truth))

    assert "AP" not in found.metrics
    assert found.metrics["PCKh@0.5"] == 1
    assert (
        found.settings["skipped"]["AP"] == "schema 'tiny' has no OKS sigma for head, foot, tip"
    )
    with pytest.raises(SchemaError, match="has no OKS sigma for head, foot, tip"):
        evaluate(truth, predictions_of(truth), metrics=["AP"])
