"""Attacks: the search for what a certificate says does not exist.

A certificate claims that no input within its radius gets another label from `predict`.
The attacks here look for one; `judge` decides in rational numbers whether what they
found counts.  An attack that never succeeds is broken, so each is also run beyond the
radius, on nets that are planted to flip there.
"""

from stablerank.attack.claim import Claim
from stablerank.attack.diagrams import bar_directions, bar_steps
from stablerank.attack.directions import few_points, random_directions, rigid_moves
from stablerank.attack.exact import is_within
from stablerank.attack.gradients import critical_moves, gradient_steps
from stablerank.attack.judge import Verdict, judge
from stablerank.attack.planted import PLANTED, Planted
from stablerank.attack.random_programs import (
    random_bar_program,
    random_diagrams,
    random_program,
)
from stablerank.attack.rounding import (
    barely_certified,
    fill_ball,
    rounding_search,
    ulp_walk,
)
from stablerank.attack.suite import Attack, attacks_on, verdicts
from stablerank.attack.targets import DiagramTarget, SampleTarget, Target, VectorTarget

__all__ = [
    "PLANTED",
    "Attack",
    "Claim",
    "DiagramTarget",
    "Planted",
    "SampleTarget",
    "Target",
    "VectorTarget",
    "Verdict",
    "attacks_on",
    "bar_directions",
    "bar_steps",
    "barely_certified",
    "critical_moves",
    "few_points",
    "fill_ball",
    "gradient_steps",
    "is_within",
    "judge",
    "random_bar_program",
    "random_diagrams",
    "random_directions",
    "random_program",
    "rigid_moves",
    "rounding_search",
    "ulp_walk",
    "verdicts",
]
