"""Where a keypoint should be, by the person's other labels, with or without the model.

A model alone is unsure of a hidden wrist or of a stick outside its crop. The labels of the
other keypoints say much more: hands lie on the shaft, a knee lies between hip and ankle.
Kernel ridge regression learns from the set itself what a keypoint's label is, given the
labels of the others. Each person is judged by what was learned from others (five folds), so
that no label vouches for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]
FOLDS = 5
LEARN_FROM = 1500  # people of a fold: more cost cubically and tell little
FEWEST = 40  # people to learn from; with fewer nothing is expected
_WIDTH, _RIDGE, _LIMIT = 0.2, 0.01, 4.0
_BLOCK = 2000


def expected(
    values: Floats,
    given: Floats,
    order: Indices,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """What each keypoint's value should be, once the other keypoints' have been heard.

    Args:
        values: (N, K, 2) such as offsets from a prediction, in lengths of the person; NaN
            where there is no label.
        given: (N, M, 2) what else is known of each person, the same unit; M may be 0 or K.
        order: (N,) the rows in an order that does not depend on the file's.
        progress: Called with (folds done, folds in all).

    Returns:
        (N, K, 2), NaN where there were too few labels to learn from.
    """
    count = len(values)
    known = np.asarray(np.isfinite(values).all(axis=2))
    result = np.full(values.shape, np.nan)
    table = np.concatenate(
        [_standard(np.where(known[..., None], values, np.nan)), _standard(given)], axis=1
    )
    if table.shape[1] <= 2:  # a keypoint's own place is all there is
        return result
    fold = np.empty(count, np.int64)
    fold[order] = np.random.default_rng(0).permutation(count) % FOLDS
    for number in range(FOLDS):
        learn = order[fold[order] != number][:LEARN_FROM]
        judge = order[fold[order] == number]  # rounding, too, does not depend on the file
        if len(learn) >= FEWEST and len(judge):
            for k, rows, answer in _fold(table, values, known, learn, judge):
                result[rows, k] = answer
        if progress is not None:
            progress(number + 1, FOLDS)
    return result


def _standard(points: Floats) -> Singles:
    """(N, 2K) columns of median 0 and spread 1, cut off where they are far out; NaN is 0."""
    rows = points.reshape(len(points), -1).copy()
    if not rows.size:
        return rows.astype(np.float32)
    rows[:, np.isnan(rows).all(axis=0)] = 0
    middle, reach = _ordinary(rows)
    scaled = (rows - middle) / reach * _LIMIT
    return np.nan_to_num(np.clip(scaled, -_LIMIT, _LIMIT)).astype(np.float32)


def _ordinary(rows: Floats) -> tuple[Floats, Floats]:
    """Median of each column, and how far from it anything may lie; NaN is left out."""
    low, middle, high = np.nanquantile(rows, (0.1, 0.5, 0.9), axis=0)
    return middle, _LIMIT * ((high - low) / 2.56 + 1e-3)


def _fold(
    table: Singles, values: Floats, known: NDArray[np.bool_], learn: Indices, judge: Indices
) -> Iterator[tuple[int, Indices, Floats]]:
    """For each keypoint: rows to judge, and the values that are expected there."""
    keypoints = values.shape[1]
    base = _squares(table[learn], table[learn])
    weights: dict[int, tuple[Indices, Floats, Singles]] = {}
    for k in range(keypoints):
        use = np.flatnonzero(known[learn, k])
        if len(use) < FEWEST:
            continue
        own = table[learn, 2 * k : 2 * k + 2]
        kernel = _kernel(base - _squares(own, own), table.shape[1])[np.ix_(use, use)]
        target = values[learn[use], k]
        middle, reach = _ordinary(target)
        target = np.clip(target, middle - reach, middle + reach)
        kernel[np.diag_indices_from(kernel)] += np.float32(_RIDGE)
        solved = np.linalg.solve(kernel, (target - middle).astype(np.float32))
        weights[k] = (use, middle, solved)
    for start in range(0, len(judge), _BLOCK):
        rows = judge[start : start + _BLOCK]
        across = _squares(table[rows], table[learn])
        for k, (use, middle, solved) in weights.items():
            column = slice(2 * k, 2 * k + 2)
            own = _squares(table[rows, column], table[learn, column])
            kernel = _kernel(across - own, table.shape[1])[:, use]
            yield k, rows, middle + kernel @ solved


def _squares(a: Singles, b: Singles) -> Singles:
    """(A, B) squared distances of rows."""
    return np.asarray((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T)


def _kernel(squares: Singles, columns: int) -> Singles:
    scaled = np.maximum(squares, 0) * np.float32(-_WIDTH / (columns - 2))
    return np.asarray(np.exp(scaled))
