"""Centring by a running mean: y = x - m, a shift, so nothing is stretched [N8].

While training, m is the mean of the batch, over all processes that share it, so that
gradients stay centred too; the running mean collected on the way is what evaluation
and `freeze()` subtract.
Statistics of the batch in hand at prediction would let one sample move another.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stablerank.distributed import batch_mean
from stablerank.frozen import Diagonal, Operation
from stablerank.nn.base import Layer, to_float64

__all__ = ["MeanShift"]

#: Share of a new batch in the running mean.
_MOMENTUM = 0.1


class MeanShift(Layer):
    """x minus its running mean.

    Parameters
    ----------
    width : int
        Coordinates.

    Examples
    --------
    >>> MeanShift(2)(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    tensor([[-1., -2.],
            [ 1.,  2.]])
    """

    norm_in = norm_out = None
    mean: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Subtract the mean of the batch, or the running mean in evaluation."""
        if not self.training:
            return x - self.mean
        mean = batch_mean(x)
        with torch.no_grad():
            self.mean.lerp_(mean.to(self.mean.dtype), _MOMENTUM)
        return x - mean

    def prepare(self, x: Tensor) -> None:
        """Start from the mean of this batch."""
        self.mean.copy_(x.detach().mean(dim=0))

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Diagonal` that shifts."""
        mean = to_float64(self.mean, "MeanShift.mean")
        return (Diagonal((register,), scale=np.ones_like(mean), shift=-mean),)
