"""Losses of logits that a perturbation has moved as far as its constants allow.

Within radius epsilon a rival gains at most epsilon L_yj on the true class [N9]; these
losses ask the true class to win even so.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stablerank.nn.losses.base import (
    TINY,
    Loss,
    check_dial,
    own_class,
    pairwise_radii,
    rival_sum,
)

__all__ = ["EMMA", "Hinge", "Trades"]

_MOST = 1e6
#: EMMA adds at least this share of epsilon, also to rivals that are far ahead.
_LEAST_SHARE = 0.01


class Hinge(Loss):
    """The margin that is missing to the nearest rival: a certificate's own loss.

        max(0, min_margin - 2 min_j r_j)

    Parameters
    ----------
    min_margin : float
        Twice the wanted radius; small values accept small margins for the sake of
        accuracy.

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> z = torch.tensor([[0.25, 0.0], [9.0, 0.0]])  # margins 0.25 and 9
    >>> float(Hinge(min_margin=1.0)(z, torch.tensor([0, 0]), unit))
    0.375
    """

    def __init__(self, min_margin: float = 1.0) -> None:
        super().__init__()
        self.min_margin = check_dial("min_margin", min_margin, 0.0, _MOST)

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        radii = pairwise_radii(logits, target, pair_constants)
        nearest = radii.masked_fill(own_class(logits, target), math.inf).amin(dim=1)
        return (self.min_margin - 2 * nearest).relu()


class EMMA(Loss):
    """Cross-entropy after each rival has gained what it needs to tie, and no more.

        log(1 + sum_j exp(z_j - z_y + e_j L_yj)),    e_j = min(max(r_j, e / 100), e)

    The e_j are not trained: a rival that the sample has left behind by less than
    epsilon is pushed as if it had drawn level.

    Parameters
    ----------
    epsilon : float
        The largest radius; the paper raises it during training, which `epsilon`, an
        ordinary attribute, allows.

    References
    ----------
    Hu, Zou, Wang, Leino, Fredrikson, "Unlocking deterministic robustness certification
    on ImageNet", NeurIPS 2023 (efficient margin maximisation).

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> z = torch.tensor([[0.5, 0.0]])  # a radius of 0.25: the rival may tie
    >>> round(float(EMMA(epsilon=1.0)(z, torch.tensor([0]), unit)), 4)  # log(2)
    0.6931
    """

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = check_dial("epsilon", epsilon, 0.0, _MOST)

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        constants = pair_constants[target]
        ahead = logits - logits.gather(1, target[:, None])
        radii = (-ahead / constants.clamp_min(TINY)).detach()
        gains = radii.clamp(_LEAST_SHARE * self.epsilon, self.epsilon)
        return rival_sum(ahead + gains * constants, target)


class Trades(Loss):
    """Cross-entropy, and a divergence that asks for stability apart from accuracy.

        CE(z, y) + lambda_kl KL(softmax(z), softmax(z, bottom)),
        bottom = max over i of z_i + epsilon L_ci,    c the predicted class, i not c

    `bottom` is the logit of "not certified" of GloRo networks: it wins where some
    rival of the *predicted* class may win within epsilon, right or wrong.

    Parameters
    ----------
    epsilon : float
        Radius.
    lambda_kl : float
        Weight of the divergence.

    Notes
    -----
    The two distributions differ in their normalisation alone, so the divergence is
    log(1 + exp(bottom - logsumexp(z))).

    References
    ----------
    Leino, Wang, Fredrikson, "Globally-robust neural networks", ICML 2021; after Zhang
    et al., "Theoretically principled trade-off between robustness and accuracy",
    ICML 2019.

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> z, wrong = torch.tensor([[9.0, 0.0]]), torch.tensor([1])
    >>> loss = Trades(epsilon=1.0)
    >>> round(float(loss(z, wrong, unit)), 2)  # stable, and wrong by 9
    9.0
    """

    def __init__(self, epsilon: float, lambda_kl: float = 1.0) -> None:
        super().__init__()
        self.epsilon = check_dial("epsilon", epsilon, 0.0, _MOST)
        self.lambda_kl = check_dial("lambda_kl", lambda_kl, 0.0, _MOST)

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        predicted = logits.argmax(dim=1)
        reached = logits + self.epsilon * pair_constants[predicted]
        bottom = reached.masked_fill(own_class(logits, predicted), -math.inf).amax(1)
        divergence = nn.functional.softplus(bottom - torch.logsumexp(logits, dim=1))
        accuracy = nn.functional.cross_entropy(logits, target, reduction="none")
        return accuracy + self.lambda_kl * divergence
