"""Alpha persistence: what is computed, and how far it is off."""

from __future__ import annotations

import itertools
import math
import threading
from fractions import Fraction
from typing import Any

import gudhi
import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree

from stablerank.exceptions import (
    CostLimitError,
)
from stablerank.extract import AlphaPersistence
from stablerank.extract.alpha import _forecast_simplices
from stablerank.extract.geometry import (
    distance_matrix,
    enclosing_radius_up,
)
from stablerank.matching import bottleneck_distance
from tests.extract.alpha_cases import (
    cech,
    exact_square,
    extract,
    finite,
    off_by_at_most,
    orbit,
    random_cloud,
)

# --- what is computed --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uniform", "lattice", "clustered"])
@pytest.mark.parametrize(
    ("d", "n", "rounds"), [(1, 6, 3), (2, 7, 8), (3, 7, 4), (4, 6, 2)]
)
def test_alpha_persistence_is_the_persistence_of_all_enclosing_balls(
    kind: str, d: int, n: int, rounds: int
) -> None:
    rng = np.random.default_rng([d, n, len(kind)])
    for _ in range(rounds):
        cloud = random_cloud(rng, n, d, kind)
        dgms = extract(cloud)
        for k, bars in enumerate(cech(cloud, range(3))):
            rounding = 2.0**-50 * enclosing_radius_up(cloud)  # of the oracle
            gap = bottleneck_distance(finite(dgms[0][k]), bars)
            assert gap <= dgms.error[0, k] + rounding


def test_h0_deaths_are_half_the_edges_of_a_minimum_spanning_tree() -> None:
    for d in (1, 2, 3, 5):
        cloud = np.random.default_rng(d).normal(size=(40, d))
        edges = np.sort(minimum_spanning_tree(distance_matrix(cloud)).data)[::-1]
        deaths = finite(extract(cloud, degrees=(0,))[0]["H0"])[:, 1]
        np.testing.assert_allclose(deaths, edges / 2, rtol=0, atol=1e-15)


def test_smallest_empty_circumspheres_give_the_same_bars() -> None:
    # The alpha complex of GUDHI and its Čech values on the Delaunay complex [X5].
    cloud = orbit()
    tree = gudhi.AlphaComplex(points=cloud, precision="exact").create_simplex_tree(
        output_squared_values=False
    )
    tree.compute_persistence()
    dgms = extract(cloud, degrees=(0, 1))
    for k in (0, 1):
        bars = tree.persistence_intervals_in_dimension(k)
        gap = bottleneck_distance(finite(bars), finite(dgms[0][k]))
        assert gap <= 2 * dgms.error[0, k]


def test_bars_come_longest_first_and_one_component_never_dies() -> None:
    dgms = extract(orbit(), degrees=(1, 0))
    assert dgms.channels == ("H1", "H0")
    for name in dgms.channels:
        bars = finite(dgms[0][name])
        lengths = bars[:, 1] - bars[:, 0]
        assert (lengths > 0).all()
        assert (np.diff(lengths) <= 0).all()
    assert dgms.essential.tolist() == [0.0]
    assert np.diff(dgms.essential_offsets, axis=1).tolist() == [[0, 1]]


def test_degrees_without_room_give_empty_channels() -> None:
    line = extract(np.array([[0.0], [1.0], [4.0]]), degrees=(0, 1, 5))
    assert line[0]["H0"].tolist() == [[0.0, 1.5], [0.0, 0.5], [0.0, math.inf]]
    assert len(line[0]["H1"]) == len(line[0]["H5"]) == 0
    assert len(extract(orbit(), degrees=(2,))[0]["H2"]) == 0


@pytest.mark.parametrize(
    ("n", "d"), [(300, 1), (500, 2), (300, 3), (60, 4), (40, 5), (25, 6), (14, 8)]
)
def test_the_forecast_of_simplices_is_right_within_a_factor_of_two(
    n: int, d: int
) -> None:
    cloud = np.random.default_rng(d).random((n, d))
    found = gudhi.DelaunayComplex(points=cloud).create_simplex_tree().num_simplices()
    assert 0.5 <= _forecast_simplices(n, d) / found <= 2


# --- inputs out of the ordinary ----------------------------------------------------


def test_one_point_and_equal_points_have_one_component() -> None:
    for cloud in (np.zeros((1, 2)), np.full((4, 3), 7.0), np.full((2, 1), -1.0)):
        dgms = extract(cloud)
        assert dgms[0]["H0"].tolist() == [[0.0, math.inf]]
        assert len(dgms.bars) == 0


