"""The constant of sorted H0 deaths against an l_2 budget of displacements [H2].

The sorted degree-0 deaths of a Rips filtration (edge length) are the edge lengths of
a minimum spanning tree.  Two tree edges meet at 60 degrees or more, so a vertex has
few of them, and the vector of all deaths moves by at most

    ||m(X) - m(X')||_2 <= C_d ||X - X'||_F,    C_d = 1 + sqrt(gamma_d - 1),

in dimension d.  For n points the constant is also at most sqrt(n), the root of the
largest Laplacian eigenvalue of a tree.  Alpha radii are half the edge lengths: their
constant is half of this one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.rounding import add_up, sqrt_up

__all__ = ["h2_constant"]

# gamma_d bounds sum_j <p_j, v>^2 over unit vectors p_j pairwise 60 degrees apart and a
# unit vector v: proved for d <= 3, the kissing number above.
_GAMMA = {1: 2.0, 2: 3.0, 3: 5.175, 4: 24.0, 5: 44.0, 6: 78.0, 7: 134.0, 8: 240.0}


def h2_constant(
    dimension: ArrayLike, n_points: ArrayLike | None = None
) -> float | NDArray[np.float64]:
    """Return min(C_d, sqrt(n)), rounded up, for edge lengths; halve it for radii.

    Parameters
    ----------
    dimension : int or array-like of shape (n_samples,)
        Number of coordinates d of a point.
    n_points : int or array-like of shape (n_samples,), optional
        Number of points n; without it the constant that serves every n, which is
        infinite for d > 8.

    Returns
    -------
    float or ndarray of shape (n_samples,)

    Examples
    --------
    >>> h2_constant(1), h2_constant(1, 3) == sqrt_up(3)
    (2.0, True)
    >>> h2_constant([2, 9], [100, 100])
    array([ 2.41421356, 10.        ])
    """
    dims = np.asarray(dimension, dtype=np.float64)
    per_dimension = np.full(dims.shape, np.inf)
    for d, gamma in _GAMMA.items():
        per_dimension[dims == d] = add_up(1.0, sqrt_up(gamma - 1.0))
    if n_points is None:
        best = per_dimension
    else:
        best = np.minimum(per_dimension, np.asarray(sqrt_up(n_points)))
    return float(best) if best.ndim == 0 else best
