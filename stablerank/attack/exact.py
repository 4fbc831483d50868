"""How large a move is, in rational numbers: what decides whether an attack counts.

Floats are rational numbers, and every threat here compares a rational quantity with a
power of the radius (squares of Euclidean lengths, p-th powers of costs), so whether a
move fits into the ball has an exact answer [F6].  The sizes that certificates rely on
are judged here, not trusted: of `metrics` only names and weights are used, and a
matching of bars is a proposal, whose cost is computed anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.matching import bottleneck_matching, wasserstein_matching
from stablerank.metrics import (
    BottleneckBall,
    Budget,
    Displacement,
    FeatureBall,
    PixelBudget,
    PixelSup,
    SinglePoint,
    Threat,
    WassersteinBall,
)

__all__ = ["is_within"]

Array = NDArray[np.float64]


def is_within(  # noqa: PLR0911 - one case each
    threat: Threat, x: Any, x_new: Any, radius: float
) -> bool:
    """Whether the move from x to x_new has a size of at most `radius`, exactly.

    Parameters
    ----------
    threat : Threat
        What the size is.
    x, x_new : array, or mapping from channel to bars for threats on diagrams
        Both ends of the move. Of diagrams any matching that is short enough decides;
        the one of `stablerank.matching` is tried.
    radius : float
        In units of the threat.

    Examples
    --------
    >>> from stablerank import Displacement
    >>> is_within(Displacement(), [[0.0, 0.0]], [[3.0, 4.0]], 5.0)
    True
    >>> is_within(Displacement(), [[0.0, 0.0]], [[3.0, 4.0]], math.nextafter(5.0, 0))
    False
    """
    if math.isinf(radius):
        return True
    r = Fraction(radius)
    if isinstance(threat, (BottleneckBall, WassersteinBall)):
        return _diagrams_within(threat, x, x_new, r)
    steps = _steps(x, x_new)
    match threat:
        case Displacement():
            weights = threat.point_weights(x)
            scales = [1.0] * len(steps) if weights is None else weights.tolist()
            pairs = zip(_point_squares(steps), scales, strict=True)
            return all(square <= (r * Fraction(w)) ** 2 for square, w in pairs)
        case SinglePoint():
            moved = [square for square in _point_squares(steps) if square]
            return len(moved) <= 1 and sum(moved) <= r**2
        case Budget():
            return sum(_point_squares(steps)) <= r**2
        case PixelSup() | FeatureBall(math.inf):
            return _norm_within(steps, math.inf, r)
        case PixelBudget(p) | FeatureBall(p):
            return _norm_within(steps, p, r)
    raise InvalidInputError(
        f"the size of a move in {threat} is not decided in rational numbers here"
    )


def _steps(x: Any, x_new: Any) -> NDArray[Any]:
    """x_new - x as an array of Fractions."""
    a, b = (np.asarray(v, np.float64) for v in (x, x_new))
    if a.shape != b.shape:
        raise ShapeError(f"a move from shape {a.shape} to shape {b.shape}")
    gaps = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    steps = np.empty(a.size, dtype=object)
    # Most coordinates of many moves stay where they are, and fractions are slow.
    steps[:] = [Fraction(t) - Fraction(s) if s != t else Fraction(0) for s, t in gaps]
    return steps.reshape(a.shape)


def _point_squares(steps: NDArray[Any]) -> list[Fraction]:
    if steps.ndim != 2:
        raise ShapeError(f"a cloud has shape (points, coordinates), got {steps.shape}")
    return [sum((s * s for s in row), Fraction(0)) for row in steps.tolist()]


def _norm_within(steps: NDArray[Any], p: float, r: Fraction) -> bool:
    sizes = [abs(s) for s in steps.ravel().tolist()]
    if math.isinf(p):
        return max(sizes, default=Fraction(0)) <= r
    order = _whole(p)
    return sum((s**order for s in sizes), Fraction(0)) <= r**order


def _whole(p: float) -> int:
    if p != int(p):
        raise InvalidInputError(
            f"powers of order {p} are not rational; take p = 1, 2, ..."
        )
    return int(p)


# --- diagrams -------------------------------------------------------------------------


def _diagrams_within(
    threat: BottleneckBall | WassersteinBall, x: Any, x_new: Any, r: Fraction
) -> bool:
    if not isinstance(x, Mapping) or x.keys() != x_new.keys():
        raise ShapeError("give both diagrams as mappings with the same channels")
    return all(_channel_within(threat, x[name], x_new[name], r) for name in x)


def _channel_within(threat: Any, bars: Array, bars_new: Array, r: Fraction) -> bool:
    (a, births), (b, births_new) = _split(bars), _split(bars_new)
    if len(births) != len(births_new):
        return False
    if isinstance(threat, BottleneckBall):
        order, ground, pairs = math.inf, math.inf, bottleneck_matching(a, b)
    else:
        order, ground = threat.p, threat.ground
        pairs = wasserstein_matching(a, b, order, ground)
    costs = [_cost(a, b, i, j, ground) for i, j in pairs.tolist()]
    costs_of_births = [abs(s - t) for s, t in zip(births, births_new, strict=True)]
    if math.isinf(order):
        return all(_within_power(c, ground, r) for c in costs) and all(
            c <= r for c in costs_of_births
        )
    p = _whole(order)
    # The powers of the ground norm are rational: in l_1 and l_inf themselves, in l_q
    # where q is the order.
    if ground not in (1, math.inf, order):
        raise InvalidInputError(
            f"costs of order {order:g} with ground norm l_{ground:g} are not rational"
        )
    powers = [c if ground == order else c**p for c in costs]
    total, of_births = sum(powers, Fraction(0)), sum(c**p for c in costs_of_births)
    return total <= r**p and of_births <= r**p


def _within_power(cost: Fraction, ground: float, r: Fraction) -> bool:
    return cost <= (r if ground in (1, math.inf) else r ** _whole(ground))


def _split(bars: Any) -> tuple[Array, list[Fraction]]:
    array = np.asarray(bars, np.float64).reshape(-1, 2)
    essential = np.isinf(array[:, 1])
    births = np.sort(array[essential, 0]).tolist()
    return array[~essential], [Fraction(v) for v in births]


def _cost(a: Array, b: Array, i: int, j: int, ground: float) -> Fraction:
    """Ground distance of a matched pair, to the power of a finite ground norm > 1."""
    if i < 0 or j < 0:
        birth, death = (Fraction(v) for v in (b[j] if i < 0 else a[i]).tolist())
        gaps = [(death - birth) / 2] * 2
    else:
        pairs = zip(a[i].tolist(), b[j].tolist(), strict=True)
        gaps = [abs(Fraction(s) - Fraction(t)) for s, t in pairs]
    if math.isinf(ground):
        return max(gaps)
    return sum((g ** _whole(ground) for g in gaps), Fraction(0))
