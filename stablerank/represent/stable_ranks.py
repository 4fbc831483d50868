"""Stable ranks: how many bars are left when noise up to t is taken away.

The (p, q) stable rank of bars with lengths l_i is the step function

    sr(t) = least number of bars left after removing some, R, with
            2^(1/q - 1) (sum_{i in R} l_i^p)^(1/p) <= t,

and the shortest bars go first.  Its jumps are the tails v_1 >= v_2 >= ... of the
sorted lengths, and the sup distance of these is the interleaving distance d, the least
shift that brings either function below the other.  It is stable [R1]:

    d(sr, sr') <= W_{p,q}(D, D')    (for p = inf under every W_{p',q}).

Lengths may be measured with a contour; the right side then gains its constant [R2].
Bars that never die are never removed: they hold the function up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.diagrams import Diagrams
from stablerank.exceptions import InvalidInputError, NonFiniteError
from stablerank.represent.contour import Contour, ground_factor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["StableRanks", "StepFunction", "stable_rank"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepFunction:
    """A nonincreasing step function on t >= 0, continuous from the right.

    Parameters
    ----------
    jumps : array-like of shape (k,)
        Where it falls, ascending.
    values : array-like of shape (k + 1,)
        Before the first jump, and from each jump on.

    Examples
    --------
    >>> f = StepFunction([1.0, 2.0], [3.0, 1.0, 0.0])
    >>> f([0.5, 1.0, 9.0])
    array([3., 1., 0.])
    """

    jumps: Array
    values: Array

    def __post_init__(self) -> None:
        jumps, values = (np.array(x, np.float64) for x in (self.jumps, self.values))
        if jumps.ndim != 1 or values.shape != (len(jumps) + 1,):
            raise InvalidInputError(
                f"{len(values)} values for {len(jumps)} jumps; there is one more value"
            )
        if (np.diff(jumps) < 0).any() or (np.diff(values) > 0).any():
            raise InvalidInputError("jumps must ascend and values not increase")
        for name, array in (("jumps", jumps), ("values", values)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __call__(self, t: ArrayLike) -> Array:
        """Values at points t, in their shape."""
        points = _points(t)
        return self.values[np.searchsorted(self.jumps, points, side="right")]

    def reach(self, level: ArrayLike) -> Array:
        """First t at which the function is at most `level`; inf where it never is.

        Examples
        --------
        >>> StepFunction([1.0, 2.0], [3.0, 1.0, 0.0]).reach([3, 2, 0])
        array([0., 1., 2.])
        """
        starts = np.concatenate([[0.0], self.jumps, [np.inf]])
        # Values fall, so that their negatives ascend as searchsorted wants.
        first = np.searchsorted(-self.values, -np.asarray(level, np.float64))
        return np.asarray(starts[first])

    def distance(self, other: StepFunction) -> float:
        """Interleaving distance: the least shift that brings either below the other.

        Examples
        --------
        >>> f = StepFunction([1.0], [1.0, 0.0])
        >>> f.distance(StepFunction([3.0], [1.0, 0.0]))
        2.0
        """
        levels = np.concatenate([self.values, other.values])
        return _largest_gap(self.reach(levels), other.reach(levels))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the function; returns the axes."""
        return _draw([self], ax, "Bars left after removing noise up to t")


def _points(t: ArrayLike) -> Array:
    points = np.asarray(t, np.float64)
    if np.isnan(points).any():
        raise NonFiniteError("t holds NaN; a stable rank has no value there")
    return points


def _largest_gap(a: Array, b: Array) -> float:
    """Sup distance, where two infinities agree."""
    with np.errstate(invalid="ignore"):
        gaps = np.where(a == b, 0.0, np.abs(a - b))
    return float(gaps.max(initial=0.0))


