"""Vietoris-Rips persistence of point clouds and of distance matrices.

A simplex enters when its longest edge does, so the diagrams are those of the matrix
of distances, and d_B <= max |d - d'| [X2].  Moving points changes distances by what
`distance_bounds` says; everything else is a reading of that matrix:

- `threshold=T` clips both ends of all bars, which costs nothing [X18];
- `n_landmarks` keeps a spread subsample; its cover radius is owed, for the input and
  for every perturbed one [X15];
- `sparse` approximates on a logarithmic scale, and no certificate uses it [X16].

Distances are computed by subtraction, never by dot products, for either engine; their
rounding is charged, and Ripser's single precision [F3].
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np
from joblib import Memory
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from stablerank.bounds import Bound
from stablerank.diagrams import Source
from stablerank.exceptions import EngineError, InvalidInputError, NoStabilityTheorem
from stablerank.extract.base import Extracted, Extractor, no_theorem
from stablerank.extract.cost import SampleCost, refuse_if_too_large
from stablerank.extract.distance_bounds import (
    budget_bounds,
    deaths_bound,
    rips_bound,
    subsampled_bound,
    truncated_bound,
)
from stablerank.extract.distances import Distances, mean_neighbours
from stablerank.extract.engines import gudhi_rips, ripser
from stablerank.extract.flag import (
    Engine,
    check_coefficient,
    flag_bars,
    settle,
    spread_over_cloud,
    spread_over_matrix,
)
from stablerank.extract.flag_cost import flag_cost, sparse_neighbours, tree_cost
from stablerank.metrics import Bottleneck, Displacement, MatrixSup, Threat
from stablerank.rounding import add_up, mul_up
from stablerank.validation import check_clouds, check_distance_matrices, check_limit

__all__ = ["RipsPersistence"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_ENGINES: dict[str, ModuleType] = {"gudhi": gudhi_rips, "ripser": ripser}


class RipsPersistence(Extractor):
    """Vietoris-Rips filtration; a simplex enters at its longest edge.

    Stability: d_B(D(X), D(X')) <= 2 * max_i |x_i - x'_i|   [X3]

    ======================  =================  ================================
    threat                  constant           and the sorted deaths of H0
    ======================  =================  ================================
    Displacement            2 [X3]             2 in sup norm [H1]
    Displacement, weights   w_(1)+w_(2) [X3]   the same [H1]
    SinglePoint             1 [X3]             1 [H1]
    Budget                  sqrt(2) [X3]       sqrt(2); C_d in l_2 [H2]
    Hausdorff               2 [X4]             2 [H1]
    Strain                  diameter [X14]     the same [H1]
    MatrixSup, matrices     1 [X2]             1 [H1]
    ======================  =================  ================================

    On a budget, sorted lengths of degree 1 and more move by sqrt(6) [X3].  With
    `n_landmarks`, displacement costs 6 and an offset of 6 r(X), r(X) the cover radius
    [X15].

    Parameters
    ----------
    homology_dimensions : sequence of int
        Degrees to keep.
    metric : {"euclidean", "precomputed"}
        Clouds, or symmetric matrices of dissimilarities (no triangle inequality
        needed).
    engine : {"gudhi", "ripser"}
        GUDHI is in double precision, and faster.  Ripser is in single precision,
        which is charged, and has `cocycles`.
    threshold : float, optional
        Clip both ends of every bar here; also of the class that never dies, so no
        essential bars remain.
    n_landmarks : int, optional
        Keep a farthest-point subsample of this size, starting at point 0.
    sparse : float in (0, 1), optional
        Approximate by GUDHI's sparse Rips complex with this parameter (it sets
        GUDHI's random seed).
    coefficient : int
        Prime; homology has coefficients in the integers modulo this.
    critical : bool
        Also keep the edge that sets each end of each bar.  Births of degree 0 and
        ends at the threshold are set by none: -1.  The engine then works on the ranks
        of the edges, and Ripser is exact too.
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
    >>> square = [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    >>> dgms = RipsPersistence().fit_transform([square])
    >>> dgms[0]["H1"]
    array([[1.        , 1.41421356]])
    >>> RipsPersistence().bound(Displacement()).constant
    2.0
    """

    convention: ClassVar[str] = "edge length"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._parameter_constraints,
        "metric": [StrOptions({"euclidean", "precomputed"})],
        "engine": [StrOptions({"gudhi", "ripser"})],
        "threshold": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "n_landmarks": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "sparse": [Interval(numbers.Real, 0, 1, closed="neither"), None],
        "coefficient": [Interval(numbers.Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        metric: Literal["euclidean", "precomputed"] = "euclidean",
        engine: Literal["gudhi", "ripser"] = "gudhi",
        threshold: float | None = None,
        n_landmarks: int | None = None,
        sparse: float | None = None,
        coefficient: int = 2,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.homology_dimensions = homology_dimensions
        self.metric = metric
        self.engine = engine
        self.threshold = threshold
        self.n_landmarks = n_landmarks
        self.sparse = sparse
        self.coefficient = coefficient
        self.critical = critical
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.threshold is not None:
            check_limit(self.threshold, "threshold")
        check_coefficient(self.coefficient, _ENGINES[self.engine].COEFFICIENT_LIMIT)
        if self.sparse is not None:
            if self.engine != "gudhi":
                raise InvalidInputError('sparse needs engine="gudhi"')
            if self.critical:
                raise InvalidInputError(
                    "sparse changes the lengths of edges, so no edge sets a bar; "
                    "use critical=False, or n_landmarks"
                )

    def _read(self, X: Any) -> list[Array]:
        if self.metric == "precomputed":
            return check_distance_matrices(X)
        return check_clouds(X)

    def _n_features(self, sample: Array) -> int:
        # Matrices of any size go together; what they share is one value a pair.
        return 1 if self.metric == "precomputed" else sample.shape[1]

    def _channels(self) -> tuple[list[str], list[int]]:
        degrees = [int(k) for k in self.homology_dimensions]
        return [f"H{k}" for k in degrees], degrees

    # --- bars -------------------------------------------------------------------------

    def _transform_one(self, sample: Array) -> Extracted:
        reading, degrees = self._distances(sample), self._channels()[1]
        engine, error = _ENGINES[self.engine].rips_bars, self._error(reading)
        if self.sparse is not None:
            engine = partial(gudhi_rips.sparse_rips_bars, sparse=self.sparse)
        values, edges = self._bars(reading, engine)
        settled = [settle(values[k], self.threshold) for k in degrees]
        if self.n_landmarks is None:
            deaths = settle(values[0], self.threshold).finite[:1, 1]
            reading.geometry["largest_death"] = add_up(deaths.max(initial=0.0), error)
        critical = None
        if edges is not None:
            critical = [
                reading.original(edges[k][bars.rows])
                for k, bars in zip(degrees, settled, strict=True)
            ]
        return Extracted(
            [bars.finite for bars in settled],
            [bars.essential for bars in settled],
            [error] * len(degrees),
            reading.geometry,
            critical,
        )

    def _bars(
        self, reading: Distances, engine: Engine
    ) -> tuple[list[Array], list[Indices] | None]:
        n, most = len(reading.matrix), _ENGINES[self.engine].EXACT_INTEGERS
        if self.critical and n * (n - 1) // 2 > most:
            raise EngineError(
                f"{self.engine} tells {most} edges apart, {n} points have more; "
                'use engine="gudhi", n_landmarks or critical=False'
            )
        return flag_bars(
            reading.matrix,
            max(self._channels()[1]),
            engine,
            threshold=self.threshold,
            coefficient=self.coefficient,
            ranked=self.critical,
        )

    def _error(self, reading: Distances) -> float:
        if self.sparse is not None:
            return np.inf  # nothing is proved about the distance to Rips bars
        if self.critical:
            return reading.error  # engines are exact on ranks
        rounding = _ENGINES[self.engine].ROUNDING
        return add_up(reading.error, mul_up(rounding, reading.matrix.max()))

    def _distances(self, sample: Array) -> Distances:
        precomputed = self.metric == "precomputed"
        return Distances.of(
            sample, precomputed=precomputed, n_landmarks=self.n_landmarks
        )

    def cocycles(self, X: Any) -> list[dict[str, list[Indices]]]:
        """Representative cocycles of the bars of degree 1 and more.

        Parameters
        ----------
        X : list of samples
            Raw input, as for `transform`.

        Returns
        -------
        list of dict of str to list of ndarray of shape (n_simplices, degree + 2)
            For each sample and channel one array per finite bar, in the order of
            `transform`: the vertices of a simplex, and the value of the cocycle there.

        Examples
        --------
        >>> square = [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
        >>> RipsPersistence(engine="ripser").cocycles([square])[0]["H1"]
        [array([[1, 0, 1]])]
        """
        self._check_parameters()
        if self.engine != "ripser":
            raise InvalidInputError('cocycles come from engine="ripser" only')
        samples = self._read(X)
        refuse_if_too_large(self._estimate(samples), self.max_memory, self._cheaper())
        return [self._cocycles_one(sample) for sample in samples]

    def _cocycles_one(self, sample: Array) -> dict[str, list[Indices]]:
        reading, found = self._distances(sample), []

        def engine(*arguments: Any) -> list[Array]:
            bars, cocycles = ripser.rips_cocycles(*arguments)
            found.extend(cocycles)
            return bars

        values, _ = self._bars(reading, engine)
        result = {}
        for name, k in zip(*self._channels(), strict=True):
            if k == 0:
                continue
            own = [found[k][row] for row in settle(values[k], self.threshold).rows]
            result[name] = [
                np.column_stack([reading.original(c[:, :-1]), c[:, -1]]) for c in own
            ]
        return result

    def _pullback(self, sample: Array, critical: Indices, grad: Array) -> Array:
        edges, weights = critical.reshape(-1, 2), grad.ravel()
        real = edges[:, 0] >= 0
        points = self.metric == "euclidean"
        spread = spread_over_cloud if points else spread_over_matrix
        return spread(sample, edges[real], weights[real])

    # --- theorems ---------------------------------------------------------------------

    @property
    def default_threat(self) -> Threat:
        """Displacement of points, or the sup norm of a matrix."""
        return MatrixSup() if self.metric == "precomputed" else Displacement()

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        if self.sparse is not None:
            raise NoStabilityTheorem(
                "sparse Rips diagrams approximate Rips diagrams on a logarithmic scale "
                "[X16], a statement that is cited and not proved here",
                "threshold=T, or n_landmarks=k with its cover radius charged",
            )
        listed = {}
        for name, degree in zip(*self._channels(), strict=True):
            own = [self._bottleneck_bound(threat, source, degree)]
            if degree == 0:
                own.append(deaths_bound(own[0]))
            if self.metric == "euclidean" and self.n_landmarks is None:
                dimension = getattr(self, "n_features_in_", None)
                more = budget_bounds(threat, source, degree, dimension)
                own += [truncated_bound(bound, self.threshold) for bound in more]
            listed[name] = own
        return listed

    def _bottleneck_bound(
        self, threat: Threat, source: Source | None, degree: int
    ) -> Bound:
        if self.metric == "precomputed":
            return self._matrix_bound(threat)
        if isinstance(threat, MatrixSup):
            raise NoStabilityTheorem(
                "the input is points, and a perturbed matrix need not be the matrix of "
                "any points",
                'Displacement(), or metric="precomputed"',
            )
        bound = rips_bound(threat, source, degree, self.threshold)
        if bound is None:
            raise no_theorem(
                self,
                threat,
                "Displacement(), SinglePoint(), Budget(), Hausdorff(), Strain()",
            )
        if self.n_landmarks is not None:
            return subsampled_bound(bound, source, self.n_landmarks)
        return bound

    def _matrix_bound(self, threat: Threat) -> Bound:
        if not isinstance(threat, MatrixSup):
            raise NoStabilityTheorem(
                f"the input is a matrix, which does not tell the {threat}",
                'MatrixSup(), or metric="euclidean" with the points themselves',
            )
        if self.n_landmarks is not None:
            raise NoStabilityTheorem(
                "what landmarks leave out is bounded by the triangle inequality, which "
                "a perturbed matrix need not obey",
                "n_landmarks=None, or threshold=T",
            )
        bound = Bound(threat, Bottleneck(), 1.0, "X2", "the largest edge decides")
        return truncated_bound(bound, self.threshold)

    # --- cost -------------------------------------------------------------------------

    def _cost(self, sample: Array) -> SampleCost:
        n, top = len(sample), max(self._channels()[1])
        points = n if self.n_landmarks is None else min(n, self.n_landmarks)
        precomputed = self.metric == "precomputed"
        if self.sparse is not None:
            # The growth of a matrix is unknown; that of a solid is a fair guess.
            dimension = 3 if precomputed else sample.shape[1]
            near = sparse_neighbours(points, self.sparse, dimension)
            return tree_cost(points, near, top)
        near = mean_neighbours(sample, self.threshold, precomputed=precomputed)
        near = min(near * points / n, points - 1.0)
        return flag_cost(points, near, top, self.engine, ranked=self.critical)

    def _cheaper(self) -> str:
        options = []
        if self.threshold is None:
            options.append("threshold=T (no bar beyond T; every constant stays [X18])")
        if self.n_landmarks is None and self.metric == "euclidean":
            options.append(
                "n_landmarks=k (displacement e then costs 6 e + 6 r(X) in place of "
                "2 e, r(X) the cover radius [X15])"
            )
        if self.engine == "ripser":
            options.append('engine="gudhi" (no price)')
        if max(self._channels()[1]) > 0:
            options.append("a lower homology dimension (no price)")
        return ", ".join(options) or "fewer points"
