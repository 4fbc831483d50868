"""From logits and pairwise constants to radii, every rounding on the safe side.

For the predicted class c and every rival j,

    r_cj = (z_c - z_j - owed_cj) / L_cj,       radius = min_j r_cj     [C2, F7],

rounded down and stepped down by one ulp, so that the claim is strict: for every
perturbation of size at most `radius`, the computed z_c stays above every z_j.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stablerank.rounding import div_down, sub_down

__all__ = ["MarginRadii", "margin_radii"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MarginRadii:
    """Radius, predicted class, decisive rival and reason, one entry a sample."""

    radius: Array  # (n,)
    predicted: NDArray[np.int64]  # (n,)
    rival: NDArray[np.int64]  # (n,); the predicted class itself if nobody rivals
    reason: NDArray[np.str_]  # (n,); "" for an ordinary certificate


def margin_radii(logits: Array, constants: Array, owed: Array) -> MarginRadii:
    """Certified radii of a batch.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        As computed by the frozen program.
    constants : ndarray of shape (n_classes, n_classes) or (n, n_classes, n_classes)
        Upper bounds L_cj of how fast z_c - z_j can change.
    owed : ndarray, same shape
        Upper bounds of the errors of z_c - z_j, at the sample and in the ball.

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
    predicted = logits.argmax(axis=1)
    rows = np.arange(n)
    pairs = np.broadcast_to(constants, (n, n_classes, n_classes))[rows, predicted]
    debt = np.broadcast_to(owed, (n, n_classes, n_classes))[rows, predicted]
    top = logits[rows, predicted][:, None]
    plain = np.asarray(sub_down(top, logits))
    margin = np.asarray(sub_down(plain, debt))
    # A rival that cannot move relative to the winner never overtakes it [C2].
    frozen = pairs == 0
    radius = np.asarray(div_down(np.maximum(margin, 0.0), np.where(frozen, 1.0, pairs)))
    radius = np.where(frozen & (margin > 0), np.inf, radius)
    radius[rows, predicted] = np.inf
    # Overflow in the analysis gives inf or NaN constants: nothing is proved then.
    broken = ~np.isfinite(pairs) | ~np.isfinite(debt) | ~np.isfinite(plain)
    broken[rows, predicted] = False
    radius = np.where(broken | np.isnan(radius), 0.0, radius)
    rival = radius.argmin(axis=1)
    smallest = radius[rows, rival]
    reason = np.full(n, "", dtype="<U32")
    reason[(smallest == 0) & (plain[rows, rival] <= 0)] = "tie"
    reason[(smallest == 0) & (plain[rows, rival] > 0)] = "margin below rounding"
    reason[broken.any(axis=1)] = "overflow in the analysis"
    constant = np.isinf(smallest)
    reason[constant] = "constant"
    rival = np.where(constant, predicted, rival)
    # inf stays: it says that no rival can move at all.
    strict = np.where(constant, np.inf, np.maximum(np.nextafter(smallest, 0.0), 0.0))
    reason[(strict == 0) & (reason == "")] = "margin below rounding"
    return MarginRadii(strict, predicted.astype(np.int64), rival, reason)
