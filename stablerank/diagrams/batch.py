"""A batch of persistence diagrams: ragged, packed, immutable.

All finite bars of all samples stand in one contiguous `(N, 2)` array; row i of
`offsets` says where the channels of sample i begin and end.  So slicing and
indexing touch offsets only (views), and a representation runs over the whole
buffer without a Python loop over samples.  Essential classes have no death, and
whatever number would be put in its place would break stability [R9]: their births
live in a second buffer that bar functions never see.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.diagrams.channels import Channels
from stablerank.diagrams.files import read_diagrams, write_diagrams
from stablerank.diagrams.packing import (
    Bars,
    Offsets,
    Ragged,
    check_index,
    equal_bits,
    read_only,
    stack_critical,
    table_of,
)
from stablerank.diagrams.reading import check_buffers, read_samples
from stablerank.diagrams.single import Diagram
from stablerank.diagrams.source import Source
from stablerank.diagrams.tensors import PackedBars, pack_tensors
from stablerank.exceptions import DiagramFormatError, IncompatibleDiagramsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diagrams"]


class Diagrams:
    """Persistence diagrams of many samples, by named channels.

    Usually made by an extractor, or from arrays with `Diagrams.from_list`.

    Parameters
    ----------
    bars : ndarray of shape (n_bars, 2)
        Finite bars of all samples. Not copied: leave the array alone afterwards.
    offsets : ndarray of shape (n_samples, n_channels + 1)
        Bars of channel c of sample i: rows `offsets[i, c]` to `offsets[i, c + 1]`.
    channels : sequence of str
        Names, such as "H1" or "C-N/H0".
    degrees : sequence of int
        Homology degree of each channel.
    essential : ndarray of shape (n_essential,)
        Births of bars that never die.
    essential_offsets : ndarray of shape (n_samples, n_channels + 1)
        The same for `essential`.
    convention : str or sequence of str
        What the numbers are: "radius", "edge length", "value"; by channel if several.
    unit : str or None, or sequence of these
        Physical unit of the numbers.
    error : ndarray of shape (n_samples, n_channels)
        How far the engine's bars may be from the exact ones, in sup norm.
    source : Source, optional
        Extractor spec and geometry; without it only threats on diagrams certify.
    critical : ndarray of shape (n_bars, 2, width), optional
        For each end of each bar the vertices that set it, padded with -1.

    Examples
    --------
    >>> dgms = Diagrams.from_list([[[(0.0, 1.0)], [(0.5, 0.75)]], [[(0.0, 2.0)], []]])
    >>> dgms
    Diagrams(2 samples, channels H0 (2 bars), H1 (1 bars), convention 'value')
    >>> dgms[0]["H1"], dgms[1:].shape
    (array([[0.5 , 0.75]]), (1,))
    """

    __slots__ = ("_channels", "_critical", "_error", "_essential", "_finite", "_source")

    def __init__(
        self,
        bars: ArrayLike,
        offsets: ArrayLike,
        channels: Sequence[str],
        degrees: Sequence[int],
        *,
        essential: ArrayLike | None = None,
        essential_offsets: ArrayLike | None = None,
        convention: str | Sequence[str] = "value",
        unit: str | Sequence[str | None] | None = None,
        error: ArrayLike = 0.0,
        source: Source | None = None,
        critical: ArrayLike | None = None,
    ) -> None:
        self._channels = Channels.of(channels, degrees, convention, unit)
        self._finite = Ragged(np.asarray(bars), np.asarray(offsets))
        shape = (len(self), len(self._channels))
        if (essential is None) != (essential_offsets is None):
            raise DiagramFormatError("give essential and essential_offsets together")
        if essential is None or essential_offsets is None:
            essential, essential_offsets = [], np.zeros((shape[0], shape[1] + 1))
        self._essential = Ragged(np.asarray(essential), np.asarray(essential_offsets))
        self._error = table_of(error, shape, "error")
        self._source = source
        self._critical = None if critical is None else read_only(critical, np.int64)
        check_buffers(self._finite, self._essential, self._error, self._critical)

    # --- construction ---------------------------------------------------------

    @classmethod
    def from_list(
        cls,
        samples: Sequence[Any],
        channels: Sequence[str] | None = None,
        degrees: Sequence[int] | None = None,
        **properties: Any,
    ) -> Diagrams:
        """Pack diagrams given as one list (or mapping) of arrays a sample.

        Parameters
        ----------
        samples : sequence
            One entry a sample: a sequence with an `(m, 2)` array per channel, or a
            mapping from channel name to such an array. A death of `inf` makes a bar
            essential.
        channels : sequence of str, optional
            Names; by default "H0", "H1", ..., or the keys of the first mapping.
        degrees : sequence of int, optional
            Homology degrees; by default read from names that end in "H<k>", else
            the position.
        **properties
            `convention`, `unit`, `error`, `source` as in `Diagrams`.

        Examples
        --------
        >>> Diagrams.from_list([{"H1": [(0.0, 1.0)]}])[0][1]
        array([[0., 1.]])
        """
        if isinstance(samples, (Mapping, str)) or not isinstance(samples, Iterable):
            raise DiagramFormatError(
                f"diagrams is a {type(samples).__name__}; expected a list with one "
                "entry a sample: for a single sample pass [sample]"
            )
        return cls(**read_samples(list(samples), channels, degrees), **properties)

    @staticmethod
    def concat(batches: Sequence[Diagrams]) -> Diagrams:
        """Join batches of the same channels, one after the other.

        Examples
        --------
        >>> one = Diagrams.from_list([[[(0.0, 1.0)]]])
        >>> len(Diagrams.concat([one, one]))
        2
        """
        batches = [batch.compact() for batch in batches]
        if not batches:
            raise DiagramFormatError("concat needs at least one batch of diagrams")
        for batch in batches[1:]:
            batches[0].check_like(batch)
        return batches[0]._with(
            _finite=Ragged.concat([b._finite for b in batches]),
            _essential=Ragged.concat([b._essential for b in batches]),
            _error=np.concatenate([b._error for b in batches]),
            _source=Source.concat([b._source for b in batches]),
            _critical=stack_critical([b._critical for b in batches]),
        )

    def _with(self, **changes: Any) -> Diagrams:
        """Return a copy that shares what does not change; nothing is checked again."""
        other = object.__new__(Diagrams)
        other.__setstate__({k: getattr(self, k) for k in self.__slots__} | changes)
        return other

    # --- what it is -------------------------------------------------------------

    @property
    def bars(self) -> Bars:
        """Finite bars, shape (n_bars, 2); of a view: the whole underlying buffer."""
        return self._finite.values

    @property
    def offsets(self) -> Offsets:
        """Rows of `bars` by sample and channel, shape (n_samples, n_channels + 1)."""
        return self._finite.offsets

    @property
    def essential(self) -> NDArray[np.float64]:
        """Births of the bars that never die."""
        return self._essential.values

    @property
    def essential_offsets(self) -> Offsets:
        """Rows of `essential`, shape (n_samples, n_channels + 1)."""
        return self._essential.offsets

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self._channels.names

    @property
    def degrees(self) -> tuple[int, ...]:
        """Homology degree of each channel."""
        return self._channels.degrees

    @property
    def convention(self) -> str | dict[str, str]:
        """What the numbers are; by channel where channels differ."""
        return self._channels.shared(self._channels.conventions)

    @property
    def unit(self) -> str | dict[str, str | None] | None:
        """Physical unit of the numbers; by channel where channels differ."""
        return self._channels.shared(self._channels.units)

    @property
    def conventions(self) -> tuple[str, ...]:
        """What the numbers of each channel are."""
        return self._channels.conventions

    @property
    def units(self) -> tuple[str | None, ...]:
        """Physical unit of each channel."""
        return self._channels.units

    @property
    def error(self) -> NDArray[np.float64]:
        """Engine error in sup norm, shape (n_samples, n_channels)."""
        return self._error

    @property
    def source(self) -> Source | None:
        """Where the diagrams come from, if it is known."""
        return self._source

    @property
    def critical(self) -> NDArray[np.int64] | None:
        """Vertices that set each end of each bar, shape (n_bars, 2, width)."""
        return self._critical

    @property
    def shape(self) -> tuple[int]:
        """`(n_samples,)`, as scikit-learn expects."""
        return (len(self),)

    @property
    def counts(self) -> Offsets:
        """Number of finite bars, shape (n_samples, n_channels)."""
        return self._finite.counts

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._finite.offsets)

    def __iter__(self) -> Iterator[Diagram]:
        """Iterate over the samples."""
        return (self._sample(i) for i in range(len(self)))

    def __repr__(self) -> str:
        totals = self.counts.sum(axis=0)
        names = ", ".join(
            f"{name} ({n} bars)" for name, n in zip(self.channels, totals, strict=True)
        )
        return (
            f"Diagrams({len(self)} samples, channels {names}, "
            f"convention {self.convention!r})"
        )

    # --- access -----------------------------------------------------------------

    def _sample(self, i: int) -> Diagram:
        arrays = []
        for c in range(len(self._channels)):
            bars, births = self._finite.rows(i, c), self._essential.rows(i, c)
            if len(births):
                alive = np.stack([births, np.full_like(births, np.inf)], axis=1)
                bars = read_only(np.concatenate([bars, alive]))
            arrays.append(bars)
        return Diagram(
            self.channels, self.degrees, tuple(arrays), self.conventions, self.units
        )

    def __getitem__(self, key: Any) -> Any:
        """Return one `Diagram` for an integer, else the chosen `Diagrams`."""
        if isinstance(key, tuple):  # scikit-learn indexes samples as (key, ...)
            if len(key) != 2 or key[1] is not Ellipsis:
                raise IndexError("diagrams have one axis, the samples")
            key = key[0]
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            index = int(key)
            if not -len(self) <= index < len(self):
                raise IndexError(f"sample {index} of {len(self)}")
            return self._sample(index % len(self))
        if not isinstance(key, slice):
            key = check_index(key, len(self))
        return self._with(
            _finite=self._finite[key],
            _essential=self._essential[key],
            _error=self._error[key],
            _source=None if self._source is None else self._source[key],
        )

    def select(self, channels: Sequence[str | int], prefix: str = "") -> Diagrams:
        """Return the given channels only (copies their bars).

        Parameters
        ----------
        channels : sequence of str or int
            Names or degrees.
        prefix : str
            Removed from the names, for a part of a union.

        Examples
        --------
        >>> Diagrams.from_list([[[(0.0, 1.0)], [(1.0, 2.0)]]]).select(["H1"]).bars
        array([[1., 2.]])
        """
        index = [self._channels.index(c) for c in channels]
        finite, rows = self._finite.select(index)
        return self._with(
            _channels=self._channels.select(index, prefix),
            _finite=finite,
            _essential=self._essential.select(index)[0],
            _error=self._error[:, index],
            _critical=None if self._critical is None else self._critical[rows],
        )

    def compact(self) -> Diagrams:
        """Return the same diagrams with buffers that hold nothing else.

        Examples
        --------
        >>> dgms = Diagrams.from_list([[[(0.0, 1.0)]], [[(0.0, 2.0)]]])
        >>> dgms[1:].compact().bars
        array([[0., 2.]])
        """
        if self._finite.is_compact and self._essential.is_compact:
            return self
        return self.select(self.channels)

    def without_source(self) -> Diagrams:
        """Return the same bars with their origin forgotten."""
        return self._with(_source=None)

    def with_weights(self, threat: Any, inputs: Sequence[Any]) -> Diagrams:
        """Note the two largest point weights of every input, for a weighted threat.

        Parameters
        ----------
        threat : Displacement
            With `weights`.
        inputs : sequence of length n_samples
            The samples, which carry the weights.
        """
        if self._source is None:
            raise IncompatibleDiagramsError(
                "diagrams without a source take no weights; extract them again"
            )
        if len(inputs) != len(self):
            raise IncompatibleDiagramsError(
                f"{len(inputs)} inputs for {len(self)} diagrams; give the samples that "
                "these diagrams came from"
            )
        top_two = Source.two_largest_weights(threat, inputs)
        return self._with(_source=self._source.with_weights(str(threat), top_two))

    def check_like(self, other: Diagrams) -> None:
        """Raise unless `other` has the same channels, conventions and units."""
        self._channels.check_like(other._channels)

    def identical(self, other: Diagrams) -> bool:
        """Whether two batches hold the same bits (source and critical aside).

        Examples
        --------
        >>> dgms = Diagrams.from_list([[[(0.0, 1.0)]]])
        >>> dgms.identical(dgms[:])
        True
        """
        a, b = self.compact(), other.compact()
        return (
            a._channels == b._channels
            and a._finite.same_bits(b._finite)
            and a._essential.same_bits(b._essential)
            and equal_bits(a._error, b._error)
        )

    # --- other forms --------------------------------------------------------------

    def to_list(self) -> list[dict[str, Bars]]:
        """Return one mapping a sample from channel to `(m, 2)` array."""
        return [dict(zip(d.channels, d.arrays, strict=True)) for d in self]

    def to_torch(self, device: Any = None, dtype: Any = None) -> PackedBars:
        """Return the packed buffers as torch tensors (float64 unless told).

        Examples
        --------
        >>> Diagrams.from_list([[[(0.0, 1.0)]]]).to_torch().bars.shape
        torch.Size([1, 2])
        """
        return pack_tensors(self.compact(), device, dtype)

    def plot(self, ax: Axes | None = None, max_samples: int = 6) -> Any:
        """Draw the first samples side by side; returns the figure's axes."""
        from stablerank.plotting import plot_diagrams

        return plot_diagrams(self, ax=ax, max_samples=max_samples)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one `.npz` file (arrays and JSON; no pickle), all or nothing."""
        write_diagrams(path, self.compact())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Diagrams:
        """Read what `save` wrote.

        Raises
        ------
        FileFormatError
            If the file is not one of ours, or is damaged.
        """
        return read_diagrams(path, cls)

    def __getstate__(self) -> dict[str, Any]:
        own = self.compact()
        return {name: getattr(own, name) for name in self.__slots__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            setattr(self, name, value)
