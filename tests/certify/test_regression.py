"""Certified intervals: they contain the prediction, and grow as the constant says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from stablerank.bounds import Bound
from stablerank.certify import RegressionCertificates
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.metrics import FeatureBall, VectorNorm

BOUND = Bound(FeatureBall(math.inf), VectorNorm(), 2.0, "N1")


def certificates(value, constant=2.0, error=0.0) -> RegressionCertificates:
    value = np.asarray(value, float)
    constant, error = (np.broadcast_to(a, value.shape) for a in (constant, error))
    return RegressionCertificates(value, constant, error, BOUND, BOUND.source)


def test_an_interval_reaches_constant_times_size_plus_error_and_no_less() -> None:
    rng = np.random.default_rng(0)
    value, constant = rng.normal(size=50), rng.uniform(0, 3, 50)
    error = rng.uniform(0, 1e-6, 50)
    cert = certificates(value, constant, error)
    low, high = cert.interval(0.1)
    for v, k, e, a, b in zip(value, constant, error, low, high, strict=True):
        reach = Fraction(k) * Fraction(0.1) + Fraction(e)
        assert Fraction(a) <= Fraction(v) - reach
        assert Fraction(v) + reach <= Fraction(b)
        assert b - a <= 2 * float(reach) + 1e-14


def test_the_radius_of_a_tolerance_keeps_the_interval_inside_it() -> None:
    cert = certificates(np.zeros(3), [2.0, 0.0, 2.0], [0.01, 0.01, 0.5])
    radius = cert.radius(0.1)
    assert radius[0] == pytest.approx(0.045, rel=1e-12)
    assert Fraction(radius[0]) * 2 + Fraction(0.01) <= Fraction(0.1)
    assert radius[1] == math.inf  # nothing can move it
    assert radius[2] == 0.0  # the errors alone are larger
    low, high = cert.interval(radius[0])
    assert -0.1 <= low[0] <= high[0] <= 0.1


def test_several_targets_keep_their_shape() -> None:
    cert = certificates(np.zeros((4, 2)), [1.0, 3.0])
    low, high = cert.interval(1.0)
    assert low.shape == high.shape == (4, 2)
    assert high[0, 1] > 2.9 > high[0, 0]
    assert list(cert.to_frame(1.0).columns) == [
        "value0", "value1", "low0", "low1", "high0", "high1",
    ]  # fmt: skip
    assert list(certificates([1.0]).to_frame().columns) == ["value", "low", "high"]


@pytest.mark.parametrize("bad", [-1.0, math.nan, "x"])
def test_a_size_that_is_none_is_refused(bad) -> None:
    with pytest.raises(InvalidInputError, match="eps"):
        certificates([0.0]).interval(bad)


def test_sizes_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="eps has shape"):
        certificates(np.zeros(3)).interval([0.1, 0.2])


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_a_tolerance_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInputError, match="tolerance"):
        certificates([0.0]).radius(bad)
