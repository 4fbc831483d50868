"""Composition of the extractor's bounds with the frozen program's constants.

One constant per logit pair, and per sample where a bound depends on it.  Channels
keep their own constants all the way to the head, where they enter its dual norm as
weights; of several valid chains for one channel the best is taken per coordinate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.bounds import Bound, conversion
from stablerank.certify.certificate import Certificates
from stablerank.certify.margin import margin_radii
from stablerank.diagrams import Diagrams
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem
from stablerank.frozen import BarInput, Program, VectorInput
from stablerank.metrics import (
    Bottleneck,
    FeatureBall,
    Metric,
    SortedDeaths,
    SortedLengths,
    Threat,
    VectorNorm,
    Wasserstein,
)
from stablerank.rounding import add_up, mul_up, pow_up

__all__ = ["Composition", "certify", "compose", "vector_bounds"]

Array = NDArray[np.float64]
ChannelBounds = Mapping[str, Sequence[Bound]]


@dataclass(frozen=True)
class Composition:
    """Everything between margins and radii for one program and one threat."""

    constants: Array  # (n_outputs, n_outputs) or (n, n_outputs, n_outputs)
    owed: Array  # errors of z_c - z_j at the sample and in the ball, same shape
    output_constants: Array  # (n_outputs,) or (n, n_outputs): of single outputs
    output_errors: Array  # errors of single outputs, same shape
    rounding: float  # largest share of `owed` due to float64
    engine: float  # largest share due to the engine
    approximation: float  # largest share due to offsets (subsampling)
    bound: Bound  # the chain, for people


def _moves(
    bounds: ChannelBounds, channels: Sequence[str], part: str
) -> dict[str, dict[Metric, Any]]:
    """Constants (or offsets) of every channel by target metric."""
    moves: dict[str, dict[Metric, Any]] = {}
    for channel in channels:
        moves[channel] = {}
        for bound in bounds[channel]:
            value = np.asarray(getattr(bound, part))
            value = value[:, None] if value.ndim else value
            known = moves[channel].get(bound.target)
            best = value if known is None else np.minimum(known, value)
            moves[channel][bound.target] = best
    return moves


def _with_conversions(
    moves: dict[str, dict[Metric, Any]],
) -> dict[str, dict[Metric, Any]]:
    """Add what every bound implies in the metrics that operations ask for."""
    for table in moves.values():
        for metric, constant in list(table.items()):
            for wanted in (Bottleneck(), SortedDeaths(), Wasserstein(2, 2)):
                step = conversion(metric, wanted)
                if step is None or metric == wanted:
                    continue
                value = mul_up(constant, step.constant)
                known = table.get(wanted)
                table[wanted] = value if known is None else np.minimum(known, value)
    return moves


def _engine_moves(program: Program) -> dict[str, dict[Metric, Any]]:
    """Twice the frozen limit of the engine error: once at x, once in the ball.

    A sup-norm error e of the filtration moves sorted deaths and lengths by at most e
    and 2e, and N bars by at most (2N)^(1/p) e in W_{p,inf} [C1].
    """
    moves: dict[str, dict[Metric, Any]] = {}
    for channel in program.inputs:
        assert isinstance(channel, BarInput)
        error = float(mul_up(2.0, channel.max_error))
        count = 2.0 * channel.max_bars
        table: dict[Metric, Any] = {
            Bottleneck(): np.asarray(error),
            SortedDeaths(): np.asarray(error),
            SortedDeaths(2): np.asarray(mul_up(error, pow_up(count, 0.5))),
            SortedLengths(): np.asarray(mul_up(2.0, error)),
        }
        for p in (1.0, 2.0):
            for q in (1.0, 2.0):
                factor = mul_up(pow_up(count, 1 / p), pow_up(2.0, 1 / q))
                table[Wasserstein(p, q)] = np.asarray(mul_up(error, factor))
        moves[channel.channel] = table
    return moves


def vector_bounds(program: Program, threat: Threat) -> Bound:
    """Bound from a feature ball to the program's input vector."""
    (vector,) = program.inputs
    if not isinstance(vector, VectorInput):
        raise InvalidInputError("this program reads diagrams; give bounds by channel")
    if not isinstance(threat, FeatureBall):
        raise NoStabilityTheorem(
            f"a network on features has no theorem for the {threat}",
            f"FeatureBall({'math.inf' if math.isinf(vector.norm) else 2})",
        )
    if threat.norm <= vector.norm:
        return Bound(threat, VectorNorm(vector.norm), 1.0, "C1")
    # From sup moves into an l_2 network: sqrt(width) [C1].
    root = pow_up(float(vector.width), 0.5)
    return Bound(threat, VectorNorm(vector.norm), root, "C1", "sup norm into l_2")


