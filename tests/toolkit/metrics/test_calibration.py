"""Scores as probabilities: the fit, the error, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.metrics.calibration import (
    Calibration,
    clips_or_images,
    fit_calibration,
    held_out,
    logit,
    reliability,
    reliability_chart,
)
from toolkit.schema import Schema

NAMES = ("left_hip", "stick_toe")


def drawn(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores whose truth is known: p = sigmoid(2 logit(s) - 1), and 0.5 logit(s) + 0.3."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.95, (count, 2))
    truth = 1 / (1 + np.exp(-(logit(scores) * [2.0, 0.5] + [-1.0, 0.3])))
    return scores, (rng.random((count, 2)) < truth).astype(float)


def test_the_fit_finds_the_curve_that_made_the_data() -> None:
    fitted = fit_calibration(NAMES, *drawn())
    assert fitted.slope == pytest.approx([2.0, 0.5], abs=0.12)
    assert fitted.offset == pytest.approx([-1.0, 0.3], abs=0.12)


def test_at_the_fit_the_mean_score_is_the_share_that_is_right() -> None:
    """What every logistic fit of greatest likelihood has in common."""
    scores, right = drawn(500)
    mean = fit_calibration(NAMES, scores, right).apply(scores).mean(axis=0)
    assert mean == pytest.approx(right.mean(axis=0), abs=1e-4)


def test_narrow_scores_far_from_the_middle_are_fitted_too() -> None:
    """Scores near 0.05 of a keypoint that is right one time in four."""
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.04, 0.06, (2000, 1))
    right = (rng.random((2000, 1)) < 0.25).astype(float)
    found = fit_calibration(("toe",), scores, right).apply(scores)
    assert found.mean() == pytest.approx(right.mean(), abs=1e-3)


def test_scores_on_unseen_images_are_calibrated_where_raw_ones_are_not() -> None:
    scores, right = drawn()
    image = np.repeat(np.arange(1000), 4)
    after = held_out(NAMES, scores, right, image)
    assert reliability(after, right).ece < 0.03 < reliability(scores, right).ece


def test_a_fit_on_nothing_is_no_measure_of_unseen_images() -> None:
    scores, right = drawn(8)
    image = np.repeat([1, 2], 4)
    right[image == 2] = np.nan

    with pytest.raises(
        InvalidDataError, match=r"in fewer than 2 clips \(or images.*one is needed to fit"
    ):
        held_out(NAMES, scores, right, image)


@pytest.mark.parametrize(
    ("clips", "group", "unit"),
    [
        (("caf\u00e9", "b", "cafe\u0301"), [1, 1, 0, 1], "clip"),
        (("a", None, "a"), [0, 0, 1, 2], "image"),
        (("a", "a", "a"), [0, 0, 1, 2], "image"),
    ],
    ids=["clips", "an image without clip", "one clip"],
)
def test_people_are_parted_by_clip_and_by_image_where_clips_are_not_named(
    tiny_schema: Schema, clips: tuple[str | None, ...], group: list[int], unit: str
) -> None:
    """Four people: two in the first image, one in each other."""
    people = Annotations.from_arrays(
        tiny_schema,
        np.array([1, 1, 2, 3]),
        np.zeros((4, 3, 2)),
        np.full((4, 3), 2),
        np.ones((4, 4)),
    )
    images = replace(Images.from_ids(np.array([1, 2, 3])), clips=clips)

    found, word = clips_or_images(Dataset(tiny_schema, images, people))

    assert (found.tolist(), word) == (group, unit)


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    """Three at 0.9, of which one is right; one at 0.1, wrong; one not counted.

    Gaps 0.9 - 1/3 and 0.1 - 0, weighed 3 and 1.
    """
    found = reliability(
        np.array([[0.95, 0.9, 0.85, 0.1, 0.5]]), np.array([[1, 0, 0, 0, np.nan]])
    )
    assert found.count.sum() == 4
    low, high = 0.1, (0.95 + 0.9) / 2
    wanted = (1 * low + 2 * (high - 0.5) + 1 * 0.85) / 4
    assert found.ece == pytest.approx(wanted)


def test_a_keypoint_with_few_labels_shares_the_fit_of_all() -> None:
    scores, right = drawn()
    right[20:, 1] = np.nan
    fitted = fit_calibration(NAMES, scores, right)
    known = ~np.isnan(right)
    together = fit_calibration(("all",), scores[known][:, None], right[known][:, None])
    assert fitted.slope[1] == together.slope[0]


def test_scores_that_point_the_wrong_way_are_not_turned_round() -> None:
    scores, right = drawn()
    fitted = fit_calibration(NAMES, scores, 1 - right)
    assert (fitted.slope == 0).all()
    assert fitted.apply(scores).mean(axis=0) == pytest.approx(1 - right.mean(axis=0))


def test_a_stored_calibration_is_read_in_the_order_of_the_names() -> None:
    fitted = Calibration(NAMES, np.array([2.0, 0.5]), np.array([-1.0, 0.3]))
    turned = Calibration.from_facts(fitted.to_facts(), NAMES[::-1])
    assert turned.slope.tolist() == [0.5, 2.0]
    with pytest.raises(KeyError, match="nose"):
        Calibration.from_facts(fitted.to_facts(), ("nose",))
    with pytest.raises(ValueError, match="isotonic"):
        Calibration.from_facts({"method": "isotonic"}, NAMES)


def test_the_chart_names_both_curves_and_their_errors() -> None:
    scores, right = drawn()
    fitted = fit_calibration(NAMES, scores, right).apply(scores)
    svg = reliability_chart(
        {"raw": reliability(scores, right), "calibrated": reliability(fitted, right)}
    )
    assert svg.count("<polyline") == 3
    assert "calibrated (0.0" in svg
