"""The inverse stable rank under learned contours: the vector of the paper.

With the lengths l_(1) >= l_(2) >= ... of the bars under a contour, the stable rank of
order p is at most j at t exactly if v_{j+1} <= t, where

    v_j = (sum_{i >= j} l_(i)^p)^(1/p),       v_j = l_(j) for p = inf,

so the sup distance of these vectors is the interleaving distance of the ranks, and

    |v_j(D) - v_j(D')| <= W_{p,q}(D, D')                             [R1, R2]

after division by K_q sup f (area kind: by K_q / inf f).  For p = inf the bound holds
under every W_{p',q}, the bottleneck distance among them.

Freezing replaces the smooth contour by its linear interpolation, whose slopes are mean
values of the density: the constant does not grow, and is exact in the frozen numbers.
With knots h apart a length moves by at most (h^2 / 4) sup |F''|.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stablerank.diagrams import Diagrams, PackedBars
from stablerank.exceptions import InvalidInputError, UncertifiableLayerError
from stablerank.frozen import BarInput, Contours, Operation, SortTop, Tails
from stablerank.represent.bank import geometric_ranks, levels_of, usual_count
from stablerank.represent.bars import RankedChannel, SortedDeaths
from stablerank.represent.base import (
    ChannelBars,
    Joined,
    RankedBars,
    Representation,
    pad_bars,
    top_bars,
)
from stablerank.represent.contour import ground_factor
from stablerank.represent.densities import Density, MixtureDensity

__all__ = ["StableRankVector", "mixture_vectors"]

Array = NDArray[np.float64]

_MAX_KNOTS = 1024
#: Freezing may move a length by this share of the domain, if the knots suffice.
_TOLERANCE = 1e-4


class StableRankVector(RankedChannel):
    """Inverse stable rank of one channel under several learned contours.

    Parameters
    ----------
    channel : str
        Name in the diagrams.
    density : Density
        `MixtureDensity` or `SplineDensity`.
    ranks : sequence of int
        Entries that are kept, ascending from 0.
    p : float
        Order of the tails, 1 <= p <= inf. Frozen are 1, 2 and inf.
    q : float
        Ground norm of the distance in which the constant is 1.
    kind : str
        "distance" or "area".
    truncation : float
        Both ends of every bar are cut here first.

    Examples
    --------
    >>> density = MixtureDensity([[1.0, 2.0]], [[0.5, 0.5]])
    >>> vector = StableRankVector("H1", density, ranks=[0, 1, 2])
    >>> vector.feature_names()
    ['H1/contour00/rank000', 'H1/contour00/rank001', 'H1/contour00/rank002']
    """

    def __init__(
        self,
        channel: str,
        density: Density,
        ranks: Sequence[int],
        *,
        p: float = math.inf,
        q: float = math.inf,
        kind: Literal["distance", "area"] = "distance",
        truncation: float = math.inf,
    ) -> None:
        names = [f"contour{g:02d}" for g in range(density.n_contours)]
        super().__init__(channel, ranks, names)
        if not p >= 1:
            raise InvalidInputError(f"p must be a number >= 1 or math.inf, got {p!r}")
        if kind not in ("distance", "area"):
            raise InvalidInputError(f'kind must be "distance" or "area", got {kind!r}')
        self.p, self.kind, self.truncation = float(p), kind, float(truncation)
        self.factor = ground_factor(q)
        self.density = density

    # --- lengths --------------------------------------------------------------

    def _move(self, x: Tensor) -> Tensor:
        """F or F^-1 at points (1 or G, N) cut at the truncation."""
        x = x.clamp_max(self.truncation)
        if self.kind == "distance":
            return self.density.primitive(x)
        return self.density.inverse(x, base=0.0)

    def _scale(self) -> Tensor:
        """1 / (K_q sup f) or inf f / K_q, shape (G,)."""
        if self.kind == "distance":
            return 1 / (self.density.sup() * self.factor)
        return self.density.inf() / self.factor

    def lengths(self, births: Tensor, deaths: Tensor) -> Tensor:
        """Normalised lengths of bars (1 or G, N), shape (G, N)."""
        rise = self._move(deaths) - self._move(births)
        return (rise * self._scale()[:, None]).clamp_min(0.0)

    # --- forward --------------------------------------------------------------

    def pick(self, bars: ChannelBars) -> RankedBars:
        """Bars whose lengths stand at the ranks: entries for p = inf, not tails."""
        with torch.no_grad():
            values = self.lengths(bars.births[None], bars.deaths[None])
        return top_bars(values, bars, self.ranks)

    def read(self, kept: RankedBars) -> Tensor:
        """Their lengths."""
        births, deaths = (ends.swapaxes(0, 1).flatten(1) for ends in kept)  # (G, n R)
        lengths = self.lengths(births, deaths).unflatten(1, (len(kept.births), -1))
        return lengths.swapaxes(0, 1).flatten(1)

    def _vectors(self, packed: PackedBars) -> Tensor:
        if math.isinf(self.p):
            return super()._vectors(packed)
        bars = ChannelBars.of(packed, self.channels[0], self.dtype)
        values = self.lengths(bars.births[None], bars.deaths[None])
        return self._tails(pad_bars(values, bars.counts)).flatten(1)

    def _tails(self, block: Tensor) -> Tensor:
        """Tails of lengths (n, G, longest) at the ranks, (n, G, R)."""
        lengths = block.sort(dim=-1, descending=True).values
        if self.p == 1:
            tails = lengths.flip(-1).cumsum(-1).flip(-1)
        else:
            # Powers of large order leave the range of floats; their logarithms do
            # not. The short bars come first, so that none of them is lost.
            tiny = torch.finfo(lengths.dtype).tiny
            powers = self.p * lengths.clamp_min(tiny).log()
            sums = powers.flip(-1).logcumsumexp(-1).flip(-1)
            tails = torch.where(lengths > 0, (sums / self.p).exp(), 0.0)
        inside = self.ranks[self.ranks < tails.shape[-1]]
        missing = (0, len(self.ranks) - len(inside))
        return torch.nn.functional.pad(tails[..., inside], missing)

    # --- freezing -------------------------------------------------------------

    def _exact(self) -> StableRankVector:
        """Return a copy in float64, in which freezing computes."""
        return copy.deepcopy(self).to(torch.float64).requires_grad_(False)

    def _curvature(self) -> Array:
        """Upper bound of |F''| or |(F^-1)''| after scaling, shape (G,)."""
        curvature = self.density.steepness()
        if self.kind == "area":  # (F^-1)'' = -f' / f^3
            curvature = curvature / self.density.inf() ** 3
        return np.asarray((curvature * self._scale()).detach().cpu().numpy())

    def _knots(self, domain: BarInput) -> Array:
        """Evenly spaced, as many as the tolerance asks for."""
        low, high = domain.low, max(domain.low, min(domain.high, self.truncation))
        span = high - low
        worst = float(self._exact()._curvature().max())
        wanted = math.sqrt(worst * span / (4 * _TOLERANCE)) if span > 0 else 1
        return np.linspace(low, high, 1 + math.ceil(min(max(1, wanted), _MAX_KNOTS)))

    def frozen_contours(self, domain: BarInput) -> tuple[Array, Array]:
        """Knots (G, M + 1) and slopes (G, M) of the piecewise linear contours."""
        exact = self._exact()
        knots = self._knots(domain)
        device = exact.anchor.device
        with torch.no_grad():
            heights = exact._move(torch.tensor(knots, device=device)[None])
            heights = heights * exact._scale()[:, None]
        rises, steps = np.diff(heights.cpu().numpy(), axis=1), np.diff(knots)
        slopes = np.divide(rises, steps, out=np.zeros_like(rises), where=steps > 0)
        # A mean value of the density is at most its sup; rounding must not undo it.
        slopes = np.clip(slopes, 0.0, 1 / self.factor)
        return np.tile(knots, (len(slopes), 1)), slopes

    def freezing_error(self, domain: BarInput) -> Array:
        """How far freezing moves a normalised length, at most, shape (G,).

        Holds for bars inside the domain and includes the rounding of the trained
        module. By the order lemma it bounds every entry for p = inf; tails of n bars
        move by at most n^(1/p) times as much.

        Parameters
        ----------
        domain : BarInput
            As given to `freeze`.
        """
        knots = self._knots(domain)
        step = float(np.diff(knots).max())
        interpolation = step**2 / 4 * self._exact()._curvature()
        reach = max(abs(knots[0]), abs(knots[-1])) / self.factor
        return np.asarray(interpolation + 64 * torch.finfo(self.dtype).eps * reach)

    def _operations(
        self, inputs: Sequence[BarInput], sources: Sequence[int], target: int
    ) -> list[Operation]:
        knots, slopes = self.frozen_contours(inputs[0])
        contours = Contours((sources[0],), knots, slopes)
        ranks = self.frozen_ranks()
        if math.isinf(self.p):
            return [contours, SortTop((target,), ranks)]
        if self.p not in (1, 2):
            raise UncertifiableLayerError(
                f"tails of order p = {self.p:g} have no proved rounding, so they do "
                "not freeze; train with p = 1, 2 or inf to certify"
            )
        return [contours, Tails((target,), ranks, self.p, inputs[0].max_bars)]

    def check_invariant(self) -> None:
        """Raise unless the density has a finite sup and the scale is a number."""
        scale = self._scale()
        if not bool((torch.isfinite(scale) & (scale >= 0)).all()):
            raise InvalidInputError(
                f"a contour of {self.channels[0]} has no finite constant; training "
                "has diverged: lower the learning rate"
            )


def mixture_vectors(
    diagrams: Diagrams,
    pinned: Collection[str] = (),
    *,
    p: float = math.inf,
    q: float = math.inf,
    n_contours: int = 4,
    n_components: int = 3,
    n_ranks: int = 60,
) -> Joined:
    """Stable ranks of every channel under mixtures placed by training quantiles.

    Parameters
    ----------
    diagrams : Diagrams
        Training diagrams.
    pinned : collection of str
        Channels whose sorted deaths have a theorem; for p = inf these are read.
    p, q : float
        As in `StableRankVector`.
    n_contours, n_components, n_ranks : int
        Contours a channel, Gaussians a contour, entries kept a contour.

    Examples
    --------
    >>> dgms = Diagrams.from_list([[[(0.0, 1.0)], [(0.5, 0.75), (0.5, 1.5)]]])
    >>> paper = mixture_vectors(dgms, pinned=["H0"], n_contours=1)
    >>> paper.feature_names()
    ['H0/death/rank000', 'H1/contour00/rank000', 'H1/contour00/rank001']
    """
    parts: list[Representation] = []
    for channel in diagrams.channels:
        own = diagrams.select([channel])
        ranks = geometric_ranks(n_ranks, usual_count(own))
        if channel in pinned and math.isinf(p):
            parts.append(SortedDeaths(channel, ranks))
            continue
        density = _spread(own.bars, n_contours, n_components)
        parts.append(StableRankVector(channel, density, ranks, p=p, q=q))
    return Joined(parts)


def _spread(bars: Array, n_contours: int, n_components: int) -> MixtureDensity:
    """Contours centred at quantiles of mid-points, as wide as these are apart."""
    levels = np.array(levels_of(bars, n_contours) or (0.0,))
    centres = np.interp(
        np.linspace(0, len(levels) - 1, n_contours), np.arange(len(levels)), levels
    )
    # Where all bars are alike, their own size sets the width; 1 where there is none.
    width = np.ptp(levels) / n_contours or np.abs(bars).max(initial=0.0) or 1.0
    steps = np.arange(n_components) - (n_components - 1) / 2
    means = centres[:, None] + width * steps
    return MixtureDensity(means, np.full_like(means, width))
