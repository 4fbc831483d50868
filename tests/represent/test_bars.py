"""Learnable bar functions: 1-Lipschitz whatever training does to them [R3, H1]."""

from __future__ import annotations

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from stablerank.diagrams import Diagrams
from stablerank.exceptions import (
    ChannelError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
    UncertifiableLayerError,
)
from stablerank.frozen import BarInput, Program
from stablerank.metrics import Bottleneck, SortedDeaths
from stablerank.represent import (
    BarFunctionBank,
    Block,
    FixedBank,
    Joined,
    bar_inputs,
    design_bank,
    learnable_bank,
)
from stablerank.represent.bars import SortedDeaths as SortedDeathsModule
from tests.represent.attacks import (
    attacked_pairs,
    diagrams_of,
    random_bars,
    worst_ratio,
)

DOMAIN = BarInput("H1", 1, "value", None, -10.0, 20.0, 4096, 0.0)
RANKS = (0, 1, 2, 4)


def learned(seed: int, n_functions: int = 5, n_forms: int = 2) -> BarFunctionBank:
    """A bank that training has pushed anywhere, far outside slope 1 as well."""
    rng = np.random.default_rng(seed)
    forms = rng.normal(0, 1, (n_functions, n_forms, 3)) * [1, 1, 4]
    return BarFunctionBank("H1", forms, RANKS, unit=3.0).double()


def frozen(module, domain: BarInput = DOMAIN) -> Program:
    return Program((domain,), module.freeze([domain]))


def forward(module, samples) -> np.ndarray:
    return module(diagrams_of(samples).to_torch()).detach().numpy()


# --- the constant ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_no_attack_moves_a_rank_more_than_the_bars(seed):
    module = learned(seed)
    rng = np.random.default_rng(seed)
    pairs = list(attacked_pairs(module, rng, low=0, high=10))
    program = frozen(module)
    program_vectors = lambda bars: program.evaluate(diagrams_of(bars))  # noqa: E731
    trained_vectors = lambda bars: forward(module, bars)  # noqa: E731
    for vectors in (trained_vectors, program_vectors):
        assert worst_ratio(vectors, pairs, p=math.inf, q=math.inf) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("block", "bar", "moved"),
    [
        (Block("H1", "half", (0,)), (2.0, 8.0), (1.5, 8.5)),
        (Block("H1", "tent", (0,), (5.0,)), (4.0, 9.0), (3.5, 9.0)),
        (Block("H1", "tent", (0,), (5.0,)), (1.0, 6.0), (1.0, 6.5)),
    ],
    ids=["half-life", "tent by its birth", "tent by its death"],
)
def test_a_single_bar_attains_the_constant(block, bar, moved):
    module = BarFunctionBank.from_block(block).double()
    pairs = [(np.array([bar]), np.array([moved]))]
    ratio = worst_ratio(lambda x: forward(module, x), pairs, p=math.inf, q=math.inf)
    assert ratio >= 0.99


def test_gradient_attacks_come_within_a_percent_of_the_constant():
    module = learnable_bank(FixedBank((Block("H1", "tent", (0, 1), (3.0, 5.0)),)))
    pairs = attacked_pairs(module.double(), np.random.default_rng(0), low=0, high=10)
    ratio = worst_ratio(lambda x: forward(module, x), [*pairs], p=math.inf, q=math.inf)
    assert 0.99 <= ratio <= 1 + 1e-9


def test_the_attack_finds_a_constant_that_is_one_percent_too_large():
    module = learnable_bank(FixedBank((Block("H1", "tent", (0, 1), (3.0, 5.0)),)))
    pairs = [*attacked_pairs(module.double(), np.random.default_rng(0), low=0, high=10)]
    stretched = lambda bars: 1.01 * forward(module, bars)  # noqa: E731
    assert worst_ratio(stretched, pairs, p=math.inf, q=math.inf) > 1 + 1e-3


