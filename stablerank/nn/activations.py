"""Activations that stretch nothing: sorts, slopes of size 1, reflections.

|f(x) - f(x')|_p <= |x - x'|_p for every p [N2]; `Householder` for p = 2 only.  Sorting
permutes coordinates, |x| and the N-activation change signs, Householder reflects: they
keep gradients at their full length, which norm-bounded layers with ReLU cannot.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.library import custom_op

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Abs as FrozenAbs
from stablerank.frozen import GroupSort as FrozenGroupSort
from stablerank.frozen import Householder as FrozenHouseholder
from stablerank.frozen import Operation, Sectors, Spline
from stablerank.nn.base import Layer, to_float64

__all__ = [
    "Abs",
    "FullSort",
    "GroupSort",
    "Householder",
    "MaxMin",
    "NActivation",
    "ParametricReLU",
    "clipped",
]

#: A threshold out of reach: what is left is |x|.
_FAR = -100.0
#: Frozen directions are shorter than 1 by this, more than rounding makes them longer.
_HAIR = 1 - 2.0**-50


class GroupSort(Layer):
    """Each group of `size` neighbouring coordinates sorted descending.

    Parameters
    ----------
    size : int
        Coordinates a group; the width must be a multiple.

    Examples
    --------
    >>> GroupSort(2)(torch.tensor([[1.0, 3.0, 5.0, 4.0]]))
    tensor([[3., 1., 5., 4.]])
    """

    norm_in = norm_out = None

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Sort in groups."""
        if x.shape[-1] % self.size:
            raise ShapeError(f"{x.shape[-1]} coordinates in groups of {self.size}")
        groups = x.unflatten(-1, (-1, self.size))
        if self.size == 2:
            high, low = groups.amax(-1), groups.amin(-1)
            return torch.stack([high, low], dim=-1).flatten(-2)
        return groups.sort(dim=-1, descending=True).values.flatten(-2)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `GroupSort`."""
        return (FrozenGroupSort((register,), size=self.size),)


class MaxMin(GroupSort):
    """Pairs sorted: `GroupSort(2)`."""

    def __init__(self) -> None:
        super().__init__(2)


class FullSort(GroupSort):
    """All coordinates sorted descending: `GroupSort` of the whole width.

    Parameters
    ----------
    width : int
        Coordinates.

    Examples
    --------
    >>> FullSort(3)(torch.tensor([[1.0, 3.0, 2.0]]))
    tensor([[3., 2., 1.]])
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)


