"""Linear layers whose rows have l_1 norm at most 1.

    |W x - W x'|_inf <= max_i sum_j |W_ij| |x - x'|_inf <= |x - x'|_inf    [N1]

Rows are trained through their signed square roots, W_ij = v_ij |v_ij| / |v_i|_2^2: an
l_1 ball is an l_2 ball, squared.  Adam moves every v_ij by about the same step, so
W_ij moves by steps in proportion to its root: what is near 0 stays quiet instead of
adding, over a thousand features, a noise that eats the row's whole norm.

`kind="normalised"` divides every row by its l_1 norm, so the constraint is met with
equality and gradients never shrink; `kind="projected"` only divides rows whose norm
exceeds 1, which lets a row be small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Affine, Operation
from stablerank.nn.base import Layer, to_float64
from stablerank.nn.quotients import check_kind, divided_rows

__all__ = ["START", "LinfHead", "LinfLinear", "from_roots"]

#: Norm of a normalised row of roots before training.  It cancels in the quotient and
#: decides only how far one step of Adam turns the row: small rows forget their start.
START = 0.15


def from_roots(roots: Tensor, kind: str) -> Tensor:
    """Rows of l_1 norm 1, or at most 1, from their signed square roots, (n, m).

    Examples
    --------
    >>> from_roots(torch.tensor([[1.0, -1.0]]), "normalised")
    tensor([[ 0.5000, -0.5000]])
    """
    roots, lengths = divided_rows(roots, kind)
    return roots * roots.abs() / lengths.square()


class LinfLinear(Layer):
    """y = W x + b with |W_i|_1 <= 1.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    kind : {"normalised", "projected"}
        See the module.

    Attributes
    ----------
    weight : Parameter of shape (n_out, n_in)
        Signed square roots v, not W itself: that is `matrix()`.

    Examples
    --------
    >>> layer = LinfLinear(3, 2)
    >>> bool((layer.matrix().abs().sum(1) < 1 + 1e-6).all())
    True
    """

    def __init__(self, n_in: int, n_out: int, kind: str = "normalised") -> None:
        super().__init__()
        check_kind(kind)
        self.kind = kind
        start = START if kind == "normalised" else 1.0
        self.weight = nn.Parameter(start * torch.randn(n_out, n_in) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def matrix(self) -> Tensor:
        """Weight that the forward pass uses, (n_out, n_in)."""
        return from_roots(self.weight, self.kind)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            return nn.functional.linear(
                x.to(self.weight.dtype), self.matrix(), self.bias
            )

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Affine` with the float64 quotient."""
        weight = torch.from_numpy(to_float64(self.weight, "LinfLinear.weight"))
        bias = to_float64(self.bias, "LinfLinear.bias")
        return (
            Affine(
                (register,), weight=from_roots(weight, self.kind).numpy(), bias=bias
            ),
        )

    def check_invariant(self) -> None:
        """Raise if a row of the float64 quotient has l_1 norm above 1 + 2**-40."""
        (affine,) = self.freeze(0)
        assert isinstance(affine, Affine)
        worst = float(abs(affine.weight).sum(axis=1).max(initial=0.0))
        if worst > 1 + 2.0**-40:
            raise InvalidInputError(f"a row of LinfLinear has l_1 norm {worst}")


class LinfHead(LinfLinear):
    """Last layer; only differences of its rows matter for a certificate.

        |(z_c - z_j) - (z_c' - z_j')| <= |w_c - w_j|_1 |x - x'|_inf   [N9]

    Parameters
    ----------
    n_in, n_out : int
        Widths; outputs are logits.
    kind : {"normalised", "projected"}
        As in `LinfLinear`.

    Examples
    --------
    >>> LinfHead(8, 3).pair_constants().shape
    torch.Size([3, 3])
    """

    def pair_constants(self) -> Tensor:
        """L_cj = |w_c - w_j|_1, differentiable, (n_out, n_out)."""
        rows = self.matrix()
        return (rows[:, None] - rows[None]).abs().sum(dim=2)
