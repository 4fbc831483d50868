"""One layer for every pixel of an image, with the same parameters.

Images are flat vectors, pixel by pixel, so an activation of c coordinates acts on the c
channels of each.  Vectors side by side that each move by at most K times as much do so
together,

    |y - y'|_p^p = sum over pixels |y_q - y_q'|_p^p <= K^p |x - x'|_p^p     [N2],

and the largest of them for p = inf: the constant is that of the layer.
"""

from __future__ import annotations

from torch import Tensor

from stablerank.frozen import Operation
from stablerank.nn.base import Layer

__all__ = ["Pixelwise"]


class Pixelwise(Layer):
    """A layer applied to the channels of each pixel.

    Parameters
    ----------
    layer : Layer
        On vectors of channels; it freezes to operations that look at one coordinate or
        one pair at a time: activations, `MeanShift`.
    pixels : int
        Height times width of the image.

    Examples
    --------
    >>> import torch
    >>> from stablerank.nn import NActivation
    >>> layer = Pixelwise(NActivation(2), pixels=2)
    >>> layer(torch.tensor([[-1.0, -1.0, 2.0, 2.0]])).detach()
    tensor([[-1.,  1.,  2.,  2.]])
    """

    def __init__(self, layer: Layer, pixels: int) -> None:
        super().__init__()
        self.layer, self.pixels = layer, pixels
        self.norm_in, self.norm_out = layer.norm_in, layer.norm_out
        self.lipschitz = layer.lipschitz

    def _rows(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.pixels, -1)).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, pixels * channels)."""
        y: Tensor = self.layer(self._rows(x))
        return y.unflatten(0, (x.shape[0], self.pixels)).flatten(1)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """Operations of the layer, repeated."""
        return tuple(op.repeated(self.pixels) for op in self.layer.freeze(register))

    def check_invariant(self) -> None:
        """Check the layer."""
        self.layer.check_invariant()

    def prepare(self, x: Tensor) -> None:
        """Prepare the layer for the pixels of all images."""
        self.layer.prepare(self._rows(x))

    def set_progress(self, share: float) -> None:
        """Tell the layer."""
        self.layer.set_progress(share)
