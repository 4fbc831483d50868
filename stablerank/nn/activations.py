"""Activations that stretch nothing: sorts and absolute values.

|f(x) - f(x')|_p <= |x - x'|_p for every p [N2].  Sorting permutes coordinates, so it
keeps gradients at their full length, which norm-bounded layers with ReLU cannot.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stablerank.exceptions import ShapeError
from stablerank.frozen import Abs as FrozenAbs
from stablerank.frozen import GroupSort as FrozenGroupSort
from stablerank.frozen import Operation
from stablerank.nn.base import Layer

__all__ = ["Abs", "GroupSort", "MaxMin"]


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
