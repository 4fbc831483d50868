"""The sandwich layer: one layer of ReLU between two parts of one orthonormal frame.

    y = 2 A^T relu(B x + b),   A A^T + B B^T <= I,
    |y - y'|_2 <= |x - x'|_2                                           [N5].

Each hidden unit divides a length of 1 between what it reads and what it writes, so
that units which read different things may write to the same place.

[A B] has orthonormal rows by a Cholesky factorisation [N5], which reaches every such
frame at any scale of its parameters; the Cayley transform of the original leaves out
some and loses digits at large ones.  The original also has a diagonal Psi > 0,

    y = sqrt(2) A^T Psi relu(sqrt(2) Psi^-1 B x + b),

through which ReLU passes: it only rescales b, and is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Operation
from stablerank.frozen import Sandwich as FrozenSandwich
from stablerank.nn.base import Layer, to_float64
from stablerank.nn.contractions import orthonormal
from stablerank.nn.dense import TOLERANCE

__all__ = ["Sandwich"]


class Sandwich(Layer):
    """y = 2 A^T relu(B x + b) with orthonormal rows of [A B].

    It starts as relu(Q x) with Q orthonormal.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    hidden : int, optional
        Rows of A and B, at most n_in + n_out; by default n_out.

    Attributes
    ----------
    weight : Parameter of shape (n_out + n_in, hidden)
        What the frame [A B]^T is made from.

    Examples
    --------
    >>> layer, x = Sandwich(4, 6), torch.randn(3, 4)
    >>> bool((layer(x) - layer(-x)).norm() <= 2 * x.norm() * (1 + 1e-6))
    True
    """

    norm_in = norm_out = 2

    def __init__(self, n_in: int, n_out: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = n_out if hidden is None else hidden
        if not 1 <= hidden <= n_in + n_out:
            raise ShapeError(
                f"{hidden} hidden units between {n_in} and {n_out} coordinates; there "
                f"can be 1 to {n_in + n_out}"
            )
        self.n_out = n_out
        reads = nn.init.orthogonal_(torch.empty(n_in, hidden))
        writes = nn.init.eye_(torch.empty(n_out, hidden))
        self.weight = nn.Parameter(torch.cat([writes, reads]))
        self.bias = nn.Parameter(torch.zeros(hidden))

    def frame(self) -> tuple[Tensor, Tensor]:
        """A^T of shape (n_out, hidden), B^T of shape (n_in, hidden)."""
        return self._split(orthonormal(self.weight))

    def _split(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        return columns[: self.n_out], columns[self.n_out :]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            outer, inner = self.frame()
            units = (x.to(self.weight.dtype) @ inner + self.bias).relu()
            return 2 * units @ outer.T

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Sandwich`."""
        weight = torch.from_numpy(to_float64(self.weight, "Sandwich.weight"))
        with torch.no_grad():
            outer, inner = self._split(orthonormal(weight))
        bias = to_float64(self.bias, "Sandwich.bias")
        return (
            FrozenSandwich(
                (register,), inner=inner.T.numpy(), bias=bias, outer=outer.T.numpy()
            ),
        )

    def check_invariant(self) -> None:
        """Raise if the frozen layer has a constant above 1 + 2**-30."""
        (block,) = self.freeze(0)
        assert isinstance(block, FrozenSandwich)
        if block.factor > 1 + TOLERANCE:
            raise InvalidInputError(f"Sandwich has the constant {block.factor}")
