"""Signals and images: persistence of the sublevel sets of an array of values.

An array is a function on the cells of a grid.  In the *vertex* construction its
entries are values of vertices, and a cell appears with its last vertex: neighbours
along the axes touch, diagonal ones do not.  In the *top* construction they are values
of pixels, and a cell appears with the first pixel that contains it: diagonal
neighbours touch.  Either way the value of a cell is a maximum or a minimum over a
fixed set of entries, which no change of the array can stretch:

    d_B(D(f), D(f')) <= max |f - f'|   [X10].

Against an l_p budget there is a finer theorem.  At almost all times of a straight
path between two arrays all entries differ, every cell belongs to one entry, and the
number of bar ends that move with an entry is the total Betti number of its lower
link: at most N = 1 on a line (its link is two points), 3 in the plane, 7 in space:

    W_{p,p}(D(f), D(f')) <= N^(1/p) |f - f'|_p   [X11].

Periodic axes do not change N.  Along an axis of two or more cells the link is what it
is elsewhere.  An axis of one cell makes the complex a product with a circle; its bars
are those of the array without this axis, twice, and 2 N of a lower dimension is at
most N.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from numpy.typing import NDArray
from sklearn.utils._param_validation import Options, StrOptions

from stablerank.bounds import Bound
from stablerank.diagrams import Source
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.extract.base import Extracted, Extractor, no_theorem
from stablerank.extract.cost import SampleCost
from stablerank.extract.engines.gudhi_cubical import sublevel_persistence
from stablerank.metrics import (
    Bottleneck,
    PixelBudget,
    PixelSup,
    SortedLengths,
    Threat,
    Wasserstein,
)
from stablerank.rounding import div_up, pow_up, sqrt_up
from stablerank.validation import check_images

__all__ = ["CubicalPersistence", "sublevel_bars", "sublevel_cost"]

Array = NDArray[np.float64]
Critical = NDArray[np.int64]

#: Bar ends of all degrees together that one entry can move, by number of axes [X11].
_ENDS = {1: 1, 2: 3, 3: 7}
#: An octahedron, the link of a vertex in space, has 6 vertices: at most 5 merge.
_ENDS_3D_VERTEX_DEGREE_0 = 5


class CubicalPersistence(Extractor):
    """Sublevel persistence of signals (1-D) and images (2-D, 3-D).

    Stability: d_B(D(f), D(f')) <= 1 * max_i |f_i - f'_i|   [X10]

    Parameters
    ----------
    homology_dimensions : sequence of int
        Degrees to keep. Degrees that the array has no room for (1 and higher on
        signals) give empty diagrams.
    construction : {"vertex", "top"}
        Whether entries are values of vertices or of top-dimensional cells.
    periodic : bool or sequence of bool, optional
        Whether the axes close up, all alike or one by one.
    field : {2, 3, 5, 7, 11}
        Homology coefficients, the integers modulo a prime. They matter in 3-D only.
    critical : bool
        Also keep the entries that set each birth and death: flat indices in C order.
        Planar images then take the general engine, about 50 times slower.
    n_jobs, progress, memory, max_memory
        As in every extractor, see `Extractor`.

    Attributes
    ----------
    sample_shape_ : tuple of int or None
        Shape of the training samples, if they all had one; `transform` then asks for
        the same shape.
    n_features_in_ : int
        Entries of a sample, if all training samples had one shape; else the number of
        axes.

    Notes
    -----
    A plain 2-D table is read as one signal a row. For superlevel sets pass -X.

    ======================  =====================================  ====================
    threat                  to                                     constant
    ======================  =====================================  ====================
    `PixelSup()`            bottleneck distance                    1 [X10]
    `PixelBudget(p)`        bottleneck distance                    1 [X10]
    `PixelBudget(p)`        W_{p,p}; also W_{2,2} if p < 2         N^(1/p), √N [X11]
    `PixelBudget(p <= 2)`   l_2 distance of sorted H0 lengths      √(N_0 + 1) [H4]
    ======================  =====================================  ====================

    N is 1, 3, 7 in 1, 2, 3 dimensions; in degree 0 it is N_0 = N, but 5 for the
    vertices of a 3-D image.

    Examples
    --------
    >>> signals = [[0.0, 2.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
    >>> dgms = CubicalPersistence().fit_transform(signals)
    >>> dgms[0]["H0"]
    array([[ 1.,  2.],
           [ 0., inf]])
    """

    convention: ClassVar[str] = "value"

    _guards: ClassVar[tuple[str, ...]] = (*Extractor._guards, "sample_shape_")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._parameter_constraints,
        "construction": [StrOptions({"vertex", "top"})],
        "periodic": ["boolean", "array-like", None],
        "field": [Options(numbers.Integral, {2, 3, 5, 7, 11})],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        construction: str = "vertex",
        periodic: bool | Sequence[bool] | None = None,
        field: int = 2,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.homology_dimensions = homology_dimensions
        self.construction = construction
        self.periodic = periodic
        self.field = field
        self.critical = critical
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    # --- input --------------------------------------------------------------------

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not all(closed in (False, True) for closed in self._axes(1)):
            raise InvalidInputError(
                "periodic must be True, False or one of these for every axis, got "
                f"{self.periodic!r}; the period is the length of the axis"
            )

    def _read(self, X: Any) -> list[Array]:
        images = check_images(X)
        ndim = images[0].ndim
        if len(self._axes(ndim)) != ndim:
            raise ShapeError(
                f"periodic has {len(self._axes(ndim))} entries, the samples have "
                f"{ndim} axes; give one entry an axis, or True for all"
            )
        return images

    def _fit(self, samples: list[Array]) -> None:
        shapes = {sample.shape for sample in samples}
        self.sample_shape_ = shapes.pop() if len(shapes) == 1 else None

    def _n_features(self, sample: Array) -> int:
        return int(sample.ndim if self.sample_shape_ is None else sample.size)

    def _read_like_fit(self, X: Any) -> list[Array]:
        samples = self._read(X)
        # From a spec it comes as an array.
        shape = None if self.sample_shape_ is None else tuple(self.sample_shape_)
        for i, sample in enumerate(samples):
            if shape is None and sample.ndim != self.n_features_in_:
                raise ShapeError(
                    f"sample {i} has {sample.ndim} axes, the training samples had "
                    f"{self.n_features_in_}"
                )
            if shape is not None and sample.shape != shape:
                raise ShapeError(
                    f"X has {sample.size} features, but {type(self).__name__} is "
                    f"expecting {self.n_features_in_} features as input: sample {i} "
                    f"has shape {sample.shape}, all training samples had {shape}"
                )
        return samples

    def _axes(self, ndim: int) -> tuple[bool, ...]:
        """Which axes close up."""
        if self.periodic is None or isinstance(self.periodic, (bool, np.bool_)):
            return (bool(self.periodic),) * ndim
        return tuple(self.periodic)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags

    # --- extraction ---------------------------------------------------------------

    def _channels(self) -> tuple[list[str], list[int]]:
        degrees = [int(k) for k in self.homology_dimensions]
        return [f"H{k}" for k in degrees], degrees

    def _transform_one(self, sample: Array) -> Extracted:
        bars, essential, critical = sublevel_bars(
            sample,
            [int(k) for k in self.homology_dimensions],
            construction=self.construction,
            periodic=self._axes(sample.ndim),
            field=int(self.field),
            critical=self.critical,
        )
        # Values are copied and compared, never computed with: no engine error.
        error = [0.0] * len(bars)
        geometry = {"n_pixels": float(sample.size), "dimension": float(sample.ndim)}
        return Extracted(bars, essential, error, geometry, critical)

    def _cost(self, sample: Array) -> SampleCost:
        return sublevel_cost(
            sample.size, self._axes(sample.ndim), critical=self.critical
        )

    def _cheaper(self) -> str:
        return (
            "means over blocks of entries (constant 1 in the sup norm, so the "
            "certificate keeps its radius), no periodic axes or critical=False on "
            "planar images"
        )

    # --- theorems -----------------------------------------------------------------

    @property
    def default_threat(self) -> Threat:
        """Every entry changes by at most r."""
        return PixelSup()

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        if isinstance(threat, PixelSup):
            note = "a maximum or minimum of entries"
            return self._same(Bound(threat, Bottleneck(), 1.0, "X10", note))
        if not isinstance(threat, PixelBudget):
            raise no_theorem(self, threat, "PixelSup(), PixelBudget(p)")
        result = self._same(Bound(threat, Bottleneck(), 1.0, "X10", "l_inf <= l_p"))
        if source is not None:  # the finer constants need the number of axes
            for name, degree in zip(*self._channels(), strict=True):
                axes = source.geometry["dimension"]
                result[name] += self._budget_bounds(threat, degree, axes)
        return result

    def _budget_bounds(
        self, threat: PixelBudget, degree: int, axes: Array
    ) -> list[Bound]:
        ends = dict(_ENDS)  # that one entry can move, by number of axes
        if degree == 0 and self.construction == "vertex":
            ends[3] = _ENDS_3D_VERTEX_DEGREE_0
        bounds = []
        # W_{2,2} under p < 2 by |.|_2 <= |.|_p: sqrt(N) is smaller than N^(1/p).
        for p in sorted({threat.p, max(threat.p, 2)} - {math.inf}):
            exponent = float(div_up(1.0, p))
            table = {n: pow_up(float(N), exponent) for n, N in ends.items()}
            constant = _by_axes(table, axes)
            note = "bar ends that one entry moves"
            bounds.append(Bound(threat, Wasserstein(p, p), constant, "X11", note))
        if degree == 0 and threat.p <= 2:
            table = {n: float(sqrt_up(N + 1.0)) for n, N in ends.items()}
            constant = _by_axes(table, axes)
            note = "bars that share an entry form stars"
            bounds.append(Bound(threat, SortedLengths(2), constant, "H4", note))
        return bounds

    # --- gradients ------------------------------------------------------------------

    def _pullback(self, sample: Array, critical: Critical, grad: Array) -> Array:
        result = np.zeros(sample.size)
        np.add.at(result, critical[:, :, 0].ravel(), grad.ravel())
        return result.reshape(sample.shape)


def _by_axes(table: dict[int, float], axes: Array) -> float | Array:
    """One constant if all samples have the same number of axes, else one each."""
    constants = np.array([table[int(n)] for n in axes])
    return float(constants[0]) if len(set(axes)) == 1 else constants


def sublevel_bars(
    values: Array,
    degrees: list[int],
    *,
    construction: str = "vertex",
    periodic: tuple[bool, ...] = (),
    field: int = 2,
    critical: bool = False,
) -> tuple[list[Array], list[Array], list[Critical] | None]:
    """Bars of the sublevel sets of an array, by degree, the longest first.

    Parameters
    ----------
    values : ndarray of 1, 2 or 3 axes
        Function on the grid.
    degrees : list of int
        Homology degrees.
    construction : {"vertex", "top"}
        What the entries are values of.
    periodic : tuple of bool
        Which axes close up.
    field : int
        A prime, the characteristic of the coefficients.
    critical : bool
        Return the critical entries too.

    Returns
    -------
    bars : list of ndarray of shape (m, 2)
        Finite bars of positive length, by descending length, then birth.
    essential : list of ndarray of shape (e,)
        Births of the classes that never die, ascending.
    critical : list of ndarray of shape (m, 2, 1), or None
        Flat C-order index of the entry that sets each end.

    Examples
    --------
    >>> sublevel_bars(np.array([0.0, 2.0, 1.0]), [0])[0]
    [array([[1., 2.]])]
    """
    bars, essential, tables = [], [], []
    for found in sublevel_persistence(
        values,
        degrees,
        construction=construction,
        periodic=periodic,
        field=field,
        critical=critical,
    ):
        order, eternal, end = _longest_first(found.bars)
        ordered = found.bars.take(order, axis=0)
        bars.append(ordered[eternal:end])
        essential.append(np.sort(ordered[:eternal, 0]))
        if found.critical is not None:
            tables.append(found.critical[order[eternal:end], :, None])
    return bars, essential, tables if critical else None


def _longest_first(bars: Array) -> tuple[NDArray[np.intp], int, int]:
    """Order by length, birth, death; bars that never die, and those of length > 0.

    Bars that never die are the first ones of the order; those of length 0 the last.
    """
    births, deaths = bars[:, 0], bars[:, 1]
    lengths = births - deaths  # negative, so that the longest come first
    order = lengths.argsort()
    ordered = lengths[order]
    if (ordered[1:] == ordered[:-1]).any():  # rare, and three keys take longer
        order = np.lexsort((deaths, births, lengths))
    eternal = ordered.searchsorted(-np.inf, side="right")
    return order, int(eternal), int(ordered.searchsorted(0.0))


#: Bytes and seconds an entry, measured on noise, by number of axes: the special
#: algorithms of GUDHI, and the general one.
_SPECIAL = {1: (50.0, 5e-8), 2: (90.0, 1.5e-7)}
_GENERAL = {1: (250.0, 2e-6), 2: (350.0, 4e-6), 3: (550.0, 9e-6)}
_FIXED_SECONDS = 5e-5


def sublevel_cost(
    n_entries: int, periodic: tuple[bool, ...], *, critical: bool
) -> SampleCost:
    """Forecast for `sublevel_bars` on an array with `len(periodic)` axes.

    Examples
    --------
    >>> sublevel_cost(10**6, (False, False), critical=False).seconds < 1
    True
    """
    ndim = len(periodic)
    special = ndim in _SPECIAL and not any(periodic) and not critical
    memory, seconds = (_SPECIAL if special else _GENERAL)[ndim]
    return SampleCost(memory * n_entries, _FIXED_SECONDS + seconds * n_entries)
