"""Orthogonal convolutions: one orthogonal matrix for every frequency.

A circular convolution acts on the Fourier transform of an image frequency by
frequency, y^(w) = W(w) x^(w).  Any map to matrices of norm at most 1, applied to the
transform of a small free kernel, gives a contraction of images:

    |y|_2^2 = mean over w of |W(w) x^(w)|_2^2 <= max s(W(w))^2 |x|_2^2   [N5, N7].

Training never leaves the transform.  `freeze()` does: the frozen program convolves
with the circular kernel of W, as large as the image, without any FFT, and proves the
constant from its taps.  Large images with many channels would freeze to kernels that
fill the memory; they are refused at once, not after training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, fft

from stablerank.exceptions import CostLimitError
from stablerank.frozen import Conv
from stablerank.nn.contractions import cayley, orthonormal, reflected
from stablerank.nn.conv import ConvLayer
from stablerank.nn.orthogonal import reflector_rank, spread_frame

__all__ = ["BROConv", "CayleyConv", "CholeskyConv", "FourierConv"]

#: Numbers in a frozen kernel, at most: 512 MiB.
_LARGEST_KERNEL = 2**26
#: Size of the other taps before training, in shares of the middle one: a layer starts
#: near a rotation of the channels of each pixel.
_NOISE = 0.1


class FourierConv(ConvLayer):
    """y^(w) = W(w) x^(w) with W(w) = `map`(transform of the kernel).

    A subclass owes `map`.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image.
    channels : int
        Of the output image.
    kernel : Tensor of shape (., ., k, k)
        Parameters before training; k at most the sides of the image.
    """

    def __init__(self, shape: Sequence[int], channels: int, kernel: Tensor) -> None:
        numbers = math.prod(shape) * channels
        if numbers > _LARGEST_KERNEL:
            raise CostLimitError(
                f"{type(self).__name__} on an image of {shape[0]} x {shape[1]} with "
                f"{shape[2]} to {channels} channels would freeze to {numbers} numbers, "
                f"more than {_LARGEST_KERNEL}; reduce the image first (SpaceToDepth), "
                "use fewer channels, or a layer of small kernels (SOC, L2Conv)"
            )
        super().__init__(shape, channels, kernel)

    def map(self, transform: Tensor) -> Tensor:
        """W, (height, width // 2 + 1, n_out, n_in), of the transformed kernel."""
        raise NotImplementedError

    def act(self, transform: Tensor, x: Tensor) -> Tensor:
        """W x for the rows x of (height, width // 2 + 1, batch, n_in)."""
        return x @ self.map(transform).mT

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, height * width * n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            height, width, _ = self.shape
            waves = fft.rfft2(self.image(x), dim=(1, 2)).permute(1, 2, 0, 3)
            waves = self.act(transformed(self.kernel, height, width), waves)
            image = fft.irfft2(waves.permute(2, 0, 1, 3), s=(height, width), dim=(1, 2))
            return (image + self.bias).flatten(1)

    def circular_kernel(self, kernel: Tensor) -> Tensor:
        """Taps of the layer, (n_out, n_in, height, width), from the pixel itself on."""
        height, width, _ = self.shape
        waves = self.map(transformed(kernel, height, width)).permute(2, 3, 0, 1)
        taps = fft.irfft2(waves, s=(height, width))
        # The transform belongs to sum_t g_t x[p - t], `Conv` takes sum_t K_t x[p + t].
        return taps.flip(2, 3).roll((1, 1), (2, 3))

    def frozen_conv(self, register: int, kernel: Tensor, bias: Tensor) -> Conv:
        """The circular kernel."""
        height, width, _ = self.shape
        return Conv(
            (register,),
            kernel=self.circular_kernel(kernel).numpy(),
            bias=bias.numpy(),
            shape=self.shape,
            pads=(0, height - 1, 0, width - 1),
            padding="circular",
        )


class CayleyConv(FourierConv):
    """A Cayley transform for every frequency.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image.
    channels : int
        Of the output image.
    kernel_size : int
        Of the free kernel; that of the layer has the size of the image.

    Examples
    --------
    >>> layer, x = CayleyConv((4, 4, 3), 3), torch.randn(2, 48)
    >>> torch.allclose(layer(x).norm(), x.norm())
    True
    """

    def __init__(
        self, shape: Sequence[int], channels: int, kernel_size: int = 3
    ) -> None:
        middle = torch.randn(channels, shape[2]) / max(channels, shape[2]) ** 0.5
        super().__init__(shape, channels, _around(middle, kernel_size))

    def map(self, transform: Tensor) -> Tensor:
        """Transform."""
        return cayley(transform)


class CholeskyConv(FourierConv):
    """Rows or columns made orthonormal for every frequency.

    Parameters
    ----------
    shape, channels, kernel_size
        As in `CayleyConv`.

    Examples
    --------
    >>> layer, x = CholeskyConv((4, 4, 3), 3), torch.randn(2, 48)
    >>> torch.allclose(layer(x).norm(), x.norm())
    True
    """

    def __init__(
        self, shape: Sequence[int], channels: int, kernel_size: int = 3
    ) -> None:
        middle = torch.nn.init.orthogonal_(torch.empty(channels, shape[2]))
        super().__init__(shape, channels, _around(middle, kernel_size))

    def map(self, transform: Tensor) -> Tensor:
        """Orthonormal columns, or rows."""
        tall = transform.shape[-2] >= transform.shape[-1]
        return orthonormal(transform) if tall else orthonormal(transform.mH).mH


class BROConv(FourierConv):
    """A block reflector for every frequency; see `BRO`.

    Parameters
    ----------
    shape, channels, kernel_size
        As in `CayleyConv`.
    rank : int, optional
        As in `BRO`, of channels.

    Examples
    --------
    >>> layer, x = BROConv((4, 4, 3), 3), torch.randn(2, 48)
    >>> torch.allclose(layer(x).norm(), x.norm())
    True
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        kernel_size: int = 3,
        rank: int | None = None,
    ) -> None:
        n_in = shape[2]
        large, small = max(n_in, channels), min(n_in, channels)
        rank = reflector_rank(n_in, channels, rank)
        spread = small < large and rank == small
        random = torch.randn(large, rank) / large**0.5
        middle = spread_frame(large, small) if spread else random
        super().__init__(shape, channels, _around(middle, kernel_size))

    def map(self, transform: Tensor) -> Tensor:
        """I - 2 A A^*, the leading block."""
        half, (n_out, n_in) = orthonormal(transform), self._channels()
        eye = torch.eye(n_out, n_in, dtype=half.dtype, device=half.device)
        return eye - 2 * half[..., :n_out, :] @ half[..., :n_in, :].mH

    def act(self, transform: Tensor, x: Tensor) -> Tensor:
        """x - 2 A (A^* x), without W."""
        n_out, n_in = self._channels()
        x = torch.nn.functional.pad(x, (0, transform.shape[-2] - n_in))
        return reflected(transform, x)[..., :n_out]

    def _channels(self) -> tuple[int, int]:
        return self.out_shape[2], self.shape[2]


def transformed(kernel: Tensor, height: int, width: int) -> Tensor:
    """Transform of the taps, the middle one at the origin: (h, w // 2 + 1, ., .).

    Examples
    --------
    >>> middle = torch.nn.functional.pad(torch.ones(1, 1, 1, 1), (1, 1, 1, 1))
    >>> transformed(middle, 4, 4).real.squeeze()
    tensor([[1., 1., 1.],
            [1., 1., 1.],
            [1., 1., 1.],
            [1., 1., 1.]])
    """
    rows, columns = kernel.shape[2:]
    padded = torch.nn.functional.pad(kernel, (0, width - columns, 0, height - rows))
    centred = padded.roll((-(rows // 2), -(columns // 2)), (2, 3))
    return fft.rfft2(centred).permute(2, 3, 0, 1)


def _around(middle: Tensor, kernel_size: int) -> Tensor:
    """Kernel with this middle tap and little noise in the others."""
    kernel = torch.randn(*middle.shape, kernel_size, kernel_size)
    kernel *= _NOISE * middle.std(correction=0) / kernel_size
    kernel[:, :, kernel_size // 2, kernel_size // 2] = middle
    return kernel
