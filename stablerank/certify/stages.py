"""How much of its bound each stage uses, measured on pairs of inputs.

    d(x, x')  >=  bars / K  >=  vectors / K_i  >=  (drop of the margin) / L_cj

Each quantity is in units of the threat, and no larger than the one before it [C1].  The
quotients of neighbours say where a radius is lost: a stage that reaches 0.1 of its
bound costs a factor 10.  They are what these pairs show; a worse pair may show more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.certify.composition import (
    ChannelBounds,
    best_moves,
    compose,
    feature_register,
    with_conversions,
)
from stablerank.certify.margin import margin_radii
from stablerank.diagrams import Diagrams
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import BarInput, Program
from stablerank.matching import bottleneck_distance, wasserstein_distance
from stablerank.metrics import (
    Bottleneck,
    Metric,
    SortedDeaths,
    SortedLengths,
    Threat,
    Wasserstein,
)

__all__ = ["STAGES", "StageRatios", "observe_stages"]

Array = NDArray[np.float64]

#: From the input to the radius.
STAGES = ("extraction", "features", "network", "rounding")


@dataclass(frozen=True, eq=False)
class StageRatios:
    """What each stage used of its bound.

    Parameters
    ----------
    ratios : ndarray of shape (n_pairs, 4)
        For extraction, features, network and rounding: observed over bound; NaN where
        the stage before it did not move.
    radius : ndarray of shape (n_pairs,)
        Certified radii of the clean inputs.
    threat : Threat
        What sizes measure.
    """

    ratios: Array
    radius: Array
    threat: Threat

    @property
    def typical(self) -> dict[str, float]:
        """Median of every stage."""
        medians = np.nanmedian(self.ratios, axis=0)
        return dict(zip(STAGES, medians.tolist(), strict=True))


def observe_stages(
    program: Program,
    clean: Diagrams,
    moved: Diagrams,
    sizes: ArrayLike,
    *,
    threat: Threat,
    bounds: ChannelBounds,
) -> StageRatios:
    """Compare every stage with its bound on pairs of samples.

    Parameters
    ----------
    program : Program
        On diagrams.
    clean, moved : Diagrams
        Sample i of one and of the other are a pair.
    sizes : array-like of shape (n,)
        d(x, x') of every pair, all positive: `threat.distance_up(x, x')`.
    threat : Threat
        The metric of these sizes.
    bounds : mapping from channel to bounds
        `extractor.bounds(threat, clean)`.

    Returns
    -------
    StageRatios
        For `cert.plot(kind="waterfall", stages=...)`.

    Examples
    --------
    >>> import numpy as np
    >>> import stablerank as sr
    >>> clouds, y = sr.datasets.orbit5k(n_per_class=4, seed=0, n_points=40)
    >>> clf = sr.SRNClassifier(epochs=3, random_state=0).fit(clouds, y)
    >>> larger = [1.001 * cloud for cloud in clouds]
    >>> a, b = (clf.extractor_.transform(x) for x in (clouds, larger))
    >>> threat = sr.Displacement()
    >>> pairs = zip(clouds, larger, strict=True)
    >>> sizes = [threat.distance_up(*pair) for pair in pairs]
    >>> known = {"threat": threat, "bounds": clf.extractor_.bounds(threat, a)}
    >>> seen = observe_stages(clf.program_, a, b, sizes, **known)
    >>> bool(0 < seen.typical["extraction"] <= 1)
    True
    """
    size = np.asarray(sizes, np.float64)
    if len(moved) != len(clean) or size.shape != (len(clean),):
        raise ShapeError(
            f"{len(clean)} clean and {len(moved)} moved samples with sizes of shape "
            f"{size.shape}; give one of each for every pair"
        )
    if not len(size) or not (size > 0).all():
        raise InvalidInputError("every pair must differ, by a size > 0")
    found = compose(program, bounds)
    moves = with_conversions(best_moves(bounds, _channels(program), "constant"))
    bars = _bar_moves(program, clean, moved, bounds)
    vectors = _vector_moves(program, clean, moved, program.constants(moves))
    drop, radius, kept = _margin_moves(program, clean, moved, found)
    reached = [size, bars, vectors, drop]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = [after / before for before, after in pairwise(reached)]
    ratios = [np.where(np.isfinite(ratio), ratio, np.nan) for ratio in ratios]
    return StageRatios(np.stack([*ratios, kept], axis=1), radius, threat)


def _channels(program: Program) -> list[str]:
    return [i.channel for i in program.inputs if isinstance(i, BarInput)]


def _bar_moves(
    program: Program, clean: Diagrams, moved: Diagrams, bounds: ChannelBounds
) -> Array:
    """Largest distance of a channel over its constant, in units of the threat."""
    largest = np.zeros(len(clean))
    for name in _channels(program):
        for bound in bounds[name]:
            constant = np.broadcast_to(np.asarray(bound.constant), len(clean))
            gaps = [
                _distance(bound.target, clean[i][name], moved[i][name])
                for i in range(len(clean))
            ]
            share = np.divide(
                gaps, constant, out=np.zeros(len(clean)), where=constant > 0
            )
            largest = np.maximum(largest, share)
    return largest


def _distance(metric: Metric, old: Array, new: Array) -> float:
    """Distance of the finite bars of two samples."""
    a, b = (bars[np.isfinite(bars[:, 1])] for bars in (old, new))
    match metric:
        case Bottleneck():
            return bottleneck_distance(a, b)
        case Wasserstein(p, q):
            return wasserstein_distance(a, b, p, q)
        case SortedDeaths(p):
            return _sorted_distance(a[:, 1], b[:, 1], p)
        case SortedLengths(p):
            return _sorted_distance(a[:, 1] - a[:, 0], b[:, 1] - b[:, 0], p)
    return 0.0  # nothing is read in this metric


def _sorted_distance(a: Array, b: Array, p: float) -> float:
    n = max(len(a), len(b))
    x, y = (np.sort(np.pad(v, (0, n - len(v))))[::-1] for v in (a, b))
    return float(np.linalg.norm(x - y, p)) if n else 0.0


def _vector_moves(
    program: Program, clean: Diagrams, moved: Diagrams, registers: Sequence[Any]
) -> Array:
    """Largest move of a feature over its constant, in units of the threat."""
    register = feature_register(program)
    old, new = (program.evaluate(d, register) for d in (clean, moved))
    moves = np.abs(old - new)
    if program.norms[register] == 2:  # all together, not one by one
        moves = np.linalg.norm(moves, axis=1, keepdims=True)
    constant = np.broadcast_to(registers[register], moves.shape)
    share = np.divide(moves, constant, out=np.zeros(moves.shape), where=constant > 0)
    return np.asarray(share.max(axis=1))


def _margin_moves(
    program: Program, clean: Diagrams, moved: Diagrams, found: Any
) -> tuple[Array, Array, Array]:
    """Drop of the deciding margin over L_cj, the radius, and what rounding leaves."""
    old, new = (np.asarray(program.evaluate(d)) for d in (clean, moved))
    radii = margin_radii(old, found.constants, found.owed)
    rows, own, rival = np.arange(len(old)), radii.predicted, radii.rival
    full = (len(old), *found.constants.shape[-2:])
    constant, owed = (
        np.broadcast_to(values, full)[rows, own, rival]
        for values in (found.constants, found.owed)
    )
    before, after = (z[rows, own] - z[rows, rival] for z in (old, new))
    drop = np.divide(
        np.maximum(before - after, 0.0),
        constant,
        out=np.zeros(len(old)),
        where=constant > 0,
    )
    kept = np.divide(
        np.maximum(before - owed, 0.0),
        before,
        out=np.full(len(old), np.nan),
        where=before > 0,
    )
    return drop, radii.radius, kept
