"""Rounding errors of frozen operations against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stablerank.diagrams import Diagrams
from stablerank.frozen import (
    Abs,
    Add,
    Affine,
    BarFunctions,
    BarInput,
    Concat,
    Contours,
    Conv,
    Deaths,
    Diagonal,
    Distance,
    GroupSort,
    Program,
    ReLU,
    Reorder,
    SortNeuron,
    SortTop,
    Tails,
    VectorInput,
)
from tests.frozen.exact import run_exact


def _l1_rows(rng: np.random.Generator, n_out: int, n_in: int) -> Any:
    weight = rng.standard_normal((n_out, n_in))
    return weight / np.abs(weight).sum(axis=1, keepdims=True)


def _conv(rng: np.random.Generator, **options: Any) -> Conv:
    kernel = rng.standard_normal((5, 3, 2, 3))
    return Conv((0,), kernel, rng.standard_normal(5), shape=(2, 4, 3), **options)


def vector_programs() -> dict[str, Program]:
    """One program an operation, then a deep one."""
    rng = np.random.default_rng(0)
    n = 24
    single = {
        "affine": Affine((0,), rng.standard_normal((7, n)), rng.standard_normal(7)),
        "diagonal": Diagonal((0,), rng.standard_normal(n), rng.standard_normal(n)),
        "group sort": GroupSort((0,), size=6),
        "maxmin": GroupSort((0,), size=2),
        "abs": Abs((0,)),
        "relu": ReLU((0,)),
        "distance": Distance((0,), rng.standard_normal((9, n)), rng.standard_normal(9)),
        "sort neuron": SortNeuron(
            (0,),
            rng.standard_normal((5, n)),
            0.5 ** np.arange(1, 9),
            rng.standard_normal(5),
        ),
        "conv": _conv(rng),
        "conv, circular": _conv(rng, padding="circular", pads=(0, 1, 1, 1)),
        "conv, stride": _conv(rng, stride=2, pads=(1, 1, 2, 3)),
        "reorder": Reorder((0,), positions=rng.permutation(n)[:10], n_in=n),
        "add": Add((0, 0)),
        "concat": Concat((0, 0)),
    }
    programs = {
        k: Program((VectorInput(n, math.inf, 8.0),), (op,)) for k, op in single.items()
    }
    deep = (
        Diagonal((0,), np.full(n, 1000.0), rng.standard_normal(n)),
        Affine((1,), _l1_rows(rng, 32, n), rng.standard_normal(32)),
        GroupSort((2,), size=16),
        Affine((3,), _l1_rows(rng, 32, 32), rng.standard_normal(32)),
        GroupSort((4,), size=4),
        Add((3, 5)),
        Affine((6,), rng.standard_normal((3, 32)), rng.standard_normal(3)),
    )
    programs["deep"] = Program((VectorInput(n, math.inf, 8.0),), deep)
    return programs


@pytest.mark.parametrize("name", list(vector_programs()))
def test_the_computed_output_is_as_near_the_exact_one_as_stated(name: str) -> None:
    program = vector_programs()[name]
    rng = np.random.default_rng(1)
    x = np.clip(rng.standard_normal((6, 24)) * 4, -8, 8)
    computed = program.evaluate(x)
    bound, size = program.rounding(), program.ranges[-1].size
    for row, value in zip(x.tolist(), computed, strict=True):
        exact = run_exact(program, [[Fraction(v) for v in row]])[-1]
        for e, v, b, s in zip(
            exact, value.tolist(), bound.tolist(), size.tolist(), strict=True
        ):
            assert abs(Fraction(v) - e) <= Fraction(b)
            assert abs(e) <= Fraction(s)


@pytest.mark.parametrize("name", ["affine", "conv", "distance", "deep"])
def test_the_stated_error_is_not_vacuous(name: str) -> None:
    program = vector_programs()[name]
    assert program.rounding().max() < 1e-9 * program.ranges[-1].size.max()
    assert program.rounding().max() > 0


def bar_program() -> Program:
    """Every operation on bars, over two channels."""
    tents = [[[-1.0, 0.0, t], [0.0, 1.0, -t]] for t in (0.1, 0.3, 0.7)]
    rng = np.random.default_rng(2)
    knots = np.sort(rng.random((2, 5)), axis=1)
    return Program(
        (
            BarInput("H0", 0, "value", None, 0.0, 1.0, 64, 0.0, pinned=True),
            BarInput("H1", 1, "value", None, 0.0, 1.0, 64, 0.0),
        ),
        (
            Deaths((0,)),
            SortTop((2,), ranks=np.array([0, 1, 3, 9])),
            BarFunctions((1,), forms=np.array(tents)),
            SortTop((4,), ranks=np.array([0, 2])),
            Contours((1,), knots=knots, slopes=rng.random((2, 4)) * 3),
            Tails((6,), ranks=np.arange(3), p=1.0, max_bars=64),
            Concat((3, 5, 7)),
        ),
    )


def random_diagrams(seed: int, n: int = 5) -> Diagrams:
    """H0 born at 0, H1 anywhere, ragged, one sample without bars."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(n):
        deaths = rng.random((rng.integers(1, 12), 1)) * (i > 0)
        births = rng.random((rng.integers(1, 9), 1))
        h1 = np.hstack([births, births + rng.random(births.shape)])
        samples.append([np.hstack([0 * deaths, deaths]), h1 if i else np.empty((0, 2))])
    return Diagrams.from_list(samples)


