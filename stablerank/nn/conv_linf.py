"""Convolutions whose output channels have taps of l_1 norm at most 1.

    |K * x - K * x'|_inf <= max_c sum over i, t of |K_ci(t)| |x - x'|_inf
                         <= |x - x'|_inf                               [N1, N7]

for any stride and padding: each output is a row of `LinfLinear`, and the same one for
all pixels.  Near the edge of an image zeros take the place of some taps, and the row is
shorter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Conv
from stablerank.nn.conv import DirectConv
from stablerank.nn.linear_linf import START, from_roots
from stablerank.nn.quotients import check_kind

__all__ = ["LinfConv"]


class LinfConv(DirectConv):
    """A convolution for l_inf: `LinfLinear` over windows of the image.

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
        As in `LinfLinear`.

    Attributes
    ----------
    kernel : Parameter of shape (channels, shape[2], kernel_size, kernel_size)
        Signed square roots of the taps.

    Examples
    --------
    >>> layer = LinfConv((4, 4, 3), 5, stride=2)
    >>> x = torch.randn(2, 48)
    >>> layer(x).shape, bool(layer(x).abs().max() <= x.abs().max())
    (torch.Size([2, 20]), True)
    """

    norm_in = norm_out = math.inf

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
        roots = torch.randn(channels, shape[2], kernel_size, kernel_size)
        size = START if kind == "normalised" else 1.0
        roots *= size / (kernel_size * shape[2] ** 0.5)
        super().__init__(shape, channels, roots, stride=stride, padding=padding)
        self.kind = kind

    def taps(self, kernel: Tensor) -> Tensor:
        """Squares of the roots, divided."""
        return from_roots(kernel.flatten(1), self.kind).view_as(kernel)

    def check_invariant(self) -> None:
        """Raise if the taps of a channel have l_1 norm above 1 + 2**-40."""
        (conv,) = self.freeze(0)
        assert isinstance(conv, Conv)
        worst = float(abs(conv.kernel).sum(axis=(1, 2, 3)).max(initial=0.0))
        if worst > 1 + 2.0**-40:
            raise InvalidInputError(f"a channel of LinfConv has l_1 norm {worst}")
