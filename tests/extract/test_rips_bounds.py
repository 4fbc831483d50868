"""Rips persistence: how far bars can move, and where no theorem says so."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.spatial import Delaunay

from stablerank.bounds import Bound
from stablerank.exceptions import NoStabilityTheorem
from stablerank.extract import RipsPersistence
from stablerank.extract.geometry import distance_matrix
from stablerank.matching import bottleneck_distance
from stablerank.metrics import (
    Bottleneck,
    BottleneckBall,
    Budget,
    Displacement,
    FeatureBall,
    Hausdorff,
    MatrixSup,
    PixelSup,
    SinglePoint,
    SortedDeaths,
    SortedLengths,
    Strain,
    Wasserstein,
)
from stablerank.rounding import sqrt_up
from tests.checks import assert_lipschitz
from tests.extract.rips_cases import (
    check,
    finite,
    polygon,
    random_cloud,
    random_matrix,
)
from tests.oracles import Cell, persistence
from tests.strategies import (
    attained_single_point,
    attained_two_points,
    cocircular,
    dropped_at_threshold,
)

PAIR = np.array([[0.0, 0.0], [4.0, 0.0]])
KINDS = ("uniform", "lattice", "duplicates", "ring")


def by_place(cloud: np.ndarray) -> np.ndarray:
    return 1 / np.arange(1, len(cloud) + 1)


def three_to_one(cloud: np.ndarray) -> np.ndarray:
    return np.array([3.0, 1.0])


# --- the theorems hold -------------------------------------------------------------


@pytest.mark.parametrize(
    "threat", [Displacement(), SinglePoint(), Budget(), Hausdorff()], ids=str
)
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_bars_move_no_more_than_the_points_allow(
    threat: Any, threshold: float | None
) -> None:
    rng = np.random.default_rng(1)
    extractor = RipsPersistence((0, 1, 2), threshold=threshold)
    for d, kind, scale in itertools.product((1, 2, 4), KINDS, (1e-6, 0.05, 1.0)):
        x = random_cloud(rng, 12, d, kind)
        move = scale * rng.normal(size=x.shape)
        if isinstance(threat, SinglePoint):
            move[1:] = 0
        check(extractor, threat, x, x + move)


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_bars_of_matrices_move_no_more_than_the_entries(
    threshold: float | None,
) -> None:
    rng = np.random.default_rng(2)
    extractor = RipsPersistence((0, 1, 2), metric="precomputed", threshold=threshold)
    best = 0.0
    for scale in (1e-6, 0.1, 1.0):
        for _ in range(10):
            x = random_matrix(rng, 9)
            y = np.maximum(x + scale * (random_matrix(rng, 9) - 0.5), 0.0)
            np.fill_diagonal(y, 0.0)
            ratios = check(extractor, MatrixSup(), x, y)
            best = max(best, ratios[Bottleneck()], ratios[SortedDeaths()])
    assert best > 0.7


def test_weighted_moves_cost_the_two_largest_weights() -> None:
    rng = np.random.default_rng(3)
    threat = Displacement(weights=by_place)
    for options in ({}, {"n_landmarks": 8}):
        for scale in (1e-4, 0.3):
            x = rng.random((14, 2))
            steps = rng.normal(size=x.shape)
            steps /= np.linalg.norm(steps, axis=1, keepdims=True)
            y = x + scale * by_place(x)[:, None] * steps
            check(RipsPersistence(**options), threat, x, y)


def test_clouds_of_other_sizes_move_by_their_hausdorff_distance() -> None:
    rng = np.random.default_rng(4)
    for d in (1, 2, 3):
        x = rng.random((12, d))
        more = np.concatenate([x, x[:6] + 0.1 * rng.normal(size=(6, d))])
        for options in ({}, {"threshold": 0.4}, {"n_landmarks": 12}):
            check(RipsPersistence((0, 1, 2), **options), Hausdorff(), x, more)
            check(RipsPersistence((0, 1, 2), **options), Hausdorff(), more, x)


def test_strain_moves_bars_in_proportion() -> None:
    rng = np.random.default_rng(5)
    for d, threshold in itertools.product((1, 2, 3), (None, 0.4)):
        x = rng.random((12, d))
        stretch = np.eye(d) + 0.1 * rng.normal(size=(d, d))
        for y in (x @ stretch, x + 0.02 * np.sin(7 * x[:, ::-1])):
            for options in ({}, {"n_landmarks": 6}):
                extractor = RipsPersistence((0, 1, 2), threshold=threshold, **options)
                check(extractor, Strain(), x, y)


# --- and are attained --------------------------------------------------------------


@given(attained_two_points())
def test_two_points_that_part_move_exactly_as_far_as_the_theorem_says(
    pair: Any,
) -> None:
    old, new = (
        finite(RipsPersistence((0,)).fit_transform([x])[0][0])
        for x in (pair.x, pair.x_new)
    )
    moved = bottleneck_distance(old, new)
    assert moved == pair.moved
    constant = RipsPersistence().bound(Displacement()).constant
    assert Fraction(moved) == Fraction(constant) * Fraction(pair.displacement)
    with pytest.raises(AssertionError):  # one ulp less would be false
        assert_lipschitz(moved, pair.displacement, math.nextafter(constant, 0.0))
    budget = RipsPersistence().bound(Budget()).constant
    assert Fraction(moved) ** 2 <= Fraction(budget) ** 2 * Fraction(pair.budget_square)
    smaller = math.nextafter(budget, 0.0)
    assert Fraction(moved) ** 2 > Fraction(smaller) ** 2 * Fraction(pair.budget_square)


@given(attained_single_point())
def test_one_point_moves_bars_exactly_as_far_as_it_goes(pair: Any) -> None:
    old, new = (
        finite(RipsPersistence((0,)).fit_transform([x])[0][0])
        for x in (pair.x, pair.x_new)
    )
    constant = RipsPersistence().bound(SinglePoint()).constant
    assert bottleneck_distance(old, new) == constant * pair.displacement


@pytest.mark.parametrize(
    ("threat", "y"),
    [
        (Hausdorff(), PAIR + np.array([[-0.25, 0], [0.25, 0]])),
        (Displacement(three_to_one), PAIR + np.array([[-0.75, 0], [0.25, 0]])),
        (Strain(), 1.25 * PAIR),
    ],
    ids=str,
)
def test_two_points_attain_the_other_constants(threat: Any, y: np.ndarray) -> None:
    ratios = check(RipsPersistence((0,)), threat, PAIR, y)
    assert ratios[Bottleneck()] >= 0.99
    assert ratios[SortedDeaths()] >= 0.99
    clipped = RipsPersistence((0,), threshold=100.0)
    check(clipped, threat, PAIR, y)


def test_a_hole_attains_displacement_budget_and_strain() -> None:
    rng = np.random.default_rng(6)
    ring = polygon(rng, 9, 2, noise=0.02)
    extractor = RipsPersistence((1,), critical=True)
    dgms = extractor.fit_transform([ring])
    birth = np.zeros(dgms.bars.shape)
    birth[0, 0] = 1.0
    (grad,) = extractor.pullback([ring], dgms, birth)  # two opposite unit vectors
    y = ring + 1e-4 * grad
    assert check(RipsPersistence((1,)), Displacement(), ring, y)[Bottleneck()] > 0.99
    assert check(RipsPersistence((1,)), Budget(), ring, y)[Bottleneck()] > 0.99
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    ratios = check(RipsPersistence((1,)), Strain(), square, square * (1 + 2.0**-10))
    assert ratios[Bottleneck()] > 0.99


def test_a_length_can_change_by_four_times_the_displacement() -> None:
    # The edges of birth and death share no point: both ends of both edges move.
    extractor = RipsPersistence((1,), critical=True)
    best = 0.0
    for seed in range(20):
        ring = polygon(np.random.default_rng(seed), 9, 2, noise=0.1)
        dgms = extractor.fit_transform([ring])
        if len(dgms.bars) != 1 or len(set(dgms.critical.ravel().tolist())) < 4:
            continue
        (grad,) = extractor.pullback([ring], dgms, [[-1.0, 1.0]])
        moved = extractor.transform([ring + 1e-6 * grad])
        change = abs(float(np.diff(moved.bars[0] - dgms.bars[0])[0]))
        best = max(best, change / 4e-6)
    assert 0.99 < best < 1 + 1e-6


def test_a_budget_changes_a_length_by_more_than_twice_itself() -> None:
    # Two edges that share a point: sqrt(6) is not attained, but 2 is not enough.
    rng = np.random.default_rng(398)
    n = int(rng.integers(4, 10))
    angles = 2 * np.pi * np.arange(n) / n
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cloud = ring * [1, rng.uniform(0.3, 1)] + 0.3 * rng.standard_normal((n, 2))
    extractor = RipsPersistence((1,), critical=True)
    dgms = extractor.fit_transform([cloud])
    (grad,) = extractor.pullback([cloud], dgms, [[-1.0, 1.0]])
    ratios = check(RipsPersistence((1,)), Budget(), cloud, cloud + 1e-5 * grad)
    assert 2 / math.sqrt(6) < 0.88 < ratios[SortedLengths()] < 1


@pytest.mark.parametrize(("d", "share"), [(1, 0.99), (2, 0.7), (3, 0.5)])
def test_sorted_deaths_obey_the_l2_constant_of_their_dimension(
    d: int, share: float
) -> None:
    # A zigzag on a long path: every edge of the tree loses or gains 2 e.
    path = np.zeros((120, d))
    path[:, 0] = np.arange(120)
    signs = (-1.0) ** np.arange(120)
    y = path.copy()
    y[:, 0] += 0.01 * signs
    even = RipsPersistence((0,), threshold=500.0)
    ratios = check(even, Budget(), path, y)
    assert ratios[SortedDeaths(2)] < 1
    # Sorted, gains and losses part: the l_2 norm of all changes is 2 e sqrt(n - 1).
    assert ratios[SortedDeaths(2)] > share
    rng = np.random.default_rng(7)
    for scale in (1e-3, 0.3):
        x = rng.random((25, d))
        ratios = check(
            RipsPersistence((0,)), Budget(), x, x + scale * rng.random((25, d))
        )
        assert Wasserstein(2, 1) in ratios


# --- truncation and landmarks ------------------------------------------------------


def test_bars_dropped_at_a_threshold_jump_and_clipped_ones_do_not() -> None:
    example = dropped_at_threshold()
    clipped = RipsPersistence((0,), threshold=1.0)
    check(clipped, Displacement(), example.x, example.x_new)
    # What a truncated engine returns, its infinite bars dropped:
    deaths = [
        [death for death in distance_matrix(x)[0, 1:] if death <= 1.0]
        for x in (example.x, example.x_new)
    ]
    bars = [np.array([[0.0, t] for t in d]).reshape(-1, 2) for d in deaths]
    moved = bottleneck_distance(*bars)
    assert moved >= example.jump > 1000 * 2 * example.size
    with pytest.raises(AssertionError):
        assert_lipschitz(moved, example.size, 2.0)


def test_every_bar_ends_at_the_threshold_also_the_one_that_never_dies() -> None:
    rng = np.random.default_rng(8)
    for engine in ("gudhi", "ripser"):
        extractor = RipsPersistence((0, 1), threshold=0.3, engine=engine)
        dgms = extractor.fit_transform([rng.random((30, 2))])
        assert len(dgms.essential) == 0
        assert dgms[0]["H0"][0].tolist() == [0.0, 0.3]
        assert dgms.bars.max() == 0.3
    bound = RipsPersistence(threshold=0.3).bound(Displacement())
    assert (bound.constant, bound.ledger) == (2.0, "X3 . X18")


LANDMARK_THREATS = [
    (Displacement(), 6.0, 2.0),
    (SinglePoint(), 5.0, 1.0),
    (Budget(), 4 + math.sqrt(2), math.sqrt(2)),
    (Hausdorff(), 6.0, 6.0),
]


@pytest.mark.parametrize(("threat", "constant", "kept"), LANDMARK_THREATS, ids=str)
def test_landmarks_are_charged_for_both_clouds(
    threat: Any, constant: float, kept: float
) -> None:
    rng = np.random.default_rng(9)
    extractor = RipsPersistence((0, 1), n_landmarks=10)
    dgms = extractor.fit_transform([rng.random((30, 2)), rng.random((10, 2))])
    radius = dgms.source.geometry["cover_radius"]
    for bounds in extractor.bounds(threat, dgms).values():
        for bound in bounds:
            np.testing.assert_allclose(bound.constant, [constant, kept], rtol=1e-15)
            np.testing.assert_allclose(bound.offset, [6 * radius[0], 0.0], rtol=1e-15)
            assert "X15" in bound.ledger
    assert radius[0] > 0
    assert radius[1] == 0
    for scale in (1e-6, 0.05, 1.0):
        x = rng.random((25, 2))
        move = scale * rng.normal(size=x.shape)
        if isinstance(threat, SinglePoint):
            move[1:] = 0
        check(extractor, threat, x, x + move)


def test_without_the_cover_radius_landmarks_would_break_the_bound() -> None:
    grid = np.array(list(itertools.product(range(5), repeat=2)), float)
    rng = np.random.default_rng(12)
    extractor = RipsPersistence((0, 1), n_landmarks=7)
    worst = 0.0
    for _ in range(20):
        moved = grid + 1e-3 * rng.uniform(-1, 1, grid.shape)
        check(extractor, Displacement(), grid, moved)
        a, b = extractor.fit_transform([grid]), extractor.transform([moved])
        gaps = [bottleneck_distance(finite(a[0][k]), finite(b[0][k])) for k in (0, 1)]
        worst = max(worst, max(gaps) / Displacement().distance_up(grid, moved))
    assert worst > 31 * 2


# --- what breaks without a theorem -------------------------------------------------


def delaunay_rips(cloud: np.ndarray) -> np.ndarray:
    """H1 bars of the Rips values on the Delaunay triangulation, "weak alpha"."""
    faces = {
        tuple(sorted(face))
        for triangle in Delaunay(cloud).simplices.tolist()
        for size in (1, 2, 3)
        for face in itertools.combinations(triangle, size)
    }
    matrix, numbers, cells = distance_matrix(cloud), {}, []
    for face in sorted(faces, key=lambda f: (len(f), f)):
        facets = itertools.combinations(face, len(face) - 1) if len(face) > 1 else ()
        numbers[face] = len(cells)
        boundary = tuple(numbers[facet] for facet in facets)
        value = max(matrix[i, j] for i in face for j in face)
        cells.append(Cell(len(face) - 1, boundary, value))
    return persistence(cells, [1])[0].bars


def test_delaunay_rips_jumps_at_cocircular_points_and_rips_does_not() -> None:
    angles = np.deg2rad([0.0, 70.0, 150.0, 250.0])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inwards, outwards = circle.copy(), circle.copy()
    inwards[0] *= 1 - 1e-6
    outwards[0] *= 1 + 1e-6
    planted = cocircular()
    for x, y in ((inwards, outwards), (planted.x, planted.x_new)):
        size = Displacement().distance_up(x, y)
        moved = bottleneck_distance(delaunay_rips(x), delaunay_rips(y))
        assert moved > 1e4 * size
        with pytest.raises(AssertionError):
            assert_lipschitz(moved, size, 2.0)
        check(RipsPersistence(), Displacement(), x, y)


# --- what is said and what is refused ----------------------------------------------


def test_bounds_name_every_metric_that_is_proved() -> None:
    extractor = RipsPersistence((0, 1))
    dgms = extractor.fit_transform([np.random.default_rng(10).random((20, 2))])
    found = {
        name: {bound.target: float(np.max(bound.constant)) for bound in bounds}
        for name, bounds in extractor.bounds(Budget(), dgms).items()
    }
    root2, planar = sqrt_up(2.0), 1 + math.sqrt(2)
    assert found["H0"] == pytest.approx(
        {
            Bottleneck(): root2,
            SortedDeaths(): root2,
            SortedDeaths(2): planar,
            Wasserstein(2, 1): planar,
        }
    )
    assert found["H1"] == {Bottleneck(): root2, SortedLengths(): sqrt_up(6.0)}
    ball = extractor.bounds(BottleneckBall(), dgms)["H1"]
    assert [(b.target, b.constant) for b in ball] == [(Bottleneck(), 1.0)]


def test_strain_of_h0_is_charged_at_its_largest_death_only() -> None:
    x = np.array([[0.0], [1.0], [2.0], [4.0]])
    extractor = RipsPersistence((0, 1))
    dgms = extractor.fit_transform([x])
    bounds = extractor.bounds(Strain(), dgms)
    np.testing.assert_allclose(bounds["H0"][0].constant, [2.0], rtol=1e-15)
    np.testing.assert_allclose(bounds["H1"][0].constant, [4.0], rtol=1e-15)
    capped = RipsPersistence((0, 1), threshold=1.5)
    bounds = capped.bounds(Strain(), capped.fit_transform([x]))
    assert [b[0].constant.tolist() for b in bounds.values()] == [[1.5], [1.5]]
    assert capped.bound(Strain()).constant == 1.5


@pytest.mark.parametrize(
    ("options", "threat", "words"),
    [
        ({"sparse": 0.5}, Displacement(), ["logarithmic scale", "X16", "threshold"]),
        ({}, MatrixSup(), ["any points", "precomputed"]),
        ({}, PixelSup(), ["no stability theorem", "Hausdorff()"]),
        ({}, FeatureBall(2), ["feature ball"]),
        ({}, Strain(), ["depends on the sample", "diameter"]),
        ({}, Displacement("mass"), ["depends on the sample", "weights"]),
        ({"n_landmarks": 3}, Displacement(), ["cover radius", "bounds(threat"]),
        ({"metric": "precomputed"}, Displacement(), ["a matrix", "MatrixSup()"]),
        ({"metric": "precomputed"}, Strain(), ["a matrix", "MatrixSup()"]),
        (
            {"metric": "precomputed", "n_landmarks": 3},
            MatrixSup(),
            ["triangle inequality", "n_landmarks=None"],
        ),
    ],
    ids=str,
)
def test_where_nothing_is_proved_the_reason_and_the_way_out_are_named(
    options: dict[str, Any], threat: Any, words: list[str]
) -> None:
    with pytest.raises(NoStabilityTheorem) as refusal:
        RipsPersistence(**options).bound(threat)
    for word in words:
        assert word in str(refusal.value)


def test_diagrams_without_their_weights_have_no_weighted_bound() -> None:
    extractor = RipsPersistence()
    dgms = extractor.fit_transform([PAIR])
    with pytest.raises(NoStabilityTheorem, match="with_weights"):
        extractor.bounds(Displacement(weights="mass"), dgms)


def test_threats_by_default_are_displacement_and_the_entries() -> None:
    assert RipsPersistence().default_threat == Displacement()
    matrix = RipsPersistence(metric="precomputed")
    assert matrix.default_threat == MatrixSup()
    bound = matrix.bound(MatrixSup())
    assert (bound.constant, bound.ledger, bound.target) == (1.0, "X2", Bottleneck())


def test_a_certificate_chain_goes_through_landmarks_with_its_offset() -> None:
    cloud = np.random.default_rng(11).random((30, 2))
    extractor = RipsPersistence((1,), n_landmarks=12, threshold=2.0)
    bound = extractor.bounds(Displacement(), extractor.fit_transform([cloud]))["H1"][0]
    lengths = Bound(Bottleneck(), SortedLengths(), 2.0, "R1")
    whole = lengths @ bound
    assert whole.constant.tolist() == [12.0]
    assert whole.offset[0] == 2 * bound.offset[0]
