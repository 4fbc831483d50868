"""Operations from bars to vectors: functions of bars, then sorted.

A bar function that is 0 on the diagonal and Lip-Lipschitz in the l_inf ground norm
gives, sorted descending and zero padded,

    |v_k(D) - v_k(D')| <= Lip * d_B(D, D')   for every rank k   [R3],

because matched bars change by at most Lip * distance, unmatched ones are at most
Lip * distance to the diagonal large, and sorting does not increase differences.  In
l_p the same holds with W_{p,q} and the Lipschitz constant in l_q.  A bound of every
single rank serves l_2 too, at sqrt(R) for R ranks [C1]: few ranks, or a theorem about
all bars together, make a good vector in l_2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, MetricMismatchError
from stablerank.frozen.base import (
    TINY,
    Array,
    BarConstants,
    Operation,
    Ragged,
    Range,
)
from stablerank.metrics import (
    Bottleneck,
    SortedDeaths,
    SortedLengths,
    VectorNorm,
    Wasserstein,
)
from stablerank.rounding import add_up, gamma, mul_up, pow_up, sqrt_up, sum_up

__all__ = ["BarFunctions", "Contours", "Deaths", "SortTop", "Tails"]


@dataclass(frozen=True)
class BarMoves:
    """How far per-bar values move: constants of the bars and slopes of the values."""

    constants: BarConstants  # {metric: scalar or (n, 1)}
    #: Lipschitz constant of each function in l_q, q in {1, 2, inf}: {q: (F,)}.
    slopes: dict[float, Array]
    #: True where the values are the deaths themselves.
    deaths: bool = False
    #: Value of each function is this multiple of the bar's length, or None.
    lengths: Array | None = None


@dataclass(frozen=True, eq=False)
class BarFunctions(Operation):
    """phi(b, d) = max(0, min_j (a_j b + c_j d + e_j)), several phi at once.

    Each phi must vanish on the diagonal of the domain; this is checked in exact
    arithmetic.

    Parameters
    ----------
    forms : ndarray of shape (n_functions, n_forms, 3)
        Coefficients (a, c, e).
    """

    kind: ClassVar[str] = "BarFunctions"
    forms: Array

    def check(self) -> None:
        """Raise unless every function vanishes on the diagonal."""
        if self.forms.ndim != 3 or self.forms.shape[2] != 3:
            raise InvalidInputError(
                f"forms have shape {self.forms.shape}, not (F, J, 3)"
            )
        for i, forms in enumerate(self.forms.tolist()):
            if not _vanishes_on_diagonal(forms):
                raise InvalidInputError(
                    f"bar function {i} is positive somewhere on the diagonal, so it "
                    "has no stability theorem [R3]; bound it by a multiple of d - b"
                )

    def evaluate(self, xp: Any, bars: Ragged) -> Ragged:
        """Values of all functions on all bars, (N, F)."""
        births, deaths = bars.values[:, 0], bars.values[:, 1]
        forms = xp.constant(self.forms, births)
        return Ragged(xp.bar_functions(forms, births, deaths), bars.counts)

    def norm(self, *norms: float) -> float:
        """Per-bar values have no norm yet; sorting decides."""
        return math.nan

    def width(self, *widths: int) -> int:
        """Return the number of functions."""
        return len(self.forms)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> BarMoves:
        """Slopes of every function in the dual norms."""
        a, c = np.abs(self.forms[..., 0]), np.abs(self.forms[..., 1])
        dual = {
            math.inf: np.asarray(add_up(a, c)),
            2.0: np.asarray(sqrt_up(add_up(mul_up(a, a), mul_up(c, c)))),
            1.0: np.maximum(a, c),
        }
        half = np.array([[-0.5, 0.5, 0.0]])
        exact = [np.array_equal(forms, half) for forms in self.forms]
        lengths = np.full(len(exact), 0.5) if all(exact) else None
        slopes = {q: values.max(axis=1) for q, values in dual.items()}
        return BarMoves(constants[0], slopes, lengths=lengths)

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Three products and two sums a form: gamma_5 of the absolute terms."""
        reach = float(ranges[0].size.max())
        a, c, e = np.moveaxis(np.abs(self.forms), 2, 0)
        terms = add_up(add_up(mul_up(a, reach), mul_up(c, reach)), e)
        size = np.asarray(terms).max(axis=1)
        rounding = np.asarray(mul_up(gamma(5), size)) + 8 * TINY
        return Range(np.asarray(add_up(size, rounding)), rounding)


