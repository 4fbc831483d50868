"""What all losses share: the call, the radii, the sum over rivals."""

from __future__ import annotations

from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError

__all__ = ["TINY", "Loss", "check_dial", "own_class", "pairwise_radii", "rival_sum"]

#: Pairs of equal rows have constant 0; their quotient must stay finite in training.
TINY = 1e-12


class Loss(nn.Module):
    """Mean over a batch of what every sample costs.

    A subclass owes `_costs(logits, target, pair_constants, weight)`, of shape (n,).
    """

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        pair_constants: Tensor,
        sample_weight: Tensor | None = None,
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
        sample_weight : Tensor of shape (n,), optional
            With mean 1 over the training data.
        """
        weight = logits.new_ones(len(logits))
        if sample_weight is not None:
            weight = sample_weight.to(logits.dtype)
        return (weight * self._costs(logits, target, pair_constants, weight)).mean()

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        raise NotImplementedError


def pairwise_radii(logits: Tensor, target: Tensor, pair_constants: Tensor) -> Tensor:
    """r_j = (z_y - z_j) / L_yj, of shape (n, n_classes); 0 at the target itself.

    Examples
    --------
    >>> import torch
    >>> z, unit = torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> pairwise_radii(z, torch.tensor([0]), unit)
    tensor([[0., 1.]])
    """
    own = logits.gather(1, target[:, None])
    return (own - logits) / pair_constants[target].clamp_min(TINY)


def own_class(logits: Tensor, target: Tensor) -> Tensor:
    """Where the true class stands, bool of shape (n, n_classes)."""
    return nn.functional.one_hot(target, logits.shape[-1]).bool()


def rival_sum(energy: Tensor, target: Tensor) -> Tensor:
    """log(1 + sum over rivals of exp(energy)): -log p of the true class.

    Parameters
    ----------
    energy : Tensor of shape (..., n, n_classes)
        How far each rival is ahead; the entry of the true class is not read.
    target : Tensor of int64, shape (n,)
        True classes.
    """
    return energy.masked_fill(own_class(energy, target), 0.0).logsumexp(dim=-1)


def check_dial(name: str, value: float, low: float, high: float) -> float:
    """Return a dial of a loss as float, or raise unless it lies in [low, high]."""
    if not low <= value <= high:
        raise InvalidInputError(f"{name} lies in [{low:g}, {high:g}], not {value!r}")
    return float(value)
