"""Shapes lie on their surface, uniformly, and have the homology they claim."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest

from stablerank.datasets import SHAPE_NAMES, manifolds, shapes
from stablerank.exceptions import InvalidInputError


def named(name, n_points=2000, n_per_class=2, **arguments):
    clouds, y = shapes(n_per_class=n_per_class, n_points=n_points, **arguments)
    return clouds[y == SHAPE_NAMES.index(name)]


def tube(cloud):
    """Distance from the axis, and the angle around it."""
    return np.hypot(cloud[..., 0], cloud[..., 1]), np.arctan2(
        cloud[..., 1], cloud[..., 0]
    )


def equation_of_sphere(cloud):
    return (cloud**2).sum(axis=-1) - 1


def equation_of_torus(cloud):
    radius, _ = tube(cloud)
    return (radius - 0.7) ** 2 + cloud[..., 2] ** 2 - 0.3**2


def equation_of_klein_bottle(cloud):
    # Turned back by half the angle, the profile is the figure eight q^2 = 4p^2(1-p^2).
    radius, u = tube(3.25 * cloud)
    out, up = radius - 2, 3.25 * cloud[..., 2]
    p = np.cos(u / 2) * out + np.sin(u / 2) * up
    q = -np.sin(u / 2) * out + np.cos(u / 2) * up
    return q**2 - 4 * p**2 * (1 - p**2)


def equation_of_circle(cloud):
    return np.hypot(cloud[..., 0] ** 2 + cloud[..., 1] ** 2 - 1, cloud[..., 2])


def equation_of_linked_circles(cloud):
    x, y, z = np.moveaxis(cloud, -1, 0)
    first = np.hypot((x + 1 / 3) ** 2 + y**2 - 4 / 9, z)
    second = np.hypot((x - 1 / 3) ** 2 + z**2 - 4 / 9, y)
    return np.minimum(first, second)


EQUATIONS = {
    "sphere": equation_of_sphere,
    "torus": equation_of_torus,
    "Klein bottle": equation_of_klein_bottle,
    "circle": equation_of_circle,
    "linked circles": equation_of_linked_circles,
}


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_without_noise_every_point_solves_the_equation_of_its_shape(name):
    assert np.abs(EQUATIONS[name](named(name))).max() < 1e-13


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_with_noise_points_leave_the_shape(name):
    assert np.abs(EQUATIONS[name](named(name, noise=0.05))).max() > 0.01


@pytest.mark.parametrize("dimension", [3, 4])
def test_shapes_fill_the_unit_ball_and_no_more(dimension):
    clouds, _ = shapes(n_per_class=2, n_points=2000, dimension=dimension)
    reach = np.linalg.norm(clouds, axis=-1).max(axis=-1)
    assert (reach <= 1 + 1e-15).all()
    assert (reach > 0.97).all()


def test_the_embedded_klein_bottle_solves_its_equations():
    cloud = named("Klein bottle", dimension=4)
    x, y, z, w = np.moveaxis(cloud, -1, 0)
    radius = np.hypot(x, y)
    assert np.abs((radius - 0.7) ** 2 + z**2 + w**2 - 0.09).max() < 1e-15
    # (z, w) points along half the angle of (x, y), to either side.
    assert np.abs((z**2 - w**2) * y - 2 * z * w * x).max() < 1e-15


def test_other_shapes_in_dimension_four_are_those_of_dimension_three():
    three, y = shapes(n_per_class=2, n_points=50)
    four, _ = shapes(n_per_class=2, n_points=50, dimension=4)
    others = y != SHAPE_NAMES.index("Klein bottle")
    assert np.array_equal(four[others, :, :3], three[others])
    assert not four[others, :, 3].any()


# The parametrisations once more, as an oracle that measures area by differences.
def torus(u, v):
    radius = 0.7 + 0.3 * np.cos(v)
    return np.stack([radius * np.cos(u), radius * np.sin(u), 0.3 * np.sin(v)])


def klein_immersed(u, v):
    out = np.cos(u / 2) * np.sin(v) - np.sin(u / 2) * np.sin(2 * v)
    up = np.sin(u / 2) * np.sin(v) + np.cos(u / 2) * np.sin(2 * v)
    return np.stack([(2 + out) * np.cos(u), (2 + out) * np.sin(u), up]) / 3.25


def klein_embedded(u, v):
    radius, height = 0.7 + 0.3 * np.cos(v), 0.3 * np.sin(v)
    return np.stack(
        [
            radius * np.cos(u),
            radius * np.sin(u),
            height * np.cos(u / 2),
            height * np.sin(u / 2),
        ]
    )


def measured_area(surface, u, v, h=1e-6):
    along = (surface(u + h, v) - surface(u - h, v)) / (2 * h)
    across = (surface(u, v + h) - surface(u, v - h)) / (2 * h)
    gram = (along**2).sum(0) * (across**2).sum(0) - (along * across).sum(0) ** 2
    return np.sqrt(np.maximum(gram, 0))


def angle_grid(n):
    angles = 2 * np.pi * (np.arange(n) + 0.5) / n
    return np.meshgrid(angles, angles)


@pytest.mark.parametrize(
    ("area", "surface"),
    [
        (manifolds._eight_area, klein_immersed),
        (manifolds._klein_area, klein_embedded),
    ],
)
def test_area_elements_are_proportional_to_the_measured_ones(area, surface):
    u, v = angle_grid(100)
    ratio = area(u, v) / measured_area(surface, u, v)
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-7)


@pytest.mark.parametrize(
    ("name", "dimension", "surface"),
    [
        ("torus", 3, torus),
        ("Klein bottle", 3, klein_immersed),
        ("Klein bottle", 4, klein_embedded),
    ],
)
def test_points_are_uniform_by_area(name, dimension, surface):
    n, cut = 100_000, 0.6
    cloud = named(name, n_points=n, n_per_class=1, dimension=dimension)[0]
    u, v = angle_grid(600)
    area, points = measured_area(surface, u, v), surface(u, v)
    outer = area[np.hypot(points[0], points[1]) > cut].sum() / area.sum()
    observed = (np.hypot(cloud[:, 0], cloud[:, 1]) > cut).mean()
    assert abs(observed - outer) < 4 * np.sqrt(outer * (1 - outer) / n)


def test_half_of_the_linked_points_lie_on_each_circle():
    cloud = named("linked circles", n_points=100, n_per_class=1)[0]
    assert (cloud[:, 2] == 0).sum() == 50
    assert (cloud[:, 1] == 0).sum() == 50


def test_the_sphere_is_uniform_in_every_octant():
    cloud = named("sphere", n_points=80_000, n_per_class=1)[0]
    octants = np.bincount((cloud > 0) @ [1, 2, 4], minlength=8)
    assert (np.abs(octants - 10_000) < 4 * np.sqrt(80_000 * 7 / 64)).all()


def long_bars(cloud, degree, length, field=2):
    tree = gudhi.AlphaComplex(points=cloud).create_simplex_tree(
        output_squared_values=False
    )
    tree.compute_persistence(homology_coeff_field=field)
    bars = tree.persistence_intervals_in_dimension(degree)
    return sum(death - birth > length for birth, death in bars)


@pytest.mark.parametrize(
    ("name", "n_points", "length", "betti"),
    [
        ("sphere", 400, 0.16, [1, 0, 1]),
        ("circle", 100, 0.16, [1, 1, 0]),
        ("linked circles", 150, 0.16, [2, 2, 0]),
        ("torus", 1000, 0.1, [1, 2, 1]),
    ],
)
def test_long_bars_count_the_betti_numbers(name, n_points, length, betti):
    cloud = named(name, n_points=n_points, n_per_class=1)[0]
    assert [long_bars(cloud, degree, length) for degree in range(3)] == betti


def test_the_embedded_klein_bottle_has_a_void_over_two_elements_alone():
    cloud = named("Klein bottle", n_points=400, n_per_class=1, dimension=4)[0]
    assert long_bars(cloud, 2, 0.03, field=2) == 1
    assert long_bars(cloud, 2, 0.03, field=3) == 0


def test_noise_is_gaussian_of_the_stated_size_on_the_same_points():
    clean, _ = shapes(n_per_class=3, n_points=500)
    noisy, _ = shapes(n_per_class=3, n_points=500, noise=0.1)
    z = (noisy - clean) / 0.1
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size)
    assert abs((np.abs(z) < 1).mean() - 0.6827) < 0.01


def test_outliers_are_the_last_points_and_fill_the_cube():
    clean, _ = shapes(n_per_class=4, n_points=200)
    dirty, _ = shapes(n_per_class=4, n_points=200, outliers=0.25)
    assert np.array_equal(dirty[:, :150], clean[:, :150])
    added = dirty[:, 150:].reshape(-1, 3)
    assert added.min() >= -1
    assert added.max() <= 1
    octants = np.bincount((added > 0) @ [1, 2, 4], minlength=8)
    assert (np.abs(octants - 125) < 4 * np.sqrt(1000 * 7 / 64)).all()


def test_all_points_may_be_outliers_and_none():
    assert len(np.unique(shapes(1, 20, outliers=1.0)[0])) == 5 * 20 * 3
    assert np.array_equal(shapes(1, 20, outliers=0.0)[0], shapes(1, 20)[0])


def test_fewer_clouds_are_the_first_of_each_class():
    many, _ = shapes(n_per_class=5, n_points=30, noise=0.1, outliers=0.2)
    few, y = shapes(n_per_class=2, n_points=30, noise=0.1, outliers=0.2)
    assert np.array_equal(many.reshape(5, 5, 30, 3)[:, :2], few.reshape(5, 2, 30, 3))
    assert y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_one_seed_one_data_set():
    assert np.array_equal(shapes(2, 20, seed=1)[0], shapes(2, 20, seed=1)[0])
    assert not np.array_equal(shapes(2, 20, seed=1)[0], shapes(2, 20, seed=2)[0])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"n_per_class": 0}, "n_per_class"),
        ({"n_points": 2.5}, "n_points"),
        ({"noise": -0.1}, "noise must be >= 0"),
        ({"noise": np.inf}, "noise must be finite"),
        ({"outliers": 1.1}, r"outliers must be in \[0, 1\]"),
        ({"outliers": "many"}, "outliers must be a number"),
        ({"dimension": 5}, "dimension must be one of 3, 4"),
        ({"seed": "zero"}, "seed must be an integer"),
    ],
)
def test_arguments_that_mean_nothing_are_refused_by_name(argument, message):
    with pytest.raises(InvalidInputError, match=message):
        shapes(**{"n_per_class": 1, "n_points": 5} | argument)
