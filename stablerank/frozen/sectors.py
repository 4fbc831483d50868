"""Householder activations of order 2: four sectors of the plane, two of them reflected.

Pairs of coordinates are complex numbers z.  With directions a, b, w of length 1, the
arguments of b and w between 0 and pi, and y = a* z (a* is the conjugate),

    f(z) = a g(y),    g(y) = y           from 0 to arg b,
                             b b y*      from there to arg b + arg w,
                             w* w* y     from there to pi + arg w,
                             y*          from there to 2 pi.

Neighbours agree on the ray between them, so f is continuous, and each of them keeps
lengths; a segment from z to z' is cut by the rays into pieces that keep theirs, so

    |f(z) - f(z')|_2 <= |z - z'|_2                                     [N2],

exactly, whatever a, b and w are: they are stored with any length near 1, and divided
by it in the definition.  For w = 1 this is one reflection; two reflections after one
another are the case arg b + arg w = pi.

To the left of a line through 0 that lies in the first and the third sector only two of
the rays are left, and f is a sum over these; to the right as well:

    f(z) = z - 2 p max(0, <p, z>) + 2 q max(0, <r, z>),

    left:  p = i a b,  r = i a b w,  q = i a b w*;
    right: p = -i a,   r = i a w,    q = i a w*;      the line: a b or a w,

whichever of these has turned less from a.

Rounding.  Computed, the vectors are within 16u of their true values, f of its own by
less than 200u |z|; a side mistaken by rounding is one within 20u |z| of the line, on
which both sums agree, and neither grows faster than 5 |z|.  512u |z| covers it [F1].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen.base import LAYER_SLACK, TINY, Array, Operation, Range
from stablerank.frozen.pointwise import norm_of_reflections
from stablerank.rounding import gamma

__all__ = ["Sectors"]

#: Roundings that the proof counts, with room.
_ROUNDINGS = 512


@dataclass(frozen=True, eq=False)
class Sectors(Operation):
    """Pairs of neighbouring coordinates: kept, reflected, turned or reflected [N2].

    Parameters
    ----------
    directions : ndarray of shape (3, n_pairs, 2)
        a, b and w, of lengths between 1/2 and 2; b and w in the upper half plane.

    Examples
    --------
    >>> swap = Sectors((0,), np.array([[[1.0, 1.0]], [[-1.0, 0.0]], [[1.0, 0.0]]]))
    >>> from stablerank.frozen.backend import NumpyBackend
    >>> swap.evaluate(NumpyBackend, np.array([[1.0, 3.0], [3.0, 1.0]])).round(9)
    array([[1., 3.],
           [1., 3.]])
    """

    kind: ClassVar[str] = "Sectors"
    directions: Array

    def check(self) -> None:
        """Raise unless there are three directions a pair, neither tiny nor huge."""
        shape = self.directions.shape
        if len(shape) != 3 or shape[0] != 3 or shape[2] != 2:
            raise ShapeError(f"directions of shape {shape}, not (3, pairs, 2)")
        squares = (self.directions**2).sum(axis=2)
        if (squares < 0.25).any() or (squares > 4).any():
            raise InvalidInputError("directions of sectors have lengths near 1")
        if (self.directions[1:, :, 1] < 0).any():
            raise InvalidInputError("sectors open by angles between 0 and pi")

    @cached_property
    def _vectors(self) -> Array:
        """The line's normal, then p, q and r to the left and to the right."""
        a, b, w = self.directions[..., 0] + 1j * self.directions[..., 1]
        a, b, w = (1j * (a / abs(a))), b / abs(b), w / abs(w)
        # By angles: products are 0 for equal directions, and for opposite ones as well.
        first, second = (np.arctan2(abs(v.imag), v.real) for v in (b, w))
        less = np.where(first <= second, b, w)
        left, right = [a * b, a * b * w.conj(), a * b * w], [-a, a * w.conj(), a * w]
        both = np.array([a * less, *left, *right])
        vectors = np.stack([both.real, both.imag], axis=-1)
        vectors.flags.writeable = False
        return vectors

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Both sums, each on its side."""
        z = x.reshape(x.shape[0], -1, 2)
        normal, *sides = xp.constant(self._vectors, x)
        is_left = xp.sum(z * normal, -1) >= 0
        moved = z
        for side, (p, q, r) in ((is_left, sides[:3]), (~is_left, sides[3:])):
            beyond = xp.maximum(xp.sum(z * p, -1), 0.0) * side
            further = xp.maximum(xp.sum(z * r, -1), 0.0) * side
            moved = moved + 2.0 * (further[..., None] * q - beyond[..., None] * p)
        return moved.reshape(x.shape[0], -1)

    def norm(self, *norms: float) -> float:
        """Return 2; in l_inf it would stretch."""
        return norm_of_reflections(norms[0])

    def repeated(self, times: int) -> Sectors:
        """Return the same directions for every vector."""
        return replace(self, directions=np.tile(self.directions, (1, times, 1)))

    def width(self, *widths: int) -> int:
        """Return the input's width."""
        if widths[0] != 2 * self.directions.shape[1]:
            raise ShapeError(
                f"{widths[0]} inputs for sectors of {self.directions.shape[1]} pairs"
            )
        return widths[0]

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Nothing is stretched."""
        return np.asarray(constants[0])

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Lengths are kept; see the module for the error."""
        size, lost = ranges[0].size, 8 * self.directions.size * TINY
        rounding = (gamma(_ROUNDINGS) * size + lost) * LAYER_SLACK
        return Range(size * LAYER_SLACK + rounding, ranges[0].error + rounding)
