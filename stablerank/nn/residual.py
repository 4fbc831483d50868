"""Linear residual blocks: the skip is part of the weight.

    y = M x / s + b,   M = I + d^(-1/2) W,   s >= |M|_2,
    |y - y'|_2 <= |x - x'|_2                                           [N1, N8].

With the activation outside the block, the skip merges with the weight, and the norm of
the sum is what counts: 1 + |W| is a bound, but a poor one, as W can shrink what the
skip passes on.  The quotient by s, a Gram bound of M, keeps the constant at 1; margins
are divided by the constant of a network anyway, so nothing is lost to a block whose
norm a loss keeps small.  d is the number of blocks: their products stay near the
identity when training starts, however deep the network is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stablerank.nn.spectral import L2Conv, L2Linear

__all__ = ["LinearResidual", "LinearResidualConv"]


class LinearResidual(L2Linear):
    """y = (I + d^(-1/2) W) x / s + b.

    Parameters
    ----------
    width : int
        Of input and output.
    depth : int
        d, the number of such blocks in the network.
    kind : {"normalised", "projected"}
        As in `L2Linear`.

    Examples
    --------
    >>> layer = LinearResidual(6, depth=4)
    >>> bool(torch.linalg.matrix_norm(layer.matrix(), 2) <= 1 + 1e-6)
    True
    """

    def __init__(self, width: int, depth: int = 1, kind: str = "normalised") -> None:
        super().__init__(width, width, kind)
        self.share = depth**-0.5
        self.weight.data.normal_(std=width**-0.5)

    def map(self, weight: Tensor) -> Tensor:
        """Merge, then divide."""
        skip = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
        return super().map(skip + self.share * weight)


class LinearResidualConv(L2Conv):
    """y = (x + d^(-1/2) K * x) / s + b, a convolution of the same image.

    Parameters
    ----------
    shape : (height, width, channels)
        Of input and output.
    kernel_size : int
        Side of the kernel.
    depth : int
        d, the number of such blocks in the network.
    padding : {"zeros", "circular"}
        What lies around the image.
    kind : {"normalised", "projected"}
        As in `L2Conv`.

    Examples
    --------
    >>> LinearResidualConv((4, 4, 3))(torch.randn(2, 48)).shape
    torch.Size([2, 48])
    """

    def __init__(
        self,
        shape: Sequence[int],
        kernel_size: int = 3,
        *,
        depth: int = 1,
        padding: str = "zeros",
        kind: str = "normalised",
    ) -> None:
        super().__init__(shape, shape[2], kernel_size, padding=padding, kind=kind)
        self.share = depth**-0.5

    def taps(self, kernel: Tensor) -> Tensor:
        """Merge, then divide."""
        channels, size = len(kernel), kernel.shape[-1]
        skip = torch.eye(channels, dtype=kernel.dtype, device=kernel.device)
        around = (size // 2, (size - 1) // 2) * 2
        skip = nn.functional.pad(skip[:, :, None, None], around)
        return super().taps(skip + self.share * kernel)
