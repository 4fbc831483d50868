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
from stablerank.frozen import Operation, Spline
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
    refused.  In l_2 no factor 1/sqrt(2) is needed.  Order 2 folds the plane twice, at
    four rays instead of two.

    Parameters
    ----------
    width : int
        Coordinates; neighbours are pairs.
    order : {1, 2}
        Reflections in a row.

    Attributes
    ----------
    angles : Parameter of shape (order, width // 2)
        a; it starts at pi / 2, which is `MaxMin` with the smaller one first, and for
        the second step anywhere.

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
        start = torch.full((order, width // 2), math.pi / 2)
        start[1:].uniform_(0, 2 * math.pi)
        self.angles = nn.Parameter(start)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (batch, width)."""
        x = x.to(self.angles.dtype).unflatten(-1, (-1, 2))
        for v in _directions(self.angles):
            x = x - 2 * (x * v).sum(dim=-1, keepdim=True).clamp_min(0) * v
        return x.flatten(-2)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Householder`."""
        angles = torch.from_numpy(to_float64(self.angles, "Householder.angles"))
        directions = _HAIR * _directions(angles).numpy()
        return (FrozenHouseholder((register,), directions=directions),)


def _directions(angles: Tensor) -> Tensor:
    return torch.stack([(angles / 2).sin(), -(angles / 2).cos()], dim=-1)
