"""The pairing has the largest sum that any pairing can have."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from toolkit.curate.assignment import best_pairs


def best_by_trying(value: np.ndarray) -> float:
    rows, columns = value.shape
    if rows > columns:
        return best_by_trying(value.T)
    return max(
        sum(value[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(columns), rows)
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 5), (5, 2), (6, 6)])
def test_no_other_pairing_has_a_larger_sum(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        value = random.random(shape) * (random.random(shape) < 0.7)

        pairs = best_pairs(value)

        assert sum(value[pair] for pair in pairs) == pytest.approx(best_by_trying(value))
        assert len({row for row, _ in pairs}) == len({col for _, col in pairs}) == len(pairs)


def test_scipy_agrees_on_a_large_table() -> None:
    from scipy.optimize import linear_sum_assignment

    value = np.random.default_rng(1).random((60, 80))
    rows, columns = linear_sum_assignment(value, maximize=True)

    assert sum(value[pair] for pair in best_pairs(value)) == pytest.approx(
        value[rows, columns].sum()
    )


def test_greed_would_be_wrong() -> None:
    value = np.array([[0.9, 0.8], [0.8, 0.0]])

    assert best_pairs(value) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_is_paired_with_nothing(shape: tuple[int, int]) -> None:
    assert best_pairs(np.zeros(shape)) == []


def test_zero_means_no_pair() -> None:
    assert best_pairs(np.zeros((2, 2))) == []
