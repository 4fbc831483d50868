"""Activations that are learned: linear splines with slopes in [-1, 1].

Each coordinate has its own continuous function, linear between equally spaced knots
and beyond the last ones, given by its values there.  Slopes are clipped to [-1, 1] and
added up again, around the mean of the given values, so

    |f(x) - f(x')|_p <= |x - x'|_p for every p                         [N2],

and slopes of size 1, which keep gradients long, are met with equality.

The second-order total variation of f is the sum of the jumps of its slope.  As a
penalty it removes kinks that the data do not ask for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Operation, Spline
from stablerank.nn.activations import clipped
from stablerank.nn.base import Layer, to_float64

__all__ = ["LinearSpline", "total_variation"]


class LinearSpline(Layer):
    """A learned piecewise linear function of each coordinate.

    Half of the coordinates start as the identity, half as |x|.

    Parameters
    ----------
    width : int
        Coordinates.
    n_knots : int
        Knots, from -unit to unit; odd, so that one of them is 0.

    Attributes
    ----------
    values : Parameter of shape (width, n_knots)
        Wanted values at the knots, over `unit`.
    unit : Tensor
        A power of two, chosen in `prepare` so that the knots span the data.

    Examples
    --------
    >>> LinearSpline(2)(torch.tensor([[-3.0, -3.0], [0.5, 0.5]])).detach()
    tensor([[-3.0000,  3.0000],
            [ 0.5000,  0.5000]])
    """

    norm_in = norm_out = None
    unit: Tensor

    def __init__(self, width: int, n_knots: int = 17) -> None:
        super().__init__()
        if n_knots < 3 or n_knots % 2 == 0:
            raise InvalidInputError(f"n_knots is odd and >= 3, not {n_knots}")
        start = torch.linspace(-1, 1, n_knots).repeat(width, 1)
        start[1::2].abs_()
        self.values = nn.Parameter(start)
        self.register_buffer("unit", torch.tensor(1.0))

    @property
    def step(self) -> float:
        """Distance of two knots, over `unit`."""
        return 2 / (self.values.shape[1] - 1)

    def slopes(self) -> Tensor:
        """Slopes between the knots, in [-1, 1], (width, n_knots - 1)."""
        return self._pieces(self.values)[0]

    def _pieces(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes, and the values at the knots that belong to them."""
        slopes = clipped(values.diff(dim=1) / self.step)
        rises = nn.functional.pad((slopes * self.step).cumsum(dim=1), (1, 0))
        middle = values.mean(dim=1, keepdim=True) - rises.mean(dim=1, keepdim=True)
        return slopes, rises + middle

    def prepare(self, x: Tensor) -> None:
        """Choose the least power of two above the data as the unit."""
        largest = x.detach().abs().max()
        if largest > 0:
            self.unit.copy_(largest.log2().ceil().exp2())

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (batch, width)."""
        slopes, heights = self._pieces(self.values)
        x = x.to(self.values.dtype).T / self.unit  # (width, batch)
        # Clamped before it is an integer: there are numbers past all integers.
        piece = ((x.detach() + 1) / self.step).clamp(0, slopes.shape[1] - 1)
        piece = piece.long().clamp_min(0)  # NaN is in no piece, and comes out as NaN
        rise = x - (piece * self.step - 1)
        y = heights.gather(1, piece) + slopes.gather(1, piece) * rise
        return y.T * self.unit

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Spline`."""
        values = torch.from_numpy(to_float64(self.values, "LinearSpline.values"))
        unit = to_float64(self.unit, "LinearSpline.unit")
        with torch.no_grad():
            slopes, heights = (part.numpy() for part in self._pieces(values))
        knots = (np.arange(values.shape[1]) * self.step - 1) * unit
        ends = np.concatenate([slopes[:, :1], slopes, slopes[:, -1:]], axis=1)
        return (
            Spline(
                (register,),
                knots=np.tile(knots, (len(values), 1)),
                slopes=ends,
                values=heights[:, 0] * unit,
            ),
        )

    def total_variation(self) -> Tensor:
        """Sum of the jumps of all slopes."""
        return self.slopes().diff(dim=1).abs().sum()


def total_variation(module: nn.Module) -> Tensor:
    """Second-order total variation of all splines in a module: a penalty.

    Parameters
    ----------
    module : torch.nn.Module
        A layer or a network.

    Returns
    -------
    Tensor
        A number, 0 without splines; add a small multiple to the loss.

    Examples
    --------
    >>> penalty = total_variation(LinearSpline(2))  # the identity, and |x|
    >>> round(penalty.item(), 5)
    2.0
    """
    splines = [m for m in module.modules() if isinstance(m, LinearSpline)]
    if not splines:
        return torch.zeros(())
    return torch.stack([spline.total_variation() for spline in splines]).sum()
