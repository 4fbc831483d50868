"""ORBIT is one array for ever, and each convention is the one it says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import pytest

import stablerank.datasets.orbit as orbit_module
from stablerank.datasets import ORBIT_PARAMETERS, orbit5k, orbit100k, orbit_split
from stablerank.exceptions import InvalidInputError, NonFiniteError, ShapeError

# Of the little-endian float64 bytes of `orbit5k()`. If this changes, every number
# ever reported on this data set is about another one.
ORBIT5K_SHA256 = "812c67ecc4870f4c9781583c22c83a7a2e14ae9740a51f94cbed612c3ebff0cc"

SMALL = {"n_per_class": 4, "n_points": 60}


def plain_orbit(x: float, y: float, r: float) -> Iterator[tuple[float, float]]:
    """The system as a textbook line of Python, without numpy."""
    while True:
        x = (x + r * y * (1 - y)) % 1
        y = (y + r * x * (1 - x)) % 1
        yield x, y


def plain_simultaneous_orbit(
    x: float, y: float, r: float
) -> Iterator[tuple[float, float]]:
    while True:
        x, y = (x + r * y * (1 - y)) % 1, (y + r * x * (1 - x)) % 1
        yield x, y


def test_orbit5k_is_the_array_it_has_always_been():
    clouds, y = orbit5k()
    assert hashlib.sha256(clouds.astype("<f8").tobytes()).hexdigest() == ORBIT5K_SHA256
    assert clouds.shape == (5000, 1000, 2)
    assert clouds.dtype == np.float64
    assert y.dtype == np.int64


def test_classes_are_balanced_and_sorted():
    _, y = orbit5k(n_per_class=7, n_points=2)
    assert y.tolist() == [c for c in range(5) for _ in range(7)]


def test_points_lie_in_the_half_open_unit_square():
    clouds, _ = orbit5k(n_per_class=100)
    assert clouds.min() >= 0
    assert clouds.max() < 1


@pytest.mark.parametrize(
    ("update", "oracle"),
    [("sequential", plain_orbit), ("simultaneous", plain_simultaneous_orbit)],
)
def test_orbits_equal_the_plain_python_loop_bit_for_bit(update, oracle):
    clouds, y = orbit5k(n_per_class=2, n_points=1000, update=update, keep_start=True)
    for cloud, label in zip(clouds, y, strict=True):
        orbit = oracle(*cloud[0].tolist(), ORBIT_PARAMETERS[label])
        expected = [next(orbit) for _ in range(999)]
        assert np.array_equal(cloud[1:], expected)


def test_the_default_is_the_sequential_update_without_the_start():
    clouds, _ = orbit5k(seed=3, **SMALL)
    with_start, _ = orbit5k(seed=3, n_per_class=4, n_points=61, keep_start=True)
    assert np.array_equal(clouds, with_start[:, 1:])
    assert np.array_equal(clouds, orbit5k(seed=3, update="sequential", **SMALL)[0])


def test_updates_share_the_first_x_and_part_at_the_first_y():
    new, _ = orbit5k(update="sequential", **SMALL)
    old, _ = orbit5k(update="simultaneous", **SMALL)
    assert np.array_equal(new[:, 0, 0], old[:, 0, 0])
    assert (new[:, 0, 1] != old[:, 0, 1]).all()


def test_starts_are_shared_by_classes_only_when_asked():
    starts = orbit5k(n_per_class=4, n_points=1, keep_start=True)[0].reshape(5, 4, 2)
    assert len(np.unique(starts)) == starts.size
    shared = orbit5k(n_per_class=4, n_points=1, keep_start=True, shared_starts=True)
    assert (shared[0].reshape(5, 4, 2) == starts[0]).all()


def test_starts_are_uniform_in_the_square():
    starts, _ = orbit5k(n_per_class=20_000, n_points=1, keep_start=True, rs=(4.0,))
    counts, _, _ = np.histogram2d(*starts[:, 0].T, bins=10, range=[[0, 1], [0, 1]])
    chi_square = ((counts - 200) ** 2 / 200).sum()
    assert 60 < chi_square < 148  # 99 degrees of freedom: 0.1 % to either side


def test_minmax_maps_the_bounding_box_to_the_unit_square():
    raw, _ = orbit5k(**SMALL)
    scaled, _ = orbit5k(scaling="minmax", **SMALL)
    assert (scaled.min(axis=1) == 0).all()
    assert (scaled.max(axis=1) == 1).all()
    box = np.ptp(raw, axis=1, keepdims=True)
    assert np.allclose(scaled * box + raw.min(axis=1, keepdims=True), raw)


def test_minmax_refuses_an_orbit_without_extent():
    with pytest.raises(InvalidInputError, match=r"zero extent.*scaling=None"):
        orbit5k(scaling="minmax", n_per_class=1, n_points=1)


@pytest.mark.parametrize("shared_starts", [False, True])
def test_fewer_orbits_are_the_first_of_each_class(shared_starts):
    many, _ = orbit5k(n_per_class=9, n_points=30, shared_starts=shared_starts)
    few, _ = orbit5k(n_per_class=3, n_points=30, shared_starts=shared_starts)
    many = many.reshape(5, 9, 30, 2)[:, :3]
    assert np.array_equal(many, few.reshape(5, 3, 30, 2))


def test_fewer_points_are_the_first_of_each_orbit():
    long, _ = orbit5k(n_per_class=3, n_points=50)
    short, _ = orbit5k(n_per_class=3, n_points=20)
    assert np.array_equal(long[:, :20], short)


def test_the_block_size_does_not_change_a_bit(monkeypatch):
    whole = orbit5k(n_per_class=10, n_points=200)[0]
    monkeypatch.setattr(orbit_module, "_BLOCK", 3)
    assert np.array_equal(orbit5k(n_per_class=10, n_points=200)[0], whole)


def test_another_seed_gives_other_orbits():
    assert not np.isin(orbit5k(seed=1, **SMALL)[0], orbit5k(seed=0, **SMALL)[0]).any()


def test_orbit100k_continues_orbit5k_in_every_convention():
    convention = {
        "n_points": 10,
        "rs": (1.0, 4.3),
        "update": "simultaneous",
        "keep_start": True,
        "shared_starts": True,
        "scaling": "minmax",
    }
    clouds, y = orbit100k(seed=5, n_per_class=6, **convention)
    expected, labels = orbit5k(seed=5, n_per_class=6, **convention)
    assert np.array_equal(clouds, expected)
    assert np.array_equal(y, labels)


def test_orbit100k_has_twenty_thousand_orbits_per_class():
    clouds, y = orbit100k(n_points=1)
    assert clouds.shape == (100_000, 1, 2)
    assert np.bincount(y).tolist() == [20_000] * 5


def test_a_numpy_integer_is_a_seed():
    few = orbit5k(seed=np.int64(4), **SMALL)[0]
    assert np.array_equal(few, orbit5k(seed=4, **SMALL)[0])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"seed": 0.5}, "seed must be an integer >= 0"),
        ({"seed": None}, "seed must be an integer >= 0"),
        ({"n_per_class": 0}, "n_per_class must be an integer >= 1"),
        ({"n_per_class": True}, "n_per_class must be an integer >= 1, got True"),
        ({"n_points": 10.0}, "n_points must be an integer >= 1"),
        ({"rs": ()}, "rs is empty"),
        ({"rs": (4.0, -1.0)}, r"rs\[1\] must be >= 0"),
        ({"rs": (math.nan,)}, r"rs\[0\] must be finite"),
        ({"rs": ("4.0",)}, r"rs\[0\] must be a number"),
        ({"update": "new"}, "update must be one of 'sequential', 'simultaneous'"),
        ({"scaling": "standard"}, "scaling must be one of None, 'minmax'"),
    ],
)
def test_arguments_that_mean_nothing_are_refused_by_name(argument, message):
    with pytest.raises(InvalidInputError, match=message):
        orbit5k(**{"n_per_class": 1, "n_points": 2} | argument)


def test_split_is_70_30_in_every_class_and_covers_each_sample_once():
    y = np.repeat(np.arange(5), 1000)
    train, test = orbit_split(y, seed=0)
    assert np.bincount(y[train]).tolist() == [700] * 5
    assert np.bincount(y[test]).tolist() == [300] * 5
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(5000))


def test_split_is_the_one_it_has_always_been():
    _, test = orbit_split(np.repeat(np.arange(5), 1000), seed=0)
    digest = hashlib.sha256(test.astype("<i8").tobytes()).hexdigest()
    assert digest[:16] == "e7773988e8d50c54"


def test_split_depends_on_the_seed_alone():
    y = np.repeat(np.arange(5), 40)
    first, again, other = (orbit_split(y, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_sample_is_as_likely_as_any_other_to_be_tested():
    y = np.repeat([0, 1], 20)
    tested = np.zeros(40)
    for seed in range(1000):
        tested[orbit_split(y, seed)[1]] += 1
    assert (np.abs(tested - 300) < 4 * math.sqrt(1000 * 0.3 * 0.7)).all()


def test_split_takes_unsorted_text_labels_and_uneven_classes():
    y = ["b", "a", "b", "b", "a"]
    train, test = orbit_split(y, seed=0, test_size=0.5)
    assert sorted(np.array(y)[test]) == ["a", "b", "b"]
    assert sorted(np.array(y)[train]) == ["a", "b"]


@pytest.mark.parametrize(("test_size", "n_test"), [(0.001, 1), (0.999, 9)])
def test_both_sides_of_a_split_hold_every_class(test_size, n_test):
    y = np.repeat([0, 1], 10)
    _, test = orbit_split(y, seed=0, test_size=test_size)
    assert np.bincount(y[test]).tolist() == [n_test, n_test]


@pytest.mark.parametrize(
    ("y", "test_size", "error", "message"),
    [
        ([0, 0, 1], 0.3, InvalidInputError, "class np.int64.1. has one sample"),
        ([], 0.3, ShapeError, "non-empty 1-d"),
        ([[0, 1], [0, 1]], 0.3, ShapeError, r"got shape \(2, 2\)"),
        ([0.0, np.nan], 0.3, NonFiniteError, r"y\[1\] is nan"),
        ([0, 0], 0, InvalidInputError, "strictly between 0 and 1"),
        ([0, 0], 1.0, InvalidInputError, "strictly between 0 and 1"),
        ([0, 0], 30, InvalidInputError, r"test_size must be in \[0, 1\]"),
    ],
)
def test_a_split_that_cannot_be_stratified_is_refused(y, test_size, error, message):
    with pytest.raises(error, match=message):
        orbit_split(y, seed=0, test_size=test_size)
