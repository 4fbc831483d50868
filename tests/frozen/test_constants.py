"""Constants of frozen programs: never passed by an attack, exact where they can be."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from stablerank.diagrams import Diagrams
from stablerank.exceptions import (
    IncompatibleDiagramsError,
    InvalidInputError,
    MetricMismatchError,
    NonFiniteError,
    UncertifiableLayerError,
)
from stablerank.frozen import (
    Affine,
    BarFunctions,
    BarInput,
    Deaths,
    Distance,
    GroupSort,
    Program,
    SortTop,
    Tails,
    VectorInput,
)
from stablerank.frozen.base import matvec_up
from stablerank.matching import bottleneck_distance
from stablerank.metrics import Bottleneck, SortedDeaths, Wasserstein
from tests.frozen.test_errors import bar_program, random_diagrams, vector_programs


@pytest.mark.parametrize("name", list(vector_programs()))
def test_no_pair_of_vectors_moves_the_output_more_than_its_constant(name: str) -> None:
    program = vector_programs()[name]
    constant = program.constants(1.0)[-1]
    slack = 2 * program.rounding()
    rng = np.random.default_rng(7)
    x = rng.uniform(-4, 4, (200, 24))
    for size in (1e-3, 1.0):
        y = x + size * rng.choice([-1.0, 1.0], x.shape)
        step = np.abs(x - y).max()
        moved = np.abs(program.evaluate(x) - program.evaluate(y)).max(axis=0)
        assert (moved <= constant * step + slack).all()


@pytest.mark.parametrize("name", ["affine", "conv", "diagonal", "distance"])
def test_a_sign_attack_comes_close_to_the_constant(name: str) -> None:
    program = vector_programs()[name]
    constant = program.constants(1.0)[-1]
    rng = np.random.default_rng(8)
    best = np.zeros(program.n_outputs)
    for _ in range(30):
        x = rng.uniform(-4, 4, 24)
        # Finite differences give the sign of every partial derivative.
        grid = np.vstack([x, x + 1e-6 * np.eye(24)])
        values = program.evaluate(grid)
        signs = np.sign(values[1:] - values[0])  # (24, out)
        ends = program.evaluate(np.vstack([x + 1e-6 * signs.T, x - 1e-6 * signs.T]))
        n = program.n_outputs
        best = np.maximum(best, np.abs(np.diag(ends[:n] - ends[n:])) / 2e-6)
    assert (best / constant).max() > 0.99
    assert (best <= constant * (1 + 1e-6)).all()


def test_row_sums_are_upper_bounds_in_exact_arithmetic() -> None:
    rng = np.random.default_rng(9)
    for scale in (1.0, 1e-160, 1e150):
        weight, x = rng.standard_normal((5, 40)) * scale, rng.random(40) * scale
        upper = matvec_up(weight, x)
        for row, value in zip(weight.tolist(), upper.tolist(), strict=True):
            exact = sum(
                abs(Fraction(w)) * Fraction(v)
                for w, v in zip(row, x.tolist(), strict=True)
            )
            assert Fraction(value) >= exact
            assert (
                Fraction(value) <= exact * Fraction(1 + 2**-40) + Fraction(2) ** -1060
            )


def test_a_product_that_underflows_is_no_zero() -> None:
    assert matvec_up(np.array([[1e-200]]), np.array([1e-200]))[0] > 0
    assert matvec_up(np.array([[0.0]]), np.array([1e300]))[0] == 0


def test_pair_constants_are_row_differences_in_exact_arithmetic() -> None:
    rng = np.random.default_rng(10)
    weight = rng.standard_normal((4, 9))
    program = Program(
        (VectorInput(9, math.inf, 1.0),), (Affine((0,), weight, np.zeros(4)),)
    )
    pairs = program.pair_constants(1.0)
    for c in range(4):
        for j in range(4):
            gaps = zip(weight[c].tolist(), weight[j].tolist(), strict=True)
            exact = sum(abs(Fraction(s) - Fraction(t)) for s, t in gaps)
            assert Fraction(pairs[c, j]) >= exact
            assert Fraction(pairs[c, j]) <= exact * Fraction(1 + 2**-44)


def test_equal_rows_have_constant_exactly_zero() -> None:
    weight = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 1e-320]])
    program = Program(
        (VectorInput(2, math.inf, 1.0),), (Affine((0,), weight, np.zeros(3)),)
    )
    pairs = program.pair_constants(1.0)
    assert pairs[0, 1] == 0
    assert pairs[0, 2] > 0


def test_features_of_diagrams_move_no_more_than_the_bars() -> None:
    program = bar_program()
    until = 5  # tents, sorted; register numbers count the two inputs
    rng = np.random.default_rng(13)
    for seed in range(40):
        one = random_diagrams(seed, n=2)[1:]
        bars = one.to_list()[0]
        moved = {
            "H0": bars["H0"],
            "H1": bars["H1"] + rng.uniform(-0.05, 0.05, bars["H1"].shape),
        }
        moved["H1"][:, 1] = np.maximum(moved["H1"][:, 0], moved["H1"][:, 1])
        other = Diagrams.from_list([moved])
        # The domain is [0, 1]: compare clipped bars, as the program does.
        distance = bottleneck_distance(
            np.clip(bars["H1"], 0, 1), np.clip(moved["H1"], 0, 1)
        )
        gap = np.abs(
            program.evaluate(one, until) - program.evaluate(other, until)
        ).max()
        table = {"H0": {SortedDeaths(): 0.0}, "H1": {Bottleneck(): distance}}
        first = Program(program.inputs, program.operations[:4])
        assert gap <= first.constants(table)[until].max() + 1e-15


def test_tents_attain_constant_one() -> None:
    tent = np.array([[[-1.0, 0.0, 0.5], [0.0, 1.0, -0.5]]])
    program = Program(
        (BarInput("H1", 1, "value", None, 0.0, 1.0, 8, 0.0),),
        (BarFunctions((0,), tent), SortTop((1,), ranks=np.array([0]))),
    )
    assert program.constants({"H1": {Bottleneck(): 1.0}})[-1].tolist() == [1.0]


def test_a_function_that_is_positive_on_the_diagonal_is_refused() -> None:
    for form in ([0.0, 1.0, 0.0], [-0.5, 0.5, 1e-300]):
        with pytest.raises(InvalidInputError, match="diagonal"):
            BarFunctions((0,), np.array([[form]]))


def test_bars_without_a_bound_in_a_usable_metric_are_refused() -> None:
    half = np.array([[[-0.5, 0.5, 0.0]]])
    program = Program(
        (BarInput("H1", 1, "value", None, 0.0, 1.0, 8, 0.0),),
        (BarFunctions((0,), half), Tails((1,), ranks=np.arange(2), p=1.0, max_bars=8)),
    )
    with pytest.raises(MetricMismatchError):
        program.constants({"H1": {Bottleneck(): 1.0}})
    constant = program.constants({"H1": {Wasserstein(1, 1): 1.0}})[-1]
    assert constant.tolist() == [0.5, 0.5]


def test_deaths_need_a_pinned_channel() -> None:
    ops = (Deaths((0,)), SortTop((1,), ranks=np.array([0])))
    with pytest.raises(InvalidInputError, match="born at 0"):
        Program((BarInput("H0", 0, "value", None, 0.0, 1.0, 8, 0.0),), ops)


def test_births_in_a_pinned_channel_are_refused() -> None:
    program = bar_program()
    diagrams = Diagrams.from_list([[[(0.1, 0.2)], [(0.0, 1.0)]]])
    with pytest.raises(IncompatibleDiagramsError, match="born"):
        program.evaluate(diagrams)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"convention": "radius"}, "radius"),
        ({"unit": "angstrom"}, "angstrom"),
        ({"error": 1.0}, "engine error"),
    ],
)
def test_diagrams_outside_the_frozen_limits_are_refused(
    change: dict, word: str
) -> None:
    diagrams = Diagrams.from_list(random_diagrams(0).to_list(), **change)
    with pytest.raises(IncompatibleDiagramsError, match=word):
        bar_program().evaluate(diagrams)


def test_too_many_bars_are_refused() -> None:
    crowd = np.tile([0.0, 1.0], (65, 1))
    diagrams = Diagrams.from_list([[[(0.0, 1.0)], crowd]])
    with pytest.raises(IncompatibleDiagramsError, match="bars 65"):
        bar_program().evaluate(diagrams)


def test_distance_neurons_have_no_place_in_an_l2_program() -> None:
    with pytest.raises(UncertifiableLayerError, match="l_inf"):
        Program((VectorInput(2, 2, 1.0),), (Distance((0,), np.eye(2), np.zeros(2)),))


def test_weights_that_are_not_finite_do_not_freeze() -> None:
    with pytest.raises(NonFiniteError, match="weight"):
        Affine((0,), np.array([[np.nan]]), np.zeros(1))


def test_a_program_survives_its_file_form_bit_by_bit() -> None:
    for program in (bar_program(), vector_programs()["deep"]):
        again = Program.from_arrays(*program.to_arrays())
        assert again.digest() == program.digest()


def test_group_maxima_carry_the_constants() -> None:
    program = Program((VectorInput(4, math.inf, 1.0),), (GroupSort((0,), size=2),))
    moved = program.constants(np.array([1.0, 3.0, 2.0, 0.5]))[-1]
    assert moved.tolist() == [3.0, 3.0, 2.0, 2.0]
