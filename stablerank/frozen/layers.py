"""Operations from vectors to vectors: affine maps, sorts, distances, wiring.

Each states its constant and its rounding error; all act row by row on a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from stablerank.exceptions import InvalidInputError, ShapeError, UncertifiableLayerError
from stablerank.frozen.base import (
    LAYER_SLACK,
    TINY,
    Array,
    Operation,
    Range,
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

__all__ = [
    "Abs",
    "Add",
    "Affine",
    "Concat",
    "Diagonal",
    "Distance",
    "GroupSort",
    "ReLU",
    "SortNeuron",
]

#: Outputs of a distance layer computed at once: (batch, block, in) stays in cache.
_BLOCK = 16


def _l2_up(x: Array) -> float:
    return float(sqrt_up(sum_up(mul_up(np.abs(x), np.abs(x)))))


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
        return x @ xp.constant(self.weight, x).T + xp.constant(self.bias, x)

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
            rows = np.array([_l2_up(row) for row in self.weight])
            return np.asarray(mul_up(constants[0], rows))
        return np.asarray(mul_up(constants[0], spectral_norm_up(self.weight)))

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """S E + gamma_{n+2} (|W||h| + |b|), evaluated outward [F1]."""
        size, error = ranges[0].size, ranges[0].error
        n = self.weight.shape[1]
        if math.isinf(norms[0]):
            terms = matvec_up(self.weight, size) + np.abs(self.bias)
            carried = matvec_up(self.weight, error)
        elif self.to_inf:
            rows = np.array([_l2_up(row) for row in self.weight])
            terms = rows * float(size[0]) + np.abs(self.bias)
            carried = rows * float(error[0])
        else:
            frobenius = _l2_up(self.weight)
            terms = np.array([frobenius * float(size[0]) + _l2_up(self.bias)])
            carried = np.array([spectral_norm_up(self.weight) * float(error[0])])
        total = (carried + gamma(n + 2) * terms) * LAYER_SLACK + (n + 2) * TINY
        return Range(terms * LAYER_SLACK + total, total)


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
            shift = np.array([_l2_up(shift)])
        terms = scale * ranges[0].size + shift
        error = (scale * ranges[0].error + gamma(3) * terms) * LAYER_SLACK + 4 * TINY
        return Range(terms * LAYER_SLACK + error, error)


@dataclass(frozen=True, eq=False)
class GroupSort(Operation):
    """Each group of `size` neighbouring coordinates sorted descending [N2].

    1-Lipschitz in every l_p; by coordinate, the constant is the group's largest.
    """

    kind: ClassVar[str] = "GroupSort"
    size: int = 2

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Sort in groups; exact."""
        groups = x.reshape(len(x), -1, self.size)
        if self.size == 2:
            low = xp.minimum(groups[..., 0], groups[..., 1])
            high = xp.maximum(groups[..., 0], groups[..., 1])
            joined = xp.concatenate([high[..., None], low[..., None]], -1)
            return joined.reshape(len(x), -1)
        return xp.sort_descending(groups, -1).reshape(len(x), -1)

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

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


def _only_inf(name: str, norms: tuple[float, ...]) -> None:
    if not math.isinf(norms[0]):
        raise UncertifiableLayerError(
            f"{name} is bounded in l_inf only: its l_2 constant grows with the width "
            "[N3]; use an l_inf network around it"
        )


