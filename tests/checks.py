"""Assertions about bounds, decided in rational numbers.

Floats are rationals, so `moved <= constant * size` has an exact answer; a tolerance
here would hide the very ulp that a certificate must not lose.  The distances below
are computed from the definition, as fractions, for diagrams of a few bars.
`tests/test_checks.py` shows that each check fails where it must.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Number = float | Fraction
Bars = NDArray[np.float64]  # (m, 2)


def assert_lipschitz(
    moved: Number,
    size: Number,
    constant: Number,
    *,
    offset: Number = 0,
    attains: float | None = None,
) -> None:
    """Assert moved <= constant * size + offset, in exact arithmetic.

    Parameters
    ----------
    moved : float or Fraction
        Distance of the outputs: its exact value or a lower bound of it.
    size : float or Fraction
        Distance of the inputs: its exact value or an upper bound of it.
    constant, offset : float or Fraction
        The theorem; the errors of both engine runs belong into the offset.
    attains : float, optional
        Share of `constant * size` that `moved` must reach, where the ledger says that
        the constant is sharp.
    """
    moved, size, constant, offset = map(_exact, (moved, size, constant, offset))
    allowed = constant * size + offset
    assert moved <= allowed, (
        f"moved by {float(moved)!r}, {float(moved - allowed):.3g} more than the "
        f"{float(allowed)!r} that constant {float(constant)!r} allows for a move of "
        f"{float(size)!r}"
    )
    if attains is not None:
        share = moved / (constant * size)
        assert share >= _exact(attains), (
            f"reached {float(share):.4f} of a constant that is said to be sharp"
        )


def assert_smallest_float_above(value: float, exact: Fraction) -> None:
    """Assert that no smaller float64 is at least `exact`."""
    assert above(value, exact), f"{value!r} is below {float(exact)!r}"
    before = math.nextafter(value, -math.inf)
    assert not above(before, exact), f"{before!r} is enough for {float(exact)!r}"


def assert_smallest_root_above(value: float, square: Fraction) -> None:
    """Assert that no smaller float64 is at least the square root of `square`."""
    assert above(value, square, power=2)
    before = math.nextafter(value, -math.inf)
    assert before < 0 or not above(before, square, power=2)


def above(value: float, exact: Fraction, power: int = 1) -> bool:
    """Whether value ** power >= exact, for a value that may be infinite."""
    if math.isinf(value):
        return value > 0
    return Fraction(value) ** power >= exact


def _exact(value: Number) -> Fraction:
    assert not isinstance(value, float) or math.isfinite(value), (
        f"{value} decides nothing"
    )
    return Fraction(value)


# --- exact distances ----------------------------------------------------------------


def exact_square(a: Any, b: Any) -> Fraction:
    """Squared Euclidean distance of two float vectors."""
    pairs = zip(np.ravel(a).tolist(), np.ravel(b).tolist(), strict=True)
    return sum(((Fraction(s) - Fraction(t)) ** 2 for s, t in pairs), Fraction(0))


def partial_matchings(n: int, m: int) -> Iterator[list[tuple[int, int]]]:
    """Every way to pair some of n things with as many of m things."""
    for k in range(min(n, m) + 1):
        for left in itertools.combinations(range(n), k):
            for right in itertools.permutations(range(m), k):
                yield list(zip(left, right, strict=True))


def exact_bottleneck(a: Bars, b: Bars) -> Fraction:
    """Bottleneck distance (ground norm l_inf) over all matchings of a few bars."""
    return min(
        max([Fraction(0), *costs])
        for costs in _costs_of_matchings(a, b, max, Fraction(1, 2))
    )


def exact_wasserstein_power(a: Bars, b: Bars, p: int, q: float) -> Fraction:
    """W_{p,q} ** p over all matchings of a few bars; q is 1, p or inf."""
    add = lambda x, y: x + y  # noqa: E731
    if math.isinf(q) or q == 1:
        ground, to_diagonal = (max, Fraction(1, 2)) if q > 1 else (add, Fraction(1))
        return min(
            sum((cost**p for cost in costs), Fraction(0))
            for costs in _costs_of_matchings(a, b, ground, to_diagonal)
        )
    assert q == p, "other ground norms are irrational"
    # The p-th powers of the costs; 2^(1 - p) (d - b)^p to the diagonal.
    powers = lambda x, y: x**p + y**p  # noqa: E731
    return min(
        sum(costs, Fraction(0))
        for costs in _costs_of_matchings(a, b, powers, Fraction(2, 2**p), p)
    )


def _costs_of_matchings(
    a: Bars, b: Bars, ground: Any, to_diagonal: Fraction, power: int = 1
) -> Iterator[list[Fraction]]:
    left = [tuple(map(Fraction, bar)) for bar in a.tolist()]
    right = [tuple(map(Fraction, bar)) for bar in b.tolist()]
    for pairs in partial_matchings(len(left), len(right)):
        used = {i for i, _ in pairs}, {j for _, j in pairs}
        costs = [
            ground(abs(left[i][0] - right[j][0]), abs(left[i][1] - right[j][1]))
            for i, j in pairs
        ]
        for bars, taken in zip((left, right), used, strict=True):
            costs += [
                (death - birth) ** power * to_diagonal
                for k, (birth, death) in enumerate(bars)
                if k not in taken
            ]
        yield costs


# --- soundness ----------------------------------------------------------------------


def assert_sound(claim: Any, seed: int = 0) -> None:
    """Assert that no attack changes a label within its radius, in exact arithmetic.

    Parameters
    ----------
    claim : stablerank.attack.Claim
        Labels, and radii within which they are said to hold.
    seed : int
        Of the attacks.
    """
    from stablerank.attack import verdicts

    assert len(claim), "no sample is certified, so nothing is tested"
    for name, verdict in verdicts(claim, np.random.default_rng(seed)).items():
        for row, moved in verdict.hits:
            size = claim.threat.distance_up(claim.samples[row], moved)
            raise AssertionError(
                f"{name}: sample {row} changes its label at {size!r}, within the "
                f"radius {float(claim.radius[row])!r} ({verdict.succeeded} hits)"
            )
