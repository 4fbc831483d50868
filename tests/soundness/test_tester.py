"""The tester is tested: one ulp more than is sound, and `assert_sound` says so.

Logits that are copies of the features are computed without any rounding, so the exact
radius is half their gap; at that distance they tie, a tie goes to the first class, and
the largest sound radius is the float before.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from stablerank.attack import Claim, VectorTarget
from stablerank.certify import certify
from stablerank.frozen import Abs, Program, VectorInput
from stablerank.metrics import FeatureBall
from tests.checks import assert_sound

PROGRAM = Program((VectorInput(2, math.inf, 64.0),), (Abs((0,)),))
BALL = FeatureBall(math.inf)
# The gaps are such that the middle is a float, and can be reached.
ROWS = [(1.0, 3.0), (0.5, 0.75), (10.0, 42.0), (1.0, 1.0625)]


def claimed(row: tuple[float, float], radius: float) -> Claim:
    target = VectorTarget(PROGRAM)
    return Claim(target, BALL, [np.array(row)], np.array([1]), np.array([radius]))


@pytest.mark.parametrize("row", ROWS)
def test_the_tester_fails_on_a_radius_that_is_one_ulp_too_large(
    row: tuple[float, float],
) -> None:
    exact = (row[1] - row[0]) / 2
    assert_sound(claimed(row, math.nextafter(exact, 0.0)))
    with pytest.raises(AssertionError, match="changes its label at"):
        assert_sound(claimed(row, exact))


@pytest.mark.parametrize("row", ROWS)
def test_the_certified_radius_is_the_largest_sound_one(
    row: tuple[float, float],
) -> None:
    cert = certify(PROGRAM, [row], BALL)
    assert cert.radius[0] == math.nextafter((row[1] - row[0]) / 2, 0.0)


def test_the_tester_refuses_to_pass_where_nothing_is_claimed() -> None:
    with pytest.raises(AssertionError, match="nothing is tested"):
        assert_sound(claimed((1.0, 3.0), 1.0).at(np.arange(0)))