def _vanishes_on_diagonal(forms: list[list[float]]) -> bool:
    """Whether min_j ((a_j + c_j) t + e_j) <= 0 for all real t, exactly."""
    lines = [(Fraction(a) + Fraction(c), Fraction(e)) for a, c, e in forms]
    if any(slope == 0 and height <= 0 for slope, height in lines):
        return True
    rising = [line for line in lines if line[0] >= 0]
    falling = [line for line in lines if line[0] <= 0]
    if not any(s > 0 for s, _ in rising) or not any(s < 0 for s, _ in falling):
        return False  # the minimum is unbounded, or bounded below by a constant > 0
    # A concave function is largest where a rising and a falling line cross.
    crossings = [
        (e2 - e1) / (s1 - s2) for s1, e1 in rising for s2, e2 in falling if s1 != s2
    ]
    return all(min(s * t + e for s, e in lines) <= 0 for t in crossings)


@dataclass(frozen=True, eq=False)
class Deaths(Operation):
    """The death of every bar of a pinned channel, whose bars are all born at 0 [H1].

    Moves by at most the sorted deaths do, and, deaths being lengths, by at most
    K_q times any diagram distance [R1].
    """

    kind: ClassVar[str] = "Deaths"

    def evaluate(self, xp: Any, bars: Ragged) -> Ragged:
        """Deaths, (N, 1)."""
        return Ragged(xp.maximum(bars.values[:, 1:], 0.0), bars.counts)

    def norm(self, *norms: float) -> float:
        """Per-bar values have no norm yet; sorting decides."""
        return math.nan

    def width(self, *widths: int) -> int:
        """Return 1."""
        return 1

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> BarMoves:
        """Deaths of bars born at 0 are lengths too: K_q [R1], or 1 [H1]."""
        slopes = {
            math.inf: np.full(1, 2.0),
            2.0: np.full(1, pow_up(2.0, 0.5)),
            1.0: np.ones(1),
        }
        return BarMoves(constants[0], slopes, deaths=True, lengths=np.ones(1))

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Copies are exact."""
        return Range(ranges[0].size[:1].copy(), np.zeros(1))


@dataclass(frozen=True, eq=False)
class Contours(Operation):
    """Lengths F(d) - F(b) for piecewise linear nondecreasing F, several at once.

    F has slope s_i between the knots t_i and t_{i+1} and is constant outside, so

        |length - length'| <= max(s) * (|b - b'| + |d - d'|)   [R2].

    Parameters
    ----------
    knots : ndarray of shape (n_contours, n_knots)
        Ascending in each row.
    slopes : ndarray of shape (n_contours, n_knots - 1)
        Nonnegative.
    """

    kind: ClassVar[str] = "Contours"
    knots: Array
    slopes: Array

    def check(self) -> None:
        """Raise unless knots ascend and slopes are nonnegative."""
        if (
            self.knots.ndim != 2
            or self.slopes.shape != (len(self.knots), self.knots.shape[1] - 1)
            or (np.diff(self.knots, axis=1) < 0).any()
            or (self.slopes < 0).any()
        ):
            raise InvalidInputError(
                "a contour needs ascending knots and one slope >= 0 between each two"
            )

    def evaluate(self, xp: Any, bars: Ragged) -> Ragged:
        """Lengths of all bars in all contours, (N, G)."""
        births, deaths = bars.values[:, 0], bars.values[:, 1]
        lengths = self._primitive(xp, deaths) - self._primitive(xp, births)
        # Each primitive is rounded by itself: a length may fall below 0 by as much.
        return Ragged(xp.maximum(lengths, 0.0).T, bars.counts)

    def _primitive(self, xp: Any, x: Any) -> Any:
        """F at points (N,), shape (G, N): value at the knot before, and slope."""
        knots, slopes = xp.constant(self.knots, x), xp.constant(self.slopes, x)
        heights = xp.constant(self.heights, x)
        x = xp.minimum(xp.maximum(x, knots[:, :1]), knots[:, -1:])  # (G, N)
        piece = xp.piece(knots, x)
        rise = xp.gather(slopes, piece) * (x - xp.gather(knots, piece))
        return xp.gather(heights, piece) + rise

    @cached_property
    def heights(self) -> Array:
        """F at every knot but the last, shape (n_contours, n_knots - 1)."""
        steps = self.slopes * np.diff(self.knots, axis=1)
        heights = np.cumsum(steps, axis=1)
        return np.concatenate([np.zeros((len(steps), 1)), heights[:, :-1]], axis=1)

    def norm(self, *norms: float) -> float:
        """Per-bar values have no norm yet; sorting decides."""
        return math.nan

    def width(self, *widths: int) -> int:
        """Return the number of contours."""
        return len(self.knots)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> BarMoves:
        """K_q = 2^(1 - 1/q) times the largest slope."""
        top = self.slopes.max(axis=1, initial=0.0)
        slopes = {
            math.inf: np.asarray(mul_up(2.0, top)),
            2.0: np.asarray(mul_up(pow_up(2.0, 0.5), top)),
            1.0: top,
        }
        return BarMoves(constants[0], slopes)

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Two sums of at most n_knots - 1 products, each within the whole rise S.

        A sum of m products of a slope and a difference is wrong by gamma_{m+3} S at
        most, so two of them and their difference by gamma_{2m+8} S [F1].
        """
        widths = np.asarray(add_up(self.knots[:, 1:], -self.knots[:, :-1]))
        size = np.asarray(sum_up(mul_up(self.slopes, widths), axis=1))
        m = self.slopes.shape[1]
        rounding = np.asarray(mul_up(gamma(2 * m + 8), size)) + 2 * m * TINY
        return Range(np.asarray(add_up(size, rounding)), rounding)


