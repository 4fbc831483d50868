"""The diagram of one sample, as people look at it: arrays by degree or name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablerank.diagrams.channels import Channels
from stablerank.diagrams.packing import Bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diagram"]


@dataclass(frozen=True, eq=False)
class Diagram:
    """The persistence diagram of one sample.

    `diagram[k]` is the `(m, 2)` array of homology degree k or of channel k;
    essential bars come last, with death `inf`. The arrays are read-only.

    Examples
    --------
    >>> from stablerank.diagrams import Diagrams
    >>> diagram = Diagrams.from_list([[[(0.0, 1.0), (0.0, float("inf"))], []]])[0]
    >>> diagram[0]
    array([[ 0.,  1.],
           [ 0., inf]])
    >>> diagram["H1"].shape
    (0, 2)
    """

    channels: tuple[str, ...]
    degrees: tuple[int, ...]
    arrays: tuple[Bars, ...]
    conventions: tuple[str, ...]
    units: tuple[str | None, ...]

    def __getitem__(self, key: int | str) -> Bars:
        """Bars of a channel name or homology degree, shape (m, 2)."""
        known = Channels(self.channels, self.degrees, self.conventions, self.units)
        return self.arrays[known.index(key)]

    def __len__(self) -> int:
        """Return the number of channels."""
        return len(self.channels)

    def __iter__(self) -> Iterator[Bars]:
        """Iterate over the bars of each channel."""
        return iter(self.arrays)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw birth against death; returns the axes."""
        from stablerank.plotting import plot_diagram

        return plot_diagram(self, ax=ax)
