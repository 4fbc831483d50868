"""Dense l_2 layers whose weight is a function of free parameters.

    |W x - W x'|_2 <= s(W) |x - x'|_2                                  [N1]

The function runs once a forward pass, in the dtype of the parameters, and nothing is
kept: edited or loaded weights cannot meet an old matrix.  `freeze()` runs it again in
float64 and leaves W behind, whose norm the program bounds from its numbers [N6].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Affine, Conv, Operation
from stablerank.nn.base import Layer, to_float64

__all__ = ["TOLERANCE", "Dense"]

#: How far above 1 a contraction may be by the rounding of its float64 construction.
TOLERANCE = 2.0**-30


class Dense(Layer):
    """y = W x + b with W = `map`(weight) of norm at most 1.

    A subclass owes `map`.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    start : Tensor, optional
        Parameters before training; by default a random orthonormal frame.

    Attributes
    ----------
    weight : Parameter
        What W is made from, not W itself: that is `matrix()`.
    """

    norm_in = norm_out = 2

    def __init__(self, n_in: int, n_out: int, start: Tensor | None = None) -> None:
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        if start is None:
            start = nn.init.orthogonal_(torch.empty(n_out, n_in))
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def map(self, weight: Tensor) -> Tensor:
        """W, of shape (n_out, n_in), from the parameters in any dtype."""
        raise NotImplementedError

    def matrix(self) -> Tensor:
        """Weight that the forward pass uses, (n_out, n_in)."""
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.map(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight.dtype)
            return nn.functional.linear(x, self.matrix(), self.bias)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Affine` with W in float64."""
        name = type(self).__name__
        parameters = torch.from_numpy(to_float64(self.weight, f"{name}.weight"))
        with torch.no_grad():
            weight = self.map(parameters)
        bias = to_float64(self.bias, f"{name}.bias")
        return (Affine((register,), weight=weight.numpy(), bias=bias),)

    def check_invariant(self) -> None:
        """Raise if the float64 matrix has a spectral norm above 1 + 2**-30."""
        (frozen,) = self.freeze(0)
        assert isinstance(frozen, Affine | Conv)
        if frozen.spectral_norm > 1 + TOLERANCE:
            raise InvalidInputError(
                f"the matrix of {type(self).__name__} has spectral norm "
                f"{frozen.spectral_norm}"
            )
