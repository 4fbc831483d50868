"""What tests draw: problems, and problems together with their closed-form answers.

The pairs of `attained_*` move as far as a theorem of the ledger allows, in numbers
that floats hold exactly, so a constant that is too small by one ulp fails on them.
The planted counterexamples are inputs on which a tempting statement is false; a test
that claims to catch it must fail on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import DrawFn, SearchStrategy, composite
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bars = NDArray[np.float64]  # (m, 2)

# --- numbers ------------------------------------------------------------------------

#: Every finite float64: subnormals, zeros of both signs, the largest.
finite_floats = st.floats(allow_nan=False, allow_infinity=False)
#: Nonnegative ones.
sizes = st.floats(0.0, allow_nan=False, allow_infinity=False)
#: Where products, quotients and squares neither overflow nor underflow.
tame_sizes = st.floats(2.0**-400, 2.0**400)
#: Multiples of 1/64 in [-16, 16]: sums and halves of a few are exact, ties abound.
dyadic = st.integers(-1024, 1024).map(lambda k: k / 64)
#: The same, from 1/64 to 16.
dyadic_sizes = st.integers(1, 1024).map(lambda k: k / 64)


# --- clouds and diagrams ------------------------------------------------------------


@composite
def clouds(
    draw: DrawFn,
    dimension: int | SearchStrategy[int] = 2,
    min_points: int = 1,
    max_points: int = 8,
    coordinates: SearchStrategy[float] = dyadic,
) -> Array:
    """Draw a cloud; with dyadic coordinates, points coincide and align often."""
    d = draw(dimension) if isinstance(dimension, SearchStrategy) else dimension
    n = draw(st.integers(min_points, max_points))
    return draw(hnp.arrays(np.float64, (n, d), elements=coordinates))


@composite
def cloud_pairs(
    draw: DrawFn,
    dimension: int | SearchStrategy[int] = 2,
    min_points: int = 1,
    max_points: int = 8,
    coordinates: SearchStrategy[float] = dyadic,
) -> tuple[Array, Array]:
    """Draw two clouds of one shape; some points may stay where they are."""
    x = draw(clouds(dimension, min_points, max_points, coordinates))
    moved = draw(hnp.arrays(np.float64, x.shape, elements=coordinates))
    stays = draw(hnp.arrays(np.bool_, len(x)))
    return x, np.where(stays[:, None], x, moved)


@composite
def diagrams(
    draw: DrawFn,
    max_bars: int = 4,
    births: SearchStrategy[float] = dyadic,
    lengths: SearchStrategy[float] = dyadic_sizes,
) -> Bars:
    """Draw finite bars of one channel."""
    n = draw(st.integers(0, max_bars))
    rows = [(b, b + draw(lengths)) for b in (draw(births) for _ in range(n))]
    return np.array(rows, np.float64).reshape(-1, 2)


# --- clouds with known diagrams -----------------------------------------------------


@dataclass(frozen=True)
class KnownCloud:
    """A cloud with its diagrams in closed form, by degree; finite bars only."""

    name: str
    points: Array
    alpha: tuple[Bars, Bars]  # radius
    rips: tuple[Bars, Bars]  # edge length


def _bars(*rows: tuple[float, float]) -> Bars:
    return np.array(rows, np.float64).reshape(-1, 2)


def regular_polygon(n: int, radius: float = 1.0) -> KnownCloud:
    """Vertices of a regular n-gon, n >= 4.

    Alpha: the sides close a cycle at radius R sin(pi / n); the centre fills it at R.
    Rips: the cycle dies with the smallest triangle around the centre, whose longest
    side spans ceil(n / 3) steps.
    """
    angles = 2 * np.pi * np.arange(n) / n
    points = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    side = 2 * radius * math.sin(math.pi / n)
    death = 2 * radius * math.sin(math.pi * math.ceil(n / 3) / n)
    merges = [(0.0, side)] * (n - 1)
    return KnownCloud(
        f"regular {n}-gon",
        points,
        (_bars(*((b, d / 2) for b, d in merges)), _bars((side / 2, radius))),
        (_bars(*merges), _bars((side, death))),
    )


def known_clouds() -> list[KnownCloud]:
    """Clouds whose diagrams in degrees 0 and 1 can be written down."""
    line = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [7.0, 0.0]])
    return [
        KnownCloud("one point", np.zeros((1, 2)), (_bars(),) * 2, (_bars(),) * 2),
        KnownCloud("equal points", np.ones((5, 2)), (_bars(),) * 2, (_bars(),) * 2),
        KnownCloud(
            "points on a line",
            line,
            (_bars((0.0, 0.5), (0.0, 1.0), (0.0, 2.0)), _bars()),
            (_bars((0.0, 1.0), (0.0, 2.0), (0.0, 4.0)), _bars()),
        ),
        *(regular_polygon(n, radius) for n, radius in ((4, 1.0), (5, 0.25), (9, 3.0))),
    ]


# --- pairs that attain a constant ---------------------------------------------------


@dataclass(frozen=True)
class AttainedCloud:
    """Two clouds whose H0 diagrams (and sorted deaths) move as far as they can.

    All numbers are exact floats, except `budget`, which is a square.
    """

    x: Array
    x_new: Array
    displacement: float  # every point moves by this much
    budget_square: float  # sum of the squared moves
    deaths: tuple[float, float]  # edge length, before and after
    moved: float  # of the death, and in bottleneck distance


@composite
def attained_two_points(draw: DrawFn, max_dimension: int = 3) -> AttainedCloud:
    """Two points that part [X3, X5, H1].

    The edge length moves by exactly twice the displacement, sqrt(2) times the budget;
    the alpha radius by half as much.
    """
    d = draw(st.integers(1, max_dimension))
    move = draw(dyadic_sizes)
    length = draw(st.integers(4, 8).map(float)) * move  # a bar too long to vanish
    axis = draw(st.integers(0, d - 1))
    corner = np.array([draw(dyadic) for _ in range(d)])
    x = np.stack([corner, corner])
    x[1, axis] += length
    x_new = x.copy()
    x_new[0, axis] -= move
    x_new[1, axis] += move
    return AttainedCloud(
        x, x_new, move, 2 * move**2, (length, length + 2 * move), 2 * move
    )


@composite
def attained_single_point(draw: DrawFn, max_dimension: int = 3) -> AttainedCloud:
    """One of two points moves away: the edge length moves as far as it does."""
    pair = draw(attained_two_points(max_dimension))
    x_new = pair.x_new.copy()
    x_new[0] = pair.x[0]
    move, (length, _) = pair.displacement, pair.deaths
    return AttainedCloud(pair.x, x_new, move, move**2, (length, length + move), move)


@dataclass(frozen=True)
class AttainedBar:
    """One bar and another: lengths move by twice the bottleneck distance [R1]."""

    bars: Bars
    bars_new: Bars
    bottleneck: float
    length_moved: float


@composite
def attained_bar(draw: DrawFn) -> AttainedBar:
    """Draw a bar that grows at both ends by the same amount."""
    birth, move = draw(dyadic), draw(dyadic_sizes)
    length = draw(st.integers(4, 8).map(float)) * move
    return AttainedBar(
        np.array([[birth, birth + length]]),
        np.array([[birth - move, birth + length + move]]),
        move,
        2 * move,
    )


@composite
def attained_image(draw: DrawFn) -> tuple[Array, Array, float, Bars, Bars]:
    """Draw a signal with one valley whose bar moves as far as the values do [X10].

    Returns the two signals, the sup norm of their difference, and their H0 bars.
    """
    move = draw(dyadic_sizes)
    low = draw(dyadic)
    high = low + draw(st.integers(4, 8)) * move
    deep = low - 17.0  # below all that moves
    x = np.array([deep, high, low, high + 1.0])
    x_new = x + np.array([0.0, move, -move, 0.0])
    return x, x_new, move, _bars((low, high)), _bars((low - move, high + move))


# --- planted counterexamples --------------------------------------------------------


@dataclass(frozen=True)
class Counterexample:
    """Inputs at a small distance on which a tempting map makes a large jump."""

    name: str
    ledger: str
    x: Any
    x_new: Any
    size: float  # displacement of every point, at most
    jump: float  # of the output of the tempting map, at least


def cocircular(size: float = 1e-6) -> Counterexample:
    """Four points almost on a circle [X19].

    The Delaunay triangulation takes the long diagonal or the short one, as the points
    leave the circle inwards or outwards; the H1 death of a Rips filtration restricted
    to Delaunay edges is the length of the diagonal taken.
    """
    angles = np.deg2rad([0.0, 70.0, 140.0, 250.0])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    diagonals = [np.linalg.norm(circle[i] - circle[i + 2]) for i in (0, 1)]
    inwards, outwards = circle.copy(), circle.copy()
    inwards[0] *= 1 - size / 2
    outwards[0] *= 1 + size / 2
    jump = float(abs(diagonals[1] - diagonals[0])) - 4 * size
    return Counterexample(
        "Delaunay-Rips at cocircular points", "X19", inwards, outwards, size, jump
    )


def dropped_at_threshold(threshold: float = 1.0, size: float = 1e-6) -> Counterexample:
    """Two points around a cut-off distance [X18].

    Beyond the cut-off the bar never dies. Dropped, it is missing; left infinite, the
    number of essential bars changes; capped at the cut-off, it moves by 2 size.
    """
    near = np.array([[0.0, 0.0], [threshold - size, 0.0]])
    far = np.array([[-size, 0.0], [threshold + size / 2, 0.0]])
    return Counterexample(
        "infinite bars dropped at a threshold",
        "X18",
        near,
        far,
        1.5 * size,
        (threshold - size) / 2,
    )


def hard_length_threshold(cut: float = 0.5, size: float = 1e-6) -> Counterexample:
    """A bar just above and just below the length that is kept [R10]."""
    return Counterexample(
        "bars shorter than a cut dropped",
        "R10",
        np.array([[0.0, cut + size]]),
        np.array([[0.0, cut - size]]),
        2 * size,
        cut / 2,
    )


def counterexamples() -> list[Counterexample]:
    """All planted counterexamples."""
    return [cocircular(), dropped_at_threshold(), hard_length_threshold()]
