"""Ready-made vertex functions: numbers on the vertices of a bare graph.

A diagram is stable under changes of these values, not under changes of the edges:
one edge more can move every heat-kernel value and merge any two components.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from stablerank.rounding import UNIT_ROUNDOFF
from stablerank.validation import Graph

__all__ = ["degree", "heat_kernel_signature"]

Array = NDArray[np.float64]


def degree(graph: Graph) -> Array:
    """Number of neighbours of each vertex.

    Parameters
    ----------
    graph : Graph
        With n vertices.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> degree(Graph(3, np.array([[0, 1], [0, 2]]), None))
    array([2., 1., 1.])
    """
    return graph.degrees.astype(np.float64)


def heat_kernel_signature(graph: Graph, time: float) -> Array:
    """Heat that is left at each vertex when heat spreads from it for some time.

    The diagonal of exp(-time L), where L = I - D^(-1/2) A D^(-1/2) is the normalised
    Laplacian (zero on isolated vertices, which keep their heat).

    Parameters
    ----------
    graph : Graph
        With n vertices; time and memory grow as n**3 and n**2.
    time : float
        Small times see neighbours, large times the whole component.

    Returns
    -------
    ndarray of shape (n,)
        Between 0 and 1, as the eigenvalue routine rounds them.

    Examples
    --------
    >>> heat_kernel_signature(Graph(2, np.array([[0, 1]]), None), 0.0)
    array([1., 1.])
    """
    root = np.sqrt(np.maximum(graph.degrees, 1))
    i, j = graph.edges.T
    laplacian = np.diag((graph.degrees > 0).astype(np.float64))  # (n, n)
    laplacian[i, j] = laplacian[j, i] = -1 / (root[i] * root[j])
    # Threads change the last bits of eigenvectors: a worker must agree with the rest.
    with _threads().limit(limits=1, user_api="blas"):
        eigenvalues, vectors = np.linalg.eigh(laplacian)
        # Heat that is constant on a component stays: its eigenvalue 0 comes out as a
        # few n u, which a long time would blow up.  No other one is below n**-3.
        noise = 8 * graph.n_vertices * UNIT_ROUNDOFF
        rates = np.where(eigenvalues < noise, 0.0, eigenvalues)
        with np.errstate(over="ignore"):
            return np.asarray(vectors**2 @ np.exp(-time * rates))


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()  # slow: it looks through all loaded libraries
