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

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from stablerank.diagrams import PackedBars
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import BarFunctions, BarInput, Deaths, Operation, SortTop
from stablerank.represent.bank import Block, FixedBank
from stablerank.represent.base import ChannelBars, Joined, Representation, top_bars
from stablerank.rounding import add_up

__all__ = [
    "BarFunctionBank",
    "RankedChannel",
    "SortedDeaths",
    "at_rows",
    "learnable_bank",
]


def at_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Values (N,) at the rows; zeros where there are no bars at all."""
    return values[rows] if len(values) else values.new_zeros(rows.shape)


class RankedChannel(Representation):
    """One channel, read at some ranks of some functions."""

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

    def _vectors(self, packed: PackedBars) -> Tensor:
        bars = ChannelBars.of(packed, self.channels[0], self.dtype)
        rows, alive = top_bars(bars.deaths[None], bars.counts, self.ranks)
        return torch.where(alive, at_rows(bars.deaths, rows), 0.0)[:, 0]

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
        slopes, offsets = self.slopes.to(dtype), self.offsets.to(dtype)
        large, small = slopes.abs().amax(-1, True), slopes.abs().amin(-1, True)
        size = large + small
        lost = small - (size - large)  # by rounding the sum, exactly
        # A little more than is needed, so that rounding cannot bring it above 1.
        slack = 1 + 8 * torch.finfo(slopes.dtype).eps
        long = (size > 1) | ((size == 1) & (lost > 0))
        slopes = slopes / torch.where(long, size * slack, 1.0)
        own = torch.cat([slopes, offsets[..., None] * self.unit], dim=-1)
        half = own.new_tensor([-0.5, 0.5, 0.0]).expand(len(own), 1, 3)
        return torch.cat([half, own], dim=1)

    def _vectors(self, packed: PackedBars) -> Tensor:
        bars = ChannelBars.of(packed, self.channels[0], self.dtype)
        forms = self.forms()
        with torch.no_grad():
            values = _minimum(forms, bars.births, bars.deaths)
        rows, alive = top_bars(values, bars.counts, self.ranks)  # (n, F, R)
        flat = rows.swapaxes(0, 1).flatten(1)  # (F, n * R)
        kept = _minimum(forms, at_rows(bars.births, flat), at_rows(bars.deaths, flat))
        kept = kept.unflatten(1, (len(rows), -1)).swapaxes(0, 1)
        return torch.where(alive, kept, 0.0).flatten(1)

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


def _minimum(forms: Tensor, births: Tensor, deaths: Tensor) -> Tensor:
    """max(0, min of forms (F, J, 3)) of bars (N,) or (F, N), shape (F, N)."""
    values = (
        form[:, :1] * births + form[:, 1:2] * deaths + form[:, 2:]
        for form in forms.unbind(1)
    )
    return reduce(torch.minimum, values).clamp_min(0.0)


def learnable_bank(bank: FixedBank, unit: float = 1.0) -> Joined:
    """Return a learnable representation that starts as the given fixed bank.

    Parameters
    ----------
    bank : FixedBank
        Made by `design_bank`: of norm inf, with tents of slope 1.
    unit : float
        Typical size of births and deaths, in which offsets are learned.

    Examples
    --------
    >>> bank = FixedBank((Block("H1", "tent", (0,), (1.0, 2.0)),))
    >>> learnable_bank(bank).feature_names()
    ['H1/tent00/rank000', 'H1/tent01/rank000']
    """
    if bank.norm == 2:
        raise InvalidInputError("learnable banks are of norm inf; this one is of l_2")
    parts: list[Representation] = []
    for block in bank.blocks:
        if block.function == "death":
            parts.append(SortedDeaths(block.channel, block.ranks))
        else:
            parts.append(BarFunctionBank.from_block(block, unit))
    return Joined(parts)
