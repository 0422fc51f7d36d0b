"""Paired tests: sign, ties, and what pairing is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.metrics import compare, evaluate
from toolkit.metrics.compare import paired_test
from toolkit.metrics.text import p_text
from toolkit.schema import Schema


@pytest.fixture
def many(tiny_schema: Schema) -> Dataset:
    """One person in each of 60 images."""
    ids = np.arange(60) + 1
    people = Annotations.from_arrays(
        tiny_schema,
        ids,
        np.tile([[[5.0, 0.0], [5.0, 20.0], [15.0, 20.0]]], (60, 1, 1)),
        np.full((60, 3), 2),
        np.tile([0.0, 0, 10, 20], (60, 1)),
        area=np.full(60, 200.0),
    )
    return Dataset(tiny_schema, Images.from_ids(ids), people)


def moved(truth: Dataset, predictions: Predictions, wrong: np.ndarray) -> Predictions:
    points = predictions.keypoints.copy()
    points[wrong] += 300
    return replace(predictions, keypoints=points)


def test_the_better_model_has_a_positive_difference(
    many: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    good = predictions_of(many)
    worse = moved(many, good, np.arange(60) % 3 == 0)

    found = compare(many, good, worse, bootstrap=200)

    for name in ("AP", "PCKh@0.5", "AUC", "ExOKS"):
        test = found.metrics[name]
        assert test.difference == pytest.approx(test.a - test.b)
        assert test.difference > 0.2
        assert test.interval[0] > 0
        assert test.p_value < 0.05
    stick = found.strata["out_of_box"]["extension"]["PCKh@0.5"]
    assert stick.difference == pytest.approx(1 / 3)
    back = compare(many, worse, good, bootstrap=200).metrics["PCKh@0.5"]
    assert back.difference == pytest.approx(-1 / 3)
    assert back.interval == pytest.approx(
        [-v for v in found.metrics["PCKh@0.5"].interval[::-1]]
    )


def test_a_model_does_not_differ_from_itself(
    many: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    same = predictions_of(many, 2)

    test = compare(many, same, same, bootstrap=50).metrics["PCKh@0.5"]

    assert (test.difference, test.interval, test.p_value) == (0, (0, 0), 1)


def test_equal_numbers_of_different_errors_are_no_difference(
    many: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    good = predictions_of(many)
    first = moved(many, good, np.arange(60) % 3 == 0)
    second = moved(many, good, np.arange(60) % 3 == 1)

    test = compare(many, first, second, bootstrap=300).metrics["PCKh@0.5"]

    assert test.difference == 0
    assert test.interval[0] < 0 < test.interval[1]
    assert test.p_value > 0.5


def test_the_p_value_counts_the_rarer_side_twice() -> None:
    differences = np.array([-1.0] + [1.0] * 98)

    test = paired_test(1.0, 0.0, differences, np.zeros(99))

    assert test.p_value == pytest.approx(4 / 100)
    assert not test.p_is_bound


def test_where_no_resample_disagrees_the_p_value_is_a_bound() -> None:
    test = paired_test(1.0, 0.0, np.ones(99), np.zeros(99))

    assert test.p_value == pytest.approx(2 / 100)
    assert test.p_is_bound


def test_nothing_to_compare_is_null(
    many: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    found = compare(many, predictions_of(many), predictions_of(many), bootstrap=10).to_json()

    empty = found["strata"]["out_of_image"]["body"]["PCKh@0.5"]
    nothing = dict.fromkeys(("a", "b", "difference", "interval", "p_value"))
    assert empty == {**nothing, "p_is_bound": False}


def test_a_comparison_needs_resamples(
    many: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    with pytest.raises(UsageError, match="compare needs bootstrap resamples; got 0"):
        compare(many, predictions_of(many), predictions_of(many), bootstrap=0)


def test_frames_of_one_clip_prove_nothing(
    many: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    clip = replace(many, images=replace(many.images, clips=("a",) * 60))
    good = predictions_of(clip)

    found = compare(clip, good, moved(clip, good, np.arange(60) < 20), by="clip", bootstrap=99)

    test = found.metrics["PCKh@0.5"]
    assert test.difference == pytest.approx(1 / 3)
    assert (test.interval, test.p_value) == (None, None)
    assert "one clip only" in found.notes[0]


def test_the_ways_to_the_windows_edge_are_compared_as_they_were_asked_for(
    many: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    absent = predictions_of(many, keypoint_scores=np.zeros((60, 3)))

    values = {
        variant: (
            evaluate(many, absent, metrics=["ExOKS"], ex_oks_variant=variant).metrics["ExOKS"],
            compare(
                many, absent, absent, metrics=["ExOKS"], bootstrap=1, ex_oks_variant=variant
            )
            .metrics["ExOKS"]
            .a,
        )
        for variant in ("paper", "exococotools")
    }

    for whole, compared in values.values():
        assert whole == compared
    assert values["paper"] != values["exococotools"]


@pytest.mark.parametrize(
    ("p_value", "text"), [(1.0, "1.000"), (0.002, "0.002"), (0.0004, "4e-04"), (2e-5, "2e-05")]
)
def test_no_p_value_is_printed_as_zero(p_value: float, text: str) -> None:
    assert p_text(p_value) == text
