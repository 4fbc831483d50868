"""SOC: the exponential of a skew convolution, by its series, with small kernels.

With L_ij(t) = F_ij(t) - F_ji(-t) the circular convolution L is skew, so its
eigenvalues are i a with real |a| <= s(L), and exp(L) is orthogonal.  The series
stops after T terms; by the remainder of the Taylor series of exp(i a),

    s(sum over k <= T of L^k / k!) <= 1 + s(L)^(T+1) / (T+1)! =: 1 + e,

and the layer is that sum divided by 1 + e [N5]: truncation costs a little length and
no soundness.  L is divided so that a bound of s(L) stays within reach,

    s(L) <= sup over w of s(sum_t L_t e^(itw)) <= sqrt(taps) s([L_1 L_2 ...]).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Conv
from stablerank.nn.contractions import gram_bound
from stablerank.nn.conv import ConvLayer, centred_pads, convolved

__all__ = ["SOC"]


class SOC(ConvLayer):
    """Skew orthogonal convolution, circular, from C to C channels.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the image.
    kernel_size : int
        Of the free kernel, odd.
    terms : int
        T.
    reach : float
        Bound of s(L): the largest angle, in radians, by which the layer turns.

    Examples
    --------
    >>> layer, x = SOC((4, 4, 3)), torch.randn(2, 48)
    >>> bool(0.999 < layer(x).norm() / x.norm() <= 1)
    True
    """

    def __init__(
        self,
        shape: Sequence[int],
        kernel_size: int = 3,
        terms: int = 6,
        reach: float = 1.0,
    ) -> None:
        if kernel_size % 2 == 0:
            raise InvalidInputError(f"an even kernel, {kernel_size}, has no middle")
        n = shape[2]
        taps = torch.randn(n, n, kernel_size, kernel_size)
        super().__init__(shape, n, taps / (kernel_size * n**0.5))
        self.terms, self.reach = terms, reach
        self.excess = 1 + reach ** (terms + 1) / math.factorial(terms + 1)

    def _skew(self, kernel: Tensor) -> Tensor:
        """L within reach."""
        skew = kernel - kernel.transpose(0, 1).flip(2, 3)
        bound = skew[0, 0].numel() ** 0.5 * gram_bound(skew.flatten(1))
        return skew * (self.reach / bound.clamp_min(self.reach))

    def _series(self, image: Tensor, kernel: Tensor) -> Tensor:
        skew, pads = self._skew(kernel), centred_pads(kernel.shape[-1])
        total = term = image
        for k in range(1, self.terms + 1):
            term = convolved(term, skew, pads=pads, padding="circular") / k
            total = total + term
        return total / self.excess

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, height * width * channels)."""
        with torch.autocast(x.device.type, enabled=False):
            image = self._series(self.image(x), self.kernel)
            return (image + self.bias).flatten(1)

    def frozen_conv(self, register: int, kernel: Tensor, bias: Tensor) -> Conv:
        """The series merged into one kernel, wrapped where the image is smaller."""
        height, width, n = self.shape
        impulses = torch.zeros(n, height, width, n, dtype=kernel.dtype)
        impulses[range(n), 0, 0, range(n)] = 1.0
        # An impulse at the origin becomes the taps, turned round.
        taps = self._series(impulses, kernel).permute(3, 0, 1, 2)
        taps = taps.flip(2, 3).roll((1, 1), (2, 3))
        radius = self.terms * (kernel.shape[-1] // 2)
        rows, columns = (min(2 * radius + 1, size) for size in (height, width))
        (top, bottom, *_), (left, right, *_) = centred_pads(rows), centred_pads(columns)
        taps = taps.roll((top, left), (2, 3))[:, :, :rows, :columns]
        return Conv(
            (register,),
            kernel=taps.numpy(),
            bias=bias.numpy(),
            shape=self.shape,
            pads=(top, bottom, left, right),
            padding="circular",
        )
