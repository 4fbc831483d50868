"""From logits and pairwise constants to radii, every rounding on the safe side.

For the predicted class c and every rival j,

    r_cj = (z_c - z_j - owed_cj) / L_cj,       radius = min_j r_cj     [C2, F7],

rounded down and stepped down by one ulp, so that the claim is strict: for every
perturbation of size at most `radius`, the computed z_c stays above every z_j.

To leave the k largest, class c must be reached by k rivals at least.  Below the k-th
smallest r_cj no more than k - 1 can have reached it, so this is the radius within
which c stays among the top k.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.rounding import div_down, sub_down

__all__ = ["NOT_AMONG_THE_TOP", "MarginRadii", "margin_radii"]

Array = NDArray[np.float64]

#: Reason of a label that is asked about, and is none of the k largest.
NOT_AMONG_THE_TOP = "not among the top"


@dataclass(frozen=True)
class MarginRadii:
    """Radius, certified class, decisive rival and reason, one entry a sample."""

    radius: Array  # (n,)
    predicted: NDArray[np.int64]  # (n,)
    rival: NDArray[np.int64]  # (n,); the predicted class itself if nobody rivals
    reason: NDArray[np.str_]  # (n,); "" for an ordinary certificate


def margin_radii(
    logits: Array,
    constants: Array,
    owed: Array,
    top: int = 1,
    of: NDArray[np.int64] | None = None,
) -> MarginRadii:
    """Certified radii of a batch.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        As computed by the frozen program.
    constants : ndarray of shape (n_classes, n_classes) or (n, n_classes, n_classes)
        Upper bounds L_cj of how fast z_c - z_j can change.
    owed : ndarray, same shape
        Upper bounds of the errors of z_c - z_j, at the sample and in the ball.
    top : int
        k: the class stays among the k largest; fewer than k rivals reach it.
    of : ndarray of int, shape (n,), optional
        The class that is certified; by default the largest.

    Returns
    -------
    MarginRadii

    Examples
    --------
    >>> unit = np.array([[0.0, 2.0], [2.0, 0.0]])
    >>> margin_radii(np.array([[1.0, 0.0], [0.0, 0.0]]), unit, 0 * unit).reason
    array(['', 'tie'], dtype='<U32')
    """
    n, n_classes = logits.shape
    for name, values in (("constants", constants), ("errors", owed)):
        if values.shape not in ((n_classes, n_classes), (n, n_classes, n_classes)):
            raise ShapeError(
                f"{name} of shape {values.shape} for {n} samples and {n_classes} "
                "classes; give the bounds of these samples"
            )
    if not (isinstance(top, numbers.Integral) and 1 <= top < max(n_classes, 2)):
        raise InvalidInputError(
            f"top={top!r} of {n_classes} classes; give 1, ..., {max(n_classes - 1, 1)}"
        )
    own = logits.argmax(axis=1) if of is None else of
    rows = np.arange(n)
    pairs = np.broadcast_to(constants, (n, n_classes, n_classes))[rows, own]
    debt = np.broadcast_to(owed, (n, n_classes, n_classes))[rows, own]
    plain = np.asarray(sub_down(logits[rows, own][:, None], logits))
    margin = np.asarray(sub_down(plain, debt))
    # A rival that cannot move relative to the class never overtakes it [C2].
    frozen = pairs == 0
    radius = np.asarray(div_down(np.maximum(margin, 0.0), np.where(frozen, 1.0, pairs)))
    radius = np.where(frozen & (margin > 0), np.inf, radius)
    # Overflow in the analysis gives inf or NaN constants: nothing is proved then.
    broken = ~np.isfinite(pairs) | ~np.isfinite(debt) | ~np.isfinite(plain)
    radius = np.where(broken | np.isnan(radius), 0.0, radius)
    radius[rows, own] = np.inf
    broken[rows, own] = False
    # The k-th rival to arrive decides.
    rival = np.argsort(radius, axis=1, kind="stable")[:, top - 1]
    smallest = radius[rows, rival]
    reason = np.full(n, "", dtype="<U32")
    abstains, gap = smallest == 0, plain[rows, rival]
    reason[abstains & (gap > 0)] = "margin below rounding"
    reason[abstains & (gap <= 0)] = "tie"
    if of is not None:
        reason[abstains & (gap < 0)] = NOT_AMONG_THE_TOP
    reason[abstains & broken.any(axis=1)] = "overflow in the analysis"
    constant = np.isinf(smallest)
    reason[constant] = "constant"
    rival = np.where(constant, own, rival)
    # inf stays: it says that no rival can move at all.
    strict = np.where(constant, np.inf, np.maximum(np.nextafter(smallest, 0.0), 0.0))
    reason[(strict == 0) & (reason == "")] = "margin below rounding"
    return MarginRadii(strict, own.astype(np.int64), rival, reason)
