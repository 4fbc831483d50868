"""The testers are tested: each check fails where it must, by a single ulp."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks import (
    assert_lipschitz,
    assert_smallest_float_above,
    assert_smallest_root_above,
    exact_bottleneck,
    exact_square,
    exact_wasserstein_power,
    partial_matchings,
)

positive = st.floats(2.0**-100, 2.0**100)


@given(constant=positive, size=positive)
def test_a_bound_that_is_attained_holds_and_one_ulp_less_does_not(
    constant: float, size: float
) -> None:
    moved = Fraction(constant) * Fraction(size)
    assert_lipschitz(moved, size, constant, attains=1.0)
    for smaller_constant, smaller_size in (
        (math.nextafter(constant, 0), size),
        (constant, math.nextafter(size, 0)),
    ):
        with pytest.raises(AssertionError, match="more than the"):
            assert_lipschitz(moved, smaller_size, smaller_constant)


@given(constant=positive, size=positive, offset=positive)
def test_an_offset_is_counted_to_the_last_ulp(
    constant: float, size: float, offset: float
) -> None:
    moved = Fraction(constant) * Fraction(size) + Fraction(offset)
    assert_lipschitz(moved, size, constant, offset=offset)
    with pytest.raises(AssertionError, match="more than the"):
        assert_lipschitz(moved, size, constant, offset=math.nextafter(offset, 0))


def test_a_constant_that_is_not_attained_is_reported_as_not_sharp() -> None:
    assert_lipschitz(0.99, 1.0, 1.0, attains=0.99)
    with pytest.raises(AssertionError, match="said to be sharp"):
        assert_lipschitz(math.nextafter(0.99, 0), 1.0, 1.0, attains=0.99)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_infinite_numbers_decide_nothing(bad: float) -> None:
    with pytest.raises(AssertionError, match="decides nothing"):
        assert_lipschitz(1.0, bad, 1.0)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_only_one_float_is_the_smallest_above(value: float) -> None:
    exact = Fraction(value)
    assert_smallest_float_above(value, exact)
    for other in (math.nextafter(value, math.inf), math.nextafter(value, -math.inf)):
        with pytest.raises(AssertionError):
            assert_smallest_float_above(other, exact)


@given(value=st.floats(0, 1e300, exclude_min=True))
def test_only_one_float_is_the_smallest_root_above(value: float) -> None:
    assert_smallest_root_above(value, Fraction(value) ** 2)
    for other in (math.nextafter(value, math.inf), math.nextafter(value, 0)):
        with pytest.raises(AssertionError):
            assert_smallest_root_above(other, Fraction(value) ** 2)


def test_partial_matchings_are_all_there_and_different() -> None:
    found = [tuple(m) for m in partial_matchings(3, 2)]
    assert len(found) == len(set(found)) == 1 + 6 + 6


def test_exact_distances_of_known_diagrams() -> None:
    long, short = np.array([[0.0, 4.0]]), np.array([[1.0, 4.5], [7.0, 7.5]])
    empty = np.empty((0, 2))
    assert exact_bottleneck(long, short) == 1
    assert exact_bottleneck(long, empty) == 2
    assert exact_bottleneck(empty, empty) == 0
    assert exact_wasserstein_power(long, short, 1, 1) == Fraction(2)
    assert exact_wasserstein_power(long, short, 1, math.inf) == Fraction(5, 4)
    assert exact_wasserstein_power(long, short, 2, 2) == Fraction(11, 8)
    assert exact_wasserstein_power(long, short, 2, 1) == Fraction(5, 2)
    assert exact_square([0.0, 1.0], [3.0, 5.0]) == 25
