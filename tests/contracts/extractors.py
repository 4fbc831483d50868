"""The table of extractors: a row a way to use one, with samples it reads.

Every suite of this folder runs over all rows, so a new extractor gets its tests by
getting a row; a class without one is an error in `test_extractors.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank import (
    AlphaPersistence,
    BottleneckBall,
    Budget,
    CubicalPersistence,
    Diagrams,
    Displacement,
    DTMPersistence,
    DTMRipsPersistence,
    FeatureBall,
    GraphPersistence,
    Hausdorff,
    MatrixSup,
    PersistenceUnion,
    PixelBudget,
    PixelSup,
    RipsPersistence,
    SinglePoint,
    Strain,
    WassersteinBall,
)
from stablerank.extract import Extractor
from stablerank.metrics import Threat

Array = NDArray[np.float64]


def uneven(cloud: Any) -> Array:
    """Weights of points, some of them 0."""
    return np.arange(len(cloud)) % 4 / 2.0


WEIGHTED = Displacement(weights=uneven)
ON_DIAGRAMS = (BottleneckBall(), WassersteinBall(1), WassersteinBall(2, np.inf))
#: Every threat of the library.
THREATS: tuple[Threat, ...] = (
    Displacement(),
    WEIGHTED,
    SinglePoint(),
    Budget(),
    Hausdorff(),
    Strain(),
    MatrixSup(),
    PixelSup(),
    PixelBudget(1),
    PixelBudget(2),
    PixelBudget(3),
    PixelBudget(np.inf),
    FeatureBall(2),
    FeatureBall(np.inf),
    *ON_DIAGRAMS,
)
MOVES = (Displacement(), WEIGHTED, SinglePoint(), Budget())
PIXELS = tuple(t for t in THREATS if isinstance(t, (PixelSup, PixelBudget)))


@dataclass(frozen=True, eq=False)
class Case:
    """An extractor, samples that it reads, and the threats that it has theorems for."""

    name: str
    make: Callable[[], Extractor]
    kind: str  # "cloud", "matrix", "image" or "graph"
    X: tuple[Any, ...]
    proved: tuple[Threat, ...]
    #: Share of the constant under the default threat that gradient attacks reach.
    reached: float = 0.99

    def __str__(self) -> str:
        return self.name

    def fitted(self, **params: Any) -> Extractor:
        """Return a new extractor, fitted to the samples."""
        return self.make().set_params(**params).fit(list(self.X))

    @cached_property
    def diagrams(self) -> Diagrams:
        """What it returns for the samples."""
        return self.fitted().transform(list(self.X))

    @property
    def options(self) -> dict[str, Any]:
        """Parameters by which the parts of a union, or it itself, keep vertices."""
        names = self.make().get_params(deep=True)
        return {name: True for name in names if name.endswith("critical")}

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of the numbers that each sample moves by: graphs have vertex values."""
        if self.kind == "graph":
            return [(graph.n_vertices,) for graph in self.make()._read(list(self.X))]
        return [np.shape(sample) for sample in self.X]

    def asks_samples(self, threat: Threat) -> bool:
        """Whether a constant depends on the samples, so that no global one exists."""
        truncated = self.make().get_params().get("threshold") is not None
        return threat in self.proved and (
            threat == WEIGHTED
            or (threat == Strain() and not truncated)
            or "landmarks" in self.name
        )

    @property
    def certifies(self) -> bool:
        """Whether there is a theorem for any threat to the input."""
        return bool(self.proved)

    @cached_property
    def attacked(self) -> tuple[list[Any], Diagrams]:
        """The first sample and perturbations of it, and the diagrams of all."""
        from tests.contracts.perturbations import pool

        inputs = [self.X[0], *pool(self, self.X[0])]
        return inputs, self.fitted().transform(inputs)


def recast(X: Any, change: Callable[[Array], Any]) -> list[Any]:
    """Change every array of every sample; graphs are made of several."""
    result: list[Any] = []
    for sample in X:
        if isinstance(sample, tuple):
            result.append(tuple(map(change, sample)))
        elif isinstance(sample, dict):
            result.append({key: change(value) for key, value in sample.items()})
        else:
            result.append(change(sample))
    return result


def weighted(threat: Threat, diagrams: Diagrams, X: Any) -> Diagrams:
    """Diagrams with point weights noted, if the threat has some and samples points."""
    if threat != WEIGHTED or not isinstance(X[0], np.ndarray):
        return diagrams
    return diagrams.with_weights(threat, list(X))


# --- samples --------------------------------------------------------------------------


def clouds(dimension: int, sizes: tuple[int, ...] = (9, 8, 9)) -> tuple[Array, ...]:
    """Noisy circles (or spheres, or clusters on a line)."""
    rng = np.random.default_rng(dimension)
    points = [rng.normal(size=(n, dimension)) for n in sizes]
    return tuple(
        p / np.linalg.norm(p, axis=1, keepdims=True) + 0.2 * rng.normal(size=p.shape)
        for p in points
    )


def matrices() -> tuple[Array, ...]:
    """Symmetric matrices without the triangle inequality."""
    rng = np.random.default_rng(7)
    squares = [rng.uniform(1, 5, size=(n, n)) for n in (7, 6, 7)]
    return tuple(np.triu(m, 1) + np.triu(m, 1).T for m in squares)


def images(*shape: int) -> tuple[Array, ...]:
    """Noise."""
    return tuple(np.random.default_rng(11).normal(size=(3, *shape)))


