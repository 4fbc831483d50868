"""Composition of the extractor's bounds with the frozen program's constants.

One constant per logit pair, and per sample where a bound depends on it.  Channels
keep their own constants all the way to the head, where they enter its dual norm as
weights,

    |(z_c - z_j) - (z_c' - z_j')| <= sum_i |w_ci - w_ji| K_i * d(x, x')    [C1, N9];

of several valid chains for one channel the best is taken per coordinate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.bounds import Bound, conversion
from stablerank.certify.vectors import VectorMoves, ratio_up, top
from stablerank.exceptions import (
    InvalidInputError,
    MetricMismatchError,
    NoStabilityTheorem,
)
from stablerank.frozen import BarInput, Operation, Program, VectorInput
from stablerank.metrics import (
    Bottleneck,
    Metric,
    SortedDeaths,
    SortedLengths,
    VectorNorm,
    Wasserstein,
)
from stablerank.rounding import add_up, mul_up, pow_up

__all__ = [
    "Composition",
    "best_moves",
    "compose",
    "feature_register",
    "moves_after",
    "with_conversions",
]

Array = NDArray[np.float64]
#: What an extractor proves of each channel.
ChannelBounds = Mapping[str, Sequence[Bound]]
#: Of diagrams, of a vector, of every coordinate of a vector.
AnyBounds = ChannelBounds | Bound | VectorMoves
#: How far bars move: {channel: {metric: constant or array of shape (n, 1)}}.
Moves = dict[str, dict[Metric, Any]]

#: Proof of every operation's constant, by its kind.
LEDGER = {
    "BarFunctions": "R3",
    "Deaths": "H1",
    "Contours": "R2",
    "Tails": "R1",
    "SortTop": "R3",
    "Concat": "R8",
    "Affine": "N1",
    "Diagonal": "N1",
    "GroupSort": "N2",
    "Abs": "N2",
    "ReLU": "N2",
    "GroupLength": "N2",
    "Distance": "N3",
    "SortNeuron": "N4",
    "Conv": "N7",
    "Reorder": "N2",
    "Spline": "N2",
    "Householder": "N2",
    "Sectors": "N2",
    "CPL": "N5",
    "SLL": "N5",
    "Sandwich": "N5",
    "Add": "N8",
}
#: Operations that make the feature vector of diagrams.
_ON_BARS = {"BarFunctions", "Deaths", "Contours", "Tails", "SortTop", "Concat"}


@dataclass(frozen=True)
class Composition:
    """Everything between margins and radii for one program and one threat.

    Parameters
    ----------
    constants : ndarray of shape (n_outputs, n_outputs) or (n, n_outputs, n_outputs)
        L_cj: how far z_c - z_j moves per unit of the threat.
    owed : ndarray, same shape
        Errors of z_c - z_j, at the sample and in the ball together.
    output_constants, output_errors : ndarray of shape (n_outputs,) or (n, n_outputs)
        The same for single outputs.
    rounding, engine, approximation : float
        Largest share of `owed` due to float64, to the engine, and to what an
        approximation leaves out (subsampling).
    bound : Bound
        The chain to one output, for people.
    """

    constants: Array
    owed: Array
    output_constants: Array
    output_errors: Array
    rounding: float
    engine: float
    approximation: float
    bound: Bound


def best_moves(bounds: ChannelBounds, channels: Sequence[str], part: str) -> Moves:
    """Smallest constant (or offset) of every channel, by target metric.

    Parameters
    ----------
    bounds : mapping from channel to sequence of Bound
        As `extractor.bounds(threat, diagrams)` gives them.
    channels : sequence of str
        Which are wanted.
    part : {"constant", "offset"}
        Of the bounds.

    Examples
    --------
    >>> from stablerank.metrics import Displacement
    >>> two = [Bound(Displacement(), Bottleneck(), k, "X5") for k in (2.0, 1.0)]
    >>> float(best_moves({"H1": two}, ["H1"], "constant")["H1"][Bottleneck()])
    1.0
    """
    moves: Moves = {}
    for channel in channels:
        moves[channel] = {}
        for bound in bounds[channel]:
            value = np.asarray(getattr(bound, part))
            if value.ndim:
                # One number for all samples costs one pass, not one a sample.
                same = value.size > 0 and (value == value[0]).all()
                value = value[0] if same else value[:, None]
            known = moves[channel].get(bound.target)
            best = value if known is None else np.minimum(known, value)
            moves[channel][bound.target] = best
    return moves


def with_conversions(moves: Moves) -> Moves:
    """Add what every bound implies in the metrics that operations ask for [C1].

    Parameters
    ----------
    moves : mapping from channel to {metric: constant}
        Changed in place, and returned.

    Examples
    --------
    >>> with_conversions({"H1": {Wasserstein(1, 1): 3.0}})["H1"][Bottleneck()]
    3.0
    """
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


def _engine_moves(program: Program) -> Moves:
    """How far the engine's errors, at x and in the ball together, move computed bars.

    Both are at most the frozen limit e, in the sup norm of the filtration. So each end
    of a bar moves by 2 e, and sorted deaths and lengths by 2 e and 4 e. In W_{p,q}:
    follow each computed bar at x through both exact diagrams to a computed bar in the
    ball. Of the chains that begin or end in a computed bar, at most 2 N, each grows by
    2 e in l_inf, so their W_{p,q} grows by (2 N)^(1/p) 2^(1/q) 2 e [C1]; a chain
    without a computed bar moves none.
    """
    moves: Moves = {}
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


def compose(
    program: Program, bounds: ChannelBounds | Bound | VectorMoves
) -> Composition:
    """Pairwise constants and errors of a program under one threat.

    Parameters
    ----------
    program : Program
        Frozen.
    bounds : mapping from channel to bounds, Bound or VectorMoves
        What `extractor.bounds(threat, diagrams)` gives; for programs on vectors the
        bound from the threat to the input vector, or its moves by coordinate.

    Raises
    ------
    NoStabilityTheorem
        If a channel has no bound, or none in a metric that the program can use.
    """
    start: Any
    shares: Mapping[str, Any]
    if isinstance(bounds, Mapping):
        start, shares = _bar_entries(program, bounds)
    else:
        bounds = _as_moves(program, bounds)
        start, shares = bounds.constant, bounds.offsets
    registers = _constants(program, start)
    errors = {
        name: _constants(program, share)
        for name, share in shares.items()
        if _is_positive(share)
    }
    pairs = {name: program.pairs(found) for name, found in errors.items()}
    single = {name: _outputs(program, found) for name, found in errors.items()}
    own = np.asarray(mul_up(2.0, program.rounding()))  # at the sample, and in the ball
    pairs["rounding"] = np.asarray(
        add_up(pairs.get("rounding", 0.0), add_up(own[:, None], own[None, :]))
    )
    single["rounding"] = np.asarray(add_up(single.get("rounding", 0.0), own))
    return Composition(
        constants=program.pairs(registers),
        owed=reduce(add_up, pairs.values()),
        output_constants=_outputs(program, registers),
        output_errors=reduce(add_up, single.values()),
        rounding=top(pairs["rounding"]),
        engine=top(pairs.get("engine", 0.0)),
        approximation=top(pairs.get("approximation", 0.0)),
        bound=_chain(program, bounds, registers),
    )


def moves_after(program: Program, bounds: ChannelBounds) -> VectorMoves:
    """How far the vector moves that a program makes of diagrams.

    Parameters
    ----------
    program : Program
        Its output is the vector, coordinate by coordinate or in l_2.
    bounds : mapping from channel to bounds
        As for `compose`.
    """
    start, shares = _bar_entries(program, bounds)
    registers = _constants(program, start)
    offsets = {name: _constants(program, share)[-1] for name, share in shares.items()}
    # At the sample, and in the ball.
    offsets["rounding"] = np.asarray(mul_up(2.0, program.ranges[-1].error))
    chain = _chain(program, bounds, registers)
    return VectorMoves(program.norms[-1], registers[-1], chain, offsets)


def _bar_entries(
    program: Program, bounds: ChannelBounds
) -> tuple[Moves, dict[str, Moves]]:
    """Moves of all channels, and those of their errors by cause."""
    channels = [i.channel for i in program.inputs if isinstance(i, BarInput)]
    if not channels:
        raise InvalidInputError(
            "this program reads vectors; give the Bound of a FeatureBall"
        )
    missing = [name for name in channels if not bounds.get(name)]
    if missing:
        raise NoStabilityTheorem(
            f"no bound for channel {', '.join(missing)}",
            "a threat that the extractor lists for every channel",
        )
    moves, offsets = (
        with_conversions(best_moves(bounds, channels, part))
        for part in ("constant", "offset")
    )
    return moves, {"engine": _engine_moves(program), "approximation": offsets}


def _as_moves(program: Program, bounds: Bound | VectorMoves) -> VectorMoves:
    (vector,) = program.inputs
    if not isinstance(vector, VectorInput):
        raise InvalidInputError("this program reads diagrams; give bounds by channel")
    if isinstance(bounds, Bound):
        bounds = VectorMoves.along(bounds, vector.width)
    return bounds.into(vector.norm)


def _is_positive(share: Any) -> bool:
    tables = share.values() if isinstance(share, Mapping) else [{None: share}]
    return any(np.any(np.asarray(v) > 0) for table in tables for v in table.values())


def _constants(program: Program, start: Any) -> list[Any]:
    """Constants of all registers, or why there are none."""
    try:
        return program.constants(start)
    except MetricMismatchError as error:
        raise NoStabilityTheorem(
            f"the model reads {error.outer_source}, and under this threat only "
            f"{error.inner_target} has a bound",
            "a model in l_inf (norm=math.inf, tail_p=math.inf), or a threat on the "
            "diagrams: WassersteinBall(p), BottleneckBall()",
        ) from error


def _outputs(program: Program, registers: Sequence[Any]) -> Array:
    """How far each output moves; a coordinate moves by at most the l_2 norm."""
    last = np.asarray(registers[-1])
    return np.broadcast_to(last, (*last.shape[:-1], program.n_outputs))


def _chain(
    program: Program, bounds: ChannelBounds | VectorMoves, registers: Sequence[Any]
) -> Bound:
    """Chain to one output: how much each stage stretches what reaches it most.

    Every factor is the largest constant after its stage over that before it, so the
    product is the largest constant of an output.
    """
    first = len(program.inputs)
    if isinstance(bounds, VectorMoves):
        chain, stages = (
            bounds.chain,
            [(0, len(registers) - 1, "network, to one output")],
        )
    else:
        chain = _largest(bounds, program)
        features = feature_register(program)
        stages = [(first - 1, features, "features of the bars")]
        if features < len(registers) - 1:
            stages.append((features, len(registers) - 1, "network, to one output"))
    for start, end, note in stages:
        operations = program.operations[start - first + 1 : end - first + 1]
        ledger = " . ".join(dict.fromkeys(ledger_of(op) for op in operations))
        factor = ratio_up(top(registers[end]), top(chain.constant))
        target = VectorNorm(program.norms[end])
        chain = Bound(chain.target, target, factor, ledger, note) @ chain
    return chain


def ledger_of(operation: Operation) -> str:
    """Id of the proof of an operation's constant; its name where none is listed."""
    return LEDGER.get(operation.kind, operation.kind)


def feature_register(program: Program) -> int:
    """Number of the register that holds the feature vector of diagrams.

    Parameters
    ----------
    program : Program
        On diagrams.
    """
    after = [op.kind not in _ON_BARS for op in program.operations]
    count = after.index(True) if True in after else len(after)
    return len(program.inputs) + count - 1


def _largest(bounds: ChannelBounds, program: Program) -> Bound:
    """Of the best bounds of all channels the one that stretches most.

    In l_2 a bound of all bars together is better than any of every bar alone.
    """
    norm = program.norms[feature_register(program)]

    def cost(bound: Bound) -> tuple[bool, float]:
        return getattr(bound.target, "p", math.inf) > norm, top(bound.constant)

    best = [
        min(bounds[i.channel], key=cost)
        for i in program.inputs
        if isinstance(i, BarInput)
    ]
    return max(best, key=lambda b: top(b.constant))
