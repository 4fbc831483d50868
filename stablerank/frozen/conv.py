"""Operations on images: convolutions, coordinates in another order, pooled lengths.

A register is a flat vector; an image lies in it row by row, pixel by pixel, with the
channels of a pixel side by side (height, width, channels).  So the neighbours that
`GroupSort` compares are channels, and one matrix product per output row, of unfolded
windows with the kernel, writes the next image where it belongs.  There is no FFT
here: its rounding errors mix all pixels, those of a product are bounded row by row.

    |K * x - K * x'|_2 <= s(K) |x - x'|_2                              [N7],
    |(K * x - K * x')_i| <= sum_j |K_ij| |x_j - x_j'|                  [N7]

with s(K) bounded from the stored taps, for zero or circular padding, any stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen.backend import backend_of
from stablerank.frozen.base import LAYER_SLACK, TINY, Array, Operation, Range, matvec_up
from stablerank.frozen.conv_norms import conv_norm_up
from stablerank.rounding import gamma, mul_up, sqrt_up, sum_up

__all__ = ["Conv", "GroupLength", "Reorder"]

#: Root of the least float, times the root of more groups than any memory holds.
_LOST = 2.0**-500
#: Numbers in one block of unfolded windows.
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Conv(Operation):
    """y[p] = sum over t of K_t x[stride p + t - (top, left)] + b, as `torch.conv2d`.

    Parameters
    ----------
    kernel : ndarray of shape (n_out, n_in, k_height, k_width)
        K.
    bias : ndarray of shape (n_out,)
        b.
    shape : (height, width, n_in)
        Of the input image.
    stride : int
        Step between outputs, in both directions.
    pads : (top, bottom, left, right)
        Rows and columns added around the image.
    padding : {"zeros", "circular"}
        What they hold.

    Examples
    --------
    >>> right = np.array([[[[0.0, 1.0]]]])  # each pixel takes its right neighbour
    >>> op = Conv((0,), right, np.zeros(1), shape=(1, 3, 1), pads=(0, 0, 0, 1))
    >>> op.evaluate(backend_of(right), np.array([[1.0, 2.0, 3.0]]))
    array([[2., 3., 0.]])
    """

    kind: ClassVar[str] = "Conv"
    kernel: Array
    bias: Array
    shape: tuple[int, int, int]
    stride: int = 1
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    padding: str = "zeros"

    def check(self) -> None:
        """Raise unless the shapes fit, and no circular output is counted twice."""
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "pads", tuple(int(n) for n in self.pads))
        if self.kernel.ndim != 4 or self.bias.shape != self.kernel.shape[:1]:
            raise ShapeError(f"kernel {self.kernel.shape} and bias {self.bias.shape}")
        if len(self.shape) != 3 or self.shape[2] != self.kernel.shape[1]:
            raise ShapeError(
                f"an image of shape {self.shape} (height, width, channels) for a "
                f"kernel of shape {self.kernel.shape}"
            )
        if self.padding not in ("zeros", "circular"):
            raise InvalidInputError(
                f"padding is 'zeros' or 'circular', not {self.padding!r}"
            )
        if len(self.pads) != 4 or min(self.pads) < 0 or self.stride < 1:
            raise InvalidInputError(f"pads {self.pads}, stride {self.stride}")
        for size, k, before, after in self._sides():
            if size + before + after < k or min(size, k) < 1:
                raise ShapeError(f"a kernel of {k} for {before}+{size}+{after} pixels")
            # On the torus there are `size` outputs; one more would repeat the first,
            # and the norm of what is repeated is larger.
            if self.padding == "circular" and (k > size or before + after > k - 1):
                raise InvalidInputError(
                    f"circular padding of {before} and {after} for a kernel of {k} on "
                    f"{size} pixels repeats outputs"
                )

    def _sides(self) -> list[tuple[int, int, int, int]]:
        """Image size, kernel size, pads before and after: rows, then columns."""
        (height, width, _), (top, bottom, left, right) = self.shape, self.pads
        k_height, k_width = self.kernel.shape[2:]
        return [(height, k_height, top, bottom), (width, k_width, left, right)]

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the output image."""
        height, width = (
            (size + before + after - k) // self.stride + 1
            for size, k, before, after in self._sides()
        )
        return height, width, len(self.bias)

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Unfolded windows times the kernel, output row by output row, in blocks."""
        height, width, n_out = self.out_shape
        n_terms = self.kernel[0].size
        kernel = xp.constant(self.kernel, x).reshape(n_out, n_terms).T
        bias = xp.constant(self.bias, x)
        blocks = []
        for part in xp.blocks(x, max(1, _BLOCK // (width * n_terms))):
            windows = self._windows(xp, part)
            n = windows.shape[0]
            # A matrix times a matrix: stacks of small ones are slow in numpy.
            rows = [
                windows[:, i].reshape(n * width, n_terms) @ kernel + bias
                for i in range(height)
            ]
            flat = [row.reshape(n, width * n_out) for row in rows]
            blocks.append(xp.concatenate(flat, 1))
        return xp.concatenate(blocks, 0) if blocks else x.reshape(0, self._n_out)

    def _windows(self, xp: Any, x: Any) -> Any:
        """Views of shape (n, out height, out width, n_in, k_height, k_width)."""
        image = x.reshape(x.shape[0], *self.shape)
        image = xp.pad_image(image, self.pads, self.padding == "circular")
        k_height, k_width = self.kernel.shape[2:]
        return xp.windows(image, (k_height, k_width), self.stride)

    @property
    def _n_out(self) -> int:
        return math.prod(self.out_shape)

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

    def width(self, *widths: int) -> int:
        """Return the size of the output image."""
        if widths[0] != math.prod(self.shape):
            raise ShapeError(f"{widths[0]} inputs for an image {self.shape}")
        return self._n_out

    @cached_property
    def spectral_norm(self) -> float:
        """Upper bound of s(K), from the taps."""
        return conv_norm_up(
            self.kernel,
            padding=self.padding,
            stride=self.stride,
            input_shape=self.shape[:2],
        )

    @cached_property
    def _size_norm(self) -> float:
        """Bound of the l_2 norm of |K|, the taps without signs: Schur's test."""
        size = np.abs(self.kernel)
        n_out, n_in = size.shape[:2]
        rows = sum_up(size.reshape(n_out, -1), axis=1)
        columns = sum_up(size.swapaxes(0, 1).reshape(n_in, -1), axis=1)
        return float(sqrt_up(mul_up(np.max(rows), np.max(columns))))

    def _absolute(self, x: Array) -> Array:
        """|K| * x for x >= 0, rounded up, over the last axis of `x`."""
        flat = x.reshape(-1, x.shape[-1])
        windows = self._windows(backend_of(flat), flat)
        windows = windows.reshape(*windows.shape[:3], -1)
        product = matvec_up(self.kernel.reshape(len(self.kernel), -1), windows)
        return product.reshape(*x.shape[:-1], self._n_out)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """See the module."""
        if math.isinf(norms[0]):
            return self._absolute(constants[0])
        return np.asarray(mul_up(constants[0], self.spectral_norm))

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """S E + gamma_{n+2} (|K||h| + |b|) with n terms a sum, outward [F1]."""
        size, error = ranges[0].size, ranges[0].error
        n = self.kernel[0].size
        height, width, _ = self.out_shape
        bias = np.tile(np.abs(self.bias), height * width)
        lost = (n + 2) * TINY
        if math.isinf(norms[0]):
            terms = reach = self._absolute(size) + bias
            carried = self._absolute(error)
        else:
            # As for `Affine`: signs matter for the size, not for the rounding.
            shift = float(sqrt_up(sum_up(mul_up(bias, bias))))
            terms = np.array([self._size_norm * float(size[0]) + shift])
            reach = np.array([self.spectral_norm * float(size[0]) + shift])
            carried = np.array([self.spectral_norm * float(error[0])])
            lost *= len(bias)  # the underflows of all outputs together
        total = (carried + gamma(n + 2) * terms) * LAYER_SLACK + lost
        return Range(reach * LAYER_SLACK + total, total)