def test_sorted_deaths_move_no_more_than_the_deaths():
    module = SortedDeathsModule("H1", range(9)).double()
    domain = BarInput("H1", 0, "value", None, 0.0, 20.0, 64, 0.0, pinned=True)
    program = frozen(module, domain)
    rng = np.random.default_rng(0)
    for _ in range(50):
        deaths = rng.uniform(0, 10, 9)
        moved = np.maximum(0, deaths + rng.choice([-1, 0, 1], 9) * rng.uniform(0, 3))
        diagrams = diagrams_of([np.c_[0 * d, d] for d in (deaths, moved)])
        a, b = program.evaluate(diagrams)
        assert np.abs(a - b).max() <= np.abs(deaths - moved).max()
    assert program.constants({"H1": {SortedDeaths(): 1.0}})[-1].max() == 1.0


def test_frozen_constants_are_at_most_one_in_exact_arithmetic():
    for seed in range(20):
        program = frozen(learned(seed, n_functions=30))
        assert program.constants({"H1": {Bottleneck(): 1.0}})[-1].max() <= 1.0


def test_the_invariant_survives_an_optimiser_that_runs_wild():
    module = learned(0).float()
    optimiser = torch.optim.SGD(module.parameters(), lr=50.0)
    packed = diagrams_of([random_bars(np.random.default_rng(1), 20, 0, 9)]).to_torch()
    for _ in range(5):
        optimiser.zero_grad()
        (-module(packed).sum()).backward()
        optimiser.step()
        module.check_invariant()
        frozen(module)  # vanishes on the diagonal, checked in exact arithmetic


def test_diverged_training_is_named():
    module = learned(0)
    with torch.no_grad():
        module.slopes[0, 0, 0] = math.nan
    with pytest.raises(InvalidInputError, match="diverged"):
        module.freeze([DOMAIN])
    module = learned(0)
    with torch.no_grad():
        module.offsets[0, 0] = math.nan
    with pytest.raises(NonFiniteError, match="diverged"):
        module.freeze([DOMAIN])


# --- forward and frozen ---------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "share"), [("float64", 1e-14), ("float32", 1e-5)])
def test_frozen_equals_trained_forward(dtype, share):
    module = learned(3).to(getattr(torch, dtype))
    rng = np.random.default_rng(0)
    samples = [random_bars(rng, n, 0, 10) for n in (0, 1, 3, 50)]
    gap = np.abs(
        forward(module, samples) - frozen(module).evaluate(diagrams_of(samples))
    )
    assert gap.max() <= share * 10


def test_a_learnable_bank_starts_as_the_fixed_one():
    rng = np.random.default_rng(0)
    samples = [
        {"H0": np.c_[np.zeros(30), rng.random(30)], "H1": random_bars(rng, 12, 0, 1)}
        for _ in range(4)
    ]
    dgms = Diagrams.from_list(samples)
    bank = design_bank(dgms, ["H0"])
    inputs = bar_inputs(dgms, ["H0"])
    fixed = Program(tuple(inputs), bank.operations(inputs))
    module = learnable_bank(bank, unit=0.1)
    program = Program(tuple(inputs), module.freeze(inputs))
    assert module.feature_names() == bank.feature_names()
    assert module.channels == bank.channels
    assert np.allclose(program.evaluate(dgms), fixed.evaluate(dgms), atol=1e-6)
    assert np.allclose(
        module(dgms.to_torch()).detach(), fixed.evaluate(dgms), atol=1e-6
    )


def test_gradients_are_those_of_the_frozen_values():
    module = learned(1)
    packed = diagrams_of([random_bars(np.random.default_rng(2), 6, 0, 10)]).to_torch()
    parameters = (module.slopes, module.offsets)

    def value(slopes, offsets):
        own = copy.deepcopy(module)
        return torch.func.functional_call(
            own, {"slopes": slopes, "offsets": offsets}, (packed,)
        )

    assert torch.autograd.gradcheck(
        value, tuple(p.detach().requires_grad_() for p in parameters)
    )


