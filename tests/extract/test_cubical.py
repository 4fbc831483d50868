"""Cubical persistence: the engine against the definition, and each theorem."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stablerank import CubicalPersistence, Displacement, PixelBudget, PixelSup
from stablerank.exceptions import (
    CostLimitError,
    InvalidInputError,
    NoStabilityTheorem,
    ShapeError,
)
from stablerank.matching import bottleneck_distance, wasserstein_distance
from stablerank.metrics import Bottleneck, SortedLengths, Wasserstein
from tests.oracles import grid_cells, persistence

CONSTRUCTIONS = ("vertex", "top")
LOW, HIGH = 0.0, 64.0


def extract(image, degrees=(0, 1, 2), **options):
    return CubicalPersistence(degrees, **options).fit_transform([image])


def finite(diagrams, channel):
    bars = diagrams[0][channel]
    return bars[np.isfinite(bars[:, 1])]


def alive(diagrams, channel):
    bars = diagrams[0][channel]
    return bars[np.isinf(bars[:, 1]), 0]


SHAPES = [
    ((1,), (False,)),
    ((7,), (False,)),
    ((1, 4), (False, False)),
    ((2, 3), (False, False)),
    ((4, 5), (False, False)),
    ((2, 3, 4), (False, False, False)),
    ((1,), (True,)),
    ((2,), (True,)),
    ((5,), (True,)),
    ((1, 4), (True, False)),
    ((2, 2), (True, True)),
    ((4, 3), (True, True)),
    ((3, 4), (False, True)),
    ((3, 2, 3), (True, False, True)),
]


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize(("shape", "periodic"), SHAPES)
def test_bars_are_those_of_the_boundary_matrix(shape, periodic, construction):
    rng = np.random.default_rng(0)
    for draw in range(6):
        image = rng.normal(size=shape)
        if draw % 2:  # ties everywhere
            image = rng.integers(-2, 3, size=shape) / 10
        cells = grid_cells(image, construction, periodic)
        expected = persistence(cells, range(4))
        for critical in (False, True):
            dgms = extract(
                image,
                range(4),
                construction=construction,
                periodic=periodic,
                critical=critical,
            )
            for k, truth in enumerate(expected):
                bars = finite(dgms, k)
                order = np.lexsort((bars[:, 1], bars[:, 0]))
                assert np.array_equal(bars[order], truth.bars)
                assert np.array_equal(alive(dgms, k), truth.essential)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_the_planar_algorithm_agrees_with_the_general_one(construction):
    rng = np.random.default_rng(1)
    images = [rng.normal(size=(30, 41)), rng.integers(0, 256, size=(40, 30))]
    planar = CubicalPersistence(construction=construction).fit_transform(images)
    general = CubicalPersistence(construction=construction, critical=True)
    assert planar.identical(general.fit_transform(images))
    assert planar.counts.min() > 50


def test_bars_come_longest_first_and_none_is_empty():
    image = np.random.default_rng(2).integers(0, 9, size=(20, 20))
    for construction in CONSTRUCTIONS:
        dgms = extract(image, (0, 1), construction=construction)
        for k in (0, 1):
            births, deaths = finite(dgms, k).T
            lengths = deaths - births
            assert (lengths > 0).all()
            assert (np.diff(lengths) <= 0).all()
            ties = np.diff(lengths) == 0
            assert ties.any()
            assert (np.diff(births)[ties] >= 0).all()


def test_signals_and_tables_work_with_the_default_degrees():
    table = np.array([[0.0, 2.0, 1.0, 3.0], [1.0, 0.0, 4.0, 2.0]])
    dgms = CubicalPersistence().fit_transform(table)
    assert dgms[0]["H0"].tolist() == [[1.0, 2.0], [0.0, math.inf]]
    assert dgms[1]["H0"].tolist() == [[2.0, 4.0], [0.0, math.inf]]
    assert dgms[1]["H1"].shape == (0, 2)
    frame = pd.DataFrame(table, columns=list("abcd"))
    extractor = CubicalPersistence().fit(frame)
    assert extractor.feature_names_in_.tolist() == list("abcd")
    assert extractor.n_features_in_ == 4
    assert extractor.transform(frame).identical(dgms)


def test_samples_of_one_shape_ask_for_it_and_ragged_ones_do_not():
    square, flat = np.zeros((4, 4)), np.zeros((2, 8))
    with pytest.raises(ShapeError, match=r"sample 1 has shape \(2, 8\)"):
        CubicalPersistence().fit([square]).transform([square, flat])
    mixed = CubicalPersistence().fit([square, flat])
    assert len(mixed.transform([np.zeros((3, 5))])) == 1
    with pytest.raises(ShapeError, match="sample 0 has 1 axes"):
        mixed.transform([np.zeros(16)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"periodic": (True, False, True)}, "3 entries, the samples have 2 axes"),
        ({"periodic": (8, 8)}, "True, False or one of these"),
        ({"construction": "edge"}, "construction"),
        ({"field": 4}, "field"),
        ({"homology_dimensions": (0, -1)}, "homology_dimensions"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises((InvalidInputError, ValueError), match=words):
        CubicalPersistence(**options).fit([np.zeros((4, 4))])


def test_the_field_matters_in_space_where_a_moebius_band_is():
    # Twice the core of the band is its boundary: with two elements that is zero.
    image = np.full((13, 13, 9), 2.0)
    for angle, across, value in itertools.chain(
        itertools.product(np.linspace(0, 2 * np.pi, 400), np.linspace(-3, 3, 40), [1]),
        itertools.product(np.linspace(0, 2 * np.pi, 400), (-3, 3), [0]),
    ):
        radius = 4 + across / 2 * math.cos(angle / 2)
        at = (radius * math.cos(angle), radius * math.sin(angle))
        height = across * math.sin(angle / 2)
        place = tuple(round(x) for x in (at[0] + 6, at[1] + 6, height + 4))
        image[place] = min(image[place], value)
    two = finite(extract(image, construction="top"), 1)
    three = finite(extract(image, construction="top", field=3), 1)
    assert [0.0, 2.0] in three.tolist()
    assert [0.0, 2.0] not in two.tolist()
    assert [0.0, 1.0] in two.tolist()


# --- theorems -----------------------------------------------------------------------

images = st.sampled_from([(6,), (3, 4), (5, 2), (2, 3, 2)]).flatmap(
    lambda shape: st.tuples(
        *2 * [arrays(np.float64, shape, elements=st.floats(-4, 4, width=16))]
    )
)


@given(pair=images, construction=st.sampled_from(CONSTRUCTIONS), closed=st.booleans())
def test_bars_move_no_more_than_the_values(pair, construction, closed):
    extractor = CubicalPersistence(
        (0, 1, 2), construction=construction, periodic=closed
    )
    dgms = extractor.fit_transform(pair)
    size = PixelSup().distance_up(*pair)
    assert extractor.bound(PixelSup()).constant == 1.0
    for k in range(3):
        one, other = finite(dgms[:1], k), finite(dgms[1:], k)
        assert bottleneck_distance(one, other) <= size
        gap = np.abs(alive(dgms[:1], k) - alive(dgms[1:], k))
        assert gap.max(initial=0.0) <= size


def centre(shape, low, rest, value=32.0):
    """An array with `value` in the middle, high but at the listed places."""
    image = np.full(shape, rest)
    for i, place in enumerate(low):
        image[place] = LOW + i  # all different: generic
    image[tuple(n // 2 for n in shape)] = value
    return image


def places(shape, axes_off):
    """Neighbours of the middle that differ from it along so many axes."""
    middle = np.array([n // 2 for n in shape])
    return [
        tuple(middle + step)
        for step in itertools.product((-1, 0, 1), repeat=len(shape))
        if np.abs(step).sum() in axes_off
    ]


def annulus(holes):
    """The middle of a ring joins it at four places and makes three loops of one."""
    image = np.arange(25.0).reshape(5, 5) / 64
    for i, hole in enumerate(places((5, 5), {holes})):
        image[hole] = HIGH + i
    image[2, 2] = 32.0
    return image


# The middle moves N bar ends at once: name, construction, degrees, N, array.
WORST = [
    ("signal", "vertex", (0,), 1, centre((3,), places((3,), {1}), HIGH)),
    ("signal", "top", (0,), 1, centre((3,), places((3,), {1}), HIGH)),
    ("merging", "vertex", (0,), 3, centre((3, 3), places((3, 3), {1}), HIGH)),
    ("merging", "top", (0,), 3, centre((3, 3), places((3, 3), {2}), HIGH)),
    ("loops", "vertex", (1,), 3, annulus(2)),
    ("loops", "top", (1,), 3, annulus(1)),
    ("merging", "vertex", (0,), 5, centre((3,) * 3, places((3,) * 3, {1}), HIGH)),
    ("merging", "top", (0,), 7, centre((3,) * 3, places((3,) * 3, {3}), HIGH)),
    ("filling", "vertex", (1,), 7, centre((3,) * 3, places((3,) * 3, {1, 2}), HIGH)),
]


def lengths_gap(one, other):
    """l_2 distance of the sorted, padded lengths."""
    padded = np.zeros((2, max(len(one), len(other))))
    for row, bars in zip(padded, (one, other), strict=True):
        row[: len(bars)] = np.sort(bars[:, 1] - bars[:, 0])[::-1]
    return float(np.linalg.norm(padded[0] - padded[1]))


def ratio(bound, one, other, size):
    """Distance of two diagrams, in units of what the bound allows."""
    match bound.target:
        case Bottleneck():
            distance = bottleneck_distance(one, other)
        case Wasserstein(p, q):
            distance = wasserstein_distance(one, other, p, q)
        case SortedLengths(2):
            distance = lengths_gap(one, other)
    return distance / (bound.constant * size)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize(
    ("construction", "degrees", "ends", "image"), [row[1:] for row in WORST]
)
def test_the_wasserstein_constants_are_attained(construction, degrees, ends, image, p):
    moved = image.copy()
    moved[tuple(n // 2 for n in image.shape)] += 1.0
    extractor = CubicalPersistence(degrees, construction=construction)
    dgms = extractor.fit_transform([image, moved])
    name = f"H{degrees[0]}"
    bounds = extractor.bounds(PixelBudget(p), dgms)[name]
    one, other = finite(dgms[:1], name), finite(dgms[1:], name)
    (bound,) = (b for b in bounds if b.target == Wasserstein(p, p))
    assert bound.constant == pytest.approx(ends ** (1 / p), rel=1e-14)
    assert bound.constant >= ends ** (1 / p)
    assert ratio(bound, one, other, 1.0) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("construction", "ends", "image"),
    [(row[1], row[3], row[4]) for row in WORST if row[2] == (0,)],
)
def test_the_constant_of_sorted_lengths_is_attained(construction, ends, image):
    # The star of bars that die in the middle, moved along its Laplacian eigenvector.
    extractor = CubicalPersistence((0,), construction=construction)
    dying = image < image[tuple(n // 2 for n in image.shape)]
    dying &= image > LOW  # the first one lives on
    moved = image - np.where(dying, 1 / 16, 0.0)
    moved[tuple(n // 2 for n in image.shape)] += ends / 16
    dgms = extractor.fit_transform([image, moved])
    (bound,) = (
        b
        for b in extractor.bounds(PixelBudget(), dgms)["H0"]
        if b.target == SortedLengths(2)
    )
    size = PixelBudget().distance_up(image, moved)
    assert bound.constant == pytest.approx(math.sqrt(ends + 1), rel=1e-14)
    one, other = finite(dgms[:1], "H0"), finite(dgms[1:], "H0")
    assert ratio(bound, one, other, size) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize(("shape", "periodic"), SHAPES)
def test_no_array_passes_a_budget_constant(shape, periodic, construction):
    rng = np.random.default_rng(3)
    extractor = CubicalPersistence(
        (0, 1, 2), construction=construction, periodic=periodic
    )
    for draw in range(10):
        image = rng.permutation(math.prod(shape)).reshape(shape) * 1.0
        step = rng.normal(size=shape) * 0.3 ** (draw % 4)
        step *= rng.random(shape) < 0.5
        dgms = extractor.fit_transform([image, image + step])
        for threat in (
            PixelSup(),
            PixelBudget(1),
            PixelBudget(2),
            PixelBudget(math.inf),
        ):
            size = threat.distance_up(image, image + step)
            for name, bounds in extractor.bounds(threat, dgms).items():
                one, other = finite(dgms[:1], name), finite(dgms[1:], name)
                for bound in bounds:
                    if size:
                        assert ratio(bound, one, other, size) <= 1 + 1e-14


def test_bounds_without_samples_are_the_global_ones():
    extractor = CubicalPersistence()
    for threat in (PixelSup(), PixelBudget(1), PixelBudget(math.inf)):
        bound = extractor.bound(threat)
        assert (bound.constant, bound.target) == (1.0, Bottleneck())
    assert extractor.default_threat == PixelSup()
    dgms = extractor.fit_transform([np.zeros((3, 3))])
    assert len(extractor.bounds(PixelBudget(math.inf), dgms)["H0"]) == 1
    with pytest.raises(NoStabilityTheorem, match="PixelSup"):
        extractor.bound(Displacement())


# --- critical entries and gradients ---------------------------------------------------


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("shape", [(9,), (4, 7), (3, 4, 5)])
def test_critical_entries_set_the_bars_and_gradients_follow(
    shape, closed, construction
):
    rng = np.random.default_rng(4)
    image = rng.permutation(math.prod(shape)).reshape(shape) / 1.0
    extractor = CubicalPersistence(
        (0, 1, 2), construction=construction, periodic=closed, critical=True
    )
    dgms = extractor.fit_transform([image])
    assert len(dgms.bars)
    assert np.array_equal(image.ravel()[dgms.critical[:, :, 0]], dgms.bars)

    # A quadratic function of the bars: the central difference is exact.
    loss = lambda bars: (bars[:, 1] ** 2 - bars[:, 0] / 2).sum()  # noqa: E731
    births, deaths = dgms.bars.T
    slopes = np.stack([np.full_like(births, -1 / 2), 2 * deaths], axis=1)
    (gradient,) = extractor.pullback([image], dgms, slopes)
    direction = rng.uniform(-1, 1, size=shape)
    step = 2.0**-6  # no two entries change places
    there, back = (
        loss(extractor.transform([image + s * step * direction]).bars) for s in (1, -1)
    )
    slope = (there - back) / (2 * step)
    assert slope == pytest.approx((gradient * direction).sum(), rel=1e-9)


# --- metamorphic -------------------------------------------------------------------


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_symmetries_of_the_grid_and_shifts_of_the_values(construction):
    rng = np.random.default_rng(5)
    for shape in ((12, 9), (4, 5, 3)):
        image = rng.integers(0, 50, size=shape) / 8
        dgms = extract(image, construction=construction)
        for twin in (image.T, image[::-1], image[..., ::-1]):
            assert extract(twin, construction=construction).identical(dgms)
        shifted = extract(image + 3.0, construction=construction)
        assert np.array_equal(shifted.bars, dgms.bars + 3.0)


def test_workers_and_batches_change_no_bit():
    stack = np.random.default_rng(6).normal(size=(9, 12, 12))
    extractor = CubicalPersistence().fit(stack)
    dgms = extractor.transform(stack)
    assert CubicalPersistence(n_jobs=2).fit_transform(stack).identical(dgms)
    assert extractor.transform(stack[3:5]).identical(dgms[3:5])


def test_too_large_an_image_is_refused_before_work_begins():
    image = np.zeros((200, 200))
    extractor = CubicalPersistence(max_memory=1e6)
    with pytest.raises(CostLimitError, match="means over blocks"):
        extractor.fit_transform([image])
    costs = [
        CubicalPersistence(critical=critical).estimate_cost([image])
        for critical in (False, True)
    ]
    assert costs[0].seconds < costs[1].seconds
    assert costs[0].memory < costs[1].memory
