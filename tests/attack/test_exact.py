"""Sizes are decided to the last ulp, and as the threats' own upper bounds say."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stablerank import (
    BottleneckBall,
    Budget,
    Displacement,
    FeatureBall,
    Hausdorff,
    PixelBudget,
    PixelSup,
    SinglePoint,
    WassersteinBall,
)
from stablerank.attack import is_within
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.metrics import Threat
from tests.estimators.problems import halves

ON_ARRAYS = [
    Displacement(),
    Displacement(weights=halves),
    Budget(),
    SinglePoint(),
    PixelSup(),
    PixelBudget(1),
    PixelBudget(2),
    PixelBudget(3),
    FeatureBall(2),
    FeatureBall(math.inf),
]


def moved_pair(threat: Threat, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(7, 2))
    step = rng.normal(size=x.shape) * 10.0 ** rng.uniform(-12, 1)
    if isinstance(threat, SinglePoint):
        step[1:] = 0.0
    return x, x + step


@pytest.mark.parametrize("threat", ON_ARRAYS, ids=str)
def test_sizes_agree_with_the_smallest_float_above_them(threat: Threat) -> None:
    for seed in range(20):
        x, x_new = moved_pair(threat, seed)
        above = threat.distance_up(x, x_new)
        assert is_within(threat, x, x_new, above)
        # For p = 3 the bound is a few ulp above the size.
        slack = 1 - 2.0**-45 if threat == PixelBudget(3) else 1.0
        assert not is_within(threat, x, x_new, math.nextafter(above * slack, 0.0))


@pytest.mark.parametrize(
    "threat",
    [BottleneckBall(), *(WassersteinBall(p, q) for p in (1, 2) for q in (p, math.inf))],
    ids=str,
)
def test_sizes_of_diagrams_agree_with_their_upper_bounds(threat: Threat) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        bars, other = (np.sort(rng.random((n, 2)), axis=1) for n in (4, 3))
        a, b = {"H1": bars, "H2": bars[:0]}, {"H1": other, "H2": bars[:1]}
        above = threat.distance_up(a, b)
        assert is_within(threat, a, b, above)
        assert not is_within(threat, a, b, above * (1 - 2.0**-40))


def test_two_moved_points_are_no_single_point() -> None:
    x, x_new = np.zeros((3, 2)), np.zeros((3, 2))
    x_new[0] = x_new[1] = 1e-300
    assert not is_within(SinglePoint(), x, x_new, 1.0)
    assert is_within(SinglePoint(), x, x, 0.0)


def test_essential_bars_may_move_and_never_appear() -> None:
    a, b = {"H0": [[0.0, math.inf]]}, {"H0": [[0.5, math.inf]]}
    assert is_within(BottleneckBall(), a, b, 0.5)
    assert not is_within(BottleneckBall(), a, b, math.nextafter(0.5, 0))
    assert not is_within(BottleneckBall(), a, {"H0": np.empty((0, 2))}, 9.0)


def test_a_sum_of_squares_is_decided_where_floats_would_round() -> None:
    step = np.array([3.0, 4.0, 2.0**-30])
    assert Fraction(5.0) ** 2 < sum(Fraction(s) ** 2 for s in step.tolist())
    assert np.sqrt((step**2).sum()) == 5.0
    assert not is_within(FeatureBall(2), np.zeros(3), step, 5.0)


def test_an_infinite_radius_holds_everything() -> None:
    assert is_within(Budget(), [[0.0]], [[1e300]], math.inf)


def test_what_is_not_rational_is_refused() -> None:
    x = np.zeros((2, 2))
    with pytest.raises(InvalidInputError, match="not rational"):
        is_within(PixelBudget(1.5), x, x, 1.0)
    bars = {"H1": [[0.0, 1.0]]}
    with pytest.raises(InvalidInputError, match="not rational"):
        is_within(WassersteinBall(1, 2), bars, bars, 1.0)
    with pytest.raises(InvalidInputError, match="not decided"):
        is_within(Hausdorff(), x, x, 1.0)
    with pytest.raises(ShapeError, match="a move from shape"):
        is_within(Budget(), x, x[:1], 1.0)
