"""Weights divided by their length: always, or only where it exceeds 1.

`kind="normalised"` keeps the length at 1, so one direction is never shortened;
`kind="projected"` lets a weight be small.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stablerank.exceptions import InvalidInputError

__all__ = ["KINDS", "check_kind", "divided_rows", "least_divisor"]

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


def divided_rows(rows: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Rows of moderate size, and their l_2 lengths, such that v = row / length.

    Each row is first divided by its largest entry, if that is above the least divisor,
    without a gradient, because the quotient does not depend on it: then no square
    overflows, and none of a row that has a direction underflows.

    Parameters
    ----------
    rows : Tensor of shape (n, m)
        Rows v; m >= 1.
    kind : {"normalised", "projected"}
        Whether lengths below 1 count as 1.

    Returns
    -------
    tuple of Tensor, of shapes (n, m) and (n, 1)
        v / |v|_2, or v / max(1, |v|_2), are their quotients.

    Examples
    --------
    >>> rows, lengths = divided_rows(torch.tensor([[3e30, 4e30]]), "normalised")
    >>> rows / lengths
    tensor([[0.6000, 0.8000]])
    """
    least = least_divisor(kind)
    top = rows.detach().abs().amax(dim=1, keepdim=True).clamp_min(least)
    rows = rows / top
    return rows, torch.maximum(rows.norm(dim=1, keepdim=True), least / top)
