"""Bounds compose exactly where floats can, upwards where not, and only if they meet."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stablerank.bounds import Bound, compose, conversion
from stablerank.exceptions import InvalidInputError, MetricMismatchError
from stablerank.matching import bottleneck_distance, wasserstein_distance
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
from tests.checks import above, assert_lipschitz, assert_smallest_float_above
from tests.strategies import (
    Array,
    AttainedBar,
    Bars,
    attained_bar,
    cloud_pairs,
    diagrams,
    sizes,
    tame_sizes,
)

ALPHA = Bound(Displacement(), Bottleneck(), 1.0, "X5")
LENGTHS = Bound(Bottleneck(), SortedLengths(), 2.0, "R1")
INF = math.inf


# --- composition --------------------------------------------------------------------


@given(outer=tame_sizes, inner=tame_sizes, offset=tame_sizes, more=tame_sizes)
def test_constants_multiply_and_offsets_add_upwards(
    outer: float, inner: float, offset: float, more: float
) -> None:
    a = Bound(Bottleneck(), VectorNorm(), outer, "R1", offset=more)
    b = Bound(Displacement(), Bottleneck(), inner, "X15", offset=offset)
    whole = a @ b
    assert_smallest_float_above(whole.constant, Fraction(outer) * Fraction(inner))
    owed = Fraction(outer) * Fraction(offset) + Fraction(more)
    assert above(whole.offset, owed)
    assert whole.offset <= owed * (1 + Fraction(1, 2**50))


@given(outer=sizes, inner=sizes, size=tame_sizes)
@example(outer=1e-200, inner=1e-200, size=1.0)
@example(outer=1e200, inner=1e200, size=1.0)
def test_a_composed_bound_is_never_below_the_two_in_turn(
    outer: float, inner: float, size: float
) -> None:
    a = Bound(Bottleneck(), VectorNorm(), outer, "R1")
    b = Bound(Displacement(), Bottleneck(), inner, "X5")
    constant = (a @ b).constant
    if math.isfinite(constant):
        moved = Fraction(outer) * (Fraction(inner) * Fraction(size))
        assert_lipschitz(moved, size, constant)
    else:
        assert Fraction(outer) * Fraction(inner) > np.finfo(float).max
    assert (constant == 0) == (outer == 0 or inner == 0)


def test_small_whole_constants_stay_whole() -> None:
    whole = Bound(VectorNorm(), VectorNorm(), 3.0, "N1") @ (
        Bound(SortedLengths(), VectorNorm(), 1.0, "R1") @ (LENGTHS @ ALPHA)
    )
    assert whole.constant == 6
    assert whole.source == Displacement()
    assert whole.target == VectorNorm()
    assert whole.ledger == "X5 . R1 . N1"
    assert [b.constant for b in whole.chain] == [1, 2, 1, 3]


def test_composition_is_associative() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b, c = (
            Bound(s, t, float(rng.uniform(0, 3)), i, offset=float(rng.uniform()))
            for s, t, i in (
                (Displacement(), Bottleneck(), "X15"),
                (Bottleneck(), SortedLengths(), "R1"),
                (SortedLengths(), VectorNorm(), "N1"),
            )
        )
        left, right = (c @ b) @ a, c @ (b @ a)
        assert left.constant == pytest.approx(right.constant, rel=1e-15)
        assert left.offset == pytest.approx(right.offset, rel=1e-15)
        assert left.ledger == right.ledger
        assert compose(c, b).constant == (c @ b).constant


def test_metrics_that_do_not_meet_are_both_named() -> None:
    wasserstein = Bound(Wasserstein(1, INF), VectorNorm(), 1.0, "R6")
    with pytest.raises(MetricMismatchError) as caught:
        wasserstein @ ALPHA
    assert str(Wasserstein(1, INF)) in str(caught.value)
    assert str(Bottleneck()) in str(caught.value)
    with pytest.raises(TypeError):
        ALPHA @ 2.0  # type: ignore[operator]


def test_a_conversion_shows_as_a_factor_of_its_own() -> None:
    images = Bound(PixelBudget(2), Wasserstein(2, 2), 1.75, "X11")
    whole = LENGTHS @ images
    assert [b.ledger for b in whole.chain] == ["X11", "C1", "R1"]
    assert whole.ledger == "X11 . C1 . R1"
    assert whole.constant == 3.5


# --- conversions --------------------------------------------------------------------

ORDERS = [1, 1.5, 2, 3, INF]

ON_CLOUDS: list[tuple[Threat, Threat]] = [
    (SinglePoint(), Budget()),
    (SinglePoint(), Displacement()),
    (Budget(), Displacement()),
    (SinglePoint(), Hausdorff()),
    (Budget(), Hausdorff()),
    (Displacement(), Hausdorff()),
]


@pytest.mark.parametrize(("inner", "outer"), ON_CLOUDS, ids=str)
@given(pair=cloud_pairs(2, max_points=4))
@example(pair=(np.zeros((1, 2)), np.ones((1, 2))))
def test_conversions_between_moves_of_points_hold(
    inner: Threat, outer: Threat, pair: tuple[Array, Array]
) -> None:
    step = conversion(inner, outer)
    assert step is not None
    assert (step.source, step.target, step.constant) == (inner, outer, 1)
    size = inner.distance_up(*pair)
    if size < INF:
        assert_lipschitz(outer.distance_up(*pair), size, step.constant)


def test_conversions_between_moves_of_points_are_attained_by_one_point() -> None:
    x, x_new = np.zeros((1, 2)), np.array([[3.0, 4.0]])
    for inner, outer in ON_CLOUDS:
        assert outer.distance_up(x, x_new) == inner.distance_up(x, x_new) == 5


@given(
    vectors=hnp.arrays(np.float64, (2, 5), elements=st.floats(-9, 9)),
    p=st.sampled_from(ORDERS),
    p2=st.sampled_from(ORDERS),
)
def test_conversions_between_norms_hold_and_none_is_listed_the_other_way(
    vectors: Array, p: float, p2: float
) -> None:
    for kind in (VectorNorm, SortedDeaths, SortedLengths, PixelBudget):
        step = conversion(kind(p), kind(p2))
        assert (step is None) == (p > p2)
        if step is not None:
            assert step.constant == 1
            sizes = [PixelBudget(order).distance_up(*vectors) for order in (p, p2)]
            # Orders other than 1, 2, inf are a little above their exact value.
            assert sizes[1] <= sizes[0] * (1 + 1e-12)
    assert conversion(PixelBudget(p), PixelSup()).constant == 1
    for kind in (SortedDeaths, SortedLengths):
        assert (conversion(kind(p), VectorNorm(p2)) is None) == (p > p2)


@given(
    pair=st.tuples(diagrams(3), diagrams(3)),
    p=st.sampled_from([1, 2, 3]),
    q=st.sampled_from(ORDERS),
    p2=st.sampled_from([1, 2, 3]),
    q2=st.sampled_from(ORDERS),
)
def test_conversions_between_distances_of_diagrams_hold(
    pair: tuple[Bars, Bars], p: float, q: float, p2: float, q2: float
) -> None:
    size = wasserstein_distance(*pair, p, q)
    for inner in (Wasserstein(p, q), WassersteinBall(p, q)):
        to_bottleneck = conversion(inner, Bottleneck())
        assert to_bottleneck.constant == 1
        assert bottleneck_distance(*pair) <= size * (1 + 1e-12)
        step = conversion(inner, Wasserstein(p2, q2))
        assert (step is None) == (p > p2)
        if step is not None:
            moved = wasserstein_distance(*pair, p2, q2)
            assert moved <= step.constant * size * (1 + 1e-12)


@given(bar=attained_bar(), q=st.sampled_from(ORDERS), q2=st.sampled_from(ORDERS))
def test_the_factor_between_ground_norms_is_attained_by_a_bar_that_grows(
    bar: AttainedBar, q: float, q2: float
) -> None:
    step = conversion(Wasserstein(1, q), Wasserstein(1, q2))
    exact = 2.0 ** max(0.0, 1 / q2 - 1 / q)
    assert exact <= step.constant <= exact * (1 + 1e-15)
    if q2 <= q:
        size, moved = (
            wasserstein_distance(bar.bars, bar.bars_new, 1, order) for order in (q, q2)
        )
        assert moved == pytest.approx(step.constant * size, rel=1e-12)


@pytest.mark.parametrize(
    ("q", "q2", "factor"),
    [(INF, 1, 2.0), (1, INF, 1.0), (2, 2, 1.0), (INF, 2, math.sqrt(2.0)), (1, 2, 1.0)],
)
def test_common_factors_between_ground_norms_are_as_small_as_floats_allow(
    q: float, q2: float, factor: float
) -> None:
    constant = conversion(Wasserstein(2, q), Wasserstein(2, q2)).constant
    assert constant in (factor, math.nextafter(factor, INF))
    assert above(constant, Fraction(2) ** (2 * round(math.log2(factor) * 2)), 4)


NOT_LISTED: list[tuple[Metric, Metric]] = [
    (Displacement(), Budget()),
    (Displacement(), SinglePoint()),
    (Budget(), SinglePoint()),
    (Hausdorff(), Displacement()),
    (Displacement("u"), Displacement()),
    (Displacement(), Displacement("u")),
    (SinglePoint(), Displacement("u")),
    (Budget(), Displacement("u")),
    (Displacement("u"), Hausdorff()),
    (Strain(), Displacement()),
    (Displacement(), Strain()),
    (PixelSup(), PixelBudget(2)),
    (PixelSup(), MatrixSup()),
    (Bottleneck(), Wasserstein(1, 1)),
    (BottleneckBall(), Wasserstein(1, 1)),
    (Bottleneck(), SortedDeaths()),
    (Bottleneck(), SortedLengths()),
    (Bottleneck(), VectorNorm()),
    (Wasserstein(2, 2), SortedLengths(2)),
    (FeatureBall(INF), VectorNorm(2)),
    (VectorNorm(INF), VectorNorm(2)),
    (VectorNorm(), SortedDeaths()),
    (SortedDeaths(), SortedLengths()),
    (Displacement(), Bottleneck()),
]


@pytest.mark.parametrize(("inner", "outer"), NOT_LISTED, ids=str)
def test_what_is_no_comparison_of_metrics_is_not_listed(
    inner: Metric, outer: Metric
) -> None:
    assert conversion(inner, outer) is None


def test_balls_lead_to_the_stations_that_they_are_named_after() -> None:
    assert conversion(BottleneckBall(), Bottleneck()).constant == 1
    assert conversion(WassersteinBall(2), Wasserstein(2, 2)).constant == 1
    assert conversion(FeatureBall(2), VectorNorm(2)).constant == 1
    assert conversion(FeatureBall(2), VectorNorm(INF)).constant == 1
    assert conversion(PixelSup(), PixelBudget(INF)).constant == 1


# --- per sample ---------------------------------------------------------------------


def test_bounds_may_differ_by_sample_and_are_sliced_like_samples() -> None:
    constants, offsets = np.arange(6) / 4, np.arange(6) / 2
    landmarks = Bound(Displacement(), Bottleneck(), constants, "X15", offset=offsets)
    whole = LENGTHS @ landmarks
    assert not whole.is_uniform
    np.testing.assert_array_equal(whole.constant, 2 * constants)
    np.testing.assert_array_equal(whole.offset, 2 * offsets)
    part = whole[2:5]
    np.testing.assert_array_equal(part.constant, 2 * constants[2:5])
    np.testing.assert_array_equal(part.offset, 2 * offsets[2:5])
    assert [np.size(b.constant) for b in part.chain] == [3, 1]
    assert part.ledger == whole.ledger
    one = whole[3]
    assert one.is_uniform
    assert (one.constant, one.offset) == (1.5, 3.0)
    mask = whole[constants > 1]
    np.testing.assert_array_equal(mask.constant, [2.5])
    assert LENGTHS[2:5].constant == 2


def test_bounds_of_other_numbers_of_samples_do_not_compose() -> None:
    three = Bound(Displacement(), Bottleneck(), np.ones(3), "X15")
    for other in (np.ones(1), np.ones(2)):
        outer = Bound(Bottleneck(), VectorNorm(), other, "R1")
        with pytest.raises(
            InvalidInputError, match=r"factors are for \[\d, 3\] samples"
        ):
            outer @ three
    assert (Bound(Bottleneck(), VectorNorm(), np.ones(3), "R1") @ three).ledger


def test_arrays_of_constants_are_copied_and_read_only() -> None:
    given_array = np.ones(3)
    bound = Bound(Displacement(), Bottleneck(), given_array, "X15")
    given_array[:] = 7
    np.testing.assert_array_equal(bound.constant, np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        bound.constant[0] = 0  # type: ignore[index]


# --- values, words ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"constant": -1.0}, "constant must be >= 0"),
        ({"constant": math.nan}, "constant must be >= 0"),
        ({"constant": np.array([1.0, math.nan])}, "constant must be >= 0"),
        ({"constant": np.ones((2, 2))}, "one number a sample"),
        ({"offset": -1.0}, "offset must be >= 0"),
        ({"source": "displacement"}, "source must be a Metric"),
        ({"target": Bottleneck}, "target must be a Metric"),
        ({"ledger": ""}, "ledger id"),
    ],
)
def test_a_bound_without_meaning_is_refused(change: dict, words: str) -> None:
    fields = {
        "source": Displacement(),
        "target": Bottleneck(),
        "constant": 1.0,
        "ledger": "X5",
    }
    with pytest.raises(InvalidInputError, match=words):
        Bound(**fields | change)


def test_bounds_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ALPHA.constant = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "bound",
    [
        ALPHA,
        LENGTHS @ ALPHA,
        LENGTHS
        @ Bound(Displacement(), Bottleneck(), np.arange(3.0), "X15", "landmarks", 0.5),
    ],
    ids=["single", "chain", "by sample"],
)
def test_copies_say_the_same(bound: Bound, capsys: pytest.CaptureFixture[str]) -> None:
    text = bound.explain()
    for twin in (pickle.loads(pickle.dumps(bound)), copy.deepcopy(bound), bound[:]):
        assert twin.explain() == text
        assert (twin.source, twin.target) == (bound.source, bound.target)
        np.testing.assert_array_equal(twin.constant, bound.constant)
        assert len(twin.chain) == len(bound.chain)


def test_a_changed_copy_explains_itself_and_not_its_origin() -> None:
    changed = dataclasses.replace(ALPHA, constant=0.5, note="half")
    assert changed.chain == (changed,)
    assert "x 0.5" in changed.explain()


def test_explain_prints_one_factor_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    landmarks = Bound(Displacement(), Bottleneck(), 6.0, "X15", "greedy", 0.25)
    text = (LENGTHS @ landmarks).explain()
    assert capsys.readouterr().out == text + "\n"
    assert text.splitlines() == [
        "displacement of every point  ->  l_inf distance of sorted lengths",
        "  x 6  [X15]  displacement of every point -> bottleneck distance  + 0.25  "
        "(greedy)",
        "  x 2  [R1]   bottleneck distance -> l_inf distance of sorted lengths",
        "  = 12 * size + 0.5",
    ]
    assert ALPHA.explain().splitlines()[-1] == "  = 1"
    by_sample = Bound(Displacement(), Bottleneck(), np.array([1.0, 2.5]), "X14")
    assert by_sample.explain().splitlines()[-1] == "  = 1 .. 2.5 (by sample)"
    assert by_sample[:0].explain().splitlines()[-1] == "  = (no samples)"
