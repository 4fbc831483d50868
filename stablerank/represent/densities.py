"""Learnable densities f >= 0 on the filtration axis, with rigorous sup and inf.

A contour stretches bars by at most sup f (or 1 / inf f), so the constant of the
learned representation rests on these two numbers [R2]:

    mixture of Gaussians over a floor c:
        sup f <= c + min(max on a grid of step h + (h / 2) sup |f'|, sum of the peaks)
        sup |f'| <= sum_k w_k / (s_k^2 sqrt(2 pi e)),      inf f >= c
    linear spline:
        sup f and inf f are the largest and smallest value at a knot.

All of it is differentiable, so that training feels the price of a sharp peak.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError, ShapeError

__all__ = ["Density", "MixtureDensity", "SplineDensity"]

#: Steps of the grid on which the mode of a mixture is bounded.
_GRID = 512
_PEAK = 1 / math.sqrt(2 * math.pi)
_STEEPEST = 1 / math.sqrt(2 * math.pi * math.e)
#: Halvings until an interval is as short as floats are close.
_HALVINGS = 64


class Density(nn.Module):
    """Several densities at once, each with its primitive.

    Points come as tensors of shape (n_contours or 1, n_points).
    """

    n_contours: int

    def density(self, x: Tensor) -> Tensor:
        """Values f(x), shape (n_contours, n_points)."""
        raise NotImplementedError

    def primitive(self, x: Tensor) -> Tensor:
        """A primitive F(x), shape (n_contours, n_points)."""
        raise NotImplementedError

    def sup(self) -> Tensor:
        """Upper bound of f, shape (n_contours,)."""
        raise NotImplementedError

    def inf(self) -> Tensor:
        """Lower bound of f, shape (n_contours,)."""
        raise NotImplementedError

    def steepness(self) -> Tensor:
        """Upper bound of |f'|, shape (n_contours,)."""
        raise NotImplementedError

    def inverse(self, y: Tensor, base: float) -> Tensor:
        """Return the x with F(x) - F(base) = y - base, for inf f > 0.

        Found without gradients; then one Newton step with them, whose derivatives
        are those of the inverse by the implicit function theorem.
        """
        start = y.new_full((1, 1), base)
        with torch.no_grad():
            x = self._solve(y - base, base)
        missing = self.primitive(x) - self.primitive(start) - (y - base)
        return x - missing / self.density(x).detach()

    def _solve(self, gap: Tensor, base: float) -> Tensor:
        """Newton's method inside a bracket that is halved wherever it is slow."""
        level = self.primitive(gap.new_full((1, 1), base)) + gap
        ends = [base + gap / bound[:, None] for bound in (self.sup(), self.inf())]
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        x, step = (low + high) / 2, high - low
        for _ in range(_HALVINGS):
            missing, slope = self.primitive(x) - level, self.density(x)
            low = torch.where(missing > 0, low, x)
            high = torch.where(missing > 0, x, high)
            newton = x - missing / slope
            inside = (newton >= low) & (newton <= high)
            quick = 2 * missing.abs() <= step * slope
            moved = torch.where(inside & quick, newton, (low + high) / 2)
            step, x = (moved - x).abs(), moved
            if bool((step <= 2 * torch.finfo(x.dtype).eps * x.abs()).all()):
                break
        return x


