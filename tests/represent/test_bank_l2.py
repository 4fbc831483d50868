"""The bank in l_2: all ranks of few functions, bounded together."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from stablerank.diagrams import Diagrams
from stablerank.exceptions import InvalidInputError
from stablerank.frozen import BarFunctions, Program, SortTop
from stablerank.frozen.bars import BarMoves
from stablerank.matching import wasserstein_distance
from stablerank.metrics import Bottleneck, SortedDeaths, Wasserstein
from stablerank.represent import (
    Block,
    FixedBank,
    bar_inputs,
    design_l2_bank,
    learnable_bank,
)
from tests.checks import assert_lipschitz
from tests.represent.test_bank import PINNED, batch, by_hand

HALF = np.array([[[-0.5, 0.5, 0.0]]])
OUTWARDS = np.array([-1.0, 1.0])


def program(diagrams: Diagrams, together: list[str], pinned: list[str]) -> Program:
    bank = design_l2_bank(diagrams, together, pinned)
    inputs = bar_inputs(diagrams, pinned)
    return Program(tuple(inputs), bank.operations(inputs))


def test_channels_bounded_together_show_all_ranks_and_others_two() -> None:
    dgms = batch()
    bank = design_l2_bank(dgms, PINNED, PINNED)
    deaths, half = bank.blocks
    assert (deaths.function, deaths.ranks) == ("death", tuple(range(40)))
    assert (half.function, half.ranks) == ("half", (0, 1))
    both = design_l2_bank(dgms, ["H0", "H1"]).blocks
    assert [b.function for b in both] == ["half", "tent"] * 2
    assert [len(b.ranks) for b in both[:2]] == [40, 40]


def test_the_program_computes_what_the_names_say() -> None:
    dgms = batch()
    bank = design_l2_bank(dgms, ["H0", "H1"], PINNED)
    features = program(dgms, ["H0", "H1"], PINNED).evaluate(dgms)
    expected = []
    for sample in dgms.to_list():
        rows = [
            block.slope * np.array(by_hand(FixedBank((block,)), sample))
            for block in bank.blocks
        ]
        expected.append(np.concatenate(rows))
    assert np.allclose(features, expected, rtol=1e-14, atol=1e-15)
    assert features.shape[1] == bank.n_features == len(bank.feature_names())


def test_four_flat_tents_cost_as_much_as_half_a_tent() -> None:
    dgms = batch().select(["H1"])
    frozen = program(dgms, ["H1"], [])
    moves = {"H1": {Wasserstein(2, 2): 1.0}}
    _, _, half, _, tents, whole = frozen.constants(moves)
    assert half == pytest.approx([math.sqrt(1 / 2)])
    assert tents == pytest.approx([1 / 2])
    assert whole == pytest.approx([math.sqrt(3 / 4)])


def test_no_pair_of_diagrams_moves_the_features_more_than_w2() -> None:
    rng = np.random.default_rng(0)
    dgms = batch(n=12).select(["H1"])
    frozen = program(dgms, ["H1"], [])
    (constant,) = frozen.constants({"H1": {Wasserstein(2, 2): 1.0}})[-1]
    for bars in dgms.to_list():
        old = bars["H1"]
        new = np.sort(old + rng.normal(0, rng.choice([0.01, 0.3]), old.shape))
        new = np.concatenate([new, np.sort(rng.uniform(0, 4, (1, 2)))])
        both = Diagrams.from_list([{"H1": old}, {"H1": new}], convention="radius")
        a, b = frozen.evaluate(both)
        # The distance is rounded up, and the features are exact up to rounding.
        size = wasserstein_distance(old, new, 2, 2)
        assert_lipschitz(np.linalg.norm(a - b), size, constant, offset=1e-12)


@pytest.mark.parametrize("n_ranks", [1, 2, 7])
def test_a_bound_of_every_bar_costs_the_root_of_the_ranks_and_attains_it(
    n_ranks: int,
) -> None:
    ranks = SortTop((1,), np.arange(n_ranks), 2)
    bars = np.array([[0.0, 4.0 + k] for k in range(n_ranks)])
    dgms = Diagrams.from_list([{"H1": bars}, {"H1": bars + 0.25 * OUTWARDS}])
    inputs = tuple(bar_inputs(dgms))
    frozen = Program(inputs, (BarFunctions((0,), HALF), ranks))
    (constant,) = frozen.constants({"H1": {Bottleneck(): 1.0}})[-1]
    a, b = frozen.evaluate(dgms)
    moved = math.hypot(*(b - a))
    assert_lipschitz(moved, 0.25, constant, offset=1e-15, attains=1 - 1e-12)


def test_the_better_of_two_theorems_counts() -> None:
    few, many = (
        SortTop((1,), np.arange(n), 2).constant(
            BarMoves(
                {SortedDeaths(): np.ones(1), SortedDeaths(2): np.full(1, 2.0)},
                {math.inf: np.full(1, 2.0)},
                deaths=True,
            ),
            norms=(),
        )
        for n in (3, 5)
    )
    assert few == pytest.approx([math.sqrt(3)])
    assert many == [2.0]


def test_the_bank_comes_back_from_json_with_its_norm() -> None:
    bank = design_l2_bank(batch(), ["H1"])
    again = FixedBank.from_json(json.loads(json.dumps(bank.to_json())))
    assert again == bank
    assert again.norm == 2


def test_wrong_choices_are_named() -> None:
    dgms = batch()
    with pytest.raises(InvalidInputError, match="H7"):
        design_l2_bank(dgms, ["H7"])
    with pytest.raises(InvalidInputError, match="norm"):
        FixedBank((Block("H1", "half", (0,)),), norm=1)
    with pytest.raises(InvalidInputError, match="slopes"):
        Block("H1", "half", (0,), slope=0.5)
    with pytest.raises(InvalidInputError, match="slopes"):
        Block("H1", "tent", (0,), (1.0,), slope=2.0)
    with pytest.raises(InvalidInputError, match="l_2"):
        learnable_bank(design_l2_bank(dgms, []))
    assert design_l2_bank(dgms[:0], ["H0"]).n_features >= 2
