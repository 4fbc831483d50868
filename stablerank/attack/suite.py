"""Which attacks there are for which model, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from stablerank.attack.claim import Claim
from stablerank.attack.diagrams import bar_directions, bar_steps
from stablerank.attack.directions import few_points, random_directions, rigid_moves
from stablerank.attack.gradients import critical_moves, gradient_steps
from stablerank.attack.judge import Verdict, judge
from stablerank.attack.rounding import rounding_search
from stablerank.attack.targets import DiagramTarget, SampleTarget, Target

__all__ = ["Attack", "attacks_on", "verdicts"]

#: From a claim and a random generator to one moved sample for each.
Attack = Callable[[Claim, np.random.Generator], list[Any]]

_ON_BARS: dict[str, Attack] = {
    "bars: random": bar_directions,
    "bars: down the margin": bar_steps,
}
_ON_ARRAYS: dict[str, Attack] = {
    "random directions": random_directions,
    "few points": few_points,
    "gradient steps": gradient_steps,
    "rounding search": rounding_search,
}
_ON_SAMPLES: dict[str, Attack] = {
    **_ON_ARRAYS,
    "rigid moves": rigid_moves,
    "critical edges": critical_moves,
    "critical edges, next": partial(critical_moves, rank=1),
    "critical edges, reversed": partial(critical_moves, reverse=True),
}


def attacks_on(target: Target) -> dict[str, Attack]:
    """Return the attacks that apply, by name.

    Parameters
    ----------
    target : Target
        On samples, on diagrams or on vectors.
    """
    if isinstance(target, DiagramTarget):
        return dict(_ON_BARS)
    return dict(_ON_SAMPLES if isinstance(target, SampleTarget) else _ON_ARRAYS)


def verdicts(
    claim: Claim,
    rng: np.random.Generator,
    attacks: Mapping[str, Attack] | None = None,
) -> dict[str, Verdict]:
    """Run attacks, and judge what they found.

    Parameters
    ----------
    claim : Claim
        What is attacked.
    rng : numpy.random.Generator
        Of everything random.
    attacks : mapping from name to attack, optional
        By default all that apply.

    Returns
    -------
    dict of str to Verdict
        By attack.

    Examples
    --------
    >>> from stablerank.attack import PLANTED
    >>> from stablerank.certify import certify
    >>> net = PLANTED["row sum"]()
    >>> claim = net.claim(certify(net.program, net.data, net.threat))
    >>> rng = np.random.default_rng(0)
    >>> sum(verdicts(claim, rng).values(), Verdict()).succeeded
    0
    >>> beyond = claim.at(np.arange(len(claim)), 1.5)
    >>> verdicts(beyond, rng)["gradient steps"].succeeded == len(claim)
    True
    """
    chosen = attacks_on(claim.target) if attacks is None else attacks
    return {name: judge(claim, attack(claim, rng)) for name, attack in chosen.items()}
