"""Distances between persistence diagrams by exact matching, evaluated outward.

The bottleneck distance is the smallest t for which the graph of admissible pairs
(cost at most t) has a perfect matching; the costs themselves are the only
candidates for t, so a binary search over them with Hopcroft-Karp is exact.  Rounding
up keeps the order of the costs, so the search over rounded costs ends at the smallest
float that is at least the distance.  Wasserstein distances are assignment problems.
Any matching gives an upper bound, so theirs may come from plain floats: its cost is
then evaluated with outward rounding, and the result is certainly not below the truth.

Engines are not used here on purpose: GUDHI 3.13 overestimates the bottleneck
distance on some small inputs [X0], and these functions judge the engines.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from stablerank.exceptions import InvalidInputError
from stablerank.rounding import add_up, mul_up, pow_up, root_up, sum_up

__all__ = [
    "bottleneck_distance",
    "bottleneck_matching",
    "matching_costs_up",
    "wasserstein_distance",
    "wasserstein_matching",
]

Bars = NDArray[np.float64]  # (n_bars, 2), finite, birth <= death
#: Pairs (i, j) of matched bars; -1 stands for the diagonal.
Matching = NDArray[np.int64]


def _gaps_up(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest floats at least |x - y|."""
    return np.asarray(add_up(np.maximum(x, y), -np.minimum(x, y)))


def _ground(a: Bars, b: Bars, q: float) -> NDArray[np.float64]:
    """l_q distances between all bars of a and of b; rounded up for q = inf."""
    births = _gaps_up(a[:, None, 0], b[None, :, 0])  # (n, m)
    deaths = _gaps_up(a[:, None, 1], b[None, :, 1])
    larger, smaller = np.maximum(births, deaths), np.minimum(births, deaths)
    if math.isinf(q):
        return larger
    # Powers of the ratio stay in the range where powers of the lengths would not.
    ratio = smaller / np.where(larger > 0, larger, 1.0)
    return np.asarray(larger * (1 + ratio**q) ** (1 / q))


def _to_diagonal(a: Bars, q: float) -> NDArray[np.float64]:
    """l_q distances to the diagonal, rounded up."""
    return np.asarray(mul_up(_gaps_up(a[:, 1], a[:, 0]), _diagonal_factor(q)))


def _diagonal_factor(q: float) -> float:
    return 0.5 if math.isinf(q) else pow_up(2.0, 1 / q - 1)


def _augmented(a: Bars, b: Bars, q: float) -> NDArray[np.float64]:
    """Square cost matrix in which every bar may also go to the diagonal."""
    n, m = len(a), len(b)
    cost = np.zeros((n + m, n + m))
    cost[:n, :m] = _ground(a, b, q)
    cost[:n, m:] = _to_diagonal(a, q)[:, None]
    cost[n:, :m] = _to_diagonal(b, q)[None, :]
    return cost


def _pairs(columns: NDArray[Any], n: int, m: int) -> Matching:
    """Read the perfect matching row i -> columns[i] of the augmented matrix."""
    rows = np.arange(n + m)
    left, right = np.where(rows < n, rows, -1), np.where(columns < m, columns, -1)
    pairs = np.stack([left, right], axis=1).astype(np.int64)
    return pairs[(pairs >= 0).any(axis=1)]


def bottleneck_matching(a: Bars, b: Bars) -> Matching:
    """Matching that attains the bottleneck distance (ground norm l_inf).

    Parameters
    ----------
    a, b : ndarray of shape (n, 2) and (m, 2)
        Finite bars.

    Returns
    -------
    ndarray of shape (n_pairs, 2)
        Indices into `a` and `b`; -1 stands for the diagonal.

    Examples
    --------
    >>> bottleneck_matching(np.array([[0.0, 2.0]]), np.array([[0.0, 2.5]]))
    array([[0, 0]])
    """
    n, m = len(a), len(b)
    if n + m == 0:
        return np.empty((0, 2), np.int64)
    cost = _augmented(a, b, math.inf)
    candidates = np.unique(cost)
    # Every bar must go somewhere: a row's cheapest entry is a lower bound.
    floor = max(cost.min(axis=1).max(), cost.min(axis=0).max())
    low, high = int(np.searchsorted(candidates, floor)), len(candidates) - 1
    best = _perfect(cost, candidates[high])
    while low < high:
        middle = (low + high) // 2
        columns = _perfect(cost, candidates[middle])
        if (columns >= 0).all():
            high, best = middle, columns
        else:
            low = middle + 1
    return _pairs(best, n, m)


