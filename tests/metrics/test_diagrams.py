"""Threats to diagrams: sizes over channels, and projections along a matching."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from stablerank.diagrams import Diagrams
from stablerank.exceptions import (
    DataTypeError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
)
from stablerank.matching import bottleneck_distance, wasserstein_distance
from stablerank.metrics import BottleneckBall, Threat, WassersteinBall
from tests.checks import above, exact_bottleneck, exact_wasserstein_power
from tests.strategies import Bars, diagrams, dyadic, dyadic_sizes

THREATS: list[Threat] = [
    BottleneckBall(),
    WassersteinBall(1),
    WassersteinBall(2),
    WassersteinBall(3, math.inf),
]
threats = pytest.mark.parametrize("threat", THREATS, ids=str)
INF = math.inf

Sample = dict[str, Bars]


@st.composite
def samples(draw: st.DrawFn, essential: int = 1) -> Sample:
    """Two channels, the first with a fixed number of essential bars."""
    births = sorted(draw(dyadic) for _ in range(essential))
    alive = np.array([(b, INF) for b in births]).reshape(-1, 2)
    return {
        "H0": np.concatenate([draw(diagrams(3)), alive]),
        "H1": draw(diagrams(3, st.floats(-9, 9), st.floats(1e-3, 9))),
    }


def finite(bars: Bars) -> Bars:
    return bars[np.isfinite(bars[:, 1])]


@given(pair=st.tuples(samples(), samples()))
def test_the_size_is_the_largest_over_channels_and_essential_births(
    pair: tuple[Sample, Sample],
) -> None:
    x, x_new = pair
    birth_move = abs(x["H0"][-1, 0] - x_new["H0"][-1, 0])
    by_channel = [(finite(x[c]), finite(x_new[c])) for c in ("H0", "H1")]
    size = BottleneckBall().distance_up(x, x_new)
    assert size == max(birth_move, *(bottleneck_distance(*p) for p in by_channel))
    exact = max(exact_bottleneck(*p) for p in by_channel)
    assert above(size, exact)
    size = WassersteinBall(2).distance_up(x, x_new)
    assert size == max(
        birth_move, *(wasserstein_distance(*p, 2, 2) for p in by_channel)
    )
    assert above(size, max(exact_wasserstein_power(*p, 2, 2) for p in by_channel), 2)


@threats
@given(
    pair=st.tuples(samples(), samples()),
    radius=st.one_of(st.floats(0, 1), st.floats(0, 40), st.sampled_from([0.0, 1e-300])),
)
def test_projections_stay_in_the_ball_and_leave_alone_what_is_inside(
    threat: Threat, pair: tuple[Sample, Sample], radius: float
) -> None:
    x, x_new = pair
    projected = threat.project(x, x_new, radius)
    assert threat.distance_up(x, projected) <= radius
    assert list(projected) == list(x)
    for bars in projected.values():
        assert (bars[:, 0] <= bars[:, 1]).all()
    if threat.distance_up(x, x_new) <= radius:
        for channel in x:
            np.testing.assert_array_equal(projected[channel], x_new[channel])


@threats
@given(pair=st.tuples(diagrams(3), diagrams(3)))
@example(pair=(np.empty((0, 2)), np.array([[0.0, 4.0]])))
@example(pair=(np.array([[0.0, 4.0]]), np.empty((0, 2))))
def test_a_projection_goes_almost_to_the_boundary(
    threat: Threat, pair: tuple[Bars, Bars]
) -> None:
    size = threat.distance_up(*pair)
    assume(size > 0)
    (projected,) = threat.project(*pair, size / 2).values()
    assert threat.distance_up(pair[0], projected) >= size / 2 * (1 - 1e-9)


@threats
@given(x=samples(), x_new=samples(essential=2))
def test_other_numbers_of_essential_bars_are_infinitely_far(
    threat: Threat, x: Sample, x_new: Sample
) -> None:
    assert threat.distance_up(x, x_new) == INF
    assert threat.distance_up(x, threat.project(x, x_new, 0.5)) <= 0.5


@threats
def test_essential_bars_are_matched_in_order_of_birth(threat: Threat) -> None:
    x = [[[3.0, INF], [0.0, INF]]]
    x_new = [[[0.25, INF], [3.0, INF]]]
    assert 0.25 <= threat.distance_up(x, x_new) <= 0.25 * (1 + 1e-14)
    projected = threat.project(x, x_new, 0.125)
    np.testing.assert_array_equal(projected[0], x[0])


@threats
def test_all_forms_of_a_sample_are_read(threat: Threat) -> None:
    bars, moved = [[(0.0, 2.0)], []], [[(0.0, 2.5)], [(1.0, 1.5)]]
    size = threat.distance_up(bars, moved)
    named = [dict(zip(("H0", "H1"), sample, strict=True)) for sample in (bars, moved)]
    assert threat.distance_up(*named) == size
    packed = Diagrams.from_list([bars, moved])
    assert threat.distance_up(packed[0], packed[1]) == size
    one, other = np.array([[0.0, 2.0]]), np.array([[0.0, 2.5]])
    assert threat.distance_up(one, other) == threat.distance_up([one], [other])


@threats
def test_empty_channels_are_equal(threat: Threat) -> None:
    empty = {"H0": np.empty((0, 2)), "H1": []}
    assert threat.distance_up(empty, empty) == 0
    assert all(len(b) == 0 for b in threat.project(empty, empty, 0.0).values())


@threats
@pytest.mark.parametrize(
    ("bars", "error", "words"),
    [
        ([[0.0, math.nan]], NonFiniteError, "channel 'H1' holds NaN"),
        ([[-INF, 1.0]], NonFiniteError, "infinite birth"),
        ([[INF, INF]], NonFiniteError, "infinite birth"),
        ([[0.0, 1.0], [1.0, 0.0]], InvalidInputError, "row 1: death < birth"),
        ([[0.0, -INF]], InvalidInputError, "row 0: death < birth"),
        ([0.0, 1.0], ShapeError, r"\(2,\); bars have shape"),
        ([[0.0, 1.0, 0.0, 1.0]], ShapeError, r"\(1, 4\); bars have shape"),
        ([["a", "b"]], DataTypeError, "give real numbers"),
    ],
)
def test_arrays_that_are_no_diagrams_are_named(
    threat: Threat, bars: Any, error: type[Exception], words: str
) -> None:
    good = {"H0": [[0.0, 1.0]], "H1": [[0.0, 1.0]]}
    with pytest.raises(error, match=words):
        threat.distance_up(good, good | {"H1": bars})
    with pytest.raises(error, match=words):
        threat.project(good | {"H1": bars}, good, 1.0)


@threats
def test_other_channels_are_named(threat: Threat) -> None:
    with pytest.raises(ShapeError, match=r"\['H0'\] against \['H1'\]"):
        threat.distance_up({"H0": []}, {"H1": []})


def test_the_order_infinity_is_the_bottleneck_ball() -> None:
    with pytest.raises(InvalidInputError, match="BottleneckBall"):
        WassersteinBall(INF)


def test_the_ground_norm_follows_the_order_unless_given() -> None:
    assert WassersteinBall(3).ground == 3 == WassersteinBall(3).q
    assert WassersteinBall(1, INF).ground == INF
    assert str(WassersteinBall(1, INF)).startswith("Wasserstein distance W_(1, inf)")


@given(bars=diagrams(3), radius=dyadic_sizes)
def test_a_bar_may_appear_and_vanish_within_the_radius(
    bars: Bars, radius: float
) -> None:
    """A bar of length 2 r is at distance r from the diagonal."""
    born = np.concatenate([bars, [[50.0, 50.0 + 2 * radius]]])
    ball = BottleneckBall()
    assert ball.distance_up(bars, born) == radius == ball.distance_up(born, bars)
    (kept,) = ball.project(bars, born, radius).values()
    np.testing.assert_array_equal(kept, born)
