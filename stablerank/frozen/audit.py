"""Is a number really at least the spectral norm?  Decided without rounding.

    b >= s(W)  if and only if  b >= 0 and b^2 I - W^T W is positive semidefinite.

Floats are rational numbers, so over a common power of two both sides are integers,
and elimination without fractions (Bareiss) decides: every entry it computes is a
minor of the matrix, hence an integer, and all pivots are >= 0, with an empty row
wherever one is 0, exactly if the matrix is semidefinite.  Its integers grow with the
size; past a few dozen rows, balls of 200 bits answer faster, but only ever yes: a
ball that contains 0 decides nothing.

An audit shares no line with the bounds that it judges, BLAS included.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import MissingDependencyError, NonFiniteError, ShapeError

__all__ = ["audit_spectral_norm", "audit_spectral_norm_with_balls"]

Array = NDArray[np.float64]

#: Below this size balls are eliminated one by one.
_SMALL = 12


def audit_spectral_norm(weight: Array, bound: float) -> bool:
    """Whether `bound` is at least the largest singular value, in exact arithmetic.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W; seconds for 100 rows or columns, whichever are fewer.
    bound : float
        The claim.

    Examples
    --------
    >>> audit_spectral_norm(np.array([[3.0, 4.0]]), 5.0)
    True
    >>> audit_spectral_norm(np.array([[3.0, 4.0]]), np.nextafter(5.0, 0.0))
    False
    """
    rows = _rows(weight)
    if math.isinf(bound) or math.isnan(bound) or bound < 0:
        return bound == math.inf
    fractions = [[Fraction(value) for value in row] for row in rows]
    claim = Fraction(float(bound))
    scale = max(x.denominator for row in [*fractions, [claim]] for x in row)
    columns = list(
        zip(*([int(x * scale) for x in row] for row in fractions), strict=True)
    )
    square = int(claim * scale) ** 2
    gram = [[sum(map(int.__mul__, a, b)) for b in columns] for a in columns]
    return _is_semidefinite(
        [
            [square * (i == j) - g for j, g in enumerate(row)]
            for i, row in enumerate(gram)
        ]
    )


def audit_spectral_norm_with_balls(
    weight: Array, bound: float, bits: int = 200
) -> bool:
    """Whether `bound` is proved to exceed the norm by arithmetic on balls.

    True is a proof; False says that there is none at this precision.  Needs
    python-flint, the extra `audit`.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.
    bound : float
        The claim.
    bits : int
        Precision.
    """
    try:
        import flint
    except ImportError:
        raise MissingDependencyError(
            "python-flint", "audit", "an audit in ball arithmetic"
        ) from None
    rows = _rows(weight)
    if not math.isfinite(bound) or bound < 0:
        return bound == math.inf
    with flint.ctx.workprec(bits):
        w = flint.arb_mat([[flint.arb(x) for x in row] for row in rows])
        gram = w.transpose() * w
        square = flint.arb(float(bound)) ** 2
        n = gram.ncols()
        table = (-gram).tolist()
        for i in range(n):
            table[i][i] += square
        return _is_definite(flint.arb_mat, table)


def _rows(weight: Array) -> list[list[float]]:
    weight = np.asarray(weight, np.float64)
    if weight.ndim != 2:
        raise ShapeError(f"a weight of shape {weight.shape} is no matrix")
    if not np.isfinite(weight).all():
        raise NonFiniteError("the weight has NaN or infinite entries, hence no norm")
    tall = weight if weight.shape[0] >= weight.shape[1] else weight.T
    rows: list[list[float]] = tall.tolist()
    return rows


def _is_semidefinite(a: list[list[int]]) -> bool:
    """Decide for a symmetric matrix of integers, which is overwritten."""
    n, minor = len(a), 1
    for k in range(n):
        row, pivot = a[k], a[k][k]
        if pivot < 0 or (pivot == 0 and any(row[k:])):
            return False
        if pivot == 0:
            continue  # an empty row and column: nothing to eliminate
        for i in range(k + 1, n):
            factor = row[i]
            a[i][i:] = [
                (pivot * x - factor * y) // minor
                for x, y in zip(a[i][i:], row[i:], strict=True)
            ]
        minor = pivot
    return True


def _is_definite(arb_mat: Any, a: list[list[Any]]) -> bool:
    """Prove a symmetric matrix of balls definite: its first half and what remains.

    [[P, Q], [Q^T, R]] is definite if P and R - Q^T P^-1 Q are.
    """
    n = len(a)
    if n <= _SMALL:
        return _has_positive_pivots(a)
    half = n // 2
    first = [row[:half] for row in a[:half]]
    if not _is_definite(arb_mat, first):
        return False
    beside = arb_mat([row[half:] for row in a[:half]])
    rest = arb_mat([row[half:] for row in a[half:]])
    try:
        solved = arb_mat(first).solve(beside)
    except ZeroDivisionError:  # flint's word for: not provably invertible
        return False
    return _is_definite(arb_mat, (rest - beside.transpose() * solved).tolist())


def _has_positive_pivots(a: list[list[Any]]) -> bool:
    a = [list(row) for row in a]
    n = len(a)
    for k in range(n):
        if not a[k][k] > 0:
            return False
        for i in range(k + 1, n):
            ratio = a[k][i] / a[k][k]
            for j in range(i, n):
                a[i][j] = a[i][j] - ratio * a[k][j]
    return True
