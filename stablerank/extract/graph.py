"""Lower-star and extended persistence of graphs with values on the vertices.

Vertices enter in the order of their values, an edge with the later of its ends.
Only this order reaches the engine, which pairs vertices; births and deaths are then
values of vertices, bit for bit, so the diagrams carry no numerical error.  Equal
values are ordered by vertex number: every such order gives the same bars, up to bars
of length 0.

A graph has cycles that never die: their births are kept apart, and degree 1 of the
ordinary filtration has no finite bars.  Extended persistence lets the filtration go
down again and pairs everything: branches below (Ord0), branches above (Rel1),
components (Ext+0) and cycles (Ext-1).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from stablerank.bounds import Bound
from stablerank.diagrams import Source
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem
from stablerank.extract.base import Extracted, Extractor, no_theorem
from stablerank.extract.cost import SampleCost
from stablerank.extract.engines.gudhi_graph import extended, lower_star
from stablerank.extract.graph_functions import degree, heat_kernel_signature
from stablerank.metrics import (
    Bottleneck,
    MatrixSup,
    PixelBudget,
    PixelSup,
    SortedLengths,
    Threat,
    Wasserstein,
)
from stablerank.rounding import div_up, pow_up, sqrt_up
from stablerank.validation import Graph, check_graphs

__all__ = ["GraphPersistence"]

Array = NDArray[np.float64]

#: Channels by homology degree.
_LOWER_STAR = (("H0",), ("H1",))
_EXTENDED = (("Ord0", "Ext+0"), ("Rel1", "Ext-1"))
#: The finite bars of degree 0 of a lower-star filtration, of f or (Rel1) of -f.
_BRANCHES = ("H0", "Ord0", "Rel1")
_COMPUTED = ("degree", "hks")


class GraphPersistence(Extractor):
    """Lower-star filtration of a graph by a function f on its vertices.

    Stability: d_B(D(f), D(f')) <= 1 * max_v |f(v) - f'(v)|   [X10, extended X12]

    for two functions on one graph; edges are part of the model, not of the threat.

    =====================  ======================================  ==================
    threat                 to                                      constant
    =====================  ======================================  ==================
    `PixelSup()`           bottleneck distance                     1 [X10, X12]
    `PixelBudget(p)`       bottleneck distance                     1 [X10, X12]
    `PixelBudget(p)`       W_{p,p}; also W_{2,2} if p < 2          N^(1/p), √N [X11]
    `PixelBudget(p <= 2)`  l_2 of sorted lengths, H0, Ord0, Rel1   √max degree [H4]
    =====================  ======================================  ==================

    N = max(1, max degree - 1), and 1 for Ext+0: the ends of bars at a vertex, counted
    as in X11, for Ext on the cone of X12. The maximum degree is that of each sample.

    Parameters
    ----------
    homology_dimensions : sequence of int
        From 0 and 1.
    vertex_function : str or callable
        "degree" or "hks" (heat-kernel signature of the normalised Laplacian), whatever
        values the graphs carry; or the name of the values that they carry: a node
        attribute in networkx, a key of a mapping ("values" is customary). A callable
        gets each graph as it was given and returns an array, or a mapping from vertex
        to value.
    extended : bool
        Extended persistence, with channels Ord0 and Ext+0 (degree 0), Rel1 and Ext-1
        (degree 1); pairs are sorted to (min, max).
    hks_time : float
        Time of the heat-kernel signature.
    critical : bool
        Keep the vertex that sets each birth and death.
    n_jobs, progress, memory, max_memory
        As in every extractor.

    Notes
    -----
    Graphs are networkx graphs, pairs `(edges, values)`, or mappings with "edges" and,
    as far as needed, "values" and "n_vertices". Parallel edges count once; loops and
    directed graphs are refused.

    Examples
    --------
    >>> path = ([[0, 1], [1, 2]], [0.0, 2.0, 1.0])
    >>> dgms = GraphPersistence(vertex_function="values").fit_transform([path])
    >>> dgms[0]["H0"]
    array([[ 1.,  2.],
           [ 0., inf]])
    """

    convention = "value"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._parameter_constraints,
        "vertex_function": [str, callable],
        "extended": ["boolean"],
        "hks_time": [Interval(numbers.Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        vertex_function: str | Callable[[Any], Any] = "degree",
        extended: bool = False,
        hks_time: float = 10.0,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.homology_dimensions = homology_dimensions
        self.vertex_function = vertex_function
        self.extended = extended
        self.hks_time = hks_time
        self.critical = critical
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    # --- input ------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not set(self.homology_dimensions) <= {0, 1}:
            raise InvalidInputError(
                "a graph has homology in degrees 0 and 1 only, got homology_dimensions="
                f"{self.homology_dimensions!r}"
            )

    def _is_computed(self) -> bool:
        return self.vertex_function in _COMPUTED

    def _read(self, X: Any) -> list[Graph]:
        # A callable is asked here, not in the workers: its values are then part of the
        # content that keys the cache, where two lambdas would look alike.
        return check_graphs(X, None if self._is_computed() else self.vertex_function)

    def _n_features(self, sample: Graph) -> int:
        return 1  # one value a vertex

    def _channels(self) -> tuple[list[str], list[int]]:
        names = _EXTENDED if self.extended else _LOWER_STAR
        pairs = [(name, k) for k in self.homology_dimensions for name in names[k]]
        return [name for name, _ in pairs], [k for _, k in pairs]

    def vertex_values(self, X: Any) -> list[Array]:
        """Return the values that the filtration is built on.

        `PixelSup` and `PixelBudget` measure changes of these.

        Parameters
        ----------
        X : list of graphs
            Raw input.

        Returns
        -------
        list of ndarray of shape (n_vertices,)

        Examples
        --------
        >>> GraphPersistence().vertex_values([{"edges": [[0, 1], [1, 2]]}])
        [array([1., 2., 1.])]
        """
        return [self._values(graph) for graph in self._read(X)]

    def _values(self, graph: Graph) -> Array:
        if not self._is_computed():
            assert graph.values is not None  # `_read` has seen to it
            return graph.values
        if self.vertex_function == "degree":
            return degree(graph)
        return heat_kernel_signature(graph, self.hks_time)

    # --- extraction -------------------------------------------------------------------

    def _transform_one(self, sample: Graph) -> Extracted:
        values = self._values(sample)
        order = np.argsort(values, kind="stable")  # rank -> vertex
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ranked = replace(sample, edges=rank[sample.edges])
        finite, essential = (_extended if self.extended else _lower_star)(ranked)
        names, _ = self._channels()
        found = [_sorted_bars(order[finite[name]], values) for name in names]
        return Extracted(
            bars=[bars for bars, _ in found],
            essential=[np.sort(values[order[essential[name]]]) for name in names],
            error=[0.0] * len(names),
            geometry={
                "n_vertices": float(sample.n_vertices),
                "n_edges": float(len(sample.edges)),
                "max_degree": float(sample.degrees.max()),
            },
            critical=[vertices[:, :, None] for _, vertices in found]
            if self.critical
            else None,
        )

    def _pullback(
        self, sample: Graph, critical: NDArray[np.int64], grad: Array
    ) -> Array:
        gradient = np.zeros(sample.n_vertices)
        np.add.at(gradient, critical[:, :, 0], grad)
        return gradient

    def _cost(self, sample: Graph) -> SampleCost:
        # Measured on random graphs of 30 to 1e6 vertices (GUDHI 3.13, one core).
        n, m = sample.n_vertices, len(sample.edges)
        memory, seconds = 260.0 * (n + m), 1.2e-4 + 1.2e-6 * (n + m)
        if self.extended:
            memory, seconds = 4.5 * memory, seconds + 1e-8 * m**2
        if self.vertex_function == "hks":
            memory, seconds = memory + 42.0 * n**2, seconds + 3e-4 + 5e-10 * n**3
        return SampleCost(memory, seconds)

    def _cheaper(self) -> str:
        options = []
        if self.vertex_function == "hks":
            options.append('vertex_function="degree" or given values')
        if self.extended:
            options.append("extended=False")
        return " or ".join([*options, "smaller graphs"]) + " (same constants)"

    # --- theorems ---------------------------------------------------------------------

    @property
    def default_threat(self) -> Threat:
        """Every value moves by at most r."""
        return PixelSup()

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        if isinstance(threat, MatrixSup):
            raise NoStabilityTheorem(
                "a change of the edges changes the complex, and one edge can make a "
                "bar of any length: there is no bound",
                "PixelSup() or PixelBudget(p), changes of the vertex values",
            )
        if not isinstance(threat, (PixelSup, PixelBudget)):
            raise no_theorem(self, threat, "PixelSup(), PixelBudget(p)")
        given = isinstance(self.vertex_function, str) and not self._is_computed()
        note = "edges fixed" if given else "changes of the computed values, edges fixed"
        proof = "X12" if self.extended else "X10"
        bounds = self._same(Bound(threat, Bottleneck(), 1.0, proof, note))
        if (
            source is None
            or not isinstance(threat, PixelBudget)
            or threat.p == math.inf
        ):
            return bounds
        degrees = source.geometry["max_degree"]
        return {
            name: [*found, *_budget_bounds(threat, name, degrees)]
            for name, found in bounds.items()
        }


def _budget_bounds(threat: PixelBudget, channel: str, max_degree: Array) -> list[Bound]:
    """Constants that count how many bar ends a vertex can carry."""
    largest = np.maximum(max_degree, 1.0)
    ends = np.ones_like(largest) if channel == "Ext+0" else np.maximum(largest - 1, 1.0)
    bounds = []
    # W_(2,2) under p < 2 by |.|_2 <= |.|_p: sqrt(N) is smaller than N^(1/p).
    for p in sorted({threat.p, max(threat.p, 2)}):
        exponent = float(div_up(1.0, p))
        constant = np.array([pow_up(n, exponent) for n in ends.tolist()])
        proof = "X11 . X12" if channel.startswith("Ext") else "X11"
        note = "bar ends that one vertex moves"
        bounds.append(Bound(threat, Wasserstein(p, p), constant, proof, note))
    if channel in _BRANCHES and threat.p <= 2:
        note = "bars that share a vertex form stars"
        bounds.append(Bound(threat, SortedLengths(2), sqrt_up(largest), "H4", note))
    return bounds


Found = tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]


def _lower_star(graph: Graph) -> Found:
    finite, (components, cycles) = lower_star(graph.n_vertices, graph.edges)
    no_bars = np.empty((0, 2), np.int64)
    return {"H0": finite, "H1": no_bars}, {"H0": components, "H1": cycles}


def _extended(graph: Graph) -> Found:
    nothing = np.empty(0, np.int64)
    # Ranks grow with values, so sorted ranks are sorted values.
    pairs = extended(graph.n_vertices, graph.edges)
    finite = {name: np.sort(found, axis=1) for name, found in pairs.items()}
    return finite, dict.fromkeys(finite, nothing)


def _sorted_bars(
    vertices: NDArray[np.int64], values: Array
) -> tuple[Array, NDArray[np.int64]]:
    """Bars of positive length, longest first, with their vertices (m, 2)."""
    bars = values[vertices]
    births, deaths = bars.T
    order = np.lexsort((*vertices.T[::-1], births, births - deaths))
    order = order[births[order] < deaths[order]]
    return bars[order], vertices[order]
