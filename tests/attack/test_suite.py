"""Every attack gives one moved sample for each, about as far away as its radius."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank.attack import PLANTED, attacks_on
from tests.soundness.planted import certified

NETS = ["largest gap, budget", "valley", "two degrees", "sum of all bars", "row sum"]


@pytest.mark.parametrize("name", NETS)
def test_attacks_stay_near_the_ball_and_are_repeatable(name: str) -> None:
    claim = certified(PLANTED[name]())
    for attack in attacks_on(claim.target).values():
        one, two = (attack(claim, np.random.default_rng(3)) for _ in range(2))
        assert len(one) == len(claim)
        for (x, r), moved, again in zip(claim, one, two, strict=True):
            size = claim.threat.distance_up(x, moved)
            assert size <= r * (1 + 1e-9) + 1e-14
            assert claim.threat.distance_up(moved, again) == 0
