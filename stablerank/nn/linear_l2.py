"""From l_2 to single coordinates: the first layer of l_inf networks, heads of l_2.

    |y_i - y_i'| <= |w_i|_2 |x - x'|_2                                 [N1]
    |(z_c - z_j) - (z_c' - z_j')| <= |w_c - w_j|_2 |x - x'|_2          [N9]

`kind="normalised"` gives every row length 1, `"projected"` divides rows longer than
1.  As the first layer of an l_inf network, such rows make it one for inputs that move
in l_2.  A head may also be `"free"`, with rows of any length: margins are divided by
|w_c - w_j|_2, so that is no loophole, only a scale.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from stablerank.frozen import Affine, Operation
from stablerank.nn.base import Layer, to_float64
from stablerank.nn.quotients import KINDS, check_kind, divided_rows

__all__ = ["L2Head", "L2ToLinf"]


class L2ToLinf(Layer):
    """y = W x + b with |W_i|_2 <= 1: coordinates for an l_inf network.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    kind : {"normalised", "projected"}
        See the module.

    Examples
    --------
    >>> from stablerank.nn import LinfHead, MaxMin, Stack
    >>> net = Stack([L2ToLinf(8, 4), MaxMin(), LinfHead(4, 2)])
    >>> net.norm_in, net.norm_out
    (2, inf)
    """

    norm_in = 2
    kinds: ClassVar[tuple[str, ...]] = KINDS

    def __init__(self, n_in: int, n_out: int, kind: str = "normalised") -> None:
        super().__init__()
        check_kind(kind, self.kinds)
        self.kind = kind
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def matrix(self) -> Tensor:
        """Weight that the forward pass uses, (n_out, n_in)."""
        return self._rows(self.weight)

    def _rows(self, weight: Tensor) -> Tensor:
        if self.kind == "free":
            return weight
        rows, lengths = divided_rows(weight, self.kind)
        return rows / lengths

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            return nn.functional.linear(
                x.to(self.weight.dtype), self.matrix(), self.bias
            )

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Affine` from l_2 to single coordinates."""
        name = type(self).__name__
        weight = torch.from_numpy(to_float64(self.weight, f"{name}.weight"))
        bias = to_float64(self.bias, f"{name}.bias")
        rows = self._rows(weight).numpy()
        return (Affine((register,), weight=rows, bias=bias, to_inf=True),)


class L2Head(L2ToLinf):
    """z = W x + b with exact pairwise constants.

    Parameters
    ----------
    n_in, n_out : int
        Widths; outputs are logits.
    kind : {"normalised", "projected", "free"}
        See the module.

    Examples
    --------
    >>> L2Head(8, 3).pair_constants().shape
    torch.Size([3, 3])
    """

    kinds = (*L2ToLinf.kinds, "free")

    def __init__(self, n_in: int, n_out: int, kind: str = "normalised") -> None:
        super().__init__(n_in, n_out, kind)
        if kind == "free":
            self.lipschitz = math.inf

    def pair_constants(self) -> Tensor:
        """L_cj = |w_c - w_j|_2, differentiable, (n_out, n_out)."""
        rows = self.matrix()
        squares = (rows[:, None] - rows[None]).square().sum(dim=2)
        # The root has no derivative at 0, where a row meets itself.
        return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
