"""The fixed bank: 1-Lipschitz functions of bars, read at a few ranks.

    |v_k(D) - v_k(D')| <= d_B(D, D')          half-lives and tents      [R3]
    |m_k - m_k'| <= sup |M - M'|              deaths of pinned H0       [H1]

The half-life (d - b) / 2 sees how long bars are, the tent min(t - b, d - t)+ which
bars are alive at t: together the bank holds persistence landscapes at the levels t.
Half-lives may also be seen through a window, min((d - b) / 2, g - |b - t|)+ of births
or the same of deaths; beside tents they brought nothing on orbits, so no design asks
for them.  Neighbouring ranks say nearly the same, so ranks are spaced geometrically.
Levels and ranks are quantiles of the training data and nothing else: the bank of data
in metres is the bank of the same data in millimetres, scaled.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.diagrams import Diagrams
from stablerank.exceptions import FileFormatError, InvalidInputError
from stablerank.frozen import BarFunctions, BarInput, Concat, Deaths, Operation, SortTop

__all__ = [
    "Block",
    "FixedBank",
    "design_bank",
    "geometric_ranks",
    "levels_of",
    "usual_count",
]

Array = NDArray[np.float64]

#: "small", "default", "large": how many ranks and levels, relative to the default.
_SIZES = {"small": 0.5, "default": 1.0, "large": 2.0}
_WITH_LEVELS = ("tent", "born", "died")
#: Deaths of pinned H0: ranks spaced geometrically, and evenly.
_DEATH_RANKS = (60, 100)
#: Channels with this many bars are read more finely.
_MANY_BARS = 300
#: How far levels lean from quantiles to an even grid, and the tails that it leaves out.
_EVEN, _TAIL = 1 / 3, 0.002
#: Quantiles are as good from this many bars as from all.
_ENOUGH_BARS = 400_000


@dataclass(frozen=True)
class _Plan:
    """How finely a channel is read."""

    half_ranks: int
    half_top: int
    levels: int
    tent_ranks: int
    tent_top: int


_FINE = _Plan(half_ranks=60, half_top=700, levels=28, tent_ranks=14, tent_top=150)
_COARSE = _Plan(half_ranks=16, half_top=150, levels=12, tent_ranks=9, tent_top=150)


def geometric_ranks(count: int, top: int) -> tuple[int, ...]:
    """About `count` of the ranks 0 to top - 1, spaced geometrically.

    Examples
    --------
    >>> geometric_ranks(6, 100)
    (0, 2, 5, 15, 39, 99)
    >>> geometric_ranks(6, 3)
    (0, 1, 2)
    """
    if count < 1 or top < 1:
        raise InvalidInputError(f"{count} ranks of the top {top}; both must be >= 1")
    if count >= top:
        return tuple(range(top))
    # The first ranks coincide once rounded: space more finely until enough are left.
    for steps in range(count, 64 * count):
        ranks = np.unique(np.rint(np.geomspace(1, top, steps)).astype(np.int64)) - 1
        if len(ranks) >= count:
            break
    return tuple(ranks.tolist())


@dataclass(frozen=True)
class Block:
    """One kind of bar function of one channel, read at some ranks.

    Parameters
    ----------
    channel : str
        Name in the diagrams.
    function : str
        "death", "half" (the half-life), "tent", or a half-life seen through a window:
        "born" (of births) or "died" (of deaths).
    ranks : tuple of int
        Ascending, from 0 (the largest value).
    levels : tuple of float
        Of tents and the middles of windows, in the units of the diagrams.
    width : float
        Of windows, from the middle to the end.
    slope : float
        Of tents: flat ones cost little beside other functions in l_2.
    """

    channel: str
    function: str
    ranks: tuple[int, ...]
    levels: tuple[float, ...] = ()
    width: float = 0.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        if self.function not in ("death", "half", *_WITH_LEVELS):
            raise InvalidInputError(f"no bar function {self.function!r} in the bank")
        if (self.function in _WITH_LEVELS) != bool(self.levels) or not self.ranks:
            raise InvalidInputError(
                "a block needs ranks; tents and windows also need levels"
            )
        if (self.function in ("born", "died")) != (self.width > 0):
            raise InvalidInputError(f"windows need a width > 0, got {self.width}")
        if not (self.slope == 1 or (self.function == "tent" and 0 < self.slope < 1)):
            raise InvalidInputError(
                f"slopes are 1, those of tents also less, got {self.slope}"
            )

    @property
    def forms(self) -> Array:
        """Affine forms (a, c, e) of each function, shape (n_functions, n_forms, 3)."""
        half, g = [-0.5, 0.5, 0.0], self.width
        if self.function == "half":
            return np.array([[half]])
        if self.function == "tent":
            s = self.slope
            return np.array([[[-s, 0.0, s * t], [0.0, s, -s * t]] for t in self.levels])
        b, d = (1.0, 0.0) if self.function == "born" else (0.0, 1.0)
        return np.array([[half, [-b, -d, g + t], [b, d, g - t]] for t in self.levels])

    @property
    def names(self) -> list[str]:
        """Names of the functions."""
        if not self.levels:
            return [self.function]
        return [f"{self.function}{i:02d}" for i in range(len(self.levels))]

    def operations(
        self, source: int, target: int, norm: float = math.inf
    ) -> tuple[Operation, Operation]:
        """Operations that read register `source` and write `target`, `target + 1`."""
        ranks = SortTop((target,), np.array(self.ranks, np.int64), norm)
        if self.function == "death":
            return Deaths((source,)), ranks
        return BarFunctions((source,), self.forms), ranks


@dataclass(frozen=True)
class FixedBank:
    """Functions and ranks of every channel; made by `design_bank`.

    Parameters
    ----------
    blocks : tuple of Block
        In the order of the features.
    norm : float
        In which the features are bounded: inf, one by one, or 2, all together.
    """

    blocks: tuple[Block, ...]
    norm: float = math.inf

    def __post_init__(self) -> None:
        if self.norm not in (2, math.inf):
            raise InvalidInputError(f"the norm must be 2 or inf, got {self.norm}")
        if not self.blocks:
            raise InvalidInputError("a bank needs at least one block")

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels that are read, in the order of the registers."""
        return tuple(dict.fromkeys(block.channel for block in self.blocks))

    @property
    def n_features(self) -> int:
        """Length of the feature vector."""
        return sum(len(b.names) * len(b.ranks) for b in self.blocks)

    def feature_names(self) -> list[str]:
        """Names such as "H1/tent03/rank012", one a feature."""
        return [
            f"{block.channel}/{name}/rank{rank:03d}"
            for block in self.blocks
            for name in block.names
            for rank in block.ranks
        ]

    def operations(self, inputs: Sequence[BarInput]) -> tuple[Operation, ...]:
        """Operations of a `Program` with these inputs; the last one joins all.

        Parameters
        ----------
        inputs : sequence of BarInput
            One for each of `channels`, in that order.
        """
        names = tuple(i.channel for i in inputs)
        if names != self.channels:
            raise InvalidInputError(f"inputs {names}, the bank reads {self.channels}")
        operations: list[Operation] = []
        vectors = []
        for block in self.blocks:
            target = len(inputs) + len(operations)
            source = names.index(block.channel)
            operations += block.operations(source, target, self.norm)
            vectors.append(target + 1)
        return (*operations, Concat(tuple(vectors)))

    def to_json(self) -> dict[str, Any]:
        """JSON values.

        Examples
        --------
        >>> bank = FixedBank((Block("H1", "half", (0, 1)),))
        >>> FixedBank.from_json(bank.to_json()) == bank
        True
        """
        norm = "inf" if math.isinf(self.norm) else self.norm
        return {"norm": norm, "blocks": [asdict(block) for block in self.blocks]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> FixedBank:
        """Inverse of `to_json`."""
        try:
            blocks = []
            for entry in values["blocks"]:
                lists = {name: tuple(entry[name]) for name in ("ranks", "levels")}
                blocks.append(Block(**{**entry, **lists}))
            norm = float(values["norm"])
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"not a bank of bar functions: {error}") from error
        return cls(tuple(blocks), norm)


