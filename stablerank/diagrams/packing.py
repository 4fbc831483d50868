"""The arithmetic of ragged batches: one buffer, and offsets by sample and channel.

Slicing and indexing samples touch the offsets only; nothing here loops over samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.exceptions import DiagramFormatError

Bars = NDArray[np.float64]  # (n_bars, 2)
Offsets = NDArray[np.int64]


def take_runs(starts: Offsets, counts: Offsets) -> Offsets:
    """Row numbers of the runs [start, start + count), joined, without a loop."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.repeat(starts - (ends - counts), counts) + np.arange(total))


def offsets_of(counts: Offsets) -> Offsets:
    """Absolute offsets (n, C + 1) of compact counts (n, C)."""
    n, n_channels = counts.shape
    offsets = np.zeros((n, n_channels + 1), np.int64)
    if n and n_channels:
        ends = np.cumsum(counts.ravel()).reshape(n, n_channels)
        offsets[:, 1:] = ends
        offsets[:, 0] = ends[:, 0] - counts[:, 0]
    return offsets


def channel_rows(offsets: Offsets, index: Sequence[int]) -> tuple[Offsets, Offsets]:
    """Rows of the chosen channels in sample-major order, and their counts."""
    starts = offsets[:, list(index)]
    counts = offsets[:, [i + 1 for i in index]] - starts
    return take_runs(starts.ravel(), counts.ravel()), counts


def stack_critical(tables: Sequence[NDArray[Any] | None]) -> NDArray[np.int64] | None:
    """Join critical vertices of batches, padding to the widest with -1."""
    known = [table for table in tables if table is not None]
    if not known or len(known) < len(tables):
        return None
    width = max(table.shape[2] for table in known)
    return np.concatenate(
        [
            np.pad(t, ((0, 0), (0, 0), (0, width - t.shape[2])), constant_values=-1)
            for t in known
        ]
    )


def read_only(array: ArrayLike, dtype: Any = np.float64) -> NDArray[Any]:
    """Return a view, so that the caller's own array stays writable for the caller."""
    view = np.asarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def table_of(
    value: ArrayLike, shape: tuple[int, int], what: str
) -> NDArray[np.float64]:
    """One number a sample and channel, from these or from one for all."""
    try:
        return read_only(np.broadcast_to(np.asarray(value, np.float64), shape))
    except ValueError as error:
        msg = f"{what} has shape {np.shape(value)}; give one number, or shape {shape}"
        raise DiagramFormatError(msg) from error


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of every channel of every sample, in one buffer.

    Rows of channel c of sample i: `values[offsets[i, c]:offsets[i, c + 1]]`. Samples
    may share rows, or leave some out; `compact` holds each once and in order.
    """

    values: NDArray[np.float64]  # (n_rows, ...)
    offsets: Offsets  # (n_samples, n_channels + 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", read_only(self.values))
        object.__setattr__(self, "offsets", read_only(self.offsets, np.int64))

    def __reduce__(self) -> tuple[Any, ...]:
        return Ragged, (self.values, self.offsets)

    @classmethod
    def of(
        cls, arrays: Sequence[NDArray[Any]], n_channels: int, width: tuple[int, ...]
    ) -> Ragged:
        """Join arrays in sample-major order; a row has shape `width`."""
        counts = np.array([len(a) for a in arrays], np.int64).reshape(-1, n_channels)
        return cls(np.concatenate([*arrays, np.empty((0, *width))]), offsets_of(counts))

    def check(self, shape: tuple[int, int], what: str) -> None:
        """Raise unless every row of offsets increases within the buffer."""
        table = self.offsets
        if (
            table.shape != shape
            or (np.diff(table, axis=1) < 0).any()
            or table.min(initial=0) < 0
            or table.max(initial=0) > len(self.values)
        ):
            raise DiagramFormatError(
                f"{what} must increase along every row, from 0 to at most "
                f"{len(self.values)}, in shape {shape}; got shape {table.shape}"
            )

    def __getitem__(self, key: Any) -> Ragged:
        """Return the chosen samples over the same buffer."""
        return Ragged(self.values, self.offsets[key])

    def rows(self, sample: int, channel: int) -> NDArray[np.float64]:
        """Return the rows of one channel of one sample."""
        start, stop = self.offsets[sample, channel : channel + 2]
        return self.values[start:stop]

    @property
    def counts(self) -> Offsets:
        """Number of rows, shape (n_samples, n_channels)."""
        return np.diff(self.offsets, axis=1)

    @property
    def is_compact(self) -> bool:
        """True if the buffer holds every row once and in order, and nothing else."""
        compact = offsets_of(self.counts)
        return int(compact.max(initial=0)) == len(self.values) and np.array_equal(
            compact, self.offsets
        )

    def select(self, index: Sequence[int]) -> tuple[Ragged, Offsets]:
        """Copy some channels; also return the row numbers that were taken."""
        rows, counts = channel_rows(self.offsets, index)
        return Ragged(self.values[rows], offsets_of(counts)), rows

    @staticmethod
    def concat(batches: Sequence[Ragged]) -> Ragged:
        """Join compact batches, one after the other."""
        starts = np.cumsum([0, *(len(b.values) for b in batches)])
        return Ragged(
            np.concatenate([b.values for b in batches]),
            np.concatenate(
                [b.offsets + s for b, s in zip(batches, starts[:-1], strict=True)]
            ),
        )

    def same_bits(self, other: Ragged) -> bool:
        """Whether two compact batches are equal to the bit (0.0 is not -0.0)."""
        return np.array_equal(self.offsets, other.offsets) and equal_bits(
            self.values, other.values
        )


def equal_bits(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether two float64 arrays hold the same bits."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return np.array_equal(a.view(np.int64), b.view(np.int64))


def check_index(key: Any, n: int) -> NDArray[Any]:
    """Read an integer array or a mask that indexes n samples."""
    array = np.asarray(key)
    if array.size == 0 and array.dtype != bool:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise IndexError(f"index samples with integers, booleans or slices: {key!r}")
    if array.dtype == bool and len(array) != n:
        raise IndexError(f"a mask of {len(array)} for {n} samples")
    return array