class StableRanks(Sequence[StepFunction]):
    """Stable ranks of many samples; made by `stable_rank`.

    Parameters
    ----------
    tails : sequence of ndarray
        Jumps of each sample, descending: the inverse stable rank.
    essential : sequence of int
        Number of bars of each sample that never die.
    name : str
        Of the channel, for figures.
    """

    def __init__(
        self, tails: Sequence[Array], essential: Sequence[int], name: str = ""
    ) -> None:
        self.tails, self.essential, self.name = list(tails), list(essential), name

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.tails)

    def __getitem__(self, key: Any) -> Any:
        """Return one `StepFunction` for an integer, else the chosen `StableRanks`."""
        if isinstance(key, (int, np.integer)):
            tails, essential = self.tails[key], self.essential[key]
            left = np.arange(len(tails), -1, -1.0) + essential
            return StepFunction(tails[::-1], left)
        chosen = np.arange(len(self))[key].tolist()
        return StableRanks(
            [self.tails[i] for i in chosen],
            [self.essential[i] for i in chosen],
            self.name,
        )

    def __iter__(self) -> Iterator[StepFunction]:
        """Iterate over the samples."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        of = f" of {self.name}" if self.name else ""
        return f"StableRanks({len(self)} samples{of})"

    def __call__(self, t: ArrayLike) -> Array:
        """Number of bars left at each t.

        Parameters
        ----------
        t : array-like of shape (m,)
            In the units of the diagrams.

        Returns
        -------
        ndarray of shape (n_samples, m)
        """
        points = np.atleast_1d(_points(t))
        rows = [function(points) for function in self]
        return np.array(rows).reshape(len(self), len(points))

    def vectors(self, n_entries: int | None = None) -> Array:
        """Inverse stable ranks: the jumps, descending and zero padded.

        Parameters
        ----------
        n_entries : int, optional
            Entries kept, the largest; by default all of the longest sample.

        Returns
        -------
        ndarray of shape (n_samples, n_entries)
            Bars that never die come first, as inf.
        """
        counts = [len(v) + e for v, e in zip(self.tails, self.essential, strict=True)]
        width = max(counts, default=0) if n_entries is None else n_entries
        table = np.zeros((len(self), width))
        for row, own, essential in zip(table, self.tails, self.essential, strict=True):
            row[:essential] = np.inf
            rest = row[essential:]
            rest[: len(own)] = own[: len(rest)]
        return table

    def distances(self, other: StableRanks | None = None) -> Array:
        """Interleaving distances to all samples of `other` (by default: of these).

        Returns
        -------
        ndarray of shape (n_samples, n_other)
            inf between samples with different numbers of bars that never die.

        Examples
        --------
        >>> dgms = Diagrams.from_list([[[(0.0, 1.0)]], [[(0.0, 3.0)]], [[]]])
        >>> stable_rank(dgms, "H0").distances()
        array([[0., 2., 1.],
               [2., 0., 3.],
               [1., 3., 0.]])
        """
        columns = self if other is None else other
        width = max(ranks.vectors().shape[1] for ranks in (self, columns))
        a, b = self.vectors(width), columns.vectors(width)
        table = np.array([[_largest_gap(x, y) for y in b] for x in a])
        return table.reshape(len(self), len(columns))

    def mean(self) -> StepFunction:
        """Average of the step functions, over the samples.

        Examples
        --------
        >>> dgms = Diagrams.from_list([[[(0.0, 1.0)]], [[(0.0, 3.0)]]])
        >>> stable_rank(dgms, "H0").mean().values
        array([1. , 0.5, 0. ])
        """
        if not len(self):
            raise InvalidInputError("the average of no stable ranks; give a sample")
        jumps = np.sort(np.concatenate([np.empty(0), *self.tails]))
        total = len(jumps) + sum(self.essential)
        return StepFunction(jumps, (total - np.arange(len(jumps) + 1)) / len(self))

    def plot(self, ax: Axes | None = None, max_samples: int = 30) -> Axes:
        """Draw the first samples in one figure; returns the axes."""
        title = (
            f"Bars of {self.name or 'one channel'} left after removing noise up to t"
        )
        return _draw(list(self[:max_samples]), ax, title)


def stable_rank(
    diagrams: Diagrams,
    channel: str | int,
    p: float = math.inf,
    q: float = 1,
    contour: Contour | None = None,
) -> StableRanks:
    """Stable ranks of one channel of every sample.

    Parameters
    ----------
    diagrams : Diagrams
        Also diagrams that no model was trained on.
    channel : str or int
        Name or homology degree.
    p : float
        Order of the norm that measures the removed bars together, 1 <= p <= inf.
    q : float
        Ground norm: one bar of length l costs 2^(1/q - 1) l.
    contour : Contour, optional
        How lengths are measured; by default l = death - birth.

    Returns
    -------
    StableRanks
        1-Lipschitz from W_{p,q} to the interleaving distance, times the constant of
        the contour's density.

    Examples
    --------
    >>> dgms = Diagrams.from_list([[[(0.0, 1.0), (0.0, 2.0), (0.0, 2.0)]]])
    >>> stable_rank(dgms, "H0")([0.0, 1.0, 2.0])
    array([[3., 2., 0.]])
    >>> stable_rank(dgms, "H0", p=1)([0.0, 1.0, 3.0, 5.0])
    array([[3., 2., 1., 0.]])
    """
    if not p >= 1:
        raise InvalidInputError(f"p must be a number >= 1 or math.inf, got {p!r}")
    own = diagrams.select([channel])
    bars = own.bars
    lengths = bars[:, 1] - bars[:, 0] if contour is None else contour.lengths(bars)
    # One bar is as far from the diagonal as 2^(1/q - 1) = 1 / K_q times its length.
    parts = np.split(lengths / ground_factor(q), np.cumsum(own.counts[:, 0])[:-1])
    essential = np.diff(own.essential_offsets, axis=1)[:, 0]
    tails = [_tails(part, p) for part in parts[: len(own)]]
    return StableRanks(tails, essential.tolist(), own.channels[0])


def _tails(lengths: Array, p: float) -> Array:
    """p-norms of all bars, of all but the longest, and so on; descending."""
    ascending = np.sort(lengths)
    if math.isinf(p) or not len(lengths) or ascending[-1] == 0:
        return ascending[::-1]
    # Powers of the ratio to the longest bar stay in the range of floats.
    sums = np.cumsum((ascending / ascending[-1]) ** p)
    return np.asarray(ascending[-1] * sums ** (1 / p))[::-1]


def _draw(functions: list[StepFunction], ax: Axes | None, title: str) -> Axes:
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
    ends = [f.jumps[-1] for f in functions if len(f.jumps)]
    end = 1.05 * max(ends, default=1.0) or 1.0
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, max(1, len(functions))))
    for function, colour in zip(functions, colours, strict=False):
        edges = np.concatenate([[0.0], function.jumps, [end]])
        ax.stairs(function.values, edges, color=colour, linewidth=1.2, baseline=None)
    ax.set_title(title)
    ax.set_xlabel("t, in the units of the filtration")
    ax.set_ylabel("bars left")
    ax.set_ylim(bottom=0)
    return ax
