"""A greedy farthest-point subsample, and what leaving the others out costs.

Start at point 0, then take the point farthest from all taken so far.  The k points
taken are nearly as spread as k points can be: their cover radius r(X) is at most
twice the best one (Gonzalez), and the best one moves no more than the points do.  So
r(X') <= 2 (r(X) + e) for every X' within e, and the Rips diagrams of the subsamples
obey

    d_B(sub X, sub X') <= 6 e + 6 r(X)   [X15]

although another X' may well have other landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Landmarks", "farthest_points"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Landmarks:
    """Some points of a cloud, and how far the others are from them.

    Attributes
    ----------
    indices : ndarray of shape (k,)
        Positions in the cloud, in the order in which they were taken.
    cover_radius : float
        Largest distance of a point to its nearest landmark, as computed.
    reach : float
        Largest distance between a landmark and a point, as computed.
    """

    indices: NDArray[np.int64]
    cover_radius: float
    reach: float


def farthest_points(
    n_points: int, n_landmarks: int, distances_from: Callable[[int], Array]
) -> Landmarks:
    """Choose landmarks greedily, starting at point 0; the first of equals wins.

    Parameters
    ----------
    n_points : int
        Number of points.
    n_landmarks : int
        How many to take; fewer if the rest are duplicates of those.
    distances_from : callable
        From the position of a point to its distances to all points, `(n_points,)`.

    Examples
    --------
    >>> line = np.array([0.0, 1.0, 2.0, 10.0])
    >>> farthest_points(4, 2, lambda i: abs(line - line[i]))
    Landmarks(indices=array([0, 3]), cover_radius=2.0, reach=10.0)
    """
    chosen = [0]
    nearest = distances_from(0)
    reach = float(nearest.max())
    while len(chosen) < min(n_landmarks, n_points) and nearest.max() > 0:
        chosen.append(int(np.argmax(nearest)))
        row = distances_from(chosen[-1])
        reach = max(reach, float(row.max()))
        nearest = np.minimum(nearest, row)
    return Landmarks(np.asarray(chosen, np.int64), float(nearest.max()), reach)
