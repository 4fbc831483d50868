"""Lower-star and extended persistence of a graph by GUDHI, as pure combinatorics.

The engine gets a graph whose vertices are numbered in the order in which they enter
the filtration, and the numbers are the filtration values.  Its answer names vertices,
so no value is ever rounded: GUDHI rescales values for extended persistence, which
costs about 2u max|f| on real values [X12], but on integers rounds back to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import EngineError

__all__ = ["extended", "lower_star"]

Vertices = NDArray[np.int64]

#: Any prime does: graphs have no torsion.
_PRIME = 2


def _tree(n_vertices: int, edges: Vertices) -> Any:
    import gudhi

    tree = gudhi.SimplexTree()
    tree.insert_batch(np.arange(n_vertices)[None], np.arange(n_vertices, dtype=float))
    if len(edges):
        tree.insert_batch(edges.T, edges.max(axis=1).astype(float))
    return tree


def lower_star(
    n_vertices: int, edges: Vertices
) -> tuple[Vertices, tuple[Vertices, Vertices]]:
    """Pair vertices by sublevel persistence.

    Parameters
    ----------
    n_vertices : int
        Vertices 0 to n - 1 enter in this order.
    edges : ndarray of int64 of shape (n_edges, 2)
        An edge enters with its later end.

    Returns
    -------
    finite : ndarray of int64 of shape (m, 2)
        Vertices where components of degree 0 are born and merge.
    essential : pair of ndarray of int64
        Vertices where what never dies is born, in degree 0 and 1.

    Examples
    --------
    >>> finite, essential = lower_star(3, np.array([[0, 2], [1, 2]]))
    >>> finite, essential[0]
    (array([[1, 2]]), array([0]))
    """
    tree = _tree(n_vertices, edges)
    tree.compute_persistence(homology_coeff_field=_PRIME, persistence_dim_max=True)
    components = np.asarray(tree.persistence_intervals_in_dimension(0)).reshape(-1, 2)
    cycles = np.asarray(tree.persistence_intervals_in_dimension(1)).reshape(-1, 2)
    dies = np.isfinite(components[:, 1])
    alive = (components[~dies, 0], cycles[:, 0])
    return _rounded(components[dies]), (_rounded(alive[0]), _rounded(alive[1]))


def extended(n_vertices: int, edges: Vertices) -> dict[str, Vertices]:
    """Pair vertices by extended persistence; parameters as in `lower_star`.

    Returns
    -------
    dict
        Type and degree ("Ord0", "Rel1", "Ext+0", "Ext-1") to vertices of birth and
        death, shape (m, 2); the descending end may come before the ascending one.

    Examples
    --------
    >>> extended(3, np.array([[0, 2], [1, 2]]))["Ext+0"]
    array([[0, 2]])
    """
    tree = _tree(n_vertices, edges)
    tree.extend_filtration()
    found = tree.extended_persistence(homology_coeff_field=_PRIME)
    pairs: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("Ord0", "Rel1", "Ext+0", "Ext-1")
    }
    for kind, diagram in zip(("Ord", "Rel", "Ext+", "Ext-"), found, strict=True):
        for dimension, pair in diagram:
            name = f"{kind}{dimension}"
            if name not in pairs:
                raise EngineError(f"GUDHI found a bar of type {name} in a graph")
            pairs[name].append(pair)
    return {
        name: _rounded(np.asarray(p, np.float64).reshape(-1, 2))
        for name, p in pairs.items()
    }


def _rounded(values: NDArray[np.float64]) -> Vertices:
    nearest = np.rint(values)
    if (np.abs(values - nearest) > 0.25).any():
        raise EngineError("GUDHI returned a value that is no vertex of the graph")
    return nearest.astype(np.int64)
