"""The density that ranking holds distances against."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.curate.rank_expect import expected
from toolkit.curate.rank_scale import calibrate, log_density, pools
from toolkit.schema import Schema


def test_the_density_at_the_centre_and_one_width_out() -> None:
    width, tail = np.array([2.0]), np.array([4.0])

    centre = log_density(np.array([0.0]), width, tail)
    out = log_density(np.array([2.0]), width, tail)

    assert centre[0] == pytest.approx(-math.log(8 * math.pi))
    # (1 + 4 / (4 * 4)) ** -(4 / 2 + 1) = 1.25 ** -3
    assert out[0] - centre[0] == pytest.approx(-3 * math.log(1.25))


def test_the_density_integrates_to_one() -> None:
    radius = np.linspace(0, 4000, 2_000_001)
    density = np.exp(log_density(radius, np.array([1.5]), np.array([3.0])))

    assert np.trapezoid(2 * np.pi * radius * density, radius) == pytest.approx(1, abs=1e-4)


def test_partners_are_judged_together() -> None:
    schema = Schema.load("coco")

    assert pools(schema)[:2] == [[0], [1, 2]]


@pytest.mark.parametrize("wrong", [0.0, 0.05])
def test_a_few_wrong_labels_hardly_move_the_scale(wrong: float) -> None:
    schema = Schema.load("coco")
    rng = np.random.default_rng(0)
    distance = rng.rayleigh(0.02, (1000, 17))
    distance[rng.random(distance.shape) < wrong] = 2.0

    scale = calibrate(schema, distance, np.zeros((1000, 17, 1)))
    odds = scale.surprise(np.full(distance.shape, 0.5))

    # A Rayleigh distance of 0.02 is a bivariate normal of that width.
    assert np.median(scale.width) == pytest.approx(0.02, rel=0.15)
    assert odds.min() > 5
    assert scale.surprise(np.full(distance.shape, 0.02)).max() < 0


def test_a_feature_that_foretells_the_distance_sets_the_scale() -> None:
    schema = Schema.load("coco")
    rng = np.random.default_rng(0)
    foretold = rng.uniform(-4, -2, (1000, 17, 1))
    distance = rng.rayleigh(np.exp(foretold[..., 0]))

    scale = calibrate(schema, distance, foretold)

    assert np.median(np.abs(np.log(scale.width) - foretold[..., 0])) < 0.15


def test_what_the_other_keypoints_say_is_expected() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.1, (400, 1, 2))
    offset = common + rng.normal(0, 0.005, (400, 6, 2))
    offset[7, 3] = np.nan

    answer = expected(offset, rng.normal(0, 0.001, (400, 6, 2)), np.arange(400))

    assert np.isfinite(answer).all()
    assert np.nanmedian(np.abs(offset - answer)) < 0.2 * np.nanmedian(np.abs(offset))


def test_places_are_expected_from_the_other_places_alone() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(-1, 1, (400, 2))
    places = np.stack([first, -first, first[:, ::-1]], axis=1)

    answer = expected(places, places[:, :0], np.arange(400))

    assert np.median(np.abs(places - answer)) < 0.05


def test_from_too_few_people_nothing_is_expected() -> None:
    offset = np.random.default_rng(0).normal(0, 1, (30, 4, 2))

    assert np.isnan(expected(offset, offset, np.arange(30))).all()
