"""Distances of every sample to every centre, in blocks that stay in cache.

    y_bj = |x_b - w_j|_p                              (8 <= p <= inf)
    y_bj = sum_k c_k |x_b - w_j|_(k), largest first

A plain broadcast holds (batch, out, in) numbers, several times over for autograd.
Here both passes run block by block, and the backward pass computes the differences
again: memory is bounded by `BLOCK`, and the small blocks are faster besides.

p-norms are taken of ratios to the largest entry, so no power overflows.  Powers are
products: p is rounded down to one of four values an octave (4, 5, 6, 7, 8, 10, 12,
...), which is a fifth of the cost of a real power and fine enough for a schedule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["BLOCK", "norm_distances", "sorted_distances"]

#: Numbers in a block, (samples, centres, coordinates) together.
BLOCK = 2**17
#: Ratios below this are raised to it: their powers are nothing beside the largest
#: entry's 1, and its square is still a normal float32 (subnormal ones are slow).
_FLOOR = 2.0**-60


def norm_distances(x: Tensor, centres: Tensor, p: float) -> Tensor:
    """|x_b - w_j|_p for p >= 8, p on the grid above.

    Parameters
    ----------
    x : Tensor of shape (batch, n_in)
        Samples.
    centres : Tensor of shape (n_out, n_in)
        w.
    p : float
        Rounded down to the grid; inf is exact.

    Returns
    -------
    Tensor of shape (batch, n_out)

    Examples
    --------
    >>> x, w = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 5.0]])
    >>> norm_distances(x, w, math.inf)
    tensor([[4., 1.]])
    """
    return _NormDistances.apply(x, centres, p)  # type: ignore[no-any-return]


def sorted_distances(x: Tensor, centres: Tensor, coefficients: Tensor) -> Tensor:
    """sum_k c_k |x_b - w_j|_(k), over the largest entries.

    Parameters
    ----------
    x : Tensor of shape (batch, n_in)
        Samples.
    centres : Tensor of shape (n_out, n_in)
        w.
    coefficients : Tensor of shape (n_largest,)
        c, for the largest entry first; n_largest <= n_in.

    Returns
    -------
    Tensor of shape (batch, n_out)

    Examples
    --------
    >>> x, w = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    >>> sorted_distances(x, w, torch.tensor([0.5, 0.5]))
    tensor([[3.5000]])
    """
    return _SortedDistances.apply(x, centres, coefficients)  # type: ignore[no-any-return]


def _blocks(batch: int, n_out: int, n_in: int) -> Iterator[tuple[slice, slice]]:
    """Pairs of slices that cover samples x centres."""
    pairs = max(1, BLOCK // max(n_in, 1))
    rows = max(1, min(batch, math.isqrt(pairs)))
    columns = max(1, pairs // rows)
    for b in range(0, batch, rows):
        for j in range(0, n_out, columns):
            yield slice(b, b + rows), slice(j, j + columns)


def _on_grid(p: float) -> tuple[int, int]:
    """p as mantissa * 2**octaves with a mantissa of 4, 5, 6 or 7, rounded down."""
    octaves = math.floor(math.log2(p)) - 2
    return math.floor(p / 2**octaves), octaves


def _power(ratio: Tensor, p: float) -> Tensor:
    """ratio ** p for ratios in [0, 1]; at p = inf whether it is 1."""
    if math.isinf(p):
        return (ratio >= 1).to(ratio.dtype)
    mantissa, octaves = _on_grid(p)
    square = ratio.square()
    result = square.square()
    if mantissa & 1:
        result *= ratio
    if mantissa & 2:
        result *= square
    for _ in range(octaves):
        result = result.clamp_min_(_FLOOR).square_()
    return result


class _NormDistances(torch.autograd.Function):
    """Forward and recomputing backward pass of `norm_distances`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, centres: Tensor, p: float) -> Tensor:
        y = x.new_empty(len(x), len(centres))
        for b, j in _blocks(len(x), len(centres), x.shape[1]):
            gaps = (x[b, None] - centres[None, j]).abs_()
            top = gaps.amax(dim=2)
            if not math.isinf(p):
                mantissa, octaves = _on_grid(p)
                gaps /= top.clamp_min(_tiny(x))[..., None]
                sums = _power(gaps, p).sum(dim=2)
                top = top * sums.clamp_min(1.0) ** (1 / (mantissa * 2**octaves))
            y[b, j] = top
        ctx.save_for_backward(x, centres, y)
        ctx.p = p
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """dy / dx_i = sign(x_i - w_i) (|x_i - w_i| / y)^(p - 1)."""
        x, centres, y = ctx.saved_tensors
        grad_x, grad_centres = torch.zeros_like(x), torch.zeros_like(centres)
        for b, j in _blocks(len(x), len(centres), x.shape[1]):
            gaps = x[b, None] - centres[None, j]
            ratio = gaps.abs() / y[b, j].clamp_min(_tiny(x))[..., None]
            share = _power(ratio, ctx.p)
            if math.isinf(ctx.p):
                # Tied entries share the gradient, which then is a subgradient.
                share /= share.sum(dim=2, keepdim=True).clamp_min(1.0)
            else:
                share /= ratio.clamp_min_(_FLOOR)
            share *= gaps.sign_() * grad[b, j, None]
            grad_x[b] += share.sum(dim=1)
            grad_centres[j] -= share.sum(dim=0)
        return grad_x, grad_centres, None


class _SortedDistances(torch.autograd.Function):
    """Forward and backward pass of `sorted_distances`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, centres: Tensor, coefficients: Tensor) -> Tensor:
        n_largest = len(coefficients)
        y = x.new_empty(len(x), len(centres))
        places = x.new_empty((*y.shape, n_largest), dtype=torch.int64)
        for b, j in _blocks(len(x), len(centres), x.shape[1]):
            gaps = (x[b, None] - centres[None, j]).abs_()
            largest, places[b, j] = gaps.topk(n_largest, dim=2)
            y[b, j] = largest @ coefficients
        ctx.save_for_backward(x, centres, coefficients, places)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """dy / dx_i = c_k sign(x_i - w_i) at the place i of rank k."""
        x, centres, coefficients, places = ctx.saved_tensors
        grad_x, grad_centres = torch.zeros_like(x), torch.zeros_like(centres)
        for b, j in _blocks(len(x), len(centres), x.shape[1]):
            signs = (x[b, None] - centres[None, j]).sign_()
            own = places[b, j]
            values = signs.gather(2, own) * coefficients * grad[b, j, None]
            share = signs.zero_().scatter_(2, own, values)
            grad_x[b] += share.sum(dim=1)
            grad_centres[j] -= share.sum(dim=0)
        return grad_x, grad_centres, None


def _tiny(x: Tensor) -> float:
    """Stand-in for a distance of zero, so that its quotients are 0 and not NaN."""
    return torch.finfo(x.dtype).tiny
