"""The bank in l_2: few functions, read at many ranks.

A theorem about all bars together bounds all ranks of a bar function at once,

    ||v(D) - v(D')||_2 <= Lip_q * W_{2,q}(D, D')                           [R3],

so further ranks cost nothing, and small changes of many bars add up: what the maximum
norm cannot see.  Further functions cost, though: F of them, sqrt(F) [R8].  So every
channel is read by one function, sorted deaths or half-lives, at all ranks; where bars
are born at any value, a few flat tents tell where they are, for little more.

A channel whose bars are bounded one by one (degree 1 under `Budget`) pays for ranks
instead, R of them sqrt(R) [C1]; there the longest two bars are read.  On shapes they
bring more than they cost, on orbits as much; eight cost more than they bring.
"""

from __future__ import annotations

from collections.abc import Collection

from stablerank.diagrams import Diagrams
from stablerank.exceptions import InvalidInputError
from stablerank.represent.bank import (
    Block,
    FixedBank,
    geometric_ranks,
    levels_of,
    usual_count,
)

__all__ = ["design_l2_bank"]

#: Ranks of a channel whose bars are bounded together, and of one bounded one by one.
_RANKS, _FEW = 400, 2
#: Levels of tents, and their slope: together they move half as far as one tent.
_LEVELS, _SLOPE = 4, 0.25


def design_l2_bank(
    diagrams: Diagrams, together: Collection[str], pinned: Collection[str] = ()
) -> FixedBank:
    """Choose functions and ranks for a model whose features move in l_2.

    Parameters
    ----------
    diagrams : Diagrams
        Training diagrams only; test diagrams must not decide anything.
    together : collection of str
        Channels with a theorem about all bars together, such as a bound of W_2.
    pinned : collection of str
        As in `design_bank`.

    Returns
    -------
    FixedBank
        Of norm 2, with at least one feature a channel.

    Examples
    --------
    >>> dgms = Diagrams.from_list([[[(0.0, 1.0)] * 3, [(0.5, 0.75)] * 9]])
    >>> bank = design_l2_bank(dgms, together=["H0"], pinned=["H0"])
    >>> bank.feature_names()[2:]
    ['H0/death/rank002', 'H1/half/rank000', 'H1/half/rank001']
    """
    unknown = {*together, *pinned} - set(diagrams.channels)
    if unknown:
        raise InvalidInputError(
            f"channels {sorted(unknown)}; there are {list(diagrams.channels)}"
        )
    blocks: list[Block] = []
    for channel in diagrams.channels:
        own = diagrams.select([channel])
        ranks = _ranks_of(usual_count(own), channel in together)
        if channel in pinned:
            blocks.append(Block(channel, "death", ranks))
            continue
        blocks.append(Block(channel, "half", ranks))
        levels = levels_of(own.bars, _LEVELS) if channel in together else ()
        if levels:
            blocks.append(Block(channel, "tent", ranks, levels, slope=_SLOPE))
    return FixedBank(tuple(blocks), norm=2)


def _ranks_of(usual: int, is_together: bool) -> tuple[int, ...]:
    if is_together:
        return geometric_ranks(_RANKS, usual)
    return tuple(range(min(_FEW, usual)))
