"""Ex-OKS: the four cases of the formula, and where the published code departs from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.metrics.ex_oks import Variant, ex_oks, ex_oks_terms

# A box of 30 x 40 has 3:4 already; its window is [-3.75, 33.75] x [-5, 45].
BOX = np.array([[0.0, 0.0, 30.0, 40.0]])
INSIDE, OUTSIDE = [15.0, 20.0], [100.0, 20.0]


def term(
    truth: list[float],
    predicted: list[float],
    confidence: float,
    visibility: int = 2,
    variant: Variant = "paper",
) -> float:
    """One keypoint at scale 1: sigma 0.5, area 400, so that 20 px give exp(-1/2)."""
    return float(
        ex_oks_terms(
            np.array([[truth]]),
            np.array([[visibility]], dtype=np.uint8),
            BOX,
            np.array([400.0]),
            np.array([[predicted]]),
            np.array([[confidence]]),
            np.array([0.5]),
            variant=variant,
        )[0, 0]
    )


def test_both_inside_is_plain_oks() -> None:
    assert term(INSIDE, [15, 40], 0.9) == pytest.approx(math.exp(-0.5))


def test_both_outside_is_full_credit() -> None:
    assert term(OUTSIDE, INSIDE, 0.1) == 1


def test_a_present_prediction_of_an_absent_keypoint_pays_its_way_to_the_edge() -> None:
    assert term(OUTSIDE, [13.75, 20], 0.9) == pytest.approx(math.exp(-(17.5**2) / 800))


def test_an_absent_prediction_of_a_present_keypoint_pays_the_truths_way() -> None:
    assert term([28.75, 20], OUTSIDE, 0.1) == pytest.approx(math.exp(-25 / 800))


def test_visibility_three_is_outside_whatever_the_coordinates() -> None:
    assert term(INSIDE, INSIDE, 0.1, visibility=3) == 1


def test_a_confidence_of_exactly_a_half_says_present() -> None:
    assert term(INSIDE, INSIDE, 0.5) == 1


def test_near_one_edge_the_published_code_measures_to_the_corner() -> None:
    truth = [32.75, 20]  # 1 px from the right edge, 25 from the nearest in y

    assert term(truth, OUTSIDE, 0.1) == pytest.approx(math.exp(-1 / 800))
    far = term(truth, OUTSIDE, 0.1, variant="exococotools")
    assert far == pytest.approx(math.exp(-(1 + 25**2) / 800))


def test_unlabelled_keypoints_do_not_count_and_nobody_has_no_value() -> None:
    terms = np.array([[0.5, np.nan, 1.0], [np.nan] * 3])

    np.testing.assert_array_equal(ex_oks(terms), [0.75, np.nan])
