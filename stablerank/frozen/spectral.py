"""Rigorous upper bounds of the spectral norm s(W) of a float64 matrix.

Simple:    s(W) <= |W|_F  and  s(W)^2 <= |W|_1 |W|_inf                     [N6 a].

Defect, tight for multiples of orthonormal frames: with G = fl(W^T W), any c >= 0
(here the mean of the diagonal of G; c = 1 in the ledger) and E = fl(G - cI),

    s(W)^2 <= c + (1 + 2u) |E|_F + gamma_m |W|_F^2                         [N6 b].

Cholesky, tight for every matrix: with a guess t of s^2, A = fl(tI - G), any float
factor R of A and E = fl(A - R R^T),

    s(W)^2 <= t + |E|_F + gamma_m |W|_F^2 + gamma_n |R|_F^2
                + 4u (|A|_F + |G|_F + |E|_F)                               [N6 c],

because R R^T is positive semidefinite however R was made.  Nothing is assumed of
the guess or of the factorisation; both only decide how tight the bound is.

Gram iteration: with M_(i+1) = fl(M_i^T M_i),

    s(M_i)^2 <= s(M_(i+1)) + gamma_m |M_i|_F^2,   s(M_N) <= |M_N|_F        [N6 d].

Terms behind gamma are the rounding of one matrix product, in any order of summation
and with or without fused multiply-add.  A complex product of length m is two real
ones of length 2m, whose errors meet at a right angle: gamma_m becomes
sqrt(2) gamma_2m.  Matrices are first scaled by a power of two so that their largest
entry lies in [1, 2): then nothing overflows, and s >= 1, so a last relative slack of
2^-45 covers both the rounding of the formula and what underflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import NonFiniteError, ShapeError
from stablerank.rounding import (
    UNIT_ROUNDOFF,
    add_up,
    gamma,
    max_up,
    mul_up,
    sqrt_up,
    sum_up,
    up,
)

__all__ = [
    "Normalised",
    "cholesky_norm_up",
    "defect_norm_up",
    "frobenius_norm_up",
    "gram_norm_up",
    "product_gamma",
    "schur_norm_up",
    "spectral_norm_up",
    "spectral_squares_up",
]

Array = NDArray[np.float64]

#: Covers a handful of float operations on nonnegative numbers, and underflow.
_SLACK = 1 + 2.0**-45
#: Far below any norm of a normalised matrix, far above what underflows.
_FLOOR = 2.0**-400
#: Sums of up to this many terms are worth being correctly rounded.
_FEW = 2**14
#: Relative slack that nobody needs to improve.
_TIGHT = 1 + 2.0**-30


@dataclass(frozen=True)
class Normalised:
    """An array divided by a power of two: its largest entry lies in [1, 2).

    Examples
    --------
    >>> scaled = Normalised.of(np.array([6.0, 1.0]))
    >>> scaled.array, scaled.exponent, scaled.restore(2.0)
    (array([1.5 , 0.25]), 2, 8.0)
    """

    array: Array
    exponent: int
    #: At least the norm of what underflowed; 0 if nothing did.
    lost: float

    @classmethod
    def of(cls, array: Array) -> Normalised:
        """Scale an array of finite numbers; zeros stay as they are."""
        array = np.asarray(array, np.float64)
        if not np.isfinite(array).all():
            raise NonFiniteError(
                "the weight has NaN or infinite entries, hence no norm; training has "
                "diverged: lower the learning rate"
            )
        exponent = int(np.frexp(np.abs(array).max(initial=0.0))[1]) - 1
        with np.errstate(under="ignore"):
            scaled = np.ldexp(array, -exponent)
        exact = bool((np.ldexp(scaled, exponent) == array).all())
        return cls(scaled, exponent, 0.0 if exact else 2.0**-1000)

    def restore(self, bound: float) -> float:
        """Bound of the norm of the array from a bound of its scaled form; 0 stays 0."""
        total = add_up(bound, self.lost)
        with np.errstate(over="ignore", under="ignore"):
            value = np.ldexp(total, self.exponent)
            rounded_down = np.ldexp(value, -self.exponent) < total
            return float(np.nextafter(value, np.inf) if rounded_down else value)


def spectral_norm_up(weight: Array) -> float:
    """Upper bound of the largest singular value; 0 only for the zero matrix.

    The least of the bounds of this module: one matrix product where all singular
    values are equal, otherwise the Cholesky test, which costs about ten.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.

    Examples
    --------
    >>> spectral_norm_up(np.eye(3))
    1.0
    >>> 1.0 <= spectral_norm_up(np.array([[0.6, 0.8], [-0.8, 0.6]])) < 1.0 + 1e-12
    True
    """
    scaled = _tall(weight)
    w = scaled.array
    if not w.any():
        return 0.0
    gram = _gram(w)
    centres, squares = _defect_squares(w[None], gram[None])
    bound = float(sqrt_up(squares[0]))
    if squares[0] > centres[0] * _TIGHT:
        bound = min(bound, _cholesky_bound(w, gram))
    # These two are exact for permutations and rank one: then worth exact sums.
    for simple in (_schur_bound, _frobenius_bound):
        if w.size <= _FEW or simple(w, exact=False) <= bound * _TIGHT:
            bound = min(bound, simple(w, exact=True))
    return scaled.restore(bound)


def frobenius_norm_up(weight: Array) -> float:
    """Frobenius norm, rounded up, as a bound of the spectral norm [N6 a].

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.

    Examples
    --------
    >>> frobenius_norm_up(np.array([[3.0, 4.0]]))
    5.0
    """
    scaled = _tall(weight)
    return scaled.restore(_frobenius_bound(scaled.array, exact=True))


def schur_norm_up(weight: Array) -> float:
    """Root of the largest row sum times the largest column sum of |W| [N6 a].

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.

    Examples
    --------
    >>> schur_norm_up(np.array([[0.0, 2.0], [-2.0, 0.0]]))
    2.0
    """
    scaled = _tall(weight)
    return scaled.restore(_schur_bound(scaled.array, exact=True))


def defect_norm_up(weight: Array) -> float:
    """Bound by the distance of W^T W, or W W^T, from a multiple of I [N6 b].

    One matrix product; tight where all singular values are nearly equal.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.

    Examples
    --------
    >>> 1.0 <= defect_norm_up(np.eye(2, 5)) < 1.0 + 1e-12
    True
    """
    scaled = _tall(weight)
    w = scaled.array
    if not w.any():
        return 0.0
    _, squares = _defect_squares(w[None], _gram(w)[None])
    return scaled.restore(float(sqrt_up(squares[0])))


def cholesky_norm_up(weight: Array) -> float:
    """Bound by a factorisation of tI - W^T W, tight for every matrix [N6 c].

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.

    Examples
    --------
    >>> 5.0 <= cholesky_norm_up(np.array([[3.0], [4.0]])) < 5.0 + 1e-12
    True
    """
    scaled = _tall(weight)
    w = scaled.array
    return scaled.restore(_cholesky_bound(w, _gram(w))) if w.any() else 0.0


def gram_norm_up(weight: Array, steps: int = 8) -> float:
    """Bound by Gram iteration: a power of W, whose Frobenius norm is taken [N6 d].

    Above the norm by a factor of at most rank^(1 / 2^(steps + 1)), and rounding.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.
    steps : int
        Products W <- W^T W.

    Examples
    --------
    >>> 1.0 <= gram_norm_up(np.eye(4), steps=10) < 1.001
    True
    """
    scaled = _tall(weight)
    if not scaled.array.any():
        return 0.0
    chain, lost = [scaled], []
    for _ in range(steps):
        w = chain[-1].array
        lost.append(up(gamma(len(w)) * _size(w) ** 2 * _SLACK + _FLOOR))
        chain.append(Normalised.of(_gram(w)))
    bound = _frobenius_bound(chain[-1].array, exact=True)
    for power, error in zip(reversed(chain[1:]), reversed(lost), strict=True):
        bound = float(sqrt_up(add_up(power.restore(bound), error)))
    return scaled.restore(bound)


def spectral_squares_up(stack: NDArray[Any], guesses: Array | None = None) -> Array:
    """Upper bounds of the squared spectral norms of a stack of matrices [N6 c].

    Parameters
    ----------
    stack : ndarray of shape (n_matrices, m, n), float64 or complex128
        Entries neither overflow nor underflow when squared; m >= n is cheaper.
    guesses : ndarray of shape (n_matrices,), optional
        Numbers above the squared norms, for callers who need no more than that; by
        default they are computed.

    Returns
    -------
    ndarray of shape (n_matrices,)
        A little above the guesses, or inf where these were too low.

    Examples
    --------
    >>> bool(5.0 <= spectral_squares_up(np.array([[[2.0], [1j]]]))[0] < 5.0 + 1e-12)
    True
    """
    gram = _gram(stack)
    if guesses is None:
        centres, bounds = _defect_squares(stack, gram)
        if (bounds <= centres * _TIGHT).all():
            return bounds
        try:
            guesses = np.linalg.eigvalsh(gram)[:, -1]
        except np.linalg.LinAlgError:
            return np.full(len(stack), np.inf)
    return _squares_up(stack, gram, guesses)


def product_gamma(length: int, is_complex: bool) -> float:
    """Rounding constant of a matrix product, relative to that of absolute values.

    Examples
    --------
    >>> product_gamma(3, is_complex=False) < product_gamma(3, is_complex=True) / 2
    True
    """
    if is_complex:
        return float(mul_up(sqrt_up(2.0), gamma(2 * length)))
    return gamma(length)


def _tall(weight: Array) -> Normalised:
    weight = np.asarray(weight, np.float64)
    if weight.ndim != 2:
        raise ShapeError(
            f"a weight of shape {weight.shape} is no matrix; reshape it to "
            "(n_out, n_in), or use conv_norm_up for a kernel"
        )
    return Normalised.of(weight if len(weight) >= weight.shape[1] else weight.T)


def _gram(stack: NDArray[Any]) -> NDArray[Any]:
    """W^* W, rounded."""
    product: NDArray[Any] = stack.conj().swapaxes(-1, -2) @ stack
    return product


def _sizes(stack: NDArray[Any]) -> Array:
    """Frobenius norms of a stack of matrices, rounded up but for underflow."""
    flat = np.ascontiguousarray(stack).reshape(len(stack), -1).view(np.float64)
    squares = np.einsum("ij,ij->i", flat, flat)
    return np.asarray(np.sqrt(squares) * (1 + gamma(flat.shape[1] + 4)))


def _size(matrix: Array) -> float:
    return float(_sizes(matrix[None])[0])


def _frobenius_bound(w: Array, exact: bool) -> float:
    if exact:
        return float(sqrt_up(sum_up(mul_up(np.abs(w), np.abs(w)))))
    return _size(w) * _SLACK


def _schur_bound(w: Array, exact: bool) -> float:
    size = np.abs(w)
    if exact:
        columns, rows = max_up(sum_up(size, axis=0)), max_up(sum_up(size, axis=1))
        # The root of a rounded square may be an ulp too large.
        return columns if columns == rows else float(sqrt_up(mul_up(columns, rows)))
    product = float(size.sum(axis=0).max() * size.sum(axis=1).max())
    return math.sqrt(product) * (1 + gamma(sum(w.shape))) * _SLACK


def _defect_squares(stack: NDArray[Any], gram: NDArray[Any]) -> tuple[Array, Array]:
    """Centres c, and the bounds of the squared norms around them."""
    m, n = stack.shape[-2:]
    centres = np.einsum("ijj->i", gram).real / n
    defects = _sizes(gram - centres[:, None, None] * np.eye(n))
    lost = product_gamma(m, np.iscomplexobj(stack)) * _sizes(stack) ** 2
    squares = centres + defects * (1 + 4 * UNIT_ROUNDOFF) + lost
    return centres, np.asarray(squares * _SLACK + _FLOOR)


def _cholesky_bound(w: Array, gram: Array) -> float:
    try:
        largest = np.asarray(np.linalg.eigvalsh(gram)[-1:], np.float64)
    except np.linalg.LinAlgError:
        return math.inf  # no guess; the simple bounds stand
    return float(sqrt_up(_squares_up(w[None], gram[None], largest)[0]))


def _squares_up(stack: NDArray[Any], gram: NDArray[Any], guesses: Array) -> Array:
    """Raise the guesses by a few roundings until every factorisation succeeds."""
    m, n = stack.shape[-2:]
    for growth in (4, 64, 1024, 2**20):
        t = guesses * (1 + growth * n * UNIT_ROUNDOFF) + _FLOOR
        a = t[:, None, None] * np.eye(n) - gram
        try:
            factor: NDArray[Any] = np.linalg.cholesky(a)
        except np.linalg.LinAlgError:
            continue
        residual = a - factor @ factor.conj().swapaxes(-1, -2)
        w, r, g, a_size, e = map(_sizes, (stack, factor, gram, a, residual))
        is_complex = np.iscomplexobj(stack)
        square = (
            t
            + e
            + product_gamma(m, is_complex) * w**2
            + product_gamma(n, is_complex) * r**2
            + 4 * UNIT_ROUNDOFF * (a_size + g + e)
        )
        return np.asarray(square * _SLACK + _FLOOR)
    return np.full(len(stack), np.inf)
