"""Each corruption does what its level says, and nothing to its input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from stablerank.datasets import CORRUPTIONS, corrupt
from stablerank.exceptions import (
    DataTypeError,
    EmptyInputError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
)

LINEAR = ["rotation", "stretch", "shear"]


def random_clouds(dimension=3, n=4, m=50):
    rng = np.random.default_rng(0)
    return rng.uniform(-2, 5, size=(n, m, dimension))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_input_stays_as_it_is(kind):
    clouds = random_clouds()
    clouds.flags.writeable = False
    before = clouds.copy()
    result = corrupt(clouds, kind, 0.5)
    assert np.array_equal(clouds, before)
    assert not np.shares_memory(result, clouds)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_level_zero_changes_nothing_and_still_copies(kind):
    clouds = random_clouds()
    result = corrupt(clouds, kind, 0)
    assert np.array_equal(result, clouds)
    assert not np.shares_memory(result, clouds)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_positive_level_changes_every_cloud(kind):
    clouds = random_clouds()
    for before, after in zip(clouds, corrupt(clouds, kind, 0.5), strict=True):
        assert not np.array_equal(before, after)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_an_array_gives_an_array_and_a_list_a_list(kind):
    clouds = random_clouds()
    as_array = corrupt(clouds, kind, 0.3, seed=2)
    as_list = corrupt([cloud.tolist() for cloud in clouds], kind, 0.3, seed=2)
    assert isinstance(as_array, np.ndarray)
    assert isinstance(as_list, list)
    assert np.array_equal(as_array, as_list)
    assert as_array.dtype == np.float64


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_clouds_of_many_sizes_are_corrupted_one_by_one(kind):
    clouds = [random_clouds(m=m)[0] for m in (30, 7, 12)]
    whole = corrupt(clouds, kind, 0.5, seed=1)
    first = corrupt(clouds[:2], kind, 0.5, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(whole[:2], first, strict=True))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_seed_decides_and_no_two_clouds_suffer_alike(kind):
    # In space, since a rotation of the plane has nothing left to draw.
    twins = np.repeat(random_clouds(n=1), 2, axis=0)
    first, again, other = (corrupt(twins, kind, 0.5, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_integers_and_float32_are_read_exactly(kind):
    clouds = random_clouds().astype(np.float32)
    exact = clouds.astype(np.float64)
    assert np.array_equal(corrupt(clouds, kind, 0.5), corrupt(exact, kind, 0.5))
    whole = np.round(clouds).astype(np.int32)
    assert np.array_equal(
        corrupt(whole, kind, 0.5), corrupt(whole.astype(float), kind, 0.5)
    )


def test_a_torch_tensor_is_read_like_the_array_it_holds():
    clouds = random_clouds()
    tensor = torch.tensor(clouds, requires_grad=True)
    assert np.array_equal(corrupt(tensor, "shear", 0.5), corrupt(clouds, "shear", 0.5))


def test_gaussian_noise_has_the_level_as_standard_deviation():
    clouds = random_clouds(n=20, m=1000)
    z = (corrupt(clouds, "gaussian", 0.3) - clouds) / 0.3
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert abs(z.std() - 1) < 4 / math.sqrt(2 * z.size)


@pytest.mark.parametrize("kind", ["gaussian", "stretch", "shear"])
def test_displacements_grow_in_proportion_to_the_level(kind):
    clouds = random_clouds()
    once = corrupt(clouds, kind, 0.1) - clouds
    thrice = corrupt(clouds, kind, 0.3) - clouds
    assert np.allclose(thrice, 3 * once)


def test_replacement_hits_points_with_the_probability_of_its_level():
    clouds = random_clouds(n=20, m=1000)
    replaced = corrupt(clouds, "replacement", 0.2) != clouds
    assert np.array_equal(replaced.any(axis=-1), replaced.all(axis=-1))
    hits = replaced.any(axis=-1).mean()
    assert abs(hits - 0.2) < 4 * math.sqrt(0.2 * 0.8 / 20_000)


def test_more_replacement_replaces_the_same_points_and_some_more():
    clouds = random_clouds()
    little, much = (corrupt(clouds, "replacement", level) for level in (0.2, 0.6))
    hit = little != clouds
    assert hit.any()
    assert np.array_equal(much[hit], little[hit])


@pytest.mark.parametrize("kind", ["replacement", "outliers"])
def test_new_points_are_uniform_in_the_box_of_their_cloud(kind):
    clouds = random_clouds(n=2, m=20_000) * [1.0, 10.0, 0.1]
    for before, after in zip(clouds, corrupt(clouds, kind, 1.0), strict=True):
        new = after[-20_000:]
        low, high = before.min(axis=0), before.max(axis=0)
        u = (new - low) / (high - low)
        assert u.min() >= 0
        assert u.max() <= 1
        octants = np.bincount((u > 0.5) @ [1, 2, 4], minlength=8)
        assert (np.abs(octants - 2500) < 4 * math.sqrt(20_000 * 7 / 64)).all()


@pytest.mark.parametrize("kind", ["replacement", "outliers"])
def test_new_points_fill_the_unit_cube_when_asked(kind):
    clouds = random_clouds(n=1, m=1000)
    new = corrupt(clouds, kind, 1.0, box="unit")[0, -1000:]
    assert 0 <= new.min() < 0.01
    assert 0.99 < new.max() <= 1


def test_outliers_follow_the_points_of_the_cloud():
    clouds = random_clouds(m=50)
    few, many = (corrupt(clouds, "outliers", level) for level in (0.1, 1.5))
    assert few.shape == (4, 55, 3)
    assert many.shape == (4, 125, 3)
    assert np.array_equal(many[:, :50], clouds)
    assert np.array_equal(many[:, :55], few)


def test_dropout_keeps_the_rest_in_order_and_more_drops_more():
    clouds = random_clouds(n=1, m=50)
    rows = [row.tolist() for row in clouds[0]]
    kept = {}
    for level in (0.2, 0.5):
        left = corrupt(clouds, "dropout", level)[0]
        kept[level] = [rows.index(row.tolist()) for row in left]
        assert len(left) == 50 - round(level * 50)
        assert kept[level] == sorted(kept[level])
    assert set(kept[0.5]) < set(kept[0.2])


@pytest.mark.parametrize("m", [1, 2, 50])
def test_dropout_of_everything_leaves_one_point(m):
    assert corrupt(random_clouds(m=m), "dropout", 1.0).shape == (4, 1, 3)


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("dimension", [2, 3])
def test_linear_corruptions_leave_the_centroid(kind, dimension):
    clouds = random_clouds(dimension)
    after = corrupt(clouds, kind, 0.7)
    assert np.allclose(after.mean(axis=1), clouds.mean(axis=1))


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("level", [-2.0, 1e-9, 0.4, math.pi, 10.0])
def test_rotation_keeps_distances_and_orientation(dimension, level):
    for before, after in zip(
        clouds := random_clouds(dimension),
        corrupt(clouds, "rotation", level),
        strict=True,
    ):
        assert np.allclose(pdist(after), pdist(before), rtol=1e-13)
        edges = slice(0, dimension)
        volumes = [
            np.linalg.det(cloud[edges] - cloud[dimension]) for cloud in (before, after)
        ]
        assert np.isclose(*volumes)


@pytest.mark.parametrize("dimension", [2, 3])
def test_rotation_turns_by_the_angle_of_its_level(dimension):
    for before, after in zip(
        clouds := random_clouds(dimension),
        corrupt(clouds, "rotation", 0.8),
        strict=True,
    ):
        matrix = linear_part(before, after)
        # The trace of a rotation is 2 cos(angle), plus 1 for the axis.
        assert np.isclose(np.trace(matrix), 2 * math.cos(0.8) + dimension - 2)


def test_rotation_of_the_plane_is_counter_clockwise():
    square = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    turned = corrupt([square], "rotation", math.pi / 2)[0]
    assert np.allclose(turned, np.roll(square, -1, axis=0), atol=1e-15)


def test_two_half_turns_are_the_identity():
    clouds = random_clouds()
    twice = corrupt(corrupt(clouds, "rotation", math.pi), "rotation", math.pi)
    assert np.allclose(twice, clouds)


def linear_part(before, after):
    solution = np.linalg.lstsq(
        before - before.mean(axis=0), after - after.mean(axis=0), rcond=None
    )
    return solution[0].T


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_stretch_has_one_singular_value_of_one_plus_level(dimension):
    for before, after in zip(
        clouds := random_clouds(dimension), corrupt(clouds, "stretch", 0.4), strict=True
    ):
        singular = np.linalg.svd(linear_part(before, after), compute_uv=False)
        assert np.allclose(singular, [1.4] + [1.0] * (dimension - 1))


@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_shear_keeps_volume_and_moves_by_level_times_height(dimension):
    for before, after in zip(
        clouds := random_clouds(dimension), corrupt(clouds, "shear", 0.4), strict=True
    ):
        matrix = linear_part(before, after)
        change = matrix - np.eye(dimension)
        assert np.isclose(np.linalg.det(matrix), 1)
        assert np.allclose(change @ change, 0)  # the two directions are perpendicular
        assert np.isclose(np.linalg.norm(change, 2), 0.4)


@pytest.mark.parametrize("kind", ["stretch", "shear"])
@pytest.mark.parametrize("level", [0.01, 0.5, 3.0])
def test_stretch_and_shear_strain_distances_by_at_most_their_level(kind, level):
    for before, after in zip(
        clouds := random_clouds(2, m=200), corrupt(clouds, kind, level), strict=True
    ):
        strain = np.abs(pdist(after) / pdist(before) - 1)
        assert strain.max() <= level * (1 + 1e-12)
        assert strain.max() > 0.4 * level


def random_matrices(kind, level, n=4000):
    """The linear maps that a corruption applies to n clouds in space."""
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    images = corrupt(np.repeat(axes[None], n, axis=0), kind, level)
    return images[:, :3].transpose(0, 2, 1)


def test_axes_of_rotation_are_uniform_on_the_sphere():
    a = random_matrices("rotation", 0.5)
    axes = np.stack(
        [a[:, 2, 1] - a[:, 1, 2], a[:, 0, 2] - a[:, 2, 0], a[:, 1, 0] - a[:, 0, 1]],
        axis=1,
    ) / (2 * math.sin(0.5))
    assert np.allclose(np.linalg.norm(axes, axis=1), 1)
    octants = np.bincount((axes > 0) @ [1, 2, 4], minlength=8)
    assert (np.abs(octants - 500) < 4 * math.sqrt(4000 * 7 / 64)).all()
    # Archimedes: each coordinate is uniform in [-1, 1].
    assert (np.abs((axes**2).mean(axis=0) - 1 / 3) < 4 * math.sqrt(4 / 45 / 4000)).all()


@pytest.mark.parametrize(
    ("kind", "mean"), [("stretch", np.eye(3) / 3), ("shear", np.zeros((3, 3)))]
)
def test_directions_of_stretch_and_shear_favour_none(kind, mean):
    changes = random_matrices(kind, 1.0) - np.eye(3)
    assert np.abs(changes.mean(axis=0) - mean).max() < 4 * math.sqrt(2 / 15 / 4000)


@pytest.mark.parametrize(
    ("kind", "level", "error", "message"),
    [
        ("blur", 0.1, InvalidInputError, "kind must be one of 'gaussian', 'replace"),
        ("gaussian", -0.1, InvalidInputError, "level must be >= 0"),
        ("gaussian", math.nan, NonFiniteError, "level must be finite"),
        ("gaussian", "0.1", InvalidInputError, "level must be a number"),
        ("gaussian", True, InvalidInputError, "level must be a number, got True"),
        ("rotation", math.inf, NonFiniteError, "level must be finite"),
        ("replacement", 1.01, InvalidInputError, r"level must be in \[0.0, 1.0\]"),
        ("dropout", 2, InvalidInputError, r"level must be in \[0.0, 1.0\]"),
        ("outliers", -1, InvalidInputError, "level must be >= 0"),
        ("stretch", -0.5, InvalidInputError, "level must be >= 0"),
        ("shear", -0.5, InvalidInputError, "level must be >= 0"),
    ],
)
def test_kinds_and_levels_that_mean_nothing_are_refused(kind, level, error, message):
    with pytest.raises(error, match=message):
        corrupt(random_clouds(), kind, level)


def test_an_unknown_box_is_refused():
    with pytest.raises(InvalidInputError, match="box must be one of 'cloud', 'unit'"):
        corrupt(random_clouds(), "replacement", 0.1, box="square")


@pytest.mark.parametrize(
    ("kind", "dimension"), [("rotation", 1), ("rotation", 4), ("shear", 1)]
)
def test_kinds_refuse_dimensions_they_do_not_exist_in(kind, dimension):
    with pytest.raises(ShapeError, match=f"clouds have {dimension} coord"):
        corrupt(random_clouds(dimension), kind, 0.1)


POINTS = [[0.0, 1.0], [2.0, 3.0]]


@pytest.mark.parametrize(
    ("clouds", "error", "message"),
    [
        ([POINTS, [[0, 1], [2, math.nan]]], NonFiniteError, r"clouds\[1\].*row 1"),
        ([[[math.inf, 0]]], NonFiniteError, r"clouds\[0\].*row 0"),
        (np.array(POINTS), ShapeError, r"pass \[X\]"),
        ([POINTS, np.zeros((2, 2, 2))], ShapeError, r"clouds\[1\].*\(2, 2, 2\)"),
        ([POINTS, np.zeros((2, 3))], ShapeError, r"clouds\[1\].*3 coordinates"),
        ([POINTS, np.zeros((0, 2))], EmptyInputError, r"clouds\[1\] has no points"),
        ([], EmptyInputError, "clouds has 0 samples"),
        ([[["a", "b"]]], DataTypeError, r"clouds\[0\] holds <U1"),
        ([[[1j, 0]]], DataTypeError, r"clouds\[0\].*[Cc]omplex"),
    ],
)
def test_clouds_that_are_none_are_refused_with_their_place(clouds, error, message):
    with pytest.raises(error, match=message):
        corrupt(clouds, "gaussian", 0.1)
