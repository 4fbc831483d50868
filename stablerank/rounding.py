"""Outward rounding: floats that are certainly on the safe side.

A constant that enters a certificate must be rounded up, a radius down.  The
helpers here return the result of one float64 operation moved by at most one
ulp, and leave it alone when the operation was exact, so that 2 * 1 stays 2.
`+ - * / sqrt` and `math.fsum` are correctly rounded, so one `nextafter` after
each is enough [F5]; it covers subnormals too.  An exact zero appears only where
a factor is exactly zero: a product that underflows is rounded up to 2**-1074,
because a constant that rounds to 0 would certify everything [F8].

Everything accepts scalars and numpy arrays and broadcasts.  The direction is the
safe one for any input, overflow and subnormals included, and NaN stays NaN; the
result is the tightest float wherever the numbers keep away from the extremes of the
range (2**-900 to 2**900).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.exceptions import InvalidInputError

__all__ = [
    "UNIT_ROUNDOFF",
    "add_up",
    "div_down",
    "div_up",
    "down",
    "exact_fraction",
    "fits_float64",
    "fraction_up",
    "gamma",
    "max_up",
    "mul_down",
    "mul_up",
    "pow_up",
    "root_up",
    "sqrt_fraction_up",
    "sqrt_up",
    "sub_down",
    "sum_up",
    "up",
]

#: Half the distance from 1 to the next float64: u = 2**-53.
UNIT_ROUNDOFF = 2.0**-53

Real = Any  # float or float64 array, preserved from input to output
Array = NDArray[np.float64]

# Error-free transformations are exact only away from overflow and underflow.
_SAFE_LOW, _SAFE_HIGH, _SPLIT = 2.0**-900, 2.0**900, 134217729.0


def _quiet() -> np.errstate:
    """Overflow, underflow and NaN are results here, and are treated as such."""
    return np.errstate(over="ignore", under="ignore", invalid="ignore")


def _out(value: ArrayLike) -> Real:
    array = np.asarray(value, dtype=np.float64)
    return float(array) if array.ndim == 0 else array


def up(x: ArrayLike) -> Real:
    """Next float64 above `x`.

    Examples
    --------
    >>> up(1.0) > 1.0
    True
    """
    with _quiet():
        return _out(np.nextafter(np.asarray(x, np.float64), np.inf))


def down(x: ArrayLike) -> Real:
    """Next float64 below `x`, never below zero for a nonnegative `x`.

    Examples
    --------
    >>> down(1.0) < 1.0, down(0.0)
    (True, 0.0)
    """
    x = np.asarray(x, np.float64)
    with _quiet():
        stepped = np.nextafter(x, -np.inf)
    return _out(np.where((x >= 0) & (stepped < 0), 0.0, stepped))


def _sum_error(a: Array, b: Array, s: Array) -> Array:
    """Return a + b - fl(a + b), exactly (Knuth's two-sum)."""
    bb = s - a
    return (a - (s - bb)) + (b - bb)


def _product_error(a: Array, b: Array, p: Array) -> Array:
    """Return a * b - fl(a * b), exactly in the safe range (Dekker's product)."""
    a_hi = _SPLIT * a
    a_hi = a_hi - (a_hi - a)
    a_lo = a - a_hi
    b_hi = _SPLIT * b
    b_hi = b_hi - (b_hi - b)
    b_lo = b - b_hi
    return ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


def _product_excess(a: Array, b: Array, c: Array) -> Array:
    """Return a number with the sign of a * b - c, for c within an ulp of a * b."""
    p = a * b
    return (p - c) + _product_error(a, b, p)  # p - c is exact (Sterbenz)


def _in_safe_range(*arrays: Array) -> NDArray[np.bool_]:
    ok = np.asarray(True)
    for array in arrays:
        size = np.abs(array)
        ok = ok & ((size > _SAFE_LOW) & (size < _SAFE_HIGH))
    return ok


def _is_nan(a: Array, b: Array) -> NDArray[np.bool_]:
    return np.isnan(a) | np.isnan(b)


def add_up(a: ArrayLike, b: ArrayLike) -> Real:
    """Sum, rounded up; exact sums are left alone.

    Examples
    --------
    >>> add_up(1.0, 2.0), add_up(1.0, 1e-30) > 1.0
    (3.0, True)
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with _quiet():
        s = a + b
        # The error of a float sum is always representable, so this is certain.
        # A finite sum below the range counts as inexact: one step above -inf.
        above = np.isfinite(s) & (_sum_error(a, b, s) <= 0)
        infinite = np.isinf(a) | np.isinf(b)
        return _out(np.where(above | infinite, s, np.nextafter(s, np.inf)))


def sub_down(a: ArrayLike, b: ArrayLike) -> Real:
    """Difference, rounded down; exact differences are left alone.

    Examples
    --------
    >>> sub_down(3.0, 1.0), sub_down(1.0, 1e-30) < 1.0
    (2.0, True)
    """
    return _out(-np.asarray(add_up(-np.asarray(a, np.float64), b)))


def mul_up(a: ArrayLike, b: ArrayLike) -> Real:
    """Product of nonnegative numbers, rounded up; 0 only if a factor is 0 [F8].

    A zero factor gives 0 whatever the other is, infinity included.

    Examples
    --------
    >>> mul_up(2.0, 3.0), mul_up(1e-200, 1e-200), mul_up(0.0, 7.0)
    (6.0, 5e-324, 0.0)
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with _quiet():
        p = a * b
        exact = _in_safe_range(a, b, p) & (_product_error(a, b, p) <= 0)
        trivial = (np.abs(a) == 1) | (np.abs(b) == 1)
        p = np.where(exact | trivial, p, np.nextafter(p, np.inf))
    zero = ((a == 0) | (b == 0)) & ~_is_nan(a, b)  # 0 * inf is 0: see above
    return _out(np.where(zero, 0.0, p))


def mul_down(a: ArrayLike, b: ArrayLike) -> Real:
    """Product of nonnegative numbers, rounded down and never below 0.

    Examples
    --------
    >>> mul_down(2.0, 3.0), mul_down(0.1, 0.1) <= 0.01
    (6.0, True)
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with _quiet():
        p = a * b
        exact = _in_safe_range(a, b, p) & (_product_error(a, b, p) >= 0)
    zero = ((a == 0) | (b == 0)) & ~_is_nan(a, b)
    trivial = (np.abs(a) == 1) | (np.abs(b) == 1)
    return _out(np.where(zero, 0.0, np.where(exact | trivial, p, down(p))))


def div_up(a: ArrayLike, b: ArrayLike) -> Real:
    """Quotient of nonnegative numbers, rounded up (b > 0).

    Examples
    --------
    >>> div_up(1.0, 2.0), div_up(1.0, 3.0) > 1 / 3
    (0.5, True)
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with _quiet():
        q = a / b
        above = _in_safe_range(a, b, q) & (_product_excess(q, b, a) >= 0)
        q = np.where(above | (b == 1), q, np.nextafter(q, np.inf))
    return _out(np.where((a == 0) & ~np.isnan(q), 0.0, q))


def div_down(a: ArrayLike, b: ArrayLike) -> Real:
    """Quotient of nonnegative numbers, rounded down (b > 0).

    Examples
    --------
    >>> div_down(1.0, 2.0), 3 * exact_fraction(div_down(2.0, 3.0)) < 2
    (0.5, True)
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with _quiet():
        q = a / b
        below = _in_safe_range(a, b, q) & (_product_excess(q, b, a) <= 0)
    return _out(np.where(below | (b == 1), q, down(q)))


def sqrt_up(a: ArrayLike) -> Real:
    """Square root, rounded up.

    Examples
    --------
    >>> sqrt_up(4.0), sqrt_up(2.0) ** 2 > 2
    (2.0, True)
    """
    a = np.asarray(a, np.float64)
    r = np.sqrt(a)
    with _quiet():
        above = _in_safe_range(a, r) & (_product_excess(r, r, a) >= 0)
    return _out(np.where(above | (a == 0), r, np.nextafter(r, np.inf)))


def pow_up(a: float, exponent: float) -> float:
    """a ** exponent for a >= 0, rounded up.

    The C library's `pow` is accurate to a few ulp but not correctly rounded; the
    result is raised by 2**-50 relative. Exponents 0, 1/2, 1 and 2 take the correctly
    rounded road. For the root of order p use `root_up`: the float 1 / p is not the
    number 1 / p, and a large `a` feels the difference.

    Examples
    --------
    >>> pow_up(2.0, 0.5) == sqrt_up(2.0), pow_up(3.0, 1.0), pow_up(3.0, 2.0)
    (True, 3.0, 9.0)
    """
    a, exponent = float(a), float(exponent)
    tight = {0.0: 1.0, 0.5: float(sqrt_up(a)), 1.0: a, 2.0: float(mul_up(a, a))}
    if exponent in tight:
        return tight[exponent]
    if a in (0.0, 1.0):
        return math.inf if a < 1 and exponent < 0 else a
    try:
        power = a**exponent
    except OverflowError:  # Python's way to say infinity
        return math.inf
    return float(up(power * (1 + 2.0**-50)))


def root_up(a: float, p: float) -> float:
    """Root of order p >= 1 of a >= 0, rounded up.

    1 / p is rounded to the side on which the power grows: up for a >= 1, down below.

    Examples
    --------
    >>> root_up(8.0, 3) >= 2, root_up(4.0, 2), root_up(5.0, 1)
    (True, 2.0, 5.0)
    """
    return pow_up(a, float(div_up(1.0, p) if a >= 1 else div_down(1.0, p)))


def sum_up(values: ArrayLike, axis: int | None = None) -> Real:
    """Sum along an axis, rounded up once (math.fsum is correctly rounded).

    Examples
    --------
    >>> sum_up([0.1] * 10) >= 1.0, sum_up([1.0, 2.0])
    (True, 3.0)
    """
    array = np.asarray(values, dtype=np.float64)
    if axis is None:
        return _fsum_up(array.ravel().tolist())
    moved = np.moveaxis(array, axis, -1)
    rows = moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1]).tolist()
    return _out(np.reshape([_fsum_up(row) for row in rows], moved.shape[:-1]))


def _fsum_up(values: list[float]) -> float:
    try:
        total = math.fsum(values)
    except OverflowError:  # a partial sum left the range: infinity is above it
        return math.inf
    if not math.isfinite(total):
        return total
    # fsum of the terms and the negated total is the rounding error itself.
    return (
        total if math.fsum([*values, -total]) <= 0 else math.nextafter(total, math.inf)
    )


def max_up(values: ArrayLike, initial: float = 0.0) -> float:
    """Largest entry, or `initial` for an empty array (maxima are exact).

    Examples
    --------
    >>> max_up([1.0, 3.0]), max_up([])
    (3.0, 0.0)
    """
    return float(np.max(np.asarray(values, np.float64), initial=initial))


def gamma(n: float) -> float:
    """Upper bound of n u / (1 - n u), the classical rounding constant.

    Examples
    --------
    >>> gamma(1) >= UNIT_ROUNDOFF
    True
    """
    nu = float(mul_up(n, UNIT_ROUNDOFF))  # exact: u is a power of two
    if not 0 <= nu < 0.5:
        raise InvalidInputError(f"gamma_n needs 0 <= n < 2**52, got n = {n}")
    return float(div_up(nu, sub_down(1.0, nu)))


def exact_fraction(x: float) -> Fraction:
    """Return the float as the rational number that it is.

    Examples
    --------
    >>> exact_fraction(0.5)
    Fraction(1, 2)
    """
    return Fraction(float(x))


def fits_float64(array: NDArray[Any]) -> bool:
    """Whether float64 holds every number of an array of integers or floats.

    Integers are trusted up to 2**53, whatever their last bits.

    Examples
    --------
    >>> fits_float64(np.array([2**53])), fits_float64(np.array([2**53 + 1]))
    (True, False)
    """
    if array.dtype.kind in "iu":
        least, largest = int(array.min(initial=0)), int(array.max(initial=0))
        return max(-least, largest) <= 2**53
    if array.dtype.itemsize <= 8:
        return True
    return bool(np.all((array.astype(np.float64) == array) | np.isnan(array)))


def fraction_up(value: Fraction) -> float:
    """Smallest float64 that is at least `value` (>= 0).

    Examples
    --------
    >>> fraction_up(Fraction(1, 3)) >= Fraction(1, 3), fraction_up(Fraction(1, 2))
    (True, 0.5)
    """
    try:
        nearest = float(value)
    except OverflowError:
        return math.inf
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def sqrt_fraction_up(value: Fraction) -> float:
    """Smallest float64 that is at least the square root of `value` (>= 0).

    Examples
    --------
    >>> sqrt_fraction_up(Fraction(1, 4)), sqrt_fraction_up(Fraction(2)) == sqrt_up(2.0)
    (0.5, True)
    """
    if value == 0:
        return 0.0
    # A guess within a few ulp through integers, then single steps both ways.
    shift = max(0, 130 - value.numerator.bit_length() + value.denominator.bit_length())
    shift += shift % 2
    root = math.isqrt((value.numerator << shift) // value.denominator)
    guess = fraction_up(Fraction(root, 1 << (shift // 2)))
    while math.isfinite(guess) and Fraction(guess) ** 2 < value:
        guess = math.nextafter(guess, math.inf)
    while guess > 0:
        below = math.nextafter(guess, 0.0)
        if Fraction(below) ** 2 < value:
            break
        guess = below
    return guess
