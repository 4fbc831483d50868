"""What a metric and a threat are, and the stations between input and output.

Sizes are decided exactly: floats are rational numbers, so the helpers here return
the smallest float64 that is at least the exact distance [F6].
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.exceptions import (
    DataTypeError,
    InvalidInputError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.rounding import (
    add_up,
    fits_float64,
    fraction_up,
    max_up,
    pow_up,
    root_up,
    sqrt_fraction_up,
    sum_up,
)

Array = NDArray[np.float64]
#: From the whole move to almost nothing: the first that fits is taken.
SHRINK = (
    *(1 - 2.0**-k for k in range(52, 2, -4)),
    *(2.0**-k for k in range(1, 53, 3)),
)


def norm_name(p: float) -> str:
    """Name of an l_p norm, as it stands in messages.

    Examples
    --------
    >>> norm_name(math.inf), norm_name(2)
    ('l_inf', 'l_2')
    """
    return "l_inf" if math.isinf(p) else f"l_{p:g}"


def check_order(p: float, name: str = "p") -> None:
    """Raise unless p is the order of a norm, 1 <= p <= inf."""
    if not (isinstance(p, numbers.Real) and not isinstance(p, bool) and p >= 1):
        raise InvalidInputError(f"{name} must be a number >= 1 or math.inf, got {p!r}")


def check_radius(radius: float) -> None:
    """Raise unless the radius is a number >= 0."""
    if not (isinstance(radius, numbers.Real) and radius >= 0):
        raise InvalidInputError(f"radius must be a number >= 0, got {radius!r}")


def finite(x: ArrayLike, what: str) -> Array:
    """Read finite real numbers as float64, exactly or not at all."""
    raw = np.asarray(x)
    if raw.dtype.kind not in "iuf":
        raise DataTypeError(f"{what} holds {raw.dtype} values; give real numbers")
    if not fits_float64(raw):
        raise NumericRangeError(
            f"{what} holds {raw.dtype} numbers that float64 does not have, so sizes "
            "would not be exact; round them first"
        )
    array = raw.astype(np.float64)
    if not np.isfinite(array).all():
        raise NonFiniteError(f"{what} holds NaN or infinity; remove it first")
    return array


def pair(x: ArrayLike, x_new: ArrayLike) -> tuple[Array, Array]:
    """Read two inputs of one shape."""
    a, b = finite(x, "x"), finite(x_new, "x_new")
    if a.shape != b.shape:
        raise ShapeError(
            f"x has shape {a.shape} and x_new {b.shape}; this threat compares "
            "inputs of one shape"
        )
    return a, b


def _differences(a: Array, b: Array) -> tuple[list[int], Fraction]:
    """Return a - b exactly: integers, and the power of two that they count."""
    mantissas, exponents = np.frexp(np.stack([a, b]))
    least = int(exponents.min(initial=0))
    wholes = np.ldexp(mantissas, 53).astype(np.int64)
    first, second = (
        [m << e for m, e in zip(row.tolist(), shifts.tolist(), strict=True)]
        for row, shifts in zip(wholes, exponents - least, strict=True)
    )
    steps = [s - t for s, t in zip(first, second, strict=True)]
    return steps, Fraction(2) ** (least - 53)


def square(a: Array, b: Array) -> Fraction:
    """Exact squared Euclidean distance of two float vectors."""
    steps, unit = _differences(a, b)
    return sum(s * s for s in steps) * unit**2


def largest_entry(a: Array, b: Array) -> float:
    """Smallest float at least max |a - b|."""
    return max_up(entries_up(a, b))


def entries_up(a: Array, b: Array) -> Array:
    """Smallest floats at least |a - b|, entry by entry."""
    return np.asarray(add_up(np.maximum(a, b), -np.minimum(a, b)))


def scale_up(x: Array, exponents: Any) -> Array:
    """Return x * 2**exponents for x >= 0, rounded up."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(x, exponents)
        lost = np.ldexp(scaled, -exponents) < x
        return np.asarray(np.where(lost, np.nextafter(scaled, np.inf), scaled))


