"""Activations: sorts, absolute values, splines and reflections.

Sorts, |x|, max(x, 0) and splines with slopes in [-1, 1] are 1-Lipschitz in every l_p;
a reflection of pairs is so in l_2 alone [N2].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stablerank.exceptions import InvalidInputError, ShapeError, UncertifiableLayerError
from stablerank.frozen.backend import backend_of
from stablerank.frozen.base import LAYER_SLACK, TINY, Array, Operation, Range, l2_up
from stablerank.rounding import add_up, gamma, mul_up, sub_down, sum_up

__all__ = [
    "Abs",
    "GroupSort",
    "Householder",
    "ReLU",
    "Spline",
    "norm_of_reflections",
    "reflected_up",
]


@dataclass(frozen=True, eq=False)
class GroupSort(Operation):
    """Each group of `size` neighbouring coordinates sorted descending [N2].

    1-Lipschitz in every l_p; by coordinate, the constant is the group's largest.
    """

    kind: ClassVar[str] = "GroupSort"
    size: int = 2

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Sort in groups; exact."""
        groups = x.reshape(x.shape[0], -1, self.size)
        if self.size == 2:
            low = xp.minimum(groups[..., 0], groups[..., 1])
            high = xp.maximum(groups[..., 0], groups[..., 1])
            joined = xp.concatenate([high[..., None], low[..., None]], -1)
            return joined.reshape(x.shape[0], -1)
        return xp.sort_descending(groups, -1).reshape(x.shape[0], -1)

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

    def repeated(self, times: int) -> Operation:
        """Return the operation itself, which looks at no place."""
        return self

    def width(self, *widths: int) -> int:
        """Return the input's width."""
        if widths[0] % self.size:
            raise ShapeError(f"{widths[0]} coordinates in groups of {self.size}")
        return widths[0]

    def _largest(self, values: Array) -> Array:
        groups = values.reshape(*values.shape[:-1], -1, self.size)
        return np.repeat(groups.max(axis=-1), self.size, axis=-1)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """See the class."""
        return self._largest(constants[0]) if math.isinf(norms[0]) else constants[0]

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """No rounding; the group shares its worst error [order lemma]."""
        if not math.isinf(norms[0]):
            return ranges[0]
        return Range(self._largest(ranges[0].size), self._largest(ranges[0].error))


@dataclass(frozen=True, eq=False)
class _Elementwise(Operation):
    """A 1-Lipschitz function of each coordinate, without rounding [N2]."""

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

    def repeated(self, times: int) -> Operation:
        """Return the operation itself, which looks at no place."""
        return self

    def width(self, *widths: int) -> int:
        """Return the input's width."""
        return widths[0]

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Nothing is stretched."""
        return constants[0]  # type: ignore[no-any-return]

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Nothing is rounded."""
        return ranges[0]


@dataclass(frozen=True, eq=False)
class Abs(_Elementwise):
    """|x|, coordinate by coordinate."""

    kind: ClassVar[str] = "Abs"

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Exact."""
        return xp.absolute(x)


@dataclass(frozen=True, eq=False)
class ReLU(_Elementwise):
    """max(x, 0), coordinate by coordinate."""

    kind: ClassVar[str] = "ReLU"

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Exact."""
        return xp.maximum(x, 0.0)


