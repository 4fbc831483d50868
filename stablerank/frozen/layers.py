"""Operations from vectors to vectors that are linear: affine maps and wiring.

Each states its constant and its rounding error; all act row by row on a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stablerank.exceptions import ShapeError, UncertifiableLayerError
from stablerank.frozen.base import (
    LAYER_SLACK,
    TINY,
    Array,
    Operation,
    Range,
    l2_up,
    matvec_up,
)
from stablerank.frozen.spectral import spectral_norm_up
from stablerank.rounding import (
    UNIT_ROUNDOFF,
    add_up,
    gamma,
    mul_up,
    sqrt_up,
    sum_up,
)

__all__ = ["Add", "Affine", "Concat", "Diagonal"]


@dataclass(frozen=True, eq=False)
class Affine(Operation):
    """y = W x + b.

    Norm inf: |y_i - y_i'| <= sum_j |W_ij| K_j, coordinate by coordinate [N1].
    Norm 2: |y - y'|_2 <= s(W) K, s(W) bounded from the stored numbers [N6].

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.
    bias : ndarray of shape (n_out,)
        b.
    to_inf : bool
        From an l_2 register to l_inf coordinates: |y_i - y_i'| <= |W_i|_2 K.
    """

    kind: ClassVar[str] = "Affine"
    weight: Array
    bias: Array
    to_inf: bool = False

    def check(self) -> None:
        """Raise unless the shapes fit."""
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ShapeError(
                f"weight {self.weight.shape} and bias {self.bias.shape} do not fit"
            )

    def evaluate(self, xp: Any, x: Any) -> Any:
        """One matrix product and one sum."""
        return xp.affine(x, xp.constant(self.weight, x), xp.constant(self.bias, x))

    def norm(self, *norms: float) -> float:
        """Return the input's norm, or inf."""
        return math.inf if self.to_inf else norms[0]

    def width(self, *widths: int) -> int:
        """Return the number of rows of W."""
        if widths[0] != self.weight.shape[1]:
            raise ShapeError(f"{widths[0]} inputs for a weight {self.weight.shape}")
        return len(self.weight)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """See the class."""
        if math.isinf(norms[0]):
            return matvec_up(self.weight, constants[0])
        if self.to_inf:
            return np.asarray(mul_up(constants[0], self.row_lengths))
        return np.asarray(mul_up(constants[0], self.spectral_norm))

    @cached_property
    def spectral_norm(self) -> float:
        """Upper bound of s(W) [N6]."""
        return spectral_norm_up(self.weight)

    @cached_property
    def row_lengths(self) -> Array:
        """|W_i|_2 of every row, rounded up."""
        return np.array([l2_up(row) for row in self.weight])

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """S E + gamma_{n+2} (|W||h| + |b|), evaluated outward [F1]."""
        size, error = ranges[0].size, ranges[0].error
        n_out, n = self.weight.shape
        lost = (n + 2) * TINY
        if math.isinf(norms[0]):
            terms = reach = matvec_up(self.weight, size) + np.abs(self.bias)
            carried = matvec_up(self.weight, error)
        elif self.to_inf:
            rows = self.row_lengths
            terms = reach = rows * float(size[0]) + np.abs(self.bias)
            carried = rows * float(error[0])
        else:
            # |W| can be sqrt(n) times as long as W: it counts for the rounding of this
            # step, not for the size that the next one sees.
            shift, spectral = l2_up(self.bias), self.spectral_norm
            terms = np.array([l2_up(self.weight) * float(size[0]) + shift])
            reach = np.array([spectral * float(size[0]) + shift])
            carried = np.array([spectral * float(error[0])])
            lost *= n_out
        total = (carried + gamma(n + 2) * terms) * LAYER_SLACK + lost
        return Range(reach * LAYER_SLACK + total, total)


