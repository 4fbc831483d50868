"""Distance to a measure: how far away the nearest points are, seen from a fixed grid.

At a vertex g of the grid the function is a mean over the k nearest points,

    f_k(g) = (mean of |g - x_i|^q)^(1/q)
           = k^(-1/q) min over S of || |g - x_i| : i in S ||_q,   S any k points,

and its sublevel sets give the diagrams.  One outlier hardly moves it, where it ruins
a filtration by radii.  If point i moves by e_i, the norm of S changes by at most the
norm of its moves; so does the minimum [X9], and so do the bars [X10]:

    d_B(D, D') <= k^(-1/q) max over S of || e_i : i in S ||_q.

All points by e: e.  One point by e: k^(-1/q) e.  An l_2 budget rho of all moves:
k^(-1/2) rho for q <= 2 (the l_q norm of k numbers is at most k^(1/q - 1/2) times their
l_2 norm), k^(-1/q) rho for q >= 2.

The grid must not move with the cloud, or it would carry its own motion into the
values: its box is frozen in `fit`.  Clouds may leave it; the theorem does not mind.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence, Set
from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from sklearn.utils._param_validation import Interval

from stablerank.bounds import Bound
from stablerank.diagrams import Source
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem, ShapeError
from stablerank.extract.base import Extracted, Extractor, needs_samples, no_theorem
from stablerank.extract.cost import SampleCost
from stablerank.extract.cubical import sublevel_bars, sublevel_cost
from stablerank.metrics import (
    Bottleneck,
    Budget,
    Displacement,
    Hausdorff,
    SinglePoint,
    Strain,
    Threat,
)
from stablerank.rounding import div_down, div_up, gamma, mul_up, pow_up, sub_down
from stablerank.validation import check_clouds, to_float64

__all__ = ["DTMPersistence", "distance_to_measure"]

Array = NDArray[np.float64]
Critical = NDArray[np.int64]

#: Vertices a query of the tree: enough to hide the call, little enough to keep flat.
_ROWS = 2**16
#: Above the absolute error of distances so small that their squares lose digits [F3].
_UNDERFLOW = 2.0**-500
#: Two powers, each within 2**-48 relative: twice 32 u.
_TWO_POWERS = 64
_MOST_AXES = 3


class DTMPersistence(Extractor):
    """Sublevel persistence of the distance to a measure on a fixed grid.

    Stability: d_B(D(X), D(X')) <= 1 * max_i |x_i - x'_i|   [X9, X10]

    Parameters
    ----------
    homology_dimensions : sequence of int
        Degrees to keep.
    n_neighbors : int or sequence of int
        Numbers k of nearest points; each gives its own channels "k5/H0", "k5/H1", ...
        A cloud needs at least max(k) points.
    grid : int or sequence of int
        Vertices along each axis. 64 is made for the plane: in 3-D it means 262 144
        vertices and several seconds a cloud (`estimate_cost` says how many); take
        24 to 32 there.
    q : float
        Exponent of the mean, >= 1. With 1 and 2 every operation is correctly rounded;
        others charge a relative 2**-47 more as engine error.
    box : array-like of shape (2, dimension), optional
        Lower and upper corner of the grid; by default the bounding box of all
        training points, widened by `margin`.
    margin : float
        Added on every side of the default box, as a share of its longest side.
    critical : bool
        Also keep the grid vertices that set each birth and death: flat indices into
        the array of functions, of shape (number of k, *grid). Planar grids then take
        the general cubical engine, a few milliseconds a function.
    n_jobs, progress, memory, max_memory
        As in every extractor, see `Extractor`.

    Attributes
    ----------
    box_ : ndarray of shape (2, dimension)
        Lower and upper corner of the grid, frozen in `fit`.
    n_features_in_ : int
        Coordinates of a point, 1 to 3.

    Notes
    -----
    Constants to the bottleneck distance, channel by channel:

    ===========================  ==============================  ==========
    threat                       constant
    ===========================  ==============================  ==========
    `Displacement()`             1                               [X9, X10]
    `Displacement(weights=...)`  largest weight of the sample    [X9, X10]
    `SinglePoint()`              k^(-1/q)                        [X9, X10]
    `Budget()`                   k^(-1/2) if q <= 2, k^(-1/q)    [X9, X10]
    ===========================  ==============================  ==========

    Examples
    --------
    >>> square = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> dtm = DTMPersistence(n_neighbors=1, grid=3).fit([square])
    >>> dtm.transform([square])[0]["k1/H1"]
    array([[0.5       , 0.70710678]])
    """

    convention: ClassVar[str] = "value"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._parameter_constraints,
        "n_neighbors": [
            Interval(numbers.Integral, 1, None, closed="left"),
            "array-like",
        ],
        "grid": [Interval(numbers.Integral, 1, None, closed="left"), "array-like"],
        "q": [Interval(numbers.Real, 1, None, closed="left")],
        "box": ["array-like", None],
        "margin": [Interval(numbers.Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        n_neighbors: int | Sequence[int] = (5, 20, 50),
        grid: int | Sequence[int] = 64,
        q: float = 2,
        box: ArrayLike | None = None,
        margin: float = 0.0,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.homology_dimensions = homology_dimensions
        self.n_neighbors = n_neighbors
        self.grid = grid
        self.q = q
        self.box = box
        self.margin = margin
        self.critical = critical
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    # --- input --------------------------------------------------------------------

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, values in (("n_neighbors", self._counts()), ("grid", self._shape(1))):
            unordered = isinstance(getattr(self, name), (Mapping, Set))
            if (
                unordered
                or not values
                or not all(
                    isinstance(v, numbers.Integral)
                    and not isinstance(v, bool)
                    and v >= 1
                    for v in values
                )
            ):
                raise InvalidInputError(
                    f"{name} must be an integer >= 1 or a sequence of these, got "
                    f"{getattr(self, name)!r}"
                )
        if len(set(self._counts())) < len(self._counts()):
            raise InvalidInputError(
                f"n_neighbors names a number twice: {self.n_neighbors!r}; each makes "
                "its own channels"
            )

    def _counts(self) -> list[int]:
        """Numbers of neighbours."""
        return _listed(self.n_neighbors)

    def _shape(self, dimension: int) -> tuple[int, ...]:
        """Vertices of the grid along each axis."""
        sizes = _listed(self.grid)
        return tuple(sizes if np.iterable(self.grid) else sizes * dimension)

    def _read(self, X: Any) -> list[Array]:
        clouds = check_clouds(X)
        dimension = clouds[0].shape[1]
        if dimension > _MOST_AXES:
            raise ShapeError(
                f"clouds of dimension {dimension}: a grid would be too large; reduce "
                "to 3 coordinates, or use DTMRipsPersistence"
            )
        if len(self._shape(dimension)) != dimension:
            raise ShapeError(
                f"grid has {len(self._shape(dimension))} entries, points have "
                f"{dimension} coordinates; give one entry a coordinate, or one integer"
            )
        most = max(self._counts())
        for i, cloud in enumerate(clouds):
            if len(cloud) < most:
                raise ShapeError(
                    f"clouds[{i}] has {len(cloud)} points, n_neighbors={most} needs at "
                    "least as many; drop the sample or lower n_neighbors"
                )
        return clouds

    def _fit(self, samples: list[Array]) -> None:
        if self.box is None:
            low = np.min([cloud.min(axis=0) for cloud in samples], axis=0)
            high = np.max([cloud.max(axis=0) for cloud in samples], axis=0)
            with np.errstate(over="ignore"):
                widen = self.margin * (high - low).max()
            box = np.stack([low - widen, high + widen])
            self.box_ = to_float64(box, "the box, widened by margin,")
            return
        box = to_float64(self.box, "box")
        if box.shape != (2, samples[0].shape[1]) or (box[0] > box[1]).any():
            raise InvalidInputError(
                f"box must hold a lower and an upper corner, shape (2, "
                f"{samples[0].shape[1]}), got {self.box!r}"
            )
        self.box_ = box

    def _vertices(self) -> Array:
        """Vertices of the grid in C order, shape (n_vertices, dimension)."""
        corners = zip(*self.box_, self._shape(self.box_.shape[1]), strict=True)
        axes = [np.linspace(low, high, n) for low, high, n in corners]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(
            -1, len(axes)
        )

    # --- extraction ---------------------------------------------------------------

    def _channels(self) -> tuple[list[str], list[int]]:
        degrees = [int(k) for k in self.homology_dimensions]
        names = [f"k{n}/H{k}" for n in self._counts() for k in degrees]
        return names, degrees * len(self._counts())

    def _transform_one(self, sample: Array) -> Extracted:
        counts, vertices = self._counts(), self._vertices()
        functions = distance_to_measure(sample, vertices, counts, self.q)
        found = Extracted([], [], [], critical=[] if self.critical else None)
        degrees = [int(k) for k in self.homology_dimensions]
        shape = self._shape(sample.shape[1])
        for row, (k, values) in enumerate(zip(counts, functions, strict=True)):
            bars, essential, critical = sublevel_bars(
                values.reshape(shape), degrees, critical=self.critical
            )
            found.bars += bars
            found.essential += essential
            error = _rounding_error(float(values.max()), k, self.q, sample.shape)
            found.error += [error] * len(degrees)
            if found.critical is not None and critical is not None:
                found.critical += [ends + row * len(vertices) for ends in critical]
        found.geometry = {
            "n_points": float(len(sample)),
            "dimension": float(sample.shape[1]),
            "max_value": float(functions.max()),
        }
        return found

    def _cost(self, sample: Array) -> SampleCost:
        dimension = sample.shape[1]
        n, most = math.prod(self._shape(dimension)), max(self._counts())
        one = sublevel_cost(n, (False,) * dimension, critical=self.critical)
        table = min(n, _ROWS) * most * (16 if self.q in (1, 2) else 48)
        memory = table + 8 * n * (len(self._counts()) + 3 * dimension) + one.memory
        # A neighbour takes a place in a heap, a vertex a descent in the tree.
        seconds = n * (5e-7 + 1.2e-7 * most) + len(self._counts()) * one.seconds
        return SampleCost(memory, seconds)

    def _cheaper(self) -> str:
        return (
            "a coarser grid, fewer or smaller n_neighbors (the constant under "
            "displacement stays 1), or critical=False"
        )

    # --- theorems -----------------------------------------------------------------

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        listed = "Displacement(), SinglePoint(), Budget()"
        if isinstance(threat, Hausdorff):
            raise NoStabilityTheorem(
                "a distance to a measure counts points: a point that is given twice "
                "changes it, and moves nothing in Hausdorff distance",
                f"one of {listed}, which compare clouds of one size",
            )
        if isinstance(threat, Strain):
            raise NoStabilityTheorem(
                "the grid stays where it is, and a rigid motion, which strains "
                "nothing, moves the points against it",
                f"one of {listed}",
            )
        if isinstance(threat, Displacement):
            constant = 1.0 if threat.weights is None else _weight(threat, source)
            note = "a mean of the k nearest distances"
            return self._same(Bound(threat, Bottleneck(), constant, "X9 . X10", note))
        if not isinstance(threat, (SinglePoint, Budget)):
            raise no_theorem(self, threat, listed)
        result = {}
        for name, k in zip(self._channels()[0], self._counts_by_channel(), strict=True):
            root = max(self.q, 2) if isinstance(threat, Budget) else self.q
            # 1/k <= 1, so a smaller exponent errs on the safe side.
            constant = pow_up(float(div_up(1.0, k)), float(div_down(1.0, root)))
            note = f"at most {k} of the moves count, each for 1/{k}"
            bound = Bound(threat, Bottleneck(), constant, "X9 . X10", note)
            result[name] = [bound]
        return result

    def _counts_by_channel(self) -> list[int]:
        return [k for k in self._counts() for _ in self.homology_dimensions]

    # --- gradients ------------------------------------------------------------------

    def _pullback(self, sample: Array, critical: Critical, grad: Array) -> Array:
        vertices, counts = self._vertices(), self._counts()
        tree = cKDTree(sample)
        result = np.zeros_like(sample)
        ends, weights = critical[:, :, 0].ravel(), grad.ravel()
        for row, k in enumerate(counts):
            mine = ends // len(vertices) == row
            where = vertices[ends[mine] - row * len(vertices)]  # (m, d)
            _, nearest = tree.query(where, k=k)
            nearest = nearest.reshape(-1, k)
            moves = sample[nearest] - where[:, None]  # (m, k, d)
            distances = np.linalg.norm(moves, axis=2)
            values = _power_mean(distances, self.q)[:, None]
            # d f / d |g - x_i| = (|g - x_i| / f)^(q - 1) / k, along the unit vector;
            # a point on the vertex itself has no direction, and is left out.
            apart = distances > 0
            safe = np.where(apart, distances, 1.0)
            ratio = distances / np.where(values > 0, values, 1.0)
            slope = np.where(apart, ratio ** (self.q - 1) / (k * safe), 0.0)
            pulls = (weights[mine, None] * slope)[:, :, None] * moves
            np.add.at(result, nearest.ravel(), pulls.reshape(-1, sample.shape[1]))
        return result


def _listed(value: Any) -> list[int]:
    return list(value) if np.iterable(value) else [value]


def _weight(threat: Displacement, source: Source | None) -> Array:
    """Largest point weight of every sample."""
    if source is None or str(threat) not in source.weights:
        raise needs_samples("its point weights: diagrams.with_weights(threat, clouds)")
    return source.weights[str(threat)][:, 0]


def distance_to_measure(
    cloud: Array, vertices: Array, n_neighbors: Sequence[int], q: float = 2
) -> Array:
    """Distance to the uniform measure on a cloud, at given places.

    Parameters
    ----------
    cloud : ndarray of shape (n_points, dimension)
        The points.
    vertices : ndarray of shape (n_vertices, dimension)
        Where to evaluate.
    n_neighbors : sequence of int
        Numbers of nearest points in the mean.
    q : float
        Exponent of the mean, >= 1.

    Returns
    -------
    ndarray of shape (len(n_neighbors), n_vertices)

    Examples
    --------
    >>> cloud = np.array([[0.0], [1.0], [7.0]])
    >>> distance_to_measure(cloud, np.array([[0.0]]), [1, 2], q=1)
    array([[0. ],
           [0.5]])
    """
    tree, most = cKDTree(cloud), max(n_neighbors)
    result = np.empty((len(n_neighbors), len(vertices)))
    for start in range(0, len(vertices), _ROWS):
        block = slice(start, start + _ROWS)
        # One query serves all k: distances come sorted.
        distances = tree.query(vertices[block], k=most)[0].reshape(-1, most)
        for row, k in enumerate(n_neighbors):
            result[row, block] = _power_mean(distances[:, :k], q)
    return result


def _power_mean(distances: Array, q: float) -> Array:
    """Power means of sorted rows, shape (n, k) -> (n,)."""
    k = distances.shape[1]
    if q == 1:
        return distances.sum(axis=1) / k
    if q == 2:
        return np.sqrt(np.einsum("ij,ij->i", distances, distances) / k)
    # Relative to the largest of the row: its power is 1, nothing overflows, and what
    # underflows is far below the rounding of the sum.
    largest = distances[:, -1]
    ratios = distances / np.where(largest > 0, largest, 1.0)[:, None]
    return largest * ((ratios**q).sum(axis=1) / k) ** (1 / q)


def _rounding_error(largest: float, k: int, q: float, shape: tuple[int, ...]) -> float:
    """Largest error of a computed value that is at most `largest`.

    In units of u, relative to the value, for n points in d dimensions:

    - a distance, d / 2 + 2 [F3]; n more, because the tree may pass over a neighbour
      for another one: it compares with the distance of a cell, a sum that takes two
      roundings of its square at every split, and a path has fewer than n splits;
    - the mean, at most 2 k + 6: quotients, products, sum (in any order) and roots, and
      log(k) for the exponent 1/q;
    - powers other than squares, twice 2**-48, which is declared and tested [F2].
    """
    n_points, dimension = shape
    count = n_points + dimension / 2 + 2 * k + 8
    relative = gamma(count + (0 if q in (1, 2) else _TWO_POWERS))
    # The exact value is at most the computed one divided by (1 - relative).
    error = div_up(mul_up(relative, largest), sub_down(1.0, relative))
    return float(error) + _UNDERFLOW
