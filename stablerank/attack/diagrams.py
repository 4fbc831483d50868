"""Moves of the bars themselves, for threats on diagrams.

Bars move within their ball, matched to themselves; new bars of twice the radius come
out of the diagonal, where they cost no more than the others.  A Wasserstein budget is
spent on the bar that gains most, or shared.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stablerank.attack.claim import Claim
from stablerank.attack.targets import Bars, margins
from stablerank.frozen import BarInput, Program
from stablerank.metrics import BottleneckBall, Threat, WassersteinBall

__all__ = ["bar_directions", "bar_steps"]

Array = NDArray[np.float64]

#: Moved ends are rounded; this much of the radius is left for that.
_INSIDE = 1 - 2.0**-40


def _unit_step(threat: Threat, slope: Array) -> Array:
    """Step of size 1 of the bars (m, 2) of a channel, down a function's slope."""
    p = q = math.inf
    if isinstance(threat, WassersteinBall):
        p, q = threat.p, threat.ground
    step, gain = _ground_step(slope, q)
    if math.isinf(p) or not len(gain):
        return step
    if p == 1:  # all of it on the bar that gains most
        share = (np.arange(len(gain)) == gain.argmax()).astype(np.float64)
    else:
        total = float(np.linalg.norm(gain))
        share = gain / total if total > 0 else gain
    return step * share[:, None]


def _ground_step(slope: Array, q: float) -> tuple[Array, Array]:
    """Steps of size 1 in l_q, one a bar, and what each gains."""
    size = np.abs(slope)
    if math.isinf(q):
        return -np.sign(slope), size.sum(axis=1)
    if q == 1:
        alone = size == size.max(axis=1, keepdims=True)
        alone[:, 1] &= ~alone[:, 0]  # one end, where both gain the same
        return -np.sign(slope) * alone, size.max(axis=1)
    gain = np.linalg.norm(slope, axis=1)
    unit = np.zeros_like(slope)
    np.divide(slope, gain[:, None], out=unit, where=gain[:, None] > 0)
    return -unit, gain


def _moved(bars: Array, step: Array, pinned: bool) -> Array:
    """Bars after a step; what crosses the diagonal has ended on it."""
    if pinned:  # H0 of points is born at 0, and stays so
        step = step * [0.0, 1.0]
    moved = bars + step
    return np.asarray(moved[moved[:, 1] > moved[:, 0]])


def _pinned(program: Program) -> set[str]:
    return {i.channel for i in program.inputs if isinstance(i, BarInput) and i.pinned}


def bar_directions(claim: Claim, rng: np.random.Generator) -> list[Bars]:
    """All bars in random directions; in a bottleneck ball a new bar as well.

    Parameters
    ----------
    claim : Claim
        On mappings from channel to finite bars; every channel may move as far.
    rng : numpy.random.Generator
        Of the directions.
    """
    pinned, result = _pinned(claim.target.program), []
    for sample, radius in claim:
        r, moved = _INSIDE * radius, {}
        for name, bars in sample.items():
            step = r * _unit_step(claim.threat, rng.normal(size=bars.shape))
            moved[name] = _moved(bars, step, name in pinned)
            if isinstance(claim.threat, BottleneckBall) and len(bars):
                middle = rng.uniform(bars[:, 0].min(), bars[:, 1].max())
                low = 0.0 if name in pinned else middle - r
                born = np.array([[low, low + 2 * r]])
                moved[name] = np.concatenate([moved[name], born])
        result.append(moved)
    return result


def bar_steps(claim: Claim, rng: np.random.Generator) -> list[Bars]:
    """Straight down the margin, all the way, or half of it where that is lower.

    Parameters
    ----------
    claim : Claim
        As for `bar_directions`.
    rng : ignored
        Nothing here is random.
    """
    target, pinned = claim.target, _pinned(claim.target.program)
    best = list(claim.samples)
    lowest = margins(target.logits(best), claim.label)
    slopes = target.slopes(best, claim.label)
    for share in (1.0, 0.5):
        tried = []
        for (sample, r), slope in zip(claim, slopes, strict=True):
            size = share * _INSIDE * r
            steps = {name: _unit_step(claim.threat, slope[name]) for name in sample}
            tried.append(
                {
                    name: _moved(bars, size * steps[name], name in pinned)
                    for name, bars in sample.items()
                }
            )
        found = margins(target.logits(tried), claim.label)
        for i in np.flatnonzero(found < lowest).tolist():
            best[i], lowest[i] = tried[i], found[i]
    return best
