"""Neurons of l_inf networks: distances, and weighted sums of the largest gaps.

Both are 1-Lipschitz in l_inf whatever their centres are [N3, N4], and have no useful
constant in l_2, where they are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from stablerank.exceptions import InvalidInputError, ShapeError, UncertifiableLayerError
from stablerank.frozen.base import LAYER_SLACK, TINY, Array, Operation, Range
from stablerank.rounding import UNIT_ROUNDOFF, gamma, mul_up, sum_up

__all__ = ["Distance", "SortNeuron"]

#: Outputs of a distance layer computed at once: (batch, block, in) stays in cache.
_BLOCK = 16


class _Neurons(Operation):
    """Functions of the distances to centres w, the rows of `weight`."""

    #: In messages.
    called: ClassVar[str]
    weight: Array

    def norm(self, *norms: float) -> float:
        """Return inf; there is no useful constant in l_2."""
        if not math.isinf(norms[0]):
            raise UncertifiableLayerError(
                f"{self.called} is bounded in l_inf only: its l_2 constant grows with "
                "the width [N3]; use an l_inf network around it"
            )
        return math.inf

    def width(self, *widths: int) -> int:
        """Return the number of centres."""
        if widths[0] != self.weight.shape[1]:
            raise ShapeError(f"{widths[0]} inputs for centres {self.weight.shape}")
        return len(self.weight)


@dataclass(frozen=True, eq=False)
class Distance(_Neurons):
    """y_j = max_i |x_i - w_ji| + b_j; 1-Lipschitz in l_inf [N3].

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        Centres w.
    bias : ndarray of shape (n_out,)
        b.
    """

    kind: ClassVar[str] = "Distance"
    called: ClassVar[str] = "a distance neuron"
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
class SortNeuron(_Neurons):
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
    called: ClassVar[str] = "a SortNet neuron"
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
