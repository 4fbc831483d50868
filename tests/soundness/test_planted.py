"""On nets with a known radius certificates hold, and attacks win just beyond them."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank.attack import PLANTED, Verdict, attacks_on, verdicts
from tests.soundness.planted import certified, check_sound, check_tight


@pytest.mark.parametrize("name", list(PLANTED))
def test_no_attack_succeeds_within_the_radius_of_a_planted_net(name: str) -> None:
    check_sound(PLANTED[name]())


@pytest.mark.parametrize("name", list(PLANTED))
def test_attacks_succeed_a_hundredth_beyond_the_radius(name: str) -> None:
    check_tight(PLANTED[name](), 1.01)


def test_no_attack_is_idle() -> None:
    names = ["valley", "filled ring", "sum of all bars", "singular direction"]
    total: dict[str, Verdict] = {}
    for name in names:
        claim = certified(PLANTED[name]())
        for factor in (1.5, 5.0):
            beyond = claim.at(np.arange(len(claim)), factor)
            found = verdicts(beyond, np.random.default_rng(0))
            assert sum(found.values(), Verdict()).succeeded, (name, factor)
            for attack, verdict in found.items():
                total[attack] = total.get(attack, Verdict()) + verdict
    assert set(total) >= set(attacks_on(claim.target))
    assert all(verdict.succeeded for verdict in total.values()), total
