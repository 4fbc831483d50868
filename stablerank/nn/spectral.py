"""Linear layers and convolutions divided by a rigorous bound of their norm.

    |W x - W x'|_2 <= s(W) |x - x'|_2 <= gram(W) |x - x'|_2            [N6 d]

The Gram bound is never below the norm in exact arithmetic, is differentiable, and
after five steps at most m^(1/64) times the norm of m columns: unlike a power step,
which is a bound from below, it makes the quotient a contraction from the first step of
training on.

`kind="normalised"` divides always, so that one direction keeps its length;
`kind="projected"` divides only what is above 1.

A convolution has the norm sup over w of s(K^(w)), over the frequencies of the image for
circular padding, over all for zeros [N7]; `conv_gram_bound` bounds both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stablerank.nn.contractions import gram_bound
from stablerank.nn.conv import DirectConv
from stablerank.nn.dense import Dense
from stablerank.nn.norms import conv_gram_bound
from stablerank.nn.quotients import check_kind, least_divisor

__all__ = ["L2Conv", "L2Linear"]


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


class L2Conv(DirectConv):
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
        taps /= kernel_size * shape[2] ** 0.5
        super().__init__(shape, channels, taps, stride=stride, padding=padding)
        self.kind = kind

    def taps(self, kernel: Tensor) -> Tensor:
        """Kernel that the forward pass uses."""
        bound = conv_gram_bound(kernel, self.shape[:2], padding=self.padding)
        return kernel / bound.clamp_min(least_divisor(self.kind))
