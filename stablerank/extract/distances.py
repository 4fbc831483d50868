"""The distance matrix of a sample, of all its points or of landmarks.

Distances of points are computed by subtraction, never by dot products; what their
rounding may do to bars goes along with the matrix [F3].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from stablerank.extract.geometry import distance_error, distance_matrix
from stablerank.extract.landmarks import farthest_points
from stablerank.rounding import add_up, mul_up

__all__ = ["Distances", "mean_neighbours"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Distances:
    """A distance matrix, and what is known about the sample that it stands for.

    Attributes
    ----------
    matrix : ndarray of shape (k, k)
        Distances of the points that are kept.
    kept : ndarray of shape (k,), or None
        Their positions in the sample; None means all.
    geometry : dict of str to float
        Numbers of points, dimension, diameter and cover radius, rounded up.
    error : float
        How far rounding may move a bar.
    """

    matrix: Array
    kept: Indices | None
    geometry: dict[str, float]
    error: float

    @classmethod
    def of(
        cls, sample: Array, *, precomputed: bool, n_landmarks: int | None = None
    ) -> Distances:
        """Read a cloud, or a matrix if `precomputed`.

        Examples
        --------
        >>> Distances.of(np.array([[0.0], [3.0]]), precomputed=False).matrix
        array([[0., 3.],
               [3., 0.]])
        """
        geometry = {"n_points": float(len(sample))}
        if not precomputed:
            geometry["dimension"] = float(sample.shape[1])
        if n_landmarks is not None:
            geometry["cover_radius"] = 0.0
            if n_landmarks < len(sample):
                read = _landmarks_of_matrix if precomputed else _landmarks_of_cloud
                return read(sample, n_landmarks, geometry)
        matrix = sample if precomputed else distance_matrix(sample)
        largest = float(matrix.max())
        error = 0.0 if precomputed else distance_error(largest, sample.shape[1])
        geometry["diameter"] = float(add_up(largest, error))
        return cls(matrix, None, geometry, error)

    def original(self, vertices: Indices) -> Indices:
        """Positions in the sample of positions in the matrix; -1 stays."""
        if self.kept is None:
            return vertices
        return np.where(vertices >= 0, self.kept[vertices], -1)


def _landmarks_of_cloud(
    cloud: Array, n_landmarks: int, geometry: dict[str, float]
) -> Distances:
    chosen = farthest_points(len(cloud), n_landmarks, partial(_distances_to, cloud))
    error = distance_error(chosen.reach, cloud.shape[1])
    # From any point to its landmark, and on to any other point.
    through = add_up(chosen.reach, chosen.cover_radius)
    geometry["diameter"] = float(add_up(through, 2 * error))
    geometry["cover_radius"] = float(add_up(chosen.cover_radius, error))
    # Rounding also lets greedy take a point that is too near by 2 error, so that
    # r(X') <= 2 (r(X) + e + error): 4 error more, beside that of the bars [X15].
    matrix = distance_matrix(cloud[chosen.indices])
    return Distances(matrix, chosen.indices, geometry, float(mul_up(5.0, error)))


def _landmarks_of_matrix(
    matrix: Array, n_landmarks: int, geometry: dict[str, float]
) -> Distances:
    chosen = farthest_points(len(matrix), n_landmarks, lambda i: matrix[i])
    geometry["diameter"] = float(matrix.max())
    geometry["cover_radius"] = chosen.cover_radius
    kept = chosen.indices
    return Distances(matrix[np.ix_(kept, kept)], kept, geometry, 0.0)


def _distances_to(cloud: Array, i: int) -> Array:
    return np.asarray(cdist(cloud[i : i + 1], cloud)[0])


def mean_neighbours(
    sample: Array, threshold: float | None, *, precomputed: bool
) -> float:
    """Return how many others are within the threshold of a point, on average.

    Examples
    --------
    >>> mean_neighbours(np.array([[0.0], [1.0]]), 1.5, precomputed=False)
    1.0
    """
    n = len(sample)
    if threshold is None:
        return n - 1.0
    if precomputed:
        return np.count_nonzero(sample <= threshold) / n - 1.0
    tree = cKDTree(sample)
    return float(tree.count_neighbors(tree, threshold)) / n - 1.0
