"""BRONet: from images to features through orthogonal convolutions.

    stem      patches to channels, one orthogonal convolution
    backbone  orthogonal convolutions at that size, each with a sort of channels
    neck      blocks of pixels to channels, then dense orthogonal layers

Every part has constant 1 [N2, N5, N7] and the linear ones keep the length of all that
fits into their width, so depth costs no margin: what tells classes apart in the image
arrives at the head at its full size.  With `centring`, every convolution is fed an
image whose channels have mean 0: circular convolutions commute with that, so it is
the centring of their outputs, and their biases still count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Affine, Conv, Operation
from stablerank.nn.activations import GroupSort
from stablerank.nn.base import Layer
from stablerank.nn.fourier import BROConv
from stablerank.nn.mean_shift import MeanShift
from stablerank.nn.orthogonal import BRO
from stablerank.nn.pixelwise import Pixelwise
from stablerank.nn.reshape import ChannelsLast, SpaceToDepth

__all__ = ["PixelBRO", "bronet_layers", "image_shape"]


class PixelBRO(BRO):
    """y[p] = W x[p] + b for every pixel p, with the W of a `BRO`: a kernel of one tap.

        |y - y'|_2 <= s(W) |x - x'|_2                                  [N5, N7]

    After `SpaceToDepth` it is a convolution of windows that share no pixel.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image.
    channels : int
        Of the output image.
    rank : int, optional
        As in `BRO`.

    Attributes
    ----------
    out_shape : (height, width, channels)
        Of the output image.

    Examples
    --------
    >>> import torch
    >>> layer, x = PixelBRO((4, 4, 3), 5), torch.randn(2, 48)
    >>> torch.allclose(layer(x).norm(), x.norm())
    True
    """

    def __init__(
        self, shape: Sequence[int], channels: int, rank: int | None = None
    ) -> None:
        height, width, n_in = (int(n) for n in shape)
        super().__init__(n_in, channels, rank)
        self.shape, self.out_shape = (height, width, n_in), (height, width, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, height * width * n_in)."""
        pixels = x.unflatten(1, self.shape).flatten(0, 2)
        return super().forward(pixels).unflatten(0, (x.shape[0], -1)).flatten(1)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Conv` with one tap."""
        (affine,) = super().freeze(register)
        assert isinstance(affine, Affine)
        kernel = affine.weight[:, :, None, None]
        return (Conv((register,), kernel=kernel, bias=affine.bias, shape=self.shape),)


def bronet_layers(
    n_in: int,
    hidden: Sequence[int],
    *,
    image: Sequence[int] | None = None,
    channels_first: bool = False,
    channels: int = 32,
    depth: int = 2,
    kernel_size: int = 3,
    patch: int = 2,
    neck: int = 2,
    group: int = 2,
    centring: bool = False,
) -> tuple[list[Layer], int]:
    """Layers of a BRONet below its head, and the width that they end in.

    Parameters
    ----------
    n_in : int
        Numbers in an image.
    hidden : sequence of int
        Widths of the dense layers.
    image : (height, width) or (height, width, channels), optional
        Shape of the image; by default a square one with a single channel.
    channels_first : bool
        Whether inputs are in torch's order (channels, height, width).
    channels : int
        Of the backbone.
    depth : int
        Convolutions in the backbone.
    kernel_size : int
        Of the free kernels; images smaller than that get smaller ones.
    patch, neck : int
        Side of the blocks of pixels that become channels in the stem and the neck; 1
        leaves the image alone.
    group : int
        Coordinates sorted together.
    centring : bool
        Whether channels are centred before every convolution.

    Examples
    --------
    >>> layers, width = bronet_layers(64, (16,), depth=1)
    >>> [type(layer).__name__ for layer in layers]
    ['SpaceToDepth', 'BROConv', 'GroupSort', 'BROConv', 'GroupSort',
     'SpaceToDepth', 'PixelBRO', 'BRO', 'GroupSort']
    """
    for width in (channels, *hidden):
        if width % group:
            raise ShapeError(
                f"{width} channels or features cannot be sorted in groups of {group}; "
                f"use a multiple of {group}, or another group"
            )
    shape = image_shape(n_in, image)
    layers: list[Layer] = [ChannelsLast(shape)] if channels_first else []
    stem = SpaceToDepth(shape, patch)
    layers += [stem] if patch > 1 else []
    shape = stem.out_shape
    for _ in range(1 + depth):
        if centring:
            layers += [Pixelwise(MeanShift(shape[2]), shape[0] * shape[1])]
        conv = BROConv(shape, channels, min(kernel_size, *shape[:2]))
        layers += [conv, GroupSort(group)]
        shape = conv.out_shape
    if neck > 1:
        blocks = SpaceToDepth(shape, neck)
        pixels = PixelBRO(blocks.out_shape, channels)
        layers += [blocks, pixels]
        shape = pixels.out_shape
    n_in = math.prod(shape)
    for width in hidden:
        layers += [BRO(n_in, width), GroupSort(group)]
        n_in = width
    return layers, n_in


def image_shape(n_in: int, image: Sequence[int] | None) -> tuple[int, int, int]:
    """Height, width and channels of an image of `n_in` numbers.

    Examples
    --------
    >>> image_shape(64, None), image_shape(3072, (32, 32, 3))
    ((8, 8, 1), (32, 32, 3))
    """
    if image is None:
        side = math.isqrt(n_in)
        if side * side != n_in:
            raise InvalidInputError(
                f"{n_in} features are no square image of one channel; give its shape, "
                "image=(height, width, channels)"
            )
        return side, side, 1
    height, width, channels = (*image, 1) if len(image) == 2 else image
    if height * width * channels != n_in:
        raise ShapeError(f"an image of shape {tuple(image)} from {n_in} features")
    return height, width, channels
