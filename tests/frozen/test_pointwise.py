"""Splines and reflections: exact functions, constants from the numbers, refusals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from stablerank.exceptions import (
    InvalidInputError,
    ShapeError,
    UncertifiableLayerError,
)
from stablerank.frozen import Householder, Operation, Program, Spline, VectorInput
from stablerank.frozen.backend import NumpyBackend
from stablerank.frozen.pointwise import reflected_up
from tests.frozen.exact import run_exact


def spline(seed: int = 0, n: int = 5, n_knots: int = 6) -> Spline:
    """Random knots, two of them equal, random slopes."""
    rng = np.random.default_rng(seed)
    knots = np.sort(rng.uniform(-3, 3, (n, n_knots)), axis=1)
    knots[:, 1] = knots[:, 2]
    slopes = rng.uniform(-1, 1, (n, n_knots + 1))
    return Spline((0,), knots, slopes, rng.standard_normal(n))


def reflections() -> Householder:
    angles = np.random.default_rng(1).uniform(0, 7, (2, 3))
    return Householder((0,), np.stack([np.sin(angles), np.cos(angles)], axis=2))


@pytest.mark.parametrize(
    ("op", "norm"),
    [
        (spline(n=6), math.inf),
        (spline(n=6), 2),
        (spline(n=6, n_knots=3), 2),
        (reflections(), 2),
    ],
)
def test_computed_values_are_as_near_the_exact_ones_as_stated(
    op: Operation, norm: float
) -> None:
    program = Program((VectorInput(6, norm, 8.0),), (op,))
    error, size = program.ranges[-1].error, program.ranges[-1].size
    assert error.max() < 1e-12
    x = np.random.default_rng(1).uniform(-8, 8, (8, 6))
    if isinstance(op, Spline):
        x[0] = op.knots[:, 1]
    for row, value in zip(x.tolist(), program.evaluate(x), strict=True):
        exact = run_exact(program, [[Fraction(v) for v in row]])[-1]
        gaps = [Fraction(v) - e for v, e in zip(value.tolist(), exact, strict=True)]
        for wrong, bound in ((gaps, error), (exact, size)):
            if math.isinf(norm):
                limits = [Fraction(b) for b in bound.tolist()]
                assert all(abs(w) <= b for w, b in zip(wrong, limits, strict=True))
            else:
                assert sum(w * w for w in wrong) <= Fraction(float(bound[0])) ** 2


def test_a_spline_moves_as_its_steepest_slope() -> None:
    op = spline()
    steepest = np.abs(op.slopes).max(axis=1)
    in_inf = Program((VectorInput(5, math.inf, 8.0),), (op,)).constants(1.0)[-1]
    assert np.array_equal(in_inf, steepest)
    in_l2 = Program((VectorInput(5, 2, 8.0),), (op,)).constants(1.0)[-1]
    assert in_l2.tolist() == [steepest.max()]
    x = np.linspace(-8, 8, 4001)[:, None] * np.ones(5)
    moved = np.abs(np.diff(op.evaluate(NumpyBackend, x), axis=0)) / np.diff(x, axis=0)
    assert (moved <= steepest * (1 + 1e-9)).all()
    # The slope before the first knot, for one, is met.
    assert np.allclose(moved[0], np.abs(op.slopes[:, 0]), rtol=1e-9)


def test_a_spline_has_no_step_at_its_knots() -> None:
    op = spline(2, n=1)
    for t in op.knots[0]:
        x = np.array([[np.nextafter(t, -9)], [t], [np.nextafter(t, 9)]])
        assert np.ptp(op.evaluate(NumpyBackend, x)) < 1e-14


def test_splines_of_wrong_shape_or_order_are_refused() -> None:
    one = np.ones((2, 1))
    with pytest.raises(ShapeError, match="knots, slopes and values"):
        Spline((0,), one, one, np.zeros(2))
    with pytest.raises(ShapeError, match="knots, slopes and values"):
        Spline((0,), np.zeros((2, 0)), one, np.zeros(2))
    with pytest.raises(InvalidInputError, match="ascend"):
        Spline((0,), np.array([[1.0, 0.0]]), np.ones((1, 3)), np.zeros(1))
    with pytest.raises(ShapeError, match="3 inputs for 5 splines"):
        Program((VectorInput(3, 2, 1.0),), (spline(),))


def test_reflections_are_refused_in_l_inf_and_the_reason_is_true() -> None:
    angle = math.pi / 8
    op = Householder((0,), np.array([[[math.sin(angle), -math.cos(angle)]]]))
    with pytest.raises(UncertifiableLayerError, match=r"sqrt\(2\)"):
        Program((VectorInput(2, math.inf, 1.0),), (op,))
    # Beyond the line the map is the reflection (x, y) -> (x + y, x - y) / sqrt(2).
    x = np.array([[3.0, -3.0], [3.5, -2.5]])
    y = op.evaluate(NumpyBackend, x)
    stretch = np.abs(y[1] - y[0]).max() / 0.5
    assert stretch == pytest.approx(math.sqrt(2), rel=1e-12)


def test_a_direction_longer_than_one_costs_what_it_stretches() -> None:
    op = Householder((0,), np.array([[[1.25, 0.0]]]))
    program = Program((VectorInput(2, 2, 8.0),), (op,))
    assert program.constants(1.0)[-1] == reflected_up(1.5625) == 2.125
    x = np.array([[1.0, 0.0], [2.0, 0.0]])
    assert np.ptp(program.evaluate(x)[:, 0]) == 2.125
    with pytest.raises(ShapeError, match="pairs"):
        Program((VectorInput(4, 2, 8.0),), (op,))
    with pytest.raises(ShapeError, match="pairs"):
        Householder((0,), np.ones((1, 2)))


def test_reflected_norms_are_rounded_up() -> None:
    for square in (1 / 3, 1.0, 1.1, 1 + 2**-52, 1e300, math.inf):
        bound = reflected_up(square)
        if math.isfinite(bound):
            assert Fraction(bound) >= max(1, 2 * Fraction(square) - 1)
        else:
            assert square > 1e307
