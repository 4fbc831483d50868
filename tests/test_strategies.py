"""The closed forms that other tests lean on are checked here against plain engines."""

from __future__ import annotations

from fractions import Fraction

import gudhi
import numpy as np
import pytest
from hypothesis import given
from scipy.spatial import Delaunay

from tests.checks import exact_bottleneck, exact_square
from tests.oracles import Cell, persistence
from tests.strategies import (
    Array,
    AttainedBar,
    AttainedCloud,
    Bars,
    Counterexample,
    KnownCloud,
    attained_bar,
    attained_image,
    attained_single_point,
    attained_two_points,
    cocircular,
    counterexamples,
    known_clouds,
)


def finite_bars(tree: gudhi.SimplexTree, degree: int) -> Bars:
    tree.compute_persistence(persistence_dim_max=True)
    bars = np.asarray(tree.persistence_intervals_in_dimension(degree)).reshape(-1, 2)
    bars = bars[np.isfinite(bars[:, 1]) & (bars[:, 1] - bars[:, 0] > 1e-12)]
    return bars[np.lexsort(bars.T)]


@pytest.mark.parametrize("known", known_clouds(), ids=lambda k: k.name)
def test_known_clouds_have_the_diagrams_that_they_claim(known: KnownCloud) -> None:
    rips = gudhi.RipsComplex(points=known.points).create_simplex_tree(max_dimension=2)
    alpha = gudhi.AlphaComplex(points=known.points).create_simplex_tree(
        output_squared_values=False
    )
    for tree, claimed in ((rips, known.rips), (alpha, known.alpha)):
        for degree in (0, 1):
            found = finite_bars(tree, degree)
            assert found.shape == claimed[degree].shape
            np.testing.assert_allclose(found, claimed[degree], atol=1e-12)


@given(pair=attained_two_points())
def test_two_points_part_as_far_as_they_claim(pair: AttainedCloud) -> None:
    moves = [exact_square(a, b) for a, b in zip(pair.x, pair.x_new, strict=True)]
    assert moves == [Fraction(pair.displacement) ** 2] * 2
    assert sum(moves) == Fraction(pair.budget_square)
    check_deaths(pair)


@given(pair=attained_single_point())
def test_one_point_leaves_as_far_as_it_claims(pair: AttainedCloud) -> None:
    moves = [exact_square(a, b) for a, b in zip(pair.x, pair.x_new, strict=True)]
    assert moves == [0, Fraction(pair.displacement) ** 2]
    assert sum(moves) == Fraction(pair.budget_square)
    check_deaths(pair)


def check_deaths(pair: AttainedCloud) -> None:
    for cloud, death in zip((pair.x, pair.x_new), pair.deaths, strict=True):
        assert exact_square(*cloud) == Fraction(death) ** 2
    before, after = (np.array([[0.0, death]]) for death in pair.deaths)
    assert exact_bottleneck(before, after) == Fraction(pair.moved)


@given(bar=attained_bar())
def test_the_bar_moves_as_far_as_it_claims(bar: AttainedBar) -> None:
    assert exact_bottleneck(bar.bars, bar.bars_new) == Fraction(bar.bottleneck)
    lengths = [Fraction(d) - Fraction(b) for b, d in (*bar.bars, *bar.bars_new)]
    assert abs(lengths[0] - lengths[1]) == Fraction(bar.length_moved)


@given(drawn=attained_image())
def test_the_signal_has_the_bars_that_it_claims(
    drawn: tuple[Array, Array, float, Bars, Bars],
) -> None:
    x, x_new, move, bars, bars_new = drawn
    assert np.abs(x - x_new).max() == move
    assert exact_bottleneck(bars, bars_new) == Fraction(move)
    for values, claimed in ((x, bars), (x_new, bars_new)):
        vertices = [Cell(0, (), v) for v in values]
        edges = [Cell(1, (i, i + 1), max(values[i : i + 2])) for i in range(3)]
        np.testing.assert_array_equal(
            persistence([*vertices, *edges], [0])[0].bars, claimed
        )


@pytest.mark.parametrize("planted", counterexamples(), ids=lambda c: c.name)
def test_counterexamples_are_small_moves_with_large_jumps(
    planted: Counterexample,
) -> None:
    moves = np.linalg.norm(planted.x - planted.x_new, axis=1)
    assert moves.max() <= planted.size * (1 + 1e-9)
    assert planted.jump > 1e4 * planted.size


def test_delaunay_rips_jumps_at_cocircular_points() -> None:
    planted = cocircular()
    deaths = []
    for cloud in (planted.x, planted.x_new):
        edges = {
            tuple(sorted((int(t[i]), int(t[i - 1]))))
            for t in Delaunay(cloud).simplices
            for i in range(3)
        }
        (diagonal,) = edges & {(0, 2), (1, 3)}
        deaths.append(np.linalg.norm(cloud[diagonal[0]] - cloud[diagonal[1]]))
    assert abs(deaths[0] - deaths[1]) >= planted.jump
