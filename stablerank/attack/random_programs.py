"""Programs that nobody trained: operations in random order, with random numbers.

Training makes weights tame.  Bounds must hold for any numbers, so here scales differ by
many orders, ties and zeros are planted, and registers are read twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.diagrams import Diagrams
from stablerank.frozen import (
    CPL,
    SLL,
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
    Householder,
    Operation,
    Program,
    ReLU,
    Reorder,
    Sandwich,
    Sectors,
    SortNeuron,
    SortTop,
    Spline,
    VectorInput,
)

__all__ = ["random_bar_program", "random_diagrams", "random_program"]

Array = NDArray[np.float64]
#: (rng, register) to an operation from `WIDTH` to `WIDTH` coordinates.
_Maker = Callable[[np.random.Generator, int], Operation]

#: Of all registers between input and head; an image of 2 x 2 pixels, 3 channels.
WIDTH = 12


def _scale(rng: np.random.Generator) -> float:
    return float(10.0 ** rng.uniform(-2, 2))


def _matrix(rng: np.random.Generator, m: int, n: int) -> Array:
    """Random numbers of a random scale, some of them 0, some rows equal."""
    weight = rng.normal(size=(m, n)) * (rng.random((m, n)) < rng.choice([0.3, 1.0]))
    if m > 1 and rng.random() < 0.2:
        weight[1] = weight[0]
    return np.asarray(weight * _scale(rng))


def _affine(rng: np.random.Generator, register: int) -> Operation:
    return Affine((register,), _matrix(rng, WIDTH, WIDTH), rng.normal(size=WIDTH))


def _spline(rng: np.random.Generator, register: int) -> Operation:
    knots = np.sort(rng.normal(size=(WIDTH, 4)), axis=1)
    slopes = _matrix(rng, WIDTH, 5)
    return Spline((register,), knots, slopes, rng.normal(size=WIDTH))


def _sectors(rng: np.random.Generator, register: int) -> Operation:
    turns = rng.uniform(0, np.pi, (3, WIDTH // 2))
    directions = np.stack([np.cos(turns), np.sin(turns)], axis=2)
    return Sectors((register,), directions * rng.uniform(0.6, 1.6, (*turns.shape, 1)))


def _conv(rng: np.random.Generator, register: int) -> Operation:
    kernel = _matrix(rng, 3, 12).reshape(3, 3, 2, 2)
    padding = str(rng.choice(["zeros", "circular"]))
    return Conv(
        (register,),
        kernel,
        rng.normal(size=3),
        shape=(2, 2, 3),
        pads=(0, 1, 0, 1),
        padding=padding,
    )


_ANY: list[_Maker] = [
    _affine,
    _spline,
    _conv,
    lambda rng, k: Diagonal(
        (k,), _matrix(rng, 1, WIDTH)[0], rng.normal(size=WIDTH) * _scale(rng)
    ),
    lambda rng, k: GroupSort((k,), size=int(rng.choice([2, 3, 12]))),
    lambda rng, k: Abs((k,)),
    lambda rng, k: ReLU((k,)),
    lambda rng, k: Reorder((k,), positions=rng.permutation(WIDTH), n_in=WIDTH),
    lambda rng, k: Add((k, int(rng.integers(k + 1)))),
]
_IN_LINF: list[_Maker] = [
    lambda rng, k: Distance((k,), _matrix(rng, WIDTH, WIDTH), rng.normal(size=WIDTH)),
    lambda rng, k: SortNeuron(
        (k,),
        _matrix(rng, WIDTH, WIDTH),
        rng.random(int(rng.integers(1, WIDTH))),
        rng.normal(size=WIDTH),
    ),
]
_IN_L2: list[_Maker] = [
    lambda rng, k: Householder((k,), _matrix(rng, 2, WIDTH).reshape(2, -1, 2)),
    _sectors,
    lambda rng, k: CPL((k,), _matrix(rng, 5, WIDTH), rng.normal(size=5)),
    lambda rng, k: SLL(
        (k,), _matrix(rng, 5, WIDTH), rng.normal(size=5), np.exp(rng.normal(size=5))
    ),
    lambda rng, k: Sandwich(
        (k,),
        _matrix(rng, 5, WIDTH),
        rng.normal(size=5),
        _matrix(rng, 5, WIDTH),
    ),
]


def random_program(rng: np.random.Generator, norm: float, depth: int = 4) -> Program:
    """Program on vectors of 12 features.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of everything.
    norm : float
        2 or inf: in which the input moves.
    depth : int
        Operations before the head.

    Examples
    --------
    >>> program = random_program(np.random.default_rng(0), math.inf)
    >>> program.widths[0], program.n_outputs > 1
    (12, True)
    """
    makers = _ANY + (_IN_LINF if math.isinf(norm) else _IN_L2)
    operations = [makers[rng.integers(len(makers))](rng, k) for k in range(depth)]
    head = _matrix(rng, int(rng.integers(2, 5)), WIDTH)
    operations.append(Affine((depth,), head, np.zeros(len(head))))
    program = Program((VectorInput(WIDTH, norm, 16.0),), tuple(operations))
    return _balanced(program, rng.uniform(-4, 4, (99, WIDTH)))


def _balanced(program: Program, data: Any) -> Program:
    """Every class somewhere: the median of every logit is 0."""
    *body, head = program.operations
    bias = -np.median(program.evaluate(data), axis=0)
    return Program(program.inputs, (*body, replace(head, bias=bias)))  # type: ignore[call-arg]


def random_bar_program(rng: np.random.Generator) -> Program:
    """Program on channels H0, whose bars are born at 0, and H1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of everything.

    Examples
    --------
    >>> random_bar_program(np.random.default_rng(0)).is_on_bars
    True
    """
    middles = rng.uniform(0.1, 0.9, 3)
    tents = [[[-1.0, 0.0, t], [0.0, 1.0, -t]] for t in middles.tolist()]
    knots = np.sort(rng.random((2, 5)), axis=1)
    n_ranks = int(rng.integers(1, 4))
    ranks = np.sort(rng.permutation(8)[:n_ranks])
    operations: list[Operation] = [
        Deaths((0,)),
        SortTop((2,), ranks),
        BarFunctions((1,), np.array(tents)),
        SortTop((4,), ranks),
        Contours((1,), knots, rng.random((2, 4)) * _scale(rng)),
        SortTop((6,), ranks),
        Concat((3, 5, 7)),
    ]
    width = 6 * n_ranks
    operations.append(Affine((8,), _matrix(rng, 8, width), rng.normal(size=8)))
    operations.append(GroupSort((9,), size=int(rng.choice([2, 4, 8]))))
    operations.append(Affine((10,), _matrix(rng, 3, 8), np.zeros(3)))
    entries = (
        BarInput("H0", 0, "value", None, 0.0, 1.0, 64, 0.0, pinned=True),
        BarInput("H1", 1, "value", None, 0.0, 1.0, 64, 0.0),
    )
    return _balanced(Program(entries, tuple(operations)), random_diagrams(rng, 99))


def random_diagrams(rng: np.random.Generator, n: int) -> Diagrams:
    """Samples for `random_bar_program`: bars in [0, 1], those of H0 born at 0.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of everything.
    n : int
        How many.

    Examples
    --------
    >>> random_diagrams(np.random.default_rng(0), 3).channels
    ('H0', 'H1')
    """
    samples = []
    for _ in range(n):
        deaths = rng.random((int(rng.integers(1, 12)), 1))
        h1 = np.sort(rng.random((int(rng.integers(0, 9)), 2)), axis=1)
        samples.append([np.hstack([0 * deaths, deaths]), h1])
    return Diagrams.from_list(samples)
