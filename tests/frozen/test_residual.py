"""Blocks with a hidden layer: their constants hold, and are no hair too large."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stablerank import FeatureBall
from stablerank.certify import certify
from stablerank.exceptions import (
    InvalidInputError,
    ShapeError,
    UncertifiableLayerError,
)
from stablerank.frozen import CPL, SLL, Affine, Program, Sandwich, VectorInput
from stablerank.frozen.backend import NumpyBackend
from tests.frozen.exact import run_exact

Array = NDArray[np.float64]

SIZES = [(1, 1), (1, 9), (9, 1), (4, 4), (12, 5), (5, 12), (64, 40)]
WEIGHTS = {
    "random": lambda w: w,
    "equal rows": lambda w: np.repeat(w[:1], len(w), axis=0),
    "zero": np.zeros_like,
    "half zero": lambda w: np.where(np.arange(len(w))[:, None] % 2, w, 0.0),
    "tiny": lambda w: w * 1e-170,
    "uneven": lambda w: w * np.logspace(-9, 3, len(w))[:, None],
    "huge": lambda w: w * 1e70,
}


def blocks(m: int, n: int, weights: str, seed: int = 0) -> list[Any]:
    """One block of each kind from the same random numbers."""
    rng = np.random.default_rng(seed)
    w, other = (WEIGHTS[weights](rng.standard_normal((m, n))) for _ in range(2))
    bias = rng.standard_normal(m)
    shares = np.exp(rng.standard_normal(m))
    return [
        CPL((0,), w, bias),
        SLL((0,), w, bias, shares),
        Sandwich((0,), w, bias, other),
    ]


def steepest(block: Any, seed: int = 0) -> float:
    """Largest Jacobian norm found: all units awake, none, and some at random."""
    inner, bias, outer = block.parts
    m, n = inner.shape
    x = np.random.default_rng(seed).standard_normal((30, n))
    awake = np.vstack([np.ones(m), np.zeros(m), x @ inner.T + bias > 0])
    jacobians = 2 * (outer.T * awake[:, None]) @ inner
    if block.keeps_input:
        jacobians = np.eye(n) - jacobians
    return float(np.linalg.norm(jacobians, 2, axis=(1, 2)).max())


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_no_jacobian_passes_the_constant(m: int, n: int, weights: str) -> None:
    for seed in range(3):
        for block in blocks(m, n, weights, seed):
            found = steepest(block, seed)
            assert found <= block.factor * (1 + 1e-9), block.kind


def test_blocks_that_are_too_strong_reach_their_constant() -> None:
    # One unit, s = 1.5625: x - 2 s relu(x) has the slope -(2 s - 1) = -2.125.
    w, zero, x = np.array([[1.25]]), np.zeros(1), np.array([[1.0]])
    for block in (CPL((0,), w, zero), SLL((0,), w, zero, np.ones(1))):
        assert 2.125 <= block.factor < 2.125 * (1 + 1e-11)
        assert block.evaluate(NumpyBackend, x)[0, 0] == -2.125
    sandwich = Sandwich((0,), w, zero, w)  # s = 3.125
    assert 3.125 <= sandwich.factor < 3.125 * (1 + 1e-11)
    assert sandwich.evaluate(NumpyBackend, x)[0, 0] == 3.125


@pytest.mark.parametrize("seed", range(5))
def test_dominance_holds_in_exact_arithmetic_and_is_tight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((6, 4)) * 10.0 ** rng.integers(-3, 3, (6, 1))
    shares = np.exp(rng.standard_normal(6))
    square = Fraction(SLL((0,), w, np.zeros(6), shares).square)
    rows = [[Fraction(v) for v in row] for row in w.tolist()]
    q = [Fraction(v) for v in shares.tolist()]
    sums = [
        sum(
            abs(sum(s * t for s, t in zip(a, b, strict=True))) * own
            for b, own in zip(rows, q, strict=True)
        )
        for a in rows
    ]
    exact = max(s / own for s, own in zip(sums, q, strict=True))
    assert exact <= square <= exact * Fraction(1 + 2**-38)


def test_one_ulp_below_the_exact_square_is_not_claimed() -> None:
    # (1/3, 2/3, 2/3) in floats: squares that do not add up to a float.
    w = np.array([[1 / 3, 2 / 3, 2 / 3]])
    exact = sum(Fraction(v) ** 2 for v in w[0].tolist())
    for block in (CPL((0,), w, np.zeros(1)), SLL((0,), w, np.zeros(1), np.ones(1))):
        assert Fraction(block.square) >= exact


def test_the_condition_on_the_wrong_side_proves_nothing() -> None:
    # A^T A + B^T B = I, and yet y = (2 relu(x_2), 0) stretches by 2.
    wrong = Sandwich((0,), np.array([[0.0, 1.0]]), np.zeros(1), np.array([[1.0, 0.0]]))
    _, _, outer = wrong.parts
    assert np.array_equal(outer.T @ outer + wrong.inner.T @ wrong.inner, np.eye(2))
    assert wrong.factor >= steepest(wrong) == 2.0


@pytest.mark.parametrize("weights", ["random", "uneven", "zero"])
def test_the_computed_block_is_as_near_the_exact_one_as_stated(weights: str) -> None:
    rng = np.random.default_rng(1)
    for block in blocks(9, 6, weights):
        program = Program((VectorInput(6, 2, 8.0),), (block,))
        x = rng.uniform(-8, 8, (5, 6))
        bound, size = float(program.ranges[-1].error[0]), program.ranges[-1].size[0]
        assert bound < 1e-11 * max(1.0, float(size))
        for row, value in zip(x.tolist(), program.evaluate(x), strict=True):
            exact = run_exact(program, [[Fraction(v) for v in row]])[-1]
            gaps = [Fraction(v) - e for v, e in zip(value.tolist(), exact, strict=True)]
            assert sum(g * g for g in gaps) <= Fraction(bound) ** 2
            assert sum(e * e for e in exact) <= Fraction(float(size)) ** 2


def test_torch_computes_the_same_within_the_stated_error() -> None:
    x = np.random.default_rng(2).uniform(-8, 8, (5, 6))
    for block in blocks(9, 6, "random"):
        program = Program((VectorInput(6, 2, 8.0),), (block,))
        there = program.evaluate(torch.tensor(x)).numpy()
        gap = np.linalg.norm(there - program.evaluate(x), axis=1)
        assert (gap <= 2 * program.ranges[-1].error[0]).all()


def test_blocks_survive_their_file_form_bit_by_bit() -> None:
    for block in blocks(5, 4, "random"):
        program = Program((VectorInput(4, 2, 8.0),), (block,))
        again = Program.from_arrays(*program.to_arrays())
        assert again.digest() == program.digest()
        assert again.constants(1.0)[-1] == program.constants(1.0)[-1]


def test_blocks_have_no_place_in_an_l_inf_program() -> None:
    for block in blocks(5, 4, "random"):
        with pytest.raises(UncertifiableLayerError, match=r"bounded in l_2 only"):
            Program((VectorInput(4, math.inf, 1.0),), (block,))


def test_an_overflow_in_the_analysis_certifies_nothing() -> None:
    huge = np.full((3, 4), 1e200)
    for block in (
        CPL((0,), huge, np.zeros(3)),
        SLL((0,), huge, np.zeros(3), np.ones(3)),
        Sandwich((0,), huge, np.zeros(3), huge),
    ):
        assert block.factor == math.inf
        head = Affine((1,), np.eye(2, 4), np.zeros(2), to_inf=True)
        program = Program((VectorInput(4, 2, 1.0),), (block, head))
        cert = certify(program, np.full((1, 4), 1e-150), FeatureBall(2))
        assert cert.radius[0] == 0


def test_a_constant_that_underflows_is_no_zero() -> None:
    tiny = np.full((2, 2), 1e-200)
    assert Sandwich((0,), tiny, np.zeros(2), tiny).factor > 0
    assert Sandwich((0,), 0 * tiny, np.zeros(2), 0 * tiny).factor == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: CPL((0,), np.ones((2, 3)), np.ones(3)),
        lambda: CPL((0,), np.ones(2), np.ones(2)),
        lambda: Sandwich((0,), np.ones((2, 3)), np.ones(2), np.ones((3, 3))),
        lambda: SLL((0,), np.ones((2, 3)), np.ones(2), np.ones(3)),
        lambda: SLL((0,), np.ones((2, 3)), np.ones(2), np.array([1.0, 0.0])),
    ],
)
def test_arrays_that_do_not_fit_are_refused(make: Any) -> None:
    with pytest.raises((ShapeError, InvalidInputError)):
        make()


def test_inputs_of_another_width_are_refused() -> None:
    for block in blocks(5, 4, "random"):
        with pytest.raises(ShapeError, match="3 inputs"):
            Program((VectorInput(3, 2, 1.0),), (block,))
