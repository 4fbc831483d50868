"""The learned bank as a whole: its parts, its bars, and what becomes of these."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
import torch

from stablerank.diagrams import Diagrams
from stablerank.frozen import Program
from stablerank.represent import (
    BarFunctionBank,
    Joined,
    LearnableBank,
    bar_inputs,
    design_bank,
    learnable_bank,
)
from stablerank.represent.bars import SortedDeaths, lowest_form
from stablerank.represent.base import (
    ChannelBars,
    _at_ranks,
    _at_ranks_in_numpy,
    top_bars,
)
from tests.represent.attacks import random_bars


def batch(seed: int = 0, n: int = 9) -> Diagrams:
    """Samples of a pinned and a free channel, some of them empty."""
    rng = np.random.default_rng(seed)
    samples = [
        {
            "H0": np.c_[np.zeros(i % 5), rng.random(i % 5)],
            "H1": random_bars(rng, int(rng.integers(0, 30)), 0, 1),
        }
        for i in range(n)
    ]
    return Diagrams.from_list(samples, channels=["H0", "H1"])


def moved_bank(dgms: Diagrams, seed: int = 0, size: float = 0.3) -> LearnableBank:
    """A bank that training has moved."""
    bank = learnable_bank(design_bank(dgms, ["H0"]), {"H0": 1.0, "H1": 0.1})
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in bank.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=size)
    return bank


def channels(bank: LearnableBank, dgms: Diagrams) -> dict[str, ChannelBars]:
    packed = dgms.to_torch(dtype=bank.dtype)
    return {name: ChannelBars.of(packed, name, bank.dtype) for name in bank.channels}


# --- which bars -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_fast_search_finds_what_the_clear_one_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = torch.tensor(rng.integers(0, 9, 12))
    # Ties, negative values, -0.0, and the smallest float.
    pool = [-1.0, -0.0, 0.0, 1e-45, 0.25, 0.5, 1.0, 3.0]
    values = torch.tensor(rng.choice(pool, int(counts.sum())), dtype=torch.float32)
    ranks = torch.tensor([0, 1, 3, 10])
    found, expected = (
        search(values, counts, ranks) for search in (_at_ranks_in_numpy, _at_ranks)
    )
    assert torch.equal(found < 0, expected < 0)
    # Bars of equal value may take each other's place, and no bar is there twice.
    assert torch.equal(
        torch.where(found < 0, 0.0, values[found]),
        torch.where(found < 0, 0.0, values[expected]),
    )
    sample = torch.repeat_interleave(torch.arange(12), counts)
    alive = found >= 0
    assert torch.equal(sample[found[alive]], alive.nonzero()[:, 0])
    for row, here in zip(found, alive, strict=True):
        assert len(set(row[here].tolist())) == int(here.sum())


def test_no_bars_at_all_have_no_ranks() -> None:
    empty = ChannelBars(torch.zeros(0), torch.zeros(0), torch.zeros(3, dtype=int))
    found = top_bars([empty.deaths], empty, torch.tensor([0, 2]))
    assert found.births.shape == (3, 1, 2)
    assert not found.deaths.any()


def test_samples_may_be_taken_in_any_order_and_twice() -> None:
    packed = batch().to_torch(dtype=torch.float32)
    whole = ChannelBars.of(packed, "H1", torch.float32)
    rows = [7, 0, 7, 3]
    some = whole.take(torch.tensor(rows))
    bars = np.concatenate([batch()[i]["H1"] for i in rows])
    assert some.counts.tolist() == [len(batch()[i]["H1"]) for i in rows]
    assert np.array_equal(some.births, bars[:, 0].astype(np.float32))
    assert np.array_equal(some.deaths, bars[:, 1].astype(np.float32))


# --- their values ---------------------------------------------------------------------


def test_the_lowest_form_is_the_chain_of_minima_with_its_gradients() -> None:
    torch.manual_seed(0)
    forms = torch.randn(7, 3, 3, dtype=torch.float64)
    births = torch.randn(20, 7, dtype=torch.float64)
    deaths = births + torch.rand(20, 7)
    own = [t.requires_grad_() for t in (forms, births, deaths)]

    def chain() -> torch.Tensor:
        each = [f[:, 0] * births + f[:, 1] * deaths + f[:, 2] for f in forms.unbind(1)]
        return reduce(torch.minimum, each, (deaths - births) / 2).clamp_min(0)

    pull = torch.randn(20, 7, dtype=torch.float64)
    values = lowest_form(*own)
    assert torch.allclose(values, chain(), rtol=0, atol=1e-14)
    assert (values > 0).float().mean() > 0.05
    found = torch.autograd.grad(values, own, pull)
    for a, b in zip(found, torch.autograd.grad(chain(), own, pull), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_together_the_parts_say_what_they_say_alone(dtype: torch.dtype) -> None:
    dgms = batch()
    bank = moved_bank(dgms).to(dtype)
    parts = Joined(bank._each())
    packed = dgms.to_torch(dtype=dtype)
    together, alone = bank(packed), parts(packed)
    assert torch.equal(together, alone)
    pull = torch.linspace(-1, 1, together.numel(), dtype=dtype).view_as(together)
    each = list(bank.parameters())
    pairs = zip(
        torch.autograd.grad(together, each, pull),
        torch.autograd.grad(alone, each, pull),
        strict=True,
    )
    for a, b in pairs:
        assert torch.allclose(a, b, atol=1e-4 if dtype == torch.float32 else 1e-12)
    assert bank.feature_names() == parts.feature_names()


def test_gradients_reach_the_bars_that_hold_the_ranks() -> None:
    dgms = Diagrams.from_list([{"H0": [(0.0, 3.0)], "H1": [(1.0, 5.0), (1.0, 1.0)]}])
    half = BarFunctionBank("H1", [[[-0.5, 0.5, 0.0], [0.0, 0.5, 0.0]]], [0])
    bank = LearnableBank([SortedDeaths("H0", [0]), half])
    packed = dgms.to_torch(dtype=torch.float32)
    packed = packed._replace(bars=packed.bars.requires_grad_())
    vector = bank(packed)
    assert vector.tolist() == [[3.0, 2.0]]
    (found,) = torch.autograd.grad(vector.sum(), packed.bars)
    assert found.tolist() == [[0.0, 1.0], [-0.5, 0.5], [0.0, 0.0]]


def test_what_is_frozen_is_what_was_trained() -> None:
    dgms = batch()
    bank = moved_bank(dgms)
    inputs = bar_inputs(dgms, ["H0"])
    program = Program(tuple(inputs), bank.freeze(inputs))
    vectors = bank(dgms.to_torch()).detach().numpy()
    assert np.allclose(program.evaluate(dgms), vectors, atol=1e-6)


def test_a_bank_of_deaths_alone_has_nothing_to_learn() -> None:
    dgms = batch().select(["H0"])
    bank = learnable_bank(design_bank(dgms, ["H0"]))
    assert not list(bank.parameters())
    deaths = [sorted(d["H0"][:, 1], reverse=True) for d in dgms]
    found = bank(dgms.to_torch())
    assert np.array_equal(found[4, :4], np.array(deaths[4], np.float32))


# --- bars that were found before ------------------------------------------------------


def test_values_of_bars_found_before_are_stale_by_twice_the_change_at_most() -> None:
    dgms = batch(n=40)
    for seed, size in ((0, 0.01), (1, 0.1), (2, 1.0)):
        bank = moved_bank(dgms, seed, size=0.0).double()
        bars = channels(bank, dgms)
        before = bank.pick(bars)
        assert torch.equal(bank.read(before), bank(dgms.to_torch()))
        start = [part.forms() for part in bank._banks]
        with torch.no_grad():
            for parameter in bank.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=size)
        ends = torch.stack([bars["H1"].births, bars["H1"].deaths])
        ends = torch.cat([ends, torch.ones_like(ends[:1])])  # (3, n_bars)
        values = [
            [(f @ ends).amin(dim=1).clamp_min(0) for f in forms]
            for forms in (start, [part.forms() for part in bank._banks])
        ]
        pairs = zip(*values, strict=True)
        change = max((old - new).abs().max() for old, new in pairs)
        gap = (bank.read(before) - bank.read(bank.pick(bars))).abs().max()
        assert 0 < gap <= 2 * change * (1 + 1e-9)