def design_bank(
    diagrams: Diagrams, pinned: Collection[str] = (), *, size: str = "default"
) -> FixedBank:
    """Choose functions and ranks from quantiles of training diagrams.

    Parameters
    ----------
    diagrams : Diagrams
        Training diagrams only; test diagrams must not decide anything.
    pinned : collection of str
        Channels whose bars are all born at 0 and whose sorted deaths have a theorem
        (H0 of a fixed vertex set): their deaths are read, with half the constant.
    size : str
        "small", "default" or "large".

    Returns
    -------
    FixedBank
        With at least one feature a channel, even where a channel is empty.

    Examples
    --------
    >>> dgms = Diagrams.from_list([[[(0.0, 1.0)], [(0.5, 0.75), (0.5, 1.5)]]])
    >>> design_bank(dgms, pinned=["H0"]).feature_names()
    ['H0/death/rank000', 'H1/half/rank000', 'H1/half/rank001', ...]
    """
    if size not in _SIZES:
        raise InvalidInputError(f"size must be one of {list(_SIZES)}, got {size!r}")
    unknown = set(pinned) - set(diagrams.channels)
    if unknown:
        raise InvalidInputError(
            f"pinned channels {sorted(unknown)}; there are {list(diagrams.channels)}"
        )
    blocks: list[Block] = []
    for channel in diagrams.channels:
        own = diagrams.select([channel])
        usual = usual_count(own)
        if channel in pinned:
            blocks.append(_deaths(channel, usual, _SIZES[size]))
        else:
            blocks += _functions(channel, own.bars, usual, _SIZES[size])
    return FixedBank(tuple(blocks))