@dataclass(frozen=True, eq=False)
class Spline(Operation):
    """A continuous piecewise linear function of each coordinate [N2].

    F_i has the value v_i at the first knot t_i0, slope s_i0 before it, s_ik between
    t_i(k-1) and t_ik, and the last slope after the last knot, so

        |F_i(x) - F_i(x')| <= max_k |s_ik| |x - x'|.

    It is *this* function that is bounded; rounded values at the other knots, which
    would leave little steps, enter as an error of its evaluation.

    Parameters
    ----------
    knots : ndarray of shape (n, n_knots)
        t, ascending in each row; one at least.
    slopes : ndarray of shape (n, n_knots + 1)
        s.
    values : ndarray of shape (n,)
        v.

    Examples
    --------
    >>> leaky = Spline((0,), np.zeros((1, 1)), np.array([[0.5, 1.0]]), np.zeros(1))
    >>> leaky.evaluate(backend_of(leaky.knots), np.array([[-4.0], [3.0]]))
    array([[-2.],
           [ 3.]])
    """

    kind: ClassVar[str] = "Spline"
    knots: Array
    slopes: Array
    values: Array

    def check(self) -> None:
        """Raise unless the shapes fit and the knots ascend."""
        shapes = (self.knots.shape, self.slopes.shape, self.values.shape)
        n, k = self.knots.shape if self.knots.ndim == 2 else (0, 0)
        if k < 1 or shapes[1:] != ((n, k + 1), (n,)):
            raise ShapeError(f"knots, slopes and values of shapes {shapes}")
        if (np.diff(self.knots, axis=1) < 0).any():
            raise InvalidInputError("the knots of a spline must ascend in each row")

    @cached_property
    def _anchors(self) -> Array:
        """A knot on each piece, (n, n_knots + 1)."""
        return np.concatenate([self.knots[:, :1], self.knots], axis=1)

    @cached_property
    def _heights(self) -> Array:
        """F at the anchors, rounded."""
        rises = self.slopes[:, :-1] * np.diff(self._anchors, axis=1)
        start = self.values[:, None]
        # Summed on their own, so that the first two are exactly v.
        return np.concatenate([start, start + np.cumsum(rises, axis=1)], axis=1)

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Height of the anchor, and rise from there."""
        anchors, heights = xp.constant(self._anchors, x), xp.constant(self._heights, x)
        slopes = xp.constant(self.slopes, x)
        # A last knot for `piece`, which stops before it.
        knots = xp.concatenate([anchors, anchors[:, -1:]], 1)
        x = x.T
        piece = xp.piece(knots, x)
        rise = xp.gather(slopes, piece) * (x - xp.gather(anchors, piece))
        return (xp.gather(heights, piece) + rise).T

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

    def repeated(self, times: int) -> Spline:
        """Return the same functions for every vector."""
        knots, slopes = (np.tile(a, (times, 1)) for a in (self.knots, self.slopes))
        return replace(
            self, knots=knots, slopes=slopes, values=np.tile(self.values, times)
        )

    def width(self, *widths: int) -> int:
        """Return the input's width."""
        if widths[0] != len(self.values):
            raise ShapeError(f"{widths[0]} inputs for {len(self.values)} splines")
        return widths[0]

    @cached_property
    def _steepest(self) -> Array:
        return np.asarray(np.abs(self.slopes).max(axis=1))

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Largest |slope| by coordinate, or the largest of all in l_2."""
        steepest = self._steepest
        if not math.isinf(norms[0]):
            steepest = steepest.max(keepdims=True, initial=0.0)
        return np.asarray(mul_up(constants[0], steepest))

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """S E + gamma_{k+8} (|v| + sum of all rises + S (|x| + max |t|)) [F1]."""
        size, error, steepest = ranges[0].size, ranges[0].error, self._steepest
        zero = np.zeros((1, len(self.values)))
        at_zero = np.abs(self.evaluate(backend_of(zero), zero)[0])
        if not math.isinf(norms[0]):
            steepest = steepest.max(keepdims=True, initial=0.0)
        fixed = self._terms if math.isinf(norms[0]) else np.array([l2_up(self._terms)])
        start = at_zero if math.isinf(norms[0]) else np.array([l2_up(at_zero)])
        relative, lost = gamma(self.slopes.shape[1] + 8), 8 * self.slopes.size * TINY
        rounding = relative * (fixed + steepest * size) + lost
        total = (steepest * error + rounding) * LAYER_SLACK
        reach = steepest * size + start + relative * fixed + lost  # |F(0)|, rounded up
        return Range(reach * LAYER_SLACK + total, total)

    @cached_property
    def _terms(self) -> Array:
        """|v| + sum of |s| times the distance of knots + S max |t|, rounded up."""
        gaps = add_up(self._anchors[:, 1:], -self._anchors[:, :-1])
        rises = sum_up(mul_up(np.abs(self.slopes[:, :-1]), gaps), axis=1)
        far = np.abs(self.knots).max(axis=1)
        terms = add_up(np.abs(self.values), rises)
        return np.asarray(add_up(terms, mul_up(self._steepest, far)))


@dataclass(frozen=True, eq=False)
class Householder(Operation):
    """Pairs of neighbouring coordinates, reflected where they are on one side [N2].

        z <- z - 2 v max(0, <v, z>),   one v after the other.

    Each step has the Jacobians I and I - 2 v v^T: in l_2 its constant is
    max(1, 2 |v|^2 - 1), from the stored v.  In l_inf it is sqrt(2), and refused.

    Parameters
    ----------
    directions : ndarray of shape (order, n_pairs, 2)
        v.

    Examples
    --------
    >>> swap = Householder((0,), np.sqrt(0.5) * np.array([[[-1.0, 1.0]]]))
    >>> z = np.array([[1.0, 3.0], [3.0, 1.0]])
    >>> swap.evaluate(backend_of(z), z).round(9)
    array([[3., 1.],
           [3., 1.]])
    """

    kind: ClassVar[str] = "Householder"
    directions: Array

    def check(self) -> None:
        """Raise unless the directions are pairs."""
        if self.directions.ndim != 3 or self.directions.shape[2] != 2:
            raise ShapeError(
                f"directions of shape {self.directions.shape}, not (order, pairs, 2)"
            )

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Reflect."""
        pairs = x.reshape(x.shape[0], -1, 2)
        for v in xp.constant(self.directions, x):
            beyond = xp.maximum(xp.sum(pairs * v, -1), 0.0)
            pairs = pairs - (2.0 * beyond)[..., None] * v
        return pairs.reshape(x.shape[0], -1)

    def norm(self, *norms: float) -> float:
        """Return 2; in l_inf it would stretch."""
        return norm_of_reflections(norms[0])

    def repeated(self, times: int) -> Householder:
        """Return the same directions for every vector."""
        return replace(self, directions=np.tile(self.directions, (1, times, 1)))

    def width(self, *widths: int) -> int:
        """Return the input's width."""
        if widths[0] != 2 * self.directions.shape[1]:
            raise ShapeError(
                f"{widths[0]} inputs for {self.directions.shape[1]} reflected pairs"
            )
        return widths[0]

    def _squares(self) -> list[float]:
        """max |v|^2 of each step, rounded up."""
        size = np.abs(self.directions)
        squares = np.asarray(sum_up(mul_up(size, size), axis=2))
        return [float(s.max(initial=0.0)) for s in squares]

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Product over the steps."""
        constant = constants[0]
        for square in self._squares():
            constant = mul_up(constant, reflected_up(square))
        return np.asarray(constant)

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """K E + gamma_8 (1 + 2 |v|^2) |x| a step [F1]."""
        size, error = ranges[0].size, ranges[0].error
        lost = 8 * self.directions.size * TINY
        for square in self._squares():
            factor = reflected_up(square)
            rounding = gamma(8) * (1 + 2 * square) * size + lost
            error = (factor * error + rounding) * LAYER_SLACK
            size = factor * size * LAYER_SLACK + error
        return Range(size, error)


def norm_of_reflections(norm: float) -> float:
    """Return 2, or an error: reflections of pairs stretch every other norm."""
    if math.isinf(norm):
        raise UncertifiableLayerError(
            "Householder turns pairs of coordinates, which stretches l_inf by up to "
            "sqrt(2) [N2]; use MaxMin, or an l_2 network around it"
        )
    return norm


def reflected_up(square: float) -> float:
    """Constant of I - 2 M for every M with 0 <= M <= square * I, rounded up.

    Its eigenvalues lie between 1 - 2 square and 1.

    Examples
    --------
    >>> reflected_up(0.3), reflected_up(1.0), reflected_up(1.5)
    (1.0, 1.0, 2.0)
    """
    return float(max(1.0, -sub_down(1.0, mul_up(2.0, square))))
