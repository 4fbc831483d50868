"""Distance to a measure: its values, its theorem, its rounding."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stablerank import (
    Budget,
    Displacement,
    DTMPersistence,
    Hausdorff,
    NoStabilityTheorem,
    PixelSup,
    SinglePoint,
    Strain,
)
from stablerank.exceptions import CostLimitError, InvalidInputError, ShapeError
from stablerank.extract.dtm import _rounding_error, distance_to_measure
from stablerank.matching import bottleneck_distance
from stablerank.metrics import Bottleneck
from tests.oracles import grid_cells, persistence

UNIT = [[0.0, 0.0], [1.0, 1.0]]


def finite(diagrams, channel):
    bars = diagrams[0][channel]
    return bars[np.isfinite(bars[:, 1])]


def alive(diagrams, channel):
    bars = diagrams[0][channel]
    return bars[np.isinf(bars[:, 1]), 0]


def exact_squares(cloud, place):
    """Squared distances as rational numbers, sorted."""
    return sorted(
        sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x, place, strict=True))
        for x in cloud.tolist()
    )


def exact_value(squares, k, q):
    """The power mean of the k smallest distances, to 60 digits."""
    with localcontext() as context:
        context.prec = 60
        exponent = Decimal(q)
        terms = [
            (Decimal(s.numerator) / Decimal(s.denominator)).sqrt() for s in squares[:k]
        ]
        mean = sum(t**exponent if t else Decimal(0) for t in terms) / k
        return mean ** (1 / exponent) if mean else Decimal(0)


# --- the function -------------------------------------------------------------------


@pytest.mark.parametrize("q", [1, 2, 3, 1.5, 40])
@pytest.mark.parametrize("scale", [1.0, 2.0**-40, 2.0**400])
def test_values_are_within_the_charged_error_of_the_exact_ones(q, scale):
    rng = np.random.default_rng(0)
    for offset in (0.0, 1e6):
        cloud = (rng.normal(size=(40, 2)) + offset) * scale
        places = (rng.normal(size=(12, 2)) + offset) * scale
        places[0] = cloud[0]  # a distance of zero
        counts = [1, 5, 40]
        values = distance_to_measure(cloud, places, counts, q)
        for row, k in enumerate(counts):
            error = _rounding_error(float(values[row].max()), k, q, cloud.shape)
            assert error < 1e-13 * values[row].max()
            for value, place in zip(values[row].tolist(), places.tolist(), strict=True):
                exact = exact_value(exact_squares(cloud, place), k, q)
                assert abs(Decimal(value) - exact) <= Decimal(error)


def test_powers_are_as_accurate_as_declared():
    rng = np.random.default_rng(1)
    bases = rng.uniform(0, 1, size=300) ** 3
    for exponent in (1.5, 3.0, 7.25, 1 / 3, 1 / 7.25):
        powers = bases**exponent
        with localcontext() as context:
            context.prec = 60
            for base, power in zip(bases.tolist(), powers.tolist(), strict=True):
                exact = Decimal(base) ** Decimal(exponent)
                assert abs(Decimal(power) - exact) <= exact * Decimal(2) ** -48


def test_large_grids_are_evaluated_block_by_block(monkeypatch):
    rng = np.random.default_rng(2)
    cloud, places = rng.random((30, 2)), rng.random((500, 2))
    whole = distance_to_measure(cloud, places, [1, 4], 2)
    monkeypatch.setattr("stablerank.extract.dtm._ROWS", 64)
    assert np.array_equal(distance_to_measure(cloud, places, [1, 4], 2), whole)


def test_points_far_apart_or_all_at_one_place_do_no_harm():
    for cloud in (np.zeros((6, 2)), np.full((6, 2), 1e150), np.eye(6)[:, :2] * 1e-300):
        for q in (1, 2, 30):
            dgms = DTMPersistence(n_neighbors=(1, 6), grid=5, q=q).fit_transform(
                [cloud]
            )
            assert np.isfinite(dgms.bars).all()
            assert np.isfinite(dgms.error).all()


# --- the diagrams -------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "grid"), [(1, 9), (2, (4, 5)), (3, (3, 2, 3))])
def test_bars_are_those_of_the_boundary_matrix(dimension, grid):
    rng = np.random.default_rng(3)
    clouds = [rng.random((12, dimension)) for _ in range(3)]
    box = np.stack([np.zeros(dimension), np.ones(dimension)])
    shape = grid if isinstance(grid, tuple) else (grid,)
    axes = [np.linspace(0, 1, n) for n in shape]
    places = np.array(list(itertools.product(*axes)))
    for critical in (False, True):
        extractor = DTMPersistence(
            (0, 1, 2), n_neighbors=(2, 7), grid=grid, box=box, critical=critical
        )
        dgms = extractor.fit_transform(clouds)
        for i, cloud in enumerate(clouds):
            functions = distance_to_measure(cloud, places, [2, 7], 2)
            for k, values in zip((2, 7), functions, strict=True):
                cells = grid_cells(
                    values.reshape(shape), "vertex", [False] * len(shape)
                )
                for degree, truth in enumerate(persistence(cells, range(3))):
                    bars = finite(dgms[i : i + 1], f"k{k}/H{degree}")
                    order = np.lexsort((bars[:, 1], bars[:, 0]))
                    assert np.array_equal(bars[order], truth.bars)
                    births = alive(dgms[i : i + 1], f"k{k}/H{degree}")
                    assert np.array_equal(births, truth.essential)


def test_a_circle_has_one_long_loop_in_spite_of_outliers():
    rng = np.random.default_rng(4)
    angles = rng.uniform(0, 2 * np.pi, 300)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    noisy = np.concatenate([circle, rng.uniform(-1, 1, size=(6, 2))])
    dgms = DTMPersistence(n_neighbors=12, grid=48, margin=0.1).fit_transform([noisy])
    births, deaths = dgms[0]["k12/H1"].T
    lengths = deaths - births
    assert lengths[0] > 0.4
    assert lengths[1:].max(initial=0.0) < 0.1


def test_the_box_is_frozen_by_fit():
    rng = np.random.default_rng(5)
    clouds = rng.random((3, 60, 2))
    extractor = DTMPersistence(n_neighbors=3, grid=8, margin=0.5).fit(clouds)
    low, high = clouds.min(axis=(0, 1)), clouds.max(axis=(0, 1))
    widen = (high - low).max() / 2
    assert np.array_equal(extractor.box_, [low - widen, high + widen])
    frozen = extractor.box_.copy()
    extractor.transform(clouds + 5.0)
    assert np.array_equal(extractor.box_, frozen)
    assert extractor.spec()["fitted"]["box_"] == frozen.tolist()


def test_a_common_move_of_cloud_and_box_changes_nothing():
    cloud = np.random.default_rng(6).integers(0, 2**20, size=(50, 2)) / 2**20
    here = DTMPersistence(n_neighbors=(1, 5), grid=9, box=UNIT)
    there = DTMPersistence(n_neighbors=(1, 5), grid=9, box=np.add(UNIT, 4.0))
    dgms = here.fit_transform([cloud])
    assert there.fit_transform([cloud + 4.0]).identical(dgms)
    assert here.transform([cloud[::-1]]).identical(dgms)
    axes_swapped = here.transform([cloud[:, ::-1]])
    assert axes_swapped.identical(dgms)


def test_giving_every_point_twice_doubles_the_number_of_neighbours():
    cloud = np.random.default_rng(7).random((40, 2))
    once = DTMPersistence(n_neighbors=4, grid=12, box=UNIT).fit_transform([cloud])
    twice = DTMPersistence(n_neighbors=8, grid=12, box=UNIT).fit_transform(
        [np.repeat(cloud, 2, axis=0)]
    )
    slack = float(once.error.max() + twice.error.max())
    for degree in (0, 1):
        one, other = finite(once, degree), finite(twice, degree)
        assert bottleneck_distance(one, other) <= slack


def test_workers_and_batches_change_no_bit():
    clouds = np.random.default_rng(8).random((5, 60, 2))
    extractor = DTMPersistence(grid=16).fit(clouds)
    dgms = extractor.transform(clouds)
    assert dgms.channels == tuple(f"k{k}/H{d}" for k in (5, 20, 50) for d in (0, 1))
    assert DTMPersistence(grid=16, n_jobs=2).fit_transform(clouds).identical(dgms)
    assert extractor.transform(clouds[1:3]).identical(dgms[1:3])


# --- theorems -----------------------------------------------------------------------


def assert_bounded(extractor, threat, cloud, moved):
    """Bars and essential births move no more than the theorem says; best ratio."""
    dgms = extractor.transform([cloud, moved])
    size = threat.distance_up(cloud, moved)
    best = 0.0
    for c, (name, bounds) in enumerate(extractor.bounds(threat, dgms).items()):
        (bound,) = bounds
        assert bound.target == Bottleneck()
        constant = float(np.max(bound.constant))
        owed = float(dgms.error[:, c].sum())
        one, other = finite(dgms[:1], name), finite(dgms[1:], name)
        distance = bottleneck_distance(one, other)
        assert distance <= constant * size + owed
        gap = np.abs(alive(dgms[:1], name) - alive(dgms[1:], name))
        assert gap.max(initial=0.0) <= constant * size + owed
        if size:
            best = max(best, distance / (constant * size))
    return best


#: Two heaps of four points at the ends of a line with three vertices: a bar is born
#: at the far heap's distance from its vertex, and dies in the middle.
HEAPS = np.array([[0.0]] * 4 + [[16.0]] * 4)


@pytest.mark.parametrize("q", [1, 1.5, 2, 3])
def test_the_constants_are_attained(q):
    extractor = DTMPersistence((0,), n_neighbors=4, grid=3, q=q, box=[[0.0], [16.0]])
    extractor.fit([HEAPS])
    together = HEAPS + 1.0
    assert assert_bounded(extractor, Displacement(), HEAPS, together) >= 0.99
    heap = HEAPS.copy()
    heap[4:] += 0.5  # four points, each by 1/2: a budget of 1
    assert Budget().distance_up(HEAPS, heap) == 1.0
    expected = 1.0 if q <= 2 else 4 ** (1 / q - 1 / 2)
    best = assert_bounded(extractor, Budget(), HEAPS, heap)
    assert best == pytest.approx(expected, rel=1e-12)
    single = HEAPS.copy()
    single[4] += 1.0
    assert assert_bounded(extractor, SinglePoint(), HEAPS, single) >= 0.99
    assert assert_bounded(extractor, Budget(), HEAPS, single) >= (0.99 if q >= 2 else 0)


@given(
    arrays(np.float64, (9, 2), elements=st.floats(-2, 2, width=16)),
    arrays(np.float64, (9, 2), elements=st.floats(-1, 1, width=16)),
    st.sampled_from([1, 2, 3.5]),
)
def test_no_cloud_passes_the_constants(cloud, move, q):
    extractor = DTMPersistence(
        (0, 1), n_neighbors=(1, 3, 9), grid=6, q=q, box=[[-2, -2], [2, 2]]
    ).fit([cloud])
    assert_bounded(extractor, Displacement(), cloud, cloud + move)
    assert_bounded(extractor, Budget(), cloud, cloud + move)
    single = cloud.copy()
    single[0] += move[0]
    assert_bounded(extractor, SinglePoint(), cloud, single)


def test_constants_by_channel_and_the_worst_of_them():
    extractor = DTMPersistence((0, 1), n_neighbors=(4, 9), q=2)
    assert extractor.bound(Displacement()).constant == 1.0
    assert extractor.bound(Budget()).constant == 0.5
    assert extractor.bound(SinglePoint()).constant == 0.5
    assert extractor.default_threat == Displacement()
    dgms = extractor.set_params(grid=4).fit_transform([np.eye(9)[:, :2]])
    constants = {
        name: bounds[0].constant
        for name, bounds in extractor.bounds(Budget(), dgms).items()
    }
    assert constants["k4/H1"] == 0.5
    assert constants["k9/H0"] == pytest.approx(1 / 3)
    assert constants["k9/H0"] >= 1 / 3
    mean = DTMPersistence(n_neighbors=8, q=1)
    assert mean.bound(SinglePoint()).constant == 1 / 8
    assert Fraction(mean.bound(Budget()).constant) ** 2 >= Fraction(1, 8)


def test_weighted_displacement_uses_the_largest_weight_of_the_sample():
    def uncertainty(cloud):
        return np.linspace(0, 2, len(cloud))

    threat = Displacement(weights=uncertainty)
    clouds = [HEAPS, HEAPS + 1.0]
    extractor = DTMPersistence((0,), n_neighbors=4, grid=3, box=[[0.0], [16.0]])
    dgms = extractor.fit_transform(clouds)
    with pytest.raises(NoStabilityTheorem, match="with_weights"):
        extractor.bounds(threat, dgms)
    with pytest.raises(NoStabilityTheorem, match="depends on the sample"):
        extractor.bound(threat)
    (bound,) = extractor.bounds(threat, dgms.with_weights(threat, clouds))["k4/H0"]
    assert bound.constant.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("threat", "words"),
    [
        (Hausdorff(), "counts points"),
        (Strain(), "rigid motion"),
        (PixelSup(), "one of"),
    ],
)
def test_threats_without_a_theorem_are_refused(threat, words):
    with pytest.raises(NoStabilityTheorem, match=words):
        DTMPersistence().bound(threat)


def test_the_refused_threats_have_counterexamples():
    extractor = DTMPersistence((0,), n_neighbors=4, grid=3, box=[[0.0], [16.0]])
    extractor.fit([HEAPS])
    crowd = np.concatenate([HEAPS[:1], HEAPS[:1], HEAPS[4:]])
    assert Hausdorff().distance_up(HEAPS, crowd) == 0.0
    shifted = HEAPS + 1.0
    assert Strain().distance_up(HEAPS, shifted) == 0.0
    dgms = extractor.transform([HEAPS, crowd, shifted])
    bars = [finite(dgms[i : i + 1], 0) for i in range(3)]
    assert bottleneck_distance(bars[0], bars[1]) > 0.5
    assert bottleneck_distance(bars[0], bars[2]) > 0.5


# --- gradients ----------------------------------------------------------------------


@pytest.mark.parametrize("q", [1, 2, 3.5])
@pytest.mark.parametrize(("dimension", "grid"), [(2, 9), (3, (5, 4, 6))])
def test_gradients_agree_with_differences(q, dimension, grid):
    rng = np.random.default_rng(9)
    cloud = rng.random((30, dimension))
    box = np.stack([np.zeros(dimension), np.ones(dimension)])
    extractor = DTMPersistence(
        (0, 1), n_neighbors=(1, 6), grid=grid, q=q, box=box, critical=True
    )
    dgms = extractor.fit_transform([cloud])
    assert (dgms.counts > 0).sum() >= 3
    births, deaths = dgms.bars.T
    # Symmetric in the bars: their order may change with their lengths.
    loss = lambda bars: (bars[:, 1] ** 2 - bars[:, 0]).sum()  # noqa: E731
    slopes = np.stack([-np.ones_like(births), 2 * deaths], axis=1)
    (gradient,) = extractor.pullback([cloud], dgms, slopes)
    direction = rng.normal(size=cloud.shape)
    step = 1e-6
    there, back = (
        loss(extractor.transform([cloud + s * step * direction]).bars) for s in (1, -1)
    )
    slope = (there - back) / (2 * step)
    assert slope == pytest.approx((gradient * direction).sum(), rel=1e-6)


def test_a_point_on_a_critical_vertex_gives_a_finite_gradient():
    extractor = DTMPersistence(
        (0,), n_neighbors=(1, 4), grid=3, box=[[0.0], [16.0]], critical=True
    )
    dgms = extractor.fit_transform([HEAPS])
    assert len(dgms.bars) == 2
    (gradient,) = extractor.pullback([HEAPS], dgms, np.ones_like(dgms.bars))
    assert np.isfinite(gradient).all()
    # Both deaths are at 8, eight away from either heap; both births are at a point.
    assert np.abs(gradient).sum() == pytest.approx(2.0)


# --- input --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "clouds", "error", "words"),
    [
        ({}, [np.zeros((60, 2)), np.zeros((7, 2))], ShapeError, r"clouds\[1\] has 7"),
        ({"n_neighbors": 1}, [np.zeros((3, 4))], ShapeError, "DTMRipsPersistence"),
        ({"grid": (4, 4)}, [np.zeros((60, 3))], ShapeError, "grid has 2 entries"),
        ({"n_neighbors": (2, 2)}, [np.zeros((9, 2))], InvalidInputError, "twice"),
        ({"n_neighbors": ()}, [np.zeros((9, 2))], InvalidInputError, "n_neighbors"),
        ({"n_neighbors": (2.5,)}, [np.zeros((9, 2))], InvalidInputError, "n_neigh"),
        ({"n_neighbors": 0}, [np.zeros((9, 2))], ValueError, "n_neighbors"),
        ({"grid": (4, 0)}, [np.zeros((60, 2))], InvalidInputError, "grid"),
        ({"q": 0.5}, [np.zeros((60, 2))], ValueError, "'q'"),
        ({"q": math.inf}, [np.zeros((60, 2))], ValueError, "'q'"),
        ({"margin": -1.0}, [np.zeros((60, 2))], ValueError, "margin"),
        ({"box": [[1, 1], [0, 0]]}, [np.zeros((60, 2))], InvalidInputError, "corner"),
        (
            {"box": [[0], [1]]},
            [np.zeros((60, 2))],
            InvalidInputError,
            r"shape \(2, 2\)",
        ),
    ],
)
def test_bad_input_is_named(options, clouds, error, words):
    with pytest.raises(error, match=words):
        DTMPersistence(**options).fit(clouds)


def test_a_large_grid_is_forecast_and_refused():
    cloud = np.random.default_rng(10).random((60, 3))
    plane = DTMPersistence().estimate_cost([cloud[:, :2]])
    space = DTMPersistence().estimate_cost([cloud])
    assert space.seconds > 50 * plane.seconds
    assert space.memory > 50 * plane.memory
    with pytest.raises(CostLimitError, match="coarser grid"):
        DTMPersistence(max_memory=1e8).fit_transform([cloud])