def graphs() -> tuple[tuple[Array, Array], ...]:
    """Random graphs with values on the vertices; not all are connected."""
    rng = np.random.default_rng(5)
    result = []
    for n in (8, 7, 8):
        pairs = np.stack(np.triu_indices(n, 1), axis=1)
        edges = pairs[rng.random(len(pairs)) < 0.4]
        result.append((edges, rng.normal(size=n)))
    return tuple(result)


def bare_graphs() -> tuple[dict[str, Array], ...]:
    """The same graphs without values."""
    return tuple({"edges": edges} for edges, _ in graphs())


def distance_from_half(graph: Any, scale: float = 1.0) -> Array:
    """Values of vertices, computed from the ones that a graph carries."""
    given = graph[1].detach() if hasattr(graph[1], "detach") else graph[1]
    return scale * np.abs(np.asarray(given, np.float64) - 0.5)


# --- rows -----------------------------------------------------------------------------

ON_MATRIX = (MatrixSup(),)
ANY_CLOUD = (*MOVES, Hausdorff(), Strain())
FIXED_SIZE = (*MOVES, Strain())

CASES = (
    Case("alpha", AlphaPersistence, "cloud", clouds(2), ANY_CLOUD),
    Case(
        "alpha-3d-exact",
        partial(AlphaPersistence, (0, 1, 2), precision="exact", field=3),
        "cloud",
        clouds(3),
        ANY_CLOUD,
    ),
    Case("alpha-1d", partial(AlphaPersistence, (0,)), "cloud", clouds(1), ANY_CLOUD),
    Case(
        "alpha-fast",
        partial(AlphaPersistence, precision="fast"),
        "cloud",
        clouds(2),
        (),
    ),
    Case("cubical", CubicalPersistence, "image", images(4, 5), PIXELS),
    Case("cubical-signal", CubicalPersistence, "image", images(9), PIXELS),
    Case(
        "cubical-top-periodic",
        partial(
            CubicalPersistence,
            (1, 0),
            construction="top",
            periodic=(True, False),
        ),
        "image",
        images(5, 4),
        PIXELS,
    ),
    Case(
        "cubical-3d",
        partial(CubicalPersistence, (0, 1, 2), field=3),
        "image",
        images(3, 3, 3),
        PIXELS,
    ),
    Case(
        "dtm",
        partial(DTMPersistence, n_neighbors=(2, 4), grid=9),
        "cloud",
        clouds(2),
        MOVES,
        0.95,
    ),
    Case(
        "dtm-3d",
        partial(DTMPersistence, (0, 1), n_neighbors=3, grid=(5, 3, 5), q=1),
        "cloud",
        clouds(3),
        MOVES,
    ),
    Case(
        "dtm-1d",
        partial(
            DTMPersistence,
            (0,),
            n_neighbors=(1, 3),
            grid=9,
            q=3.0,
            box=[[-2], [2]],
        ),
        "cloud",
        clouds(1),
        MOVES,
    ),
    Case(
        "dtm-rips",
        partial(DTMRipsPersistence, n_neighbors=3),
        "cloud",
        clouds(2),
        FIXED_SIZE,
        0.8,
    ),
    Case(
        "dtm-rips-matrix",
        partial(
            DTMRipsPersistence, n_neighbors=2, q=1, metric="precomputed", threshold=4.0
        ),
        "matrix",
        matrices(),
        ON_MATRIX,
    ),
    Case("graph-degree", GraphPersistence, "graph", bare_graphs(), PIXELS),
    Case(
        "graph-values",
        partial(GraphPersistence, (1, 0), vertex_function="values"),
        "graph",
        graphs(),
        PIXELS,
    ),
    Case(
        "graph-extended",
        partial(GraphPersistence, vertex_function="values", extended=True),
        "graph",
        graphs(),
        PIXELS,
    ),
    Case(
        "graph-heat",
        partial(GraphPersistence, vertex_function="hks", extended=True),
        "graph",
        bare_graphs(),
        PIXELS,
    ),
    Case(
        "graph-callable",
        partial(
            GraphPersistence, vertex_function=partial(distance_from_half, scale=2.0)
        ),
        "graph",
        graphs(),
        PIXELS,
    ),
    Case("rips", RipsPersistence, "cloud", clouds(2), ANY_CLOUD),
    Case(
        "rips-ripser",
        partial(RipsPersistence, (0, 1, 2), engine="ripser", coefficient=3),
        "cloud",
        clouds(3),
        ANY_CLOUD,
    ),
    Case(
        "rips-threshold",
        partial(RipsPersistence, threshold=1.0),
        "cloud",
        clouds(2),
        ANY_CLOUD,
    ),
    Case(
        "rips-landmarks",
        partial(RipsPersistence, n_landmarks=5),
        "cloud",
        clouds(2),
        ANY_CLOUD,
        0.3,
    ),
    Case("rips-sparse", partial(RipsPersistence, sparse=0.5), "cloud", clouds(2), ()),
    Case(
        "rips-matrix",
        partial(RipsPersistence, metric="precomputed"),
        "matrix",
        matrices(),
        ON_MATRIX,
    ),
    Case(
        "union",
        lambda: PersistenceUnion(
            [
                AlphaPersistence(),
                DTMPersistence((0,), n_neighbors=3, grid=5),
                RipsPersistence((1,)),
            ]
        ),
        "cloud",
        clouds(2),
        MOVES,
    ),
    Case(
        "union-nested",
        lambda: PersistenceUnion(
            [
                ("inner", PersistenceUnion([AlphaPersistence((0,))])),
                DTMRipsPersistence((0, 1), n_neighbors=2),
            ]
        ),
        "cloud",
        clouds(2),
        FIXED_SIZE,
        0.5,
    ),
)
