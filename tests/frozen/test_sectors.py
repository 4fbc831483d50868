"""Householder activations of order 2: four pieces, no step, nothing stretched."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stablerank.exceptions import (
    InvalidInputError,
    ShapeError,
    UncertifiableLayerError,
)
from stablerank.frozen import Householder, Program, Sectors, VectorInput
from stablerank.frozen.backend import backend_of
from tests.frozen.exact import run_exact


def of_angles(a: object, b: object, w: object, length: float = 1.0) -> Sectors:
    """Directions at these angles, one pair for each."""
    turns = np.array([np.atleast_1d(v) for v in (a, b, w)], float)
    directions = length * np.stack([np.cos(turns), np.sin(turns)], axis=2)
    directions[1:, :, 1] = directions[1:, :, 1].clip(min=0)
    return Sectors((0,), directions)


def sectors(n_pairs: int, seed: int = 0) -> Sectors:
    """Random directions of random lengths, b or w or both of some along an axis."""
    rng = np.random.default_rng(seed)
    turns = rng.uniform(0, math.pi, (3, n_pairs))
    turns[0] *= 2
    directions = np.stack([np.cos(turns), np.sin(turns)], axis=2)
    directions *= rng.uniform(0.6, 1.6, (3, n_pairs, 1))
    ends = [(1.0, None), (None, 1.0), (-1.0, None), (None, -1.0)]
    ends += [(b, w) for b in (1.0, -1.0) for w in (1.0, -1.0)]
    for pair, both in zip(range(n_pairs), ends, strict=False):
        for k, end in enumerate(both, 1):
            if end is not None:
                directions[k, pair] = end, 0.0
    return Sectors((0,), directions)


def applied(op: Sectors, z: np.ndarray) -> np.ndarray:
    return op.evaluate(backend_of(z), z)


@pytest.mark.parametrize("seed", range(3))
def test_values_are_as_near_the_definition_as_stated(seed: int) -> None:
    op = sectors(12, seed)
    program = Program((VectorInput(24, 2, 8.0),), (op,))
    (error,), (size,) = program.ranges[-1].error, program.ranges[-1].size
    assert error < 1e-11
    x = np.random.default_rng(seed).uniform(-8, 8, (12, 24))
    x[0] = 0.0
    x[1] = op.directions[0].ravel() * ([2.0] * 12 + [-2.0] * 12)
    for rows in (program.evaluate(x), program.evaluate(torch.tensor(x)).numpy()):
        for row, value in zip(x.tolist(), rows.tolist(), strict=True):
            start = [Fraction(v) for v in row]
            exact = run_exact(program, [start])[-1]
            gaps = [Fraction(v) - e for v, e in zip(value, exact, strict=True)]
            assert sum(g * g for g in gaps) <= Fraction(float(error)) ** 2
            # Lengths are kept to the last digit, as nothing is rounded there.
            length = sum(e * e for e in exact)
            assert length == sum(v * v for v in start) <= Fraction(float(size)) ** 2


ANGLE = st.one_of(
    st.sampled_from([0.0, 1e-17, 1e-9, math.pi / 2, math.pi - 1e-9, math.pi]),
    st.floats(0, math.pi),
)


@given(st.floats(-7, 7), ANGLE, ANGLE, st.floats(0.6, 1.9))
def test_no_pair_of_points_moves_apart(a: float, b: float, w: float, length: float):
    op = of_angles(a, b, w, length)
    # Around the circle, denser near the four rays, and where rounding decides.
    rays = np.array([a, a + b, a + b + w, a + w + math.pi])
    near = (rays[:, None] + [-1e-8, -1e-16, 0.0, 1e-16, 1e-8]).ravel()
    turns = np.sort(np.concatenate([np.linspace(0, 7, 60), near]))
    z = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    moved = applied(op, z)
    apart = np.linalg.norm(z[:, None] - z, axis=2)
    after = np.linalg.norm(moved[:, None] - moved, axis=2)
    assert (after <= apart + 1e-14).all()
    assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-14)
    if min(b, w, math.pi - b, math.pi - w) > 0.3:  # every sector keeps its lengths
        middles = np.array([a + b / 2, a + b + w / 2, a + w / 2 + math.pi / 2 + b / 2])
        for turn in middles:
            pair = turn + np.array([0.0, 1e-3])
            ends = applied(op, np.stack([np.cos(pair), np.sin(pair)], axis=1))
            assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(1e-3, rel=1e-6)


def test_no_second_angle_is_one_reflection() -> None:
    turns = np.random.default_rng(0).uniform(0, 2 * math.pi, 9)
    one = np.stack([np.sin(turns), -np.cos(turns)], axis=1)[None]
    z = np.random.default_rng(1).standard_normal((50, 18))
    reflected = Householder((0,), one).evaluate(backend_of(z), z)
    for b in np.random.default_rng(2).uniform(0, math.pi, 4):
        op = of_angles(turns, np.full(9, b), np.zeros(9))
        assert np.allclose(applied(op, z), reflected, atol=1e-14)


def test_two_reflections_are_sectors_of_supplementary_angles() -> None:
    # Lines at 0.4 and at 0.4 + b: what the first leaves lies above the first line.
    a, b = 0.4, 1.1
    lines = np.array(
        [[[math.sin(a), -math.cos(a)]], [[-math.sin(a + b), math.cos(a + b)]]]
    )
    z = np.random.default_rng(3).standard_normal((200, 2))
    twice = Householder((0,), lines).evaluate(backend_of(z), z)
    assert np.allclose(applied(of_angles(a, b, math.pi - b), z), twice, atol=1e-14)
    # ... and other sectors are no two reflections: their widths come in other pairs.
    assert not np.allclose(applied(of_angles(a, b, 0.5), z), twice, atol=0.1)


def test_the_constant_is_one_whatever_is_stored() -> None:
    for seed in range(5):
        program = Program((VectorInput(20, 2, 8.0),), (sectors(10, seed),))
        assert program.constants(1.0)[-1].tolist() == [1.0]


def test_directions_that_are_none_are_refused() -> None:
    good = of_angles(0.3, 0.4, 0.5).directions
    with pytest.raises(ShapeError, match="pairs"):
        Sectors((0,), good[:2])
    with pytest.raises(ShapeError, match="4 inputs"):
        Program((VectorInput(4, 2, 1.0),), (Sectors((0,), good),))
    for scale in (0.1, 9.0):
        with pytest.raises(InvalidInputError, match="near 1"):
            Sectors((0,), good * scale)
    with pytest.raises(InvalidInputError, match="between 0 and pi"):
        Sectors((0,), good * [1.0, -1.0])
    with pytest.raises(UncertifiableLayerError, match=r"sqrt\(2\)"):
        Program((VectorInput(2, math.inf, 1.0),), (Sectors((0,), good),))