@dataclass(frozen=True, eq=False)
class Reorder(Operation):
    """y_i = x_{p(i)} with distinct positions p: nothing is stretched or rounded [N2].

    Parameters
    ----------
    positions : ndarray of int64, shape (n_out,)
        p.
    n_in : int
        Coordinates of the input.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0]])
    >>> Reorder((0,), positions=np.array([2, 0]), n_in=3).evaluate(backend_of(x), x)
    array([[3., 1.]])
    """

    kind: ClassVar[str] = "Reorder"
    positions: NDArray[np.int64]
    n_in: int

    def check(self) -> None:
        """Raise unless the positions are distinct coordinates of the input."""
        p = self.positions
        if p.ndim != 1 or not len(p) or p.min() < 0 or p.max() >= self.n_in:
            raise ShapeError(f"positions of shape {p.shape} among {self.n_in}")
        if len(np.unique(p)) != len(p):
            raise InvalidInputError("a position that is taken twice stretches l_2")

    def evaluate(self, xp: Any, x: Any) -> Any:
        """Exact."""
        return xp.take(x, self.positions, 1)

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

    def width(self, *widths: int) -> int:
        """Return the number of positions."""
        if widths[0] != self.n_in:
            raise ShapeError(f"{widths[0]} inputs, positions among {self.n_in}")
        return len(self.positions)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Those of the coordinates taken; in l_2 the same."""
        return self._taken(np.asarray(constants[0]), norms[0])

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """No rounding."""
        size, error = ranges[0].size, ranges[0].error
        return Range(self._taken(size, norms[0]), self._taken(error, norms[0]))

    def _taken(self, values: Array, norm: float) -> Array:
        return values[..., self.positions] if math.isinf(norm) else values


@dataclass(frozen=True, eq=False)
class GroupLength(Operation):
    """y_g = |x_g|_2 over groups of `size` neighbouring coordinates.

    Norm 2: each length moves by at most that of its group, so 1 in all.
    Norm inf: |y_g - y_g'| <= sqrt of the sum of K_i^2 over the group.

    Examples
    --------
    >>> x = np.array([[3.0, -4.0, 0.0, 1.0]])
    >>> GroupLength((0,)).evaluate(backend_of(x), x)
    array([[5., 1.]])
    """

    kind: ClassVar[str] = "GroupLength"
    size: int = 2

    def evaluate(self, xp: Any, x: Any) -> Any:
        """One sum of squares and one root a group."""
        groups = x.reshape(x.shape[0], -1, self.size)
        return xp.sqrt(xp.sum(groups * groups, -1))

    def norm(self, *norms: float) -> float:
        """Return the input's norm."""
        return norms[0]

    def width(self, *widths: int) -> int:
        """Return the number of groups."""
        if widths[0] % self.size:
            raise ShapeError(f"{widths[0]} coordinates in groups of {self.size}")
        return widths[0] // self.size

    def _length(self, values: Array, norm: float) -> Array:
        if not math.isinf(norm):
            return values
        groups = values.reshape(*values.shape[:-1], -1, self.size)
        return np.asarray(sqrt_up(sum_up(mul_up(groups, groups), axis=-1)))

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """See the class."""
        return self._length(np.asarray(constants[0]), norms[0])

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """gamma_{n+2} of the length, and the root of what underflows."""
        size = self._length(ranges[0].size, norms[0])
        error = self._length(ranges[0].error, norms[0]) + gamma(self.size + 2) * size
        # Squares below 2**-1022 lose up to 2**-1074 each; the root of that is 2**-537.
        error = error * LAYER_SLACK + _LOST * self.size
        return Range(size * LAYER_SLACK + error, error)