def compose(program: Program, bounds: ChannelBounds | Bound) -> Composition:
    """Pairwise constants and errors of a program under one threat.

    Parameters
    ----------
    program : Program
        Frozen.
    bounds : mapping from channel to bounds, or Bound
        What `extractor.bounds(threat, diagrams)` gives; for programs on vectors the
        bound from the threat to the input vector.
    """
    if isinstance(bounds, Bound):
        moves: Any = np.asarray(bounds.constant)
        shifts: Any = np.asarray(0.0)
        still: Any = np.asarray(0.0)
        chain = _vector_chain(program, bounds)
    else:
        channels = [i.channel for i in program.inputs if isinstance(i, BarInput)]
        missing = [name for name in channels if not bounds.get(name)]
        if missing:
            raise NoStabilityTheorem(
                f"no bound for channel {', '.join(missing)}",
                "a threat that the extractor lists for every channel",
            )
        moves = _with_conversions(_moves(bounds, channels, "constant"))
        shifts = _with_conversions(_moves(bounds, channels, "offset"))
        still = _engine_moves(program)
        chain = _bar_chain(program, bounds, channels)
    error = program.rounding()
    per_pair = np.asarray(add_up(error[:, None], error[None, :]))
    rounding = np.asarray(mul_up(2.0, per_pair))  # at the sample, and in the ball
    offset, engine = program.pair_constants(shifts), program.pair_constants(still)
    single = [_outputs(program, part) for part in (moves, still, shifts)]
    own_error = add_up(add_up(mul_up(2.0, error), single[1]), single[2])
    return Composition(
        program.pair_constants(moves),
        np.asarray(add_up(add_up(rounding, engine), offset)),
        single[0],
        np.asarray(own_error),
        float(rounding.max()),
        float(np.max(engine)),
        float(np.max(offset)),
        chain,
    )


def _outputs(program: Program, moves: Any) -> Array:
    """How far each output moves; a coordinate moves by at most the l_2 norm."""
    last = np.asarray(program.constants(moves)[-1])
    return np.broadcast_to(last, (*last.shape[:-1], program.n_outputs))


def _largest_output(program: Program, moves: Any) -> float:
    return float(np.max(program.constants(moves)[-1]))


def _vector_chain(program: Program, bound: Bound) -> Bound:
    norm = VectorNorm(program.norms[-1])
    (vector,) = program.inputs
    assert isinstance(vector, VectorInput)
    total = _largest_output(program, np.asarray(1.0))
    return Bound(VectorNorm(vector.norm), norm, total, "N1", "the network") @ bound


def _bar_chain(
    program: Program, bounds: ChannelBounds, channels: Sequence[str]
) -> Bound:
    """Chain through the channel that stretches most, as an upper bound for all."""
    best = {
        name: min(bounds[name], key=lambda b: float(np.max(b.constant)))
        for name in channels
    }
    worst = max(best.values(), key=lambda b: float(np.max(b.constant)))
    moves = _with_conversions(_moves(bounds, channels, "constant"))
    top = max(float(np.max(worst.constant)), 2.0**-1022)
    # Relative to the worst channel, so that the product is the true total.
    scaled = {
        name: {m: np.max(c) / top * (1 + 2.0**-50) for m, c in table.items()}
        for name, table in moves.items()
    }
    total = _largest_output(program, scaled)
    norm = VectorNorm(program.norms[-1])
    note = "features and network, to one logit"
    return Bound(worst.target, norm, total, "R3 . N1 . N2", note) @ worst


def certify(
    program: Program,
    data: Diagrams | Any,
    threat: Threat,
    bounds: ChannelBounds | None = None,
    classes: ArrayLike | None = None,
) -> Certificates:
    """Certify the predictions of a frozen program.

    Parameters
    ----------
    program : Program
        Its last register holds the logits.
    data : Diagrams, or array of shape (n, width)
        Clean inputs.
    threat : Threat
        Metric of the perturbation.
    bounds : mapping from channel to bounds, optional
        `extractor.bounds(threat, diagrams)` for programs on diagrams.
    classes : sequence, optional
        Labels of the outputs; by default 0, 1, ....

    Returns
    -------
    Certificates
    """
    if program.is_on_bars and bounds is None:
        raise InvalidInputError(
            "a program on diagrams needs bounds=extractor.bounds(threat, diagrams)"
        )
    chain = vector_bounds(program, threat) if bounds is None else bounds
    composition = compose(program, chain)
    logits = program.evaluate(data)
    found = margin_radii(logits, composition.constants, composition.owed)
    names = np.asarray(range(program.n_outputs) if classes is None else classes)
    return Certificates(
        label=names[found.predicted],
        radius=found.radius,
        reason=found.reason,
        rival=names[found.rival],
        bound=composition.bound,
        threat=threat,
        evidence={
            "logits": logits,
            "constants": composition.constants,
            "owed": composition.owed,
            "rounding": composition.rounding,
            "engine": composition.engine,
            "approximation": composition.approximation,
        },
    )