class MixtureDensity(Density):
    """f(t) = c + sum_k w_k N(t; m_k, s_k), with learnable c, w, m and s.

    Parameters
    ----------
    means : array-like of shape (n_contours, n_components)
        In the units of the filtration.
    widths : array-like of the same shape
        Standard deviations, > 0.
    weights : array-like of the same shape, optional
        Masses, > 0; by default 1 / n_components.
    floor : float
        c > 0, relative to the mass spread over the range of the means: what is left
        of the plain length.
    min_width : float, optional
        Below this no width can fall; by default a tenth of the smallest at the start.

    Examples
    --------
    >>> mixture = MixtureDensity([[0.0]], [[1.0]], floor=1e-9)
    >>> round(mixture.sup().item(), 4)
    0.3989
    """

    def __init__(
        self,
        means: ArrayLike,
        widths: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        floor: float = 0.1,
        min_width: float | None = None,
    ) -> None:
        super().__init__()
        m, s = np.asarray(means, np.float64), np.asarray(widths, np.float64)
        w = np.full(m.shape, 1 / max(1, m.shape[-1])) if weights is None else weights
        w = np.asarray(w, np.float64)
        if m.ndim != 2 or not m.size or m.shape != s.shape or m.shape != w.shape:
            raise ShapeError(
                f"means {m.shape}, widths {s.shape}, weights {w.shape}: all must be "
                "(n_contours, n_components)"
            )
        if not ((s > 0).all() and (w > 0).all() and floor > 0):
            raise InvalidInputError("widths, weights and floor must be > 0")
        self.n_contours = len(m)
        #: Means are learned in this unit, so that one learning rate serves all data.
        self.unit = float(s.mean())
        self.min_width = float(s.min() / 10 if min_width is None else min_width)
        if not 0 < self.min_width < s.min():
            raise InvalidInputError(
                f"min_width {self.min_width} is not below the smallest width {s.min()}"
            )
        spread = np.ptp(m, axis=1) + s.mean(axis=1)
        self.raw_means = _parameter(m / self.unit)
        self.raw_widths = _parameter(_unsoft((s - self.min_width) / self.unit))
        self.raw_weights = _parameter(_unsoft(w))
        self.raw_floor = _parameter(_unsoft(floor * w.sum(axis=1) * self.unit / spread))

    def _numbers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means, widths, weights (G, K) and floors (G,)."""
        soft = nn.functional.softplus
        return (
            self.raw_means * self.unit,
            self.min_width + soft(self.raw_widths) * self.unit,
            soft(self.raw_weights),
            soft(self.raw_floor) / self.unit,
        )

    def density(self, x: Tensor) -> Tensor:
        """c + sum of w N(x; m, s)."""
        m, s, w, c = self._numbers()
        z = (x[..., None] - m[:, None]) / s[:, None]
        bumps = torch.exp(-z * z / 2) * (w / s * _PEAK)[:, None]
        return bumps.sum(dim=-1) + c[:, None]

    def primitive(self, x: Tensor) -> Tensor:
        """c x + sum of w Phi((x - m) / s)."""
        m, s, w, c = self._numbers()
        z = (x[..., None] - m[:, None]) / s[:, None]
        return (torch.special.ndtr(z) * w[:, None]).sum(dim=-1) + c[:, None] * x

    def sup(self) -> Tensor:
        """See the module."""
        m, s, w, c = self._numbers()
        low, high = m.amin(dim=1, keepdim=True), m.amax(dim=1, keepdim=True)
        share = torch.linspace(0, 1, _GRID + 1, device=m.device, dtype=m.dtype)
        # The mode lies between the outermost means: outside f only falls.
        highest = self.density(low + (high - low) * share).amax(dim=1)
        step = (high - low)[:, 0] / _GRID
        between = highest + step / 2 * self.steepness()
        return torch.minimum(between, (w / s * _PEAK).sum(dim=1) + c)

    def inf(self) -> Tensor:
        """Return the floor, which f approaches far out."""
        return self._numbers()[3]

    def steepness(self) -> Tensor:
        """See the module."""
        _, s, w, _ = self._numbers()
        return (w / (s * s) * _STEEPEST).sum(dim=1)


class SplineDensity(Density):
    """f linear between knots, constant outside; its values at the knots are learned.

    Parameters
    ----------
    knots : array-like of shape (n_knots,)
        Ascending, at least two; in the units of the filtration.
    values : array-like of shape (n_contours, n_knots)
        Densities to start from, > 0.

    Examples
    --------
    >>> spline = SplineDensity([0.0, 1.0], [[1.0, 3.0]])
    >>> spline.primitive(torch.tensor([[0.0, 1.0, 2.0]])).tolist()
    [[0.0, 2.0, 5.0]]
    """

    knots: Tensor

    def __init__(self, knots: ArrayLike, values: ArrayLike) -> None:
        super().__init__()
        t, v = np.asarray(knots, np.float64), np.asarray(values, np.float64)
        if t.ndim != 1 or len(t) < 2 or v.ndim != 2 or v.shape[1] != len(t):
            raise ShapeError(
                f"knots {t.shape} and values {v.shape}: give two knots or more, and "
                "values of shape (n_contours, n_knots)"
            )
        if not ((np.diff(t) > 0).all() and (v > 0).all()):
            raise InvalidInputError("knots must ascend and values be > 0")
        self.n_contours = len(v)
        self.register_buffer("knots", torch.tensor(t, dtype=torch.get_default_dtype()))
        self.scale = float(v.mean())
        self.raw_values = _parameter(_unsoft(v / self.scale))

    def _values(self) -> Tensor:
        return nn.functional.softplus(self.raw_values) * self.scale

    def _piece(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clipped points, their pieces, and how far along each they are."""
        inside = x.clamp(self.knots[0], self.knots[-1])
        piece = torch.searchsorted(self.knots, inside.contiguous(), right=True) - 1
        piece = piece.clamp(0, len(self.knots) - 2).expand(self.n_contours, -1)
        return inside, piece, inside - self.knots[piece]

    def density(self, x: Tensor) -> Tensor:
        """Linear interpolation."""
        values, knots = self._values(), self.knots
        _, piece, along = self._piece(x)
        slopes = values.diff(dim=1) / knots.diff()
        return values.gather(1, piece) + slopes.gather(1, piece) * along

    def primitive(self, x: Tensor) -> Tensor:
        """Quadratic between knots, linear outside; 0 at the first knot."""
        values, steps = self._values(), self.knots.diff()
        inside, piece, along = self._piece(x)
        areas = ((values[:, 1:] + values[:, :-1]) / 2 * steps).cumsum(dim=1)
        before = nn.functional.pad(areas, (1, 0)).gather(1, piece)
        slopes = (values.diff(dim=1) / steps).gather(1, piece)
        area = before + (values.gather(1, piece) + slopes * along / 2) * along
        beyond = torch.where(x > inside, values[:, -1:], values[:, :1])
        return area + beyond * (x - inside)

    def sup(self) -> Tensor:
        """Largest value at a knot."""
        return self._values().amax(dim=1)

    def inf(self) -> Tensor:
        """Smallest value at a knot."""
        return self._values().amin(dim=1)

    def steepness(self) -> Tensor:
        """Steepest piece."""
        return (self._values().diff(dim=1) / self.knots.diff()).abs().amax(dim=1)


def _parameter(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.get_default_dtype()))


def _unsoft(values: np.ndarray) -> np.ndarray:
    """Inverse of softplus, for values > 0."""
    return np.asarray(values + np.log(-np.expm1(-values)))
