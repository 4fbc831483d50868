"""The frozen domain of bars: how far beyond the training data a model goes.

A rounding error can be bounded only where sizes are.  So a frozen program clips both
ends of every bar to a domain [X18 on both sides, constant 1] and refuses diagrams with
more bars, or a larger engine error, than its limits.  The limits here are generous:
whatever lies outside is no longer the data that the model was trained for.
"""

from __future__ import annotations

from collections.abc import Collection

from stablerank.diagrams import Diagrams
from stablerank.frozen import BarInput

__all__ = ["bar_inputs"]

#: Numbers of these conventions are distances, which start at 0.
_FROM_ZERO = ("radius", "edge length")
_MIN_MAX_BARS = 4096
_HEADROOM = 16


def bar_inputs(diagrams: Diagrams, pinned: Collection[str] = ()) -> list[BarInput]:
    """One input a channel: the training range extended by its span on both sides.

    Parameters
    ----------
    diagrams : Diagrams
        Training diagrams.
    pinned : collection of str
        Channels whose bars are all born at 0.

    Returns
    -------
    list of BarInput
        With `max_bars` and `max_error` at 16 times the training maximum (at least
        4096 bars; an error of 0 stays 0).

    Examples
    --------
    >>> dgms = Diagrams.from_list([[[(1.0, 2.0)]]])
    >>> (domain,) = bar_inputs(dgms)
    >>> domain.low, domain.high, domain.max_bars
    (0.0, 3.0, 4096)
    """
    inputs = []
    for channel in diagrams.channels:
        own = diagrams.select([channel])
        bars = own.bars
        low, high = (bars.min(), bars.max()) if bars.size else (0.0, 0.0)
        span = high - low
        (degree,), (convention,), (unit,) = own.degrees, own.conventions, own.units
        from_zero = low >= 0 and (channel in pinned or convention in _FROM_ZERO)
        inputs.append(
            BarInput(
                channel,
                degree,
                convention,
                unit,
                low=0.0 if from_zero else float(low - span),
                high=float(high + span),
                max_bars=max(_MIN_MAX_BARS, _HEADROOM * int(own.counts.max(initial=0))),
                max_error=_HEADROOM * float(own.error.max(initial=0.0)),
                pinned=channel in pinned,
            )
        )
    return inputs