def _perfect(cost: NDArray[np.float64], threshold: float) -> NDArray[Any]:
    graph = csr_matrix(cost <= threshold)
    return np.asarray(maximum_bipartite_matching(graph, perm_type="column"))


def wasserstein_matching(a: Bars, b: Bars, p: float, q: float) -> Matching:
    """Matching that attains the Wasserstein distance of order p, ground norm l_q.

    Examples
    --------
    >>> wasserstein_matching(np.array([[0.0, 2.0]]), np.empty((0, 2)), 1, math.inf)
    array([[ 0, -1]])
    """
    if math.isinf(p):
        raise InvalidInputError(
            "order inf is the bottleneck distance; use bottleneck_matching"
        )
    n, m = len(a), len(b)
    if n + m == 0:
        return np.empty((0, 2), np.int64)
    cost = _augmented(a, b, q)
    scale = cost.max() or 1.0  # powers of tiny or huge costs would leave the range
    _, columns = linear_sum_assignment((cost / scale) ** p)
    return _pairs(np.asarray(columns), n, m)


def matching_costs_up(
    a: Bars, b: Bars, matching: Matching, q: float = math.inf
) -> NDArray[np.float64]:
    """Cost of every pair of a matching in the ground norm l_q, rounded up.

    Examples
    --------
    >>> bars = np.array([[0.0, 2.0]])
    >>> matching_costs_up(bars, bars, np.array([[0, -1]]))
    array([1.])
    """
    costs = np.zeros(len(matching))
    both = (matching >= 0).all(axis=1)
    i, j = matching[both].T
    births, deaths = _gaps_up(a[i, 0], b[j, 0]), _gaps_up(a[i, 1], b[j, 1])
    if math.isinf(q):
        costs[both] = np.maximum(births, deaths)
    elif q == 1:
        costs[both] = add_up(births, deaths)
    else:
        costs[both] = [
            root_up(float(add_up(pow_up(x, q), pow_up(y, q))), q)
            for x, y in zip(births.tolist(), deaths.tolist(), strict=True)
        ]
    for column, bars in ((0, a), (1, b)):
        alone = ~both & (matching[:, column] >= 0)
        costs[alone] = _to_diagonal(bars[matching[alone, column]], q)
    return costs


def bottleneck_distance(a: Bars, b: Bars) -> float:
    """Bottleneck distance, ground norm l_inf: the smallest float at least as large.

    Examples
    --------
    >>> bottleneck_distance(np.array([[0.0, 2.0]]), np.array([[0.0, 2.5]]))
    0.5
    >>> bottleneck_distance(np.array([[0.0, 2.0]]), np.empty((0, 2)))
    1.0
    """
    return float(matching_costs_up(a, b, bottleneck_matching(a, b)).max(initial=0.0))


def wasserstein_distance(a: Bars, b: Bars, p: float, q: float) -> float:
    """Wasserstein distance of order p, ground norm l_q, rounded up.

    Examples
    --------
    >>> wasserstein_distance(np.array([[0.0, 2.0]]), np.empty((0, 2)), 1, 1)
    2.0
    """
    costs = matching_costs_up(a, b, wasserstein_matching(a, b, p, q), q)
    if p == 1:
        return float(sum_up(costs))
    return root_up(float(sum_up([pow_up(c, p) for c in costs.tolist()])), p)
