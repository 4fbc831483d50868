"""Distance neurons: y_j = |x - w_j|_inf is 1-Lipschitz in l_inf whatever w is [N3].

The sup norm has a gradient in one coordinate only, so training starts with a p-norm
and lets p grow:

    p = 8 (1000 / 8)^(share / s) up to the share s of training, then p = inf.

A p-norm is only n_in^(1/p)-Lipschitz in l_inf, so nothing but p = inf is ever
evaluated, validated or frozen.  Centres are w = unit * weight: weights are drawn and
move at the scale 1, whatever the scale of the inputs, which is measured once before
training.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Distance, Operation
from stablerank.nn.base import Layer, to_float64
from stablerank.nn.blocked import norm_distances

__all__ = ["LinfDistance"]

_P_FIRST, _P_LAST = 8.0, 1000.0
#: Spread of the first weights: half of it doubles the pace of every optimiser.
_SPREAD = 0.5
#: Centres this far away on the diagonal make |x - w|_inf = x_i + const: the identity.
_IDENTITY = 10 * _SPREAD


class LinfDistance(Layer):
    """Sup distances of x to learnt centres.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    identity : bool
        Start near the identity (coordinate i repeats where n_out > n_in); otherwise
        from Gaussian centres.
    exact_share : float
        Last share of training that runs at p = inf.

    Examples
    --------
    >>> layer = LinfDistance(2, 1).eval()
    >>> _ = layer.weight.data.zero_()
    >>> layer(torch.tensor([[3.0, -4.0]])).tolist()
    [[4.0]]
    """

    unit: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        identity: bool = False,
        exact_share: float = 0.2,
    ) -> None:
        super().__init__()
        if not 0 <= exact_share < 1:
            raise InvalidInputError(f"exact_share is in [0, 1), not {exact_share}")
        weight = _SPREAD * torch.randn(n_out, n_in)
        if identity:
            rows = torch.arange(n_out)
            weight[rows, rows % n_in] = -_IDENTITY
        self.weight = nn.Parameter(weight)
        self.register_buffer("unit", torch.tensor(1.0))
        self.exact_share = exact_share
        self.p = _P_FIRST

    def set_progress(self, share: float) -> None:
        """Set p for the next epochs."""
        grown = share / (1 - self.exact_share)
        exact = grown >= 1
        self.p = math.inf if exact else _P_FIRST * (_P_LAST / _P_FIRST) ** grown

    def prepare(self, x: Tensor) -> None:
        """Choose a power of two as the unit, so that centres spread as x does."""
        largest = x.detach().abs().max() / _SPREAD
        if largest > 0:
            self.unit.copy_(largest.log2().ceil().exp2())

    def centres(self) -> Tensor:
        """Centres w that the forward pass uses, (n_out, n_in)."""
        return self.weight * self.unit

    def forward(self, x: Tensor) -> Tensor:
        """Distances of (batch, n_in) to the centres; p-norms while training."""
        if x.ndim != 2 or x.shape[1] != self.weight.shape[1]:
            raise ShapeError(
                f"input of shape {tuple(x.shape)}, not (n, {self.weight.shape[1]})"
            )
        with torch.autocast(x.device.type, enabled=False):
            return self._distances(x.to(self.weight.dtype), self.centres())

    def _distances(self, x: Tensor, centres: Tensor) -> Tensor:
        return norm_distances(x, centres, self.p if self.training else math.inf)

    def _frozen_centres(self) -> NDArray[np.float64]:
        name = type(self).__name__
        unit = to_float64(self.unit, f"{name}.unit")
        return to_float64(self.weight, f"{name}.weight") * unit

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Distance`."""
        weight = self._frozen_centres()
        return (Distance((register,), weight=weight, bias=np.zeros(len(weight))),)