def test_bar_operations_are_as_exact_as_stated() -> None:
    program, diagrams = bar_program(), random_diagrams(3)
    computed, bound = program.evaluate(diagrams), program.rounding()
    assert not computed[0].any()  # the sample without bars
    for i, diagram in enumerate(diagrams[1:], 1):
        bars = [
            [
                tuple(Fraction(min(max(v, 0.0), 1.0)) for v in bar)
                for bar in diagram[channel].tolist()
            ]
            for channel in ("H0", "H1")
        ]
        exact = run_exact(program, bars)[-1]
        for e, v, b in zip(exact, computed[i].tolist(), bound.tolist(), strict=True):
            assert abs(Fraction(v) - e) <= Fraction(b)


def test_quadratic_tails_are_as_exact_as_stated() -> None:
    half = np.array([[[-0.5, 0.5, 0.0]]])
    program = Program(
        (BarInput("H0", 0, "value", None, 0.0, 1.0, 64, 0.0),),
        (
            BarFunctions((0,), forms=half),
            Tails((1,), ranks=np.arange(4), p=2.0, max_bars=64),
        ),
    )
    diagrams = random_diagrams(4).select(["H0"])
    computed, bound = program.evaluate(diagrams), program.rounding()
    for i, diagram in enumerate(diagrams):
        bars = [tuple(Fraction(v) for v in bar) for bar in diagram["H0"].tolist()]
        squares = run_exact(program, [bars])[-1]
        for s, v, b in zip(squares, computed[i].tolist(), bound.tolist(), strict=True):
            low, high = (
                max(Fraction(v) - Fraction(b), Fraction(0)),
                Fraction(v) + Fraction(b),
            )
            assert low**2 <= s <= high**2


def test_values_do_not_depend_on_the_batch() -> None:
    program, diagrams = bar_program(), random_diagrams(5, n=9)
    whole = program.evaluate(diagrams)
    alone = np.concatenate([program.evaluate(diagrams[i : i + 1]) for i in range(9)])
    assert whole.tobytes() == alone.tobytes()


def test_torch_gives_the_same_values_within_the_stated_error() -> None:
    import torch

    program = vector_programs()["deep"]
    x = np.clip(np.random.default_rng(6).standard_normal((4, 24)), -8, 8)
    there = program.evaluate(torch.tensor(x)).numpy()
    assert (np.abs(there - program.evaluate(x)) <= 2 * program.rounding()).all()
