"""GUDHI's flag complexes, in double precision.

`gudhi.sklearn.RipsPersistence` holds a fork of Ripser on float64 values.  It stops
at the cone radius and collapses edges where that pays, both exact [X17]; an end of
a bar is an entry of the matrix, to the bit.
"""

from __future__ import annotations

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

__all__ = [
    "COEFFICIENT_LIMIT",
    "EXACT_INTEGERS",
    "ROUNDING",
    "rips_bars",
    "sparse_rips_bars",
]

Array = NDArray[np.float64]

#: Largest prime for which the engine promises coefficients.
COEFFICIENT_LIMIT = 46337
#: Relative error of values inside the engine, and integers that it holds exactly.
ROUNDING, EXACT_INTEGERS = 0.0, 2**53
# Sparse Rips picks its first point at random, from a generator of the whole process.
_SEED = 0


def rips_bars(
    values: Array,  # (n, n) symmetric, the diagonal is not read
    max_degree: int,
    limit: float,
    coefficient: int,
) -> list[Array]:
    """Bars of the flag complex of all edges up to `limit`, one (m, 2) a degree.

    A bar that is alive at the end has death inf.
    """
    from gudhi.sklearn.rips_persistence import RipsPersistence

    cone = float(values.max(axis=1).min())
    whole = limit >= cone and max_degree <= 1
    engine = RipsPersistence(
        homology_dimensions=list(range(max_degree + 1)),
        input_type="full distance matrix" if whole else "distance coo_matrix",
        homology_coeff_field=coefficient,
        n_jobs=1,
    )
    edges = values if whole else _edges_up_to(values, min(limit, cone))
    # The engine runs through joblib too.  In a worker of dask it would send its own
    # work back to the cluster, which cannot read it, and wait for ever.
    with parallel_config(backend="sequential"):
        found = engine.fit_transform([edges])[0]
    return [np.asarray(bars) for bars in found]


def _edges_up_to(values: Array, limit: float) -> coo_matrix:
    later, earlier = np.nonzero(np.tril(values <= limit, -1))
    return coo_matrix((values[later, earlier], (later, earlier)), values.shape)


def sparse_rips_bars(
    distances: Array,  # (n, n)
    max_degree: int,
    limit: float,
    coefficient: int,
    *,
    sparse: float,
) -> list[Array]:
    """Bars of Sheehy's sparse Rips complex; sets GUDHI's random seed."""
    from gudhi import RipsComplex
    from gudhi.random import set_seed

    set_seed(_SEED)
    graph = RipsComplex(distance_matrix=distances, max_edge_length=limit, sparse=sparse)
    # The tree must stay in a name while its intervals are read [X0].
    tree = graph.create_simplex_tree(max_dimension=max_degree + 1)
    # Without persistence_dim_max the top degree of a small complex is lost [X0].
    top = tree.dimension() <= max_degree
    tree.compute_persistence(homology_coeff_field=coefficient, persistence_dim_max=top)
    return [
        np.asarray(tree.persistence_intervals_in_dimension(k)).reshape(-1, 2)
        for k in range(max_degree + 1)
    ]