@dataclass(frozen=True, eq=False)
class SortTop(Operation):
    """Per-bar values sorted descending, at chosen ranks; zero where bars run out.

    Coordinates stand function by function: rank r of function f is f * n_ranks + r.

    Parameters
    ----------
    ranks : ndarray of int, shape (n_ranks,)
        Ascending, from 0 (the largest value).
    p : float
        Norm of the output, inf or 2.
    """

    kind: ClassVar[str] = "SortTop"
    ranks: NDArray[np.int64]
    p: float = math.inf

    def check(self) -> None:
        """Raise unless the ranks ascend from 0 or more."""
        _check_ranks(self.ranks)
        if self.p not in (2, math.inf):
            raise InvalidInputError(f"the norm must be 2 or inf, got {self.p}")

    def evaluate(self, xp: Any, values: Ragged) -> Any:
        """Sorted values at the ranks, (n, F * R)."""
        ranked = xp.sort_top(values.values, values.counts, self.ranks)
        return ranked.reshape(len(values.counts), -1)

    def norm(self, *norms: float) -> float:
        """Return the norm that was asked for."""
        return self.p

    def width(self, *widths: int) -> int:
        """Return functions times ranks."""
        return widths[0] * len(self.ranks)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Best of the valid chains, per coordinate; the l_2 sum for norm 2."""
        moves: BarMoves = constants[0]
        by_function = _function_constants(moves, self.p, len(self.ranks))  # (..., F)
        if math.isinf(self.p):
            return np.repeat(by_function, len(self.ranks), axis=-1)
        squares = mul_up(by_function, by_function)
        return np.asarray(sqrt_up(sum_up(squares, axis=-1)))[..., None]

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Sorting moves no value, so errors stay below the largest [order lemma]."""
        size = np.repeat(ranges[0].size, len(self.ranks))
        error = np.repeat(ranges[0].error, len(self.ranks))
        return _in_norm(Range(size, error), self.p)


def _check_ranks(ranks: NDArray[np.int64]) -> None:
    if ranks.size == 0 or ranks[0] < 0 or (np.diff(ranks) <= 0).any():
        raise InvalidInputError("ranks must be ascending integers >= 0")


def _in_norm(per_coordinate: Range, p: float) -> Range:
    """Coordinate bounds as they are for norm inf, their l_2 norms for norm 2."""
    if math.isinf(p):
        return per_coordinate
    size, error = (
        np.atleast_1d(sqrt_up(sum_up(mul_up(x, x))))
        for x in (per_coordinate.size, per_coordinate.error)
    )
    return Range(size, error)


