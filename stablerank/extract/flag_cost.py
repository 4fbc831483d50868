"""What a flag complex will take, from numbers of simplices.

With n points of N neighbours each there are about n/(k+1) * C(N, k) simplices of
degree k: exact for the full complex, a little high for a truncated one, where
neighbours of neighbours may be apart.  Bars of degree k need the simplices of degree
k + 1, though the engines keep in memory only part of those of degree k.  The rates
were measured on noisy circles, spheres, squares and Gaussian clouds of 50 to 3000
points; they lie in the middle of what was found, mostly within a factor of 3.
"""

from __future__ import annotations

from stablerank.extract.cost import SampleCost

__all__ = ["flag_cost", "simplices", "sparse_neighbours", "tree_cost"]

#: By engine and degree: seconds per simplex of the degree above, bytes per simplex.
_RATES = {
    "gudhi": {0: (130e-9, 0.0), 1: (6e-9, 250.0), 2: (3e-9, 10.0), 3: (3e-9, 3.0)},
    "ripser": {0: (300e-9, 0.0), 1: (10e-9, 250.0), 2: (18e-9, 60.0), 3: (30e-9, 35.0)},
}
_HIGHEST = 3
_SECONDS_A_SAMPLE = 1e-3
_BYTES_AN_EDGE = 100.0
_SECONDS_A_RANK = 100e-9
# A simplex tree with its boundary matrix, per simplex.
_TREE_BYTES, _TREE_SECONDS = 70.0, 0.8e-6


def simplices(n_points: int, neighbours: float, degree: int) -> float:
    """Forecast of the number of simplices with `degree` + 1 vertices.

    Examples
    --------
    >>> simplices(5, 4, 1), simplices(5, 4, 2)
    (10.0, 10.0)
    """
    count = float(n_points)
    for i in range(degree):
        count *= max(neighbours - i, 0.0) / (i + 1)
    return count / (degree + 1)


def flag_cost(
    n_points: int, neighbours: float, degree: int, engine: str, *, ranked: bool
) -> SampleCost:
    """Forecast for bars up to `degree`.

    Parameters
    ----------
    n_points : int
        Points of the complex.
    neighbours : float
        How many others a point shares an edge with, on average.
    degree : int
        Highest homology degree.
    engine : {"gudhi", "ripser"}
        Its rates differ.
    ranked : bool
        Whether the edges are sorted first.

    Examples
    --------
    >>> cost = flag_cost(300, 299, 1, "gudhi", ranked=False)
    >>> 0.01 < cost.seconds < 0.1, 5e6 < cost.memory < 5e7
    (True, True)
    """
    rates, pairs = _RATES[engine], n_points * (n_points - 1) / 2
    edges = simplices(n_points, neighbours, 1)
    per_simplex, bytes_each = rates[min(degree, _HIGHEST)]
    seconds = _SECONDS_A_SAMPLE + rates[0][0] * edges
    if degree:
        seconds += per_simplex * simplices(n_points, neighbours, degree + 1)
    memory = 16.0 * n_points**2 + _BYTES_AN_EDGE * edges
    memory += bytes_each * simplices(n_points, neighbours, degree)
    if ranked:
        seconds += _SECONDS_A_RANK * pairs
        memory += 40.0 * pairs
    return SampleCost(memory, seconds)


def sparse_neighbours(n_points: int, sparse: float, dimension: float) -> float:
    """Forecast of the neighbours of a point in a sparse Rips graph."""
    return float(min(n_points - 1, (3.8 + 1.35 / sparse) ** dimension))


def tree_cost(n_points: int, neighbours: float, degree: int) -> SampleCost:
    """Forecast for a complex that is stored simplex by simplex."""
    total = sum(simplices(n_points, neighbours, k) for k in range(degree + 2))
    memory = 16.0 * n_points**2 + _TREE_BYTES * total
    return SampleCost(memory, _SECONDS_A_SAMPLE + _TREE_SECONDS * total)
