"""Point clouds, and their Čech persistence in rational numbers."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from stablerank.extract import AlphaPersistence
from tests.oracles import Cell, persistence

# --- oracles -----------------------------------------------------------------------


def solve(rows: list[list[Fraction]]) -> list[Fraction] | None:
    """Solution of a square system of rationals, augmented; None if singular."""
    n = len(rows)
    for i in range(n):
        pivot = next((r for r in range(i, n) if rows[r][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [entry / rows[i][i] for entry in rows[i]]
        for r in range(n):
            if r != i:
                rows[r] = [
                    a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)
                ]
    return [row[n] for row in rows]


def dot(u: list[Fraction], v: list[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


def minus(u: list[Fraction], v: list[Fraction]) -> list[Fraction]:
    return [a - b for a, b in zip(u, v, strict=True)]


def exact_square(points: Any) -> Fraction:
    """Squared radius of the minimum enclosing ball, in rational numbers."""
    rational = [[Fraction(float(x)) for x in p] for p in points]
    best = None
    for k in range(1, min(len(rational), len(rational[0]) + 1) + 1):
        for chosen in itertools.combinations(rational, k):
            edges = [minus(p, chosen[0]) for p in chosen[1:]]
            weights = solve(
                [[2 * dot(u, v) for v in edges] + [dot(u, u)] for u in edges]
            )
            if weights is None:
                continue
            centre = list(chosen[0])
            for weight, edge in zip(weights, edges, strict=True):
                centre = [c + weight * e for c, e in zip(centre, edge, strict=True)]
            square = max(dot(minus(p, centre), minus(p, centre)) for p in rational)
            best = square if best is None else min(best, square)
    assert best is not None
    return best


def cech(cloud: np.ndarray, degrees: range) -> list[np.ndarray]:
    """Bars of the Čech filtration, from all sets of points."""
    numbers: dict[tuple[int, ...], int] = {}
    cells = []
    for k in range(1, max(degrees) + 3):
        for simplex in itertools.combinations(range(len(cloud)), k):
            facets = itertools.combinations(simplex, k - 1) if k > 1 else ()
            boundary = tuple(numbers[f] for f in facets)
            numbers[simplex] = len(cells)
            # Squares are compared exactly, so that equal values are equal.
            cells.append(Cell(k - 1, boundary, exact_square(cloud[list(simplex)])))
    return [np.sqrt(p.bars.astype(float)) for p in persistence(cells, degrees)]


def off_by_at_most(value: float, square: Fraction, error: float) -> bool:
    """Whether |value - sqrt(square)| <= error, decided exactly."""
    low, high = Fraction(value) - Fraction(error), Fraction(value) + Fraction(error)
    return high >= 0 and high**2 >= square and (low <= 0 or low**2 <= square)


# --- inputs ------------------------------------------------------------------------


def random_cloud(rng: np.random.Generator, n: int, d: int, kind: str) -> np.ndarray:
    if kind == "lattice":  # cospherical everywhere
        grid = np.array(list(itertools.product(range(3), repeat=d)), float)
        return grid[rng.choice(len(grid), min(n, len(grid)), replace=False)]
    if kind == "clustered":
        return rng.normal(size=(n, d)) * 10.0 ** rng.integers(-4, 1, size=(n, 1))
    return rng.random((n, d))


def orbit(n: int = 200) -> np.ndarray:
    x, y, points = 0.3, 0.7, []
    for _ in range(n):
        x = (x + 4.1 * y * (1 - y)) % 1
        y = (y + 4.1 * x * (1 - x)) % 1
        points.append((x, y))
    return np.array(points)


def extract(*clouds: Any, degrees: Any = (0, 1, 2), **options: Any) -> Any:
    return AlphaPersistence(degrees, **options).fit_transform(list(clouds))


def by_place(cloud: np.ndarray) -> np.ndarray:
    return 1 / np.arange(1, len(cloud) + 1)


def three_to_one(cloud: np.ndarray) -> np.ndarray:
    return np.array([3.0, 1.0])


def finite(bars: np.ndarray) -> np.ndarray:
    return bars[np.isfinite(bars[:, 1])]
