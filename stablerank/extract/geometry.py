"""Distances and spreads of point clouds, with directed rounding.

Distances are computed directly, coordinate by coordinate.  The dot-product form
|x|^2 + |y|^2 - 2xy loses all digits far from the origin [F3].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from stablerank.rounding import UNIT_ROUNDOFF, add_up, mul_up, up

__all__ = [
    "distance_error",
    "distance_matrix",
    "enclosing_ball",
    "enclosing_radius_up",
]

Array = NDArray[np.float64]


def distance_matrix(cloud: Array) -> Array:
    """Euclidean distances of all pairs, by direct subtraction.

    Examples
    --------
    >>> distance_matrix(np.array([[0.0, 0.0], [3.0, 4.0]]))
    array([[0., 5.],
           [5., 0.]])
    """
    if len(cloud) == 1:
        return np.zeros((1, 1))
    return np.asarray(squareform(pdist(cloud)))


def distance_error(largest: float, dimension: int) -> float:
    """Largest error of an entry of `distance_matrix` [F3].

    Relative (d/2 + 2) u (1 + 2**-40), and d 2**-510 absolute: squares below the
    normal range (entries below 2**-510) lose their relative accuracy.

    Examples
    --------
    >>> 0 < distance_error(1.0, 2) < 1e-15
    True
    """
    relative = (dimension / 2 + 2) * UNIT_ROUNDOFF * (1 + 2.0**-40)
    return float(add_up(mul_up(relative, largest), dimension * 2.0**-510))


def enclosing_radius_up(cloud: Array) -> float:
    """Upper bound of the radius of the minimum enclosing ball, close to it.

    The largest distance from any centre is an upper bound, so the search for the
    centre need not be trusted.

    Examples
    --------
    >>> enclosing_radius_up(np.array([[0.0, 0.0], [2.0, 0.0]])) >= 1.0
    True
    """
    centre, _, _ = enclosing_ball(cloud)
    moves = np.ascontiguousarray(cloud.T) - centre[:, None]
    largest = float(np.sqrt(np.einsum("ij,ij->j", moves, moves).max()))
    return float(up(largest + distance_error(largest, cloud.shape[1])))


def enclosing_ball(cloud: Array) -> tuple[Array, list[int], Array]:
    """Minimum enclosing ball, up to rounding.

    The centre is the point sum_i w_i x_i, w >= 0 and sum_i w_i = 1, that maximises
    sum_i w_i |x_i|^2 - |sum_i w_i x_i|^2; the maximum is the squared radius.  An
    active set finds it: take in the farthest point, leave out what then gets a
    negative weight.

    Parameters
    ----------
    cloud : ndarray of shape (n_points, dimension)
        Points.

    Returns
    -------
    centre : ndarray of shape (dimension,)
    support : list of int
        Points on the sphere, at most dimension + 1, that hold the ball.
    weights : ndarray of shape (n_support,)
        Barycentric coordinates of the centre with respect to them, > 0.

    Examples
    --------
    >>> enclosing_ball(np.array([[0.0, 0.0], [1.0, 0.5], [2.0, 0.0]]))
    (array([1., 0.]), [0, 2], array([0.5, 0.5]))
    """
    columns = np.ascontiguousarray(cloud.T)  # (dimension, n): long rows are fast
    low, high = columns.min(axis=1), columns.max(axis=1)
    origin = low + (high - low) / 2
    span = float((high - low).max()) or 1.0
    points = (columns - origin[:, None]) / span
    squares = np.einsum("ij,ij->j", points, points)
    support, weights = [int(squares.argmax())], np.ones(1)
    for _ in range(_MANY_STEPS * (len(points) + 2)):
        centre = points[:, support] @ weights
        beyond = squares - 2 * (centre @ points)  # |x_i - c|^2 - |c|^2
        farthest = int(beyond.argmax())
        if beyond[farthest] - beyond[support].max() <= _TIE:
            break
        support, weights = _rebalance(
            points, [*support, farthest], np.append(weights, 0.0)
        )
    return origin + span * (points[:, support] @ weights), support, weights


#: Squared distances in a box of side 1 that differ by less count as equal.
_TIE = 1e-14
#: The search ends long before, in rounding errors it might go round in circles.
_MANY_STEPS = 20


def _rebalance(
    points: Array, support: list[int], weights: Array
) -> tuple[list[int], Array]:
    """Move weights to the optimum of a support, leaving out what reaches zero."""
    while True:
        edges = (points[:, support[1:]] - points[:, support[:1]]).T
        left, sizes, _ = np.linalg.svd(edges)
        if len(sizes) < len(edges) or sizes[-1] < _DEPENDENT * sizes[0]:
            # A combination of the points that does not move the centre.
            tail, longest = left[:, -1] * np.copysign(1.0, left[-1, -1]), np.inf
            step = np.append(-tail.sum(), tail)
        else:
            # The circumcentre: 2 <edge, centre> = |edge|^2, centre = tail @ edges.
            halves = np.einsum("ij,ij->i", edges, edges) / 2
            tail, longest = left @ ((halves @ left) / sizes**2), 1.0
            step = np.append(1 - tail.sum(), tail) - weights
        limits = np.full(len(support), np.inf)
        down = step < 0
        limits[down] = weights[down] / -step[down]
        first = int(limits.argmin())
        if limits[first] > longest:
            return support, weights + step
        weights = np.delete(weights + limits[first] * step, first)
        support = support[:first] + support[first + 1 :]


#: Relative singular value below which points count as affinely dependent.
_DEPENDENT = 1e-7
