"""Linear layers and convolutions divided by a rigorous bound of their norm.

    |W x - W x'|_2 <= s(W) |x - x'|_2 <= gram(W) |x - x'|_2            [N6 d]

The Gram bound is never below the norm in exact arithmetic, is differentiable, and
after five steps at most m^(1/64) times the norm of m columns: unlike a power step,
which is a bound from below, it makes the quotient a contraction from the first step of
training on.

`kind="normalised"` divides always, so that one direction keeps its length;
`kind="projected"` divides only what is above 1.

A convolution has the norm sup over w of s(K^(w)): for circular padding w runs over the
frequencies of the image, for zeros over all; there |K^(w) v|^2 is a trigonometric
polynomial of degree k - 1 in each direction, and on a grid of N > 2 (k - 1) points

    sup |K^(w) v|^2 <= max over the grid / cos(pi (k - 1) / N)^2       [N7].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stablerank.frozen import Conv
from stablerank.nn.contractions import gram_bound
from stablerank.nn.conv import ConvLayer, centred_pads, convolved
from stablerank.nn.dense import Dense
from stablerank.nn.fourier import transformed
from stablerank.nn.quotients import check_kind, least_divisor

__all__ = ["L2Conv", "L2Linear"]

#: Grid points per degree: the bound is 2 per cent above the norm at most.
_POINTS = 16


class L2Linear(Dense):
    """y = W x + b with W divided by its Gram bound.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    kind : {"normalised", "projected"}
        See the module.

    Examples
    --------
    >>> bool(torch.linalg.matrix_norm(L2Linear(6, 4).matrix(), 2) <= 1 + 1e-6)
    True
    """

    def __init__(self, n_in: int, n_out: int, kind: str = "normalised") -> None:
        check_kind(kind)
        super().__init__(n_in, n_out)
        self.kind = kind

    def map(self, weight: Tensor) -> Tensor:
        """Quotient."""
        return weight / gram_bound(weight).clamp_min(least_divisor(self.kind))


class L2Conv(ConvLayer):
    """A convolution divided by the Gram bound of its transform.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image.
    channels : int
        Of the output image.
    kernel_size : int
        Side of the kernel.
    stride : int
        Step between outputs.
    padding : {"zeros", "circular"}
        What lies around the image.
    kind : {"normalised", "projected"}
        See the module.

    Examples
    --------
    >>> layer = L2Conv((4, 4, 3), 5, stride=2)
    >>> layer(torch.randn(2, 48)).shape, layer.out_shape
    (torch.Size([2, 20]), (2, 2, 5))
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: str = "zeros",
        kind: str = "normalised",
    ) -> None:
        check_kind(kind)
        taps = torch.randn(channels, shape[2], kernel_size, kernel_size)
        super().__init__(shape, channels, taps / (kernel_size * shape[2] ** 0.5))
        self.stride, self.padding, self.kind = stride, padding, kind
        height, width = (-(-size // stride) for size in shape[:2])
        self.out_shape = height, width, channels

    def taps(self, kernel: Tensor) -> Tensor:
        """Kernel that the forward pass uses."""
        return kernel / self._bound(kernel).clamp_min(least_divisor(self.kind))

    def _bound(self, kernel: Tensor) -> Tensor:
        if self.padding == "circular":
            height, width, _ = self.shape
            return _largest_bound(transformed(kernel, height, width))
        degree = kernel.shape[-1] - 1
        n = max(1, _POINTS * degree)
        largest = _largest_bound(transformed(kernel, n, n))
        return largest / math.cos(math.pi * degree / n)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, height * width * n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            kernel = self.taps(self.kernel)
            pads = centred_pads(kernel.shape[-1])
            image = convolved(self.image(x), kernel, self.stride, pads, self.padding)
            return (image + self.bias).flatten(1)

    def frozen_conv(self, register: int, kernel: Tensor, bias: Tensor) -> Conv:
        """The quotient."""
        return Conv(
            (register,),
            kernel=self.taps(kernel).numpy(),
            bias=bias.numpy(),
            shape=self.shape,
            stride=self.stride,
            pads=centred_pads(kernel.shape[-1]),
            padding=self.padding,
        )


def _largest_bound(matrices: Tensor) -> Tensor:
    """Largest Gram bound of many matrices; its derivative is that of the worst one."""
    flat = matrices.flatten(0, 1)
    worst = gram_bound(flat.detach()).argmax()
    return gram_bound(flat[worst])
