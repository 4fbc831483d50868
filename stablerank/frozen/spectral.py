"""A rigorous upper bound of the spectral norm of a float64 matrix.

With G = fl(W^T W), t >= s^2 for a guess s of the norm, A = fl(tI - G), any float
factor R of A and E = fl(A - R R^T),

    s(W)^2 <= t + |E|_F + gamma_m |W|_F^2 + gamma_n |R|_F^2
                + 4u (|A|_F + |G|_F + |E|_F)                           [N6 c],

because R R^T is positive semidefinite however R was made.  Nothing is assumed of
the guess or of the factorisation; both only decide how tight the bound is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.rounding import UNIT_ROUNDOFF, gamma, mul_up, sqrt_up, sum_up, up

__all__ = ["spectral_norm_up"]

Array = NDArray[np.float64]


def spectral_norm_up(weight: Array) -> float:
    """Upper bound of the largest singular value; 0 only for the zero matrix.

    Examples
    --------
    >>> 1.0 <= spectral_norm_up(np.eye(3)) < 1.0 + 1e-12
    True
    """
    if not weight.any():
        return 0.0
    # An exact power of two brings every product into the normal range.
    scale = 2.0 ** np.floor(np.log2(np.abs(weight).max()))
    tall = weight / scale
    tall = tall if tall.shape[0] >= tall.shape[1] else tall.T
    columns, rows = np.abs(tall).sum(axis=0).max(), np.abs(tall).sum(axis=1).max()
    slack = 1 + 2 * gamma(sum(tall.shape) + 4)
    simple = min(
        float(_frobenius_up(tall)),
        float(up(np.sqrt(columns * rows) * slack)),
    )
    # Entries that scaling pushed below 2**-1022 lost at most this much together.
    lost = 2.0**-1000
    bound = min(simple, _cholesky_bound(tall)) + lost
    return float(mul_up(up(bound), scale))


def _frobenius_up(a: Array) -> float:
    return float(sqrt_up(sum_up(mul_up(np.abs(a), np.abs(a)))))


def _cholesky_bound(w: Array) -> float:
    m, n = w.shape
    gram = w.T @ w
    guess = float(np.linalg.norm(w, 2)) ** 2
    t = guess * (1 + 8 * n * n * UNIT_ROUNDOFF + 2.0**-44)
    a = t * np.eye(n) - gram
    try:
        factor: Any = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return np.inf  # the guess was too low; the simple bounds stand
    residual = a - factor @ factor.T
    norms = [_frobenius_up(x) for x in (residual, w, factor, a, gram)]
    e, w_norm, r_norm, a_norm, g_norm = norms
    square = (
        t
        + e
        + gamma(m) * w_norm**2
        + gamma(n) * r_norm**2
        + 4 * UNIT_ROUNDOFF * (a_norm + g_norm + e)
    )
    return float(sqrt_up(square * (1 + 2.0**-45)))
