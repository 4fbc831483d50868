"""Radii from margins: strict, rounded down, and 0 wherever nothing is proved."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablerank.certify import margin_radii

UNIT = np.array([[0.0, 2.0], [2.0, 0.0]])
FREE = np.zeros((2, 2))

logits = st.floats(-1e300, 1e300)
constants = st.floats(2.0**-1070, 1e300)
errors = st.floats(0.0, 1e300)


@given(logits, logits, constants, errors)
def test_a_radius_times_its_constant_stays_strictly_below_the_exact_margin(
    z0: float, z1: float, constant: float, owed: float
) -> None:
    pairs = np.array([[0.0, constant], [constant, 0.0]])
    debt = np.array([[0.0, owed], [owed, 0.0]])
    found = margin_radii(np.array([[z0, z1]]), pairs, debt)
    radius = float(found.radius[0])
    exact = (abs(Fraction(z0) - Fraction(z1)) - Fraction(owed)) / Fraction(constant)
    if radius == 0:
        assert found.reason[0]
        # Nothing is thrown away but what rounding takes.
        scale = max(abs(z0), abs(z1), owed)
        assert exact <= max(
            Fraction(scale) / 2**50 / Fraction(constant), Fraction(1, 2**1070)
        )
    else:
        assert math.isfinite(radius)
        assert Fraction(radius) < exact
        lost = Fraction(max(abs(z0), abs(z1), owed)) / Fraction(constant) / 2**50
        largest = Fraction(np.finfo(float).max) * (1 - Fraction(1, 2**50))
        assert Fraction(radius) >= min(exact - lost, largest) - Fraction(1, 2**1060)


def test_a_radius_is_one_ulp_below_what_division_would_give() -> None:
    found = margin_radii(np.array([[4.0, 0.0]]), UNIT, FREE)
    assert found.radius[0] == math.nextafter(2.0, 0.0)
    assert found.reason[0] == ""


def test_the_tightest_rival_decides_and_is_named() -> None:
    pairs = np.array([[0, 1, 8], [1, 0, 1], [8, 1, 0]], float)
    # The runner-up (class 1) is nearer in logits, class 2 is reached sooner.
    found = margin_radii(np.array([[4.0, 2.0, 0.0]]), pairs, np.zeros((3, 3)))
    assert found.predicted[0] == 0
    assert found.rival[0] == 2
    assert found.radius[0] == math.nextafter(0.5, 0.0)


def test_a_tie_abstains_and_says_so() -> None:
    found = margin_radii(np.array([[1.0, 1.0], [0.0, -0.0]]), UNIT, FREE)
    assert found.radius.tolist() == [0.0, 0.0]
    assert found.reason.tolist() == ["tie", "tie"]


def test_a_margin_below_the_errors_abstains() -> None:
    owed = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = margin_radii(np.array([[1.0, 0.5], [1.0, 0.0], [1.5, 0.0]]), UNIT, owed)
    assert found.radius[:2].tolist() == [0.0, 0.0]
    assert found.reason.tolist() == ["margin below rounding"] * 2 + [""]
    assert found.radius[2] == math.nextafter(0.25, 0.0)


def test_the_smallest_subnormal_radius_is_not_claimed() -> None:
    # 5e-324 stepped down is 0, which claims nothing.
    found = margin_radii(np.array([[5e-324, 0.0]]), UNIT / 2, FREE)
    assert found.radius[0] == 0.0
    assert found.reason[0] == "margin below rounding"


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_an_infinite_or_undefined_constant_or_error_proves_nothing(bad: float) -> None:
    broken = np.array([[0.0, bad], [bad, 0.0]])
    for pairs, owed in ((broken, FREE), (UNIT, broken)):
        found = margin_radii(np.array([[9.0, 0.0]]), pairs, owed)
        assert found.radius[0] == 0.0
        assert found.reason[0] == "overflow in the analysis"


def test_logits_that_overflow_prove_nothing() -> None:
    z = np.array([[math.inf, 0.0], [math.inf, math.inf], [math.nan, 0.0]])
    found = margin_radii(z, UNIT, FREE)
    assert found.radius.tolist() == [0.0, 0.0, 0.0]
    assert set(found.reason) == {"overflow in the analysis"}


def test_a_quotient_beyond_the_largest_float_stays_finite() -> None:
    tiny = np.array([[0.0, 1e-300], [1e-300, 0.0]])
    found = margin_radii(np.array([[1e300, 0.0]]), tiny, FREE)
    assert math.isfinite(found.radius[0])
    assert found.reason[0] == ""


def test_rivals_that_cannot_move_never_overtake() -> None:
    still = np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], float)
    z = np.array([[3.0, 2.0, 1.0], [2.0, 2.0, 0.0]])
    found = margin_radii(z, still, np.zeros((3, 3)))
    assert found.rival[0] == 2
    assert found.radius[0] == math.nextafter(2.0, 0.0)
    # ... but an exact tie with one of them is decided by the order of classes alone.
    assert found.reason[1] == "tie"


def test_if_no_rival_can_move_the_radius_is_infinite_with_reason_constant() -> None:
    found = margin_radii(np.array([[1.0, 0.0]]), FREE, FREE)
    assert found.radius[0] == math.inf
    assert found.reason[0] == "constant"
    # Rounding is still owed.
    owed = np.array([[0.0, 2.0], [2.0, 0.0]])
    assert margin_radii(np.array([[1.0, 0.0]]), FREE, owed).radius[0] == 0.0


def test_a_batch_of_one_gives_the_bits_of_a_batch_of_many() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 4))
    pairs = rng.uniform(0.5, 2.0, (50, 4, 4))
    owed = rng.uniform(0.0, 0.1, (50, 4, 4))
    whole = margin_radii(z, pairs, owed)
    for i in range(50):
        one = margin_radii(z[i : i + 1], pairs[i : i + 1], owed[i : i + 1])
        assert one.radius[0] == whole.radius[i]
        assert one.rival[0] == whole.rival[i]
    shared = margin_radii(z, pairs[0], owed[0])
    assert shared.radius[0] == whole.radius[0]


def test_a_class_that_never_wins_changes_no_radius() -> None:
    z = np.array([[3.0, 1.0]])
    more = np.array([[3.0, 1.0, -1e6]])
    pairs = np.full((3, 3), 2.0) - 2 * np.eye(3)
    assert (
        margin_radii(z, UNIT, FREE).radius[0]
        == (margin_radii(more, pairs, np.zeros((3, 3))).radius[0])
    )
