"""What a threat on points does to their distances, and so to Rips diagrams.

By the triangle inequality |d(x_i, x_j) - d(x'_i, x'_j)| <= |D_i - D_j| <= e_i + e_j,
where D_i is the move of point i and e_i its length [X3].  The sum of the two longest
moves is at most

    2 e if every point moves by e,   e if one does,   sqrt(2) rho on an l_2 budget rho,

and a matrix whose entries move by h moves its diagrams by h [X2].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stablerank.bounds import Bound, Number
from stablerank.diagrams import Source
from stablerank.extract.base import needs_samples
from stablerank.extract.constants import h2_constant
from stablerank.metrics import (
    Bottleneck,
    Budget,
    Displacement,
    Hausdorff,
    MatrixSup,
    SinglePoint,
    SortedDeaths,
    SortedLengths,
    Strain,
    Threat,
    Wasserstein,
)
from stablerank.rounding import add_up, mul_up, sqrt_up

__all__ = [
    "budget_bounds",
    "deaths_bound",
    "distance_bound",
    "rips_bound",
    "subsampled_bound",
    "truncated_bound",
]

Array = NDArray[np.float64]


def distance_bound(threat: Threat, source: Source | None) -> Bound | None:
    """Bound from a threat on the points to the sup norm of the distance matrix.

    Parameters
    ----------
    threat : Threat
        On clouds of as many points before and after.
    source : Source, optional
        Carries the weights of a weighted displacement.

    Returns
    -------
    Bound or None
        None where no such bound is proved.

    Examples
    --------
    >>> distance_bound(Displacement(), None).constant
    2.0
    """
    constant: Number
    match threat:
        case Displacement(None):
            constant, note = 2.0, "both ends of a pair move"
        case Displacement():
            top = _top_weights(threat, source)
            constant, note = add_up(top[:, 0], top[:, 1]), "the two largest weights"
        case SinglePoint():
            constant, note = 1.0, "one end of a pair moves"
        case Budget():
            constant, note = sqrt_up(2.0), "two moves share the budget"
        case _:
            return None
    return Bound(threat, MatrixSup(), constant, "X3", note)


def _top_weights(threat: Displacement, source: Source | None) -> Array:
    name = str(threat)
    if source is None or name not in source.weights:
        raise needs_samples("its weights; diagrams.with_weights(threat, X)")
    return source.weights[name]


def rips_bound(
    threat: Threat, source: Source | None, degree: int, threshold: float | None = None
) -> Bound | None:
    """Bound from a threat on the points to the Rips diagram of one degree.

    Parameters
    ----------
    threat : Threat
        Any.
    source : Source, optional
        Geometry and weights of the samples.
    degree : int
        Homology degree.
    threshold : float, optional
        Where both ends of the bars are clipped.

    Returns
    -------
    Bound or None
        None where no such bound is proved.

    Examples
    --------
    >>> rips_bound(SinglePoint(), None, 1).constant
    1.0
    """
    if isinstance(threat, Strain):
        return _strain_bound(threat, source, degree, threshold)
    if isinstance(threat, Hausdorff):
        bound = Bound(threat, Bottleneck(), 2.0, "X4", "both ends of a pair move")
        return truncated_bound(bound, threshold)
    change = distance_bound(threat, source)
    if change is None:
        return None
    bound = Bound(threat, Bottleneck(), change.constant, "X3", change.note)
    return truncated_bound(bound, threshold)


def _strain_bound(
    threat: Strain, source: Source | None, degree: int, threshold: float | None
) -> Bound:
    """Every value changes by its share, so by that of the largest at most [X14]."""
    ledger = "X14" if threshold is None else "X14 . X18"
    if source is None:
        if threshold is None:
            raise needs_samples("its diameter")
        return Bound(threat, Bottleneck(), threshold, ledger, "largest value")
    # Sorted H0 deaths are monotone in the distances, so each changes by its own share.
    name = "diameter"
    if degree == 0 and "largest_death" in source.geometry:
        name = "largest_death"
    cap = np.inf if threshold is None else threshold
    largest = np.minimum(source.geometry[name], cap)
    return Bound(threat, Bottleneck(), largest, ledger, name.replace("_", " "))


def deaths_bound(bound: Bound) -> Bound:
    """Bound of sorted H0 deaths in sup norm, with the constant of the bottleneck.

    The number of deaths up to t is monotone in the matrix [H1], and additional points
    count as deaths at 0.
    """
    ledger = f"{bound.ledger} . H1"
    return Bound(
        bound.source, SortedDeaths(), bound.constant, ledger, bound.note, bound.offset
    )


def budget_bounds(
    threat: Threat, source: Source | None, degree: int, dimension: int | None
) -> list[Bound]:
    """Bounds that use the l_2 norm of all moves, not only the two largest.

    Parameters
    ----------
    threat : Threat
        `Budget()`, or `SinglePoint()`, which is one; else there are none.
    source : Source, optional
        Has the numbers of points.
    degree : int
        Homology degree.
    dimension : int, optional
        Coordinates of a point, where there is no source but a fitted extractor.
    """
    if degree > 0:
        if not isinstance(threat, Budget):
            return []
        note = "a birth edge and a death edge share at most one point"
        return [Bound(threat, SortedLengths(), sqrt_up(6.0), "X3", note)]
    if not isinstance(threat, (Budget, SinglePoint)):
        return []
    if source is not None:
        size = source.geometry
        constant = h2_constant(size["dimension"], size["n_points"])
    elif dimension is not None:
        constant = h2_constant(dimension)
    else:
        return []
    if not np.isfinite(constant).all():
        return []  # above eight dimensions it depends on the number of points
    note = "two edges of a minimum spanning tree meet at 60 degrees or more"
    return [
        Bound(threat, SortedDeaths(2), constant, "H2", note),
        Bound(threat, Wasserstein(2, 1), constant, "H2 . H3", "matched in order"),
    ]


def subsampled_bound(whole: Bound, source: Source | None, n_landmarks: int) -> Bound:
    """Charge what landmarks leave out, of the input and of a perturbed one [X15].

    d_B(sub X, sub X') <= d_B(X, X') + 2 r(X) + 2 r(X'), and r(X') is at most twice
    the best cover radius of X', which moves from that of X by no more than points do.

    Parameters
    ----------
    whole : Bound
        To the bottleneck distance, if all points were kept.
    source : Source
        Has "n_points" and "cover_radius" of every sample.
    n_landmarks : int
        Where the clouds have no more points, nothing is left out.
    """
    if source is None:
        raise needs_samples("the cover radius of its landmarks")
    threat, radius = whole.source, source.geometry["cover_radius"]
    pace: Number = 1.0  # of the best cover radius, per unit of the threat
    if isinstance(threat, Strain):
        pace = radius
    elif isinstance(threat, Displacement) and threat.weights is not None:
        pace = _top_weights(threat, source)[:, 0]
    constant = np.asarray(add_up(whole.constant, mul_up(4.0, pace)))
    offset = np.asarray(mul_up(6.0, radius))
    if not isinstance(threat, Hausdorff):  # which may bring more points
        kept = source.geometry["n_points"] <= n_landmarks
        constant = np.where(kept, whole.constant, constant)
        offset = np.where(kept, 0.0, offset)
    note = "a perturbed cloud chooses its own landmarks"
    return Bound(threat, whole.target, constant, "X15", note, offset)


def truncated_bound(bound: Bound, threshold: float | None) -> Bound:
    """Bound after clipping both ends of every bar: nothing is lost [X18].

    Examples
    --------
    >>> rips = rips_bound(Displacement(), None, degree=1)
    >>> truncated_bound(rips, 0.5).ledger
    'X3 . X18'
    """
    if threshold is None:
        return bound
    note = f"both ends of bars clipped at {threshold:g}"
    return Bound(bound.target, bound.target, 1.0, "X18", note) @ bound