def norm_up(a: Array, b: Array, p: float) -> float:
    """Upper bound of the l_p distance of two vectors; tight for p = 1, 2, inf."""
    if math.isinf(p):
        return largest_entry(a, b)
    if p == 2:
        return sqrt_fraction_up(square(a, b))
    if p == 1:
        steps, unit = _differences(a, b)
        return fraction_up(sum(map(abs, steps)) * unit)
    gaps = entries_up(a, b)
    exponent = int(np.frexp(gaps.max(initial=0.0))[1])  # so that powers stay in range
    powers = [pow_up(s, p) for s in scale_up(gaps, -exponent).tolist()]
    return float(scale_up(np.asarray(root_up(sum_up(powers), p)), exponent))


def towards(a: Array, b: Array, share: float | Array) -> Array:
    """Move from a towards b by a share of the way; a where that overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved = a + (b - a) * share
    return np.where(np.isfinite(moved), moved, a)


def clip(a: Array, b: Array, radius: float) -> Array:
    """Bring every entry of b to within the radius of a; b where it is already."""
    with np.errstate(over="ignore"):
        near = np.where(b > a, np.minimum(a + radius, b), np.maximum(a - radius, b))
    # The sum may be rounded away from a, by less than the step back.
    return np.where(entries_up(a, near) <= radius, near, np.nextafter(near, a))


@dataclass(frozen=True)
class Metric:
    """A distance that a bound can start from or end in."""

    def __str__(self) -> str:
        raise NotImplementedError


# --- stations between input and output ---------------------------------------


@dataclass(frozen=True)
class Bottleneck(Metric):
    """Bottleneck distance of one channel, ground norm l_inf."""

    def __str__(self) -> str:
        return "bottleneck distance"


@dataclass(frozen=True)
class Wasserstein(Metric):
    """Wasserstein distance of one channel: order p, ground norm l_q."""

    p: float
    q: float

    def __post_init__(self) -> None:
        check_order(self.p)
        check_order(self.q, "q")

    def __str__(self) -> str:
        return f"Wasserstein distance W_({self.p:g}, {self.q:g})"


@dataclass(frozen=True)
class SortedDeaths(Metric):
    """l_p distance of descending, zero padded deaths of bars born at 0."""

    p: float = math.inf

    def __post_init__(self) -> None:
        check_order(self.p)

    def __str__(self) -> str:
        return f"{norm_name(self.p)} distance of sorted deaths"


@dataclass(frozen=True)
class SortedLengths(Metric):
    """l_p distance of descending, zero padded bar lengths."""

    p: float = math.inf

    def __post_init__(self) -> None:
        check_order(self.p)

    def __str__(self) -> str:
        return f"{norm_name(self.p)} distance of sorted lengths"


@dataclass(frozen=True)
class VectorNorm(Metric):
    """l_p distance of vectors."""

    p: float = math.inf

    def __post_init__(self) -> None:
        check_order(self.p)

    def __str__(self) -> str:
        return f"{norm_name(self.p)} distance of vectors"


@dataclass(frozen=True)
class Threat(Metric):
    """A metric on the input space; a radius is measured in it."""

    #: True where the input is the diagrams themselves.
    on_diagrams: ClassVar[bool] = False

    def distance_up(self, x: Any, x_new: Any) -> float:
        """Smallest known float that is at least the exact size of the move."""
        raise NotImplementedError

    def project(self, x: Any, x_new: Any, radius: float) -> Any:
        """Return a point with `distance_up(x, .) <= radius`, towards `x_new`.

        Examples
        --------
        >>> from stablerank import Displacement
        >>> Displacement().project([[0.0, 0.0]], [[3.0, 4.0]], 1.0)
        array([[0.6, 0.8]])
        """
        check_radius(radius)
        a, b = pair(x, x_new)
        size = self.distance_up(a, b)
        if size <= radius:
            return b
        first = radius / size if math.isfinite(size) else 1.0
        for shrink in (1.0, *SHRINK):
            candidate = towards(a, b, first * shrink)
            if self.distance_up(a, candidate) <= radius:
                return candidate
        return a
