"""Sizes of changes of arrays, against rational numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stablerank.metrics import FeatureBall, MatrixSup, PixelBudget, PixelSup
from tests.checks import (
    above,
    assert_smallest_float_above,
    assert_smallest_root_above,
    exact_square,
)
from tests.strategies import Array, finite_floats


@st.composite
def value_pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    arrays = hnp.arrays(np.float64, shape, elements=finite_floats)
    return draw(arrays), draw(arrays)


def steps(x: Array, x_new: Array) -> list[Fraction]:
    return [
        abs(Fraction(a) - Fraction(b))
        for a, b in zip(x.ravel().tolist(), x_new.ravel().tolist(), strict=True)
    ]


@given(pair=value_pairs())
@example(pair=(np.array([-1.7e308]), np.array([1.7e308])))
@example(pair=(np.array([0.0]), np.array([2.0**-1074])))
def test_the_sup_norm_is_the_smallest_float_above(pair: tuple[Array, Array]) -> None:
    exact = max(steps(*pair))
    for threat in (MatrixSup(), PixelSup(), PixelBudget(math.inf), FeatureBall()):
        assert_smallest_float_above(threat.distance_up(*pair), exact)


@given(pair=value_pairs())
@example(pair=(np.array([0.0]), np.array([2.0**-1074])))
def test_l1_and_l2_are_the_smallest_floats_above(pair: tuple[Array, Array]) -> None:
    assert_smallest_float_above(PixelBudget(1).distance_up(*pair), sum(steps(*pair)))
    for threat in (PixelBudget(2), FeatureBall(2)):
        assert_smallest_root_above(threat.distance_up(*pair), exact_square(*pair))


@given(pair=value_pairs(), p=st.integers(3, 6))
@example(pair=(np.zeros(2), np.array([1e200, 1e-200])), p=3)
@example(pair=(np.zeros(1), np.array([8e300])), p=3)
def test_other_norms_are_never_below(pair: tuple[Array, Array], p: int) -> None:
    size = PixelBudget(p).distance_up(*pair)
    exact = sum(s**p for s in steps(*pair))
    assert above(size, exact, power=p)
    tame = 1e-290 < max(steps(*pair)) < 1e290
    assert not tame or Fraction(size) ** p <= exact * (1 + Fraction(1, 10**11))


@given(pair=value_pairs(), radius=st.floats(0, 1e300))
def test_sup_balls_clip_each_entry_and_no_other(
    pair: tuple[Array, Array], radius: float
) -> None:
    x, x_new = pair
    clipped = PixelSup().project(x, x_new, radius)
    for a, b, c in zip(x.ravel(), x_new.ravel(), clipped.ravel(), strict=True):
        assert min(a, b) <= c <= max(a, b)
        if abs(Fraction(a) - Fraction(b)) <= Fraction(radius):
            assert c == b
        else:  # the last float inside the ball, or the one before
            assert abs(Fraction(a) - Fraction(c)) <= Fraction(radius)
            beyond = np.nextafter(np.nextafter(c, b), b)
            assert abs(Fraction(a) - Fraction(beyond)) > Fraction(radius) or beyond == b


def test_a_symmetric_matrix_stays_symmetric_with_zero_diagonal() -> None:
    rng = np.random.default_rng(3)
    x, x_new = (np.triu(rng.uniform(size=(6, 6)), 1) for _ in range(2))
    projected = MatrixSup().project(x + x.T, x_new + x_new.T, 0.125)
    np.testing.assert_array_equal(projected, projected.T)
    assert not projected.diagonal().any()


def test_large_images_take_milliseconds() -> None:
    """The exact size of a whole image is cheap, because integers are added."""
    rng = np.random.default_rng(0)
    x, x_new = rng.normal(size=(2, 64, 64))
    size = PixelBudget().distance_up(x, x_new)
    assert size == pytest.approx(np.linalg.norm(x - x_new), rel=1e-14)