def _function_constants(moves: BarMoves, p: float, n_ranks: int = 0) -> Array:
    """Smallest proved constant of every function's sorted values in l_p.

    A bound of each value alone bounds `n_ranks` of them in l_2 by sqrt(n_ranks) times
    as much [C1]; without `n_ranks` the values are not read one by one.
    """
    found: list[Array] = []
    for metric, constant in moves.constants.items():
        match metric:
            case SortedDeaths() if moves.deaths:
                slopes: Any = 1.0
            case Bottleneck():
                slopes = moves.slopes[math.inf]
            case Wasserstein() if metric.q in moves.slopes:
                slopes = moves.slopes[metric.q]
            case SortedLengths() if moves.lengths is not None:
                slopes = moves.lengths
            case _:
                continue
        value = np.asarray(mul_up(constant, slopes)) * np.ones(1)
        order = getattr(metric, "p", math.inf)  # the bottleneck distance has none
        if order <= p:
            found.append(value)
        elif n_ranks and math.isinf(order):
            found.append(np.asarray(mul_up(value, sqrt_up(float(n_ranks)))))
    if not found:
        known = ", ".join(str(metric) for metric in moves.constants) or "nothing"
        what = "sorted deaths" if moves.deaths else "functions of bars"
        raise MetricMismatchError(f"{what} in {VectorNorm(p)}", known)
    best = found[0]
    for other in found[1:]:
        best = np.minimum(best, other)
    return best


@dataclass(frozen=True, eq=False)
class Tails(Operation):
    """v_j = (sum_{i >= j} l_(i)^p)^(1/p), the inverse stable rank, at some j.

    |v_j(D) - v_j(D')| <= K * W_{p,q}(D, D'), K the slope of the lengths in l_q [R1]:
    v_j is a minimum, over deletions of j bars, of norms that are 1-Lipschitz.

    Parameters
    ----------
    ranks : ndarray of int, shape (n_ranks,)
        The j that are kept: ascending, from 0 (the norm of all bars).
    p : float
        1 or 2; for p = inf the tails are the sorted lengths: use `SortTop`.
    max_bars : int
        As in the `BarInput`: sums over more bars could be more wrong.
    """

    kind: ClassVar[str] = "Tails"
    ranks: NDArray[np.int64]
    p: float = 1.0
    max_bars: int = 1

    def check(self) -> None:
        """Raise unless p is 1 or 2: other powers are not correctly rounded."""
        _check_ranks(self.ranks)
        if self.p not in (1, 2):
            raise InvalidInputError(
                f"tails freeze for p = 1 and p = 2 only, got {self.p}: other powers "
                "have no proved rounding; p = inf is SortTop"
            )

    def evaluate(self, xp: Any, values: Ragged) -> Any:
        """Tails of the sorted values, (n, F * R)."""
        block = xp.pad(values.values, values.counts).swapaxes(1, 2)
        ranked = xp.sort_descending(block, -1)
        powers = ranked * ranked if self.p == 2 else ranked
        tails = xp.cumsum_from_end(powers, -1)
        tails = xp.sqrt(tails) if self.p == 2 else tails
        kept = xp.take(tails, self.ranks, -1)
        return kept.reshape(len(values.counts), -1)

    def norm(self, *norms: float) -> float:
        """Tails are bounded in sup norm."""
        return math.inf

    def width(self, *widths: int) -> int:
        """Return functions times ranks."""
        return widths[0] * len(self.ranks)

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Array:
        """Slopes times the constant in W_{p,q}; no other metric bounds tails."""
        moves: BarMoves = constants[0]
        wasserstein: BarConstants = {
            metric: constant
            for metric, constant in moves.constants.items()
            if isinstance(metric, Wasserstein) and metric.p <= self.p
        }
        per_function = _function_constants(BarMoves(wasserstein, moves.slopes), self.p)
        return np.repeat(per_function, len(self.ranks), axis=-1)

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Tail sums over at most `max_bars` bars: gamma_{n+4} relative [F2]."""
        count = float(self.max_bars)
        growth = count if self.p == 1 else float(sqrt_up(count))
        size = np.asarray(mul_up(ranges[0].size, growth))
        carried = np.asarray(mul_up(ranges[0].error, growth))
        rounding = np.asarray(mul_up(size, gamma(self.max_bars + 4)))
        error = np.asarray(add_up(add_up(carried, rounding), 2.0**-500))
        total = Range(np.asarray(add_up(size, error)), error)
        return Range(
            np.repeat(total.size, len(self.ranks)),
            np.repeat(total.error, len(self.ranks)),
        )
