"""How large a weight is: bounds to certify with, bounds to train with, an estimate.

Three kinds of numbers, and no way to take one for another:

- `*_up` takes the weight as it is, float32 or float64, and returns a float that is
  at least the norm, whatever rounding did: what certificates use [N1, N6, N7];
- `gram_bound` and `conv_gram_bound` are differentiable tensors, upper bounds in
  exact arithmetic only: what training divides by or penalises;
- `estimate_spectral_norm` is a power iteration, which comes from *below*: 5 per cent
  below after 10 steps on a Gaussian matrix of 300 x 200.  It returns an `Estimate`,
  which is no number: a `Bound` or a frozen operation that is handed one raises.

`audit_spectral_norm` decides in exact arithmetic whether a claimed bound is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from stablerank.exceptions import DataTypeError, InvalidInputError, ShapeError
from stablerank.frozen import audit, conv_norms, mixed_norms, spectral
from stablerank.nn.base import to_float64
from stablerank.nn.contractions import gram_bound

__all__ = [
    "Estimate",
    "audit_spectral_norm",
    "audit_spectral_norm_with_balls",
    "conv_gram_bound",
    "conv_norm_up",
    "estimate_spectral_norm",
    "gram_bound",
    "operator_norm_up",
    "spectral_norm_up",
]

Weight = Tensor | ArrayLike

#: Grid points per degree of `conv_gram_bound`: 2 per cent above, in two axes.
_POINTS = 12


def spectral_norm_up(weight: Weight) -> float:
    """Upper bound of the largest singular value, rounding included [N6].

    Parameters
    ----------
    weight : Tensor or array of shape (n_out, n_in)
        float32 or float64.

    Examples
    --------
    >>> spectral_norm_up(torch.eye(3))
    1.0
    """
    return spectral.spectral_norm_up(_exact(weight))


def operator_norm_up(weight: Weight, source: float = 2, target: float = 2) -> float:
    """Upper bound of the norm of a matrix from l_source to l_target [N1].

    Parameters
    ----------
    weight : Tensor or array of shape (n_out, n_in)
        float32 or float64.
    source, target : {1, 2, inf}
        Norms before and after.

    Examples
    --------
    >>> operator_norm_up(torch.tensor([[3.0, -4.0]]), math.inf, math.inf)
    7.0
    """
    return mixed_norms.operator_norm_up(_exact(weight), source, target)


def conv_norm_up(
    kernel: Weight,
    input_shape: tuple[int, ...] | None = None,
    *,
    padding: str = "zeros",
    stride: int = 1,
    norm: float = 2,
    groups: int = 1,
) -> float:
    """Upper bound of the norm of a convolution, rounding included [N7].

    Parameters
    ----------
    kernel : Tensor or array of shape (n_out, n_in / groups, *k)
        float32 or float64, as in `torch.nn.Conv1d`, `Conv2d` and `Conv3d`.
    input_shape : tuple of int, optional
        Pixels along each axis; without, the bound holds for images of any size.
    padding : {"zeros", "circular"}
        What surrounds the image.
    stride, groups : int
        As in torch.
    norm : {2, inf}
        Of the image and of the output.

    Examples
    --------
    >>> blur = torch.ones(1, 1, 3, 3) / 16
    >>> 0.5625 <= conv_norm_up(blur) < 0.5626
    True
    >>> conv_norm_up(blur, norm=math.inf)
    0.5625
    """
    taps = _exact(kernel)
    if norm == math.inf:
        return conv_norms.conv_inf_norm_up(taps)
    if norm != 2:
        raise InvalidInputError(
            f"convolutions are bounded in norm 2 or inf, not {norm}"
        )
    return conv_norms.conv_norm_up(
        taps, padding=padding, stride=stride, input_shape=input_shape, groups=groups
    )


def audit_spectral_norm(weight: Weight, bound: float) -> bool:
    """Whether `bound` is at least the spectral norm, decided in integers.

    Parameters
    ----------
    weight : Tensor or array of shape (n_out, n_in)
        Seconds for 64 rows or columns, whichever are fewer.
    bound : float
        The claim.

    Examples
    --------
    >>> weight = torch.tensor([[3.0, 4.0]])
    >>> audit_spectral_norm(weight, 5.0), audit_spectral_norm(weight, 4.999)
    (True, False)
    """
    return audit.audit_spectral_norm(_exact(weight), bound)


def audit_spectral_norm_with_balls(
    weight: Weight, bound: float, bits: int = 200
) -> bool:
    """Whether balls of `bits` bits prove that `bound` exceeds the spectral norm.

    Seconds for 512 rows or columns; needs python-flint, the extra `audit`.

    Parameters
    ----------
    weight : Tensor or array of shape (n_out, n_in)
        float32 or float64.
    bound : float
        The claim.
    bits : int
        Precision.
    """
    return audit.audit_spectral_norm_with_balls(_exact(weight), bound, bits)


@dataclass(frozen=True)
class Estimate:
    """A norm that nobody proved: it has a value, but is no number.

    Arithmetic, `float()` and numpy refuse it, so that it cannot become a constant by
    accident; `value` is for logs and plots.

    Examples
    --------
    >>> 2 * Estimate(1.0, steps=10)
    Traceback (most recent call last):
        ...
    TypeError: unsupported operand type(s) for *: 'int' and 'Estimate'
    """

    value: float
    steps: int


def estimate_spectral_norm(weight: Weight, steps: int = 50, seed: int = 0) -> Estimate:
    """Estimate of the spectral norm from below, by power iteration.

    Parameters
    ----------
    weight : Tensor or array of shape (n_out, n_in)
        float32 or float64.
    steps : int
        Products with W^T W.
    seed : int
        Of the start.

    Examples
    --------
    >>> round(estimate_spectral_norm(torch.diag(torch.tensor([1.0, 3.0]))).value, 6)
    3.0
    """
    scaled = spectral.Normalised.of(_exact(weight))
    if scaled.array.ndim != 2:
        raise ShapeError(f"a weight of shape {scaled.array.shape} is no matrix")
    w = scaled.array
    size = 0.0
    start: NDArray[Any] = np.random.default_rng(seed).standard_normal(w.shape[1:])
    for _ in range(steps):
        image = w @ (start / max(float(np.linalg.norm(start)), 1e-300))
        size = float(np.linalg.norm(image))
        start = w.T @ image
    return Estimate(math.ldexp(size, scaled.exponent), steps)


def conv_gram_bound(
    kernel: Tensor,
    input_shape: tuple[int, ...] | None = None,
    *,
    padding: str = "zeros",
    steps: int = 5,
) -> Tensor:
    """Bound of the l_2 norm of a convolution by Gram iteration, differentiable, ().

    Circular padding of a known image: the largest of `gram_bound` over its
    frequencies.  Otherwise over a grid of N_j > k_j - 1 frequencies along each axis,
    divided by the product of cos(pi (k_j - 1) / (2 N_j)) [N7].  At least the norm in
    exact arithmetic, for any stride.

    Parameters
    ----------
    kernel : Tensor of shape (n_out, n_in, *k)
        Taps.
    input_shape : tuple of int, optional
        Pixels along each axis, at least k; read with circular padding only.
    padding : {"zeros", "circular"}
        What surrounds the image.
    steps : int
        Of the iteration.

    Examples
    --------
    >>> kernel = torch.ones(1, 1, 3, 3, requires_grad=True)
    >>> bound = conv_gram_bound(kernel)
    >>> bound.backward()
    >>> 9 <= bound.item() < 9.2, kernel.grad.shape
    (True, torch.Size([1, 1, 3, 3]))
    """
    if padding not in ("zeros", "circular"):
        raise InvalidInputError(f"padding is 'zeros' or 'circular', not {padding!r}")
    sides = kernel.shape[2:]
    axes = tuple(range(2, kernel.ndim))
    if padding == "circular" and input_shape is not None:
        if len(input_shape) != len(sides) or any(
            n < k for n, k in zip(input_shape, sides, strict=False)
        ):
            raise ShapeError(
                f"input_shape {tuple(input_shape)} for a kernel of {tuple(sides)}: "
                "an axis is missing, or shorter than the kernel"
            )
        grid, share = tuple(input_shape), 1.0
    else:
        grid = tuple(max(1, _POINTS * (k - 1)) for k in sides)
        cosines = [
            math.cos(math.pi * (k - 1) / (2 * n))
            for k, n in zip(sides, grid, strict=True)
        ]
        share = math.prod(cosines)
    symbols = torch.fft.rfftn(kernel.detach(), s=grid, dim=axes)
    bounds = gram_bound(symbols.movedim((0, 1), (-2, -1)), steps)
    # The bound moves with the worst wave: derivatives of the others are not kept.
    worst, wave = bounds.flatten().argmax(), []
    for size in reversed(bounds.shape):
        wave.append(worst % size)
        worst = worst // size
    return gram_bound(_symbol(kernel, wave[::-1], grid), steps) / share


def _symbol(kernel: Tensor, wave: Sequence[Tensor], grid: Sequence[int]) -> Tensor:
    """Sum over t of K_t exp(-2 pi i sum_j wave_j t_j / grid_j), (n_out, n_in)."""
    symbol = torch.complex(kernel, torch.zeros_like(kernel))
    for w, n, k in zip(wave, grid, kernel.shape[2:], strict=True):
        taps = torch.arange(k, device=kernel.device, dtype=kernel.dtype)
        angles = w * taps * (-2 * math.pi / n)
        phases = torch.polar(torch.ones_like(angles), angles)
        symbol = torch.einsum("oit...,t->oi...", symbol, phases)
    return symbol


def _exact(weight: Weight) -> NDArray[np.float64]:
    """Weight in float64, which holds every number of float32."""
    if isinstance(weight, Tensor):
        return to_float64(weight, "the weight")
    array: NDArray[Any] = np.asarray(weight)
    if array.dtype not in (np.float32, np.float64):
        raise DataTypeError(f"the weight is {array.dtype}; give float32 or float64")
    return array.astype(np.float64)
