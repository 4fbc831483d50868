"""Losses that see the very constants that the certificate uses.

With r_j = (z_y - z_j) / L_yj, the radius that rival j leaves to the true class y,

    offset cross-entropy = mean over offsets o of log(1 + sum_j exp(T (o - r_j))),

a soft count of the rivals that come closer than the wanted radius o.  What is
trained is what is certified.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError

__all__ = ["OffsetCrossEntropy", "pairwise_radii"]

#: Pairs of equal rows have constant 0; their quotient must stay finite in training.
_TINY = 1e-12


def pairwise_radii(logits: Tensor, target: Tensor, pair_constants: Tensor) -> Tensor:
    """r_j = (z_y - z_j) / L_yj, of shape (n, n_classes); 0 at the target itself.

    Examples
    --------
    >>> z, unit = torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> pairwise_radii(z, torch.tensor([0]), unit)
    tensor([[0., 1.]])
    """
    own = logits.gather(1, target[:, None])
    return (own - logits) / pair_constants[target].clamp_min(_TINY)


class OffsetCrossEntropy(nn.Module):
    """Cross-entropy on T (o - r), averaged over the wanted radii o.

    Parameters
    ----------
    offsets : sequence of float
        Wanted radii, in the units of the margins.
    temperature : float
        T; large values count rivals, small ones push all margins.
    exponents : float or sequence of float
        Generalised cross-entropy (1 - p^q) / q for each offset, 0 being the ordinary
        -log p: larger q gives up on samples that cannot be had at this radius.

    Examples
    --------
    >>> loss = OffsetCrossEntropy((0.0, 1.0), temperature=2.0)
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> float(loss(torch.tensor([[9.0, 0.0]]), torch.tensor([0]), unit)) < 0.01
    True
    """

    def __init__(
        self,
        offsets: Sequence[float],
        temperature: float,
        exponents: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__()
        each = (
            [exponents] * len(offsets)
            if isinstance(exponents, (int, float))
            else exponents
        )
        if not offsets or len(each) != len(offsets):
            raise InvalidInputError("give one exponent, or one for each offset")
        if not temperature > 0 or min(each) < 0 or min(offsets) < 0:
            raise InvalidInputError(
                "temperature > 0, offsets and exponents >= 0 needed"
            )
        self.temperature = float(temperature)
        self.offsets: Tensor
        self.exponents: Tensor
        self.register_buffer("offsets", torch.tensor([float(o) for o in offsets]))
        self.register_buffer("exponents", torch.tensor([float(q) for q in each]))

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        pair_constants: Tensor,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Mean loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (n, n_classes)
            As the network gives them.
        target : Tensor of int64, shape (n,)
            True classes.
        pair_constants : Tensor of shape (n_classes, n_classes)
            L_cj, differentiable.
        weight : Tensor of shape (n,), optional
            Sample weights with mean 1.
        """
        radii = pairwise_radii(logits, target, pair_constants)
        # The target's own entry is 0 whatever the offset: the "1 +" of the formula.
        own = nn.functional.one_hot(target, logits.shape[1]).bool()
        offsets = self.offsets.to(logits.dtype)
        energy = self.temperature * (offsets[:, None, None] - radii)  # (o, n, classes)
        energy = energy.masked_fill(own, 0.0)
        losses = energy.logsumexp(dim=2)  # (o, n), -log p
        q = self.exponents.to(logits.dtype)[:, None]
        bounded = -torch.expm1(-q * losses) / q.clamp_min(_TINY)
        losses = torch.where(q > 0, bounded, losses)
        if weight is not None:
            losses = losses * weight
        return losses.mean()