def usual_count(channel: Diagrams) -> int:
    """Return a number of bars that most samples do not exceed, at least 1.

    Parameters
    ----------
    channel : Diagrams
        With one channel.
    """
    counts = channel.counts[:, 0]
    if not counts.size:
        return 1
    return max(1, int(np.quantile(counts, 0.9, method="higher")))


def _deaths(channel: str, usual: int, scale: float) -> Block:
    geometric, even = (round(scale * n) for n in _DEATH_RANKS)
    spread = np.rint(np.linspace(0, usual - 1, even)).astype(int).tolist()
    ranks = sorted({*geometric_ranks(geometric, usual), *spread})
    return Block(channel, "death", tuple(ranks))


def _functions(channel: str, bars: Array, usual: int, scale: float) -> list[Block]:
    plan = _FINE if usual >= _MANY_BARS else _COARSE
    ranks = geometric_ranks(round(scale * plan.half_ranks), min(usual, plan.half_top))
    blocks = [Block(channel, "half", ranks)]
    levels = levels_of(bars, round(scale * plan.levels))
    if levels:
        count = round(scale * plan.tent_ranks)
        ranks = geometric_ranks(count, min(usual, plan.tent_top))
        blocks.append(Block(channel, "tent", ranks, levels))
    return blocks


def levels_of(bars: Array, count: int) -> tuple[float, ...]:
    """Levels for tents, ascending: among the mid-points of bars, long ones first.

    Each is between a quantile of the mid-points, bars weighted by their length, and a
    point of an even grid over their range. Quantiles alone see the rare late features
    that certify large radii too seldom, a grid alone wastes levels on outliers.

    Parameters
    ----------
    bars : ndarray of shape (n_bars, 2)
        Of all training samples.
    count : int
        At most so many levels; none where no bar has a length.
    """
    bars = bars[:: -(-len(bars) // _ENOUGH_BARS) or 1]
    lengths = bars[:, 1] - bars[:, 0]
    bars, lengths = bars[lengths > 0], lengths[lengths > 0]
    if not len(bars):
        return ()
    order = np.argsort(bars.mean(axis=1))
    middles, share = bars.mean(axis=1)[order], np.cumsum(lengths[order])
    share /= share[-1]
    # The middle of each of `count` equal shares of the total length.
    quantiles = np.interp((np.arange(count) + 0.5) / count, share, middles)
    low, high = np.interp([_TAIL, 1 - _TAIL], share, middles)
    levels = (1 - _EVEN) * quantiles + _EVEN * np.linspace(low, high, count)
    return tuple(np.unique(levels).tolist())