def test_gradients_reach_the_bars_and_every_parameter():
    bank = FixedBank(
        (Block("H1", "half", (0, 1)), Block("H1", "tent", (0,), (2.0, 5.0)))
    )
    module = learnable_bank(bank)
    packed = diagrams_of([[(1.0, 9.0), (2.0, 7.0)]]).to_torch()
    packed = packed._replace(bars=packed.bars.requires_grad_())
    module(packed).sum().backward()
    assert all(
        p.grad is not None and bool((p.grad != 0).any()) for p in module.parameters()
    )
    assert bool((packed.bars.grad != 0).any())


def test_the_module_computes_in_its_own_dtype_even_under_autocast():
    packed = diagrams_of([[(1.0, 9.0), (2.0, 7.0)]]).to_torch()
    for dtype in (torch.float32, torch.float64):
        module = learned(0).to(dtype)
        expected = module(packed)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = module(packed)
        assert found.dtype == dtype
        assert torch.equal(found, expected)


def test_half_precision_does_not_freeze():
    with pytest.raises(UncertifiableLayerError, match="float32 or float64"):
        learned(0).to(torch.bfloat16).freeze([DOMAIN])


def test_batches_may_hold_empty_diagrams_or_nothing_at_all():
    module = learned(0)
    assert not forward(module, [[], []]).any()
    assert forward(module, [[]])[:0].shape == (0, 20)
    alone = forward(module, [[(1.0, 9.0)]])
    assert np.array_equal(forward(module, [[], [(1.0, 9.0)], []])[1:2], alone)


# --- several side by side -------------------------------------------------------------


def test_joined_representations_share_channels_and_keep_their_order():
    half = Block("H1", "half", (0, 1))
    parts = [
        BarFunctionBank.from_block(half),
        SortedDeathsModule("H0", (0,)),
        Joined([BarFunctionBank.from_block(Block("H1", "tent", (0,), (1.0,)))]),
    ]
    module = Joined(parts).double()
    assert module.channels == ("H1", "H0")
    dgms = Diagrams.from_list(
        [{"H0": [(0.0, 3.0)], "H1": [(0.0, 4.0), (0.5, 2.5)]}], convention="radius"
    )
    inputs = bar_inputs(dgms.select(["H1", "H0"]), ["H0"])
    program = Program(tuple(inputs), module.freeze(inputs))
    expected = [[2.0, 1.0, 3.0, 1.0]]
    assert module(dgms.to_torch()).tolist() == expected
    assert program.evaluate(dgms).tolist() == expected
    assert module.feature_names()[2:] == ["H0/death/rank000", "H1/tent00/rank000"]


def test_wrong_use_is_named():
    module = learned(0)
    with pytest.raises(ChannelError, match="no channel 'H1'"):
        module(Diagrams.from_list([[[(0.0, 1.0)]]]).to_torch())
    with pytest.raises(InvalidInputError, match="the module reads"):
        module.freeze([BarInput("H0", 0, "value", None, 0.0, 1.0, 4, 0.0)])
    with pytest.raises(InvalidInputError, match="ranks must ascend"):
        SortedDeathsModule("H0", [1, 1])
    with pytest.raises(ShapeError, match=r"not \(F, J, 3\)"):
        BarFunctionBank("H1", [[1.0, 2.0, 3.0]], [0])
    with pytest.raises(InvalidInputError, match="unit must be"):
        BarFunctionBank("H1", [[[1.0, 2.0, 3.0]]], [0], unit=0.0)
    with pytest.raises(InvalidInputError, match="nothing to join"):
        Joined([])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_whose_sum_rounds_to_one_are_scaled_down(dtype):
    bank = BarFunctionBank("H0", [[[-1 / 3, 2 / 3, 0.0]]], ranks=[0]).to(dtype)
    with torch.no_grad():
        eps = torch.finfo(dtype).eps
        # The exact sum is 1 + eps / 4; rounded it is 1.
        bank.slopes[0, 0] = torch.tensor([-(0.25 + eps / 4), 0.75], dtype=dtype)
    assert bank.slopes.detach().abs().sum().item() == 1
    assert sum(Fraction(abs(s)) for s in bank.slopes.flatten().tolist()) > 1
    bank.check_invariant()
