"""Steps of size 1 under a threat, and the way back into its ball.

A threat on arrays is a norm of lengths: Euclidean lengths of the moves of points, or
sizes of the changes of entries, joined in l_inf, l_2 or l_1, or one alone.  Everything
here is plain floats: whether a move counts is decided exactly, by `is_within`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError
from stablerank.metrics import (
    Budget,
    Displacement,
    FeatureBall,
    PixelBudget,
    PixelSup,
    SinglePoint,
    Threat,
)

__all__ = ["into_ball", "random_step", "steepest_step"]

Array = NDArray[np.float64]

#: In place of the order of a norm: one part moves alone.
_ALONE = 0.0


def _order(threat: Threat) -> float:
    """Order of the norm that joins the lengths."""
    match threat:
        case Displacement() | PixelSup():
            return math.inf
        case Budget():
            return 2.0
        case SinglePoint():
            return _ALONE
        case FeatureBall(p) | PixelBudget(p) if p in (1, 2, math.inf):
            return float(p)
    raise InvalidInputError(
        f"no steps are known for the {threat}; attack one of Displacement(), Budget(), "
        "SinglePoint(), PixelSup(), PixelBudget(1 | 2), FeatureBall()"
    )


def _rows(threat: Threat, x: Array) -> Array:
    """One row a part that moves as a whole: a point, or a single entry."""
    points = isinstance(threat, (Displacement, Budget, SinglePoint))
    return x.reshape(len(x), -1) if points else x.reshape(-1, 1)


def _lengths(rows: Array) -> Array:
    # Scaled, so that the squares of tiny steps do not vanish.
    top = float(np.abs(rows).max(initial=0.0)) or 1.0
    return np.asarray(np.sqrt(((rows / top) ** 2).sum(axis=1)) * top)


def _units(rows: Array) -> Array:
    lengths = _lengths(rows)[:, None]
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def _shares(lengths: Array, order: float) -> Array:
    """Lengths of the parts of the step of size 1 that gains most."""
    if math.isinf(order):
        return np.ones(len(lengths))
    if order == 2:
        total = float(np.linalg.norm(lengths))
        return lengths / total if total > 0 else lengths
    alone = np.zeros(len(lengths))
    alone[int(lengths.argmax())] = 1.0
    return alone


def _weighted(threat: Threat, x: Array, rows: Array) -> Array:
    """Steps of points in units of their own weights."""
    weights = threat.point_weights(x) if isinstance(threat, Displacement) else None
    return rows if weights is None else rows * weights[:, None]


def steepest_step(threat: Threat, x: Array, gradient: Array) -> Array:
    """Step of size 1 along which a function falls most, to first order.

    Parameters
    ----------
    threat : Threat
        On arrays.
    x : ndarray
        The sample.
    gradient : ndarray, shaped like x
        Of the function.

    Examples
    --------
    >>> x, slope = np.zeros((2, 2)), np.array([[3.0, 4.0], [0.0, 1.0]])
    >>> steepest_step(Displacement(), x, slope)
    array([[-0.6, -0.8],
           [-0. , -1. ]])
    >>> steepest_step(SinglePoint(), x, slope)
    array([[-0.6, -0.8],
           [-0. , -0. ]])
    """
    rows = _rows(threat, gradient)
    shares = _shares(_lengths(rows), _order(threat))
    step = -_units(rows) * shares[:, None]
    return np.asarray(_weighted(threat, x, step).reshape(x.shape))


def random_step(threat: Threat, x: Array, rng: np.random.Generator) -> Array:
    """Step of size 1 in a random direction.

    Parameters
    ----------
    threat : Threat
        On arrays.
    x : ndarray
        The sample.
    rng : numpy.random.Generator
        Of the direction.

    Examples
    --------
    >>> step = random_step(FeatureBall(2), np.zeros(5), np.random.default_rng(0))
    >>> round(float(np.linalg.norm(step)), 12)
    1.0
    """
    return steepest_step(threat, x, rng.normal(size=x.shape))


def into_ball(threat: Threat, x: Array, x_new: Array, radius: float) -> Array:
    """Pull a sample that went too far back into the ball, up to rounding.

    Parameters
    ----------
    threat : Threat
        On arrays.
    x, x_new : ndarray
        Centre, and the sample.
    radius : float
        Of the ball.

    Examples
    --------
    >>> into_ball(FeatureBall(2), np.zeros(2), np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    order = _order(threat)
    rows = _rows(threat, x_new - x)
    lengths = _lengths(rows)
    limits = np.full(len(rows), radius)
    if isinstance(threat, Displacement):
        limits = _weighted(threat, x, limits[:, None])[:, 0]
    if order == _ALONE:
        limits = limits * (np.arange(len(rows)) == lengths.argmax())
    elif not math.isinf(order):
        size = float(np.linalg.norm(lengths, order))
        limits = lengths * min(1.0, radius / size if size > 0 else 1.0)
    shrunk = np.divide(limits, lengths, out=np.ones(len(rows)), where=lengths > limits)
    return np.asarray(x + (rows * shrunk[:, None]).reshape(x.shape))
