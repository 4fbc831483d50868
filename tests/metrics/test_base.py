"""What every threat on arrays owes: an exact size, and projections that stay inside."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from stablerank.exceptions import (
    DataTypeError,
    InvalidInputError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.metrics import (
    Bottleneck,
    BottleneckBall,
    Budget,
    Displacement,
    FeatureBall,
    Hausdorff,
    MatrixSup,
    Metric,
    PixelBudget,
    PixelSup,
    SinglePoint,
    SortedDeaths,
    SortedLengths,
    Strain,
    Threat,
    VectorNorm,
    Wasserstein,
    WassersteinBall,
)
from tests.strategies import Array, cloud_pairs, dyadic, finite_floats

ON_ARRAYS: list[Threat] = [
    Displacement(),
    SinglePoint(),
    Budget(),
    Hausdorff(),
    Strain(),
    MatrixSup(),
    PixelSup(),
    PixelBudget(1),
    PixelBudget(2),
    PixelBudget(3.5),
    PixelBudget(math.inf),
    FeatureBall(2),
    FeatureBall(math.inf),
]
STATIONS: list[Metric] = [
    Bottleneck(),
    Wasserstein(1, math.inf),
    SortedDeaths(),
    SortedLengths(2),
    VectorNorm(),
]
ALL = [*ON_ARRAYS, *STATIONS, BottleneckBall(), WassersteinBall(2)]

threats = pytest.mark.parametrize("threat", ON_ARRAYS, ids=str)
#: The sizes that are norms of the move; the others are not monotone along it.
NORMS = [t for t in ON_ARRAYS if not isinstance(t, (Hausdorff, Strain))]
norms = pytest.mark.parametrize("threat", NORMS, ids=str)
pairs = cloud_pairs(st.integers(1, 3), max_points=5)
rough_pairs = cloud_pairs(2, max_points=4, coordinates=finite_floats)
radii = st.one_of(
    st.floats(0, 1e-3), st.floats(0, 40), st.sampled_from([0.0, 2.0**-1074, 1e300])
)


@threats
@given(pair=st.one_of(pairs, rough_pairs), radius=radii)
@example(pair=(np.zeros((1, 2)), np.full((1, 2), 2.0**-1074)), radius=2.0**-1074)
@example(pair=(np.zeros((2, 1)), np.array([[0.0], [1.0]])), radius=0.0)
@example(pair=(np.full((2, 1), 1e16), np.array([[0.0], [1.0]])), radius=1e-3)
@example(pair=(np.full((1, 1), -1.7e308), np.full((1, 1), 1.7e308)), radius=1.0)
def test_projections_stay_in_the_ball_and_leave_alone_what_is_inside(
    threat: Threat, pair: tuple[Array, Array], radius: float
) -> None:
    x, x_new = pair
    before = x.copy(), x_new.copy()
    projected = threat.project(x, x_new, radius)
    assert threat.distance_up(x, projected) <= radius
    if threat.distance_up(x, x_new) <= radius:
        np.testing.assert_array_equal(projected, x_new)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(x_new, before[1])


@threats
@pytest.mark.parametrize("seed", range(5))
def test_what_lies_on_the_boundary_is_inside(threat: Threat, seed: int) -> None:
    """Sizes are exact, so the radius that is the size takes the whole move."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 3))
    x_new = x.copy()
    moved = slice(0, 1) if isinstance(threat, SinglePoint) else slice(None)
    x_new[moved] += rng.normal(size=x[moved].shape) / 10
    size = threat.distance_up(x, x_new)
    np.testing.assert_array_equal(threat.project(x, x_new, size), x_new)
    before = math.nextafter(size, 0)
    assert (threat.project(x, x_new, before) != x_new).any()


@threats
@given(pair=pairs)
def test_a_projection_is_a_new_array(threat: Threat, pair: tuple[Array, Array]) -> None:
    for radius in (0.0, 1.0, 1e9, math.inf):
        projected = threat.project(*pair, radius)
        assert not np.shares_memory(projected, pair[0])
        assert not np.shares_memory(projected, pair[1])


@norms
@given(pair=pairs)
def test_a_projection_goes_almost_to_the_boundary(
    threat: Threat, pair: tuple[Array, Array]
) -> None:
    size = threat.distance_up(*pair)
    assume(0 < size < math.inf)
    reached = threat.distance_up(pair[0], threat.project(*pair, size / 2))
    assert reached >= size / 2 * (1 - 2.0**-30)


