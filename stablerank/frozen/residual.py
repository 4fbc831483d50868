"""Blocks around one hidden layer of ReLU, bounded as a whole.

    SLL, CPL    y = x - 2 W^T relu(W x + b),     W W^T <= s I
    Sandwich    y = 2 A^T relu(B x + b),         A A^T + B B^T <= s I

Part by part the first two would have the constant 1 + 2 s.  But their Jacobians are
I - 2 M with 0 <= M = W^T D W <= s I, D the diagonal of slopes in [0, 1], so

    |y - y'|_2 <= max(1, 2 s - 1) |x - x'|_2,    which is 1 for s <= 1    [N5].

For the sandwich, with w the step of the hidden units, |w|^2 <= <B^T w, x - x'>, hence
for s = 1, where |A^T w|^2 <= |w|^2 - |B^T w|^2 and c = |B^T w|,

    |y - y'|^2 = 4 |A^T w|^2 <= 4 (c |x - x'| - c^2) <= |x - x'|_2^2     [N5],

and with A, B divided by sqrt(s) it follows that the constant is s in general.

In the papers a diagonal stands between: T^-1 in SLL and CPL, Psi in the sandwich.
ReLU commutes with positive factors, so with W = T^(-1/2) V nothing of it is left.
What remains of SLL is its proof: T >= V V^T because T - V V^T is diagonally dominant
after a scaling by q > 0, which for W reads

    sum_j |W W^T|_ij q_j <= s q_i for every row i  =>  W W^T <= s I      [N5].

This is decided from the stored numbers with every rounding upward; CPL and the
sandwich take the square of a spectral norm [N6].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stablerank.exceptions import InvalidInputError, ShapeError, UncertifiableLayerError
from stablerank.frozen.base import (
    LAYER_SLACK,
    TINY,
    Array,
    Operation,
    Range,
    l2_up,
    matvec_up,
)
from stablerank.frozen.pointwise import reflected_up
from stablerank.frozen.spectral import spectral_norm_up
from stablerank.rounding import div_up, gamma, mul_up, sqrt_up

__all__ = ["CPL", "SLL", "Sandwich"]


@dataclass(frozen=True, eq=False)
class _Block(Operation):
    """y = x - 2 A^T relu(B x + b), or without x: evaluation and bounds of all.

    A subclass owes `parts` and `square`, and says whether it keeps x.
    """

    keeps_input: ClassVar[bool] = True

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """B of shape (n_hidden, n_in), b, and A of shape (n_hidden, n_out)."""
        raise NotImplementedError

    @property
    def square(self) -> float:
        """s, rounded up."""
        raise NotImplementedError

    @property
    def factor(self) -> float:
        """Constant of the block, rounded up."""
        return reflected_up(self.square) if self.keeps_input else self.square

    def check(self) -> None:
        """Raise unless the shapes fit."""
        inner, bias, outer = self.parts
        fits = inner.ndim == outer.ndim == 2 and len(outer) == len(inner)
        if not fits or bias.shape != inner.shape[:1]:
            raise ShapeError(
                f"{self.kind} of weights {inner.shape} and {outer.shape}, bias "
                f"{bias.shape}; rows are hidden units"
            )

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Two products."""
        inner, bias, outer = (xp.constant(part, x) for part in self.parts)
        step = 2.0 * (xp.maximum(xp.affine(x, inner, bias), 0.0) @ outer)
        return x - step if self.keeps_input else step

    def norm(self, *norms: float) -> float:
        """Return 2; the proof is about lengths."""
        if math.isinf(norms[0]):
            raise UncertifiableLayerError(
                f"{self.kind} is bounded in l_2 only [N5]; use an l_2 network around it"
            )
        return norms[0]

    def width(self, *widths: int) -> int:
        """Return the number of outputs."""
        inner, _, outer = self.parts
        if widths[0] != inner.shape[1]:
            raise ShapeError(f"{widths[0]} inputs for a weight {inner.shape}")
        return int(outer.shape[1])

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """See the module."""
        return np.asarray(mul_up(constants[0], self.factor))

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Two products, each wrong by gamma of its absolute terms [F1].

        With r = sqrt(s), hidden units are at most r |x| + |b| and wrong by e, which
        the second product carries as 2 r e.
        """
        inner, bias, outer = self.parts
        size, error = float(ranges[0].size[0]), float(ranges[0].error[0])
        (m, n), lost = inner.shape, sum(inner.shape) * sum(outer.shape) * TINY
        root, shift = float(sqrt_up(self.square)), l2_up(bias)
        units_error = gamma(n + 2) * (l2_up(inner) * size + shift) + lost
        units = root * size + shift + units_error
        last = 2 * gamma(m + 2) * l2_up(outer) * units + gamma(2) * size + lost
        rounding = last + 2 * root * units_error
        total = np.array([(self.factor * error + rounding) * LAYER_SLACK])
        reach = self.factor * size + 2 * root * shift  # the second is |f(0)|
        return Range(reach * LAYER_SLACK + total, total)


@dataclass(frozen=True, eq=False)
class CPL(_Block):
    """y = x - 2 W^T relu(W x + b), a step down a convex potential [N5].

    Parameters
    ----------
    weight : ndarray of shape (n_hidden, n)
        W; of spectral norm at most 1 if the constant is to be 1.
    bias : ndarray of shape (n_hidden,)
        b.

    Examples
    --------
    >>> CPL((0,), 0.9 * np.eye(2), np.zeros(2)).factor
    1.0
    """

    kind: ClassVar[str] = "CPL"
    weight: Array
    bias: Array

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """W, b and W."""
        return self.weight, self.bias, self.weight

    @cached_property
    def square(self) -> float:
        """Square of the spectral norm of W [N6]."""
        norm = spectral_norm_up(self.weight)
        return float(mul_up(norm, norm))


@dataclass(frozen=True, eq=False)
class SLL(_Block):
    """y = x - 2 W^T relu(W x + b), W W^T bounded by diagonal dominance [N5].

    Parameters
    ----------
    weight : ndarray of shape (n_hidden, n)
        W.
    bias : ndarray of shape (n_hidden,)
        b.
    shares : ndarray of shape (n_hidden,)
        q > 0.

    Examples
    --------
    >>> weight = np.array([[0.75, 0.25], [0.25, -0.75]])
    >>> 0.625 <= SLL((0,), weight, np.zeros(2), np.ones(2)).square < 1
    True
    """

    kind: ClassVar[str] = "SLL"
    weight: Array
    bias: Array
    shares: Array

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """W, b and W."""
        return self.weight, self.bias, self.weight

    def check(self) -> None:
        """Raise unless the shapes fit and q > 0."""
        super().check()
        if self.shares.shape != self.bias.shape or (self.shares <= 0).any():
            raise InvalidInputError(
                "SLL needs one share > 0 for every hidden unit, by which the diagonal "
                "dominates its row"
            )

    @cached_property
    def square(self) -> float:
        """max_i sum_j |W W^T|_ij q_j / q_i, rounded up."""
        w, size = self.weight, np.abs(self.weight)
        n = w.shape[1]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            # |fl(W W^T) - W W^T| <= gamma_n |W| |W|^T, entry by entry, and underflows.
            gram = np.abs(w @ w.T) + 2 * gamma(n + 2) * (size @ size.T)
            gram = gram * LAYER_SLACK + 2 * n * TINY
        sums = matvec_up(gram, self.shares)
        return float(np.max(div_up(sums, self.shares), initial=0.0))


@dataclass(frozen=True, eq=False)
class Sandwich(_Block):
    """y = 2 A^T relu(B x + b) with A A^T + B B^T <= s I [N5].

    A A^T + B B^T is the Gram matrix of the rows of [A B], and s the square of its
    spectral norm [N6].  (Of the columns, A^T A + B^T B, it would prove nothing.)

    Parameters
    ----------
    inner : ndarray of shape (n_hidden, n_in)
        B.
    bias : ndarray of shape (n_hidden,)
        b.
    outer : ndarray of shape (n_hidden, n_out)
        A.

    Examples
    --------
    >>> half = np.diag([0.5, 0.5])
    >>> round(Sandwich((0,), half, np.zeros(2), half).factor, 9)
    0.5
    """

    kind: ClassVar[str] = "Sandwich"
    keeps_input: ClassVar[bool] = False
    inner: Array
    bias: Array
    outer: Array

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """B, b and A."""
        return self.inner, self.bias, self.outer

    @cached_property
    def square(self) -> float:
        """Square of the spectral norm of [A B] [N6]."""
        norm = spectral_norm_up(np.hstack([self.outer, self.inner]))
        return float(mul_up(norm, norm))
