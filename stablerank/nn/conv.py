"""Layers from images to images; each leaves one `Conv` behind.

Images are flat vectors, row by row, pixel by pixel, the channels of a pixel side by
side (height, width, channels), so that sorts and sums of neighbours, `GroupSort`
among them, act on channels.  To torch this is an image in its channels-last format;
nothing is copied on the way in or out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Conv, Operation
from stablerank.nn.base import Layer, to_float64
from stablerank.nn.dense import TOLERANCE

__all__ = ["ConvLayer", "DirectConv", "centred_pads", "convolved"]


class ConvLayer(Layer):
    """A contraction of images, of l_2 unless a subclass says so.

    Its taps are a function of free parameters.

        |K * x - K * x'|_2 <= sup over w of s(K^(w)) |x - x'|_2        [N7]

    A subclass owes `forward` and `frozen_conv`.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image.
    channels : int
        Of the output image.
    kernel : Tensor of shape (., ., k, k)
        Parameters before training.

    Attributes
    ----------
    out_shape : (height, width, channels)
        Of the output image.
    """

    norm_in: float | None = 2
    norm_out: float | None = 2
    #: How far above 1 the bound of the frozen taps may be.
    tolerance: ClassVar[float] = TOLERANCE

    def __init__(self, shape: Sequence[int], channels: int, kernel: Tensor) -> None:
        super().__init__()
        height, width, n_in = (int(n) for n in shape)
        size = kernel.shape[-1]
        if size > min(height, width):
            raise ShapeError(
                f"a kernel of {size} wraps around an image of {height} x {width}; use "
                f"kernel_size={min(height, width)}"
            )
        self.shape = height, width, n_in
        self.out_shape = height, width, channels
        self.kernel = nn.Parameter(kernel)
        self.bias = nn.Parameter(torch.zeros(channels))

    def image(self, x: Tensor) -> Tensor:
        """Flat vectors as images (batch, height, width, channels)."""
        return x.to(self.kernel.dtype).unflatten(-1, self.shape)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Conv` with its taps in float64."""
        name = type(self).__name__
        kernel = torch.from_numpy(to_float64(self.kernel, f"{name}.kernel"))
        bias = torch.from_numpy(to_float64(self.bias, f"{name}.bias"))
        with torch.no_grad():
            return (self.frozen_conv(register, kernel, bias),)

    def frozen_conv(self, register: int, kernel: Tensor, bias: Tensor) -> Conv:
        """The operation, for parameters in float64."""
        raise NotImplementedError

    def check_invariant(self) -> None:
        """Raise if the norm of the float64 taps is above 1 by more than `tolerance`."""
        (conv,) = self.freeze(0)
        assert isinstance(conv, Conv)
        if conv.spectral_norm > 1 + self.tolerance:
            raise InvalidInputError(
                f"the taps of {type(self).__name__} have norm {conv.spectral_norm}"
            )


class DirectConv(ConvLayer):
    """A convolution with its small kernel, in training as when frozen.

    A subclass owes `taps`.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image.
    channels : int
        Of the output image.
    kernel : Tensor of shape (channels, shape[2], k, k)
        Parameters before training.
    stride : int
        Step between outputs.
    padding : {"zeros", "circular"}
        What lies around the image.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        kernel: Tensor,
        *,
        stride: int,
        padding: str,
    ) -> None:
        super().__init__(shape, channels, kernel)
        self.stride, self.padding = stride, padding
        height, width = (-(-size // stride) for size in self.shape[:2])
        self.out_shape = height, width, channels

    def taps(self, kernel: Tensor) -> Tensor:
        """Kernel that the forward pass uses."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, height * width * n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            kernel = self.taps(self.kernel)
            pads = centred_pads(kernel.shape[-1])
            image = convolved(self.image(x), kernel, self.stride, pads, self.padding)
            return (image + self.bias).flatten(1)

    def frozen_conv(self, register: int, kernel: Tensor, bias: Tensor) -> Conv:
        """The taps as they are."""
        return Conv(
            (register,),
            kernel=self.taps(kernel).numpy(),
            bias=bias.numpy(),
            shape=self.shape,
            stride=self.stride,
            pads=centred_pads(kernel.shape[-1]),
            padding=self.padding,
        )


def centred_pads(kernel_size: int) -> tuple[int, int, int, int]:
    """Rows and columns around an image by which a convolution keeps its size.

    Examples
    --------
    >>> centred_pads(3), centred_pads(2)
    ((1, 1, 1, 1), (1, 0, 1, 0))
    """
    before, after = kernel_size // 2, (kernel_size - 1) // 2
    return before, after, before, after


def convolved(
    image: Tensor,
    kernel: Tensor,
    stride: int = 1,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    padding: str = "zeros",
) -> Tensor:
    """What the frozen `Conv` computes, without its bias, for training.

    Parameters
    ----------
    image : Tensor of shape (batch, height, width, n_in)
        Images.
    kernel : Tensor of shape (n_out, n_in, k_height, k_width)
        Taps.
    stride, pads, padding
        As in `stablerank.frozen.Conv`.

    Returns
    -------
    Tensor of shape (batch, out height, out width, n_out)

    Examples
    --------
    >>> convolved(torch.ones(1, 4, 4, 3), torch.ones(2, 3, 2, 2)).shape
    torch.Size([1, 3, 3, 2])
    """
    if padding == "circular":
        image, pads = _wrapped(image, pads), (0, 0, 0, 0)
    top, bottom, left, right = pads
    channels_first = image.permute(0, 3, 1, 2)
    padded = nn.functional.pad(channels_first, (left, right, top, bottom))
    return nn.functional.conv2d(padded, kernel, stride=stride).permute(0, 2, 3, 1)


def _wrapped(image: Tensor, pads: tuple[int, int, int, int]) -> Tensor:
    """Image with the pixels of the other side around it.

    `torch.nn.functional.pad` would write the channels apart, and each layer would then
    put them together again.
    """
    top, bottom, left, right = pads
    height, width = image.shape[1:3]
    image = torch.cat([image[:, height - top :], image, image[:, :bottom]], dim=1)
    return torch.cat([image[:, :, width - left :], image, image[:, :, :right]], dim=2)
