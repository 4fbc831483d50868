"""Distances and enclosing radii: their errors are bounded, and the bounds are true."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablerank.extract.geometry import (
    distance_error,
    distance_matrix,
    enclosing_ball,
    enclosing_radius_up,
)
from tests.checks import above, exact_square
from tests.strategies import Array, KnownCloud, clouds, known_clouds

#: Coordinates at every size that the readers let pass, also far from the origin.
coordinates = st.one_of(
    st.floats(-9, 9),
    st.floats(-1e150, 1e150),
    st.floats(-(2.0**-1060), 2.0**-1060),
    st.floats(1e8, 1e8 + 1),
)
any_clouds = clouds(st.integers(1, 9), max_points=6, coordinates=coordinates)


@given(cloud=any_clouds)
@example(cloud=np.array([[0.0, 0.0], [1e-200, 1e-200]]))
@example(cloud=np.array([[-1e150], [1e150]]))
def test_distances_are_within_the_stated_error(cloud: Array) -> None:
    matrix = distance_matrix(cloud)
    n, d = cloud.shape
    assert matrix.shape == (n, n)
    assert (matrix == matrix.T).all()
    assert not matrix.diagonal().any()
    error = Fraction(distance_error(float(matrix.max()), d))
    for i, j in np.ndindex(n, n):
        square, found = exact_square(cloud[i], cloud[j]), Fraction(matrix[i, j])
        assert (found + error) ** 2 >= square
        assert found <= error or (found - error) ** 2 <= square


def test_distances_far_from_the_origin_lose_nothing() -> None:
    """The dot-product form would be wrong by 10 % and more here [F3]."""
    rng = np.random.default_rng(0)
    cloud = rng.integers(0, 1024, (20, 3)) / 1024
    np.testing.assert_array_equal(distance_matrix(cloud + 1e9), distance_matrix(cloud))


def test_the_stated_error_grows_with_size_and_dimension_and_is_small() -> None:
    assert distance_error(1.0, 3) < 1e-15
    assert distance_error(2.0, 3) > distance_error(1.0, 3)
    assert distance_error(1.0, 9) > distance_error(1.0, 3)
    assert distance_error(0.0, 2) > 0  # squares may have vanished


def radius_from(cloud: Array, centre: Array) -> Fraction:
    """Squared radius of the ball around an arbitrary centre: an upper bound."""
    return max(exact_square(point, centre) for point in cloud)


@given(cloud=any_clouds)
@example(cloud=np.array([[0.0, 0.0], [1e-300, 0.0]]))
def test_the_enclosing_radius_is_never_too_small(cloud: Array) -> None:
    radius = enclosing_radius_up(cloud)
    # Half of the diameter is a lower bound of every enclosing ball.
    diameters = [exact_square(a, b) for a in cloud for b in cloud]
    assert above(2 * radius, max(diameters), power=2)
    # For a triangle that is not obtuse it is the circumradius, which is larger.
    spread = np.ptp(cloud, axis=0).max()
    assert radius <= math.sqrt(cloud.shape[1]) * spread + 1e-140 + 1e-9 * spread


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_the_enclosing_radius_is_close_to_the_best(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    for n in (1, 2, 3, 10, 200):
        cloud = rng.normal(size=(n, dimension))
        centre, support, weights = enclosing_ball(cloud)
        radius = enclosing_radius_up(cloud)
        assert radius_from(cloud, centre) <= Fraction(radius) ** 2
        # Weak duality: sum w |x|^2 - |sum w x|^2 is at most the squared radius.
        assert (weights >= 0).all()
        points = cloud[support] - centre
        dual = weights @ (points**2).sum(axis=1) - ((weights @ points) ** 2).sum()
        assert radius == pytest.approx(math.sqrt(max(dual, 0.0)), rel=1e-9, abs=1e-140)


@pytest.mark.parametrize(
    "known", [k for k in known_clouds() if "gon" in k.name], ids=lambda k: k.name
)
def test_a_regular_polygon_lies_on_its_circle(known: KnownCloud) -> None:
    circumradius = known.alpha[1][0, 1]
    assert enclosing_radius_up(known.points) == pytest.approx(circumradius, rel=1e-12)


def test_equal_points_have_almost_no_radius() -> None:
    for cloud in (np.zeros((1, 2)), np.full((7, 3), 1e8)):
        assert 0 <= enclosing_radius_up(cloud) < 1e-140
        assert distance_matrix(cloud).shape == (len(cloud),) * 2
