"""The frozen program: what predicts, what is certified, what is saved.

A straight-line list of operations over float64 arrays.  Every constant is computed
from the stored numbers; nothing that happened in training is trusted.  A program
first clips both ends of each bar to a frozen domain [X18 on both sides, constant 1],
and refuses diagrams with more bars, or a larger engine error, than its frozen limits.
So the size and the rounding error of every register are bounded over everything that
it accepts, at a clean input and anywhere in the ball around it alike.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.diagrams import Diagrams
from stablerank.exceptions import (
    FileFormatError,
    IncompatibleDiagramsError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
)
from stablerank.frozen.backend import backend_of
from stablerank.frozen.bars import Deaths
from stablerank.frozen.base import Array, Operation, Ragged, Range, matvec_up
from stablerank.frozen.layers import Affine
from stablerank.metrics import Metric
from stablerank.rounding import add_up, mul_up, pow_up, sqrt_up, sum_up

__all__ = ["BarInput", "Program", "VectorInput"]

#: Samples evaluated at once, so that padded blocks stay small.
_BLOCK = 128


@dataclass(frozen=True)
class BarInput:
    """One channel of bars, and the limits inside which its bounds hold.

    Parameters
    ----------
    channel : str
        Name in the diagrams.
    degree : int
        Homology degree.
    convention : str
        "radius", "edge length" or "value"; diagrams must agree.
    unit : str or None
        Physical unit; diagrams must agree.
    low, high : float
        Both ends of every bar are clipped to this domain.
    max_bars : int
        Diagrams with more bars are refused.
    max_error : float
        Diagrams with a larger engine error are refused.
    pinned : bool
        Bars are born at 0 (H0 of a fixed vertex set); diagrams with other births are
        refused.
    """

    channel: str
    degree: int
    convention: str
    unit: str | None
    low: float
    high: float
    max_bars: int
    max_error: float
    pinned: bool = False

    def __post_init__(self) -> None:
        if self.pinned and self.low != 0:
            raise InvalidInputError("the domain of a pinned channel starts at 0")
        if not (-math.inf < self.low <= self.high < math.inf):
            raise InvalidInputError(f"the domain [{self.low}, {self.high}] is empty")
        if not 0 <= self.max_error < math.inf or self.max_bars < 0:
            raise InvalidInputError("limits must be finite and >= 0")


@dataclass(frozen=True)
class VectorInput:
    """A feature vector, clipped coordinate by coordinate to [-limit, limit].

    Parameters
    ----------
    width : int
        Number of features.
    norm : float
        2 or inf: the norm in which the input moves.
    limit : float
        Clipping is 1-Lipschitz in both norms, and exact.
    """

    width: int
    norm: float
    limit: float

    def __post_init__(self) -> None:
        if self.norm not in (2, math.inf) or not 0 < self.limit < math.inf:
            raise InvalidInputError(f"norm {self.norm}, limit {self.limit}")


@dataclass(frozen=True, eq=False)
class Program:
    """A straight-line list of operations; register i is input i, then operation i.

    Parameters
    ----------
    inputs : sequence of BarInput, or one VectorInput
        Registers 0 to len(inputs) - 1.
    operations : sequence of Operation
        Operation k writes register len(inputs) + k and reads earlier ones only. The
        last register is the output.
    """

    inputs: tuple[BarInput | VectorInput, ...]
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "operations", tuple(self.operations))
        if not self.inputs or not self.operations:
            raise InvalidInputError("a program needs an input and an operation")
        for k, op in enumerate(self.operations, len(self.inputs)):
            if any(not 0 <= i < k for i in op.inputs):
                raise InvalidInputError(f"operation {k} reads a register after it")
            if isinstance(op, Deaths) and not self._is_pinned(op.inputs[0]):
                raise InvalidInputError("deaths are stable only if bars are born at 0")
        _ = self.norms, self.widths  # refuse unproven pairs and misfits now

    def _is_pinned(self, register: int) -> bool:
        own = self.inputs[register] if register < len(self.inputs) else None
        return isinstance(own, BarInput) and own.pinned

    # --- static analysis ------------------------------------------------------

    def _sweep(self, start: Sequence[Any], step: str, **kwargs: Any) -> list[Any]:
        """Run one analysis through all operations."""
        registers = list(start)
        for op in self.operations:
            inputs = [registers[i] for i in op.inputs]
            if kwargs:
                kwargs = {"norms": tuple(self.norms[i] for i in op.inputs)}
            registers.append(getattr(op, step)(*inputs, **kwargs))
        return registers

    @cached_property
    def norms(self) -> list[float]:
        """Norm of every register; NaN for bars and values of bars."""
        start = [
            i.norm if isinstance(i, VectorInput) else math.nan for i in self.inputs
        ]
        return self._sweep(start, "norm")

    @cached_property
    def widths(self) -> list[int]:
        """Number of coordinates of every register (2 for bars)."""
        start = [i.width if isinstance(i, VectorInput) else 2 for i in self.inputs]
        return self._sweep(start, "width")

    @property
    def n_outputs(self) -> int:
        """Number of coordinates of the output."""
        return self.widths[-1]

    @property
    def is_on_bars(self) -> bool:
        """Whether the inputs are diagrams."""
        return isinstance(self.inputs[0], BarInput)

    @cached_property
    def ranges(self) -> list[Range]:
        """Size and rounding error of every register over the whole domain."""
        start = []
        for i in self.inputs:
            if isinstance(i, BarInput):
                reach = np.full(2, max(abs(i.low), abs(i.high)))
                start.append(Range(reach, np.zeros(2)))
            elif math.isinf(i.norm):
                start.append(Range(np.full(i.width, i.limit), np.zeros(i.width)))
            else:
                reach = np.array([mul_up(sqrt_up(float(i.width)), i.limit)])
                start.append(Range(reach, np.zeros(1)))
        return self._sweep(start, "range", norms=())

    def rounding(self) -> Array:
        """Error of every computed output, anywhere in the domain, (n_outputs,)."""
        error = self.ranges[-1].error
        return np.broadcast_to(error, (self.n_outputs,))

    # --- constants ------------------------------------------------------------

    def constants(self, moves: Mapping[str, Mapping[Metric, Any]] | Any) -> list[Any]:
        """How far every register moves, given how far the inputs move.

        Parameters
        ----------
        moves : mapping, or float
            For bars: {channel: {metric: constant}}; for a vector input: its constant
            in the input's norm. Constants are floats or arrays of shape (n, 1).

        Returns
        -------
        list
            The last entry is of shape (..., n_outputs) for norm inf, (..., 1) for 2.
        """
        if not self.is_on_bars:
            (vector,) = self.inputs
            assert isinstance(vector, VectorInput)
            width = vector.width if math.isinf(vector.norm) else 1
            return self._sweep(
                [np.ones(width) * np.asarray(moves)], "constant", norms=()
            )
        channels = [i.channel for i in self.inputs if isinstance(i, BarInput)]
        return self._sweep([moves[name] for name in channels], "constant", norms=())

    def pair_constants(self, moves: Mapping[str, Mapping[Metric, Any]] | Any) -> Array:
        """L_cj: how far z_c - z_j moves, of shape (..., n_outputs, n_outputs).

        With an affine last layer sum_i |w_ci - w_ji| K_i in l_inf, and
        |w_c - w_j|_2 K in l_2; otherwise K_c + K_j, and sqrt(2) K [N9].
        """
        return self.pairs(self.constants(moves))

    def pairs(self, registers: Sequence[Any]) -> Array:
        """L_cj from the constants of all registers; see `pair_constants`."""
        head, n = self.operations[-1], self.n_outputs
        if isinstance(head, Affine):
            below = registers[head.inputs[0]]
            gaps = _row_gaps(head.weight)  # (n, n, n_in)
            if math.isinf(self.norms[head.inputs[0]]):
                flat = matvec_up(gaps.reshape(n * n, -1), below)
                return flat.reshape(*flat.shape[:-1], n, n)
            lengths = np.asarray(sqrt_up(sum_up(mul_up(gaps, gaps), axis=2)))
            return np.asarray(mul_up(np.asarray(below)[..., None], lengths))
        last = np.asarray(registers[-1])
        if math.isinf(self.norms[-1]):
            pairs = np.asarray(add_up(last[..., :, None], last[..., None, :]))
        else:
            root_two = pow_up(2.0, 0.5)
            pairs = np.asarray(mul_up(last[..., None], root_two)) * np.ones((n, n))
        return np.where(np.eye(n, dtype=bool), 0.0, pairs)

    def after(self, register: int) -> Program:
        """Return the program that starts from the vector in a register.

        Parameters
        ----------
        register : int
            A vector that all later operations go through.
        """
        first = len(self.inputs)
        width, norm = self.widths[register], self.norms[register]
        limit = float(self.ranges[register].size.max())
        operations = []
        for op in self.operations[register - first + 1 :]:
            moved = tuple(i - register for i in op.inputs)
            if min(moved) < 0:
                raise InvalidInputError(f"register {register} is bypassed later on")
            operations.append(replace(op, inputs=moved))
        vector = VectorInput(width, norm, max(limit, 2.0**-1000))
        return Program((vector,), tuple(operations))

    # --- evaluation -----------------------------------------------------------

    def evaluate(self, data: Diagrams | Any, until: int | None = None) -> Any:
        """Run the program.

        Parameters
        ----------
        data : Diagrams, or array or tensor of shape (n, width)
            Diagrams are checked against the frozen limits.
        until : int, optional
            Register to stop at; by default the output.

        Returns
        -------
        ndarray or tensor of shape (n, n_outputs)
        """
        stop = len(self.inputs) + len(self.operations) - 1 if until is None else until
        if not isinstance(data, Diagrams):
            return self._run([self._clip_vector(data)], stop)
        self.check(data)
        blocks = [
            self._run(self._read(data[s : s + _BLOCK]), stop)
            for s in range(0, len(data), _BLOCK)
        ]
        if not blocks:
            return np.empty((0, self.widths[stop]))
        return np.concatenate(blocks)

    def check(self, diagrams: Diagrams) -> None:
        """Raise unless the program accepts the diagrams."""
        for channel in self._bar_inputs():
            if channel.channel not in diagrams.channels:
                raise IncompatibleDiagramsError(
                    f"no channel {channel.channel!r} in diagrams with "
                    f"{', '.join(diagrams.channels)}; extract as at fit"
                )
            c = diagrams.channels.index(channel.channel)
            found = (diagrams.conventions[c], diagrams.units[c])
            if found != (channel.convention, channel.unit):
                raise IncompatibleDiagramsError(
                    f"channel {channel.channel!r} holds {found[0]} in unit {found[1]}, "
                    f"the model was fitted to {channel.convention} in {channel.unit}"
                )
            for values, limit, what in (
                (diagrams.counts[:, c], channel.max_bars, "bars"),
                (diagrams.error[:, c], channel.max_error, "engine error"),
            ):
                if (values > limit).any():
                    i = int(np.argmax(values > limit))
                    raise IncompatibleDiagramsError(
                        f"sample {i}, channel {channel.channel!r}: {what} "
                        f"{values[i]:g} above the model's limit {limit:g}; fit on "
                        "data of this size"
                    )

    def _bar_inputs(self) -> list[BarInput]:
        return [i for i in self.inputs if isinstance(i, BarInput)]

    def _read(self, diagrams: Diagrams) -> list[Ragged]:
        """Clipped bars of every input channel."""
        registers = []
        for channel in self._bar_inputs():
            own = diagrams.select([channel.channel])
            if channel.pinned and own.bars[:, 0].any():
                raise IncompatibleDiagramsError(
                    f"channel {channel.channel!r} has bars born after 0, the model "
                    "was fitted to bars that are all born at 0"
                )
            bars = np.clip(own.bars, channel.low, channel.high)
            registers.append(Ragged(bars, own.counts[:, 0]))
        return registers

    def _clip_vector(self, x: Any) -> Any:
        (vector,) = self.inputs
        if not isinstance(vector, VectorInput):
            raise InvalidInputError("this program reads diagrams, not vectors")
        if not hasattr(x, "detach"):
            x = np.asarray(x, dtype=np.float64)
            if not np.isfinite(x).all():
                raise NonFiniteError("the features hold NaN or infinity")
        else:
            x = x.double()
        if x.ndim != 2 or x.shape[1] != vector.width:
            raise ShapeError(
                f"features of shape {tuple(x.shape)}, not (n, {vector.width})"
            )
        return backend_of(x).clip(x, -vector.limit, vector.limit)

    def _run(self, registers: list[Any], stop: int) -> Any:
        first = registers[0]
        xp = backend_of(first.values if isinstance(first, Ragged) else first)
        for op in self.operations[: stop - len(self.inputs) + 1]:
            registers.append(op.evaluate(xp, *(registers[i] for i in op.inputs)))
        return registers[stop]

    # --- files ----------------------------------------------------------------

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON header and named arrays."""
        header = {
            "inputs": [{"type": type(i).__name__, **asdict(i)} for i in self.inputs],
            "operations": [op.options() for op in self.operations],
        }
        for entry in header["inputs"]:
            if entry.get("norm") == math.inf:
                entry["norm"] = "inf"
        arrays = {
            f"op{k:03d}.{name}": array
            for k, op in enumerate(self.operations)
            for name, array in op.arrays().items()
        }
        return header, arrays

    @classmethod
    def from_arrays(
        cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> Program:
        """Inverse of `to_arrays`; every check runs again."""
        kinds = {"BarInput": BarInput, "VectorInput": VectorInput}
        try:
            inputs = []
            for entry in header["inputs"]:
                values = dict(entry)
                if values.get("norm") == "inf":
                    values["norm"] = math.inf
                inputs.append(kinds[values.pop("type")](**values))
            operations = []
            for k, options in enumerate(header["operations"]):
                prefix = f"op{k:03d}."
                own = {
                    n.removeprefix(prefix): a
                    for n, a in arrays.items()
                    if n.startswith(prefix)
                }
                operations.append(Operation.restore(options, own))
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"not a frozen program: {error}") from error
        return cls(tuple(inputs), tuple(operations))

    def digest(self) -> str:
        """SHA-256 of the canonical JSON and all arrays."""
        header, arrays = self.to_arrays()
        sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
            sha.update(array.tobytes())
        return sha.hexdigest()


def _row_gaps(weight: Array) -> Array:
    """|w_c - w_j|, rounded up, 0 only where the entries are equal."""
    high = np.maximum(weight[:, None], weight[None])
    low = np.minimum(weight[:, None], weight[None])
    return np.asarray(np.abs(add_up(high, -low)))
