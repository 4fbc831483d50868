"""Cross-entropies of radii: soft counts of the rivals that come too close.

All are log(1 + sum over rivals of exp(energy_j)) with an energy that falls with the
radius r_j; they differ in where it is 0 (offset), how steeply it falls (temperature)
and what becomes of samples that are far from there (exponents).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stablerank.exceptions import InvalidInputError
from stablerank.nn.losses.base import (
    TINY,
    Loss,
    check_dial,
    pairwise_radii,
    rival_sum,
)

__all__ = [
    "CalibratedMargin",
    "LogitAnnealing",
    "OffsetCrossEntropy",
    "TemperatureCrossEntropy",
]

#: Dials that are divided by must not vanish; larger ones would overflow float32.
_LEAST, _MOST = 1e-6, 1e6


class OffsetCrossEntropy(Loss):
    """Cross-entropy on T (o - r), averaged over the wanted radii o: the default.

        mean over offsets o of log(1 + sum_j exp(T (o - r_j)))

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

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        radii = pairwise_radii(logits, target, pair_constants)
        offsets = self.offsets.to(logits.dtype)
        energy = self.temperature * (offsets[:, None, None] - radii)  # (o, n, classes)
        losses = rival_sum(energy, target)  # (o, n)
        q = self.exponents.to(logits.dtype)[:, None]
        bounded = -torch.expm1(-q * losses) / q.clamp_min(TINY)
        return torch.where(q > 0, bounded, losses).mean(dim=0)


class TemperatureCrossEntropy(Loss):
    """Cross-entropy of tau times the logits, over tau.

        log(1 + sum_j exp(-2 tau r_j)) / tau

    One dial between robust and accurate: for small tau every sample pulls alike and
    margins grow on average, at the price of errors; for large tau only the samples
    near the boundary pull.

    Parameters
    ----------
    tau : float
        Inverse temperature.

    References
    ----------
    Béthune et al., "Pay attention to your loss: understanding misconceptions about
    1-Lipschitz neural networks", NeurIPS 2022.

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> loss = TemperatureCrossEntropy(tau=2.0)
    >>> round(float(loss(torch.zeros(1, 2), torch.tensor([0]), unit)), 4)  # log(2) / 2
    0.3466
    """

    def __init__(self, tau: float) -> None:
        super().__init__()
        self.tau = check_dial("tau", tau, _LEAST, _MOST)

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        radii = pairwise_radii(logits, target, pair_constants)
        return rival_sum(-2 * self.tau * radii, target) / self.tau


class LogitAnnealing(Loss):
    """Offset cross-entropy whose pull fades on samples that have their margin.

        T (1 - p)^beta (-log p),    -log p = log(1 + sum_j exp((offset - 2 r_j) / T))

    A plain offset cross-entropy goes on to enlarge margins that are large already; a
    network of bounded slope pays for that with those that are small.

    Parameters
    ----------
    offset : float
        Margin wanted: twice the radius.
    temperature : float
        T.
    beta : float
        0 is the plain offset cross-entropy.

    Notes
    -----
    BRONet puts it on the logits of EMMA, so that a head without bound stays short;
    here radii are divided by the constants, which does that.  The factor alpha of the
    paper's convolutional networks is a learning rate and left to it.

    References
    ----------
    Lai et al., "Enhancing certified robustness via block reflector orthogonal layers
    and logit annealing loss", ICML 2025.

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> z, y = torch.tensor([[4.0, 0.0]]), torch.tensor([0])
    >>> plain, annealed = LogitAnnealing(beta=0.0), LogitAnnealing(beta=5.0)
    >>> bool(annealed(z, y, unit) < 1e-5 * plain(z, y, unit))
    True
    """

    def __init__(
        self, offset: float = 2.0, temperature: float = 0.75, beta: float = 5.0
    ) -> None:
        super().__init__()
        self.offset = check_dial("offset", offset, 0.0, _MOST)
        self.temperature = check_dial("temperature", temperature, _LEAST, _MOST)
        self.beta = check_dial("beta", beta, 0.0, _MOST)

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        radii = pairwise_radii(logits, target, pair_constants)
        losses = rival_sum((self.offset - 2 * radii) / self.temperature, target)
        # At p = 1 a power below 1 has no derivative.
        missing = (-torch.expm1(-losses)).clamp_min(TINY)
        return self.temperature * missing**self.beta * losses


class CalibratedMargin(Loss):
    """Cross-entropy whose width is measured in units of the wanted radius.

        log(1 + sum_j exp((2 epsilon - r_j) / s)) + lambda_ max L^2,
        s = 2 epsilon / Q,    Q = 2 log((2 - p) / p)

    Q is the distance between the quantiles p / 2 and 1 - p / 2 of the logistic
    distribution.  So against one rival the true class has probability p / 2 at the
    radius epsilon and 1 - p / 2 at 3 epsilon, whatever the constants: p is the slack.

    Parameters
    ----------
    epsilon : float
        Wanted radius.
    p : float
        Slack in (0, 1): small values separate hard.
    lambda_ : float
        Weight of the largest constant squared.  The constants in the radii are not
        trained, as in the paper: only this term shrinks them.

    References
    ----------
    Losch et al., "Certified robust models with slack control and large Lipschitz
    constants", GCPR 2023.

    Examples
    --------
    >>> unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> loss = CalibratedMargin(epsilon=0.5, p=0.1)
    >>> z = torch.tensor([[2.0, 0.0]])  # at a radius of 2 epsilon
    >>> round(float(loss(z, torch.tensor([0]), unit)), 4)  # log(2)
    0.6931
    """

    def __init__(self, epsilon: float, p: float = 0.1, lambda_: float = 0.0) -> None:
        super().__init__()
        self.epsilon = check_dial("epsilon", epsilon, _LEAST, _MOST)
        self.p = check_dial("p", p, _LEAST, 1 - _LEAST)
        self.lambda_ = check_dial("lambda_", lambda_, 0.0, _MOST)

    def _costs(
        self, logits: Tensor, target: Tensor, pair_constants: Tensor, weight: Tensor
    ) -> Tensor:
        radii = pairwise_radii(logits, target, pair_constants.detach())
        quantiles = 2 * math.log((2 - self.p) / self.p)
        slope = quantiles / (2 * self.epsilon)
        losses = rival_sum(slope * (2 * self.epsilon - radii), target)
        return losses + self.lambda_ * pair_constants.max().square()
