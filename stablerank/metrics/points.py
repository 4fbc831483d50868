"""Threats to point clouds: who may move, and how far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.metrics.base import (
    SHRINK,
    Array,
    Threat,
    check_radius,
    entries_up,
    finite,
    pair,
    scale_up,
    square,
    towards,
)
from stablerank.rounding import (
    add_up,
    div_up,
    fraction_up,
    max_up,
    mul_up,
    sqrt_fraction_up,
    sqrt_up,
)

__all__ = ["Budget", "Displacement", "Hausdorff", "SinglePoint", "Strain"]


def _clouds(x: ArrayLike, x_new: ArrayLike) -> tuple[Array, Array]:
    a, b = pair(x, x_new)
    if a.ndim != 2:
        raise ShapeError(f"a cloud has shape (points, coordinates), got {a.shape}")
    return a, b


def _slack(dimension: int) -> float:
    """How far, relatively, a rough size may lie above the exact one."""
    return (dimension + 10) * 2.0**-52


_LARGEST = float(np.finfo(np.float64).max)


def _moves_up(a: Array, b: Array) -> Array:
    """Euclidean length of every point's move, rounded up.

    Within `_slack(d)` of the exact length, unless that is subnormal: every move is
    scaled by a power of two, so that its squares keep their accuracy.
    """
    steps = entries_up(a, b)
    exponents = np.frexp(steps.max(axis=1, initial=0.0))[1]
    steps = scale_up(steps, -exponents[:, None])
    total: Any = np.zeros(len(a))
    for k in range(a.shape[1]):
        total = add_up(total, mul_up(steps[:, k], steps[:, k]))
    return scale_up(np.asarray(sqrt_up(total)), exponents)


def _sizes_up(a: Array, b: Array, weights: Array | None) -> Array:
    """Upper bound of |a_i - b_i| / w_i: infinite where w_i = 0 and point i moved."""
    moves = _moves_up(a, b)
    if weights is None:
        return moves
    with np.errstate(divide="ignore"):
        return np.where(moves == 0, 0.0, div_up(moves, weights))


def _largest_move(a: Array, b: Array, weights: Array | None = None) -> float:
    """Smallest float at least max_i |a_i - b_i| / w_i."""
    rough = _sizes_up(a, b, weights)
    least = min(max_up(rough), _LARGEST) * (1 - _slack(a.shape[1]))
    exact = Fraction(0)
    for i in np.flatnonzero((rough >= least) & (rough > 0)).tolist():
        size = square(a[i], b[i])
        if weights is not None and weights[i] == 0:
            return math.inf
        if weights is not None:
            size /= Fraction(float(weights[i])) ** 2
        exact = max(exact, size)
    return sqrt_fraction_up(exact)


@dataclass(frozen=True)
class Displacement(Threat):
    """Every point moves by at most r (Euclidean); with weights, by r times w_i.

    Parameters
    ----------
    weights : str or callable, optional
        Name of a per-point array that the sample carries (`sample[name]` or
        `sample.arrays[name]`), or a function from the sample to such an array
        of nonnegative numbers. A function needs a name of its own: bounds and
        certificates tell threats apart by it.

    Examples
    --------
    >>> Displacement().distance_up([[0.0, 0.0]], [[3.0, 4.0]])
    5.0
    """

    weights: str | Callable[[Any], ArrayLike] | None = None

    def __post_init__(self) -> None:
        if self.weights is None or isinstance(self.weights, str):
            return
        if getattr(self.weights, "__name__", "<lambda>") == "<lambda>":
            raise InvalidInputError(
                "weights must be the name of an array or a function defined by a "
                f"name (def), which certificates can cite; got {self.weights!r}"
            )

    def __str__(self) -> str:
        if self.weights is None:
            return "displacement of every point"
        label = self.weights
        if not isinstance(label, str):
            label = f"{label.__module__}.{label.__qualname__}"
        return f"displacement of every point in units of {label}"

    def point_weights(self, x: Any) -> Array | None:
        """Weights of the points of one sample, or None if all are 1."""
        if self.weights is None:
            return None
        if callable(self.weights):
            raw = self.weights(x)
        else:
            carrier = getattr(x, "arrays", x)
            if not isinstance(carrier, Mapping) or self.weights not in carrier:
                raise InvalidInputError(
                    f"the sample carries no array {self.weights!r}; add it, or give "
                    "Displacement(weights=function_of_the_sample)"
                )
            raw = carrier[self.weights]
        weights = finite(raw, "the weights")
        if weights.ndim != 1 or (weights < 0).any():
            raise InvalidInputError("weights must be one number >= 0 per point")
        return weights

    def _read(self, x: Any, x_new: Any) -> tuple[Array, Array, Array]:
        weights = self.point_weights(x)
        a, b = _clouds(_positions(x), _positions(x_new))
        if weights is None:
            weights = np.ones(len(a))
        if len(weights) != len(a):
            raise ShapeError(f"{len(weights)} weights for {len(a)} points")
        return a, b, weights

    def distance_up(self, x: Any, x_new: Any) -> float:
        """Smallest float at least max_i |x_i - x_new_i| / w_i."""
        return _largest_move(*self._read(x, x_new))

    def project(self, x: Any, x_new: Any, radius: float) -> Array:
        """Pull every point that went too far back along its own move."""
        check_radius(radius)
        a, b, weights = self._read(x, x_new)
        rough = _sizes_up(a, b, weights)
        too_far = rough > radius
        doubtful = too_far & (rough * (1 - _slack(a.shape[1])) <= radius)
        for i in np.flatnonzero(doubtful).tolist():
            too_far[i] = _largest_move(a[[i]], b[[i]], weights[[i]]) > radius
        outside = np.flatnonzero(too_far)
        result = b.copy()
        result[outside] = a[outside]
        size = _sizes_up(a[outside], b[outside], weights[outside])
        first = np.divide(radius, size, where=np.isfinite(size), out=np.ones(len(size)))
        for shrink in (1.0, *SHRINK):
            point = towards(a[outside], b[outside], (first * shrink)[:, None])
            inside = _sizes_up(a[outside], point, weights[outside]) <= radius
            result[outside[inside]] = point[inside]
            outside, first = outside[~inside], first[~inside]
        return result


def _positions(x: Any) -> Any:
    """Coordinates of a cloud, also of one that carries arrays by name."""
    if isinstance(x, Mapping):
        if "positions" not in x:
            raise InvalidInputError(
                "the sample is a mapping without 'positions'; add the coordinates"
            )
        return x["positions"]
    return getattr(x, "positions", x)


@dataclass(frozen=True)
class SinglePoint(Threat):
    """One point moves, by at most r; the others stay where they are.

    Examples
    --------
    >>> SinglePoint().distance_up([[0.0], [1.0]], [[0.0], [3.0]])
    2.0
    """

    def __str__(self) -> str:
        return "displacement of a single point"

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Length of the one move; infinite if two points moved."""
        a, b = _clouds(x, x_new)
        moved = np.flatnonzero((a != b).any(axis=1))
        if len(moved) > 1:
            return math.inf
        return _largest_move(a[moved], b[moved])

    def project(self, x: ArrayLike, x_new: ArrayLike, radius: float) -> Array:
        """Keep the largest move only, no longer than the radius."""
        a, b = _clouds(x, x_new)
        one = a.copy()
        if len(a):
            i = int(np.argmax(_moves_up(a, b)))
            one[i] = b[i]
        return Displacement().project(a, one, radius)


