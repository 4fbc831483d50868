"""Sizes of moves of points, against rational numbers."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stablerank.exceptions import InvalidInputError, NonFiniteError, ShapeError
from stablerank.metrics import Budget, Displacement, Hausdorff, SinglePoint, Strain
from stablerank.metrics.points import _roots, _rough_strain
from tests.checks import (
    above,
    assert_lipschitz,
    assert_smallest_root_above,
    exact_square,
)
from tests.strategies import (
    Array,
    AttainedCloud,
    attained_single_point,
    attained_two_points,
    cloud_pairs,
    clouds,
    dyadic,
    finite_floats,
)

#: Any coordinates at all; and some whose squares leave the range of floats.
rough_pairs = cloud_pairs(st.integers(1, 3), coordinates=finite_floats)
tiny_pairs = cloud_pairs(2, coordinates=st.floats(-(2.0**-1060), 2.0**-1060))
pairs = cloud_pairs(st.integers(1, 3))
any_pairs = st.one_of(pairs, rough_pairs, tiny_pairs)


def squares(x: Array, x_new: Array) -> list[Fraction]:
    return [exact_square(a, b) for a, b in zip(x, x_new, strict=True)]


# --- displacement, one point, budget ------------------------------------------------


@given(pair=any_pairs)
@example(pair=(np.zeros((2, 2)), np.array([[3.0, 4.0], [5.0, 0.0]])))
@example(pair=(np.zeros((1, 2)), np.full((1, 2), 2.0**-1074)))
@example(pair=(np.zeros((2, 1)), np.array([[2.0**-600], [2.0**-1074]])))
@example(pair=(np.zeros((1, 2)), np.array([[1e300, 1e-300]])))
def test_displacement_is_the_smallest_float_above_the_largest_move(
    pair: tuple[Array, Array],
) -> None:
    assert_smallest_root_above(Displacement().distance_up(*pair), max(squares(*pair)))


@pytest.mark.parametrize("seed", range(20))
def test_moves_of_almost_one_length_are_told_apart(seed: int) -> None:
    """Equal but for rounding, so that only exact numbers know the largest."""
    angles = np.random.default_rng(seed).uniform(0, 7, 30)
    x_new = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.zeros_like(x_new)
    size = Displacement().distance_up(x, x_new)
    assert_smallest_root_above(size, max(squares(x, x_new)))
    np.testing.assert_array_equal(Displacement().project(x, x_new, size), x_new)
    shorter = Displacement().project(x, x_new, math.nextafter(size, 0))
    assert 0 < (shorter != x_new).any(axis=1).sum() < len(x)


@given(pair=any_pairs)
def test_the_budget_is_the_smallest_float_above_the_norm_of_all_moves(
    pair: tuple[Array, Array],
) -> None:
    assert_smallest_root_above(Budget().distance_up(*pair), sum(squares(*pair)))


@given(pair=any_pairs)
def test_a_single_point_alone_may_move(pair: tuple[Array, Array]) -> None:
    x, x_new = pair
    one = x.copy()
    one[-1] = x_new[-1]
    size = SinglePoint().distance_up(x, one)
    assert_smallest_root_above(size, exact_square(x[-1], x_new[-1]))
    if sum(s > 0 for s in squares(*pair)) > 1:
        assert SinglePoint().distance_up(*pair) == math.inf


@given(pair=pairs)
def test_the_single_point_that_moved_most_is_kept(pair: tuple[Array, Array]) -> None:
    x, x_new = pair
    projected = SinglePoint().project(x, x_new, math.inf)
    moved = np.flatnonzero((projected != x).any(axis=1))
    assert len(moved) <= 1
    assert max(squares(x, projected)) == max(squares(*pair))


@given(pair=attained_two_points())
def test_points_that_part_have_the_sizes_in_closed_form(pair: AttainedCloud) -> None:
    assert Displacement().distance_up(pair.x, pair.x_new) == pair.displacement
    assert_smallest_root_above(
        Budget().distance_up(pair.x, pair.x_new), Fraction(pair.budget_square)
    )


@given(pair=attained_single_point())
def test_all_sizes_of_a_single_move_agree(pair: AttainedCloud) -> None:
    for threat in (Displacement(), SinglePoint(), Budget()):
        assert threat.distance_up(pair.x, pair.x_new) == pair.displacement


@given(pair=pairs)
def test_sizes_are_ordered_as_the_conversions_say(pair: tuple[Array, Array]) -> None:
    sizes = [t().distance_up(*pair) for t in (Hausdorff, Displacement, Budget)]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= SinglePoint().distance_up(*pair)


def test_a_large_cloud_is_projected_point_by_point() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 3))
    x_new = x + 0.1 * rng.normal(size=x.shape)
    projected = Displacement().project(x, x_new, 0.15)
    moves, kept = (np.linalg.norm(y - x, axis=1) for y in (x_new, projected))
    inside = moves < 0.149
    np.testing.assert_array_equal(projected[inside], x_new[inside])
    np.testing.assert_allclose(kept[moves > 0.151], 0.15, rtol=1e-12)
    assert Displacement().distance_up(x, projected) <= 0.15


def test_empty_clouds_have_not_moved() -> None:
    empty = np.empty((0, 2))
    for threat in (Displacement(), SinglePoint(), Budget(), Strain()):
        assert threat.distance_up(empty, empty) == 0
        assert threat.project(empty, empty, 1.0).shape == (0, 2)


@pytest.mark.parametrize("threat", [Displacement(), SinglePoint(), Budget(), Strain()])
def test_a_cloud_has_two_axes(threat: Any) -> None:
    with pytest.raises(ShapeError, match="points, coordinates"):
        threat.distance_up([0.0, 1.0], [0.0, 2.0])


# --- weights ------------------------------------------------------------------------


@st.composite
def weighted_pairs(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    x, x_new = draw(any_pairs)
    weight = st.one_of(
        st.floats(0, 1e300), dyadic.map(abs), st.sampled_from([0.0, 2.0**-1074])
    )
    return x, x_new, draw(hnp.arrays(np.float64, len(x), elements=weight))


@given(drawn=weighted_pairs())
@example(drawn=(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1)))
@example(drawn=(np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)))
@example(drawn=(np.zeros((1, 1)), np.full((1, 1), 2.0**-1074), np.array([1e300])))
@example(drawn=(np.zeros((1, 1)), np.ones((1, 1)), np.array([2.0**-1074])))
def test_weighted_displacement_is_the_smallest_float_above_the_largest_ratio(
    drawn: tuple[Array, Array, Array],
) -> None:
    x, x_new, weights = drawn
    sample = {"positions": x, "u": weights}
    size = Displacement(weights="u").distance_up(sample, x_new)
    ratios = [Fraction(0)]
    for square, weight in zip(squares(x, x_new), weights.tolist(), strict=True):
        if square and not weight:
            assert size == math.inf
            return
        ratios += [square / Fraction(weight) ** 2] if square else []
    assert_smallest_root_above(size, max(ratios))


@given(drawn=weighted_pairs(), radius=st.floats(0, 1e3))
def test_weighted_projections_stay_in_the_ball(
    drawn: tuple[Array, Array, Array], radius: float
) -> None:
    x, x_new, weights = drawn
    threat = Displacement(weights="u")
    sample = {"positions": x, "u": weights}
    projected = threat.project(sample, x_new, radius)
    assert threat.distance_up(sample, projected) <= radius
    np.testing.assert_array_equal(projected[weights == 0], x[weights == 0])
    if threat.distance_up(sample, x_new) <= radius:
        np.testing.assert_array_equal(projected, x_new)


def distance_from_origin(sample: Any) -> Array:
    return np.linalg.norm(getattr(sample, "positions", sample), axis=1)


def test_weights_come_from_a_mapping_an_object_with_arrays_or_a_function() -> None:
    x, x_new = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 3.0]])
    weights = np.array([1.0, 2.0])
    atoms = SimpleNamespace(positions=x, arrays={"u_iso": weights})
    named = Displacement(weights="u_iso")
    assert named.distance_up({"positions": x, "u_iso": weights}, x_new) == 1
    assert named.distance_up(atoms, x_new) == 1
    assert named.distance_up(atoms, SimpleNamespace(positions=x_new)) == 1
    computed = Displacement(weights=distance_from_origin)
    assert computed.distance_up(x, x_new) == computed.distance_up(atoms, x_new) == 1
    np.testing.assert_array_equal(named.point_weights(atoms), weights)
    assert Displacement().point_weights(atoms) is None
    assert Displacement().distance_up(atoms, x_new) == 1


def test_weighted_threats_are_told_apart_by_name() -> None:
    names = {str(Displacement(weights=w)) for w in ("a", "b", distance_from_origin)}
    assert len(names) == 3
    assert any(name.endswith("distance_from_origin") for name in names)


@pytest.mark.parametrize("weights", [lambda x: x[:, 0], 3, np.ones(3)])
def test_weights_without_a_name_are_refused(weights: Any) -> None:
    with pytest.raises(InvalidInputError, match="certificates can cite"):
        Displacement(weights=weights)


@pytest.mark.parametrize(
    ("sample", "error", "words"),
    [
        (np.zeros((2, 2)), InvalidInputError, "no array 'u'"),
        ({"positions": np.zeros((2, 2))}, InvalidInputError, "no array 'u'"),
        ({"u": np.ones(2)}, InvalidInputError, "without 'positions'"),
        ({"positions": np.zeros((2, 2)), "u": [1.0]}, ShapeError, "1 weights for 2"),
        ({"positions": np.zeros((2, 2)), "u": [1, -1]}, InvalidInputError, ">= 0"),
        ({"positions": np.zeros((2, 2)), "u": [[1, 1]]}, InvalidInputError, ">= 0"),
        (
            {"positions": np.zeros((2, 2)), "u": [1, math.nan]},
            NonFiniteError,
            "the weights",
        ),
    ],
)
def test_weights_that_cannot_be_used_are_named(
    sample: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Displacement(weights="u").distance_up(sample, np.zeros((2, 2)))


# --- Hausdorff ----------------------------------------------------------------------


def exact_hausdorff_square(x: Array, x_new: Array) -> Fraction:
    table = [[exact_square(a, b) for b in x_new] for a in x]
    return max(min(row) for row in (*table, *zip(*table, strict=True)))


two_clouds = st.tuples(clouds(2), clouds(2))


@given(pair=two_clouds)
def test_hausdorff_is_the_smallest_float_above_the_exact_distance(
    pair: tuple[Array, Array],
) -> None:
    size = Hausdorff().distance_up(*pair)
    assert_smallest_root_above(size, exact_hausdorff_square(*pair))


@given(pair=rough_pairs)
@example(pair=(np.array([[1e-300]]), np.array([[-1e-300]])))
@example(pair=(np.array([[1e300], [0.0]]), np.array([[0.0], [1e300]])))
def test_hausdorff_is_never_below_and_never_above_displacement(
    pair: tuple[Array, Array],
) -> None:
    size = Hausdorff().distance_up(*pair)
    assert above(size, exact_hausdorff_square(*pair), power=2)
    assert size <= Displacement().distance_up(*pair) * (1 + 2.0**-48)


@given(pair=two_clouds, radius=st.floats(0, 40))
def test_hausdorff_projections_allow_other_numbers_of_points(
    pair: tuple[Array, Array], radius: float
) -> None:
    projected = Hausdorff().project(*pair, radius)
    assert exact_hausdorff_square(pair[0], projected) <= Fraction(radius) ** 2
    assert Hausdorff().distance_up(pair[0], projected) <= radius
    if Hausdorff().distance_up(*pair) <= radius:
        np.testing.assert_array_equal(projected, pair[1])


def test_old_points_that_were_left_alone_are_restored() -> None:
    x = np.array([[0.0, 0.0], [8.0, 0.0]])
    projected = Hausdorff().project(x, np.array([[3.0, 4.0], [2.0, 0.0]]), 2.5)
    np.testing.assert_array_equal(projected, [[1.5, 2.0], [2.0, 0.0], [8.0, 0.0]])


@pytest.mark.parametrize(
    ("x", "x_new"),
    [
        (np.empty((0, 2)), np.zeros((1, 2))),
        (np.zeros((1, 2)), np.empty((0, 2))),
        (np.zeros((1, 2)), np.zeros((1, 3))),
        (np.zeros(2), np.zeros(2)),
        (np.zeros((2, 0)), np.zeros((2, 0))),
    ],
)
def test_hausdorff_needs_two_clouds_of_one_dimension(x: Array, x_new: Array) -> None:
    with pytest.raises(ShapeError):
        Hausdorff().distance_up(x, x_new)


# --- strain -------------------------------------------------------------------------


def strains(x: Array, x_new: Array) -> list[Fraction]:
    """Squared ratio of every distance, before and after."""
    return [
        exact_square(x_new[i], x_new[j]) / exact_square(x[i], x[j])
        for i, j in itertools.combinations(range(len(x)), 2)
        if (x[i] != x[j]).any()
    ]


def holds(strain: float, ratios: list[Fraction]) -> bool:
    """Whether |sqrt(ratio) - 1| <= strain for all."""
    if math.isinf(strain):
        return True
    s = Fraction(strain)
    return all((1 - s <= 0 or (1 - s) ** 2 <= r) and r <= (1 + s) ** 2 for r in ratios)


@given(pair=st.one_of(pairs, tiny_pairs))
@example(pair=(np.array([[0.0], [1.0]]), np.array([[0.0], [1.0 + 2.0**-52]])))
@example(pair=(np.array([[0.0], [2.0**-1074]]), np.array([[0.0], [2.0**-1073]])))
@example(pair=(np.array([[0.0], [1e-300]]), np.array([[0.0], [1e300]])))
@example(pair=(np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]])))
@example(  # the smallest distance doubles; in floats it goes from 2 units to 3
    pair=(
        np.array([[0.0, 0.0], [2.0**-1074, 2.0**-1074], [2.0**-900, 0.0]]),
        np.array([[0.0, 0.0], [2.0**-1073, 2.0**-1073], [1.9 * 2.0**-900, 0.0]]),
    )
)
def test_strain_is_the_smallest_float_above_every_relative_change(
    pair: tuple[Array, Array],
) -> None:
    x, x_new = pair
    size = Strain().distance_up(x, x_new)
    torn = any(
        (x[i] == x[j]).all() and (x_new[i] != x_new[j]).any()
        for i, j in itertools.combinations(range(len(x)), 2)
    )
    assert (size == math.inf) == torn or not torn
    if not torn:
        assert holds(size, strains(x, x_new))
        before = math.nextafter(size, 0)
        assert size == 0 or not holds(before, strains(x, x_new))


@given(
    x=clouds(2, min_points=2),
    entries=hnp.arrays(np.float64, (2, 2), elements=st.floats(-3, 3)),
)
def test_an_affine_map_strains_at_most_by_its_singular_values(
    x: Array, entries: Array
) -> None:
    """[X14], with room for the rounding of x F^T."""
    values = np.linalg.svd(entries, compute_uv=False)
    largest = max(values.max() - 1, 1 - values.min())
    size = Strain().distance_up(x, x @ entries.T)
    assert_lipschitz(size, 1.0, largest * (1 + 1e-9) + 1e-9)


def test_the_strain_of_a_stretch_is_attained() -> None:
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    assert Strain().distance_up(x, x * [1.5, 1.0]) == 0.5
    assert Strain().distance_up(x, x * [1.0, 0.25]) == 0.75
    assert Strain().distance_up(x, x * 2.0) == 1


@pytest.mark.parametrize("seed", range(10))
def test_pairs_that_stretch_almost_alike_are_told_apart(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(10, 3))
    ratios = strains(x, x * 1.1)
    size = Strain().distance_up(x, x * 1.1)
    assert holds(size, ratios)
    assert not holds(math.nextafter(size, 0), ratios)


def test_the_strain_of_very_many_ties_is_a_few_ulp_above_them() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    size = Strain().distance_up(x, x * 1.1)
    assert holds(size, strains(x, x * 1.1))
    assert size <= 0.1 + 1e-13
    rough = np.concatenate([_rough_strain(x, x * 1.1, i) for i in range(len(x))])
    for bound, ratio in zip(rough.tolist(), strains(x, x * 1.1), strict=True):
        assert holds(bound, [ratio])


@given(value=st.fractions(0, 10**6))
@example(value=Fraction(9, 4))
def test_roots_are_enclosed_by_rationals(value: Fraction) -> None:
    below, above = _roots(value)
    assert below**2 <= value <= above**2
    assert above - below <= Fraction(1, 2**200)


def test_rigid_motions_have_no_strain_but_rounding() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 2))
    quarter = x @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert Strain().distance_up(x, quarter) <= 1e-14
    dyadics = rng.integers(-64, 64, (8, 2)) / 64
    assert Strain().distance_up(dyadics, dyadics + 0.25) == 0


def test_strain_is_measured_against_the_first_cloud() -> None:
    x, x_new = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    assert Strain().distance_up(x, x_new) == 1
    assert Strain().distance_up(x_new, x) == 0.5