@dataclass(frozen=True, eq=False)
class Distance(Operation):
    """y_j = max_i |x_i - w_ji| + b_j; 1-Lipschitz in l_inf [N3].

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        Centres w.
    bias : ndarray of shape (n_out,)
        b.
    """

    kind: ClassVar[str] = "Distance"
    weight: Array
    bias: Array

    def check(self) -> None:
        """Raise unless the shapes fit."""
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ShapeError(f"weight {self.weight.shape}, bias {self.bias.shape}")

    def evaluate(self, xp: Any, x: Any) -> Any:
        """In blocks of outputs, so that (batch, out, in) is never held."""
        weight = xp.constant(self.weight, x)
        blocks = [
            xp.largest(xp.absolute(x[:, None, :] - weight[None, s : s + _BLOCK]), -1)
            for s in range(0, len(weight), _BLOCK)
        ]
        return xp.concatenate(blocks, 1) + xp.constant(self.bias, x)

    def norm(self, *norms: float) -> float:
        """Return inf; there is no useful constant in l_2."""
        _only_inf("a distance neuron", norms)
        return math.inf

    def width(self, *widths: int) -> int:
        """Return the number of centres."""
        if widths[0] != self.weight.shape[1]:
            raise ShapeError(f"{widths[0]} inputs for centres {self.weight.shape}")
        return len(self.weight)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """The largest input constant, for every neuron."""
        top = np.max(constants[0], axis=-1, keepdims=True)
        return np.repeat(top, len(self.weight), axis=-1)

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """E + u max|x - w| + u max|y| [F1]."""
        gap = (ranges[0].size + np.abs(self.weight)).max(axis=1)
        terms = gap + np.abs(self.bias)
        rounding = UNIT_ROUNDOFF * (gap + terms)
        error = (float(ranges[0].error.max()) + rounding) * LAYER_SLACK + 4 * TINY
        return Range(terms * LAYER_SLACK + error, error)


@dataclass(frozen=True, eq=False)
class SortNeuron(Operation):
    """y_j = sum_k c_k |x - w_j|_(k) + b_j over the largest entries [N4].

    (sum c)-Lipschitz in l_inf, with c >= 0 summed upward.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        Centres w.
    coefficients : ndarray of shape (n_largest,)
        c, for the largest entry first.
    bias : ndarray of shape (n_out,)
        b.
    """

    kind: ClassVar[str] = "SortNeuron"
    weight: Array
    coefficients: Array
    bias: Array

    def check(self) -> None:
        """Raise unless the shapes fit and c >= 0."""
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ShapeError(f"weight {self.weight.shape}, bias {self.bias.shape}")
        if (self.coefficients < 0).any() or len(self.coefficients) > self.weight.shape[
            1
        ]:
            raise InvalidInputError(
                "coefficients must be >= 0, at most one for each input"
            )

    def evaluate(self, xp: Any, x: Any) -> Any:
        """In blocks of outputs."""
        weight = xp.constant(self.weight, x)
        coefficients = xp.constant(self.coefficients, x)
        k = len(self.coefficients)
        blocks = []
        for s in range(0, len(weight), _BLOCK):
            gaps = xp.absolute(x[:, None, :] - weight[None, s : s + _BLOCK])
            largest = xp.sort_descending(gaps, -1)[..., :k]
            blocks.append(xp.sum(largest * coefficients, -1))
        return xp.concatenate(blocks, 1) + xp.constant(self.bias, x)

    def norm(self, *norms: float) -> float:
        """Return inf; there is no useful constant in l_2."""
        _only_inf("a SortNet neuron", norms)
        return math.inf

    def width(self, *widths: int) -> int:
        """Return the number of centres."""
        if widths[0] != self.weight.shape[1]:
            raise ShapeError(f"{widths[0]} inputs for centres {self.weight.shape}")
        return len(self.weight)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Sum of c times the largest input constant."""
        top = np.max(constants[0], axis=-1, keepdims=True)
        top = np.asarray(mul_up(top, sum_up(self.coefficients)))
        return np.repeat(top, len(self.weight), axis=-1)

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Sum c (E + u max|x - w|) + gamma_{K+1} max y [F1]."""
        total = float(sum_up(self.coefficients))
        gap = (ranges[0].size + np.abs(self.weight)).max(axis=1)
        terms = total * gap + np.abs(self.bias)
        rounding = (
            total * UNIT_ROUNDOFF * gap + gamma(len(self.coefficients) + 3) * terms
        )
        error = (total * float(ranges[0].error.max()) + rounding) * LAYER_SLACK
        error = error + (len(self.coefficients) + 4) * TINY
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
