"""Flag complexes: everything is decided by the edges.

The value of a simplex is the largest value of its edges (and vertices), so a
symmetric matrix M is the whole filtration, and d_B <= max |M - M'|  [X2].  This
module turns such a matrix into bars:

- truncation at T clips *both* ends of every bar at T, also of the class that never
  dies: that is the diagram of min(M, T), so nothing is lost in the constant [X18];
- with *ranks* instead of values every edge is a different whole number.  The bars
  then name their edges, ties included, and an engine in single precision makes no
  error;
- where vertices enter late, only degree 0 notices: the components come from a
  minimum spanning tree by the elder rule, all other degrees from the edges alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform

from stablerank.exceptions import InvalidInputError

__all__ = [
    "Bars",
    "EdgeRanks",
    "Engine",
    "check_coefficient",
    "component_bars",
    "flag_bars",
    "settle",
    "spread_over_cloud",
    "spread_over_matrix",
]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
#: (values, max_degree, limit, coefficient) to one (m, 2) array a degree.
Engine = Callable[[Array, int, float, int], list[Array]]


@dataclass(frozen=True)
class EdgeRanks:
    """The edges in order of their values; equal values in order of their vertices.

    Attributes
    ----------
    values : ndarray of shape (n_edges + 2,)
        Value of rank 0 (a vertex of a Rips complex), of ranks 1 to n_edges, and inf.
    order : ndarray of shape (n_edges,)
        Position of the edge of each rank in the upper triangle, row by row.
    matrix : ndarray of shape (n, n)
        Rank of every edge, 0 on the diagonal.
    """

    values: Array
    order: Indices
    matrix: Array

    @classmethod
    def of(cls, values: Array) -> EdgeRanks:
        """Rank the off-diagonal entries of a symmetric matrix.

        Examples
        --------
        >>> EdgeRanks.of(np.array([[0.0, 5, 3], [5, 0, 4], [3, 4, 0]])).matrix
        array([[0., 3., 1.],
               [3., 0., 2.],
               [1., 2., 0.]])
        """
        flat = squareform(values, checks=False)
        order = np.argsort(flat, kind="stable")
        ranks = np.empty(len(flat))
        ranks[order] = np.arange(1.0, len(flat) + 1)
        values = np.concatenate([[0.0], flat[order], [np.inf]])
        return cls(values, order, squareform(ranks, checks=False))

    def limit(self, threshold: float | None) -> float:
        """Rank of the last edge whose value is at most `threshold`; inf for None."""
        if threshold is None:
            return np.inf
        return float(np.searchsorted(self.values[1:-1], threshold, side="right"))

    def _ranks(self, raw: Array) -> Indices:
        last = len(self.values) - 1
        return np.where(np.isinf(raw), last, raw).astype(np.int64)

    def bars(self, raw: Array) -> Array:
        """Values of bars that an engine returned as ranks, (m, 2)."""
        return np.asarray(self.values[self._ranks(raw)])

    def edges(self, raw: Array) -> Indices:
        """Edges that set the ends of bars given as ranks, (m, 2, 2); else -1."""
        ranks, n = self._ranks(raw), len(self.matrix)
        real = (ranks > 0) & (ranks <= len(self.order))
        place = self.order[ranks[real] - 1]
        # Row i of the upper triangle has n - 1 - i entries.
        starts = np.cumsum(np.arange(n, 0, -1)) - n
        rows = np.searchsorted(starts, place, side="right") - 1
        ends = np.full((*raw.shape, 2), -1, np.int64)
        ends[real] = np.stack([rows, place - starts[rows] + rows + 1], axis=-1)
        return ends


def flag_bars(
    values: Array,
    degree: int,
    engine: Engine,
    *,
    threshold: float | None,
    coefficient: int,
    ranked: bool,
) -> tuple[list[Array], list[Indices] | None]:
    """Bars of all degrees up to `degree`, and the edges that set them.

    Parameters
    ----------
    values : ndarray of shape (n, n)
        Values of the edges; the diagonal is 0.
    degree : int
        Highest homology degree.
    engine : callable
        From a matrix to bars.
    threshold : float, optional
        Edges above it are left out.
    coefficient : int
        Prime field.
    ranked : bool
        Hand ranks to the engine in place of values: exact, and they name the edges.

    Returns
    -------
    bars : list of ndarray of shape (m, 2)
        Death inf where a class is alive at the end.
    edges : list of ndarray of shape (m, 2, 2), or None
        If `ranked`: the edge of each end, -1 where there is none.
    """
    if not ranked:
        limit = np.inf if threshold is None else threshold
        return engine(values, degree, limit, coefficient), None
    ranks = EdgeRanks.of(values)
    raw = engine(ranks.matrix, degree, ranks.limit(threshold), coefficient)
    return [ranks.bars(bars) for bars in raw], [ranks.edges(bars) for bars in raw]


@dataclass(frozen=True)
class Bars:
    """Bars of one degree, longest first.

    Attributes
    ----------
    finite : ndarray of shape (m, 2)
        Without bars of length 0; equal lengths in order of birth.
    essential : ndarray of shape (e,)
        Births of bars that never die, sorted.
    rows : ndarray of shape (m,)
        Where the finite bars stood in the engine's output.
    """

    finite: Array
    essential: Array
    rows: Indices


def settle(raw: Array, threshold: float | None) -> Bars:
    """Clip at the threshold [X18], part with the essential bars, sort.

    Parameters
    ----------
    raw : ndarray of shape (m, 2)
        Bars; death inf where a class is alive at the end.
    threshold : float, optional
        T; None leaves bars that never die.

    Examples
    --------
    >>> settle(np.array([[0.0, 1.0], [0.0, np.inf]]), None).essential
    array([0.])
    >>> settle(np.array([[0.0, 1.0], [0.0, np.inf]]), 2.0).finite
    array([[0., 2.],
           [0., 1.]])
    """
    bars = raw.reshape(-1, 2)
    if threshold is not None:
        bars = np.minimum(bars, threshold)
    births, deaths = bars[:, 0], bars[:, 1]
    alive = np.isinf(deaths)
    rows = np.flatnonzero(~alive & (deaths > births))
    births, deaths = births[rows], deaths[rows]
    rows = rows[np.lexsort((births, births - deaths))]
    return Bars(bars[rows], np.sort(bars[alive, 0]), rows)


def check_coefficient(p: int, largest: int) -> None:
    """Raise unless p is a prime that the engine can hold.

    Examples
    --------
    >>> check_coefficient(3, 127)
    """
    prime = 2 <= p <= largest and all(p % q for q in range(2, int(p**0.5) + 1))
    if not prime:
        raise InvalidInputError(
            f"coefficient must be a prime of at most {largest}, got {p}; 2 is usual"
        )


def component_bars(edges: Array, births: Array) -> tuple[Array, Indices]:
    """Degree 0 of a flag complex whose vertices enter late.

    Parameters
    ----------
    edges : ndarray of shape (n, n)
        Values of the edges; none comes before its ends.
    births : ndarray of shape (n,)
        Values of the vertices.

    Returns
    -------
    bars : ndarray of shape (n, 2)
        The oldest component has death inf.
    critical : ndarray of shape (n, 2, 2)
        The vertex and the edge that set each bar, padded with -1.

    Examples
    --------
    >>> component_bars(np.array([[0.0, 4.0], [4.0, 0.0]]), np.array([1.0, 2.0]))[0]
    array([[ 2.,  4.],
           [ 1., inf]])
    """
    n = len(edges)
    tree = _spanning_tree(edges)
    deaths = edges[tree[:, 0], tree[:, 1]]
    eldest = list(range(n))  # parent pointers; a root is the eldest of its component
    bars = np.full((n, 2), np.inf)
    critical = np.full((n, 2, 2), -1, np.int64)
    for row, i in enumerate(np.argsort(deaths, kind="stable").tolist()):
        one, two = (_root(eldest, v) for v in tree[i].tolist())
        older, younger = sorted((one, two), key=lambda v: (births[v], v))
        eldest[younger] = older
        bars[row] = births[younger], deaths[i]
        critical[row] = (younger, -1), tree[i]
    last = _root(eldest, 0)
    bars[-1, 0] = births[last]
    critical[-1, 0, 0] = last
    return bars, critical


def _root(parents: list[int], v: int) -> int:
    while parents[v] != v:
        parents[v] = parents[parents[v]]  # halve the path, so that it stays short
        v = parents[v]
    return v


def _spanning_tree(values: Array) -> Indices:
    """Edges of a minimum spanning tree, (n - 1, 2), by Prim's algorithm."""
    n = len(values)
    nearest, distance = np.zeros(n, np.int64), values[0].copy()
    outside = np.ones(n, bool)
    outside[0] = False
    edges = np.empty((n - 1, 2), np.int64)
    for i in range(n - 1):
        new = int(np.argmin(np.where(outside, distance, np.inf)))
        edges[i] = nearest[new], new
        outside[new] = False
        closer = values[new] < distance
        nearest[closer], distance[closer] = new, values[new, closer]
    return edges


