"""Contours: the length of a bar, measured with a density on the filtration axis.

With the density f > 0 and its primitive F, a bar [b, d) has the length

    F(d) - F(b)              distance kind,  |l - l'| <= sup f * (|b - b'| + |d - d'|)
    F^-1(d) - F^-1(b)        area kind,      |l - l'| <= (|b - b'| + |d - d'|) / inf f

so K_q sup f, or K_q / inf f, times a distance with ground norm l_q, K_q = 2^(1 - 1/q)
[R2].  Both ends are first cut at the truncation T, which stretches nothing [X18].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.exceptions import InvalidInputError
from stablerank.rounding import div_up, mul_up, pow_up

__all__ = ["Contour", "ground_factor"]

Array = NDArray[np.float64]


def ground_factor(q: float) -> float:
    """K_q = 2^(1 - 1/q): |db| + |dd| <= K_q |(db, dd)|_q; rounded up.

    Examples
    --------
    >>> ground_factor(1), ground_factor(math.inf)
    (1.0, 2.0)
    """
    if not q >= 1:
        raise InvalidInputError(f"q must be a number >= 1 or math.inf, got {q!r}")
    return pow_up(2.0, 1.0 if math.isinf(q) else 1 - 1 / q)


@dataclass(frozen=True)
class Contour:
    """Lengths of bars under a piecewise constant density.

    Parameters
    ----------
    starts : sequence of float
        Where each piece of the density begins, ascending.
    values : sequence of float
        The density on each piece; the first reaches down to -inf, the last up to inf.
    kind : str
        "distance" or "area".
    truncation : float
        Ends of bars are cut here; bars that never die stay infinitely long.

    Examples
    --------
    >>> contour = Contour([0.0, 1.0], [1.0, 3.0])
    >>> contour.lengths([[0.0, 2.0], [1.5, 2.0]])
    array([4. , 1.5])
    """

    starts: tuple[float, ...]
    values: tuple[float, ...]
    kind: str = "distance"
    truncation: float = math.inf

    def __post_init__(self) -> None:
        for name in ("starts", "values"):
            own = np.asarray(getattr(self, name), np.float64)
            if own.ndim != 1 or not own.size or not np.isfinite(own).all():
                raise InvalidInputError(f"{name} must be finite numbers, at least one")
            object.__setattr__(self, name, tuple(own.tolist()))
        if len(self.starts) != len(self.values) or (np.diff(self.starts) <= 0).any():
            raise InvalidInputError(
                f"{len(self.values)} values for {len(self.starts)} pieces; give one "
                "for each, and starts that ascend"
            )
        if self.kind not in ("distance", "area"):
            raise InvalidInputError(
                f'kind must be "distance" or "area", got {self.kind!r}'
            )
        lowest = min(self.values)
        if lowest < 0 or (self.kind == "area" and lowest == 0):
            raise InvalidInputError(
                f"a density of {lowest}: it must be >= 0, and > 0 for the area kind"
            )
        if not self.truncation > -math.inf:
            raise InvalidInputError("the truncation must be a number or math.inf")

    def lengths(self, bars: ArrayLike) -> Array:
        """Length of every bar.

        Parameters
        ----------
        bars : array-like of shape (n_bars, 2)
            Births and deaths; a death of inf gives the length inf.

        Returns
        -------
        ndarray of shape (n_bars,)
        """
        ends = np.asarray(bars, np.float64).reshape(-1, 2)
        infinite = np.isinf(ends[:, 1])
        births, deaths = np.where(infinite[:, None], ends[:, :1], ends).T
        move = self._primitive if self.kind == "distance" else self._inverse
        cut = [move(np.minimum(x, self.truncation)) for x in (births, deaths)]
        return np.where(infinite, np.inf, cut[1] - cut[0])

    def constant(self, q: float = math.inf) -> float:
        """K_q sup f or K_q / inf f, rounded up [R2].

        Examples
        --------
        >>> Contour([0.0], [0.5], kind="area").constant(1)
        2.0
        """
        if self.kind == "distance":
            steepest = max(self.values)
        else:
            steepest = float(div_up(1.0, min(self.values)))
        return float(mul_up(ground_factor(q), steepest))

    @property
    def _heights(self) -> Array:
        """F at the starts, for the F with F(0) = 0."""
        starts, values = np.array(self.starts), np.array(self.values)
        heights = np.concatenate([[0.0], np.cumsum(values[:-1] * np.diff(starts))])
        # Only the area kind depends on the constant of integration.
        piece = max(0, int(np.searchsorted(starts, 0.0, side="right")) - 1)
        return heights - (heights[piece] + values[piece] * (0.0 - starts[piece]))

    def _primitive(self, x: Array) -> Array:
        starts, values = np.array(self.starts), np.array(self.values)
        piece = np.searchsorted(starts, x, side="right") - 1
        piece = np.maximum(piece, 0)
        return self._heights[piece] + values[piece] * (x - starts[piece])

    def _inverse(self, y: Array) -> Array:
        starts, values, heights = map(
            np.asarray, (self.starts, self.values, self._heights)
        )
        piece = np.maximum(np.searchsorted(heights, y, side="right") - 1, 0)
        return starts[piece] + (y - heights[piece]) / values[piece]
