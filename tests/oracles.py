"""Slow and plain answers, written from the definitions, to judge the fast ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Cell(NamedTuple):
    """A cell of a filtered complex over the field with two elements."""

    dimension: int
    boundary: tuple[int, ...]  # numbers of the facets in the list of cells
    value: float


class Persistence(NamedTuple):
    """Bars of one degree, sorted; bars of length zero are left out."""

    bars: NDArray[np.float64]  # (m, 2), finite
    essential: NDArray[np.float64]  # (e,), births


def persistence(cells: Sequence[Cell], degrees: Iterable[int]) -> list[Persistence]:
    """Persistent homology by reduction of the boundary matrix, column by column."""
    order = sorted(
        range(len(cells)), key=lambda i: (cells[i].value, cells[i].dimension)
    )
    place = {i: n for n, i in enumerate(order)}
    columns: list[set[int]] = []
    killer: dict[int, int] = {}  # lowest row of a reduced column -> that column
    for n, i in enumerate(order):
        column: set[int] = set()
        for facet in cells[i].boundary:
            column ^= {place[facet]}  # a facet met twice cancels
        while column and max(column) in killer:
            column ^= columns[killer[max(column)]]
        if column:
            killer[max(column)] = n
        columns.append(column)
    result = []
    for k in degrees:
        bars, births = [], []
        for n, i in enumerate(order):
            if cells[i].dimension != k or columns[n]:
                continue
            if n not in killer:
                births.append(cells[i].value)
            elif cells[order[killer[n]]].value > cells[i].value:
                bars.append((cells[i].value, cells[order[killer[n]]].value))
        result.append(
            Persistence(
                np.array(sorted(bars), np.float64).reshape(-1, 2), np.sort(births)
            )
        )
    return result


def grid_cells(
    values: NDArray[np.float64], construction: str, periodic: Sequence[bool]
) -> list[Cell]:
    """All cells of a cubical grid in doubled coordinates, valued by definition.

    Entries of `values` belong to vertices or to top cells; a cell takes the maximum
    of its vertices, or the minimum of the top cells around it.
    """
    own = 0 if construction == "vertex" else 1  # parity of what carries values
    sizes = [
        2 * n + (0 if closed else 2 * own - 1)
        for n, closed in zip(values.shape, periodic, strict=True)
    ]
    positions = list(itertools.product(*(range(size) for size in sizes)))
    number = {position: i for i, position in enumerate(positions)}

    def beside(position: tuple[int, ...], axis: int) -> list[int]:
        steps = [position[axis] - 1, position[axis] + 1]
        if periodic[axis]:
            return [step % sizes[axis] for step in steps]
        return [step for step in steps if 0 <= step < sizes[axis]]

    cells = []
    for position in positions:
        odd = [axis for axis, c in enumerate(position) if c % 2]
        facets = [
            number[(*position[:axis], c, *position[axis + 1 :])]
            for axis in odd
            for c in beside(position, axis)
        ]
        near = [
            [c] if c % 2 == own else beside(position, axis)
            for axis, c in enumerate(position)
        ]
        entries = [values[tuple(c // 2 for c in at)] for at in itertools.product(*near)]
        value = max(entries) if construction == "vertex" else min(entries)
        cells.append(Cell(len(odd), tuple(facets), value))
    return cells


def flag_cells(values: NDArray[np.float64], top: int) -> list[Cell]:
    """All simplices up to dimension `top`; vertex values stand on the diagonal."""
    numbers: dict[tuple[int, ...], int] = {}
    cells = []
    for size in range(1, top + 2):
        for simplex in itertools.combinations(range(len(values)), size):
            facets = itertools.combinations(simplex, size - 1) if size > 1 else ()
            boundary = tuple(numbers[facet] for facet in facets)
            numbers[simplex] = len(cells)
            value = max(values[i, j] for i in simplex for j in simplex)
            cells.append(Cell(size - 1, boundary, value))
    return cells