@dataclass(frozen=True)
class Budget(Threat):
    """The l_2 norm of all moves together is at most r.

    Examples
    --------
    >>> Budget().distance_up([[0.0], [0.0]], [[3.0], [4.0]])
    5.0
    """

    def __str__(self) -> str:
        return "l_2 budget of all displacements"

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Smallest float at least the Frobenius norm of the move."""
        a, b = _clouds(x, x_new)
        return sqrt_fraction_up(square(a.ravel(), b.ravel()))


@dataclass(frozen=True)
class Hausdorff(Threat):
    """Hausdorff distance of the clouds; the numbers of points may differ.

    Examples
    --------
    >>> Hausdorff().distance_up([[0.0], [1.0]], [[0.0], [1.0], [1.25]])
    0.25
    """

    def __str__(self) -> str:
        return "Hausdorff distance"

    @staticmethod
    def _check(x: ArrayLike, x_new: ArrayLike) -> tuple[Array, Array]:
        a, b = finite(x, "x"), finite(x_new, "x_new")
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
            raise ShapeError(f"clouds of one dimension needed: {a.shape}, {b.shape}")
        if not a.size or not b.size:
            raise ShapeError("the Hausdorff distance of an empty cloud is undefined")
        return a, b

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Largest distance to a nearest point, from both sides, rounded up.

        A few ulp above the smallest such float where two points are nearest up to
        the rounding of floats.
        """
        a, b = self._check(x, x_new)
        return max(_directed(a, b), _directed(b, a))

    def project(self, x: ArrayLike, x_new: ArrayLike, radius: float) -> Array:
        """Pull every new point to its nearest old one; restore lost old points."""
        check_radius(radius)
        a, b = self._check(x, x_new)
        if self.distance_up(a, b) <= radius:
            return b
        for shrink in (1.0, *SHRINK):
            pulled = Displacement().project(a[_nearest(a, b)], b, radius * shrink)
            lost = _moves_up(a, pulled[_nearest(pulled, a)]) > radius
            candidate = np.concatenate([pulled, a[lost]])
            if self.distance_up(a, candidate) <= radius:
                return candidate
        return a


