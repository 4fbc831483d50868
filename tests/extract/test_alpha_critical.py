"""Alpha persistence: the points behind the bars, and enclosing balls."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from stablerank.extract import AlphaPersistence
from stablerank.extract.alpha import _support
from stablerank.extract.geometry import (
    enclosing_ball,
    enclosing_radius_up,
)
from tests.extract.alpha_cases import (
    exact_square,
    extract,
    orbit,
    random_cloud,
)


def test_the_critical_points_set_the_values() -> None:
    for d in (2, 3):
        cloud = np.random.default_rng(d).random((40, d))
        dgms = extract(cloud, degrees=range(d), critical=True)
        for bar, ends in zip(dgms.bars, dgms.critical, strict=True):
            for value, vertices in zip(bar.tolist(), ends, strict=True):
                known = vertices[vertices >= 0]
                if value == 0:
                    assert len(known) == 0
                    continue
                centre, support, _ = enclosing_ball(cloud[known])
                assert len(support) == len(known) >= 2
                away = np.linalg.norm(cloud[known] - centre, axis=1)
                np.testing.assert_allclose(away, value, rtol=1e-9)


def test_critical_points_do_not_change_the_bars() -> None:
    cloud = orbit()
    plain, marked = extract(cloud), extract(cloud, critical=True)
    assert plain.identical(marked)
    assert marked.critical.shape == (len(plain.bars), 2, 4)


def test_of_equal_points_the_first_is_named() -> None:
    points = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    cloud = np.concatenate([points, points[::-1], -points[:1]])  # also -0.0
    dgms = extract(cloud, critical=True)
    assert dgms.critical.max() == 2
    deaths = dgms.critical[:2, 1, :2]
    assert sorted(map(tuple, deaths.tolist())) == [(0, 1), (0, 2)]


def test_an_obtuse_triangle_is_held_by_two_points() -> None:
    cloud = np.array([[0.0, 0.0], [1.0, 0.125], [2.0, 0.0], [1.0, 2.0]])
    held = _support(cloud, np.array([[2, 1, 0], [3, 2, 0]]), 3)
    assert held.tolist() == [[0, 2, -1], [0, 2, 3]]


@pytest.mark.parametrize(("d", "offset"), [(1, 0.0), (2, 0.0), (3, 0.0), (2, 1e3)])
def test_the_pullback_is_the_derivative(d: int, offset: float) -> None:
    rng = np.random.default_rng(d)
    cloud = rng.random((14, d)) + offset
    twin = np.concatenate([cloud, cloud[:1]])  # equal points: the first one moves
    extractor = AlphaPersistence(range(d), critical=True, precision="exact")
    dgms = extractor.fit_transform([cloud, twin[:14]])
    slopes = rng.normal(size=dgms.bars.shape)
    gradients = extractor.pullback([cloud, cloud], dgms, slopes)
    half = len(dgms.bars) // 2
    for gradient, own in zip(gradients, (slopes[:half], slopes[half:]), strict=True):
        assert gradient.shape == cloud.shape
        for _ in range(3):
            direction = rng.normal(size=cloud.shape)
            step = 1e-6
            up = extractor.transform([cloud + step * direction]).bars
            down = extractor.transform([cloud - step * direction]).bars
            numeric = ((up - down) * own).sum() / (2 * step)
            expected = (gradient * direction).sum()
            assert abs(numeric - expected) <= 1e-5 * (1 + abs(expected))


def test_a_move_of_all_points_has_no_gradient() -> None:
    extractor = AlphaPersistence(critical=True)
    dgms = extractor.fit_transform([orbit()])
    (gradient,) = extractor.pullback([orbit()], dgms, np.ones_like(dgms.bars))
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-12)


# --- enclosing balls ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uniform", "lattice", "clustered"])
def test_the_enclosing_radius_is_above_the_exact_one_and_close(kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    for d in (1, 2, 3):
        for n in (1, 2, 5, 7):
            cloud = random_cloud(rng, n, d, kind)
            radius, square = enclosing_radius_up(cloud), exact_square(cloud)
            assert Fraction(radius) ** 2 >= square
            assert radius <= math.sqrt(square) * (1 + 1e-9) + 1e-150


def test_the_enclosing_ball_is_a_balance_of_its_support() -> None:
    rng = np.random.default_rng(2)
    for d in (1, 2, 3, 6):
        cloud = rng.normal(size=(60, d))
        centre, support, weights = enclosing_ball(cloud)
        away = np.linalg.norm(cloud - centre, axis=1)
        assert 2 <= len(support) <= d + 1
        assert (weights > 0).all()
        np.testing.assert_allclose(weights @ cloud[support], centre, atol=1e-12)
        np.testing.assert_allclose(away[support], away.max(), rtol=1e-12)
