"""Stable ranks against the definition itself, and their stability [R1, R2]."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablerank.diagrams import Diagrams
from stablerank.exceptions import ChannelError, InvalidInputError, NonFiniteError
from stablerank.matching import bottleneck_distance, wasserstein_distance
from stablerank.represent import Contour, StepFunction, stable_rank
from tests.represent.attacks import diagrams_of, random_bars

ORDERS = [1.0, 1.5, 2.0, 7.0, math.inf]
CONTOURS = [
    None,
    Contour([0.0, 3.0, 6.0], [0.5, 2.0, 1.0], truncation=8.0),
    Contour([0.0, 3.0, 6.0], [0.5, 2.0, 1.0], kind="area"),
]


def by_definition(bars, t, p, q, contour) -> int:
    """Least number of bars left, over all subsets that noise up to t may remove."""
    lengths = bars[:, 1] - bars[:, 0] if contour is None else contour.lengths(bars)
    factor = 2.0 ** ((0 if math.isinf(q) else 1 / q) - 1)
    n = len(lengths)
    affordable = [
        size
        for size in range(n + 1)
        for chosen in combinations(range(n), size)
        if factor * np.linalg.norm(lengths[list(chosen)], p) <= t * (1 + 1e-12)
    ]
    return n - max(affordable)


@pytest.mark.parametrize("contour", CONTOURS, ids=["plain", "distance", "area"])
@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("q", [1.0, 2.0, math.inf])
def test_the_rank_is_the_least_number_of_bars_left(contour, p, q):
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 5):
        bars = random_bars(rng, n, 0, 10)
        (function,) = ranks = stable_rank(diagrams_of([bars]), "H1", p, q, contour)
        # At the jumps, just before them, between them, and beyond.
        points = [0.0, *function.jumps, *(function.jumps * 0.999), 1.7, 99.0]
        for t in points:
            assert function(t) == by_definition(bars, t, p, q, contour)
        assert np.array_equal(ranks(points)[0], function(points))


def test_bars_that_never_die_are_never_removed():
    dgms = diagrams_of([[(0.0, 1.0), (0.0, math.inf), (2.0, math.inf)], [(0.0, 1.0)]])
    ranks = stable_rank(dgms, 1)
    assert ranks([0.0, 1.0, 1e9]).tolist() == [[3, 2, 2], [1, 0, 0]]
    assert ranks.vectors().tolist() == [[math.inf, math.inf, 1.0], [1.0, 0.0, 0.0]]
    assert ranks.distances().tolist() == [[0.0, math.inf], [math.inf, 0.0]]


# --- distances ------------------------------------------------------------------------


def smallest_shift(f, g) -> float:
    """Least e with f(t + e) <= g(t) and g(t + e) <= f(t), tried one by one."""
    ends = np.concatenate([[0.0], f.jumps, g.jumps])
    for shift in np.sort(np.abs(ends[:, None] - ends[None]).ravel()):
        e = shift * (1 + 1e-12)
        if (f(ends + e) <= g(ends)).all() and (g(ends + e) <= f(ends)).all():
            return float(shift)
    return math.inf


def test_the_interleaving_distance_is_the_least_shift():
    rng = np.random.default_rng(0)
    bars = [random_bars(rng, n, 0, 10) for n in (0, 1, 3, 7, 7)]
    for p in ORDERS:
        ranks = stable_rank(diagrams_of(bars), "H1", p)
        table = ranks.distances()
        for i, f in enumerate(ranks):
            for j, g in enumerate(ranks):
                assert f.distance(g) == pytest.approx(table[i, j], rel=1e-12)
                assert smallest_shift(f, g) == pytest.approx(table[i, j], rel=1e-9)


def test_averages_have_distances_too():
    rng = np.random.default_rng(1)
    means = [
        stable_rank(diagrams_of([random_bars(rng, 4, 0, 9) for _ in range(3)]), "H1")
        for _ in range(2)
    ]
    f, g = (m.mean() for m in means)
    assert f.distance(g) == pytest.approx(smallest_shift(f, g))


@pytest.mark.parametrize("contour", CONTOURS, ids=["plain", "distance", "area"])
@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (2.0, 2.0), (1.0, math.inf)])
def test_ranks_move_no_more_than_the_diagrams(contour, p, q):
    rng = np.random.default_rng(0)
    # q is in the rank already, so the contour counts with q = 1 alone.
    constant = 1.0 if contour is None else contour.constant(1.0)
    for _ in range(40):
        bars = random_bars(rng, 5, 0, 9)
        move = rng.normal(0, 10.0 ** rng.uniform(-4, 0), bars.shape)
        others = np.sort(bars + move, axis=1)[: int(rng.integers(3, 6))]
        table = stable_rank(diagrams_of([bars, others]), "H1", p, q, contour)
        allowed = constant * wasserstein_distance(bars, others, p, q)
        assert table.distances()[0, 1] <= allowed * (1 + 1e-9) + 1e-12
        table = stable_rank(
            diagrams_of([bars, others]), "H1", math.inf, math.inf, contour
        )
        allowed = constant * bottleneck_distance(bars, others)
        assert table.distances()[0, 1] <= allowed * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("q", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_one_bar_attains_the_stability_constant(p, q):
    a, b = np.array([[1.0, 4.0]]), np.array([[0.5, 4.5]])
    moved = stable_rank(diagrams_of([a, b]), "H1", p, q).distances()[0, 1]
    assert moved == pytest.approx(wasserstein_distance(a, b, p, q))


# --- step functions -------------------------------------------------------------------


def test_the_average_is_the_average_of_the_values():
    rng = np.random.default_rng(0)
    alive = [(0.0, math.inf)]
    samples = [[*random_bars(rng, n, 0, 9), *(alive * (n % 2))] for n in (1, 4, 6)]
    dgms = diagrams_of(samples)
    ranks = stable_rank(dgms, "H1", 2.0)
    points = np.concatenate([[0.0], *ranks.tails, np.linspace(0, 40, 100)])
    assert np.allclose(ranks.mean()(points), ranks(points).mean(axis=0), atol=1e-12)


@given(st.lists(st.floats(0, 1e6), max_size=12), st.sampled_from(ORDERS))
def test_vectors_and_functions_say_the_same(lengths, p):
    bars = np.array([(0.0, x) for x in lengths]).reshape(-1, 2)
    ranks = stable_rank(diagrams_of([bars]), "H1", p)
    (vector,), (function,) = ranks.vectors(), ranks
    # sr(t) <= j iff v_{j + 1} <= t
    for j, entry in enumerate(vector):
        assert function(entry) <= j
        below = np.nextafter(entry, -1.0)
        assert below < 0 or function(below) > j or entry == 0
    assert list(vector) == sorted(vector, reverse=True)


def test_tails_of_tiny_and_huge_bars_stay_in_the_range_of_floats():
    for scale in (1e-200, 1e200):
        dgms = diagrams_of([[(0.0, 3 * scale), (0.0, 4 * scale)]])
        assert stable_rank(dgms, "H1", 2.0).vectors()[0, 0] == pytest.approx(5 * scale)


def test_samples_are_indexed_like_a_sequence():
    dgms = diagrams_of([[(0.0, float(i + 1))] for i in range(4)])
    ranks = stable_rank(dgms, "H1")
    assert isinstance(ranks[-1], StepFunction)
    assert ranks[1:3].vectors().tolist() == [[2.0], [3.0]]
    assert ranks[[3, 0]].vectors().tolist() == [[4.0], [1.0]]
    assert len(ranks[:0]) == 0
    assert ranks[:0](1.0).shape == (0, 1)
    assert repr(ranks) == "StableRanks(4 samples of H1)"
    assert ranks.vectors(3).shape == (4, 3)
    assert ranks[:2].distances(ranks).shape == (2, 4)


def test_figures_name_what_they_show():
    dgms = diagrams_of([[(0.0, 1.0), (0.0, 2.0)], []])
    ax = stable_rank(dgms, "H1").plot()
    assert "H1" in ax.get_title()
    assert len(ax.patches) == 2
    assert "units" in ax.get_xlabel()
    mean = stable_rank(dgms, "H1").mean()
    assert mean.plot(ax) is ax
    assert len(ax.patches) == 3
    import matplotlib.pyplot as plt

    plt.close("all")


def test_wrong_use_is_named():
    dgms = Diagrams.from_list([[[(0.0, 1.0)]]])
    with pytest.raises(InvalidInputError, match="p must be"):
        stable_rank(dgms, "H0", p=0.5)
    with pytest.raises(InvalidInputError, match="q must be"):
        stable_rank(dgms, "H0", q=0.0)
    with pytest.raises(ChannelError, match="H3"):
        stable_rank(dgms, "H3")
    with pytest.raises(NonFiniteError, match="NaN"):
        stable_rank(dgms, "H0")(math.nan)
    with pytest.raises(InvalidInputError, match="no stable ranks"):
        stable_rank(dgms, "H0")[:0].mean()
    with pytest.raises(InvalidInputError, match="one more value"):
        StepFunction([1.0], [1.0])
    with pytest.raises(InvalidInputError, match="ascend"):
        StepFunction([2.0, 1.0], [2.0, 1.0, 0.0])
