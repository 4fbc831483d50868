"""Reading graphs with a value on every vertex.

Three forms are read: networkx graphs (known by their methods, never imported),
pairs `(edges, values)`, and mappings with "edges".  All become a `Graph`: vertices
0 to n - 1, every edge once.  Parallel edges, and the two directions in which some
formats list an edge, are one edge of the complex; loops and directed graphs are no
simplicial complexes and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.exceptions import (
    DataTypeError,
    EmptyInputError,
    GraphFormatError,
    NonFiniteError,
    ShapeError,
)
from stablerank.validation.arrays import Array, as_numpy, listed, to_float64

__all__ = ["Graph", "check_graphs"]

#: How to find the values: by name, by a function of the graph as it was given, or
#: not at all.
ValuesOf = str | Callable[[Any], Any] | None


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected graph without loops or parallel edges.

    Attributes
    ----------
    n_vertices : int
        Vertices are numbered from 0.
    edges : ndarray of int64 of shape (n_edges, 2)
        Smaller vertex first, rows sorted and different.
    values : ndarray of shape (n_vertices,) or None
        One number a vertex; None if they are still to be computed.

    Examples
    --------
    >>> Graph(3, np.array([[0, 1]]), None).degrees
    array([1, 1, 0])
    """

    n_vertices: int
    edges: NDArray[np.int64]
    values: Array | None

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Number of neighbours of each vertex."""
        return np.bincount(self.edges.ravel(), minlength=self.n_vertices)


def check_graphs(X: Any, values: ValuesOf = "values", name: str = "graphs") -> list:
    """Read undirected graphs.

    Parameters
    ----------
    X : iterable of graphs
        networkx graphs; tuples `(edges, values)`; mappings with the keys "edges" and,
        as far as needed, `values` and "n_vertices"; or `Graph`. Edges are integer
        arrays of shape (n_edges, 2).
    values : str, callable or None
        Name of the vertex values (node attribute in networkx, key of a mapping; a
        pair has its own); or a function that takes each graph as it was given and
        returns the values, an array or a mapping from vertex; or None: no values.
    name : str
        How messages call the graphs.

    Returns
    -------
    list of Graph

    Examples
    --------
    >>> path = ([[0, 1], [1, 2]], [0.0, 2.0, 1.0])
    >>> check_graphs([path])[0].values
    array([0., 2., 1.])
    >>> check_graphs([{"edges": [[0, 1], [1, 0]]}], values=None)[0].edges
    array([[0, 1]])
    """
    samples = _as_graphs(X, name)
    if not samples:
        raise EmptyInputError(f"{name} has 0 samples; a minimum of 1 is required")
    return [_read(raw, values, f"{name}[{i}]") for i, raw in enumerate(samples)]


def _as_graphs(X: Any, name: str) -> list[Any]:
    if isinstance(X, (Graph, Mapping)) or _is_networkx(X):
        raise ShapeError(f"{name} is a single graph: pass [X]")
    if isinstance(X, np.ndarray) and (X.dtype != object or X.ndim != 1):
        raise DataTypeError(
            f"{name} is an array of shape {X.shape}; expected a list of graphs"
        )
    return listed(X, name, "graphs")


def _is_networkx(raw: Any) -> bool:
    return all(hasattr(raw, word) for word in ("nodes", "edges", "is_directed"))


def _read(raw: Any, values: ValuesOf, where: str) -> Graph:
    if _is_networkx(raw):
        labels, edges, given = _read_networkx(raw, values, where)
    else:
        edges, given, n_vertices = _read_plain(raw, values, where)
        labels = range(n_vertices)
    if not labels:
        raise EmptyInputError(f"{where} has no vertices; drop the sample")
    simple = _simple_edges(edges, labels, where)
    if values is None:
        return Graph(len(labels), simple, None)
    if callable(values):
        try:
            given = values(raw)
        except Exception as error:
            error.add_note(f"while computing the vertex values of {where}")
            raise
    elif given is None:
        raise GraphFormatError(
            f"{where} has no vertex values {values!r}; add them, or choose a vertex "
            "function that needs none"
        )
    return Graph(len(labels), simple, _vertex_values(given, labels, where))


def _read_networkx(
    raw: Any, values: ValuesOf, where: str
) -> tuple[Sequence[Any], NDArray[np.int64], Any]:
    """Labels, edges as positions of labels, and values by label."""
    if raw.is_directed():
        raise GraphFormatError(
            f"{where} is directed; forget the directions with .to_undirected()"
        )
    labels = list(raw.nodes)
    position = {label: i for i, label in enumerate(labels)}
    pairs = [(position[u], position[v]) for u, v in raw.edges()]
    given = None
    if isinstance(values, str):
        found = {label: raw.nodes[label].get(values) for label in labels}
        given = {label: value for label, value in found.items() if value is not None}
    return labels, np.array(pairs, np.int64).reshape(-1, 2), given or None


def _read_plain(
    raw: Any, values: ValuesOf, where: str
) -> tuple[NDArray[Any], Any, int]:
    """Edges, values if they are there, and the number of vertices."""
    n_vertices = None
    match raw:
        case Graph():
            edges, given, n_vertices = raw.edges, raw.values, raw.n_vertices
        case (ends, given) if isinstance(raw, tuple):
            edges = _as_edges(ends, where)
        case Mapping() if "edges" in raw:
            edges = _as_edges(raw["edges"], where)
            given = raw.get(values if isinstance(values, str) else "values")
            n_vertices = raw.get("n_vertices")
        case _:
            raise DataTypeError(
                f"{where} is a {type(raw).__name__}; expected a networkx graph, a "
                "tuple (edges, values) or a mapping with 'edges' (for a single graph "
                "pass [X])"
            )
    if n_vertices is None and isinstance(given, Sized):
        n_vertices = len(given)
    elif n_vertices is None:
        n_vertices = int(edges.max(initial=-1)) + 1
    if not isinstance(n_vertices, (int, np.integer)) or n_vertices < 0:
        raise GraphFormatError(
            f"{where}: n_vertices must be an integer >= 0, got {n_vertices!r}"
        )
    return edges, given, int(n_vertices)


def _as_edges(edges: ArrayLike, where: str) -> NDArray[Any]:
    table = as_numpy(edges, f"{where}, edges")
    if table.size == 0:
        return np.empty((0, 2), np.int64)
    if table.ndim != 2 or table.shape[1] != 2:
        hint = "; transpose them" if table.ndim == 2 and table.shape[0] == 2 else ""
        raise ShapeError(
            f"{where}: edges have shape {table.shape}; expected (n_edges, 2){hint}"
        )
    if table.dtype.kind not in "iu":
        raise DataTypeError(
            f"{where}: edges hold {table.dtype} values; vertices are integers from 0"
        )
    return table


def _simple_edges(
    edges: NDArray[Any], labels: Sequence[Any], where: str
) -> NDArray[np.int64]:
    """Check ends, then sort: every edge once, smaller vertex first."""
    n_vertices = len(labels)
    for bad, what in (
        ((edges < 0) | (edges >= n_vertices), f"outside 0 to {n_vertices - 1}"),
        (edges[:, :1] == edges[:, 1:], "joined to itself"),
    ):
        if bad.any():
            row, end = np.argwhere(bad)[0].tolist()
            vertex = int(edges[row, end])
            label = labels[vertex] if 0 <= vertex < n_vertices else vertex
            raise GraphFormatError(
                f"{where}, edge {row}: vertex {label!r} is {what}; "
                + (
                    "remove the self-loop"
                    if "itself" in what
                    else "number from 0, and give every vertex a value"
                )
            )
    ends = np.sort(edges.astype(np.int64), axis=1)
    # One integer an edge: sorting these is far faster than np.unique(axis=0).
    keys = np.unique(ends[:, 0] * n_vertices + ends[:, 1])
    return np.stack(np.divmod(keys, n_vertices), axis=1)


def _vertex_values(given: Any, labels: Sequence[Any], where: str) -> Array:
    if isinstance(given, Mapping):
        for label in labels:
            if given.get(label) is None:
                raise GraphFormatError(
                    f"{where}: vertex {label!r} has no value; every vertex needs one"
                )
        given = [given[label] for label in labels]
    raw = as_numpy(given, f"{where}, vertex values")
    if raw.shape != (len(labels),):
        raise ShapeError(
            f"{where} has {len(labels)} vertices and values of shape {raw.shape}; "
            "give one number a vertex"
        )
    for label, value in zip(labels, raw.tolist(), strict=True):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise NonFiniteError(
                f"{where}: the value of vertex {label!r} is missing ({value}); impute "
                "it or remove the vertex"
            )
    return to_float64(raw, f"{where}, vertex values")