# --- gradients of edge values ---------------------------------------------------------


def spread_over_cloud(cloud: Array, edges: Indices, weights: Array) -> Array:
    """Gradient of the sum of weighted distances with respect to the points.

    Parameters
    ----------
    cloud : ndarray of shape (n, d)
        Points.
    edges : ndarray of shape (m, 2)
        Pairs of points.
    weights : ndarray of shape (m,)
        Factor of the distance of each pair.

    Returns
    -------
    ndarray of shape (n, d)
        Unit vectors along the edges; points that coincide contribute nothing.
    """
    steps = cloud[edges[:, 0]] - cloud[edges[:, 1]]
    lengths = np.sqrt((steps**2).sum(axis=1, keepdims=True))
    units = np.divide(steps, lengths, out=np.zeros_like(steps), where=lengths > 0)
    grad = np.zeros_like(cloud)
    np.add.at(grad, edges[:, 0], weights[:, None] * units)
    np.add.at(grad, edges[:, 1], -weights[:, None] * units)
    return grad


def spread_over_matrix(matrix: Array, edges: Indices, weights: Array) -> Array:
    """Gradient of the sum of weighted entries, symmetric like the matrix.

    Half of each weight goes to either of the two equal entries, so that the sum of
    gradient times change is right for every symmetric change.
    """
    half = np.zeros_like(matrix)
    np.add.at(half, (edges[:, 0], edges[:, 1]), weights / 2)
    return half + half.T
