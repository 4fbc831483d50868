"""GUDHI's cubical complexes: sublevel persistence of an array of values.

Signals and planar images take GUDHI's special algorithms, which are fifty times
faster than the general one.  The planar one knows top cells only; vertices reach it
by duality: on the sphere, what is left of a sublevel set of vertices is a union of
the dual top cells of the negated image and of a ring around it that is there from
the start.  So a bar [b, d) of vertices in degree k is a bar [-d, -b) of that image
in degree 1 - k (Alexander).  Every number in the bars is copied from the input.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_THIN = 3  # the planar algorithm wants this many cells along each axis


class Sublevel(NamedTuple):
    """Persistence of one degree, in the engine's order."""

    bars: Array  # (m, 2), death inf where a class never dies
    critical: NDArray[np.int64] | None  # (m, 2), flat C-order index of ends, or -1


def sublevel_persistence(
    values: Array,
    degrees: list[int],
    *,
    construction: str,
    periodic: tuple[bool, ...],
    field: int,
    critical: bool,
) -> list[Sublevel]:
    """Persistence of the sublevel sets of an array, one entry a degree."""
    if critical or any(periodic) or values.ndim > 2:
        return _general(
            values,
            degrees,
            construction=construction,
            periodic=periodic,
            field=field,
            critical=critical,
        )
    known = [_line(values)] if values.ndim == 1 else _plane(values, construction)
    empty = np.empty((0, 2))
    return [Sublevel(known[k] if k < len(known) else empty, None) for k in degrees]


def _line(values: Array) -> Array:
    from gudhi.sklearn.cubical_persistence import _persistence_on_a_line

    return np.asarray(_persistence_on_a_line(values))


def _plane(values: Array, construction: str) -> list[Array]:
    from gudhi.sklearn.cubical_persistence import (
        _persistence_on_rectangle_from_top_cells as planar,
    )

    if construction == "top":
        if min(values.shape) < _THIN:
            # Cells that come last and fill a disc up change nothing.
            values = _framed(values, values.max())
        return [np.asarray(bars) for bars in planar(values, 0.0)]
    low, high = values.min(), values.max()
    components, holes = planar(_framed(-values, -high), 0.0)
    loops = -components[np.isfinite(components[:, 1]), ::-1]
    merges = -holes[:, ::-1]
    # The hole that the ring bounds stands for the class that never dies.
    if high > low:
        eternal = np.flatnonzero((merges == (low, high)).all(axis=1))[0]
        merges[eternal, 1] = np.inf
    else:
        merges = np.array([[low, np.inf]])
    return [merges, loops]


def _framed(values: Array, ring: float) -> Array:
    framed = np.full((values.shape[0] + 2, values.shape[1] + 2), ring)
    framed[1:-1, 1:-1] = values
    return framed


def _general(
    values: Array,
    degrees: list[int],
    *,
    construction: str,
    periodic: tuple[bool, ...],
    field: int,
    critical: bool,
) -> list[Sublevel]:
    import gudhi

    kind = "vertices" if construction == "vertex" else "top_dimensional_cells"
    flat = values.ravel()
    # GUDHI counts with the first axis fastest: on the reversed shape, C order.
    arguments: dict[str, Any] = {kind: flat, "dimensions": values.shape[::-1]}
    if any(periodic):
        arguments["periodic_dimensions"] = [bool(closed) for closed in periodic[::-1]]
        cubes = gudhi.PeriodicCubicalComplex(**arguments)
    else:
        cubes = gudhi.CubicalComplex(**arguments)
    cubes.compute_persistence(homology_coeff_field=field)
    if not critical:
        found = [cubes.persistence_intervals_in_dimension(k) for k in degrees]
        return [Sublevel(bars, None) for bars in found]
    if construction == "vertex":
        pairs, births = cubes.vertices_of_persistence_pairs()
    else:
        pairs, births = cubes.cofaces_of_persistence_pairs()
    result = []
    for k in degrees:
        ends = pairs[k] if k < len(pairs) else np.empty((0, 2), np.int64)
        eternal = births[k] if k < len(births) else np.empty(0, np.int64)
        table = np.full((len(ends) + len(eternal), 2), -1, np.int64)
        table[: len(ends)] = ends
        table[len(ends) :, 0] = eternal
        bars = flat[table]
        bars[len(ends) :, 1] = np.inf
        result.append(Sublevel(bars, table))
    return result
