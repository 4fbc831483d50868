"""What must hold of the certificates of planted nets."""

from __future__ import annotations

import numpy as np

from stablerank.attack import Claim, Planted, Verdict, verdicts
from stablerank.certify import certify
from tests.checks import assert_sound


def certified(net: Planted) -> Claim:
    return net.claim(certify(net.program, net.data, net.threat, net.bounds))


def check_sound(net: Planted) -> None:
    """Assert that nothing flips within the radius of a planted net."""
    assert_sound(certified(net))


def check_tight(net: Planted, factor: float) -> None:
    """Assert that some sample flips a little beyond the radius of a planted net."""
    claim = certified(net)
    beyond = claim.at(np.arange(len(claim)), factor)
    found = verdicts(beyond, np.random.default_rng(0))
    hits = sum(found.values(), Verdict()).succeeded
    assert hits, f"nothing flips at {factor:g} times the radius"
