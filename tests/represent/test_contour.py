"""Contours for people: lengths by definition, constants that are attained [R2, X18]."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablerank.exceptions import InvalidInputError
from stablerank.represent import Contour
from stablerank.represent.contour import ground_factor

STARTS, VALUES = (0.0, 1.0, 3.0), (2.0, 0.5, 1.0)
finite = st.floats(-5, 8)


def area_under(x: float) -> float:
    """Integral of the density from 0 to x, by small steps."""
    edges = np.linspace(0, x, 20_001)
    middles = (edges[1:] + edges[:-1]) / 2
    piece = np.maximum(np.searchsorted(STARTS, middles, side="right") - 1, 0)
    return float((np.array(VALUES)[piece] * np.diff(edges)).sum())


@pytest.mark.parametrize("bar", [(0.0, 4.0), (0.5, 1.5), (-2.0, 0.5), (3.5, 9.0)])
def test_the_distance_kind_integrates_the_density_over_the_bar(bar):
    length = Contour(STARTS, VALUES).lengths([bar])[0]
    assert length == pytest.approx(area_under(bar[1]) - area_under(bar[0]), abs=1e-3)


@pytest.mark.parametrize("bar", [(0.0, 4.0), (0.5, 1.5), (-2.0, 0.5), (3.5, 9.0)])
def test_the_area_kind_asks_how_far_the_density_must_be_integrated(bar):
    contour = Contour(STARTS, VALUES, kind="area")
    x = contour._inverse(np.array(bar))
    assert [area_under(end) for end in x] == pytest.approx(bar, abs=2e-3)
    assert contour.lengths([bar])[0] == pytest.approx(x[1] - x[0])


def test_truncation_cuts_both_ends_but_no_infinite_bar():
    contour = Contour([0.0], [1.0], truncation=5.0)
    bars = [(1.0, 4.0), (1.0, 9.0), (6.0, 8.0), (1.0, math.inf), (7.0, math.inf)]
    assert contour.lengths(bars).tolist() == [3.0, 4.0, 0.0, math.inf, math.inf]


@given(
    st.sampled_from(["distance", "area"]),
    st.sampled_from([1.0, 1.5, 2.0, math.inf]),
    st.tuples(finite, finite, finite, finite),
)
def test_no_two_bars_differ_by_more_than_the_constant(kind, q, ends):
    contour = Contour(STARTS, VALUES, kind=kind, truncation=6.0)
    bars = np.sort(np.array(ends).reshape(2, 2), axis=1)
    change = abs(np.subtract(*contour.lengths(bars)))
    moved = np.linalg.norm(bars[0] - bars[1], q)
    assert change <= contour.constant(q) * moved * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("q", [1.0, 2.0, math.inf])
@pytest.mark.parametrize(
    ("kind", "bars"),
    [
        ("distance", [(0.2, 0.8), (0.1, 0.9)]),  # where the density is largest
        ("area", [(2.2, 2.8), (2.1, 2.9)]),  # where it is smallest
    ],
)
def test_the_constant_is_attained(q, kind, bars):
    contour = Contour(STARTS, VALUES, kind=kind)
    change = abs(np.subtract(*contour.lengths(bars)))
    moved = np.linalg.norm(np.subtract(*bars), q)
    assert change == pytest.approx(contour.constant(q) * moved)


def test_the_ground_factor_is_rounded_up():
    assert (ground_factor(1), ground_factor(math.inf)) == (1.0, 2.0)
    assert ground_factor(2) ** 2 >= 2
    assert ground_factor(3) ** 3 >= 4 - 1e-12


def test_impossible_contours_are_refused():
    with pytest.raises(InvalidInputError, match="starts that ascend"):
        Contour([1.0, 0.0], [1.0, 1.0])
    with pytest.raises(InvalidInputError, match="one for each"):
        Contour([1.0], [1.0, 1.0])
    with pytest.raises(InvalidInputError, match="area kind"):
        Contour([0.0], [0.0], kind="area")
    with pytest.raises(InvalidInputError, match="density of -1"):
        Contour([0.0], [-1.0])
    with pytest.raises(InvalidInputError, match="kind must be"):
        Contour([0.0], [1.0], kind="volume")
    with pytest.raises(InvalidInputError, match="finite"):
        Contour([0.0], [math.nan])
    with pytest.raises(InvalidInputError, match="truncation"):
        Contour([0.0], [1.0], truncation=math.nan)
    with pytest.raises(InvalidInputError, match="q must be"):
        Contour([0.0], [1.0]).constant(0.5)
