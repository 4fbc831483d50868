"""Alpha persistence of point clouds: growing balls, in any dimension.

A set of points forms a simplex at the radius of its minimum enclosing ball; the
Delaunay triangulation keeps few of these simplices and all of their persistence.  The
square of such a radius is the largest variance sum_i l_i |x_i|^2 - |sum_i l_i x_i|^2
over weights l >= 0 with sum 1.  Where the points move by D_i its derivative is
sum_i l_i <n_i, D_i>, n_i the unit vector from the centre to point i.  The n_i balance,
so no l_i exceeds 1/2, and the radius moves by at most the mean of the two largest
moves:

    d_B(D(X), D(X')) <= (e_(1) + e_(2)) / 2 <= max_i |x_i - x'_i|   [X5].

Values are radii and never their squares: squares stretch by 2 R e + e^2, R the radius
of the cloud [X6], and no constant serves all clouds.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, Options, StrOptions

from stablerank.bounds import Bound
from stablerank.diagrams import Source
from stablerank.exceptions import NoStabilityTheorem
from stablerank.extract.base import Extracted, Extractor, needs_samples, no_theorem
from stablerank.extract.constants import h2_constant
from stablerank.extract.cost import SampleCost
from stablerank.extract.engines.gudhi_alpha import alpha_pairs, alpha_persistence
from stablerank.extract.geometry import enclosing_ball, enclosing_radius_up
from stablerank.metrics import (
    Bottleneck,
    Budget,
    Displacement,
    Hausdorff,
    MatrixSup,
    SinglePoint,
    SortedDeaths,
    Strain,
    Threat,
    Wasserstein,
)
from stablerank.rounding import add_up, mul_up, sqrt_up, up
from stablerank.validation import check_clouds

__all__ = ["AlphaPersistence"]

Array = NDArray[np.float64]
Vertices = NDArray[np.int64]

#: Constants to the bottleneck distance in every degree, and why.
_CONSTANTS: dict[type[Threat], tuple[float, str]] = {
    Displacement: (1.0, "radii move no more than points"),
    SinglePoint: (0.5, "no weight of a centre exceeds 1/2"),
    Budget: (float(sqrt_up(0.5)), "squared weights of a centre sum to 1/2 at most"),
    Hausdorff: (1.0, "pulled back to a correspondence"),
}
_THREATS = "Displacement(), SinglePoint(), Budget(), Hausdorff(), Strain()"


class AlphaPersistence(Extractor):
    """Persistence of the union of balls around points (alpha, Čech), as radii.

    Stability: d_B(D(X), D(X')) <= 1 * max_i |x_i - x'_i|   [X5]

    Parameters
    ----------
    homology_dimensions : sequence of int
        Degrees to keep. Degrees of the dimension of the points or higher give empty
        diagrams.
    precision : {"safe", "exact", "fast"}
        Arithmetic of the engine; the complex itself is exact unless "fast". "safe"
        evaluates squared radii to `relative_precision`; "exact" in rational numbers,
        which takes 6 times longer in the plane and 15 times in space. "fast" has no
        error bound at all: it extracts, and `bound` refuses.
    relative_precision : float
        For "safe": this fraction of the radius of the cloud is charged as error.
    field : {2, 3, 5, 7, 11}
        Homology coefficients, the integers modulo a prime. They matter for points in
        four or more dimensions only.
    critical : bool
        Also keep, for each birth and death, the points on the sphere that sets it, as
        indices into the cloud (of equal points the first).
    n_jobs, progress, memory, max_memory
        As in every extractor, see `Extractor`.

    Notes
    -----
    ==================  =================  =======================================
    threat              to bottleneck      to sorted H0 deaths
    ==================  =================  =======================================
    `Displacement()`    1 [X5]             l_inf: 1 [H1]
    with weights w      (w_1 + w_2) / 2    l_inf: the same (two largest weights)
    `SinglePoint()`     1 / 2              l_inf: 1 / 2; l_2: as for a budget
    `Budget()`          1 / √2             l_inf: 1 / √2; l_2: min(C_d, √n) / 2 [H2]
    `Hausdorff()`       1                  l_inf: 1
    `Strain()`          radius of the      l_inf: the largest death
                        cloud [X14]
    ==================  =================  =======================================

    C_d is 2, 2.415, 3.044 in 1, 2, 3 dimensions.

    Strain: if no distance between two points grows by more than a factor 1 + c, balls
    of radius r with a common point still meet at radius (1 + c) r (Kirszbraun), so X14
    holds for every map of the points, and both ways.

    Errors [F4]: let the values carry a relative error p. No radius exceeds that of the
    cloud, R, so both ends of each bar are capped at an upper bound of R, and no bar is
    farther than p R from the exact one.

    Examples
    --------
    >>> square = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
    >>> AlphaPersistence().fit_transform([square])[0]["H1"]
    array([[1.        , 1.41421356]])
    """

    convention: ClassVar[str] = "radius"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._parameter_constraints,
        "precision": [StrOptions({"safe", "exact", "fast"})],
        "relative_precision": [Interval(numbers.Real, 0, 1, closed="neither")],
        "field": [Options(numbers.Integral, {2, 3, 5, 7, 11})],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        precision: str = "safe",
        relative_precision: float = 1e-12,
        field: int = 2,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.homology_dimensions = homology_dimensions
        self.precision = precision
        self.relative_precision = relative_precision
        self.field = field
        self.critical = critical
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    # --- extraction ---------------------------------------------------------------

    def _read(self, X: Any) -> list[Array]:
        return check_clouds(X)

    def _channels(self) -> tuple[list[str], list[int]]:
        degrees = [int(k) for k in self.homology_dimensions]
        return [f"H{k}" for k in degrees], degrees

    def _transform_one(self, sample: Array) -> Extracted:
        cloud, exponent = _normalised(sample)
        radius = enclosing_radius_up(cloud)
        error = _scaled_up(self._error(radius, sample.shape[1]), exponent)
        _, degrees = self._channels()
        bars, essential, tables = [], [], []
        for raw, births, table in self._engine(sample, cloud, degrees):
            capped = np.ldexp(np.minimum(raw, radius), exponent)
            order = _order(capped)
            bars.append(capped[order])
            essential.append(births)
            if table is not None:
                tables.append(table[order])
        geometry = {
            "n_points": float(len(sample)),
            "dimension": float(sample.shape[1]),
            "meb_radius": _scaled_up(radius, exponent),
        }
        if 0 in degrees:
            deaths = bars[degrees.index(0)][:, 1]
            geometry["largest_death"] = add_up(deaths.max(initial=0.0), error)
        critical = tables if self.critical else None
        return Extracted(bars, essential, [error] * len(bars), geometry, critical)

    def _engine(
        self, sample: Array, cloud: Array, degrees: list[int]
    ) -> Iterator[tuple[Array, Array, Vertices | None]]:
        """Finite bars, essential births and critical vertices of each degree."""
        precision, field = self.precision, int(self.field)
        relative = float(self.relative_precision)
        if not self.critical:
            for bars in alpha_persistence(cloud, degrees, precision, relative, field):
                alive = np.isinf(bars[:, 1])
                yield bars[~alive], bars[alive, 0], None
            return
        names = _first_occurrences(sample)
        for pairs in alpha_pairs(cloud, degrees, precision, relative, field):
            width = pairs.deaths.shape[1]
            ends = [
                _support(cloud, names[s], width) for s in (pairs.births, pairs.deaths)
            ]
            yield pairs.bars, pairs.essential, np.stack(ends, axis=1)

    def _error(self, radius: float, dimension: int) -> float:
        """Distance of a capped value from the exact one, at most [F4]."""
        if self.precision == "fast":
            return math.inf
        # One ulp of the squared radius, one of the root, doubled.  GUDHI's rational
        # results were compared with ours in 2-D and 3-D; elsewhere, twice as much.
        relative = 2.0**-51 if dimension in (2, 3) else 2.0**-50
        if self.precision == "safe":
            relative = float(add_up(relative, self.relative_precision))
        # Squares below the normal range are off by 2**-1074, roots by 2**-537.
        return float(add_up(mul_up(relative, radius), 2.0**-536))

    def _cost(self, sample: Array) -> SampleCost:
        n_points, dimension = sample.shape
        simplices = _forecast_simplices(n_points, dimension)
        slower = {1: 1.6, 2: 6.0}.get(dimension, 13.0)
        seconds = 3e-4 + 5e-8 * simplices ** (4 / 3)
        if self.precision == "exact":
            seconds *= slower
        if self.critical:
            seconds += 5e-6 * simplices
        return SampleCost(1e6 + 300.0 * simplices, seconds)

    def _cheaper(self) -> str:
        return (
            "a fixed subset of the points (the constant stays 1), lower-dimensional "
            "points, or RipsPersistence(n_landmarks=...), which charges 6 times its "
            "cover radius [X15]"
        )

    # --- theorems -----------------------------------------------------------------

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        if self.precision == "fast":
            raise NoStabilityTheorem(
                "precision='fast' returns values with no bound on their error [F4]",
                "precision='safe', which takes a quarter longer, or 'exact'",
            )
        bounds = {}
        for name, degree in zip(*self._channels(), strict=True):
            constant, ledger, note = self._constant(threat, source, degree)
            bounds[name] = [Bound(threat, Bottleneck(), constant, ledger, note)]
            if degree == 0:
                ledger = ledger if isinstance(threat, Strain) else "H1"
                note = f"sorted deaths; {note}"
                bounds[name].append(
                    Bound(threat, SortedDeaths(), constant, ledger, note)
                )
                if isinstance(threat, (SinglePoint, Budget)):
                    bounds[name] += self._budget_bounds(threat, source)
        return bounds

    def _constant(
        self, threat: Threat, source: Source | None, degree: int
    ) -> tuple[float | Array, str, str]:
        """Constant to the bottleneck distance, its ledger id and a note."""
        if isinstance(threat, Displacement) and threat.weights is not None:
            top = None if source is None else source.weights.get(str(threat))
            if top is None:
                raise needs_samples("its weights; diagrams.with_weights(threat, X)")
            half = mul_up(add_up(top[:, 0], top[:, 1]), 0.5)
            return half, "X5", "mean of the two largest weights"
        if isinstance(threat, Strain):
            if source is None:
                raise needs_samples("the radius of the cloud")
            if degree == 0:
                return source.geometry["largest_death"], "X14", "largest H0 death"
            return source.geometry["meb_radius"], "X14", "radius of the cloud"
        if isinstance(threat, MatrixSup):
            raise NoStabilityTheorem(
                "alpha radii are read off points: a symmetric matrix near the "
                "distances need not be that of any points",
                f"{_THREATS}, or RipsPersistence(metric='precomputed')",
            )
        if type(threat) not in _CONSTANTS:
            raise no_theorem(self, threat, _THREATS)
        constant, note = _CONSTANTS[type(threat)]
        return constant, "X5", note

    def _budget_bounds(self, threat: Threat, source: Source | None) -> list[Bound]:
        """Bounds of the l_2 distance of sorted H0 deaths [H2, H3]."""
        if source is not None:
            edges = h2_constant(
                source.geometry["dimension"], source.geometry["n_points"]
            )
        elif hasattr(self, "n_features_in_"):
            edges = h2_constant(self.n_features_in_)
        else:
            return []  # it depends on the dimension of the points
        if not np.isfinite(edges).all():
            return []  # above eight dimensions it depends on the number of points
        half = mul_up(edges, 0.5)
        note = "two edges of a minimum spanning tree meet at 60 degrees or more"
        return [
            Bound(threat, SortedDeaths(2), half, "H2", note),
            Bound(threat, Wasserstein(2, 1), half, "H2 . H3", "matched in order"),
        ]

    # --- gradients ------------------------------------------------------------------

    def _pullback(self, sample: Array, critical: Vertices, grad: Array) -> Array:
        cloud, _ = _normalised(sample)
        ends, slopes = critical.reshape(-1, critical.shape[2]), grad.ravel()
        counts = (ends >= 0).sum(axis=1)
        result = np.zeros_like(sample)
        for k in range(2, ends.shape[1] + 1):
            vertices = ends[counts == k, :k]  # (m, k)
            corners = cloud[vertices]
            weights = _circumcentre_weights(corners)
            spokes = corners - np.einsum("mk,mkd->md", weights, corners)[:, None]
            radii = np.linalg.norm(spokes, axis=2, keepdims=True)
            normals = spokes / np.where(radii > 0, radii, 1.0)
            pull = (slopes[counts == k, None] * weights)[:, :, None] * normals
            np.add.at(result, vertices, pull)
        return result


def _normalised(cloud: Array) -> tuple[Array, int]:
    """Cloud and e with the same shape times 2**e, moved and scaled without rounding.

    Far from the origin the engine's intervals lose their digits, and every value takes
    the slow way through rational numbers; near the smallest float squares vanish.
    """
    columns = np.ascontiguousarray(cloud.T)  # long rows are fast
    low, high = columns.min(axis=1), columns.max(axis=1)
    # Within a factor of 2 of each other, floats subtract exactly (Sterbenz).
    origin = np.where(high <= 2 * low, low, np.where(low >= 2 * high, high, 0.0))
    moved = cloud - origin if origin.any() else cloud
    largest = float(np.abs(moved).max())
    if largest >= 2.0**-300 or largest == 0:
        return moved, 0
    exponent = math.frexp(largest)[1]
    return np.ldexp(moved, -exponent), exponent


def _scaled_up(value: float, exponent: int) -> float:
    return value if exponent == 0 else float(up(math.ldexp(value, exponent)))


def _order(bars: Array) -> Vertices:
    """Bars of positive length, the longest first, then by birth."""
    births, deaths = bars[:, 0], bars[:, 1]
    order = np.lexsort((deaths, births, births - deaths))
    return order[(births < deaths)[order]]


def _first_occurrences(cloud: Array) -> Vertices:
    """Index of the first of all points that equal point i, for every i."""
    _, first, which = np.unique(cloud, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[which.reshape(-1)], np.int64)


def _support(cloud: Array, simplices: Vertices, width: int) -> Vertices:
    """Vertices on the minimum enclosing sphere of each simplex, -1 padded.

    A single vertex has radius 0 wherever it goes, and no support.
    """
    n_simplices, size = simplices.shape
    result = np.full((n_simplices, width), -1, np.int64)
    if size == 1:
        return result
    result[:, :size] = np.sort(simplices, axis=1)
    inside = (_circumcentre_weights(cloud[simplices]) > 0).all(axis=1)
    for i in np.flatnonzero(~inside).tolist():
        _, chosen, _ = enclosing_ball(cloud[result[i, :size]])
        kept = np.sort(result[i, chosen])
        result[i] = -1
        result[i, : len(kept)] = kept
    return result


def _circumcentre_weights(corners: Array) -> Array:
    """Barycentric coordinates of circumcentres: (m, k, d) to (m, k)."""
    edges = corners[:, 1:] - corners[:, :1]
    gram = edges @ edges.transpose(0, 2, 1)
    halves = np.einsum("mkd,mkd->mk", edges, edges) / 2
    tail = np.einsum("mkl,ml->mk", np.linalg.pinv(gram, hermitian=True), halves)
    return np.concatenate([1 - tail.sum(axis=1, keepdims=True), tail], axis=1)


#: Simplices a point of the Delaunay triangulation of many random points.
_PER_POINT = {1: 2.0, 2: 6.0, 3: 29.0, 4: 180.0, 5: 1500.0, 6: 15000.0}


def _forecast_simplices(n_points: int, dimension: int) -> float:
    """Simplices of the Delaunay triangulation of random points, fitted to counts.

    Points on a few curves in space can have many more, n^(dimension / 2) in all.
    """
    many = _PER_POINT.get(dimension, 15000.0 * 12.0 ** (dimension - 6))
    few = 4.0 * n_points ** (dimension / 4)
    return min(n_points / (1 / many + 1 / few), 2.0 ** min(n_points, 1000))
