"""Moves along gradients: down the margin in steps, and along single bars.

`gradient_steps` descends the margin inside the ball.  `critical_moves` moves only the
vertices that set one end of one bar, as far as they may go: where the margin hangs on
that end, this attains the theorem of the extractor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablerank.attack.claim import Claim
from stablerank.attack.steps import into_ball, random_step, steepest_step
from stablerank.attack.targets import margins

__all__ = ["critical_moves", "gradient_steps"]


def gradient_steps(
    claim: Claim, rng: np.random.Generator, sizes: Sequence[float] = (1.0, 0.5, 0.25)
) -> list[Any]:
    """Descend the margin inside the ball; the lowest point met is returned.

    Parameters
    ----------
    claim : Claim
        On arrays.
    rng : numpy.random.Generator
        Of steps where there is no slope.
    sizes : sequence of float
        Of the steps, in radii.

    Examples
    --------
    >>> from stablerank import FeatureBall
    >>> from stablerank.attack import VectorTarget
    >>> from stablerank.frozen import Affine, Program, VectorInput
    >>> head = Affine((0,), np.array([[1.0, 2.0], [0.0, 0.0]]), np.zeros(2))
    >>> target = VectorTarget(Program((VectorInput(2, np.inf, 8.0),), (head,)))
    >>> label, radius = np.array([0]), np.array([0.5])
    >>> claim = Claim(target, FeatureBall(), np.ones((1, 2)), label, radius)
    >>> gradient_steps(claim, np.random.default_rng(0))
    [array([0.5, 0.5])]
    """
    threat, target, label = claim.threat, claim.target, claim.label
    here, best = list(claim.samples), list(claim.samples)
    lowest = margins(target.logits(here), label)
    for size in sizes:
        slopes = target.slopes(here, label)
        for i, (x, r) in enumerate(claim):
            if slopes[i].any():
                step = steepest_step(threat, x, slopes[i])
            else:
                step = random_step(threat, x, rng)
            here[i] = into_ball(threat, x, here[i] + size * r * step, r)
        found = margins(target.logits(here), label)
        for i in np.flatnonzero(found < lowest).tolist():
            best[i], lowest[i] = here[i], found[i]
    return best


def critical_moves(
    claim: Claim, rng: np.random.Generator, rank: int = 0, reverse: bool = False
) -> list[Any]:
    """Move the vertices that set one end of one bar, to lower the margin.

    Parameters
    ----------
    claim : Claim
        On samples that an extractor reads.
    rng : ignored
        Nothing here is random.
    rank : int
        0: the end on which the margin depends most; 1: the next one, and so on.
    reverse : bool
        Move them the other way, up the margin: to where it may have a cliff.
    """
    dgms, slopes = claim.target.bar_slopes(claim.samples, claim.label)
    chosen = np.zeros(slopes.shape)
    for start, end in zip(dgms.offsets[:, 0], dgms.offsets[:, -1], strict=True):
        own = slopes[start:end].ravel()
        if rank < len(own):
            place = int(np.argsort(-np.abs(own), kind="stable")[rank])
            chosen[start:end].reshape(-1)[place] = own[place]
    way = -1.0 if reverse else 1.0
    gradients = claim.target.telling.pullback(claim.samples, dgms, way * chosen)
    return [
        x + r * steepest_step(claim.threat, x, gradient)
        for (x, r), gradient in zip(claim, gradients, strict=True)
    ]
