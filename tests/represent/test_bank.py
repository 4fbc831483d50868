"""The fixed bank: chosen from quantiles, evaluated by a program, constant 1."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablerank.diagrams import Diagrams
from stablerank.exceptions import FileFormatError, InvalidInputError
from stablerank.frozen import Program, Ragged
from stablerank.frozen.backend import TorchBackend
from stablerank.metrics import Bottleneck, SortedDeaths
from stablerank.represent import Block, FixedBank, bar_inputs, design_bank
from stablerank.represent.bank import geometric_ranks
from tests.represent.attacks import random_bars

PINNED = ["H0"]


def batch(n: int = 6, scale: float = 1.0, seed: int = 0) -> Diagrams:
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(n):
        deaths = rng.exponential(1.0, 40)
        few = random_bars(rng, int(rng.integers(0, 9)), 0, 4)
        samples.append(
            {"H0": np.c_[0 * deaths, deaths] * scale, "H1": np.array(few) * scale}
        )
    return Diagrams.from_list(samples, convention="radius")


def program(diagrams: Diagrams, pinned: list[str] = PINNED) -> Program:
    bank = design_bank(diagrams, pinned)
    inputs = bar_inputs(diagrams, pinned)
    return Program(tuple(inputs), bank.operations(inputs))


def by_hand(bank: FixedBank, sample: dict[str, np.ndarray]) -> list[float]:
    """The features of one sample, straight from the definitions."""
    found: list[float] = []
    for block in bank.blocks:
        (b, d), g = sample[block.channel].T, block.width
        columns = {
            "death": [d],
            "half": [(d - b) / 2],
            "tent": [np.minimum(t - b, d - t) for t in block.levels],
            "born": [np.minimum((d - b) / 2, g - abs(b - t)) for t in block.levels],
            "died": [np.minimum((d - b) / 2, g - abs(d - t)) for t in block.levels],
        }[block.function]
        for column in columns:
            values = sorted(np.maximum(column, 0).tolist(), reverse=True)
            found += [values[r] if r < len(values) else 0.0 for r in block.ranks]
    return found


# --- values ---------------------------------------------------------------------------


def test_the_program_computes_what_the_names_say():
    dgms = batch()
    bank = design_bank(dgms, PINNED)
    features = program(dgms).evaluate(dgms)
    expected = [by_hand(bank, sample) for sample in dgms.to_list()]
    assert np.allclose(features, expected, rtol=1e-14, atol=1e-15)
    assert features.shape[1] == bank.n_features == len(bank.feature_names())


def test_half_lives_are_seen_through_windows_of_births_and_deaths():
    dgms = batch().select(["H1"])
    bank = FixedBank(
        (
            Block("H1", "born", (0, 1), (1.0, 2.0, 3.0), width=0.7),
            Block("H1", "died", (0, 2), (1.0, 2.0), width=0.5),
        )
    )
    inputs = bar_inputs(dgms)
    frozen = Program(tuple(inputs), bank.operations(inputs))
    expected = [by_hand(bank, sample) for sample in dgms.to_list()]
    assert np.allclose(frozen.evaluate(dgms), expected, rtol=1e-14, atol=1e-15)
    assert frozen.evaluate(dgms).any()
    assert set(frozen.constants({"H1": {Bottleneck(): 1.0}})[-1]) == {1.0}
    assert FixedBank.from_json(bank.to_json()) == bank
    assert "H1/died01/rank002" in bank.feature_names()


def test_a_sample_has_the_same_bits_in_any_batch_and_any_order_of_bars():
    dgms = batch(n=150)
    frozen = program(dgms)
    features = frozen.evaluate(dgms)
    assert np.array_equal(features[7:9], frozen.evaluate(dgms[7:9]))
    shuffled = Diagrams.from_list(
        [{k: v[::-1] for k, v in sample.items()} for sample in dgms[:20].to_list()],
        convention="radius",
    )
    assert np.array_equal(features[:20], frozen.evaluate(shuffled))


def test_torch_and_numpy_evaluate_the_same_program():
    dgms = batch()
    frozen = program(dgms)
    registers = [
        Ragged(as_torch(own.bars), own.counts[:, 0])
        for own in (dgms.select([c]) for c in dgms.channels)
    ]
    for op in frozen.operations:
        registers.append(op.evaluate(TorchBackend, *(registers[i] for i in op.inputs)))
    assert np.allclose(registers[-1].numpy(), frozen.evaluate(dgms), rtol=1e-14)


def as_torch(array: np.ndarray):
    import torch

    return torch.tensor(np.array(array))


def test_scaled_data_give_scaled_features():
    one, four = batch(), batch(scale=4.0)
    a, b = program(one).evaluate(one), program(four).evaluate(four)
    assert np.array_equal(4 * a, b)  # a power of two: not even rounding differs


def test_every_feature_has_constant_one_and_deaths_only_where_they_are_pinned():
    dgms = batch()
    frozen = program(dgms)
    moves = {
        "H0": {Bottleneck(): 1.0, SortedDeaths(): 1.0},
        "H1": {Bottleneck(): 1.0},
    }
    assert set(frozen.constants(moves)[-1]) == {1.0}
    assert "H0/death/rank000" in design_bank(dgms, PINNED).feature_names()
    assert "H0/half/rank000" in design_bank(dgms).feature_names()


# --- choices --------------------------------------------------------------------------


def test_full_channels_are_read_as_finely_as_the_recipe_says():
    rng = np.random.default_rng(0)
    samples = [
        {"H0": np.c_[np.zeros(999), rng.random(999)], "H1": random_bars(rng, 800, 0, 1)}
        for _ in range(3)
    ]
    bank = design_bank(Diagrams.from_list(samples), PINNED)
    deaths, half, tents = bank.blocks
    assert 120 <= len(deaths.ranks) <= 160
    assert deaths.ranks[-1] == 998
    assert (len(half.ranks), half.ranks[-1]) == (60, 699)
    assert (len(tents.levels), len(tents.ranks), tents.ranks[-1]) == (28, 14, 149)


def test_sparse_channels_are_read_coarsely():
    rng = np.random.default_rng(0)
    dgms = Diagrams.from_list([[random_bars(rng, 100, 0, 1)] for _ in range(3)])
    half, tents = design_bank(dgms).blocks
    assert (len(half.ranks), half.ranks[-1]) == (16, 99)
    assert (len(tents.levels), len(tents.ranks)) == (12, 9)


@pytest.mark.parametrize(
    "samples",
    [
        [[[]], [[]]],
        [[[(1.0, 1.0)]], [[]]],
        [[[(0.5, 2.0)]], [[(0.5, 2.0)]]],
        [[[(-2.0, -1.0)] * 5]],
    ],
    ids=["empty", "zero length", "constant", "negative"],
)
def test_channels_without_variety_still_give_features(samples):
    dgms = Diagrams.from_list(samples, channels=["H1"])
    features = program(dgms, []).evaluate(dgms)
    assert features.shape[0] == len(samples)
    assert features.shape[1] >= 1
    assert np.isfinite(features).all()


def test_levels_lie_where_the_long_bars_are():
    noise = [(x, x + 0.001) for x in np.linspace(0, 1, 50)]
    dgms = Diagrams.from_list([[[*noise, (5.0, 7.0), (5.2, 7.4), (5.4, 7.2)]]])
    levels = np.array(design_bank(dgms).blocks[1].levels)
    assert np.median(levels) > 5  # of 53 bars, 50 end below 1.1
    assert (np.diff(levels) > 0).all()


def test_sizes_are_ordered():
    dgms = batch(n=20)
    small, default, large = (
        design_bank(dgms, size=s).n_features for s in ("small", "default", "large")
    )
    assert small < default < large


@given(st.integers(1, 80), st.integers(1, 2000))
def test_geometric_ranks_ascend_from_the_largest_to_the_last(count, top):
    ranks = geometric_ranks(count, top)
    assert ranks[0] == 0
    assert count == 1 or ranks[-1] == top - 1
    assert list(ranks) == sorted(set(ranks))
    assert min(count, top) <= len(ranks) <= count + 1


# --- files and errors -----------------------------------------------------------------


def test_a_bank_survives_json():
    bank = design_bank(batch(), PINNED)
    assert FixedBank.from_json(json.loads(json.dumps(bank.to_json()))) == bank
    with pytest.raises(FileFormatError, match="not a bank"):
        FixedBank.from_json({"blocks": [{"channel": "H0"}]})


def test_wrong_choices_are_refused_with_the_ones_that_exist():
    dgms = batch()
    with pytest.raises(InvalidInputError, match="there are"):
        design_bank(dgms, ["H7"])
    with pytest.raises(InvalidInputError, match="size must be"):
        design_bank(dgms, size="huge")
    with pytest.raises(InvalidInputError, match="the bank reads"):
        design_bank(dgms).operations(bar_inputs(dgms)[::-1])
    with pytest.raises(InvalidInputError, match="no bar function"):
        Block("H1", "entropy", (0,))
    with pytest.raises(InvalidInputError, match="levels"):
        Block("H1", "tent", (0,))
    with pytest.raises(InvalidInputError, match="width"):
        Block("H1", "born", (0,), (1.0,))
    with pytest.raises(InvalidInputError, match="at least one block"):
        FixedBank(())
    assert math.inf > design_bank(dgms[:0]).n_features >= 2