class Abs(Layer):
    """|x|, coordinate by coordinate.

    Examples
    --------
    >>> Abs()(torch.tensor([[-1.0, 2.0]]))
    tensor([[1., 2.]])
    """

    norm_in = norm_out = None

    def forward(self, x: Tensor) -> Tensor:
        """Absolute values."""
        return x.abs()

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Abs`."""
        return (FrozenAbs((register,)),)


class NActivation(Layer):
    """x - 2 t below t, -x between t and u, x - 2 u above: an N of slopes +-1 [N2].

    Half of the coordinates start as the identity (t = u = 0), half as |x|.

    Parameters
    ----------
    width : int
        Coordinates.

    Attributes
    ----------
    thresholds : Parameter of shape (width, 2)
        t and u, in any order.

    Examples
    --------
    >>> NActivation(2)(torch.tensor([[-1.0, -1.0], [2.0, 2.0]])).detach()
    tensor([[-1.,  1.],
            [ 2.,  2.]])
    """

    norm_in = norm_out = None

    def __init__(self, width: int) -> None:
        super().__init__()
        start = torch.zeros(width, 2)
        start[1::2, 0] = _FAR
        self.thresholds = nn.Parameter(start)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (batch, width)."""
        x = x.to(self.thresholds.dtype)
        low, high = self.thresholds.amin(dim=1), self.thresholds.amax(dim=1)
        outside = torch.where(x < low, x - 2 * low, x - 2 * high)
        return torch.where((x < low) | (x > high), outside, -x)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Spline` with two knots."""
        thresholds = to_float64(self.thresholds, "NActivation.thresholds")
        knots = np.sort(thresholds, axis=1)
        slopes = np.tile([1.0, -1.0, 1.0], (len(knots), 1))
        return (Spline((register,), knots=knots, slopes=slopes, values=-knots[:, 0]),)


@custom_op("stablerank::clipped", mutates_args=())
def clipped(x: Tensor) -> Tensor:
    """Numbers in [-1, 1]; the gradient is lost only where descent would go further out.

    A plain clip has no gradient beyond the ends: what one step too long carries there
    would stay for ever.

    Parameters
    ----------
    x : Tensor
        Of any shape.

    Examples
    --------
    >>> clipped(torch.tensor([0.5, -3.0]))
    tensor([ 0.5000, -1.0000])
    """
    return x.clamp(-1, 1)


@clipped.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


def _keep(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _inwards(ctx: Any, gradient: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    outwards = ((x > 1) & (gradient < 0)) | ((x < -1) & (gradient > 0))
    return torch.where(outwards, 0.0, gradient)


clipped.register_autograd(_inwards, setup_context=_keep)


class ParametricReLU(Layer):
    """max(x, 0) + a min(x, 0) with a learned slope a in [-1, 1] for each x_i [N2].

    Parameters
    ----------
    width : int
        Coordinates.
    start : float
        a before training: 0 is ReLU, -1 is |x|, 1 the identity.

    Examples
    --------
    >>> ParametricReLU(1, start=-0.5)(torch.tensor([[-4.0], [3.0]])).detach()
    tensor([[2.],
            [3.]])
    """

    norm_in = norm_out = None

    def __init__(self, width: int, start: float = -0.5) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((width,), float(start)))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (batch, width)."""
        x = x.to(self.slope.dtype)
        return x.clamp_min(0) + clipped(self.slope) * x.clamp_max(0)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Spline` with a knot at 0."""
        slope = to_float64(self.slope, "ParametricReLU.slope").clip(-1, 1)
        zero = np.zeros_like(slope)
        slopes = np.stack([slope, zero + 1], axis=1)
        return (Spline((register,), knots=zero[:, None], slopes=slopes, values=zero),)


class Householder(Layer):
    """Pairs of coordinates, reflected where they lie beyond a learned line [N2].

        z <- z - 2 v max(0, <v, z>),   v = (sin a/2, -cos a/2)

    A reflection keeps lengths in l_2, and stretches l_inf by up to sqrt(2): there it is
    refused.  In l_2 no factor 1/sqrt(2) is needed.  Order 2 cuts the plane into four
    sectors at three learned angles, and keeps, reflects, turns and reflects them; where
    t = 0 it is of order 1.

    Parameters
    ----------
    width : int
        Coordinates; neighbours are pairs.
    order : {1, 2}
        1: two half planes; 2: four sectors.

    Attributes
    ----------
    angles : Parameter of shape (1, width // 2) or (3, width // 2)
        a; it starts at pi / 2, which is `MaxMin` with the smaller one first.  For order
        2 also s and t in [0, 2 pi]: sectors begin at a/2, (a + s)/2, (a + s + t)/2 and
        (a + t)/2 + pi; s and t start anywhere below pi.

    Examples
    --------
    >>> Householder(2)(torch.tensor([[1.0, 3.0], [3.0, 1.0]])).detach().round()
    tensor([[1., 3.],
            [1., 3.]])
    """

    norm_in = norm_out = 2

    def __init__(self, width: int, order: int = 1) -> None:
        super().__init__()
        if order not in (1, 2):
            raise InvalidInputError(f"order is 1 or 2, not {order}")
        if width % 2:
            raise ShapeError(f"{width} coordinates are no pairs; use an even width")
        start = torch.full((2 * order - 1, width // 2), math.pi / 2)
        start[1:].uniform_(0, math.pi)
        self.angles = nn.Parameter(start)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (batch, width)."""
        z = x.to(self.angles.dtype).unflatten(-1, (-1, 2))
        if len(self.angles) == 1:
            p = _normal(self.angles[0])
            return (z - 2 * _beyond(z, p) * p).flatten(-2)
        p, q, r = _two_rays(z, *_halves(self.angles))
        return (z + 2 * (_beyond(z, r) * q - _beyond(z, p) * p)).flatten(-2)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Householder`, or one `Sectors`."""
        angles = torch.from_numpy(to_float64(self.angles, "Householder.angles"))
        if len(angles) == 1:
            shorter = _HAIR * _normal(angles).numpy()
            return (FrozenHouseholder((register,), directions=shorter),)
        directions = _unit(torch.stack(_halves(angles))).numpy()
        directions[1:, :, 1].clip(0, out=directions[1:, :, 1])  # the sine of pi
        return (Sectors((register,), directions=directions),)


def _beyond(z: Tensor, normal: Tensor) -> Tensor:
    """max(0, <normal, z>) of each pair."""
    return (z * normal).sum(dim=-1, keepdim=True).clamp_min(0)


def _unit(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def _normal(angle: Tensor) -> Tensor:
    """v of the reflection by this angle."""
    return torch.stack([(angle / 2).sin(), -(angle / 2).cos()], dim=-1)


def _halves(angles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Half of a, s and t, the last two from 0 to pi."""
    s, t = (1 + clipped(angles[1:] / math.pi - 1)) * (math.pi / 2)
    return angles[0] / 2, s, t


def _two_rays(z: Tensor, a: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    """p, q, r of z - 2 p max(0, <p, z>) + 2 q max(0, <r, z>) on the side of each z.

    As in `stablerank.frozen.sectors`: the first and the last of two rays, one side of
    a line, and where the last is sent.
    """
    # Products of directions: sums would lose s and t beside an a of many turns.
    up, b, w = _unit(a), _unit(s), _unit(t)
    up = torch.stack([-up[..., 1], up[..., 0]], dim=-1)
    back, least = w * w.new_tensor([1.0, -1.0]), torch.minimum(s, t)
    is_left = (z * _times(up, _unit(least))).sum(dim=-1, keepdim=True) >= 0
    first = torch.where(is_left, _times(up, b), -up)
    last = torch.where(is_left, first, up)
    return first, _times(last, back), _times(last, w)


def _times(v: Tensor, w: Tensor) -> Tensor:
    """Product of pairs as complex numbers."""
    re = v[..., 0] * w[..., 0] - v[..., 1] * w[..., 1]
    im = v[..., 0] * w[..., 1] + v[..., 1] * w[..., 0]
    return torch.stack([re, im], dim=-1)
