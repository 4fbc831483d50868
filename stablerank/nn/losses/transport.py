"""Losses of optimal transport: how far apart a 1-Lipschitz score holds the classes.

    sup over 1-Lipschitz f of (mean of f on P) - (mean of f on Q) = W_1(P, Q)

(Kantorovich and Rubinstein), so the most that such a score can do is a distance of
the data.  Scores are f_c = 2 z_c / max L, of constant 1 where the logits are bounded
one by one, and f_c - f_j has constant 2 always [N9].  So if every score of the true
class is at least m / 2 and all others at most -m / 2, all radii are at least m / 2.

They are the only losses that read the level of the logits and not only their
differences: one class against the rest needs a zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stablerank.nn.losses.base import TINY, Loss, check_dial, own_class

__all__ = ["HKR", "KR", "SoftHKR"]

_LEAST, _MOST = 1e-6, 1e6


class HKR(Loss):
    """Transport between the classes, with a hinge that makes it classify.

        alpha mean max(0, m / 2 - s f) - (1 - alpha) (mean of f+ - mean of f-)

    With two classes there is one score, f = (z_1 - z_0) / L_01.  With more, every
    class is held against the rest and the mean over classes is taken; the hinge of
    the true class then counts as much as those of all others together.

    Parameters
    ----------
    alpha : float
        From 0, transport alone (robust), to 1, hinge alone (accurate).
    min_margin : float
        m: twice the wanted radius.

    References
    ----------
    Serrurier et al., "Achieving robustness in classification using optimal transport
    with hinge regularization", CVPR 2021.

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> z = torch.tensor([[0.0, 2.0], [6.0, 0.0]])  # f = 1 and -3
    >>> float(HKR(alpha=0.5)(z, torch.tensor([1, 0]), unit))
    -2.0
    """

    def __init__(self, alpha: float, min_margin: float = 1.0) -> None:
        super().__init__()
        self.alpha = check_dial("alpha", alpha, 0.0, 1.0)
        self.min_margin = check_dial("min_margin", min_margin, 0.0, _MOST)

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        if logits.shape[1] == 2:
            gap = (logits[:, 1] - logits[:, 0]) / pair_constants[0, 1].clamp_min(TINY)
            scores, positive = gap[:, None], (target == 1)[:, None]
        else:
            scores = _scores(logits, pair_constants)
            positive = own_class(logits, target)
        balance = positive * max(scores.shape[1] - 1, 1) + ~positive
        signed = torch.where(positive, scores, -scores)
        hinge = balance * (self.min_margin / 2 - signed).relu()
        transport = _transport(scores, positive, weight)
        return (self.alpha * hinge - (1 - self.alpha) * transport).mean(dim=1)


class KR(HKR):
    """Transport alone: the most robust scores, which need not classify well.

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> z = torch.tensor([[0.0, 2.0], [6.0, 0.0]])
    >>> float(KR()(z, torch.tensor([1, 0]), unit))  # - (1 - (-3))
    -4.0
    """

    def __init__(self) -> None:
        super().__init__(alpha=0.0)


class SoftHKR(Loss):
    """Hinge and transport against the rivals that matter.

        sum_j q_j (alpha max(0, m / 2 - s_j f_j) - (1 - alpha) s_j f_j)

    The true class has weight q = 1 and sign 1, its rivals have sign -1 and share a
    weight of 1 by a softmax of their scores, so that with many classes the near ones
    are not lost among the far ones.

    Parameters
    ----------
    alpha : float
        As in `HKR`.
    min_margin : float
        m, above 0.
    alpha_mean : float
        Memory of the running mean of abs(f), which sets the scale of the softmax.
    temperature : float
        Larger values leave fewer rivals: the softmax is that of temperature times m
        over the running mean, but at least m, times f.

    References
    ----------
    Serrurier et al., "On the explainable properties of 1-Lipschitz neural networks:
    an optimal transport perspective", NeurIPS 2023.

    Examples
    --------
    >>> loss = SoftHKR(alpha=1.0)
    >>> unit = 2 - 2 * torch.eye(3)
    >>> float(loss(torch.tensor([[5.0, -5.0, -5.0]]), torch.tensor([0]), unit))
    0.0
    """

    mean_score: Tensor

    def __init__(
        self,
        alpha: float = 0.9,
        min_margin: float = 1.0,
        alpha_mean: float = 0.99,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.alpha = check_dial("alpha", alpha, 0.0, 1.0)
        self.min_margin = check_dial("min_margin", min_margin, _LEAST, _MOST)
        self.alpha_mean = check_dial("alpha_mean", alpha_mean, 0.0, 1.0)
        self.temperature = check_dial("temperature", temperature, 0.0, _MOST)
        self.register_buffer("mean_score", torch.tensor(self.min_margin))

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        scores = _scores(logits, pair_constants)
        own = own_class(logits, target)
        steepness = self._steepness(scores.detach())
        shares = (steepness * scores).masked_fill(own, -math.inf).softmax(dim=1)
        shares = shares.masked_fill(own, 1.0)
        signed = torch.where(own, scores, -scores)
        hinge = (self.min_margin / 2 - signed).relu()
        each = self.alpha * hinge - (1 - self.alpha) * signed
        return (shares * each).sum(dim=1)

    def _steepness(self, scores: Tensor) -> Tensor:
        if self.training:
            self.mean_score.lerp_(
                scores.abs().mean().to(self.mean_score.dtype), 1 - self.alpha_mean
            )
        mean = self.mean_score.clamp_min(self.min_margin)
        # The bounds of the authors' code; a softmax is flat or hard beyond them.
        return (self.temperature * self.min_margin / mean).clamp(0.005, 250.0)


def _scores(logits: Tensor, pair_constants: Tensor) -> Tensor:
    return 2 * logits / pair_constants.max().clamp_min(TINY)


def _transport(scores: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
    """Summands of (mean over positives) - (mean over the others), (n, k).

    Their weighted mean over samples is that difference; a mean over no sample at all
    is left out.
    """
    mass = weight[:, None] * torch.stack([positive, ~positive])  # (2, n, k)
    total = mass.sum(dim=1)
    inverse = torch.where(total > 0, 1 / total.clamp_min(TINY), 0.0)
    sign = torch.where(positive, inverse[0], -inverse[1])
    return len(weight) * sign * scores
