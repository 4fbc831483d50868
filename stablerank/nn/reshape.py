"""Images made smaller without losing length: pixels to channels, and pools.

    |f(x) - f(x')|_2 <= |x - x'|_2                                     [N2]

`SpaceToDepth` and `ChannelsLast` only reorder coordinates, which every norm ignores.
`AveragePool` divides the sum of a window by the root of its size, so that its rows
have length 1 and windows share no pixel; `LengthPool` takes the l_2 length of a
window, and keeps that of the image.  Flattening is no layer: images are flat already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stablerank.exceptions import ShapeError
from stablerank.frozen import Conv, GroupLength, Operation, Reorder
from stablerank.nn.base import Layer

__all__ = ["AveragePool", "ChannelsLast", "LengthPool", "SpaceToDepth"]


class ChannelsLast(Layer):
    """From the order of torch (channels, height, width) to ours: channels last.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the image.

    Examples
    --------
    >>> ChannelsLast((1, 2, 2))(torch.tensor([[1, 2, 3, 4]]))
    tensor([[1, 3, 2, 4]])
    """

    norm_in = norm_out = None

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = self.out_shape = tuple(int(n) for n in shape)

    def forward(self, x: Tensor) -> Tensor:
        """Reorder."""
        height, width, channels = self.shape
        return x.unflatten(1, (channels, height, width)).permute(0, 2, 3, 1).flatten(1)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Reorder`."""
        return (_reorder(self, register),)


class SpaceToDepth(Layer):
    """Blocks of `size` x `size` pixels become the channels of one pixel.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image; `size` divides height and width.
    size : int
        Side of a block.

    Attributes
    ----------
    out_shape : (height, width, channels)
        Of the output image.

    Examples
    --------
    >>> SpaceToDepth((2, 4, 1))(torch.arange(8)[None])
    tensor([[0, 1, 4, 5, 2, 3, 6, 7]])
    """

    norm_in = norm_out = None

    def __init__(self, shape: Sequence[int], size: int = 2) -> None:
        super().__init__()
        height, width, channels = (int(n) for n in shape)
        if height % size or width % size:
            raise ShapeError(
                f"an image of {height} x {width} does not divide into blocks of {size}"
            )
        self.shape, self.size = (height, width, channels), size
        self.out_shape = height // size, width // size, channels * size * size

    def forward(self, x: Tensor) -> Tensor:
        """Reorder."""
        return _blocks(x, self.shape, self.size).flatten(1)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Reorder`."""
        return (_reorder(self, register),)


class _Pool(Layer):
    """Blocks of pixels to one pixel of the same channels."""

    norm_in = norm_out = 2

    def __init__(self, shape: Sequence[int], size: int = 2) -> None:
        super().__init__()
        self.together = SpaceToDepth(shape, size)
        self.shape, self.size = self.together.shape, size
        self.out_shape = *self.together.out_shape[:2], self.shape[2]


class AveragePool(_Pool):
    """Sum of each block divided by `size`, the root of its number of pixels.

    Parameters
    ----------
    shape, size
        As in `SpaceToDepth`.

    Examples
    --------
    >>> AveragePool((2, 2, 1))(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    tensor([[5.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        blocks = _blocks(x, self.shape, self.size)
        return (blocks.sum(dim=(3, 4)) / self.size).flatten(1)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """Reorder, then sum the channels that were pixels."""
        n = self.shape[2]
        taps = np.tile(np.eye(n), self.size**2) / self.size
        pool = Conv(
            (register + 1,),
            kernel=taps[:, :, None, None],
            bias=np.zeros(n),
            shape=self.together.out_shape,
        )
        return (*self.together.freeze(register), pool)


class LengthPool(_Pool):
    """l_2 length of each block, channel by channel.

    Parameters
    ----------
    shape, size
        As in `SpaceToDepth`.

    Examples
    --------
    >>> LengthPool((2, 2, 1))(torch.tensor([[1.0, -1.0, 1.0, 1.0]]))
    tensor([[2.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        return torch.linalg.vector_norm(self._windows(x), dim=-1)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """Reorder windows, then take their lengths."""
        positions = _positions(lambda x: self._windows(x).flatten(1), self.shape)
        n_in = len(positions)
        return (
            Reorder((register,), positions=positions, n_in=n_in),
            GroupLength((register + 1,), size=self.size**2),
        )

    def _windows(self, x: Tensor) -> Tensor:
        """Values of a block side by side, (batch, outputs, size * size)."""
        blocks = _blocks(x, self.shape, self.size)
        return blocks.movedim(5, 3).flatten(4).flatten(1, 3)


def _blocks(x: Tensor, shape: tuple[int, ...], size: int) -> Tensor:
    """Blocks of pixels, (batch, height, width, size, size, channels)."""
    height, width, n = shape
    split = (height // size, size, width // size, size, n)
    return x.unflatten(1, split).permute(0, 1, 3, 2, 4, 5)


def _positions(reorder: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Any:
    """Where a reordering takes its outputs from."""
    return reorder(torch.arange(math.prod(shape))[None])[0].numpy()


def _reorder(layer: ChannelsLast | SpaceToDepth, register: int) -> Reorder:
    positions = _positions(layer, layer.shape)
    return Reorder((register,), positions=positions, n_in=len(positions))
