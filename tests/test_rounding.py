"""Outward rounding against rational numbers: never on the wrong side, and tight."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablerank.exceptions import InvalidInputError
from stablerank.rounding import (
    UNIT_ROUNDOFF,
    add_up,
    div_down,
    div_up,
    down,
    exact_fraction,
    fits_float64,
    fraction_up,
    gamma,
    max_up,
    mul_down,
    mul_up,
    pow_up,
    root_up,
    sqrt_fraction_up,
    sqrt_up,
    sub_down,
    sum_up,
    up,
)
from tests.checks import (
    above,
    assert_smallest_float_above,
    assert_smallest_root_above,
)
from tests.strategies import finite_floats, sizes, tame_sizes

MAX = np.finfo(np.float64).max
TINY = 2.0**-1074
INF = math.inf

positive = st.floats(0.0, exclude_min=True, allow_infinity=False)


def below(value: float, exact: Fraction) -> bool:
    return value == -INF or (value < INF and Fraction(value) <= exact)


# --- sums ---------------------------------------------------------------------------


@given(a=finite_floats, b=finite_floats)
@example(a=MAX, b=MAX)
@example(a=-MAX, b=-MAX)
@example(a=TINY, b=TINY)
@example(a=1.0, b=-TINY)
@example(a=MAX, b=2.0**969)
def test_a_sum_rounds_to_the_smallest_float_above(a: float, b: float) -> None:
    assert_smallest_float_above(add_up(a, b), Fraction(a) + Fraction(b))


@given(a=finite_floats, b=finite_floats)
@example(a=MAX, b=-MAX)
@example(a=-MAX, b=MAX)
def test_a_difference_rounds_to_the_largest_float_below(a: float, b: float) -> None:
    assert_smallest_float_above(-sub_down(a, b), Fraction(b) - Fraction(a))


@given(values=st.lists(finite_floats, max_size=8))
@example(values=[1e16, 1.0, -1e16])
@example(values=[2.0**53, 1.0, TINY])
def test_a_long_sum_rounds_once(values: list[float]) -> None:
    exact = sum(map(Fraction, values), Fraction(0))
    total = sum_up(values)
    if abs(exact) < 2**1000 and all(abs(v) < 2.0**1000 for v in values):
        assert_smallest_float_above(total, exact)
    assert above(total, exact)


def test_a_sum_along_an_axis_rounds_each_row() -> None:
    table = np.random.default_rng(0).normal(size=(3, 4, 5))
    for axis in (0, 1, -1):
        totals = sum_up(table, axis=axis)
        rows = np.moveaxis(table, axis, -1)
        assert totals.shape == rows.shape[:-1]
        for index in np.ndindex(totals.shape):
            assert totals[index] == sum_up(rows[index])
    assert sum_up(np.empty((2, 0)), axis=1).tolist() == [0.0, 0.0]


# --- products and quotients ---------------------------------------------------------


@given(a=tame_sizes, b=tame_sizes)
@example(a=1 + 2.0**-52, b=1 + 2.0**-52)
@example(a=0.1, b=10.0)
def test_products_and_quotients_are_tight_in_the_normal_range(
    a: float, b: float
) -> None:
    product, quotient = Fraction(a) * Fraction(b), Fraction(a) / Fraction(b)
    assert_smallest_float_above(mul_up(a, b), product)
    assert_smallest_float_above(div_up(a, b), quotient)
    assert_smallest_float_above(-mul_down(a, b), -product)
    assert_smallest_float_above(-div_down(a, b), -quotient)


@given(a=sizes, b=sizes)
@example(a=TINY, b=0.5)
@example(a=TINY, b=TINY)
@example(a=MAX, b=2.0)
@example(a=2.0**-600, b=2.0**-474)
@example(a=1.0, b=TINY)
def test_products_are_never_on_the_wrong_side_and_at_most_a_float_away(
    a: float, b: float
) -> None:
    exact = Fraction(a) * Fraction(b)
    upper, lower = mul_up(a, b), mul_down(a, b)
    assert above(upper, exact)
    assert below(lower, exact)
    assert lower >= 0
    assert not above(down(down(upper)), exact) or exact == 0
    assert not below(up(up(lower)), exact)


@given(a=sizes, b=positive)
@example(a=TINY, b=MAX)
@example(a=MAX, b=TINY)
@example(a=3 * TINY, b=2.0)
@example(a=MAX, b=1.0)
def test_quotients_are_never_on_the_wrong_side_and_at_most_a_float_away(
    a: float, b: float
) -> None:
    exact = Fraction(a) / Fraction(b)
    upper, lower = div_up(a, b), div_down(a, b)
    assert above(upper, exact)
    assert below(lower, exact)
    assert lower >= 0
    assert not above(down(down(upper)), exact) or exact == 0
    assert not below(up(up(lower)), exact)


@given(a=positive, b=positive)
@example(a=TINY, b=TINY)
@example(a=1e-200, b=1e-200)
def test_a_product_or_quotient_that_underflows_is_not_zero(a: float, b: float) -> None:
    assert mul_up(a, b) > 0
    assert div_up(a, b) > 0


@given(a=sizes)
def test_only_an_exact_zero_gives_zero(a: float) -> None:
    assert mul_up(a, 0.0) == mul_up(0.0, a) == mul_down(a, 0.0) == 0
    assert mul_up(INF, 0.0) == mul_down(0.0, INF) == div_up(0.0, 1 + a) == 0


# --- roots and powers ---------------------------------------------------------------


@given(a=tame_sizes)
@example(a=4.0)
@example(a=2.0)
def test_square_roots_are_tight_in_the_normal_range(a: float) -> None:
    assert_smallest_root_above(sqrt_up(a), Fraction(a))


@given(a=sizes)
@example(a=TINY)
@example(a=MAX)
def test_square_roots_are_never_below_and_at_most_a_float_above(a: float) -> None:
    root = sqrt_up(a)
    assert above(root, Fraction(a), power=2)
    assert a == 0 or not above(down(down(root)), Fraction(a), power=2)


@given(a=sizes, n=st.integers(1, 7))
@example(a=MAX, n=2)
@example(a=TINY, n=3)
@example(a=1e200, n=3)
def test_whole_powers_are_never_below(a: float, n: int) -> None:
    exact = Fraction(a) ** n
    power = pow_up(a, n)
    assert above(power, exact)
    assert power == INF or power <= 2 * TINY or power <= exact * (1 + 2.0**-48)


@given(a=sizes, n=st.integers(1, 7))
@example(a=8e300, n=3)  # 1 / 3 is no float: a naive root is 60 ulp too small
@example(a=1e-300, n=3)
@example(a=MAX, n=7)
@example(a=TINY, n=5)
@example(a=8.0, n=3)
def test_roots_are_never_below(a: float, n: int) -> None:
    root = root_up(a, n)
    assert above(root, Fraction(a), power=n)
    assert a == 0 or (Fraction(root) * Fraction(1 - 1e-12)) ** n < a


@given(a=sizes)
@example(a=8e300)
def test_roots_and_powers_of_broken_order_are_never_below(a: float) -> None:
    power, root = pow_up(a, 1.5), root_up(a, 1.5)
    assert above(power, Fraction(a) ** 3, power=2)
    assert above(root, Fraction(a) ** 2, power=3)


def test_powers_that_floats_hold_are_exact() -> None:
    assert pow_up(3.0, 2) == 9 == pow_up(9.0, 1)
    assert pow_up(9.0, 0.5) == 3 == root_up(9.0, 2)
    assert pow_up(5.0, 0) == pow_up(0.0, 0) == 1 == pow_up(1.0, -3.7)
    assert pow_up(0.0, 2.5) == 0 == root_up(0.0, 3)
    assert pow_up(0.0, -1.0) == INF == pow_up(1e200, 3) == pow_up(INF, 0.3)


# --- steps, fractions, constants ----------------------------------------------------


@given(x=finite_floats)
@example(x=MAX)
@example(x=-MAX)
@example(x=0.0)
@example(x=-0.0)
@example(x=TINY)
def test_a_step_is_a_step_and_radii_do_not_become_negative(x: float) -> None:
    assert up(x) == math.nextafter(x, INF)
    assert down(x) == (math.nextafter(x, -INF) if x < 0 or x > 0 else 0)


@given(value=st.fractions(), shift=st.integers(-1200, 1200))
@example(value=Fraction(2**53 + 1), shift=0)
@example(value=Fraction(1), shift=-1100)
@example(value=Fraction(MAX) + 1, shift=0)
def test_a_fraction_rounds_to_the_smallest_float_above(
    value: Fraction, shift: int
) -> None:
    exact = abs(value) * Fraction(2) ** shift
    assert_smallest_float_above(fraction_up(exact), exact)


@given(value=st.fractions(), shift=st.integers(-2400, 2400))
@example(value=Fraction(1), shift=-2200)
@example(value=Fraction(MAX) ** 2 + 1, shift=0)
@example(value=Fraction(TINY) ** 2, shift=0)
@example(value=Fraction(9, 4), shift=0)
def test_the_root_of_a_fraction_rounds_to_the_smallest_float_above(
    value: Fraction, shift: int
) -> None:
    exact = abs(value) * Fraction(2) ** shift
    assert_smallest_root_above(sqrt_fraction_up(exact), exact)


@given(x=finite_floats)
def test_a_float_is_its_own_fraction(x: float) -> None:
    assert exact_fraction(x) == Fraction(x)
    assert float(exact_fraction(x)) == x


@given(n=st.floats(0, 2.0**51) | st.integers(0, 2**51))
@example(n=2.3)
@example(n=TINY)
def test_gamma_is_never_below_n_u_over_one_minus_n_u(n: float) -> None:
    nu = Fraction(n) * Fraction(UNIT_ROUNDOFF)
    exact = nu / (1 - nu)
    assert above(gamma(n), exact)
    assert gamma(n) <= exact * (1 + 2.0**-50) + 2 * TINY


@pytest.mark.parametrize("n", [2.0**52, 2**53, -1, math.nan])
def test_gamma_refuses_where_it_means_nothing(n: float) -> None:
    with pytest.raises(InvalidInputError, match="gamma_n needs"):
        gamma(n)


def test_the_largest_of_nothing_is_the_initial_value() -> None:
    assert max_up([]) == 0
    assert max_up([], initial=2.0) == 2
    assert max_up([-1.0]) == 0
    assert max_up([[1.0, 3.0]]) == 3


@pytest.mark.parametrize(
    ("array", "fits"),
    [
        (np.array([2**53, -(2**53)]), True),
        (np.array([2**53 + 1]), False),
        (np.array([-(2**53) - 1]), False),
        (np.array([2**64 - 1], np.uint64), False),
        (np.array([], np.int64), True),
        (np.array([0.1, np.nan, np.inf], np.float32), True),
        (np.array([0.5, np.nan], np.longdouble), True),
        (np.array([1], np.longdouble) / 3, False),
    ],
)
def test_numbers_that_float64_would_change_are_found(
    array: np.ndarray, fits: bool
) -> None:
    if array.dtype == np.longdouble:  # on some platforms it is float64
        fits = fits or np.finfo(np.longdouble).nmant == np.finfo(np.float64).nmant
    assert fits_float64(array) is fits


# --- arrays, NaN --------------------------------------------------------------------

BINARY = [add_up, sub_down, mul_up, mul_down, div_up, div_down]


@pytest.mark.parametrize("operation", BINARY, ids=lambda f: f.__name__)
def test_arrays_are_rounded_entry_by_entry_and_broadcast(
    operation: Callable[..., np.ndarray],
) -> None:
    rng = np.random.default_rng(1)
    a = np.concatenate([rng.uniform(0, 9, 20), [0.0, TINY, 1.0, MAX]])[:, None]
    b = np.concatenate([rng.uniform(1, 9, 5), [TINY, 1.0, 2.0**-1000]])
    table = operation(a, b)
    assert table.dtype == np.float64
    for i, j in np.ndindex(table.shape):
        single = operation(a[i, 0], b[j])
        assert isinstance(single, float)
        assert table[i, j] == single
    assert operation([], []).shape == (0,)


@pytest.mark.parametrize("operation", BINARY, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", [1.0, 2.0, INF, 0.0])
def test_nan_stays_nan(operation: Callable[..., float], other: float) -> None:
    assert math.isnan(operation(other, math.nan))
    divides = operation in (div_up, div_down)
    assert math.isnan(operation(math.nan, 3.0 if divides and other == 0 else other))


def test_infinities_behave() -> None:
    assert add_up(INF, -MAX) == INF == mul_up(INF, TINY) == up(MAX) == up(INF)
    assert add_up(-INF, MAX) == -INF
    assert div_up(1.0, INF) == TINY
    assert div_down(1.0, INF) == 0
    assert sqrt_up(INF) == INF == sum_up([INF, 1.0]) == sum_up([MAX, MAX])
    assert math.isnan(add_up(INF, -INF))
