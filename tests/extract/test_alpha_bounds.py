"""Alpha persistence: how far bars can move, and what is refused."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.spatial import Delaunay

from stablerank.exceptions import (
    InvalidInputError,
    NoStabilityTheorem,
    ShapeError,
)
from stablerank.extract import AlphaPersistence
from stablerank.extract.geometry import (
    distance_matrix,
)
from stablerank.matching import bottleneck_distance, wasserstein_distance
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
    Strain,
    Wasserstein,
)
from tests.extract.alpha_cases import (
    by_place,
    extract,
    finite,
    orbit,
    random_cloud,
    three_to_one,
)
from tests.oracles import Cell, persistence

# --- how far it can move -----------------------------------------------------------


def check(threat: Any, x: np.ndarray, y: np.ndarray, degrees: Any = (0, 1)) -> float:
    """Assert every bound for a pair of clouds; the largest ratio observed."""
    extractor = AlphaPersistence(degrees)
    a, b = extractor.fit_transform([x]), extractor.transform([y])
    if getattr(threat, "weights", None) is not None:
        a = a.with_weights(threat, [x])
    size = threat.distance_up(x, y)
    best = 0.0
    for name, bounds in extractor.bounds(threat, a).items():
        c = a.channels.index(name)
        old, new = finite(a[0][name]), finite(b[0][name])
        error = a.error[0, c] + b.error[0, c]
        for bound in bounds:
            constant = float(np.max(bound.constant))
            # In l_2 every one of the bars may be off by the error.
            many = math.sqrt(max(len(old), len(new)))
            moved = distance(bound.target, old, new)
            assert moved <= constant * size * (1 + 1e-15) + many * error, bound
            if size > 0:
                best = max(best, moved / (constant * size))
    return best


def distance(target: Any, old: np.ndarray, new: np.ndarray) -> float:
    if isinstance(target, Bottleneck):
        return bottleneck_distance(old, new)
    if isinstance(target, Wasserstein):
        return wasserstein_distance(old, new, target.p, target.q)
    assert isinstance(target, SortedDeaths)
    width = max(len(old), len(new))
    pad = [
        np.pad(np.sort(bars[:, 1])[::-1], (0, width - len(bars))) for bars in (old, new)
    ]
    return float(np.linalg.norm(pad[0] - pad[1], ord=target.p))


@pytest.mark.parametrize(
    "threat", [Displacement(), SinglePoint(), Budget(), Hausdorff()]
)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_bars_move_no_more_than_the_points(threat: Any, d: int) -> None:
    rng = np.random.default_rng(d)
    for kind in ("uniform", "lattice", "clustered"):
        for scale in (1e-6, 0.05, 1.0):
            x = random_cloud(rng, 12, d, kind)
            move = scale * rng.normal(size=x.shape)
            if isinstance(threat, SinglePoint):
                move[1:] = 0
            check(threat, x, x + move, degrees=range(min(d, 3)))


def test_weighted_moves_cost_the_mean_of_the_two_largest_weights() -> None:
    rng = np.random.default_rng(5)
    threat = Displacement(weights=by_place)
    for scale in (1e-4, 0.3):
        x = rng.random((12, 2))
        steps = rng.normal(size=x.shape)
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        check(threat, x, x + scale * by_place(x)[:, None] * steps)


def test_clouds_of_other_sizes_move_by_their_hausdorff_distance() -> None:
    rng = np.random.default_rng(6)
    for d in (1, 2, 3):
        x = rng.random((15, d))
        more = np.concatenate([x, x[:6] + 0.1 * rng.normal(size=(6, d))])
        check(Hausdorff(), x, more, degrees=range(d))
        check(Hausdorff(), more, x, degrees=range(d))


def test_strain_moves_bars_in_proportion_to_the_cloud() -> None:
    rng = np.random.default_rng(7)
    for d in (1, 2, 3):
        x = rng.random((12, d))
        stretch = np.eye(d) + 0.1 * rng.normal(size=(d, d))
        check(Strain(), x, x @ stretch, degrees=range(d))
        # X14 speaks of linear maps, Kirszbraun's theorem of all.
        check(Strain(), x, x + 0.02 * np.sin(7 * x[:, ::-1]), degrees=range(d))


PAIR = np.array([[0.0, 0.0], [2.0, 0.0]])
TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])


@pytest.mark.parametrize(
    ("threat", "x", "y", "degrees"),
    [
        (Displacement(), PAIR, PAIR + np.array([[-0.25, 0], [0.25, 0]]), (0,)),
        (SinglePoint(), PAIR, PAIR + np.array([[-0.25, 0], [0.0, 0]]), (0,)),
        (Budget(), PAIR, PAIR + np.array([[-0.25, 0], [0.25, 0]]), (0,)),
        (Hausdorff(), PAIR, PAIR + np.array([[-0.25, 0], [0.25, 0]]), (0,)),
        (
            Displacement(weights=three_to_one),
            PAIR,
            PAIR + np.array([[-0.75, 0], [0.25, 0]]),
            (0,),
        ),
        (Strain(), PAIR, 1.25 * PAIR, (0,)),
        (Strain(), TRIANGLE, TRIANGLE * (1 + 1e-3), (1,)),
        # A hole that dies on two points: a long thin ring, its ends pulled apart.
        (
            Displacement(),
            np.array([[0.0, 0], [2.0, 0], [1.0, 0.99], [1.0, -0.99]]),
            np.array([[-1e-3, 0], [2.001, 0], [1.0, 0.991], [1.0, -0.991]]),
            (1,),
        ),
    ],
    ids=[
        "all",
        "one",
        "budget",
        "hausdorff",
        "weights",
        "strain",
        "strain-H1",
        "all-H1",
    ],
)
def test_every_constant_is_attained(
    threat: Any, x: np.ndarray, y: np.ndarray, degrees: Any
) -> None:
    assert check(threat, x, y, degrees) >= 0.99


def test_a_constant_one_ulp_smaller_is_false() -> None:
    # Two points pulled apart by exact numbers: nothing is rounded anywhere.
    y = PAIR + np.array([[-0.25, 0], [0.25, 0]])
    a, b = extract(PAIR), extract(y)
    moved = bottleneck_distance(a.bars, b.bars)
    size = Displacement().distance_up(PAIR, y)
    assert moved <= 1.0 * size
    assert not moved <= np.nextafter(1.0, 0) * size
    one = PAIR + np.array([[-0.5, 0], [0, 0]])
    moved = bottleneck_distance(a.bars, extract(one).bars)
    assert moved == 0.5 * SinglePoint().distance_up(PAIR, one)


def test_sorted_deaths_of_a_long_path_nearly_attain_the_budget() -> None:
    # H2 in one dimension: neighbours move apart and together by turns.
    n = 400
    path = np.arange(n, dtype=float)[:, None]
    shift = 1e-3 * np.where(np.arange(n) % 2 == 0, 1.0, -1.0)[:, None]
    extractor = AlphaPersistence((0,))
    a, b = extractor.fit_transform([path]), extractor.transform([path + shift])
    l2 = np.linalg.norm(np.sort(a.bars[:, 1]) - np.sort(b.bars[:, 1]))
    (bound,) = [
        bound
        for bound in extractor.bounds(Budget(), a)["H0"]
        if bound.target == SortedDeaths(2)
    ]
    ratio = l2 / (float(bound.constant[0]) * Budget().distance_up(path, path + shift))
    assert 0.99 <= ratio <= 1


def test_sorted_deaths_in_l2_know_dimension_and_number_of_points() -> None:
    def l2(extractor: AlphaPersistence, dgms: Any) -> list[float]:
        return [
            float(np.max(bound.constant))
            for bound in extractor.bounds(Budget(), dgms)["H0"]
            if bound.target == SortedDeaths(2)
        ]

    rng = np.random.default_rng(0)
    for d, n, expected in (
        (1, 50, 1.0),
        (2, 50, (1 + math.sqrt(2)) / 2),
        (3, 50, (1 + math.sqrt(4.175)) / 2),
        (4, 100, (1 + math.sqrt(23)) / 2),
        (2, 2, math.sqrt(0.5)),
        (9, 5, math.sqrt(5) / 2),
    ):
        extractor = AlphaPersistence((0,))
        (constant,) = l2(extractor, extractor.fit_transform([rng.random((n, d))]))
        assert expected <= constant <= expected * (1 + 1e-15)


def test_one_flip_of_a_diagonal_does_not_move_alpha_but_tears_edge_lengths() -> None:
    # Delaunay-Rips: the same complex with edge lengths has no constant [X19].
    angles = np.radians([0, 70, 150, 250])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    deaths, holes = [], []
    for factor in (1 - 1e-6, 1 + 1e-6):
        cloud = circle * np.array([factor, 1, 1, 1])[:, None]
        holes.append(extract(cloud)[0]["H1"])
        deaths.append(delaunay_rips_death(cloud))
    size = 2e-6
    assert bottleneck_distance(*holes) <= size
    assert abs(deaths[0] - deaths[1]) > 1e4 * size


def delaunay_rips_death(cloud: np.ndarray) -> float:
    triangles = [tuple(sorted(t)) for t in Delaunay(cloud).simplices.tolist()]
    simplices = sorted(
        {f for t in triangles for k in (1, 2, 3) for f in itertools.combinations(t, k)},
        key=len,
    )
    lengths = distance_matrix(cloud)
    cells = [
        Cell(
            len(s) - 1,
            tuple(simplices.index(s[:i] + s[i + 1 :]) for i in range(len(s)))
            if len(s) > 1
            else (),
            max(lengths[i, j] for i in s for j in s),
        )
        for s in simplices
    ]
    return float(persistence(cells, [1])[0].bars[0, 1])


# --- what is refused, and what is said ---------------------------------------------


def test_global_bounds_name_their_theorem() -> None:
    extractor = AlphaPersistence()
    for threat, constant in (
        (Displacement(), 1.0),
        (SinglePoint(), 0.5),
        (Hausdorff(), 1.0),
        (BottleneckBall(), 1.0),
    ):
        bound = extractor.bound(threat)
        assert bound.constant == constant
        assert bound.source == threat
    assert "X5" in extractor.bound(Displacement()).ledger
    root = extractor.bound(Budget()).constant
    assert Fraction(root) ** 2 >= Fraction(1, 2) > Fraction(np.nextafter(root, 0)) ** 2
    assert extractor.default_threat == Displacement()


@pytest.mark.parametrize(
    ("options", "threat", "words"),
    [
        ({"precision": "fast"}, Displacement(), "no bound on their error"),
        ({"precision": "fast"}, Strain(), "precision='safe'"),
        ({}, MatrixSup(), "need not be that of any points"),
        ({}, PixelSup(), "no stability theorem"),
        ({}, Strain(), "radius of the cloud"),
        ({}, Displacement(weights="u_iso"), "with_weights"),
        ({}, FeatureBall(2), "around vectors"),
    ],
)
def test_what_no_theorem_covers_is_refused(
    options: Any, threat: Any, words: str
) -> None:
    with pytest.raises(NoStabilityTheorem, match=words):
        AlphaPersistence(**options).bound(threat)


def test_fast_extracts_but_gives_no_bounds() -> None:
    extractor = AlphaPersistence(precision="fast")
    dgms = extractor.fit_transform([orbit()])
    assert dgms.counts.sum() > 100
    with pytest.raises(NoStabilityTheorem):
        extractor.bounds(Displacement(), dgms)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "double"},
        {"relative_precision": 0.0},
        {"relative_precision": 1.0},
        {"field": 4},
        {"homology_dimensions": (0, 0)},
        {"homology_dimensions": ()},
        {"critical": "yes"},
    ],
)
def test_wrong_parameters_are_named(options: Any) -> None:
    with pytest.raises((InvalidInputError, ValueError), match=next(iter(options))):
        AlphaPersistence(**options).fit([orbit(5)])


def test_a_single_cloud_is_told_to_come_in_a_list() -> None:
    with pytest.raises(ShapeError, match=r"pass \[X\]"):
        AlphaPersistence().fit(orbit(5))