def test_collinear_points_have_no_holes() -> None:
    line = np.outer([0.0, 1.0, 3.0, 7.0], [3.0, 4.0])
    dgms = extract(line)
    assert dgms[0]["H0"][:3, 1].tolist() == [10.0, 5.0, 2.5]
    assert len(dgms[0]["H1"]) == 0


def test_cocircular_points_make_one_hole() -> None:
    angles = np.arange(12) * (math.pi / 6)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    bars = extract(circle)[0]["H1"]
    assert len(bars) == 1
    np.testing.assert_allclose(bars, [[math.sin(math.pi / 12), 1.0]], atol=1e-12)


def test_a_lattice_has_a_hole_in_every_square() -> None:
    grid = np.array(list(itertools.product(range(6), range(5))), float)
    bars = extract(grid)[0]["H1"]
    assert bars.shape == (20, 2)
    assert np.allclose(bars, [0.5, math.sqrt(0.5)], rtol=0, atol=1e-12)


@pytest.mark.parametrize("exponent", [498, -400, -600, -1000, -1060])
def test_the_scale_of_the_numbers_does_not_matter(exponent: int) -> None:
    # Integers times a power of two are floats, down to the subnormal ones.
    cloud = np.random.default_rng(4).integers(0, 1000, (30, 2)).astype(float)
    scaled = np.ldexp(cloud / (1024 if exponent > 0 else 1), exponent)
    factor = 2.0 ** (-10 if exponent > 0 else 0)
    plain, large = extract(cloud * factor), extract(scaled)
    assert (plain.counts == large.counts).all()
    gap = np.abs(np.ldexp(large.bars, -exponent) - plain.bars).max()
    smallest = 2.0**-1074 if exponent < -900 else 0.0
    assert gap <= 2 * plain.error.max() + math.ldexp(smallest, -exponent)
    assert (
        large.error <= np.ldexp(2 * plain.error + 1e-300, exponent) + smallest
    ).all()


def test_far_from_the_origin_nothing_is_lost() -> None:
    rng = np.random.default_rng(8)
    far = rng.random((60, 2)) + np.array([1e8, -3e8])
    near = far - np.array([1e8, -3e8])  # exact: both hold the same rounded points
    assert (near + np.array([1e8, -3e8]) == far).all()
    a, b = extract(far), extract(near)
    assert (a.counts == b.counts).all()
    assert np.abs(a.bars - b.bars).max() <= a.error.max() + b.error.max()
    assert a.error.max() < 2e-12


def test_equal_points_change_nothing() -> None:
    cloud = orbit(50)
    once, twice = extract(cloud), extract(np.concatenate([cloud[::-1], cloud]))
    for k in (0, 1):
        gap = bottleneck_distance(finite(once[0][k]), finite(twice[0][k]))
        assert gap <= once.error[0, k] + twice.error[0, k]
    assert twice.source.geometry["n_points"].tolist() == [100.0]


def test_too_many_simplices_are_refused_before_they_are_made() -> None:
    huge = [np.zeros((100_000, 4))]
    with pytest.raises(CostLimitError, match=r"a fixed subset of the points"):
        AlphaPersistence(max_memory=1e9).fit_transform(huge)


# --- how far it is off -------------------------------------------------------------


@pytest.mark.parametrize("precision", ["safe", "exact"])
@pytest.mark.parametrize(
    ("d", "n", "offset", "flat"),
    [
        (1, 12, 0.0, 1.0),
        (2, 25, 0.0, 1.0),
        (2, 25, 1e8, 1.0),
        (2, 15, 0.3, 1e-9),
        (3, 12, 0.0, 1.0),
        (3, 10, 0.3, 1e-7),
        (4, 8, 0.0, 1.0),
        (5, 7, 0.0, 1.0),
    ],
)
def test_every_value_is_within_the_charged_error_of_the_rational_one(
    precision: str, d: int, n: int, offset: float, flat: float
) -> None:
    cloud = np.random.default_rng([d, n]).random((n, d))
    cloud[:, -1] *= flat
    cloud += offset
    dgms = extract(cloud, degrees=range(d), precision=precision, critical=True)
    ends = dgms.critical.reshape(2 * len(dgms.bars), -1)
    for value, vertices in zip(dgms.bars.ravel().tolist(), ends, strict=True):
        known = vertices[vertices >= 0]
        square = exact_square(cloud[known]) if len(known) else Fraction(0)
        assert off_by_at_most(value, square, dgms.error[0, 0])


