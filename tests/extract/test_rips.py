"""Rips persistence: what is computed, how far it moves, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse.csgraph import minimum_spanning_tree

from stablerank.exceptions import CostLimitError
from stablerank.extract import RipsPersistence
from stablerank.extract.constants import h2_constant
from stablerank.extract.flag import EdgeRanks, component_bars
from stablerank.extract.flag_cost import simplices
from stablerank.extract.geometry import distance_matrix
from stablerank.extract.landmarks import farthest_points
from stablerank.matching import bottleneck_distance
from tests.extract.rips_cases import finite, polygon, random_cloud, random_matrix
from tests.oracles import flag_cells, persistence
from tests.strategies import attained_two_points, known_clouds

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])


def by_definition(matrix: np.ndarray, degrees: Any, threshold: float = math.inf) -> Any:
    """Bars of the whole complex, of min(M, T) where there is a threshold."""
    values = np.minimum(matrix, threshold)
    found = persistence(flag_cells(values, max(degrees) + 1), degrees)
    bars = []
    for p in found:
        # The class that never dies gets the threshold as its death.
        alive = [(b, threshold) for b in p.essential if b < threshold < math.inf]
        rows = sorted([*map(tuple, p.bars.tolist()), *alive])
        bars.append(np.array(rows, float).reshape(-1, 2))
    return bars


def sorted_rows(bars: np.ndarray) -> list[list[float]]:
    return sorted(finite(bars).tolist())


# --- what is computed --------------------------------------------------------------


@pytest.mark.parametrize("engine", ["gudhi", "ripser"])
@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.45])
def test_bars_are_those_of_the_whole_complex(
    engine: Any, critical: bool, threshold: float | None
) -> None:
    rng = np.random.default_rng(1)
    extractor = RipsPersistence(
        (0, 1, 2),
        metric="precomputed",
        engine=engine,
        critical=critical,
        threshold=threshold,
    )
    matrices = [random_matrix(rng, n) for n in (1, 2, 3, 6, 8)]
    # 2-spheres and ties: the octahedron has a cavity.
    octahedron = np.concatenate([np.eye(3), -np.eye(3)])
    matrices.append(distance_matrix(octahedron) / 4)
    matrices.append(distance_matrix(random_cloud(rng, 9, 2, "lattice")))
    dgms = extractor.fit_transform(matrices)
    for i, matrix in enumerate(matrices):
        expected = by_definition(matrix, (0, 1, 2), threshold or math.inf)
        for k, bars in enumerate(expected):
            mine = finite(dgms[i][k])
            if dgms.error[i, k] == 0:
                assert sorted_rows(mine) == bars.tolist()
            else:
                assert bottleneck_distance(mine, bars) <= dgms.error[i, k]
    assert dgms.essential.tolist() == ([] if threshold else [0.0] * len(matrices))


def test_known_clouds_have_their_known_bars() -> None:
    for known in known_clouds():
        dgms = RipsPersistence().fit_transform([known.points])
        for k, bars in enumerate(known.rips):
            gap = bottleneck_distance(finite(dgms[0][k]), bars)
            assert gap <= dgms.error[0, k] + 2.0**-48  # the formula is rounded too


def test_h0_deaths_are_the_edges_of_a_minimum_spanning_tree() -> None:
    for d in (1, 2, 5):
        cloud = np.random.default_rng(d).normal(size=(60, d))
        tree = np.sort(minimum_spanning_tree(distance_matrix(cloud)).data)[::-1]
        found = finite(RipsPersistence((0,)).fit_transform([cloud])[0][0])
        assert found[:, 1].tolist() == tree.tolist()


def test_bars_come_longest_first_in_the_channels_that_were_asked_for() -> None:
    rng = np.random.default_rng(2)
    dgms = RipsPersistence((1, 0)).fit_transform([rng.random((40, 2))])
    assert dgms.channels == ("H1", "H0")
    assert dgms.convention == "edge length"
    for name in dgms.channels:
        lengths = np.diff(finite(dgms[0][name]), axis=1).ravel()
        assert (lengths > 0).all()
        assert (np.diff(lengths) <= 0).all()


def test_points_and_their_distance_matrix_give_the_same_bits() -> None:
    cloud = np.random.default_rng(3).random((30, 3))
    by_points = RipsPersistence((0, 1, 2)).fit_transform([cloud])
    by_matrix = RipsPersistence((0, 1, 2), metric="precomputed").fit_transform(
        [distance_matrix(cloud)]
    )
    assert by_points.bars.tolist() == by_matrix.bars.tolist()
    assert by_matrix.error.tolist() == [[0.0, 0.0, 0.0]]
    assert (by_points.error > 0).all()


def test_coefficients_matter_where_there_is_torsion() -> None:
    # The six-vertex projective plane: its edges are all, its triangles come first.
    triangles = [
        (0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5), (0, 1, 5),
        (1, 2, 4), (2, 3, 5), (1, 3, 4), (2, 4, 5), (1, 3, 5),
    ]  # fmt: skip
    faces = [(v,) for v in range(6)]
    faces += sorted({(a, b) for t in triangles for a in t for b in t if a < b})
    faces += triangles
    # Barycentric subdivision is a flag complex: a face is near another inside it.
    n = len(faces)
    near = [[set(a) <= set(b) or set(b) <= set(a) for b in faces] for a in faces]
    matrix = np.where(near, 1.0, 2.0) - np.eye(n)
    holes = {
        p: len(
            RipsPersistence((1,), metric="precomputed", coefficient=p)
            .fit_transform([matrix])
            .bars
        )
        for p in (2, 3)
    }
    assert holes == {2: 1, 3: 0}


@pytest.mark.parametrize("engine", ["gudhi", "ripser"])
def test_a_huge_or_tiny_unit_of_length_changes_only_the_exponent(engine: Any) -> None:
    cloud = np.random.default_rng(4).random((20, 2))
    extractor = RipsPersistence(engine=engine)
    bars = extractor.fit_transform([cloud]).bars
    for exponent in (400, -400):
        scaled = extractor.transform([np.ldexp(cloud, exponent)]).bars
        assert np.ldexp(scaled, -exponent).tolist() == bars.tolist()
    limited = RipsPersistence(engine=engine, threshold=2.0**900)
    tiny = limited.fit_transform([np.ldexp(cloud, -400)])
    assert tiny[0][0][0].tolist() == [0.0, 2.0**900]


@pytest.mark.parametrize("engine", ["gudhi", "ripser"])
def test_far_from_the_origin_no_digit_is_lost(engine: Any) -> None:
    rng = np.random.default_rng(5)
    cloud = rng.integers(0, 2**20, size=(25, 2)) / 2.0**20
    there = RipsPersistence(engine=engine).fit_transform([cloud + 2.0**26])
    here = RipsPersistence(engine=engine).fit_transform([cloud])
    assert there.bars.tolist() == here.bars.tolist()


def test_order_motion_and_duplicates_of_points_do_not_matter() -> None:
    rng = np.random.default_rng(6)
    cloud = polygon(rng, 30, 2)
    extractor = RipsPersistence()
    bars = extractor.fit_transform([cloud])
    shuffled = extractor.transform([cloud[rng.permutation(30)]])
    assert shuffled.bars.tolist() == bars.bars.tolist()
    twice = extractor.transform([np.concatenate([cloud, cloud[:7]])])
    assert twice.bars.tolist() == bars.bars.tolist()
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    for moved, factor in ((cloud @ turn + 5.0, 1.0), (4.0 * cloud, 4.0)):
        other = extractor.transform([moved])
        for k in (0, 1):
            gap = bottleneck_distance(finite(other[0][k]) / factor, finite(bars[0][k]))
            assert gap <= other.error[0, k] / factor + bars.error[0, k] + 2.0**-48


def test_one_worker_and_two_give_the_same_bits_and_so_does_a_part() -> None:
    rng = np.random.default_rng(7)
    clouds = [rng.random((int(n), 2)) for n in rng.integers(1, 30, size=12)]
    options: dict[str, Any] = {"critical": True, "n_landmarks": 20}
    one = RipsPersistence(n_jobs=1, **options).fit_transform(clouds)
    two = RipsPersistence(n_jobs=2, **options).fit_transform(clouds)
    assert one.identical(two)
    part = RipsPersistence(**options).fit(clouds).transform(clouds[5:8])
    assert one[5:8].identical(part)


# --- the pieces --------------------------------------------------------------------


def test_ranks_keep_the_order_and_name_the_edges() -> None:
    matrix = random_matrix(np.random.default_rng(8), 7).round(1)  # with ties
    ranks = EdgeRanks.of(matrix)
    upper = np.triu_indices(7, 1)
    assert sorted(ranks.matrix[upper].tolist()) == list(range(1, 22))
    pairs = np.stack([ranks.matrix[upper]] * 2, axis=1)
    np.testing.assert_array_equal(ranks.bars(pairs)[:, 0], matrix[upper])
    np.testing.assert_array_equal(ranks.edges(pairs)[:, 0], np.stack(upper, axis=1))
    assert ranks.bars(np.array([[0.0, np.inf]])).tolist() == [[0.0, np.inf]]
    assert (ranks.edges(np.array([[0.0, np.inf]])) == -1).all()
    for threshold in (0.0, 0.35, 0.4, 2.0):
        assert ranks.limit(threshold) == (matrix[upper] <= threshold).sum()


def test_components_with_late_vertices_are_those_of_the_whole_complex() -> None:
    rng = np.random.default_rng(9)
    for n in (1, 2, 5, 12):
        births = rng.integers(0, 5, size=n).astype(float)
        edges = np.maximum(random_matrix(rng, n) * 8, births)
        edges = np.maximum(edges, edges.T)
        np.fill_diagonal(edges, 0.0)
        bars, critical = component_bars(edges, births)
        expected = persistence(flag_cells(edges + np.diag(births), 1), [0])[0]
        mine = bars[np.isfinite(bars[:, 1]) & (bars[:, 1] > bars[:, 0])]
        assert sorted(mine.tolist()) == expected.bars.tolist()
        assert bars[np.isinf(bars[:, 1]), 0].tolist() == expected.essential.tolist()
        assert births[critical[:, 0, 0]].tolist() == bars[:, 0].tolist()
        ends = critical[:-1, 1]
        assert edges[ends[:, 0], ends[:, 1]].tolist() == bars[:-1, 1].tolist()


def test_landmarks_are_spread_and_cover_within_twice_the_best() -> None:
    rng = np.random.default_rng(10)
    for n, k in ((12, 3), (10, 4)):
        matrix = distance_matrix(rng.random((n, 2)))
        chosen = farthest_points(n, k, lambda i, m=matrix: m[i])
        assert chosen.indices[0] == 0
        assert chosen.cover_radius == matrix[chosen.indices].min(axis=0).max()
        assert chosen.reach == matrix[chosen.indices].max()
        among = matrix[np.ix_(chosen.indices, chosen.indices)]
        assert (among[np.triu_indices(k, 1)] >= chosen.cover_radius).all()


def test_landmarks_stop_when_only_duplicates_are_left() -> None:
    chosen = farthest_points(5, 3, lambda i: np.zeros(5))
    assert chosen.indices.tolist() == [0]
    cloud = np.repeat(SQUARE, 3, axis=0)
    dgms = RipsPersistence(n_landmarks=8).fit_transform([cloud])
    whole = RipsPersistence().fit_transform([cloud])
    assert dgms.bars.tolist() == whole.bars.tolist()
    assert dgms.source.geometry["cover_radius"][0] <= 2.0**-50


def test_landmarks_of_a_cloud_and_of_its_matrix_agree() -> None:
    cloud = np.random.default_rng(11).random((40, 2))
    a = RipsPersistence(n_landmarks=15).fit_transform([cloud])
    b = RipsPersistence(n_landmarks=15, metric="precomputed").fit_transform(
        [distance_matrix(cloud)]
    )
    assert a.bars.tolist() == b.bars.tolist()
    geometry = a.source.geometry
    assert geometry["cover_radius"][0] >= b.source.geometry["cover_radius"][0]
    assert geometry["diameter"][0] >= distance_matrix(cloud).max()
    # 15 of 40 points cannot be farther than the cover radius from the whole.
    whole = RipsPersistence().fit_transform([cloud])
    for k in (0, 1):
        gap = bottleneck_distance(finite(a[0][k]), finite(whole[0][k]))
        assert gap <= 2 * geometry["cover_radius"][0] + a.error[0, k]


def test_sparse_bars_come_out_the_same_every_time() -> None:
    clouds = [np.random.default_rng(s).random((50, 2)) for s in (12, 13)]
    extractor = RipsPersistence((0, 1, 2), sparse=0.5).fit(clouds)
    dgms = extractor.transform(clouds)
    assert dgms.identical(extractor.transform(clouds))
    assert dgms[1:].identical(extractor.transform(clouds[1:]))
    assert np.isinf(dgms.error).all()  # no theorem of ours says how far they are
    exact = RipsPersistence((0, 1)).fit_transform(clouds)
    for i in (0, 1):
        longest, truth = dgms[i]["H1"][0], exact[i]["H1"][0]
        assert truth[0] <= longest[0] * (1 + 1e-9)
        assert longest[1] <= truth[1] / (1 - 0.5) * (1 + 1e-9)


# --- what it takes -----------------------------------------------------------------


def test_too_large_inputs_are_refused_with_cheaper_options_and_their_price() -> None:
    clouds = [np.random.default_rng(19).random((300, 3))]
    extractor = RipsPersistence((0, 1, 2), engine="ripser", max_memory=1e6).fit(clouds)
    with pytest.raises(CostLimitError) as refusal:
        extractor.transform(clouds)
    for words in (
        "threshold=T",
        "[X18]",
        "6 e + 6 r(X)",
        "[X15]",
        'engine="gudhi" (no price)',
        "a lower homology dimension (no price)",
    ):
        assert words in str(refusal.value)
    cheap = RipsPersistence((0,), threshold=0.1, n_landmarks=20, max_memory=1e6)
    assert len(cheap.fit_transform(clouds)) == 1


def test_the_forecast_grows_and_shrinks_with_the_complex() -> None:
    cloud = np.random.default_rng(20).random((200, 2))
    costs = {
        name: RipsPersistence(degrees, **options).estimate_cost([cloud])
        for name, degrees, options in (
            ("plain", (0, 1), {}),
            ("higher", (0, 1, 2), {"engine": "ripser"}),
            ("lower", (0,), {}),
            ("cut", (0, 1), {"threshold": 0.1}),
            ("few", (0, 1), {"n_landmarks": 50}),
            ("ranked", (0, 1), {"critical": True}),
            ("sparse", (0, 1), {"sparse": 0.9}),
        )
    }
    for name in ("lower", "cut", "few"):
        assert costs[name].memory < costs["plain"].memory
        assert costs[name].seconds < costs["plain"].seconds
    for name in ("higher", "ranked"):
        assert costs[name].memory > costs["plain"].memory
        assert costs[name].seconds > costs["plain"].seconds
    assert costs["sparse"].memory > 0


def test_the_number_of_simplices_is_forecast_within_a_factor_of_two() -> None:
    assert simplices(10, 9, 2) == math.comb(10, 3)
    cloud = np.random.default_rng(21).random((80, 2))
    near = distance_matrix(cloud) <= 0.3
    np.fill_diagonal(near, False)
    counted = np.trace(np.linalg.matrix_power(near.astype(float), 3)) / 6
    forecast = simplices(80, float(near.sum(axis=1).mean()), 2)
    assert 0.5 < forecast / counted < 2


# --- what is refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coefficient": 4}, "prime"),
        ({"coefficient": 131, "engine": "ripser"}, "at most 127"),
        ({"coefficient": 46349}, "at most 46337"),
        ({"threshold": math.inf}, "threshold"),
        ({"threshold": -1.0}, "threshold"),
        ({"sparse": 1.0}, "sparse"),
        ({"sparse": 0.5, "engine": "ripser"}, "gudhi"),
        ({"sparse": 0.5, "critical": True}, "critical=False"),
        ({"n_landmarks": 0}, "n_landmarks"),
        ({"engine": "dionysus"}, "engine"),
        ({"metric": "cosine"}, "metric"),
        ({"homology_dimensions": (1, 1)}, "different integers"),
    ],
    ids=str,
)
def test_parameters_that_mean_nothing_are_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        RipsPersistence(**options).fit([SQUARE])


def test_ripser_refuses_what_would_abort_it() -> None:
    cloud = np.random.default_rng(22).random((300, 2))
    many = RipsPersistence((10,), engine="ripser", threshold=0.01, max_memory=1e30)
    with pytest.raises(RuntimeError, match="cannot number the simplices") as refusal:
        many.fit_transform([cloud])
    assert "sample 0" in refusal.value.__notes__[0]


def test_h2_constants_are_those_of_the_ledger_rounded_up() -> None:
    assert h2_constant(1) == 2.0
    for d, gamma in ((2, 3), (3, 5.175), (4, 24), (8, 240)):
        assert h2_constant(d) == pytest.approx(1 + math.sqrt(gamma - 1), rel=1e-15)
        assert (h2_constant(d) - 1) ** 2 >= (gamma - 1) * (1 - 2.0**-52)
    assert h2_constant(9) == math.inf
    np.testing.assert_allclose(h2_constant([9, 2], [49, 4]), [7.0, 2.0])


@given(attained_two_points())
def test_two_points_have_one_bar_and_exact_numbers(pair: Any) -> None:
    for points, death in zip((pair.x, pair.x_new), pair.deaths, strict=True):
        dgms = RipsPersistence((0,)).fit_transform([points])
        assert finite(dgms[0][0]).tolist() == [[0.0, death]]
