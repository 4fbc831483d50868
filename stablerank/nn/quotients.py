"""Weights divided by their length: always, or only where it exceeds 1.

`kind="normalised"` keeps the length at 1, so one direction is never shortened;
`kind="projected"` lets a weight be small.
"""

from __future__ import annotations

from stablerank.exceptions import InvalidInputError

__all__ = ["KINDS", "check_kind", "least_divisor"]

KINDS = ("normalised", "projected")
#: A weight of zeros has no direction; this keeps its quotient finite.
_TINY = 1e-30


def check_kind(kind: str, kinds: tuple[str, ...] = KINDS) -> None:
    """Raise unless `kind` is one of `kinds`."""
    if kind not in kinds:
        raise InvalidInputError(
            f"kind is {' or '.join(map(repr, kinds))}, not {kind!r}"
        )


def least_divisor(kind: str) -> float:
    """Least number that a weight is divided by: its length, if that is larger.

    Examples
    --------
    >>> least_divisor("normalised"), least_divisor("projected")
    (1e-30, 1.0)
    """
    return _TINY if kind == "normalised" else 1.0
