"""What a learnable representation is, and how packed bars are read.

A representation turns a batch of diagrams, packed and ragged, into one vector a
sample.  It owes two things: a forward pass that autograd can follow, and the frozen
operations that do the same in plain float64 arithmetic; the latter are the model
[F1], and the constants are computed from their numbers.

The value of a rank is the value of one bar.  So the bars at the wanted ranks are
found first, without gradients, and only they are evaluated again with gradients:
a tent read at 14 ranks differentiates 14 bars, not seven hundred.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stablerank.diagrams import PackedBars
from stablerank.exceptions import (
    ChannelError,
    InvalidInputError,
    UncertifiableLayerError,
)
from stablerank.frozen import BarInput, Concat, Operation

__all__ = [
    "ChannelBars",
    "Joined",
    "RankedBars",
    "Representation",
    "pad_bars",
    "top_bars",
]

_FREEZABLE = (torch.float32, torch.float64)


@dataclass(frozen=True)
class ChannelBars:
    """Bars of one channel of all samples, one after the other."""

    births: Tensor  # (n_bars,)
    deaths: Tensor  # (n_bars,)
    counts: Tensor  # (n_samples,), int64

    @classmethod
    def of(cls, packed: PackedBars, channel: str, dtype: torch.dtype) -> ChannelBars:
        """Read one channel of a packed batch."""
        if channel not in packed.channels:
            raise ChannelError(
                f"no channel {channel!r}; there are {', '.join(packed.channels)}"
            )
        index = packed.channels.index(channel)
        starts, ends = packed.offsets[:, index], packed.offsets[:, index + 1]
        counts = ends - starts
        before = counts.cumsum(0) - counts
        shift = torch.repeat_interleave(starts - before, counts)
        bars = packed.bars[shift + torch.arange(len(shift), device=shift.device)]
        bars = bars.to(dtype)
        return cls(bars[:, 0].contiguous(), bars[:, 1].contiguous(), counts)

    def take(self, samples: Tensor) -> ChannelBars:
        """Bars of some of the samples, in their order."""
        starts, counts = self.counts.cumsum(0) - self.counts, self.counts[samples]
        before = counts.cumsum(0) - counts
        rows = torch.repeat_interleave(starts[samples] - before, counts)
        rows += torch.arange(len(rows), device=rows.device)
        return ChannelBars(self.births[rows], self.deaths[rows], counts)


class RankedBars(NamedTuple):
    """The bar that holds the value at each rank of each function; (0, 0) for none."""

    births: Tensor  # (n_samples, n_functions, n_ranks)
    deaths: Tensor  # (n_samples, n_functions, n_ranks)


def pad_bars(values: Tensor, counts: Tensor) -> Tensor:
    """Values (F, N) of packed bars as a block (n, F, longest), zeros at the end."""
    longest = int(counts.max()) if len(counts) else 0
    inside = torch.arange(longest, device=counts.device) < counts[:, None]
    block = values.new_zeros((len(counts), longest, len(values)))
    block = block.masked_scatter(inside[..., None], values.T)
    return block.swapaxes(1, 2)


def top_bars(values: Iterable[Tensor], bars: ChannelBars, ranks: Tensor) -> RankedBars:
    """Find the bars that hold the values at the given ranks of each sample.

    Parameters
    ----------
    values : iterable of Tensor, each of shape (n_bars,)
        Of one function after the other, for all bars; no gradients pass. Each is
        read before the next one is asked for.
    bars : ChannelBars
        Of all samples.
    ranks : Tensor of shape (R,)
        Ascending.

    Returns
    -------
    RankedBars
        With (0, 0) where no bar with a value above 0 is left.
    """
    with torch.no_grad():
        fast = bars.births.device.type == "cpu" and bars.births.dtype == torch.float32
        at_ranks = _at_ranks_in_numpy if fast else _at_ranks
        rows = torch.stack([at_ranks(own, bars.counts, ranks) for own in values], dim=1)
    # Row -1, where bars run out, is the padding.
    births, deaths = (
        nn.functional.pad(end, (0, 1))[rows] for end in (bars.births, bars.deaths)
    )
    return RankedBars(births, deaths)


def _at_ranks(values: Tensor, counts: Tensor, ranks: Tensor) -> Tensor:
    """Numbers of the bars at the ranks, (n, R); -1 where they run out."""
    block = pad_bars(values[None], counts)[:, 0]
    found = block.topk(min(int(ranks[-1]) + 1, block.shape[-1]), dim=-1)
    inside = ranks[ranks < found.values.shape[-1]]
    starts = (counts.cumsum(0) - counts)[:, None]
    alive = found.values[:, inside] > 0
    rows = torch.where(alive, starts + found.indices[:, inside], -1)
    return nn.functional.pad(rows, (0, len(ranks) - len(inside)), value=-1)


def _at_ranks_in_numpy(values: Tensor, counts: Tensor, ranks: Tensor) -> Tensor:
    """The same of float32 on the CPU, many times as fast.

    Most tents of most bars are 0, so only the others are sorted; as integers, which
    numpy sorts fast, with the number of the bar behind the bits of its value.
    """
    heights, wanted, n = values.detach().numpy(), ranks.numpy(), len(counts)
    alive = np.flatnonzero(heights > 0)
    ends = np.searchsorted(alive, counts.cumsum(0).numpy())
    own = np.diff(ends, prepend=0)
    longest = int(own.max(initial=0))
    keys = np.zeros((n, longest), np.int64)
    # The bits of floats >= 0 are ordered as the floats are.
    bits = heights[alive].view(np.int32).astype(np.int64)
    keys[np.arange(longest) < own[:, None]] = (bits << 32) | alive
    keys.sort(axis=1)
    inside = wanted[wanted < longest]
    found = keys[:, longest - 1 - inside]
    rows = np.full((n, len(wanted)), -1)
    rows[:, : len(inside)] = np.where(found > 0, found & 0xFFFFFFFF, -1)
    return torch.from_numpy(rows)


class Representation(nn.Module):
    """Base class: `forward`, `freeze`, `feature_names`, `check_invariant`.

    A subclass owes `_vectors`, `_operations`, `feature_names` and, where it has
    parameters that an invariant binds, `check_invariant`.

    Parameters
    ----------
    channels : sequence of str
        Channels that are read, in the order of the registers of `freeze`.
    """

    channels: tuple[str, ...]
    anchor: Tensor

    def __init__(self, channels: Sequence[str]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        # Follows .to(...), so that a module without parameters has a dtype too.
        self.register_buffer("anchor", torch.empty(0), persistent=False)

    # --- owed by subclasses ---------------------------------------------------

    def _vectors(self, packed: PackedBars) -> Tensor:
        """Vectors (n, D) in the dtype of the module."""
        raise NotImplementedError

    def _operations(
        self, inputs: Sequence[BarInput], sources: Sequence[int], target: int
    ) -> list[Operation]:
        """Operations that read registers `sources` and write `target` and on."""
        raise NotImplementedError

    def feature_names(self) -> list[str]:
        """Names such as "H1/tent03/rank012", one a coordinate."""
        raise NotImplementedError

    def check_invariant(self) -> None:
        """Raise unless the parameters give the constant that is claimed."""

    # --- public ---------------------------------------------------------------

    @property
    def dtype(self) -> torch.dtype:
        """Dtype in which the module computes, whatever autocast says."""
        return self.anchor.dtype

    def forward(self, packed: PackedBars) -> Tensor:
        """Vectors of a batch.

        Parameters
        ----------
        packed : PackedBars
            As `Diagrams.to_torch()` gives them.

        Returns
        -------
        Tensor of shape (n, D)
        """
        with torch.autocast(packed.bars.device.type, enabled=False):
            return self._vectors(packed)

    def freeze(self, inputs: Sequence[BarInput]) -> tuple[Operation, ...]:
        """Frozen operations of a `Program` with exactly these inputs.

        Parameters
        ----------
        inputs : sequence of BarInput
            One for each of `channels`, in that order.

        Returns
        -------
        tuple of Operation
            The last one writes the vector.
        """
        if self.dtype not in _FREEZABLE:
            raise UncertifiableLayerError(
                f"{self.dtype} is too coarse to freeze; train in float32 or float64"
            )
        names = tuple(i.channel for i in inputs)
        if names != self.channels:
            raise InvalidInputError(f"inputs {names}, the module reads {self.channels}")
        self.check_invariant()
        with torch.no_grad():
            sources = range(len(inputs))
            return tuple(self._operations(inputs, sources, len(inputs)))


class Joined(Representation):
    """Representations side by side: the constant is the largest [R8].

    Parameters
    ----------
    parts : sequence of Representation
        In the order of the coordinates; several may read one channel.
    """

    def __init__(self, parts: Sequence[Representation]) -> None:
        names = [name for part in parts for name in part.channels]
        super().__init__(tuple(dict.fromkeys(names)))
        if not names:
            raise InvalidInputError("nothing to join: give at least one representation")
        self.parts = nn.ModuleList(parts)

    def _each(self) -> list[Representation]:
        return [part for part in self.parts if isinstance(part, Representation)]

    def _vectors(self, packed: PackedBars) -> Tensor:
        return torch.cat([part(packed) for part in self._each()], dim=1)

    def _operations(
        self, inputs: Sequence[BarInput], sources: Sequence[int], target: int
    ) -> list[Operation]:
        operations: list[Operation] = []
        vectors = []
        for part in self._each():
            own = [self.channels.index(name) for name in part.channels]
            operations += part._operations(
                [inputs[i] for i in own],
                [sources[i] for i in own],
                target + len(operations),
            )
            vectors.append(target + len(operations) - 1)
        return [*operations, Concat(tuple(vectors))]

    def feature_names(self) -> list[str]:
        """Names of all parts."""
        return [name for part in self._each() for name in part.feature_names()]

    def check_invariant(self) -> None:
        """Raise unless every part keeps its own."""
        for part in self._each():
            part.check_invariant()
