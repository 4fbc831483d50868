"""Moves that need to know nothing of the model: random ones, few rows, rigid ones.

Every attack takes a claim and a random generator, and returns one moved sample for
each, about as far away as its radius.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stablerank.attack.claim import Claim
from stablerank.attack.steps import into_ball, random_step

__all__ = ["few_points", "random_directions", "rigid_moves"]

#: Long enough for every part that moves to reach the boundary of its ball.
_FAR = 1e3


def random_directions(claim: Claim, rng: np.random.Generator) -> list[Any]:
    """Every part as far as it may go, each in a random direction.

    Parameters
    ----------
    claim : Claim
        On arrays.
    rng : numpy.random.Generator
        Of the directions.
    """
    return [x + r * random_step(claim.threat, x, rng) for x, r in claim]


def few_points(claim: Claim, rng: np.random.Generator) -> list[Any]:
    """A tenth of the rows at random, the others stay.

    Parameters
    ----------
    claim, rng
        As for `random_directions`.
    """
    moved = []
    for x, r in claim:
        step = rng.normal(size=x.shape)
        step[rng.random(len(x)) < 0.9] = 0.0
        moved.append(into_ball(claim.threat, x, x + _FAR * r * step, r))
    return moved


def rigid_moves(claim: Claim, rng: np.random.Generator) -> list[Any]:
    """All rows together: a shift, or all away from the middle, or towards it.

    Parameters
    ----------
    claim, rng
        As for `random_directions`.
    """
    moved = []
    for x, r in claim:
        middle = x.mean(axis=0)
        shift = np.broadcast_to(rng.normal(size=middle.shape), x.shape)
        step = (shift, x - middle, middle - x)[int(rng.integers(3))]
        size = float(np.abs(step).max()) or 1.0
        moved.append(into_ball(claim.threat, x, x + _FAR * (r / size) * step, r))
    return moved
