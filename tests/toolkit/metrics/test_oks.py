"""OKS against numbers worked out by hand, and against its own slow form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit.metrics.oks import OksTruth, exact_oks, pair_oks, reachable
from toolkit.metrics.pairing import keypoint_extent

ONE = np.array([0])


def person(
    points: object, labelled: object, area: float, box: object = (0, 0, 1, 1)
) -> OksTruth:
    """One instance with sigma 0.5, so that k = 2 sigma is 1."""
    return OksTruth(
        np.array([points], dtype=float),
        np.array([labelled], dtype=bool),
        np.array([box], dtype=float),
        np.array([area]),
        np.full(len(np.atleast_1d(labelled)), 0.5),
    )


def test_one_keypoint_at_one_scale_distance_gives_exp_of_minus_a_half() -> None:
    truth = person([[0, 0]], [True], area=25)

    found = pair_oks(truth, np.array([[[3.0, 4.0]]]), ONE, ONE)

    assert found[0] == pytest.approx(math.exp(-0.5))


def test_only_labelled_keypoints_count() -> None:
    truth = person([[0, 0], [np.nan, np.nan]], [True, False], area=25)

    found = pair_oks(truth, np.array([[[0.0, 0.0], [900.0, 900.0]]]), ONE, ONE)

    assert found[0] == 1


def test_without_labels_the_doubled_box_costs_nothing_inside() -> None:
    truth = person([[np.nan] * 2] * 2, [False, False], area=16, box=(10, 10, 10, 10))
    inside, beyond = [0.0, 0.0], [34.0, 0.0]  # the doubled box runs from 0 to 30

    found = pair_oks(truth, np.array([[inside, beyond]]), ONE, ONE)

    assert found[0] == pytest.approx((1 + math.exp(-0.5)) / 2)


def test_zero_area_gives_zero_unless_the_place_is_exact() -> None:
    truth = person([[5, 5]], [True], area=0)

    exact, near = pair_oks(
        truth, np.array([[[5.0, 5.0]], [[6.0, 5.0]]]), np.array([0, 0]), np.array([0, 1])
    )

    assert exact == 1
    assert near == 0


@pytest.mark.parametrize("seed", range(3))
def test_bulk_and_exact_forms_agree_to_rounding(
    random_pair: Callable[..., Any], seed: int
) -> None:
    pair = random_pair(seed)
    people = pair.truth.annotations
    truth = OksTruth(
        people.keypoints,
        people.labelled,
        people.bbox_xywh,
        people.area,
        pair.truth.schema.sigmas,
    )
    rows, columns = (a.ravel() for a in np.meshgrid(np.arange(30), np.arange(40)))

    bulk = pair_oks(truth, pair.predictions.keypoints, rows, columns)

    exact = [
        exact_oks(truth, pair.predictions.keypoints, row, column)
        for row, column in zip(rows, columns, strict=True)
    ]
    np.testing.assert_allclose(bulk, exact, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_that_reaches_the_threshold_is_skipped(
    random_pair: Callable[..., Any], seed: int
) -> None:
    pair = random_pair(seed)
    people = pair.truth.annotations
    truth = OksTruth(
        people.keypoints,
        people.labelled,
        people.bbox_xywh,
        people.area,
        pair.truth.schema.sigmas,
    )
    rows, columns = (a.ravel() for a in np.meshgrid(np.arange(30), np.arange(150)))
    extent = keypoint_extent(pair.predictions.keypoints)

    can = reachable(truth, extent, rows, columns, 0.5)

    similarity = pair_oks(truth, pair.predictions.keypoints, rows, columns)
    assert not (similarity[~can] >= 0.5).any()
    assert can.sum() < len(can)
