"""Norms of a matrix from l_p to l_q, for p and q among 1, 2 and infinity [N1].

From l_1, the unit vectors are the worst: the largest l_q norm of a column.  Into
l_inf, one row is the worst: the largest dual norm of a row.  These are sums, and
exact but for one rounding.  From l_2 to l_2 see `spectral_norm_up`.  The three others
are hard to compute, and bounded:

    |W|_(inf,2) <= (sum_i |w_i|_1^2)^(1/2)  and  sqrt(n_in) s(W),
    |W|_(2,1)    = |W^T|_(inf,2),
    |W|_(inf,1) <= sum_ij |w_ij|            and  sqrt(n_in n_out) s(W).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen.spectral import Normalised, spectral_norm_up
from stablerank.rounding import max_up, mul_up, sqrt_up, sum_up

__all__ = ["operator_norm_up"]

Array = NDArray[np.float64]

_DUAL = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}


def operator_norm_up(weight: Array, source: float = 2, target: float = 2) -> float:
    """Upper bound of the largest |W x|_target over |x|_source <= 1.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.
    source, target : {1, 2, inf}
        Norms before and after.

    Examples
    --------
    >>> weight = np.array([[3.0, 4.0], [0.0, -1.0]])
    >>> operator_norm_up(weight, math.inf, math.inf), operator_norm_up(weight, 1, 1)
    (7.0, 5.0)
    >>> operator_norm_up(weight, 2, math.inf)
    5.0
    """
    source, target = float(source), float(target)
    if source not in _DUAL or target not in _DUAL:
        raise InvalidInputError(f"norms are 1, 2 or inf, not {source} to {target}")
    weight = np.asarray(weight, np.float64)
    if weight.ndim != 2:
        raise ShapeError(f"a weight of shape {weight.shape} is no matrix")
    if source == target == 2:
        return spectral_norm_up(weight)
    scaled = Normalised.of(weight)
    w = scaled.array
    if source == 1:
        bound = max_up(_lengths(w.T, target))
    elif target == math.inf:
        bound = max_up(_lengths(w, _DUAL[source]))
    elif (source, target) == (2, 1):
        bound = _from_cube(w.T, 2)
    else:
        bound = _from_cube(w, target)
    return scaled.restore(bound)


def _lengths(rows: Array, order: float) -> Array:
    """Norm of every row, rounded up."""
    size = np.abs(rows)
    if order == math.inf:
        return np.asarray(size.max(axis=1, initial=0.0))
    if order == 1:
        return np.asarray(sum_up(size, axis=1))
    return np.asarray(sqrt_up(sum_up(mul_up(size, size), axis=1)))


def _from_cube(w: Array, target: float) -> float:
    """Norm from l_inf to l_2 or l_1: by the row sums, and through l_2."""
    sums = _lengths(w, 1)
    by_rows = sqrt_up(sum_up(mul_up(sums, sums))) if target == 2 else sum_up(sums)
    stretch = w.shape[1] if target == 2 else w.size
    return float(min(by_rows, mul_up(sqrt_up(float(stretch)), spectral_norm_up(w))))
