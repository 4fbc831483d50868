"""Rips persistence weighted by the distance to measure."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from gudhi.dtm_rips_complex import DTMRipsComplex

from stablerank.exceptions import CostLimitError, NoStabilityTheorem, ShapeError
from stablerank.extract import DTMRipsPersistence, RipsPersistence
from stablerank.extract.geometry import distance_matrix
from stablerank.matching import bottleneck_distance
from stablerank.metrics import (
    Bottleneck,
    Budget,
    Displacement,
    Hausdorff,
    MatrixSup,
    PixelSup,
    SinglePoint,
    Strain,
)
from tests.checks import assert_lipschitz
from tests.extract.rips_cases import (
    check,
    finite,
    polygon,
    random_cloud,
    random_matrix,
)
from tests.oracles import flag_cells, persistence

PAIR = np.array([[0.0, 0.0], [16.0, 0.0]])


def kappa(k: int, q: float) -> float:
    return ((k - 1) / k) ** (1 / q)


def weights_by_definition(matrix: np.ndarray, k: int, q: float) -> np.ndarray:
    nearest = np.sort(matrix, axis=1)[:, :k]
    return ((nearest**q).sum(axis=1) / k) ** (1 / q)


def values_by_definition(matrix: np.ndarray, k: int, q: float) -> np.ndarray:
    w = weights_by_definition(matrix, k, q)
    n = len(matrix)
    values = np.zeros((n, n))
    for i, j in itertools.product(range(n), repeat=2):
        values[i, j] = 2 * w[i]
        if i != j:
            values[i, j] = max(matrix[i, j] + w[i] + w[j], 2 * w[i], 2 * w[j])
    return values


# --- what is computed --------------------------------------------------------------


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("threshold", [None, 1.1])
@pytest.mark.parametrize(("k", "q"), [(1, 2), (2, 1), (3, 2), (4, 3.5)])
def test_bars_are_those_of_the_whole_weighted_complex(
    k: int, q: float, threshold: float | None, critical: bool
) -> None:
    rng = np.random.default_rng(1)
    extractor = DTMRipsPersistence(
        (0, 1, 2),
        n_neighbors=k,
        q=q,
        metric="precomputed",
        threshold=threshold,
        critical=critical,
    )
    matrices = [random_matrix(rng, n) for n in (k, 5, 8)]
    matrices += [
        distance_matrix(random_cloud(rng, 8, 2, kind))
        for kind in ("uniform", "lattice", "duplicates")
    ]
    dgms = extractor.fit_transform(matrices)
    for i, matrix in enumerate(matrices):
        values = values_by_definition(matrix, k, q)
        cap = math.inf if threshold is None else threshold
        cells = flag_cells(np.minimum(values, cap), 3)
        for degree, found in enumerate(persistence(cells, (0, 1, 2))):
            bars = found.bars
            if threshold is not None:
                alive = [(b, cap) for b in found.essential if b < cap]
                bars = np.array([*bars.tolist(), *alive]).reshape(-1, 2)
            rounding = 2.0**-48  # of the definition's own weights
            gap = bottleneck_distance(finite(dgms[i][degree]), bars)
            assert gap <= dgms.error[i, degree] + rounding
            born = dgms[i][degree][:, 0][np.isinf(dgms[i][degree][:, 1])]
            if threshold is None:
                np.testing.assert_allclose(born, found.essential, atol=1e-14)
            else:
                assert len(born) == 0


def test_gudhi_builds_the_same_filtration() -> None:
    rng = np.random.default_rng(2)
    for k, q, d in ((2, 2, 2), (5, 2, 3), (4, 1, 2)):
        cloud = rng.random((25, d))
        tree = DTMRipsComplex(points=cloud, k=k, q=q).create_simplex_tree(2)
        tree.compute_persistence(homology_coeff_field=2)
        dgms = DTMRipsPersistence(n_neighbors=k, q=q).fit_transform([cloud])
        assert dgms.convention == "edge length"
        for degree in (0, 1):
            bars = tree.persistence_intervals_in_dimension(degree)
            gap = bottleneck_distance(finite(bars), finite(dgms[0][degree]))
            assert gap <= 2 * dgms.error[0, degree]


def test_one_neighbour_gives_the_rips_filtration_to_the_bit() -> None:
    cloud = np.random.default_rng(3).random((30, 2))
    weighted = DTMRipsPersistence(n_neighbors=1).fit_transform([cloud])
    plain = RipsPersistence().fit_transform([cloud])
    assert weighted.identical(plain)
    bound = DTMRipsPersistence(n_neighbors=1).bound(Displacement())
    assert bound.constant == 2.0


def test_an_outlier_comes_late() -> None:
    rng = np.random.default_rng(4)
    ring = polygon(rng, 40, 2, noise=0.02)
    spoilt = np.concatenate([ring, [[0.0, 0.0]]])
    plain, robust = RipsPersistence((1,)), DTMRipsPersistence((1,), n_neighbors=4)
    shares = [
        np.diff(extractor.fit_transform([spoilt]).bars[0])[0]
        / np.diff(extractor.fit_transform([ring]).bars[0])[0]
        for extractor in (plain, robust)
    ]
    assert shares[0] < 0.75 < shares[1]


@pytest.mark.parametrize(("k", "q"), [(2, 1), (5, 2), (7, 3.7), (20, 40)])
def test_rounding_of_weights_is_within_what_is_charged(k: int, q: float) -> None:
    matrix = random_matrix(np.random.default_rng(5), 40)
    extractor = DTMRipsPersistence(n_neighbors=k, q=q, metric="precomputed")
    mine = extractor._weights(matrix)
    dgms = extractor.fit_transform([matrix])
    # What is left for weights once the sums have had their share.
    sums = 2.0**-51 * (matrix + mine[:, None] + mine).max()
    error = dgms.error[0, 0] - sums
    with localcontext() as context:
        context.prec = 60
        exact_q = Decimal(q)
        for row, weight in zip(matrix, mine.tolist(), strict=True):
            nearest = [Decimal(d) for d in np.sort(row)[:k].tolist()]
            powers = [d**exact_q if d else Decimal(0) for d in nearest]
            exact = (sum(powers) / k) ** (1 / exact_q)
            assert 2 * abs(Decimal(weight) - exact) <= Decimal(error)


def test_a_huge_or_tiny_unit_of_length_changes_only_the_exponent() -> None:
    cloud = np.random.default_rng(6).random((20, 2))
    extractor = DTMRipsPersistence(q=7)
    bars = extractor.fit_transform([cloud]).bars
    for exponent in (400, -400):  # seventh powers leave the range
        scaled = extractor.transform([np.ldexp(cloud, exponent)]).bars
        np.testing.assert_array_equal(np.ldexp(scaled, -exponent), bars)


def test_one_worker_and_two_give_the_same_bits_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(7)
    clouds = [rng.random((int(n), 2)) for n in rng.integers(5, 25, size=8)]
    one = DTMRipsPersistence(n_jobs=1, critical=True).fit_transform(clouds)
    two = DTMRipsPersistence(n_jobs=2, critical=True).fit_transform(clouds)
    assert one.identical(two)
    assert one[3:5].identical(
        DTMRipsPersistence(critical=True).fit_transform(clouds[3:5])
    )
    turned = DTMRipsPersistence().fit_transform([c[::-1] for c in clouds])
    for i, k in itertools.product(range(8), (0, 1)):
        gap = bottleneck_distance(finite(one[i][k]), finite(turned[i][k]))
        assert gap <= 2 * one.error[i, k]


# --- gradients ---------------------------------------------------------------------


@pytest.mark.parametrize(("k", "q"), [(1, 2), (3, 1), (4, 2), (4, 3)])
@pytest.mark.parametrize("metric", ["euclidean", "precomputed"])
def test_pullback_is_the_derivative(k: int, q: float, metric: Any) -> None:
    rng = np.random.default_rng(8)
    sample = polygon(rng, 14, 2)
    if metric == "precomputed":
        sample = random_matrix(rng, 12)
    for threshold in (None, 1.2):
        extractor = DTMRipsPersistence(
            n_neighbors=k, q=q, metric=metric, critical=True, threshold=threshold
        )
        dgms = extractor.fit_transform([sample])
        weights = rng.normal(size=dgms.bars.shape)
        (grad,) = extractor.pullback([sample], dgms, weights)
        direction = rng.normal(size=sample.shape)
        if metric == "precomputed":
            direction = direction + direction.T
            np.fill_diagonal(direction, 0.0)
            assert (grad == grad.T).all()
        ends = [
            float((weights * extractor.transform([sample + s * direction]).bars).sum())
            for s in (1e-6, -1e-6)
        ]
        expected = (ends[0] - ends[1]) / 2e-6
        assert (grad * direction).sum() == pytest.approx(expected, abs=1e-6)


# --- how far it moves --------------------------------------------------------------


@pytest.mark.parametrize(("k", "q"), [(1, 2), (2, 2), (3, 1), (5, 2), (4, 10)])
def test_bars_move_no_more_than_the_points_allow(k: int, q: float) -> None:
    rng = np.random.default_rng(9)
    kinds = ("uniform", "lattice", "duplicates", "ring")
    for kind, scale in itertools.product(kinds, (1e-6, 0.05, 1.0)):
        x = random_cloud(rng, 12, 2, kind)
        if len(x) < k:
            continue
        y = x + scale * rng.normal(size=x.shape)
        one = x.copy()
        one[0] = y[0]
        for threshold in (None, 0.8):
            extractor = DTMRipsPersistence(
                (0, 1, 2), n_neighbors=k, q=q, threshold=threshold
            )
            check(extractor, Displacement(), x, y)
            check(extractor, Budget(), x, y)
            check(extractor, SinglePoint(), x, one)


def test_bars_of_matrices_move_no_more_than_the_entries() -> None:
    rng = np.random.default_rng(10)
    for scale in (1e-6, 0.1, 1.0):
        x = random_matrix(rng, 10)
        y = np.maximum(x + scale * (random_matrix(rng, 10) - 0.5), 0.0)
        np.fill_diagonal(y, 0.0)
        for k in (2, 4):
            extractor = DTMRipsPersistence(n_neighbors=k, metric="precomputed")
            check(extractor, MatrixSup(), x, y)


def by_place(cloud: np.ndarray) -> np.ndarray:
    return 1 / np.arange(1, len(cloud) + 1)


def test_weighted_moves_and_strain() -> None:
    rng = np.random.default_rng(11)
    extractor = DTMRipsPersistence(n_neighbors=3)
    x = rng.random((14, 2))
    steps = rng.normal(size=x.shape)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    threat = Displacement(weights=by_place)
    check(extractor, threat, x, x + 0.2 * by_place(x)[:, None] * steps)
    stretch = np.eye(2) + 0.1 * rng.normal(size=(2, 2))
    for threshold in (None, 0.5):
        own = DTMRipsPersistence(n_neighbors=3, threshold=threshold)
        check(own, Strain(), x, x @ stretch)
        check(own, Strain(), x, x + 0.02 * np.sin(7 * x[:, ::-1]))


@pytest.mark.parametrize("q", [1, 2, 20])
def test_two_neighbours_attain_the_constants(q: float) -> None:
    # Each of two points is the other's neighbour, so an edge moves by 1 + 2 kappa.
    extractor = DTMRipsPersistence((0,), n_neighbors=2, q=q)
    stretch = 1 + 2 * kappa(2, q)
    y = PAIR + np.array([[-0.25, 0.0], [0.25, 0.0]])
    for threat, constant in ((Displacement(), 2), (Budget(), math.sqrt(2))):
        assert extractor.bound(threat).constant == pytest.approx(constant * stretch)
        assert check(extractor, threat, PAIR, y)[Bottleneck()] >= 0.99
    one = PAIR + np.array([[-0.25, 0.0], [0.0, 0.0]])
    assert check(extractor, SinglePoint(), PAIR, one)[Bottleneck()] >= 0.99
    assert check(extractor, Strain(), PAIR, PAIR * 1.125)[Bottleneck()] >= 0.99
    matrices = DTMRipsPersistence((0,), n_neighbors=2, q=q, metric="precomputed")
    a, b = distance_matrix(PAIR), distance_matrix(y)
    assert check(matrices, MatrixSup(), a, b)[Bottleneck()] >= 0.99
    # The constant of plain Rips is passed.
    old, new = (finite(extractor.transform([x])[0][0]) for x in (PAIR, y))
    with pytest.raises(AssertionError):
        assert_lipschitz(bottleneck_distance(old, new), 0.25, 2.0)


def test_kappa_is_rounded_up() -> None:
    for k, q in ((2, 1), (2, 2), (3, 2), (7, 3), (1, 2)):
        constant = DTMRipsPersistence(n_neighbors=k, q=q, metric="precomputed").bound(
            MatrixSup()
        )
        half = (Fraction(constant.constant) - 1) / 2
        assert half**q >= Fraction(k - 1, k)
        assert half**q <= Fraction(k - 1, k) * (1 + Fraction(1, 2**40))
        assert constant.ledger == "X8"
    chain = DTMRipsPersistence(threshold=1.0).bound(Budget())
    assert chain.ledger == "X3 . X8 . X18"


def test_a_doubled_point_moves_nothing_but_the_diagram() -> None:
    # Hausdorff distance 0, and a weight falls to 0: no constant can serve.
    extractor = DTMRipsPersistence((0,), n_neighbors=2)
    doubled = np.concatenate([PAIR, PAIR[:1]])
    a, b = extractor.fit_transform([PAIR]), extractor.transform([doubled])
    assert Hausdorff().distance_up(PAIR, doubled) == 0
    gap = bottleneck_distance(finite(a[0][0]), finite(b[0][0]))
    assert gap > 1
    with pytest.raises(NoStabilityTheorem, match="come or go"):
        extractor.bound(Hausdorff())


# --- what is refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "threat", "words"),
    [
        ({}, MatrixSup(), ["any points", "precomputed"]),
        ({}, PixelSup(), ["no stability theorem", "Budget()"]),
        ({}, Strain(), ["depends on the sample", "largest value"]),
        ({}, Displacement("mass"), ["depends on the sample", "weights"]),
        ({"metric": "precomputed"}, Displacement(), ["a matrix", "MatrixSup()"]),
    ],
    ids=str,
)
def test_where_nothing_is_proved_the_reason_and_the_way_out_are_named(
    options: dict[str, Any], threat: Any, words: list[str]
) -> None:
    with pytest.raises(NoStabilityTheorem) as refusal:
        DTMRipsPersistence(**options).bound(threat)
    for word in words:
        assert word in str(refusal.value)


def test_births_move_so_sorted_deaths_have_no_bound() -> None:
    extractor = DTMRipsPersistence()
    dgms = extractor.fit_transform([np.random.default_rng(12).random((9, 2))])
    for bounds in extractor.bounds(Displacement(), dgms).values():
        assert [bound.target for bound in bounds] == [Bottleneck()]
    assert DTMRipsPersistence(threshold=2.0).bound(Strain()).constant == 2.0
    assert extractor.default_threat == Displacement()


def test_clouds_with_fewer_points_than_neighbours_are_named() -> None:
    clouds = [np.random.default_rng(13).random((n, 2)) for n in (6, 4)]
    with pytest.raises(ShapeError, match=r"sample 1 has 4 points.*n_neighbors=5"):
        DTMRipsPersistence().fit(clouds)


@pytest.mark.parametrize(
    "options",
    [{"n_neighbors": 0}, {"q": 0.5}, {"q": math.inf}, {"coefficient": 9}],
    ids=str,
)
def test_parameters_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        DTMRipsPersistence(**options).fit([np.zeros((6, 2))])


def test_too_large_inputs_are_refused_with_cheaper_options() -> None:
    clouds = [np.random.default_rng(14).random((300, 3))]
    extractor = DTMRipsPersistence((0, 1, 2), max_memory=1e6).fit(clouds)
    with pytest.raises(CostLimitError, match="lower homology dimension"):
        extractor.transform(clouds)
    cut, whole = (
        DTMRipsPersistence(threshold=t).estimate_cost(clouds) for t in (0.2, None)
    )
    assert cut.seconds < whole.seconds
    assert cut.memory < whole.memory