def _directed(a: Array, b: Array) -> float:
    """Upper bound of the largest distance from a point of `a` to the cloud `b`."""
    near = b[_nearest(b, a)]
    if a.shape == b.shape:  # a point's own image may be nearer than floats can tell
        own = _moves_up(a, b) < _moves_up(a, near)
        near[own] = b[own]
    return _largest_move(a, near)


def _nearest(cloud: Array, points: Array) -> NDArray[np.int64]:
    """Index of the point of `cloud` nearest to each of `points`, in plain floats."""
    # Any index gives an upper bound; scaled, squares neither overflow nor vanish.
    largest = max(np.abs(cloud).max(), np.abs(points).max())
    exponent = -np.frexp(largest)[1]
    tree = cKDTree(np.ldexp(cloud, exponent))
    return np.asarray(tree.query(np.ldexp(points, exponent))[1])


@dataclass(frozen=True)
class Strain(Threat):
    """Every distance between two points changes by at most the fraction r.

    An affine map x -> F x has strain at most max(s_max(F) - 1, 1 - s_min(F)), s
    the singular values; a common rigid motion has strain 0.

    Examples
    --------
    >>> Strain().distance_up([[0.0], [1.0], [2.0]], [[0.0], [1.5], [3.0]])
    0.5
    """

    def __str__(self) -> str:
        return "relative strain of all distances"

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Smallest float at least max |d_new - d| / d over all pairs.

        A few ulp above that if more than a thousand pairs tie (rigid motions).
        """
        a, b = _clouds(x, x_new)
        if np.array_equal(a, b):
            return 0.0
        rough = [_rough_strain(a, b, i) for i in range(len(a))]
        top = max_up([max_up(row) for row in rough])
        least = top - 8 * _slack(a.shape[1]) * (1 + top)
        close = [
            (i, i + 1 + j)
            for i, row in enumerate(rough)
            for j in np.flatnonzero(row >= least).tolist()
        ]
        if math.isinf(top) or len(close) > _MANY:
            return top
        return max((_exact_strain(a, b, i, j) for i, j in close), default=0.0)


#: More ties than this are left at the rough bound; fractions are slow.
_MANY = 1000


def _rough_strain(a: Array, b: Array, i: int) -> Array:
    """Upper bound of |d_new - d| / d for the pairs (i, j), j > i."""
    old, new = (
        _moves_up(c[i + 1 :], np.broadcast_to(c[i], c[i + 1 :].shape)) for c in (a, b)
    )
    low = 1 - _slack(a.shape[1])  # old * low and new * low are below the distances
    gap = np.maximum(add_up(new, -old * low), add_up(old, -new * low))
    torn, together = (old == 0) & (new > 0), (old == 0) & (new == 0)
    ratio = np.asarray(div_up(gap, np.where(old == 0, 1.0, old * low)))
    ratio = np.where(torn, math.inf, np.where(together, 0.0, ratio))
    tiny = ((old > 0) & (old < _TINY)) | ((new > 0) & (new < _TINY))
    for j in np.flatnonzero(tiny & ~torn).tolist():  # relative errors fail there
        ratio[j] = _exact_strain(a, b, i, i + 1 + j)
    return ratio


_TINY = 2.0**-1000


def _exact_strain(a: Array, b: Array, i: int, j: int) -> float:
    """Smallest float at least |d_new - d| / d for the pair (i, j)."""
    old, new = square(a[i], a[j]), square(b[i], b[j])
    if old == 0:
        return 0.0 if new == 0 else math.inf
    below, above = _roots(new / old)
    return fraction_up(max(above - 1, 1 - below))


def _roots(value: Fraction) -> tuple[Fraction, Fraction]:
    """Return rationals within 2**-200 below and above a square root."""
    root = math.isqrt((value.numerator << 400) // value.denominator)
    below = Fraction(root, 1 << 200)
    return below, below if below**2 == value else below + Fraction(1, 1 << 200)
