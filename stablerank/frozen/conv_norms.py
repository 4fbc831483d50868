"""Rigorous upper bounds of the norm of a convolution, from its taps.

With K_t the (out, in) matrix of tap t and K(w) = sum_t K_t e^(-i t w),

    |conv|_2 <= sup over w of s(K(w)) <= sum_t s(K_t)                        [N7]

for zero or circular padding, any stride and any image; on a torus of known size the
largest over its frequencies is the norm itself.  Zeros round an image of n pixels are
such a torus, of n + k - 1 pixels, where all that a kernel of k taps makes of the image
has room: it never wraps round, so the padded norm is at most that of this torus (and
not of the one of n pixels, which it can exceed).  Four bounds, the least of which
counts:

- taps: sum_t s(K_t), and sqrt(T) s([K_1 ... K_T]), side by side or stacked, since
  a pixel meets T taps;
- Gram: conv^T conv is a convolution with the taps G_s = sum_t K_t^T K_(t+s), and by
  Schur's test |conv|_2^2 <= s(sum_s |G_s|), as AOL uses it; exact for convolutions
  with orthonormal outputs, and repeated, Gram iteration [N6 d];
- cells: sup over w of s(K(w)) by `Symbol.supremum_up`;
- torus: its frequencies, where the size of the image is known; no cells are needed
  then, and no slack is left between them.

A stride r is taken out first: the r^d phases of the image are channels of a smaller
one, on which a convolution of stride 1 with fewer taps acts, with the same norm.

    |conv|_inf = max over outputs of sum |K|, where the image is larger than K [N7].
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen.spectral import (
    Normalised,
    product_gamma,
    spectral_norm_up,
    spectral_squares_up,
)
from stablerank.frozen.symbols import Symbol, schur_test_up
from stablerank.rounding import add_up, gamma, max_up, mul_up, sqrt_up, sum_up, up

__all__ = [
    "conv_inf_norm_up",
    "conv_norm_up",
    "gram_conv_norm_up",
    "taps_of",
]

Array = NDArray[np.float64]

#: Multiplications that one bound may cost: a few seconds on one core.
_BUDGET = 3e9
#: The same for a torus, where it is known before that this is enough: a minute, for
#: 512 channels on 16 x 16 pixels.
_TORUS_BUDGET = 2e10
#: Evaluations of the symbol, whatever one costs.
_MOST = 20_000
#: Gram taps are cheap matrix products; this many multiplications take as long.
_GRAM_BUDGET = 2e10


def conv_norm_up(
    kernel: Array,
    *,
    padding: str,
    stride: int = 1,
    input_shape: tuple[int, ...] | None = None,
    groups: int = 1,
) -> float:
    """Upper bound of the l_2 norm of a convolution; 0 only for a kernel of zeros.

    Parameters
    ----------
    kernel : ndarray of shape (n_out, n_in / groups, *k)
        Taps, for images with any number of axes.
    padding : {"zeros", "circular"}
        What the image is surrounded with; any number of zeros, but no more circular
        pixels than keep every output from being counted twice.
    stride : int
        Step between outputs, along every axis.
    input_shape : tuple of int, optional
        Pixels of the image along each axis; without, the bound holds for all sizes.
    groups : int
        Blocks of channels that do not mix.

    Examples
    --------
    >>> blur = np.ones((1, 1, 3, 3)) / 9
    >>> 1.0 <= conv_norm_up(blur, padding="zeros") < 1.0 + 1e-12
    True
    >>> difference = np.array([[[1.0, -1.0]]])  # least for constant images
    >>> 2.0 <= conv_norm_up(difference, padding="zeros") < 2.001
    True
    >>> conv_norm_up(difference, padding="circular", input_shape=(3,)) < 1.7321
    True
    """
    if padding not in ("zeros", "circular"):
        raise InvalidInputError(f"padding is 'zeros' or 'circular', not {padding!r}")
    _check_shape(kernel, input_shape)
    closes = input_shape is not None and not any(
        n % max(1, stride) for n in input_shape
    )
    if padding == "circular" and stride > 1 and not closes:
        stride = (
            1  # the phases of such a torus do not: take all outputs, which are more
        )
    scaled = Normalised.of(kernel)
    taps = taps_of(scaled.array, stride, groups)
    if not taps.any():
        return 0.0
    if math.prod(taps.shape[1:-2]) == 1:
        blocks = taps.reshape(groups, *taps.shape[-2:])
        return scaled.restore(max(spectral_norm_up(block) for block in blocks))
    bound = _taps_bound(taps)
    if _gram_cost(taps.shape) <= _GRAM_BUDGET:
        bound = min(bound, _gram_bound(taps, steps=1))
    symbol, small, large = Symbol(taps), *sorted(taps.shape[-2:])
    cost = groups * small**2 * large
    torus = [-(-n // stride) for n in input_shape or ()]
    if padding == "zeros":
        torus = [n + k - 1 for n, k in zip(torus, symbol.sides, strict=False)]
    if torus and math.prod(torus) <= 2 * min(_MOST, _TORUS_BUDGET / cost):
        bound = min(bound, symbol.torus_up(tuple(torus)))
    elif symbol.n_first <= 2 * min(_MOST, _BUDGET / cost):
        bound = symbol.supremum_up(int(min(_MOST, _BUDGET / cost)), bound)
    return scaled.restore(bound)


def conv_inf_norm_up(kernel: Array) -> float:
    """Largest sum of |K| over the outputs: the l_inf norm, rounded up [N7].

    Whatever the padding, the stride and the groups; attained by images that are at
    least as large as the kernel.

    Parameters
    ----------
    kernel : ndarray of shape (n_out, n_in / groups, *k)
        Taps.

    Examples
    --------
    >>> conv_inf_norm_up(np.array([[[1.0, -2.0]], [[0.5, 0.5]]]))
    3.0
    """
    scaled = Normalised.of(kernel)
    rows = np.abs(scaled.array).reshape(len(kernel), -1)
    return scaled.restore(max_up(sum_up(rows, axis=1)))


def gram_conv_norm_up(
    kernel: Array, steps: int = 2, *, stride: int = 1, groups: int = 1
) -> float:
    """Bound of the l_2 norm by Gram iteration on the taps [N6 d, N7].

    Holds for zero and circular padding and for all sizes of images.  The kernel
    doubles its sides at every step, so its cost grows by 4^(number of axes).

    Parameters
    ----------
    kernel : ndarray of shape (n_out, n_in / groups, *k)
        Taps.
    steps : int
        Products K <- K^T K.
    stride, groups : int
        As for `conv_norm_up`.

    Examples
    --------
    >>> difference = np.array([[[1.0, -1.0]]])
    >>> 2.0 <= gram_conv_norm_up(difference) < 2.0 + 1e-12
    True
    """
    scaled = Normalised.of(kernel)
    taps = taps_of(scaled.array, stride, groups)
    return scaled.restore(_gram_bound(taps, steps)) if taps.any() else 0.0


def taps_of(kernel: Array, stride: int = 1, groups: int = 1) -> Array:
    """Taps of the convolution of stride 1 on the phases of the image.

    Output x of stride r is sum_t K_t u(r x + t); with t = r q + s it is the sum over
    q and s of K_(r q + s) u_s(x + q), where u_s(x) = u(r x + s) are the phases.

    Parameters
    ----------
    kernel : ndarray of shape (n_out, n_in / groups, *k)
        Taps of stride `stride`.

    Returns
    -------
    ndarray of shape (groups, *ceil(k / stride), n_out / groups, channels)
        With channels = stride^d n_in / groups.

    Examples
    --------
    >>> taps_of(np.arange(3.0)[None, None], stride=2)[0, :, 0].tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    if kernel.ndim < 3 or min(kernel.shape) < 1:
        raise ShapeError(f"a kernel (n_out, n_in, *k) is expected, not {kernel.shape}")
    if stride < 1 or groups < 1 or len(kernel) % groups:
        raise InvalidInputError(
            f"stride {stride}, groups {groups} for {len(kernel)} output channels"
        )
    n_in, sides = kernel.shape[1], kernel.shape[2:]
    blocks = kernel.reshape(groups, len(kernel) // groups, *kernel.shape[1:])
    missing = [(0, -side % stride) for side in sides]
    blocks = np.pad(blocks, [(0, 0)] * 3 + missing)
    d = len(sides)
    split = [part for side in blocks.shape[3:] for part in (side // stride, stride)]
    phases = blocks.reshape(*blocks.shape[:3], *split)
    tap_axes, phase_axes = range(3, 3 + 2 * d, 2), range(4, 4 + 2 * d, 2)
    ordered = phases.transpose(0, *tap_axes, 1, *phase_axes, 2)
    return np.ascontiguousarray(
        ordered.reshape(groups, *split[::2], -1, stride**d * n_in)
    )


def _check_shape(kernel: Array, input_shape: tuple[int, ...] | None) -> None:
    if input_shape is None:
        return
    if len(input_shape) != kernel.ndim - 2 or min(input_shape) < 1:
        raise ShapeError(
            f"input_shape {input_shape} for a kernel {kernel.shape}: give the pixels "
            "along each axis, without channels"
        )


def _taps_bound(taps: Array) -> float:
    """Least of sum_t s(K_t) and sqrt(T) s of the taps side by side or stacked."""
    groups, (n_out, n_in) = len(taps), taps.shape[-2:]
    flat = taps.reshape(groups, -1, n_out, n_in)
    n_taps = flat.shape[1]
    each = sqrt_up(_squares(flat.reshape(-1, n_out, n_in)))
    total = sum_up(np.reshape(each, (groups, n_taps)), axis=1)
    beside = flat.transpose(0, 2, 1, 3).reshape(groups, n_out, -1)
    stacked = flat.reshape(groups, -1, n_in)
    root = sqrt_up(float(n_taps))
    joined = [mul_up(root, sqrt_up(_squares(x))) for x in (beside, stacked)]
    return max_up(np.minimum(total, np.minimum(*joined)))


def _squares(stack: Array) -> Array:
    tall = stack if stack.shape[1] >= stack.shape[2] else stack.swapaxes(1, 2)
    return spectral_squares_up(tall)


def _gram_bound(taps: Array, steps: int) -> float:
    """Gram iteration on the taps, then Schur's test on the sum of |K_t|."""
    chain, lost = [Normalised.of(taps)], []
    for _ in range(steps):
        k = chain[-1].array
        length = k.shape[-2] * math.prod(k.shape[1:-2])
        square = _absolute_norm(k) ** 2
        lost.append(up(product_gamma(length, is_complex=False) * square + 2.0**-400))
        chain.append(Normalised.of(_gram_taps(k)))
    bound = _absolute_norm(chain[-1].array)
    for power, error in zip(reversed(chain[1:]), reversed(lost), strict=True):
        bound = float(sqrt_up(add_up(power.restore(bound), error)))
    return chain[0].restore(bound)


def _absolute_norm(taps: Array) -> float:
    """s(sum_t |K_t|), at least the norm of the convolution."""
    absolute = np.abs(taps).reshape(len(taps), -1, *taps.shape[-2:])
    total = absolute.sum(axis=1) * (1 + 2 * gamma(absolute.shape[1]))
    return float(up(schur_test_up(total) * (1 + 2.0**-45)))


def _gram_taps(taps: Array) -> Array:
    """Taps sum_t K_t^T K_(t+s) of conv^T conv, for all s from 1 - k to k - 1."""
    groups, sides, n_in = len(taps), taps.shape[1:-2], taps.shape[-1]
    padded = np.pad(taps, [(0, 0), *((k - 1, k - 1) for k in sides), (0, 0), (0, 0)])
    flat = taps.reshape(groups, -1, n_in).swapaxes(1, 2)  # (groups, n_in, T * n_out)
    grown = [2 * k - 1 for k in sides]
    shifts = list(np.ndindex(*grown))
    result = np.empty((len(shifts), groups, n_in, n_in))
    for i, shift in enumerate(shifts):
        if i > len(shifts) // 2:  # the other side of the middle is the transpose
            result[i] = result[len(shifts) - 1 - i].swapaxes(1, 2)
            continue
        window = tuple(slice(s, s + k) for s, k in zip(shift, sides, strict=True))
        moved = padded[(slice(None), *window)].reshape(groups, -1, n_in)
        result[i] = flat @ moved
    return result.swapaxes(0, 1).reshape(groups, *grown, n_in, n_in)


def _gram_cost(shape: tuple[int, ...]) -> float:
    groups, sides, (n_out, n_in) = shape[0], shape[1:-2], shape[-2:]
    n_taps = math.prod(sides)
    return groups * math.prod(2 * k - 1 for k in sides) * n_taps * n_out * n_in**2 / 2
