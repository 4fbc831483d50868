"""Threats to the diagrams themselves, for users who start from bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import (
    DataTypeError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
)
from stablerank.matching import (
    bottleneck_distance,
    bottleneck_matching,
    wasserstein_distance,
    wasserstein_matching,
)
from stablerank.metrics.base import (
    SHRINK,
    Array,
    Threat,
    check_order,
    check_radius,
    largest_entry,
    norm_up,
    towards,
)

__all__ = ["BottleneckBall", "WassersteinBall"]


def _channel_arrays(x: Any) -> dict[Any, Array]:
    """Bars of every channel of one sample, in any of the forms a user has."""
    if hasattr(x, "channels") and not isinstance(x, Mapping):
        items = {name: x[name] for name in x.channels}
    elif isinstance(x, Mapping):
        items = dict(x)
    elif isinstance(x, (list, tuple)):
        items = dict(enumerate(x))
    else:
        items = {0: x}
    return {k: _bars(v, f"channel {k!r}") for k, v in items.items()}


def _bars(x: Any, where: str) -> Array:
    raw = np.asarray(x)
    if raw.size == 0:
        return np.empty((0, 2))
    if raw.dtype.kind not in "iuf":
        raise DataTypeError(f"{where} holds {raw.dtype} values; give real numbers")
    if raw.ndim != 2 or raw.shape[1] != 2:
        raise ShapeError(f"{where} has shape {raw.shape}; bars have shape (m, 2)")
    bars = raw.astype(np.float64)
    births, deaths = bars.T
    if np.isnan(bars).any() or np.isinf(births).any():
        raise NonFiniteError(f"{where} holds NaN or an infinite birth; drop the row")
    if (deaths < births).any():
        row = int(np.argmax(deaths < births))
        raise InvalidInputError(f"{where}, row {row}: death < birth; swap the columns")
    return bars


def _split(bars: Array) -> tuple[Array, Array]:
    """Finite bars, and the sorted births of the essential ones."""
    essential = np.isinf(bars[:, 1])
    return bars[~essential], np.sort(bars[essential, 0])


@dataclass(frozen=True)
class _DiagramThreat(Threat):
    on_diagrams: ClassVar[bool] = True

    def _distance(self, a: Array, b: Array) -> float:
        raise NotImplementedError

    def _matching(self, a: Array, b: Array) -> NDArray[np.int64]:
        raise NotImplementedError

    def distance_up(self, x: Any, x_new: Any) -> float:
        """Largest distance over the channels, rounded up.

        Essential bars are matched among themselves in order of birth; different
        numbers of them are infinitely far apart.
        """
        old, new = _channel_arrays(x), _channel_arrays(x_new)
        if old.keys() != new.keys():
            raise ShapeError(
                f"diagrams with channels {list(old)} against {list(new)}; "
                "compare diagrams of one extractor"
            )
        worst = 0.0
        for name, bars in old.items():
            (a, births), (b, births_new) = _split(bars), _split(new[name])
            if len(births) != len(births_new):
                return math.inf
            worst = max(
                worst, self._distance(a, b), self._essential(births, births_new)
            )
        return worst

    def _essential(self, births: Array, births_new: Array) -> float:
        return largest_entry(births, births_new)

    def project(self, x: Any, x_new: Any, radius: float) -> dict[Any, Array]:
        """Move the bars of `x` along an optimal matching towards `x_new`.

        Returns a mapping from channel to bars; essential bars stay where they are.
        """
        check_radius(radius)
        old, new = _channel_arrays(x), _channel_arrays(x_new)
        if self.distance_up(x, x_new) <= radius:
            return new
        return {k: self._project_channel(old[k], new[k], radius) for k in old}

    def _project_channel(self, bars: Array, bars_new: Array, radius: float) -> Array:
        (a, _), (b, _) = _split(bars), _split(bars_new)
        essential = bars[np.isinf(bars[:, 1])]
        start, end = _along_matching(a, b, self._matching(a, b))
        size = self._distance(a, b)
        first = min(1.0, radius / size) if size > 0 else 1.0
        for shrink in (1.0, *SHRINK):
            moved = towards(start, end, first * shrink)
            kept = moved[moved[:, 1] > moved[:, 0]]
            if self._distance(a, kept) <= radius:
                return np.concatenate([kept, essential])
        return bars


def _along_matching(
    a: Array, b: Array, pairs: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Start and end of every bar's move; the diagonal is met at the midpoint."""
    a_pad, b_pad = np.vstack([a, np.zeros((1, 2))]), np.vstack([b, np.zeros((1, 2))])
    start, end = a_pad[pairs[:, 0]], b_pad[pairs[:, 1]]
    from_diagonal, to_diagonal = pairs[:, 0] < 0, pairs[:, 1] < 0
    start[from_diagonal] = end[from_diagonal].mean(axis=1, keepdims=True)
    end[to_diagonal] = start[to_diagonal].mean(axis=1, keepdims=True)
    return start, end


@dataclass(frozen=True)
class BottleneckBall(_DiagramThreat):
    """The diagrams themselves move, every channel by at most r in bottleneck.

    Examples
    --------
    >>> BottleneckBall().distance_up({"H1": [[0.0, 2.0]]}, {"H1": [[0.0, 2.5]]})
    0.5
    """

    def __str__(self) -> str:
        return "bottleneck distance of every channel"

    def _distance(self, a: Array, b: Array) -> float:
        return bottleneck_distance(a, b)

    def _matching(self, a: Array, b: Array) -> NDArray[np.int64]:
        return bottleneck_matching(a, b)


@dataclass(frozen=True)
class WassersteinBall(_DiagramThreat):
    """The diagrams move, every channel by at most r in W_p, ground norm l_q.

    Parameters
    ----------
    p : float
        Order, 1 <= p < inf.
    q : float, optional
        Ground norm; by default q = p, the convention of the cellular stability
        theorem [X1].

    Examples
    --------
    >>> WassersteinBall(1).distance_up([[[0.0, 2.0]]], [[[0.5, 2.5]]])
    1.0
    """

    p: float = 2
    q: float | None = None

    def __post_init__(self) -> None:
        check_order(self.p)
        if math.isinf(self.p):
            raise InvalidInputError(
                "order inf is the bottleneck distance: BottleneckBall"
            )
        if self.q is None:
            object.__setattr__(self, "q", self.p)
        else:
            check_order(self.q, "q")

    @property
    def ground(self) -> float:
        """Order of the ground norm."""
        return float(self.p if self.q is None else self.q)

    def __str__(self) -> str:
        return f"Wasserstein distance W_({self.p:g}, {self.ground:g}) of every channel"

    def _distance(self, a: Array, b: Array) -> float:
        return wasserstein_distance(a, b, self.p, self.ground)

    def _matching(self, a: Array, b: Array) -> NDArray[np.int64]:
        return wasserstein_matching(a, b, self.p, self.ground)

    def _essential(self, births: Array, births_new: Array) -> float:
        return norm_up(births, births_new, self.p)
