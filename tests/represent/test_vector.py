"""The inverse stable rank under learned contours: constant 1, frozen and not."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from stablerank.diagrams import Diagrams
from stablerank.exceptions import (
    InvalidInputError,
    MetricMismatchError,
    UncertifiableLayerError,
)
from stablerank.frozen import BarInput, Contours, Program, Ragged
from stablerank.frozen.backend import NumpyBackend, TorchBackend
from stablerank.metrics import Bottleneck, Wasserstein
from stablerank.represent import (
    MixtureDensity,
    SplineDensity,
    StableRankVector,
    bar_inputs,
    mixture_vectors,
    stable_rank,
)
from tests.represent.attacks import (
    attacked_pairs,
    diagrams_of,
    random_bars,
    worst_ratio,
)

DOMAIN = BarInput("H1", 1, "value", None, 0.0, 12.0, 4096, 0.0)
RANKS = (0, 1, 2, 5)
KINDS = ["distance", "area"]


def density(kind: str = "mixture", seed: int = 0):
    rng = np.random.default_rng(seed)
    if kind == "mixture":
        return MixtureDensity(rng.uniform(2, 8, (3, 2)), rng.uniform(0.5, 2, (3, 2)))
    return SplineDensity(np.linspace(0, 10, 6), rng.uniform(0.2, 2, (3, 6)))


def vector(name: str = "mixture", seed: int = 0, **options) -> StableRankVector:
    return StableRankVector("H1", density(name, seed), RANKS, **options).double()


def frozen(module) -> Program:
    return Program((DOMAIN,), module.freeze([DOMAIN]))


def forward(module, samples) -> np.ndarray:
    return module(diagrams_of(samples).to_torch()).detach().numpy()


ORDERS = [(math.inf, math.inf), (1.0, 1.0), (2.0, 2.0), (1.0, math.inf), (2.0, 1.0)]


# --- the constant ---------------------------------------------------------------------


@pytest.mark.parametrize(("p", "q"), ORDERS)
@pytest.mark.parametrize("name", ["mixture", "spline"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_attack_moves_an_entry_more_than_the_distance(p, q, name, kind):
    module = vector(name, p=p, q=q, kind=kind, truncation=11.0)
    rng = np.random.default_rng(5)
    pairs = list(attacked_pairs(module, rng, low=0.5, high=10, p=p, q=q, rounds=6))
    program = frozen(module)
    for vectors in (
        lambda bars: forward(module, bars),
        lambda bars: program.evaluate(diagrams_of(bars)),
    ):
        assert worst_ratio(vectors, pairs, p=p, q=q) <= 1 + 1e-9


@pytest.mark.parametrize(("p", "q"), ORDERS)
def test_a_short_bar_at_the_peak_attains_the_constant(p, q):
    module = StableRankVector(
        "H1", MixtureDensity([[5.0]], [[1.0]], floor=1e-6), (0,), p=p, q=q
    ).double()
    program = frozen(module)
    pairs = [(np.array([[4.9, 5.1]]), np.array([[4.88, 5.12]]))]
    for vectors in (
        lambda bars: forward(module, bars),
        lambda bars: program.evaluate(diagrams_of(bars)),
    ):
        assert 0.99 <= worst_ratio(vectors, pairs, p=p, q=q) <= 1 + 1e-9


def test_gradient_attacks_find_the_peak_by_themselves():
    module = vector("spline")
    rng = np.random.default_rng(1)
    pairs = list(attacked_pairs(module, rng, low=0, high=10, rounds=150))
    ratio = worst_ratio(lambda b: forward(module, b), pairs, p=math.inf, q=math.inf)
    assert 0.95 <= ratio <= 1 + 1e-9


@pytest.mark.parametrize("q", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_frozen_constants_are_at_most_one(q, kind):
    metric = Bottleneck() if math.isinf(q) else Wasserstein(1, q)
    for seed in range(2):
        program = frozen(vector(seed=seed, q=q, kind=kind))
        constants = program.constants({"H1": {metric: 1.0}})[-1]
        assert 0.3 < constants.max() <= 1 + 4e-16


def test_tails_of_finite_order_have_no_bottleneck_constant():
    program = frozen(vector(p=1.0, q=1.0))
    with pytest.raises(MetricMismatchError):
        program.constants({"H1": {Bottleneck(): 1.0}})
    assert program.constants({"H1": {Wasserstein(1, 1): 1.0}})[-1].max() <= 1


# --- freezing -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mixture", "spline"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_freezing_moves_no_entry_further_than_it_says(name, kind, dtype):
    module = vector(name, kind=kind).to(dtype)
    rng = np.random.default_rng(0)
    samples = [random_bars(rng, n, 0, 12) for n in (0, 1, 4, 300)]
    gap = np.abs(
        forward(module, samples) - frozen(module).evaluate(diagrams_of(samples))
    )
    stated = np.repeat(module.freezing_error(DOMAIN), len(RANKS))
    assert (gap <= stated).all()
    assert gap.max() > 0
    assert stated.max() < 1e-2 * DOMAIN.high


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_freezing_moves_tails_by_the_norm_of_what_it_moves_lengths(p):
    module = vector(p=p, q=p)
    samples = [random_bars(np.random.default_rng(0), 300, 0, 12)]
    gap = np.abs(
        forward(module, samples) - frozen(module).evaluate(diagrams_of(samples))
    )
    stated = np.repeat(module.freezing_error(DOMAIN), len(RANKS))
    assert (gap <= stated * 300 ** (1 / p)).all()


def test_tails_of_other_orders_train_and_do_not_freeze():
    module = vector(p=3.0, q=3.0)
    forward(module, [[(1.0, 3.0)]])
    with pytest.raises(UncertifiableLayerError, match="train with p = 1, 2 or inf"):
        module.freeze([DOMAIN])


def test_a_domain_of_one_point_freezes_to_zero():
    domain = BarInput("H1", 1, "value", None, 2.0, 2.0, 4096, 0.0)
    program = Program((domain,), vector().freeze([domain]))
    assert not program.evaluate(diagrams_of([[(1.0, 3.0)]])).any()


def test_diverged_densities_are_named():
    module = vector()
    with torch.no_grad():
        module.density.raw_weights.fill_(math.nan)
    with pytest.raises(InvalidInputError, match="diverged"):
        module.freeze([DOMAIN])


# --- values ---------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 40.0, math.inf])
def test_entries_are_norms_of_what_is_left(p):
    module = vector(p=p)
    bars = random_bars(np.random.default_rng(3), 9, 0, 10)
    births, deaths = (torch.tensor(bars[:, i])[None] for i in (0, 1))
    lengths = np.sort(module.lengths(births, deaths).detach().numpy())[:, ::-1]
    expected = [[np.linalg.norm(row[r:], p) for r in RANKS] for row in lengths]
    assert np.allclose(forward(module, [bars])[0], np.ravel(expected), rtol=1e-12)


def test_a_flat_density_gives_the_stable_rank_of_the_bars():
    flat = SplineDensity([0.0, 20.0], [[3.0, 3.0]])
    for p, q in ORDERS:
        module = StableRankVector("H1", flat, range(6), p=p, q=q).double()
        dgms = diagrams_of([random_bars(np.random.default_rng(2), 8, 0, 10)])
        ranks = stable_rank(dgms, "H1", p=p, q=q)
        found = module(dgms.to_torch()).detach().numpy()
        assert np.allclose(found, ranks.vectors(6), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_beyond_the_truncation_counts(kind):
    module = vector(kind=kind, truncation=5.0)
    cut = forward(module, [[(1.0, 9.0), (6.0, 8.0)]])
    assert np.array_equal(cut, forward(module, [[(1.0, 5.0)]]))


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_right(p, kind):
    module = vector(p=p, kind=kind)
    packed = diagrams_of(
        [random_bars(np.random.default_rng(4), 7, 0, 10), []]
    ).to_torch()
    names = [name for name, _ in module.named_parameters()]

    def value(bars, *values):
        own = dict(zip(names, values, strict=True))
        return torch.func.functional_call(module, own, (packed._replace(bars=bars),))

    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    bars = packed.bars.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        value, (bars, *values), atol=1e-5, rtol=1e-3, fast_mode=True
    )


@pytest.mark.parametrize("p", [1.0, 2.0, 7.0])
def test_gradients_stay_finite_where_bars_have_no_length(p):
    module = vector(p=p).float()
    packed = diagrams_of(
        [[(1.0, 1.0), (2.0, 2.0)], [(1.0, 3.0), (2.0, 2.0)]]
    ).to_torch()
    packed = packed._replace(bars=packed.bars.requires_grad_())
    module(packed).sum().backward()
    assert bool(torch.isfinite(packed.bars.grad).all())


# --- the frozen operation -------------------------------------------------------------


def test_frozen_contours_err_less_than_they_say():
    rng = np.random.default_rng(0)
    knots = np.sort(rng.uniform(0, 10, (2, 40)), axis=1)
    op = Contours((0,), knots, rng.uniform(0, 3, (2, 39)))
    bars = Ragged(random_bars(rng, 200, -1, 12), np.array([200]))
    program = Program((DOMAIN,), (op, *vector().freeze([DOMAIN])[1:]))
    allowed = program.ranges[1].error
    values = op.evaluate(NumpyBackend, bars).values
    twin = op.evaluate(TorchBackend, Ragged(torch.tensor(bars.values), bars.counts))
    for (b, d), row, other in zip(bars.values, values, twin.values, strict=True):
        for g in range(2):
            exact = exact_length(op.knots[g], op.slopes[g], b, d)
            assert abs(Fraction(float(row[g])) - exact) <= Fraction(allowed[g])
            assert abs(Fraction(float(other[g])) - exact) <= Fraction(allowed[g])


def exact_length(knots, slopes, b, d) -> Fraction:
    """The definition: the sum of slope times clipped length between knots."""
    total = Fraction(0)
    for low, high, slope in zip(knots, knots[1:], slopes, strict=False):
        ends = [
            min(max(Fraction(float(x)), Fraction(low)), Fraction(high)) for x in (b, d)
        ]
        total += Fraction(slope) * (ends[1] - ends[0])
    return total


# --- from data ------------------------------------------------------------------------


def test_mixtures_are_placed_by_the_data_and_certify():
    rng = np.random.default_rng(0)
    samples = [
        {"H0": np.c_[np.zeros(30), rng.random(30)], "H1": random_bars(rng, 12, 3, 4)}
        for _ in range(4)
    ]
    dgms = Diagrams.from_list(samples)
    module = mixture_vectors(dgms, ["H0"], n_contours=2).double()
    inputs = bar_inputs(dgms, ["H0"])
    program = Program(tuple(inputs), module.freeze(inputs))
    assert program.n_outputs == len(module.feature_names())
    gap = np.abs(program.evaluate(dgms) - module(dgms.to_torch()).detach().numpy())
    assert gap.max() < 1e-3
    means = module.parts[1].density._numbers()[0]
    assert bool(((means > 2) & (means < 5)).all())


@pytest.mark.parametrize("samples", [[[[]]], [[[(1.0, 1.0)]]], [[[(0.0, 2.0)] * 3]]])
def test_mixtures_of_poor_channels_work(samples):
    dgms = Diagrams.from_list(samples, channels=["H1"])
    module = mixture_vectors(dgms)
    inputs = bar_inputs(dgms)
    program = Program(tuple(inputs), module.freeze(inputs))
    assert np.isfinite(program.evaluate(dgms)).all()


def test_impossible_orders_are_refused():
    with pytest.raises(InvalidInputError, match="p must be"):
        vector(p=0.5)
    with pytest.raises(InvalidInputError, match="q must be"):
        vector(q=0.5)
    with pytest.raises(InvalidInputError, match="kind must be"):
        vector(kind="volume")
