"""The search for what rounding leaves open: single ulps, at the edge of the claim.

Certificates in real numbers are broken by floats: a margin that is positive only in
exact arithmetic, a radius rounded up, a sum that depends on its order.  So the attacks
here fill the ball to the last ulp, walk in steps of `nextafter`, and look for samples
that are only just certified, where the margin is as small as what rounding is charged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.attack.claim import Claim
from stablerank.attack.exact import is_within
from stablerank.attack.gradients import gradient_steps
from stablerank.attack.targets import margins
from stablerank.metrics import Threat

__all__ = ["barely_certified", "fill_ball", "rounding_search", "ulp_walk"]

Array = NDArray[np.float64]


def fill_ball(threat: Threat, x: Array, x_new: Array, radius: float) -> Array:
    """The farthest point on the way from x through x_new that is within the radius.

    Parameters
    ----------
    threat : Threat
        On arrays.
    x, x_new : ndarray
        Two points of the way.
    radius : float
        Finite; sizes are decided in rational numbers.

    Examples
    --------
    >>> from stablerank import FeatureBall
    >>> fill_ball(FeatureBall(), np.array([-1.0]), np.array([0.5]), 1.0)
    array([0.])
    """
    step, size = x_new - x, threat.distance_up(x, x_new)
    if size == 0 or math.isinf(size) or math.isinf(radius):
        return x_new
    share = radius / size
    shares = share * np.array([0.0, 1 - 2.0**-30, 1 + 2.0**-30])
    inside = [is_within(threat, x, x + s * step, radius) for s in shares.tolist()]
    last = max(k for k, fits in enumerate(inside) if fits)  # 0 always does
    low, high = (float(s) for s in shares[[last, min(last + 1, 2)]])
    middle = (low + high) / 2
    while low < middle < high:
        if is_within(threat, x, x + middle * step, radius):
            low = middle
        else:
            high = middle
        middle = (low + high) / 2
    return np.asarray(x + low * step)


def ulp_walk(
    claim: Claim,
    rng: np.random.Generator,
    *,
    start: Sequence[Any] | None = None,
    steps: int = 8,
) -> list[Any]:
    """Walk by single ulps of some coordinates, where that lowers the margin.

    Parameters
    ----------
    claim : Claim
        On arrays.
    rng : numpy.random.Generator
        Of the coordinates and ways.
    start : sequence of ndarray, optional
        Where the walks start; by default at the samples.
    steps : int
        How many are tried.
    """
    target, here = claim.target, list(claim.samples if start is None else start)
    value = margins(target.logits(here), claim.label)
    for _ in range(steps):
        tried = []
        for (x, r), now in zip(claim, here, strict=True):
            ways = rng.choice([-np.inf, np.inf], now.shape)
            chosen = rng.random(now.shape) < rng.choice([0.1, 0.5, 1.0])
            step = np.where(chosen, np.nextafter(now, ways), now)
            tried.append(step if is_within(claim.threat, x, step, r) else now)
        found = margins(target.logits(tried), claim.label)
        for i in np.flatnonzero(found <= value).tolist():
            here[i], value[i] = tried[i], found[i]
    return here


def rounding_search(claim: Claim, rng: np.random.Generator) -> list[Any]:
    """Descend, go on to the very edge of the ball, and walk along it by ulps.

    Parameters
    ----------
    claim, rng
        As for `ulp_walk`.
    """
    lower = gradient_steps(claim, rng)
    edge = [
        fill_ball(claim.threat, x, now, r)
        for (x, r), now in zip(claim, lower, strict=True)
    ]
    return ulp_walk(claim, rng, start=edge)


def barely_certified(
    holds: Callable[[list[Any]], NDArray[np.bool_]],
    sure: Sequence[Any],
    other: Sequence[Any],
    steps: int = 60,
) -> list[Any]:
    """Samples on the ways from `sure` to `other` that are only just certified.

    Parameters
    ----------
    holds : callable
        Whether samples are certified with the label of those in `sure`.
    sure : sequence of ndarray
        Where each way starts; all are certified.
    other : sequence of ndarray
        Where it leads: to another label.
    steps : int
        Halvings of the way.

    Returns
    -------
    list of ndarray
        All certified, and a last halving away from a point that is not.

    Examples
    --------
    >>> certified = lambda rows: np.asarray(rows)[:, 0] > 1.0
    >>> (x,) = barely_certified(certified, [np.array([2.0])], [np.array([0.0])])
    >>> bool(1.0 < x[0] < 1.0 + 1e-15)
    True
    """
    inside, outside = list(sure), list(other)
    for _ in range(steps if inside else 0):
        middle = [(a + b) / 2 for a, b in zip(inside, outside, strict=True)]
        for i, certified in enumerate(holds(middle).tolist()):
            (inside if certified else outside)[i] = middle[i]
    return inside
