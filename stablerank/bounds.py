"""A theorem as a value: how much one stage can stretch a distance.

`Bound(source, target, constant, ledger)` says

    d_target(f(x), f(x')) <= constant * d_source(x, x') + offset,

with the id of its proof in the ledger.  Bounds compose with `@`, read as functions
are: `outer @ inner`.  Between the two a listed inequality of metrics may stand
[C1]; it shows as its own factor.  Composing across metrics that no listed
inequality links raises.  Constants and offsets are floats or one float a sample,
rounded up at every step [F5, F8].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, MetricMismatchError
from stablerank.metrics import (
    Bottleneck,
    BottleneckBall,
    Budget,
    Displacement,
    FeatureBall,
    Hausdorff,
    Metric,
    PixelBudget,
    PixelSup,
    SinglePoint,
    SortedDeaths,
    SortedLengths,
    VectorNorm,
    Wasserstein,
    WassersteinBall,
)
from stablerank.rounding import add_up, mul_up, pow_up

__all__ = ["Bound", "compose", "conversion"]

Number = float | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bound:
    """An affine stability theorem with its constant and its ledger id.

    Parameters
    ----------
    source, target : Metric
        Where distances are measured before and after the map.
    constant : float or ndarray of shape (n_samples,)
        Factor, >= 0; rounded up by whoever computed it.
    ledger : str
        Id of the theorem (of all factors, joined by " . ", when composed).
    note : str
        What a person should know about this factor.
    offset : float or ndarray of shape (n_samples,)
        What is owed even for equal inputs (an approximation), >= 0.

    Examples
    --------
    >>> from stablerank.metrics import Bottleneck, Displacement, SortedLengths
    >>> alpha = Bound(Displacement(), Bottleneck(), 1.0, "X5")
    >>> lengths = Bound(Bottleneck(), SortedLengths(), 2.0, "R1")
    >>> (lengths @ alpha).constant
    2.0
    """

    source: Metric
    target: Metric
    constant: Number
    ledger: str
    note: str = ""
    offset: Number = 0.0
    chain: tuple[Bound, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name in ("source", "target"):
            if not isinstance(getattr(self, name), Metric):
                msg = f"{name} must be a Metric, got {getattr(self, name)!r}"
                raise InvalidInputError(msg)
        for name in ("constant", "offset"):
            object.__setattr__(self, name, _nonnegative(getattr(self, name), name))
        if not self.ledger:
            raise InvalidInputError("a bound needs the ledger id of its proof")
        # One link is the bound itself: also in a copy that `replace` has changed.
        if len(self.chain) < 2:
            object.__setattr__(self, "chain", (self,))

    def __matmul__(self, inner: Bound) -> Bound:
        """Return the bound of the composed map, `self` after `inner`."""
        if not isinstance(inner, Bound):
            return NotImplemented
        return compose(self, inner)

    def __getitem__(self, key: Any) -> Bound:
        """Return the bound of some samples, where constants differ by sample."""
        links = () if self.chain == (self,) else tuple(b[key] for b in self.chain)
        return Bound(
            self.source,
            self.target,
            _pick(self.constant, key),
            self.ledger,
            self.note,
            _pick(self.offset, key),
            links,
        )

    @property
    def is_uniform(self) -> bool:
        """True if one constant and one offset serve every sample."""
        return not isinstance(self.constant, np.ndarray) and not isinstance(
            self.offset, np.ndarray
        )

    def explain(self) -> str:
        """Print the chain, one factor a line from input to output; return it too."""
        factors = [f"x {_show(b.constant)}" for b in self.chain]
        ledgers = [f"[{b.ledger}]" for b in self.chain]
        wide, wider = max(map(len, factors)), max(map(len, ledgers))
        lines = [f"{self.source}  ->  {self.target}"]
        for factor, ledger, b in zip(factors, ledgers, self.chain, strict=True):
            owed = "" if _is_zero(b.offset) else f"  + {_show(b.offset)}"
            note = f"  ({b.note})" if b.note else ""
            lines.append(
                f"  {factor:<{wide}}  {ledger:<{wider}}  {b.source} -> {b.target}"
                f"{owed}{note}"
            )
        owed = "" if _is_zero(self.offset) else f" * size + {_show(self.offset)}"
        lines.append(f"  = {_show(self.constant)}{owed}")
        text = "\n".join(lines)
        print(text)
        return text


def _pick(value: Number, key: Any) -> Any:
    return value[key] if isinstance(value, np.ndarray) else value


def _nonnegative(value: Any, name: str) -> Number:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim > 1:
        raise InvalidInputError(f"{name} must be a number or one number a sample")
    if not (array >= 0).all():
        raise InvalidInputError(f"{name} must be >= 0 and not NaN, got {value!r}")
    if array.ndim == 0:
        return float(array)
    array = array.copy()
    array.flags.writeable = False
    return array


def _is_zero(value: Number) -> bool:
    return bool(np.all(np.asarray(value) == 0))


def _show(value: Number) -> str:
    if isinstance(value, np.ndarray):
        if not value.size:
            return "(no samples)"
        return f"{value.min():.6g} .. {value.max():.6g} (by sample)"
    return f"{value:.6g}"


def conversion(inner: Metric, outer: Metric) -> Bound | None:
    """Return the listed inequality d_outer <= c * d_inner, or None.

    Parameters
    ----------
    inner : Metric
        The metric in which a distance is known.
    outer : Metric
        The metric in which it is needed.

    Examples
    --------
    >>> from stablerank.metrics import Bottleneck, Wasserstein
    >>> conversion(Wasserstein(1, 1), Bottleneck()).constant
    1.0
    >>> conversion(Bottleneck(), Wasserstein(1, 1)) is None
    True
    """
    factor = _factor(inner, outer)
    if factor is None:
        return None
    return Bound(inner, outer, factor, "C1", "comparison of metrics")


def _factor(inner: Metric, outer: Metric) -> float | None:  # noqa: PLR0911
    # One case an inequality; the proofs are one line each (C1).
    match inner, outer:
        case (SinglePoint(), Budget()) | (SinglePoint() | Budget(), Displacement(None)):
            return 1.0  # one move, or the largest, is at most the l_2 norm of all
        case (SinglePoint() | Budget() | Displacement(None), Hausdorff()):
            return 1.0  # every point has its own image nearby
        case (PixelBudget(), PixelSup()) | (PixelSup(), PixelBudget(math.inf)):
            return 1.0  # l_inf <= l_p
        case (PixelBudget(p), PixelBudget(p2)) if p <= p2:
            return 1.0
        case (BottleneckBall(), Bottleneck()):
            return 1.0  # the ball bounds every channel
        case (WassersteinBall() as ball, Bottleneck() | Wasserstein()):
            return _diagram_factor(ball.p, ball.ground, outer)
        case (Wasserstein(p, q), Bottleneck() | Wasserstein()):
            return _diagram_factor(p, q, outer)
        case (FeatureBall(p), VectorNorm(p2)) if p <= p2:
            return 1.0
        case (
            (VectorNorm(p), VectorNorm(p2))
            | (SortedDeaths(p), SortedDeaths(p2))
            | (SortedLengths(p), SortedLengths(p2))
        ) if p <= p2:
            return 1.0  # l_p2 <= l_p for p <= p2, in any dimension
        case (SortedDeaths(p) | SortedLengths(p), VectorNorm(p2)) if p <= p2:
            return 1.0  # the vector of sorted deaths (lengths) itself
    return None


def _diagram_factor(p: float, q: float, outer: Metric) -> float | None:
    """Return c with d_outer <= c W_{p,q}: orders may grow, ground norms change."""
    if isinstance(outer, Bottleneck):
        return 1.0  # d_B <= W_{p,inf} <= W_{p,q}
    if not isinstance(outer, Wasserstein) or outer.p < p:
        return None
    # In the plane |v|_q2 <= 2^max(0, 1/q2 - 1/q) |v|_q.
    return pow_up(2.0, max(0.0, 1 / outer.q - 1 / q))  # rounds far above 1 / q's ulp


def compose(outer: Bound, inner: Bound) -> Bound:
    """Bound of the map of `outer` after the map of `inner`; same as `outer @ inner`.

    Constants multiply; offsets add as outer.constant * inner.offset + outer.offset.

    Raises
    ------
    MetricMismatchError
        If no listed inequality leads from `inner.target` to `outer.source`.

    Examples
    --------
    >>> from stablerank.metrics import Bottleneck, Displacement, VectorNorm
    >>> inner = Bound(Displacement(), Bottleneck(), 6.0, "X15", offset=0.5)
    >>> outer = Bound(Bottleneck(), VectorNorm(), 2.0, "R1")
    >>> (outer @ inner).constant, (outer @ inner).offset
    (12.0, 1.0)
    """
    if inner.target == outer.source:
        links = inner.chain
    else:
        step = conversion(inner.target, outer.source)
        if step is None:
            raise MetricMismatchError(outer.source, inner.target)
        inner = _multiply(step, inner, (*inner.chain, step))
        links = inner.chain
    return _multiply(outer, inner, (*links, *outer.chain))


def _multiply(outer: Bound, inner: Bound, chain: tuple[Bound, ...]) -> Bound:
    numbers = [x for b in chain for x in (b.constant, b.offset)]
    sizes = {len(x) for x in numbers if isinstance(x, np.ndarray)}
    if len(sizes) > 1:
        raise InvalidInputError(
            f"the factors are for {sorted(sizes)} samples; compose bounds of the same "
            "samples"
        )
    ledger = " . ".join(dict.fromkeys(b.ledger for b in chain))
    carried = mul_up(outer.constant, inner.offset)
    return Bound(
        inner.source,
        outer.target,
        mul_up(outer.constant, inner.constant),
        ledger,
        offset=add_up(carried, outer.offset),
        chain=chain,
    )
