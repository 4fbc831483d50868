"""The frozen domain of bars: generous, but finite."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank.diagrams import Diagrams
from stablerank.represent import bar_inputs


def domain(bars, **properties):
    (found,) = bar_inputs(Diagrams.from_list([[bars]], **properties))
    return found


def test_the_range_is_extended_by_its_span_on_both_sides():
    found = domain([(10.0, 11.0), (10.5, 14.0)])
    assert (found.low, found.high) == (6.0, 18.0)


@pytest.mark.parametrize("convention", ["radius", "edge length"])
def test_distances_start_at_zero(convention):
    found = domain([(10.0, 11.0)], convention=convention)
    assert (found.low, found.high) == (0.0, 12.0)


def test_negative_values_of_any_convention_are_kept():
    assert domain([(-3.0, 1.0)], convention="radius").low == -7.0


def test_pinned_channels_start_at_zero_whatever_the_convention():
    dgms = Diagrams.from_list([[[(0.0, 2.0), (0.0, 3.0)]]])
    (found,) = bar_inputs(dgms, ["H0"])
    assert (found.low, found.high, found.pinned) == (0.0, 6.0, True)


def test_limits_leave_headroom_and_an_exact_engine_stays_exact():
    many = [(0.0, 1.0)] * 1000
    assert domain(many).max_bars == 16_000
    assert domain([(0.0, 1.0)]).max_bars == 4096
    assert domain([(0.0, 1.0)]).max_error == 0.0
    assert domain([(0.0, 1.0)], error=2.0**-40).max_error == 2.0**-36


def test_an_empty_channel_has_a_domain():
    found = domain([])
    assert (found.low, found.high) == (0.0, 0.0)


def test_units_and_conventions_are_those_of_the_channel():
    dgms = Diagrams.from_list(
        [[[(0.0, 1.0)], [(1.0, 2.0)]]],
        convention=["radius", "value"],
        unit=["angstrom", None],
    )
    first, second = bar_inputs(dgms)
    assert (first.convention, first.unit, first.degree) == ("radius", "angstrom", 0)
    assert (second.convention, second.unit, second.degree) == ("value", None, 1)
    assert second.low == np.float64(0.0)
