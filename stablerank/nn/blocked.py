"""Distances of every sample to every centre, in blocks that stay in cache.

    y_bj = |x_b - w_j|_p
    y_bj = sum_k c_k |x_b - w_j|_(k), largest first; c = (1,) gives p = inf

A plain broadcast holds (batch, out, in) numbers, several times over for autograd.
Here both passes run block by block, and the backward pass computes the differences
again: memory is bounded by `BLOCK`, and small blocks are faster besides.  Both are
operators of their own, so that `torch.compile` does not look into their loops.

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
from torch.library import custom_op

__all__ = ["norm_distances", "sorted_distances"]

#: Numbers in a block, (samples, centres, coordinates) together: what stays in the
#: cache of a core, and what keeps a GPU busy.
BLOCK, BLOCK_ON_GPU = 2**17, 2**24
#: Ratios below this are raised to it: their powers are nothing beside the largest
#: entry's 1, and its square is still a normal float32 (subnormal ones are slow).
_FLOOR = 2.0**-60


def norm_distances(x: Tensor, centres: Tensor, p: float) -> Tensor:
    """|x_b - w_j|_p for 4 <= p <= inf.

    Parameters
    ----------
    x : Tensor of shape (batch, n_in)
        Samples.
    centres : Tensor of shape (n_out, n_in)
        w.
    p : float
        Rounded down to the grid above; inf is exact.

    Returns
    -------
    Tensor of shape (batch, n_out)

    Examples
    --------
    >>> x, w = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 5.0]])
    >>> norm_distances(x, w, math.inf)
    tensor([[4., 1.]])
    """
    if math.isinf(p):
        return sorted_distances(x, centres, x.new_ones(1))
    return _norm_distances(x, centres, _on_grid(p))


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
    return _sorted_distances(x, centres, coefficients)[0]


def _blocks(y: Tensor, n_in: int) -> Iterator[tuple[slice, slice]]:
    """Pairs of slices that cover y, samples x centres."""
    batch, n_out = y.shape
    pairs = max(1, (BLOCK if y.device.type == "cpu" else BLOCK_ON_GPU) // n_in)
    rows = max(1, min(batch, math.isqrt(pairs)))
    columns = max(1, pairs // rows)
    for b in range(0, batch, rows):
        for j in range(0, n_out, columns):
            yield slice(b, b + rows), slice(j, j + columns)


def _on_grid(p: float) -> list[int]:
    """p as mantissa * 2**octaves with a mantissa of 4, 5, 6 or 7, rounded down."""
    octaves = math.floor(math.log2(p)) - 2
    return [math.floor(p / 2**octaves), octaves]


def _power(ratio: Tensor, power: list[int]) -> Tensor:
    """ratio ** (mantissa * 2**octaves) for ratios in [0, 1]."""
    mantissa, octaves = power
    square = ratio.square()
    result = square.square()
    if mantissa & 1:
        result *= ratio
    if mantissa & 2:
        result *= square
    for _ in range(octaves):
        result = result.clamp_min_(_FLOOR).square_()
    return result


@custom_op("stablerank::norm_distances", mutates_args=())
def _norm_distances(x: Tensor, centres: Tensor, power: list[int]) -> Tensor:
    # Stands in for a distance of zero, so that quotients by it are 0, not NaN.
    tiny = torch.finfo(x.dtype).tiny
    p = power[0] * 2 ** power[1]
    y = x.new_empty(len(x), len(centres))
    for b, j in _blocks(y, x.shape[1]):
        gaps = (x[b, None] - centres[None, j]).abs_()
        top = gaps.amax(dim=2).clamp_min_(tiny)
        gaps /= top[..., None]
        sums = _power(gaps, power).sum(dim=2)
        y[b, j] = (top * sums ** (1 / p)).clamp_min_(tiny)
    return y


@custom_op("stablerank::norm_distances_backward", mutates_args=())
def _norm_gradients(
    grad: Tensor, x: Tensor, centres: Tensor, y: Tensor, power: list[int]
) -> tuple[Tensor, Tensor]:
    """dy / dx_i = sign(x_i - w_i) (|x_i - w_i| / y)^(p - 1)."""
    grad_x, grad_centres = torch.zeros_like(x), torch.zeros_like(centres)
    for b, j in _blocks(y, x.shape[1]):
        gaps = x[b, None] - centres[None, j]
        ratio = gaps.abs().div_(y[b, j, None])
        share = _power(ratio, power).div_(ratio.clamp_min_(_FLOOR))
        share = share.copysign_(gaps).mul_(grad[b, j, None])
        grad_x[b] += share.sum(dim=1)
        grad_centres[j] -= share.sum(dim=0)
    return grad_x, grad_centres


@custom_op("stablerank::sorted_distances", mutates_args=())
def _sorted_distances(
    x: Tensor, centres: Tensor, coefficients: Tensor
) -> tuple[Tensor, Tensor]:
    """Distances, and the places of the entries that they add up, (batch, out, k)."""
    y = x.new_empty(len(x), len(centres))
    places = x.new_empty((*y.shape, len(coefficients)), dtype=torch.int64)
    for b, j in _blocks(y, x.shape[1]):
        gaps = (x[b, None] - centres[None, j]).abs_()
        largest, places[b, j] = gaps.topk(len(coefficients), dim=2)
        y[b, j] = largest @ coefficients
    return y, places


def _sorted_gradients(
    grad: Tensor, x: Tensor, centres: Tensor, coefficients: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """dy / dx_i = c_k sign(x_i - w_i) at the place i of rank k."""
    by_sample = places.flatten(1)  # (batch, out * k)
    by_centre = places.swapaxes(0, 1).flatten(1)  # (out, batch * k)
    ends = x.gather(1, by_sample).view_as(places)
    starts = centres.gather(1, by_centre).view(len(centres), len(x), -1)
    share = (ends - starts.swapaxes(0, 1)).sign() * coefficients * grad[..., None]
    grad_x = torch.zeros_like(x).scatter_add(1, by_sample, share.flatten(1))
    own = share.swapaxes(0, 1).flatten(1)
    return grad_x, torch.zeros_like(centres).scatter_add(1, by_centre, -own)


# What `torch.compile`, `torch.export` and autograd have to know of the operators above;
# `len(x)` would tie an exported graph to the batch that it was traced with.


@_norm_distances.register_fake
def _(x: Tensor, centres: Tensor, power: list[int]) -> Tensor:
    return x.new_empty(x.shape[0], centres.shape[0])


@_norm_gradients.register_fake
def _(grad: Tensor, x: Tensor, centres: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(centres)


@_sorted_distances.register_fake
def _(x: Tensor, centres: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    y = x.new_empty(x.shape[0], centres.shape[0])
    return y, x.new_empty((*y.shape, coefficients.shape[0]), dtype=torch.int64)


def _keep_norm(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, centres, ctx.power = inputs
    ctx.save_for_backward(x, centres, output)


def _norm_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    return *_norm_gradients(grad, *ctx.saved_tensors, ctx.power), None


def _keep_sorted(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    ctx.save_for_backward(*inputs, output[1])


def _sorted_backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, Tensor, None]:
    return *_sorted_gradients(grad, *ctx.saved_tensors), None


_norm_distances.register_autograd(_norm_backward, setup_context=_keep_norm)
_sorted_distances.register_autograd(_sorted_backward, setup_context=_keep_sorted)
