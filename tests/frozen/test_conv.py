"""Operations on images: what they compute, how far it moves, how exact it is."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Conv, GroupLength, Program, Reorder, VectorInput
from stablerank.frozen import conv as conv_module
from tests.frozen.exact import run_exact

SHAPE = (4, 5, 2)
WIDTH = math.prod(SHAPE)
#: Kernel, pads (top, bottom, left, right), padding, stride.
CASES = [
    ((3, 3), (1, 1, 1, 1), "zeros", 1),
    ((3, 3), (1, 1, 1, 1), "circular", 1),
    ((3, 3), (1, 1, 1, 1), "zeros", 2),
    ((3, 3), (0, 2, 2, 0), "circular", 2),
    ((2, 4), (0, 0, 0, 0), "zeros", 3),
    ((4, 5), (0, 3, 0, 4), "circular", 1),
    ((1, 1), (0, 0, 0, 0), "zeros", 1),
    ((2, 2), (3, 0, 1, 2), "zeros", 1),
]


def conv(case: tuple[Any, ...], seed: int = 0) -> Conv:
    size, pads, padding, stride = case
    rng = np.random.default_rng(seed)
    kernel, bias = rng.standard_normal((3, 2, *size)), rng.standard_normal(3)
    return Conv((0,), kernel, bias, SHAPE, stride, pads, padding)


def alone(op: Any, norm: float, width: int = WIDTH) -> Program:
    return Program((VectorInput(width, norm, 8.0),), (op,))


def matrix(op: Conv) -> NDArray[np.float64]:
    """The linear part, (n_out, n_in), column by column."""
    program, unit = alone(op, 2), np.eye(WIDTH)
    return np.asarray(program.evaluate(unit) - program.evaluate(0 * unit)).T


@pytest.mark.parametrize("case", CASES)
def test_a_convolution_is_that_of_torch(case: tuple[Any, ...]) -> None:
    op, x = conv(case), np.random.default_rng(1).standard_normal((6, *SHAPE))
    top, bottom, left, right = op.pads
    mode = "circular" if op.padding == "circular" else "constant"
    padded = torch.nn.functional.pad(
        torch.tensor(x).permute(0, 3, 1, 2), (left, right, top, bottom), mode=mode
    )
    kernel, bias = torch.tensor(op.kernel.copy()), torch.tensor(op.bias.copy())
    expected = torch.nn.functional.conv2d(padded, kernel, bias, stride=op.stride)
    flat = expected.permute(0, 2, 3, 1).flatten(1).numpy()
    program = alone(op, 2)
    assert flat.shape[1] == program.n_outputs == math.prod(op.out_shape)
    rows = x.reshape(6, WIDTH)
    for found in (program.evaluate(rows), program.evaluate(torch.tensor(rows)).numpy()):
        assert np.abs(found - flat).max() < 1e-13


@pytest.mark.parametrize("case", CASES)
def test_no_direction_is_stretched_more_than_the_l2_constant(
    case: tuple[Any, ...],
) -> None:
    for seed in range(5):
        op = conv(case, seed)
        (constant,) = alone(op, 2).constants(1.0)[-1]
        assert np.linalg.norm(matrix(op), 2) <= constant * (1 + 1e-13)


@pytest.mark.parametrize("case", [c for c in CASES if c[2] == "circular" and c[3] == 1])
def test_the_constant_of_a_circular_convolution_is_attained(
    case: tuple[Any, ...],
) -> None:
    op = conv(case)
    (constant,) = alone(op, 2).constants(1.0)[-1]
    assert np.linalg.norm(matrix(op), 2) >= 0.999 * constant


@pytest.mark.parametrize("case", CASES)
def test_l_inf_constants_are_row_sums_in_exact_arithmetic(
    case: tuple[Any, ...],
) -> None:
    op, rng = conv(case), np.random.default_rng(2)
    moves = rng.random(WIDTH)
    absolute = Conv((0,), abs(op.kernel), 0 * op.bias, *case_fields(op))
    exact = run_exact(alone(absolute, math.inf), [[Fraction(v) for v in moves]])[-1]
    for k, e in zip(alone(op, math.inf).constants(moves)[-1], exact, strict=True):
        assert e <= Fraction(k) <= e * Fraction(1 + 2**-44)


def case_fields(op: Conv) -> tuple[Any, ...]:
    return op.shape, op.stride, op.pads, op.padding


def test_a_move_that_reaches_no_output_has_constant_zero() -> None:
    op = Conv((0,), np.ones((1, 1, 1, 1)), np.zeros(1), (1, 3, 1), stride=2)
    moves = np.array([0.0, 1.0, 0.0])  # the pixel that the stride skips
    assert alone(op, math.inf, 3).constants(moves)[-1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [1.0, 1e-160])
def test_the_l2_error_is_as_stated_in_exact_arithmetic(
    case: tuple[Any, ...], size: float
) -> None:
    program = alone(conv(case), 2)
    x = size * np.random.default_rng(3).uniform(-8, 8, (2, WIDTH))
    for row, computed in zip(x, program.evaluate(x), strict=True):
        exact = run_exact(program, [[Fraction(v) for v in row.tolist()]])[-1]
        gaps = [Fraction(v) - e for v, e in zip(computed.tolist(), exact, strict=True)]
        assert sum(g * g for g in gaps) <= Fraction(program.rounding()[0]) ** 2
        length = sum(e * e for e in exact)
        assert length <= Fraction(program.ranges[-1].size[0]) ** 2


def test_blocks_change_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    program = alone(conv(CASES[0]), 2)
    x = np.random.default_rng(4).standard_normal((7, WIDTH))
    whole = program.evaluate(x)
    monkeypatch.setattr(conv_module, "_BLOCK", 1)
    assert np.abs(program.evaluate(x) - whole).max() < 1e-14
    assert program.evaluate(x[:0]).shape == (0, program.n_outputs)


def test_gradients_pass_through_a_frozen_convolution() -> None:
    op = conv(CASES[2])
    x = torch.zeros(1, WIDTH, dtype=torch.float64, requires_grad=True)
    alone(op, 2).evaluate(x).sum().backward()
    assert x.grad is not None
    assert np.allclose(x.grad.numpy()[0], matrix(op).sum(axis=0))


def test_programs_with_images_survive_their_file_form() -> None:
    operations = (
        Reorder((0,), positions=np.random.default_rng(5).permutation(WIDTH), n_in=40),
        Conv((1,), np.ones((2, 2, 3, 3)), np.zeros(2), SHAPE, pads=(1, 1, 1, 1)),
        GroupLength((2,), size=4),
    )
    program = Program((VectorInput(WIDTH, 2, 8.0),), operations)
    again = Program.from_arrays(*program.to_arrays())
    assert again.digest() == program.digest()
    x = np.random.default_rng(6).standard_normal((3, WIDTH))
    assert again.evaluate(x).tobytes() == program.evaluate(x).tobytes()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": (4, 5, 3)}, "channels"),
        ({"bias": np.zeros(4)}, "bias"),
        ({"padding": "reflect"}, "circular"),
        ({"stride": 0}, "stride"),
        ({"pads": (-1, 0, 0, 0)}, "pads"),
        ({"shape": (2, 5, 2), "pads": (0, 0, 0, 0)}, "kernel of 3"),
        ({"padding": "circular", "pads": (2, 1, 0, 0)}, "repeats"),
        ({"padding": "circular", "shape": (2, 5, 2)}, "repeats"),
    ],
)
def test_convolutions_that_make_no_sense_are_refused(
    change: dict[str, Any], word: str
) -> None:
    good = {
        "inputs": (0,),
        "kernel": np.ones((3, 2, 3, 3)),
        "bias": np.zeros(3),
        "shape": SHAPE,
        "pads": (1, 1, 1, 1),
    }
    Conv(**good)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=word):
        Conv(**{**good, **change})  # type: ignore[arg-type]


def test_positions_must_be_distinct_coordinates() -> None:
    for positions, error in (([0, 0], InvalidInputError), ([3], ShapeError)):
        with pytest.raises(error, match="position"):
            Reorder((0,), positions=np.array(positions), n_in=3)
    with pytest.raises(ShapeError, match="3"):
        alone(Reorder((0,), positions=np.arange(3), n_in=3), 2, width=4)


def test_reordered_coordinates_keep_their_own_constants() -> None:
    op = Reorder((0,), positions=np.array([2, 0]), n_in=3)
    moves = np.array([1.0, 2.0, 3.0])
    assert alone(op, math.inf, 3).constants(moves)[-1].tolist() == [3.0, 1.0]
    assert alone(op, 2, 3).constants(5.0)[-1].tolist() == [5.0]


@pytest.mark.parametrize("norm", [2, math.inf])
@pytest.mark.parametrize("size", [1.0, 1e-160, 1e-300])
def test_lengths_are_as_exact_as_stated(norm: float, size: float) -> None:
    program = alone(GroupLength((0,), size=5), norm)
    x = size * np.random.default_rng(7).uniform(-8, 8, (3, WIDTH))
    bound = Fraction(program.rounding()[0])
    for row, computed in zip(x, program.evaluate(x), strict=True):
        squares = run_exact(program, [[Fraction(v) for v in row.tolist()]])[-1]
        for s, v in zip(squares, computed.tolist(), strict=True):
            low, high = max(Fraction(v) - bound, Fraction(0)), Fraction(v) + bound
            assert low**2 <= s <= high**2
    assert program.rounding()[0] < 1e-13


def test_lengths_move_as_far_as_their_group() -> None:
    op = GroupLength((0,), size=2)
    moves = np.array([3.0, 4.0, 0.0, 0.0])
    assert alone(op, math.inf, 4).constants(moves)[-1].tolist() == [5.0, 0.0]
    assert alone(op, 2, 4).constants(1.0)[-1].tolist() == [1.0]
    program, step = alone(op, 2, 4), np.array([[3.0, 4.0, 8.0, 6.0]])
    assert program.evaluate(step).tolist() == [[5.0, 10.0]]  # attained from 0
    with pytest.raises(ShapeError, match="groups of 2"):
        alone(op, 2, 3)


def test_zero_padding_can_pass_the_norm_of_the_torus() -> None:
    # The bound by the image's own frequencies alone is false for zeros.
    worst = 0.0
    for seed, (height, width) in product(range(20), [(2, 2), (3, 3)]):
        kernel = np.random.default_rng(seed).standard_normal((1, 1, 2, 2))
        shape = (height, width, 1)
        torus, zeros = (
            Conv((0,), kernel, np.zeros(1), shape, 1, (1, 0, 1, 0), padding)
            for padding in ("circular", "zeros")
        )
        unit = np.eye(height * width)
        norms = [
            np.linalg.norm(alone(op, 2, len(unit)).evaluate(unit), 2)
            for op in (torus, zeros)
        ]
        worst = max(worst, norms[1] / norms[0])
        assert norms[1] <= zeros.spectral_norm * (1 + 1e-13)
    assert worst > 1.03
