"""What an attack has shown: the label has changed, and the move fits, exactly.

A flip counts only if the size of its move, in rational numbers, is at most the radius.
One that is a rounding too long is pulled inside and asked again; if it still flips, it
counts, otherwise it is rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stablerank.attack.claim import Claim
from stablerank.attack.exact import is_within

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """How many moves were tried, which of them succeeded, and what did not count.

    Parameters
    ----------
    tried : int
        Moved samples that the model was asked about.
    hits : tuple of (row, moved sample)
        Another label, within the radius.
    rejected : int
        Another label, but farther away than the radius, in exact arithmetic.
    """

    tried: int = 0
    hits: tuple[tuple[int, Any], ...] = field(default=(), repr=False)
    rejected: int = 0

    @property
    def succeeded(self) -> int:
        """Number of hits."""
        return len(self.hits)

    @property
    def rows(self) -> set[int]:
        """Samples with a hit."""
        return {row for row, _ in self.hits}

    def __add__(self, other: Verdict) -> Verdict:
        """Count both."""
        return Verdict(
            self.tried + other.tried,
            self.hits + other.hits,
            self.rejected + other.rejected,
        )


def judge(claim: Claim, moved: Sequence[Any]) -> Verdict:
    """Ask the model about moved samples, and decide which changes of label count.

    Parameters
    ----------
    claim : Claim
        What is attacked.
    moved : sequence, as long as the claim
        Where each sample was moved.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> from stablerank import FeatureBall
    >>> sign = lambda rows: (np.asarray(rows)[:, 0] > 0).astype(int)
    >>> rows, labels, radii = np.ones((2, 1)), np.ones(2), np.array([1.0, 0.5])
    >>> claim = Claim(None, FeatureBall(), rows, labels, radii, sign)
    >>> verdict = judge(claim, [np.array([0.0]), np.array([-1.0])])
    >>> verdict.tried, verdict.succeeded, verdict.rejected
    (2, 1, 1)
    """
    if not len(moved):
        return Verdict()
    threat, hits, rejected = claim.threat, [], 0
    for i in np.flatnonzero(claim.said(moved) != claim.label).tolist():
        x, r, candidate = claim.samples[i], float(claim.radius[i]), moved[i]
        if not is_within(threat, x, candidate, r):
            candidate = threat.project(x, candidate, r)
            flips = claim.said([candidate])[0] != claim.label[i]
            if not (flips and is_within(threat, x, candidate, r)):
                rejected += 1
                continue
        hits.append((i, candidate))
    return Verdict(len(moved), tuple(hits), rejected)