def test_exact_is_a_rounded_root_in_the_plane_and_in_space() -> None:
    # What is charged for rounding is the whole error there, with room for little more.
    worst = 0.0
    for d in (2, 3):
        cloud = np.random.default_rng(d).random((60, d))
        dgms = extract(cloud, degrees=(0, 1), precision="exact", critical=True)
        for vertices, death in zip(
            dgms.critical[:40, 1], dgms.bars[:40, 1], strict=True
        ):
            square = exact_square(cloud[vertices[vertices >= 0]])
            assert off_by_at_most(float(death), square, 2.0**-52 * float(death))
            worst = max(worst, float(abs(Fraction(float(death)) ** 2 / square - 1)))
        assert dgms.error[0, 0] <= 2.0**-51 * (enclosing_radius_up(cloud) + 1e-15)
    assert worst > 2.0**-54


def test_safe_and_exact_agree_within_their_errors() -> None:
    for d, flat in ((2, 1.0), (2, 1e-6), (3, 1.0), (4, 1.0)):
        cloud = np.random.default_rng(d).random((40, d))
        cloud[:, 0] *= flat
        safe, exact = extract(cloud), extract(cloud, precision="exact")
        assert (safe.error > exact.error).all()
        for k in range(3):
            gap = bottleneck_distance(finite(safe[0][k]), finite(exact[0][k]))
            assert gap <= safe.error[0, k] + exact.error[0, k]


def test_a_coarser_precision_is_charged() -> None:
    cloud = orbit()
    fine, coarse = extract(cloud), extract(cloud, relative_precision=1e-3)
    assert coarse.error[0, 0] > 1e-3 * 0.5 > fine.error[0, 0]
    assert extract(cloud, precision="fast").error[0, 0] == math.inf


def test_no_bar_ends_beyond_the_radius_of_the_cloud() -> None:
    needle = np.random.default_rng(0).random((40, 2)) * [1.0, 1e-7]
    for precision in ("safe", "exact", "fast"):
        dgms = extract(needle, precision=precision)
        assert dgms.bars.max() <= dgms.source.geometry["meb_radius"][0]


def test_the_engine_setting_is_restored_also_after_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = gudhi.DelaunayCechComplex
    before = setting.get_float_relative_precision()
    seen = []

    def fail(*_: Any, **__: Any) -> None:
        seen.append(setting.get_float_relative_precision())
        raise RuntimeError("stopped")

    try:
        setting.set_float_relative_precision(0.25)
        extract(orbit(20))
        assert setting.get_float_relative_precision() == 0.25
        monkeypatch.setattr(setting, "create_simplex_tree", fail)
        with pytest.raises(RuntimeError, match="stopped"):
            extract(orbit(20), relative_precision=1e-9)
        assert seen == [1e-9]
        assert setting.get_float_relative_precision() == 0.25
    finally:
        setting.set_float_relative_precision(before)


def test_threads_do_not_share_the_engine_setting() -> None:
    # Else one thread could restore the default while another one computes.
    seen = []
    setting = gudhi.DelaunayCechComplex
    before = setting.get_float_relative_precision()

    def work() -> None:
        setting.set_float_relative_precision(0.125)
        seen.append(setting.get_float_relative_precision())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0.125]
    assert setting.get_float_relative_precision() == before


# --- the same, seen from elsewhere -------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
def test_symmetries_move_no_bar(d: int) -> None:
    rng = np.random.default_rng(d)
    cloud = rng.random((40, d))
    turn, _ = np.linalg.qr(rng.normal(size=(d, d)))
    base = extract(cloud)
    for other, scale in (
        (cloud[rng.permutation(40)], 1.0),
        (cloud + 0.25, 1.0),
        (cloud @ turn, 1.0),
        (8 * cloud, 8.0),
    ):
        moved = extract(other)
        for k in range(d):
            gap = bottleneck_distance(finite(base[0][k]) * scale, finite(moved[0][k]))
            # Adding and turning round the points themselves.
            assert gap <= scale * base.error[0, k] + moved.error[0, k] + 1e-15


def test_workers_and_neighbours_leave_every_bit_as_it_is() -> None:
    rng = np.random.default_rng(3)
    clouds = [rng.random((30 + i, 2)) for i in range(6)]
    one = extract(*clouds, degrees=(0, 1), n_jobs=1, critical=True)
    two = extract(*clouds, degrees=(0, 1), n_jobs=2, critical=True)
    assert one.identical(two)
    assert (one.critical == two.critical).all()
    alone = extract(clouds[4], degrees=(0, 1), critical=True)
    assert one[4:5].compact().identical(alone)