@dataclass(frozen=True, eq=False)
class Diagonal(Operation):
    """y_i = s_i x_i + t_i: scaling and shifting of features [N1].

    Parameters
    ----------
    scale, shift : ndarray of shape (n,)
        s and t.
    """

    kind: ClassVar[str] = "Diagonal"
    scale: Array
    shift: Array

    def check(self) -> None:
        """Raise unless the shapes fit."""
        if self.scale.ndim != 1 or self.scale.shape != self.shift.shape:
            raise ShapeError(f"scale {self.scale.shape}, shift {self.shift.shape}")

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Elementwise."""
        return x * xp.constant(self.scale, x) + xp.constant(self.shift, x)

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

    def repeated(self, times: int) -> Diagonal:
        """Return the same scales and shifts for every vector."""
        scale, shift = np.tile(self.scale, times), np.tile(self.shift, times)
        return replace(self, scale=scale, shift=shift)

    def width(self, *widths: int) -> int:
        """Return the input's width."""
        if widths[0] != len(self.scale):
            raise ShapeError(f"{widths[0]} inputs for {len(self.scale)} scales")
        return widths[0]

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """|s_i| by coordinate, or the largest of them in l_2."""
        size = np.abs(self.scale)
        size = size if math.isinf(norms[0]) else size.max(keepdims=True, initial=0.0)
        return np.asarray(mul_up(constants[0], size))

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """One product and one sum: gamma_2."""
        scale, shift = np.abs(self.scale), np.abs(self.shift)
        if not math.isinf(norms[0]):
            scale = scale.max(keepdims=True, initial=0.0)
            shift = np.array([l2_up(shift)])
        terms = scale * ranges[0].size + shift
        error = (scale * ranges[0].error + gamma(3) * terms) * LAYER_SLACK + 4 * TINY
        return Range(terms * LAYER_SLACK + error, error)


@dataclass(frozen=True, eq=False)
class Concat(Operation):
    """Vectors side by side: constants side by side, or their l_2 sum [R8, N8]."""

    kind: ClassVar[str] = "Concat"

    def evaluate(self, xp: Any, *values: Any) -> Any:
        """Exact."""
        return xp.concatenate(list(values), 1)

    def norm(self, *norms: float) -> float:
        """Return the common norm of the inputs."""
        if len(set(norms)) != 1:
            raise UncertifiableLayerError(
                f"concatenation of registers in norms {norms}"
            )
        return norms[0]

    def width(self, *widths: int) -> int:
        """Return the sum of the widths."""
        return sum(widths)

    def _join(self, values: list[Array], norm: float) -> Array:
        lead = np.broadcast_shapes(*(v.shape[:-1] for v in values))
        full = [np.broadcast_to(v, (*lead, v.shape[-1])) for v in values]
        joined = np.concatenate(full, axis=-1)
        if math.isinf(norm):
            return joined
        return np.asarray(sqrt_up(sum_up(mul_up(joined, joined), axis=-1)))[..., None]

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """See the class."""
        return self._join(list(constants), norms[0])

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """No rounding."""
        sizes, errors = [r.size for r in ranges], [r.error for r in ranges]
        return Range(self._join(sizes, norms[0]), self._join(errors, norms[0]))


@dataclass(frozen=True, eq=False)
class Add(Operation):
    """Sum of two registers of one width: constants add [N8]."""

    kind: ClassVar[str] = "Add"

    def evaluate(self, xp: Any, x: Any, y: Any) -> Any:
        """One sum."""
        return x + y

    def norm(self, *norms: float) -> float:
        """Return the common norm of the inputs."""
        if len(set(norms)) != 1:
            raise UncertifiableLayerError(f"sum of registers in norms {norms}")
        return norms[0]

    def width(self, *widths: int) -> int:
        """Return the common width."""
        if len(set(widths)) != 1:
            raise ShapeError(f"sum of registers with {widths} coordinates")
        return widths[0]

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """See the class."""
        return np.asarray(add_up(constants[0], constants[1]))

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """One rounding of the sum."""
        size = ranges[0].size + ranges[1].size
        error = ranges[0].error + ranges[1].error + UNIT_ROUNDOFF * size
        error = error * LAYER_SLACK + TINY
        return Range(size * LAYER_SLACK + error, error)
