"""The bank, learned: it starts as the fixed one, and its functions move with training.

All functions of all channels stand in one block of forms, so that they are evaluated
together: in small batches the number of calls is what counts.  What is claimed of
them, and what they freeze to, is that of their parts [R3, H1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stablerank.diagrams import PackedBars
from stablerank.exceptions import InvalidInputError
from stablerank.represent.bank import FixedBank
from stablerank.represent.bars import (
    BarFunctionBank,
    SortedDeaths,
    lowest_form,
    with_bounded_slopes,
)
from stablerank.represent.base import ChannelBars, Joined, RankedBars

__all__ = ["LearnableBank", "learnable_bank"]


class LearnableBank(Joined):
    """Bar functions and sorted deaths of several channels, evaluated together.

    Parameters
    ----------
    parts : sequence of BarFunctionBank or SortedDeaths
        In the order of the coordinates.

    Examples
    --------
    >>> from stablerank.diagrams import Diagrams
    >>> half = BarFunctionBank("H1", [[[-0.5, 0.5, 0.0]]], ranks=[0, 1])
    >>> bank = LearnableBank([SortedDeaths("H0", [0]), half])
    >>> bank(Diagrams.from_list([[[(0.0, 3.0)], [(1.0, 5.0)]]]).to_torch())
    tensor([[3., 2., 0.]], grad_fn=...)
    """

    functions: Tensor
    half_life: Tensor

    def __init__(self, parts: Sequence[BarFunctionBank | SortedDeaths]) -> None:
        super().__init__(parts)
        self._banks = [part for part in parts if isinstance(part, BarFunctionBank)]
        self._readers = tuple(parts)
        n_functions = sum(len(bank.names) for bank in self._banks)
        own = iter(range(n_functions))
        # Deaths are the half-lives of their bars as they are picked: a last function.
        numbers = [
            [next(own) if isinstance(part, BarFunctionBank) else n_functions]
            * len(part.ranks)
            for part in parts
            for _ in part.names
        ]
        self._n_forms = max((bank.slopes.shape[1] for bank in self._banks), default=1)
        half = torch.tensor([[[-0.5, 0.5, 0.0]]]).expand(1, self._n_forms, 3)
        function = torch.tensor([number for each in numbers for number in each])
        self.register_buffer("half_life", half.contiguous(), persistent=False)
        self.register_buffer("functions", function, persistent=False)

    def pick(self, bars: Mapping[str, ChannelBars]) -> RankedBars:
        """Bars (n, D) that hold each coordinate, of all channels by name."""
        found = [part.pick(bars[part.channels[0]]) for part in self._readers]
        births, deaths = (
            torch.cat([end.flatten(1) for end in ends], dim=1)
            for ends in zip(*found, strict=True)
        )
        return RankedBars(births, deaths)

    def read(self, kept: RankedBars) -> Tensor:
        """Coordinates (n, D) as the functions are now, of bars picked now or before."""
        forms = self.half_life
        if self._banks:
            slopes = torch.cat([self._widened(b.slopes) for b in self._banks])
            offsets = [self._widened(b.offsets) * b.unit for b in self._banks]
            own = with_bounded_slopes(slopes, torch.cat(offsets))
            forms = torch.cat([own, forms])
        return lowest_form(forms[self.functions], *kept)

    def _widened(self, values: Tensor) -> Tensor:
        """Repeat the last form for all that a function does not have."""
        return values[:, torch.arange(self._n_forms).clamp_max(values.shape[1] - 1)]

    def _vectors(self, packed: PackedBars) -> Tensor:
        bars = {c: ChannelBars.of(packed, c, self.dtype) for c in self.channels}
        return self.read(self.pick(bars))


def learnable_bank(
    bank: FixedBank, unit: float | Mapping[str, float] = 1.0
) -> LearnableBank:
    """Return a learnable representation that starts as the given fixed bank.

    Parameters
    ----------
    bank : FixedBank
        Made by `design_bank`: of norm inf, with tents of slope 1.
    unit : float, or mapping from channel to float
        Typical size of births and deaths, in which offsets are learned.

    Examples
    --------
    >>> from stablerank.represent import Block
    >>> bank = FixedBank((Block("H1", "tent", (0,), (1.0, 2.0)),))
    >>> learnable_bank(bank).feature_names()
    ['H1/tent00/rank000', 'H1/tent01/rank000']
    """
    if bank.norm == 2:
        raise InvalidInputError("learnable banks are of norm inf; this one is of l_2")
    units = unit if isinstance(unit, Mapping) else dict.fromkeys(bank.channels, unit)
    return LearnableBank(
        [
            SortedDeaths(block.channel, block.ranks)
            if block.function == "death"
            else BarFunctionBank.from_block(block, units[block.channel])
            for block in bank.blocks
        ]
    )
