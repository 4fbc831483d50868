"""How vectors move: norms, entries into a network, and the ids of the proofs."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stablerank import FeatureBall
from stablerank.bounds import Bound
from stablerank.certify import VectorMoves, certify, compose
from stablerank.certify.composition import LEDGER
from stablerank.certify.vectors import entered_in_l2, ratio_up
from stablerank.frozen import (
    Abs,
    Add,
    Affine,
    Diagonal,
    Distance,
    GroupSort,
    Operation,
    Program,
    VectorInput,
)
from stablerank.metrics import VectorNorm

WIDTH = 6
rng = np.random.default_rng(0)
W = rng.normal(size=(8, WIDTH))
HEAD = rng.normal(size=(3, 8))
SCALE = Diagonal((0,), np.array([1.0, 2.0, 0.5, 1.0, 1.0, 3.0]), np.zeros(WIDTH))


def program(*operations: Operation) -> Program:
    return Program((VectorInput(WIDTH, math.inf, 8.0),), operations)


NETWORK = (
    SCALE,
    Affine((1,), W, np.ones(8)),
    GroupSort((2,), 4),
    Affine((3,), HEAD, np.zeros(3)),
)


def test_the_other_entry_computes_the_same_bits() -> None:
    plain = program(*NETWORK)
    entered = entered_in_l2(plain)
    assert entered is not plain
    assert entered.norms == [2, 2, math.inf, math.inf, math.inf]
    x = rng.normal(size=(50, WIDTH))
    assert plain.evaluate(x).tobytes() == entered.evaluate(x).tobytes()


def test_the_other_entry_is_a_bound_and_is_attained_by_a_row() -> None:
    """One affine map: the l_2 constant of an output is the length of its row."""
    entered = entered_in_l2(program(Affine((0,), W, np.zeros(8))))
    for row, constant in zip(W, entered.constants(1.0)[-1], strict=True):
        square = sum(Fraction(w) ** 2 for w in row.tolist())
        assert Fraction(constant) ** 2 >= square
        assert constant == pytest.approx(np.linalg.norm(row), rel=1e-12)


def test_no_l2_step_moves_an_output_beyond_the_constants_of_the_other_entry() -> None:
    twice = Diagonal((0,), np.full(WIDTH, 2.0), np.ones(WIDTH))
    pick = Affine((3,), np.eye(3, 8), np.zeros(3))
    entered = entered_in_l2(program(twice, *NETWORK[1:3], pick))
    constants = entered.constants(1.0)[-1]
    pairs = entered.pair_constants(1.0)
    x = rng.normal(size=(200, WIDTH))
    unit = 1e-6 * np.eye(WIDTH)
    slopes = np.stack([entered.evaluate(x + u) - entered.evaluate(x) for u in unit], 2)
    reached = 0.0
    for size in (1e-3, 0.1, 2.0):
        for output in range(3):  # along the gradient of one output
            step = slopes[:, output]
            step = step * (size / np.linalg.norm(step, axis=1, keepdims=True))
            gap = entered.evaluate(x + step) - entered.evaluate(x)
            assert (np.abs(gap) <= constants * size * (1 + 1e-9) + 1e-12).all()
            margins = np.abs(gap[:, :, None] - gap[:, None])
            assert (margins <= pairs * size * (1 + 1e-9) + 1e-12).all()
            reached = max(reached, float((np.abs(gap) / (constants * size)).max()))
    assert reached > 0.999  # an attack that stays far below shows little


BYPASSED = {
    "a skip around the first map": (
        Affine((0,), rng.normal(size=(WIDTH, WIDTH)), np.zeros(WIDTH)),
        Add((0, 1)),
        Affine((2,), HEAD[:, :WIDTH], np.zeros(3)),
    ),
    "distances first": (
        Distance((0,), W, np.zeros(8)),
        Affine((1,), HEAD, np.zeros(3)),
    ),
    "no affine map": (Abs((0,)),),
}


@pytest.mark.parametrize("name", list(BYPASSED))
def test_programs_that_cannot_be_entered_in_l2_stay_as_they_are(name: str) -> None:
    plain = program(*BYPASSED[name])
    assert entered_in_l2(plain) is plain
    cert = certify(plain, rng.normal(size=(5, WIDTH)), FeatureBall(2))
    assert (cert.radius >= 0).all()


def test_an_l2_program_is_entered_as_it_is() -> None:
    plain = Program((VectorInput(WIDTH, 2, 8.0),), (Affine((0,), W, np.zeros(8)),))
    assert entered_in_l2(plain) is plain


def test_the_smaller_of_both_entries_is_taken() -> None:
    """A column that is blown up costs all rows in l_2, and one entry by coordinates."""
    blown = Diagonal((0,), np.array([1e4, 1, 1, 1, 1, 1.0]), np.zeros(WIDTH))
    first = W.copy()
    first[:, 0] = 0.0  # which the network does not read
    layers = (blown, Affine((1,), first, np.zeros(8)))
    tail = (GroupSort((2,), 4), Affine((3,), HEAD, np.zeros(3)))
    x = rng.normal(size=(20, WIDTH))
    blown_up = certify(program(*layers, *tail), x, FeatureBall(2))
    box = certify(program(*layers, *tail), x, FeatureBall(math.inf))
    assert np.array_equal(blown_up.radius, box.radius)
    even = program(Affine((0,), W, np.zeros(8)), Affine((1,), HEAD, np.zeros(3)))
    ball, box = (certify(even, x, FeatureBall(p)) for p in (2, math.inf))
    assert (ball.radius > 1.2 * box.radius).all()


def test_moves_by_coordinate_become_their_l2_sum() -> None:
    chain = Bound(FeatureBall(math.inf), VectorNorm(), 4.0, "N1")
    box = VectorMoves(
        math.inf, np.array([[3.0, 4.0]]), chain, {"engine": np.array([0.6, 0.8])}
    )
    ball = box.into(2)
    assert ball.constant.tolist() == [[5.0]]
    assert ball.offsets["engine"] == pytest.approx([1.0])
    assert float(np.max(ball.chain.constant)) >= 5.0
    assert ball.into(2) is ball
    assert ball.into(math.inf).constant.tolist() == [[5.0]]  # each by all


def test_offsets_of_a_vector_are_owed_by_cause() -> None:
    plain = program(*NETWORK)
    chain = Bound(FeatureBall(math.inf), VectorNorm(), 1.0, "N1")
    shares = {"rounding": 1e-9, "engine": 1e-7, "approximation": 1e-5}
    offsets = {name: np.full(WIDTH, size) for name, size in shares.items()}
    found = compose(plain, VectorMoves(math.inf, np.ones(WIDTH), chain, offsets))
    bare = compose(plain, VectorMoves(math.inf, np.ones(WIDTH), chain))
    largest = bare.constants.max()
    assert found.engine == pytest.approx(1e-7 * largest, rel=1e-9)
    assert found.approximation == pytest.approx(1e-5 * largest, rel=1e-9)
    assert found.rounding == pytest.approx(1e-9 * largest + bare.rounding, rel=1e-9)
    total = found.rounding + found.engine + found.approximation
    assert found.owed.max() == pytest.approx(total, rel=1e-9)
    assert (found.owed >= bare.owed).all()


@pytest.mark.parametrize(
    ("whole", "part", "factor"),
    [(6.0, 2.0, 3.0), (0.0, 5.0, 0.0), (1.0, math.inf, 1.0), (math.inf, 2.0, math.inf)],
)
def test_a_factor_leads_from_the_part_to_the_whole(
    whole: float, part: float, factor: float
) -> None:
    assert ratio_up(whole, part) == factor


def test_a_factor_is_rounded_up() -> None:
    values: list[Any] = rng.uniform(0.1, 10.0, (100, 2)).tolist()
    for whole, part in values:
        assert Fraction(ratio_up(whole, part)) * Fraction(part) >= Fraction(whole)


def test_every_operation_has_the_id_of_its_proof() -> None:
    """The chain for people cites the ledger, for each kind of operation there is."""
    own = {
        kind
        for kind, cls in Operation.registry.items()
        if cls.__module__.startswith("stablerank.")
    }
    assert own <= LEDGER.keys(), f"add to LEDGER: {sorted(own - LEDGER.keys())}"
