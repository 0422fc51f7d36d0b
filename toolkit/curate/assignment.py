"""The best pairing of a few people with a few others, exactly.

SciPy has this function, and would be a dependency of 100 MB for it alone; the groups here
are the people of one image that no other rule could pair, so a short exact method does.
Source: the shortest augmenting path form of the Hungarian method (Jonker and Volgenant,
1987).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def best_pairs(value: Floats) -> list[tuple[int, int]]:
    """Pairs of rows and columns, each used once, whose values have the largest sum.

    Args:
        value: (A, B), 0 or more; 0 stands for "must not be paired".

    Returns:
        The pairs with a value above 0, in the order of the rows.
    """
    if value.shape[0] > value.shape[1]:
        return sorted((row, column) for column, row in best_pairs(value.T))
    if not value.size:
        return []
    row_of = _assign(-value)
    pairs = [(int(row), column) for column, row in enumerate(row_of) if row >= 0]
    return sorted((row, column) for row, column in pairs if value[row, column] > 0)


def _assign(cost: Floats) -> NDArray[np.int64]:
    """(B,) the row of each column, -1 for none, at the least total cost; A <= B."""
    rows, columns = cost.shape
    u, v = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1, np.int64)
    for start in range(rows):
        path = np.full(columns, -1, np.int64)
        distance = np.full(columns, np.inf)
        done = np.zeros(columns, bool)
        row, column, least = start, -1, 0.0
        while True:
            through = least + cost[row] - u[row] - v
            better = ~done & (through < distance)
            distance[better], path[better] = through[better], column
            column = int(np.where(done, np.inf, distance).argmin())
            least, done[column] = float(distance[column]), True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
        u[start] += least
        u[row_of[done & (row_of >= 0)]] += least - distance[done & (row_of >= 0)]
        v[done] -= least - distance[done]
        while column >= 0:
            before = int(path[column])
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    return row_of
