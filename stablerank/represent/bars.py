"""Learnable 1-Lipschitz functions of bars, sorted.

    phi(b, d) = max(0, min((d - b) / 2, l_1(b, d), ..., l_J(b, d))),
    l_j(b, d) = a_j b + c_j d + e_j  with  |a_j| + |c_j| <= 1

is 1-Lipschitz in the l_inf ground norm and vanishes on the diagonal, so every rank of
its sorted values moves by at most the bottleneck distance [R3].  No family is lost:
a 1-Lipschitz function that is 0 on the diagonal is at most (d - b) / 2, so adding that
form changes none.  Tents, half-lives and half-lives seen through a window of births or
of deaths are all of this kind, and training may turn one into another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from stablerank.diagrams import PackedBars
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import BarFunctions, BarInput, Deaths, Operation, SortTop
from stablerank.represent.bank import Block
from stablerank.represent.base import (
    ChannelBars,
    RankedBars,
    Representation,
    top_bars,
)
from stablerank.rounding import add_up

__all__ = [
    "BarFunctionBank",
    "RankedChannel",
    "SortedDeaths",
    "lowest_form",
    "with_bounded_slopes",
]


class RankedChannel(Representation):
    """One channel, read at some ranks of some functions.

    A subclass owes `pick`, which finds the bars, and `read`, which evaluates them.
    """

    ranks: Tensor

    def __init__(
        self, channel: str, ranks: Sequence[int], names: Sequence[str]
    ) -> None:
        super().__init__((channel,))
        order = np.asarray(ranks, np.int64)
        if not order.size or order[0] < 0 or (np.diff(order) <= 0).any():
            raise InvalidInputError(f"ranks must ascend from 0 or more, got {ranks!r}")
        self.register_buffer("ranks", torch.tensor(order))
        self.names = list(names)

    def pick(self, bars: ChannelBars) -> RankedBars:
        """Bars that hold the values at the ranks; gradients reach the bars alone."""
        raise NotImplementedError

    def read(self, kept: RankedBars) -> Tensor:
        """Values (n, F * R) of picked bars, zeros where there is none."""
        raise NotImplementedError

    def _vectors(self, packed: PackedBars) -> Tensor:
        bars = ChannelBars.of(packed, self.channels[0], self.dtype)
        return self.read(self.pick(bars))

    def feature_names(self) -> list[str]:
        """Channel, function and rank."""
        (channel,) = self.channels
        ranks = self.ranks.tolist()
        return [f"{channel}/{name}/rank{r:03d}" for name in self.names for r in ranks]

    def frozen_ranks(self) -> NDArray[np.int64]:
        """Ranks as frozen operations take them."""
        return self.ranks.cpu().numpy()


class SortedDeaths(RankedChannel):
    """Deaths of bars that are all born at 0, sorted [H1].

    Notes
    -----
    Stability: |m_k - m_k'| <= sup |M - M'|, half of what [R1] gives for lengths.

    Parameters
    ----------
    channel : str
        H0 of a fixed vertex set.
    ranks : sequence of int
        Ascending, from 0 (the largest death).
    """

    def __init__(self, channel: str, ranks: Sequence[int]) -> None:
        super().__init__(channel, ranks, ["death"])

    def pick(self, bars: ChannelBars) -> RankedBars:
        """Bars that die last, mirrored at 0: their deaths are then half-lives too."""
        deaths = top_bars([bars.deaths], bars, self.ranks).deaths
        return RankedBars(-deaths, deaths)

    def read(self, kept: RankedBars) -> Tensor:
        """Their deaths."""
        return kept.deaths.flatten(1)

    def _operations(
        self, inputs: Sequence[BarInput], sources: Sequence[int], target: int
    ) -> list[Operation]:
        return [Deaths((sources[0],)), SortTop((target,), self.frozen_ranks())]


class BarFunctionBank(RankedChannel):
    """Sorted values of learnable bar functions of one channel; constant 1 [R3].

    Parameters
    ----------
    channel : str
        Name in the diagrams.
    forms : array-like of shape (n_functions, n_forms, 3)
        Coefficients (a, c, e) to start from; slopes |a| + |c| above 1 are scaled down.
    ranks : sequence of int
        Ascending, from 0 (the largest value).
    names : sequence of str, optional
        Of the functions.
    unit : float
        Offsets are learned in this unit: a typical size of births and deaths.

    Examples
    --------
    >>> from stablerank.diagrams import Diagrams
    >>> bank = BarFunctionBank("H0", [[[-0.5, 0.5, 0.0]]], ranks=[0, 1])
    >>> bank(Diagrams.from_list([[[(0.0, 1.0), (1.0, 5.0)]]]).to_torch())
    tensor([[2.0000, 0.5000]], grad_fn=...)
    """

    def __init__(
        self,
        channel: str,
        forms: ArrayLike,
        ranks: Sequence[int],
        *,
        names: Sequence[str] | None = None,
        unit: float = 1.0,
    ) -> None:
        start = torch.as_tensor(np.asarray(forms, np.float64))
        if start.ndim != 3 or start.shape[2] != 3 or 0 in start.shape:
            raise ShapeError(f"forms have shape {tuple(start.shape)}, not (F, J, 3)")
        if not unit > 0:
            raise InvalidInputError(f"unit must be > 0, got {unit}")
        names = names or [f"function{i:02d}" for i in range(len(start))]
        super().__init__(channel, ranks, names)
        self.unit = float(unit)
        self.slopes = nn.Parameter(start[..., :2].to(self.dtype))
        self.offsets = nn.Parameter((start[..., 2] / unit).to(self.dtype))

    @classmethod
    def from_block(cls, block: Block, unit: float = 1.0) -> BarFunctionBank:
        """Start from a block of the fixed bank."""
        return cls(
            block.channel, block.forms, block.ranks, names=block.names, unit=unit
        )

    def forms(self, dtype: torch.dtype | None = None) -> Tensor:
        """Forms as they act, (F, 1 + J, 3): slopes at most 1, half-life first."""
        own = self._own_forms(dtype)
        half = own.new_tensor([-0.5, 0.5, 0.0]).expand(len(own), 1, 3)
        return torch.cat([half, own], dim=1)

    def _own_forms(self, dtype: torch.dtype | None = None) -> Tensor:
        """The learned ones, (F, J, 3)."""
        slopes, offsets = self.slopes.to(dtype), self.offsets.to(dtype)
        return with_bounded_slopes(slopes, offsets * self.unit)

    def pick(self, bars: ChannelBars) -> RankedBars:
        """Bars at the ranks of each function as it is now."""
        values = _one_by_one(self._own_forms(), bars.births, bars.deaths)
        return top_bars(values, bars, self.ranks)

    def read(self, kept: RankedBars) -> Tensor:
        """Functions as they are now, of bars picked now or before."""
        forms = self._own_forms().repeat_interleave(kept.births.shape[2], dim=0)
        births, deaths = kept.births.flatten(1), kept.deaths.flatten(1)
        return lowest_form(forms, births, deaths)

    def _operations(
        self, inputs: Sequence[BarInput], sources: Sequence[int], target: int
    ) -> list[Operation]:
        forms = self.forms(torch.float64).cpu().numpy()
        return [
            BarFunctions((sources[0],), forms),
            SortTop((target,), self.frozen_ranks()),
        ]

    def check_invariant(self) -> None:
        """Raise unless |a| + |c| <= 1 in exact arithmetic, for every form."""
        slopes = self.forms().detach().double().abs().cpu().numpy()
        if not np.all(add_up(slopes[..., 0], slopes[..., 1]) <= 1):
            raise InvalidInputError(
                f"a bar function of {self.channels[0]} has slope above 1 or NaN; "
                "training has diverged: lower the learning rate"
            )


def with_bounded_slopes(slopes: Tensor, offsets: Tensor) -> Tensor:
    """Forms (F, J, 3) whose slopes (F, J, 2) are scaled down to |a| + |c| <= 1."""
    large, small = slopes.abs().amax(-1, True), slopes.abs().amin(-1, True)
    size = large + small
    lost = small - (size - large)  # by rounding the sum, exactly
    # A little more than is needed, so that rounding cannot bring it above 1.
    slack = 1 + 8 * torch.finfo(slopes.dtype).eps
    long = (size > 1) | ((size == 1) & (lost > 0))
    slopes = slopes / torch.where(long, size * slack, 1.0)
    return torch.cat([slopes, offsets[..., None]], dim=-1)


def _one_by_one(forms: Tensor, births: Tensor, deaths: Tensor) -> Iterator[Tensor]:
    """Min of (d - b) / 2 and the forms of each function, of bars (N,).

    All in one buffer, which stays in the cache: to be read before the next one.
    """
    births, deaths = births.detach(), deaths.detach()
    half = (deaths - births) / 2
    value, form = torch.empty_like(half), torch.empty_like(half)
    for own in forms.tolist():
        value.copy_(half)
        for a, c, e in own:
            torch.mul(births, a, out=form).add_(deaths, alpha=c).add_(e)
            torch.minimum(value, form, out=value)
        yield value


def lowest_form(forms: Tensor, births: Tensor, deaths: Tensor) -> Tensor:
    """max(0, min of (d - b) / 2 and the forms (D, J, 3)) of bars (n, D).

    As a chain of elementwise functions it takes more than twice as long: only the
    lowest form of a bar has a gradient, and its number is all that is kept.
    """
    values: Tensor = _Lowest.apply(forms, births, deaths)
    return values


class _Lowest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, forms: Tensor, births: Tensor, deaths: Tensor) -> Tensor:
        value = (deaths - births).mul_(0.5)
        chosen = []
        for a, c, e in forms.permute(1, 2, 0):
            form = torch.addcmul(e, a, births).addcmul_(c, deaths)
            # A tie goes to the learned form, or a half-life would never leave its own.
            # Comparisons in place give 0.0 and 1.0, several times as fast as bools.
            chosen.append(torch.le(form, value, out=torch.empty_like(form)))
            torch.minimum(value, form, out=value)
        left = torch.gt(value, 0.0, out=torch.empty_like(value))
        for share in reversed(chosen):  # the last one that was chosen is the lowest
            left.sub_(share.mul_(left))
        ctx.save_for_backward(forms, births, deaths, left, *chosen)
        return value.clamp_min_(0.0)

    @staticmethod
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        forms, births, deaths, left, *chosen = ctx.saved_tensors
        own = [gradient * share for share in chosen]
        of_forms = [
            torch.stack([(g * births).sum(0), (g * deaths).sum(0), g.sum(0)], dim=-1)
            for g in own
        ]
        of_births = of_deaths = None
        if any(ctx.needs_input_grad[1:]):
            of_deaths = gradient * left / 2
            of_births = -of_deaths
            for g, (a, c, _) in zip(own, forms.permute(1, 2, 0), strict=True):
                of_births, of_deaths = of_births + g * a, of_deaths + g * c
        return torch.stack(of_forms, dim=1), of_births, of_deaths
