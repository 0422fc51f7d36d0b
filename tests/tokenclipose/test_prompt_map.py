"""The map of prompts and learned tokens."""

from __future__ import annotations

import numpy as np
import pytest

from tokenclipose.prompt_map import _affinities, cosines, prompt_map, tsne
from toolkit.models import get_model


def test_two_clusters_stay_two_clusters() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1, (10, 6)), rng.normal(30, 1, (10, 6))])
    places = tsne(points, perplexity=4)
    one, two = places[:10], places[10:]
    within = max(np.ptp(one, axis=0).max(), np.ptp(two, axis=0).max())
    assert np.linalg.norm(one.mean(axis=0) - two.mean(axis=0)) > within


def test_affinities_are_a_distribution_of_the_perplexity_that_was_asked_for() -> None:
    """Points alike in all directions: a row's entropy is that of the symmetric row."""
    near = _affinities(np.eye(12) * 3, 11)
    assert near.sum() == pytest.approx(1)
    row = near[0] / near[0].sum()
    assert np.exp(-(row[1:] * np.log(row[1:])).sum()) == pytest.approx(11, rel=1e-3)


def test_the_map_names_every_keypoint_and_is_the_same_each_time() -> None:
    model = get_model("tokenclipose-small").load("hockey", "cpu")
    svg = prompt_map(model)
    assert svg == prompt_map(model)
    assert all(f">{name}</text>" in svg for name in model.schema.names)


def test_cosines_are_those_of_the_directions() -> None:
    found = cosines(np.array([[2.0, 0.0], [3.0, 3.0]]))
    assert found == pytest.approx(np.array([[1, 2**-0.5], [2**-0.5, 1]]))
