"""Rips persistence weighted by the distance to measure: outliers come late.

The weight w_i of a point is the l_q mean of the distances to its k nearest points,
itself included.  A point enters at 2 w_i, an edge at d_ij + w_i + w_j: far from the
crowd everything waits.  If distances change by at most h, sorted distances do too, and
the one to the point itself stays 0; so

    |w_i - w'_i| <= kappa h,   kappa = ((k - 1) / k)^(1/q),

edges move by (1 + 2 kappa) h, and diagrams by no more [X8].  Values are doubled, as in
GUDHI's `DTMRipsComplex`, so that k = 1 gives the Rips filtration.  The number of
points is part of the weight, so clouds of different sizes cannot be compared.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from joblib import Memory
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from stablerank.bounds import Bound
from stablerank.diagrams import Source
from stablerank.exceptions import NoStabilityTheorem, ShapeError
from stablerank.extract.base import Extracted, Extractor, needs_samples, no_theorem
from stablerank.extract.cost import SampleCost
from stablerank.extract.distance_bounds import distance_bound, truncated_bound
from stablerank.extract.distances import Distances, mean_neighbours
from stablerank.extract.engines import gudhi_rips
from stablerank.extract.flag import (
    check_coefficient,
    component_bars,
    flag_bars,
    settle,
    spread_over_cloud,
    spread_over_matrix,
)
from stablerank.extract.flag_cost import flag_cost
from stablerank.metrics import (
    Bottleneck,
    Displacement,
    Hausdorff,
    MatrixSup,
    Strain,
    Threat,
)
from stablerank.rounding import (
    UNIT_ROUNDOFF,
    add_up,
    div_down,
    div_up,
    mul_up,
    pow_up,
)
from stablerank.validation import check_clouds, check_distance_matrices, check_limit

__all__ = ["DTMRipsPersistence"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class _Weighted(NamedTuple):
    """A weighted filtration; vertices enter at twice their weight."""

    edges: Array  # (n, n), values of edges, zero diagonal
    weights: Array  # (n,)


class DTMRipsPersistence(Extractor):
    """Rips filtration weighted by the distance to measure, values doubled.

    Stability: d_B(D(X), D(X')) <= (2 + 4 kappa) * max_i |x_i - x'_i|   [X8]

    with kappa = ((k - 1) / k)^(1/q), k the number of neighbours.

    ======================  ==================================
    threat                  constant
    ======================  ==================================
    Displacement            2 (1 + 2 kappa) [X3, X8]
    Displacement, weights   (w_(1) + w_(2)) (1 + 2 kappa)
    SinglePoint             1 + 2 kappa
    Budget                  sqrt(2) (1 + 2 kappa)
    Strain                  largest value [X14]
    MatrixSup, matrices     1 + 2 kappa [X8]
    Hausdorff               refused: numbers of points differ
    ======================  ==================================

    Parameters
    ----------
    homology_dimensions : sequence of int
        Degrees to keep.
    n_neighbors : int
        k, counting the point itself.
    q : float
        Order of the mean, at least 1.
    metric : {"euclidean", "precomputed"}
        Clouds, or symmetric matrices of dissimilarities.
    threshold : float, optional
        Clip both ends of every bar here; also of the class that never dies, so no
        essential bars remain.
    coefficient : int
        Prime; homology has coefficients in the integers modulo this.
    critical : bool
        Also keep the point or the edge that sets each end of each bar; ends at the
        threshold are set by none: -1.
    n_jobs : int, optional
        Processes, as in joblib.
    progress : bool
        Show a progress bar.
    memory : str or joblib.Memory, optional
        Cache.
    max_memory : float, optional
        Bytes above which `transform` refuses.

    Examples
    --------
    >>> line = [[0.0], [1.0], [2.0], [10.0]]
    >>> dgms = DTMRipsPersistence((0,), n_neighbors=2, q=1).fit_transform([line])
    >>> dgms[0]["H0"]
    array([[ 8. , 12.5],
           [ 1. ,  2. ],
           [ 1. ,  2. ],
           [ 1. ,  inf]])
    >>> DTMRipsPersistence(n_neighbors=2, q=1).bound(Displacement()).constant
    4.0
    """

    convention: ClassVar[str] = "edge length"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._parameter_constraints,
        "n_neighbors": [Interval(numbers.Integral, 1, None, closed="left")],
        "q": [Interval(numbers.Real, 1, None, closed="left")],
        "metric": [StrOptions({"euclidean", "precomputed"})],
        "threshold": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "coefficient": [Interval(numbers.Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        n_neighbors: int = 5,
        q: float = 2,
        metric: Literal["euclidean", "precomputed"] = "euclidean",
        threshold: float | None = None,
        coefficient: int = 2,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.homology_dimensions = homology_dimensions
        self.n_neighbors = n_neighbors
        self.q = q
        self.metric = metric
        self.threshold = threshold
        self.coefficient = coefficient
        self.critical = critical
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_limit(self.q, "q")
        if self.threshold is not None:
            check_limit(self.threshold, "threshold")
        check_coefficient(self.coefficient, gudhi_rips.COEFFICIENT_LIMIT)

    def _read(self, X: Any) -> list[Array]:
        read = check_clouds if self.metric == "euclidean" else check_distance_matrices
        samples = read(X)
        for i, sample in enumerate(samples):
            if len(sample) < self.n_neighbors:
                raise ShapeError(
                    f"sample {i} has {len(sample)} points, fewer than n_neighbors="
                    f"{self.n_neighbors} (which counts the point itself); lower it or "
                    "drop the sample"
                )
        return samples

    def _n_features(self, sample: Array) -> int:
        # Matrices of any size go together; what they share is one value a pair.
        return 1 if self.metric == "precomputed" else sample.shape[1]

    def _channels(self) -> tuple[list[str], list[int]]:
        degrees = [int(k) for k in self.homology_dimensions]
        return [f"H{k}" for k in degrees], degrees

    # --- bars -------------------------------------------------------------------------

    def _transform_one(self, sample: Array) -> Extracted:
        reading = Distances.of(sample, precomputed=self.metric == "precomputed")
        values, degrees = self._weighted(reading.matrix), self._channels()[1]
        raw = self._raw_bars(values, degrees)
        settled = [settle(raw[k][0], self.threshold) for k in degrees]
        critical = None
        if self.critical:
            critical = [
                self._unless_clipped(*raw[k], bars.rows)
                for k, bars in zip(degrees, settled, strict=True)
            ]
        largest, error = float(values.edges.max()), self._error(reading, values)
        reading.geometry["largest_value"] = float(add_up(largest, error))
        return Extracted(
            [bars.finite for bars in settled],
            [bars.essential for bars in settled],
            [error] * len(degrees),
            reading.geometry,
            critical,
        )

    def _raw_bars(
        self, values: _Weighted, degrees: list[int]
    ) -> dict[int, tuple[Array, Indices]]:
        """Bars and the vertices that set their ends, by degree."""
        raw = {}
        if 0 in degrees:  # the only one that sees when points enter
            raw[0] = component_bars(values.edges, 2 * values.weights)
        if max(degrees) > 0:
            bars, ends = flag_bars(
                values.edges,
                max(degrees),
                gudhi_rips.rips_bars,
                threshold=self.threshold,
                coefficient=self.coefficient,
                ranked=self.critical,
            )
            nobody = [np.full((len(b), 2, 2), -1, np.int64) for b in bars]
            found = list(zip(bars, ends or nobody, strict=True))
            raw |= {k: found[k] for k in degrees if k > 0}
        return raw

    def _unless_clipped(self, bars: Array, ends: Indices, rows: Indices) -> Indices:
        """Vertices that set the ends of some bars; -1 where the threshold did."""
        if self.threshold is None:
            return ends[rows]
        clipped = bars[rows] > self.threshold
        return np.where(clipped[:, :, None], -1, ends[rows])

    def _weighted(self, distances: Array) -> _Weighted:
        weights = self._weights(distances)
        edges = distances + (weights[:, None] + weights)
        # Without the triangle inequality a vertex may come later than the sum.
        late = 2 * np.maximum(weights[:, None], weights)
        edges = np.maximum(edges, late)
        np.fill_diagonal(edges, 0.0)
        return _Weighted(edges, weights)

    def _weights(self, distances: Array) -> Array:
        """l_q mean of the k smallest entries of every row."""
        k = self.n_neighbors
        nearest = np.partition(distances, k - 1, axis=1)[:, :k]
        scale = nearest.max(axis=1)  # powers of large or tiny numbers leave the range
        safe = np.where(scale > 0, scale, 1.0)
        mean = ((nearest / safe[:, None]) ** self.q).mean(axis=1)
        return np.asarray(scale * mean ** (1 / self.q))

    def _error(self, reading: Distances, values: _Weighted) -> float:
        """Distance errors through X8, and rounding of weights and sums [F3].

        Division, mean and root cost (2 k + 8) u relative, the library's power 2**-48,
        products below the normal range a few 2**-1074; the two sums cost 2 u.
        """
        through = mul_up(_stretch(self.n_neighbors, self.q), reading.error)
        if self.n_neighbors == 1:
            return float(through)  # weights are 0, sums exact
        relative = 2.0**-48 + (2 * self.n_neighbors + 8) * UNIT_ROUNDOFF
        own = add_up(mul_up(2 * relative, values.weights.max()), 2.0**-1070)
        sums = mul_up(4 * UNIT_ROUNDOFF, values.edges.max())
        return float(add_up(through, add_up(own, sums)))

    def _pullback(self, sample: Array, critical: Indices, grad: Array) -> Array:
        distances = Distances.of(sample, precomputed=self.metric == "precomputed")
        edges, slopes = self._distance_gradient(distances.matrix, critical, grad)
        points = self.metric == "euclidean"
        spread = spread_over_cloud if points else spread_over_matrix
        return spread(sample, edges, slopes)

    def _distance_gradient(
        self, distances: Array, critical: Indices, grad: Array
    ) -> tuple[Indices, Array]:
        """Distances that the ends of bars are made of, and their factors."""
        ends, slopes = critical.reshape(-1, 2), grad.ravel()
        set_by_some = ends[:, 0] >= 0
        ends, slopes = ends[set_by_some], slopes[set_by_some]
        weights, on_weights = self._weights(distances), np.zeros(len(distances))
        alone = ends[:, 1] < 0
        np.add.at(on_weights, ends[alone, 0], 2 * slopes[alone])
        i, j, pull = *ends[~alone].T, slopes[~alone]
        # An edge that waits for its later end moves with that alone.
        later = np.where(weights[i] >= weights[j], i, j)
        waits = 2 * weights[later] > distances[i, j] + weights[i] + weights[j]
        np.add.at(on_weights, later[waits], 2 * pull[waits])
        free = np.stack([i, j], axis=1)[~waits]
        np.add.at(on_weights, free, pull[~waits, None])
        # The derivative of a mean is (d / w)^(q - 1) / k at each neighbour.
        k, n = self.n_neighbors, len(distances)
        near = np.argpartition(distances, k - 1, axis=1)[:, :k]
        each = np.take_along_axis(distances, near, axis=1)
        some = np.where(weights > 0, weights, 1.0)[:, None]
        share = np.where(each > 0, (each / some) ** (self.q - 1), 0.0) / k
        spokes = np.stack([np.repeat(np.arange(n), k), near.ravel()], axis=1)
        pulls = (on_weights[:, None] * share).ravel()
        return np.concatenate([free, spokes]), np.concatenate([pull[~waits], pulls])

    # --- theorems ---------------------------------------------------------------------

    @property
    def default_threat(self) -> Threat:
        """Displacement of points, or the sup norm of a matrix."""
        return MatrixSup() if self.metric == "precomputed" else Displacement()

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        return self._same(self._bound(threat, source))

    def _bound(self, threat: Threat, source: Source | None) -> Bound:
        note = "an entry and the weights of its two points"
        stretch = _stretch(self.n_neighbors, self.q)
        weighted = Bound(MatrixSup(), Bottleneck(), stretch, "X8", note)
        if self.metric == "precomputed":
            if not isinstance(threat, MatrixSup):
                raise NoStabilityTheorem(
                    f"the input is a matrix, which does not tell the {threat}",
                    'MatrixSup(), or metric="euclidean" with the points themselves',
                )
            return truncated_bound(weighted, self.threshold)
        if isinstance(threat, MatrixSup):
            raise NoStabilityTheorem(
                "the input is points, and a perturbed matrix need not be the matrix of "
                "any points",
                'Displacement(), or metric="precomputed"',
            )
        if isinstance(threat, Hausdorff):
            raise NoStabilityTheorem(
                "a weight is a mean over a number of neighbours, so it changes at once "
                "when points come or go; the statement for different numbers of points "
                "is cited and not proved here [X8]",
                "Displacement(), or RipsPersistence, whose Hausdorff constant is 2",
            )
        if isinstance(threat, Strain):
            return self._strain_bound(threat, source)
        change = distance_bound(threat, source)
        if change is None:
            listed = "Displacement(), SinglePoint(), Budget(), Strain()"
            raise no_theorem(self, threat, listed)
        return truncated_bound(weighted @ change, self.threshold)

    def _strain_bound(self, threat: Strain, source: Source | None) -> Bound:
        """Weights scale with distances, so every value changes by its share [X14]."""
        ledger = "X14" if self.threshold is None else "X14 . X18"
        cap = np.inf if self.threshold is None else float(self.threshold)
        if source is None:
            if self.threshold is None:
                raise needs_samples("its largest value")
            return Bound(threat, Bottleneck(), cap, ledger, "largest value")
        largest = np.minimum(source.geometry["largest_value"], cap)
        return Bound(threat, Bottleneck(), largest, ledger, "largest value")

    # --- cost -------------------------------------------------------------------------

    def _cost(self, sample: Array) -> SampleCost:
        n, top = len(sample), max(self._channels()[1])
        precomputed = self.metric == "precomputed"
        # Values are at least distances, so no more edges than these are below T.
        near = mean_neighbours(sample, self.threshold, precomputed=precomputed)
        base = flag_cost(n, near, top, "gudhi", ranked=self.critical)
        # Weights, values and the spanning tree: a few passes over the matrix.
        return SampleCost(base.memory + 32.0 * n**2, base.seconds + 4e-8 * n**2)

    def _cheaper(self) -> str:
        options = ["fewer points"]
        if self.threshold is None:
            options.append("threshold=T (no bar beyond T; every constant stays [X18])")
        if max(self._channels()[1]) > 0:
            options.append("a lower homology dimension (no price)")
        return ", ".join(options)


def _stretch(n_neighbors: int, q: float) -> float:
    """1 + 2 kappa, rounded up: how far values move per unit of a distance [X8]."""
    kappa = pow_up(div_up(n_neighbors - 1, n_neighbors), div_down(1.0, q))
    return float(add_up(1.0, 2 * kappa))