@threats
@given(pair=st.one_of(pairs, rough_pairs))
def test_sizes_are_zero_for_equals_and_symmetric(
    threat: Threat, pair: tuple[Array, Array]
) -> None:
    x, x_new = pair
    assert threat.distance_up(x, x) == 0 == threat.distance_up(x_new, x_new)
    if not isinstance(threat, Strain):  # relative to the first
        assert threat.distance_up(x, x_new) == threat.distance_up(x_new, x)
    if threat in NORMS:
        assert (threat.distance_up(x, x_new) == 0) == np.array_equal(x, x_new)


@threats
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_inputs_that_are_not_finite_are_refused(threat: Threat, bad: float) -> None:
    good, broken = np.zeros((3, 3)), np.array([[0.0] * 3, [0.0, bad, 0.0], [1.0] * 3])
    for pair in ((good, broken), (broken, good)):
        with pytest.raises(NonFiniteError, match="NaN or infinity"):
            threat.distance_up(*pair)
        with pytest.raises(NonFiniteError, match="NaN or infinity"):
            threat.project(*pair, 1.0)


@threats
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (np.array([["a"]]), DataTypeError),
        (np.array([[True]]), DataTypeError),
        (np.array([[1j]]), DataTypeError),
        (np.array([[None]]), DataTypeError),
        (np.array([[2**60 + 1]]), NumericRangeError),
    ],
)
def test_numbers_that_floats_do_not_hold_are_refused(
    threat: Threat, kind: Array, error: type[Exception]
) -> None:
    with pytest.raises(error):
        threat.distance_up(kind, kind)


@threats
def test_shapes_that_do_not_fit_are_named(threat: Threat) -> None:
    with pytest.raises(ShapeError, match=r"\(2, 2\).*\(2, 3\)"):
        threat.distance_up(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ShapeError):
        threat.project(np.zeros((2, 2)), np.zeros((2, 3)), 1.0)


@threats
@pytest.mark.parametrize("radius", [-1.0, math.nan, "1", None])
def test_a_radius_is_a_number_at_least_zero(threat: Threat, radius: float) -> None:
    with pytest.raises(InvalidInputError, match="radius must be a number >= 0"):
        threat.project(np.zeros((2, 2)), np.ones((2, 2)), radius)


@threats
def test_integers_float32_and_lists_are_read_exactly(threat: Threat) -> None:
    x, x_new = np.array([[0, 1], [2, 4]]), np.array([[0, 1], [2, 5]])
    size = threat.distance_up(x.astype(float), x_new.astype(float))
    assert threat.distance_up(x, x_new) == size
    assert threat.distance_up(x.astype(np.float32), x_new.tolist()) == size
    frozen = x_new.astype(float)
    frozen.flags.writeable = False
    assert threat.distance_up(x, frozen) == size


@pytest.mark.parametrize("metric", ALL, ids=str)
def test_metrics_are_values(metric: Metric) -> None:
    for twin in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        assert twin == metric
        assert hash(twin) == hash(metric)
        assert str(twin) == str(metric)
    with pytest.raises(AttributeError):
        metric.p = 7  # type: ignore[attr-defined]


def test_metrics_tell_themselves_apart() -> None:
    assert len(set(ALL)) == len(ALL) == len({str(m) for m in ALL})
    assert WassersteinBall(1) == WassersteinBall(1, 1) != WassersteinBall(1, 2)
    assert PixelBudget(2) == PixelBudget() != PixelBudget(1)


@pytest.mark.parametrize(
    "make",
    [
        PixelBudget,
        SortedDeaths,
        SortedLengths,
        VectorNorm,
        WassersteinBall,
        lambda p: Wasserstein(p, 1),
        lambda q: Wasserstein(1, q),
        lambda q: WassersteinBall(1, q),
    ],
)
@pytest.mark.parametrize("order", [0.5, 0, -1, math.nan, "2", True])
def test_an_order_is_a_number_at_least_one(make: type[Metric], order: float) -> None:
    with pytest.raises(InvalidInputError, match="must be a number >= 1"):
        make(order)  # type: ignore[call-arg]


def test_orders_may_come_from_numpy() -> None:
    assert PixelBudget(np.int64(2)) == PixelBudget(np.float64(2.0)) == PixelBudget(2)


@pytest.mark.parametrize("norm", [1, 3, "inf", None, math.nan])
def test_a_feature_ball_knows_two_norms(norm: float) -> None:
    with pytest.raises(InvalidInputError, match=r"2 or math\.inf"):
        FeatureBall(norm)


@given(value=dyadic)
def test_norms_of_one_number_agree(value: float) -> None:
    x, x_new = np.zeros((1, 1)), np.full((1, 1), value)
    for threat in ON_ARRAYS:
        if not isinstance(threat, Strain):
            assert Fraction(abs(value)) <= Fraction(threat.distance_up(x, x_new))
            assert threat.distance_up(x, x_new) <= abs(value) * (1 + 1e-13)
