"""Steps have size 1, gain what a step can gain, and end in the ball."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stablerank import (
    Budget,
    Displacement,
    FeatureBall,
    Hausdorff,
    PixelBudget,
    PixelSup,
    SinglePoint,
)
from stablerank.attack.steps import into_ball, random_step, steepest_step
from stablerank.exceptions import InvalidInputError
from stablerank.metrics import Threat
from tests.estimators.problems import halves

THREATS = [
    Displacement(),
    Displacement(weights=halves),
    Budget(),
    SinglePoint(),
    PixelSup(),
    PixelBudget(1),
    PixelBudget(2),
    FeatureBall(2),
    FeatureBall(math.inf),
]


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_steps_are_as_long_as_they_may_be(threat: Threat) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2))
    for step in (random_step(threat, x, rng), steepest_step(threat, x, x - 0.1)):
        assert threat.distance_up(0 * x, step) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_no_other_step_gains_more_to_first_order(threat: Threat) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 2))
    slope = rng.normal(size=x.shape)
    best = (steepest_step(threat, x, slope) * slope).sum()
    assert best < 0
    for _ in range(200):
        other = random_step(threat, x, rng)
        assert (other * slope).sum() >= best - 1e-12


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_what_went_too_far_comes_back_to_the_boundary(threat: Threat) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6, 2))
    for reach in (0.1, 10.0):
        back = into_ball(threat, x, x + reach * rng.normal(size=x.shape), 0.25)
        assert threat.distance_up(x, back) <= 0.25 * (1 + 1e-12)
    assert threat.distance_up(x, back) == pytest.approx(0.25, rel=1e-12)


def test_what_is_inside_stays_where_it_is() -> None:
    x = np.zeros((3, 2))
    inside = np.full((3, 2), 0.1)
    for threat in (Displacement(), Budget(), PixelSup(), FeatureBall(2)):
        assert np.array_equal(into_ball(threat, x, inside, 1.0), inside)


def test_a_threat_without_steps_is_named() -> None:
    with pytest.raises(InvalidInputError, match="no steps are known for the Hausdorff"):
        random_step(Hausdorff(), np.zeros((2, 2)), np.random.default_rng(0))
