"""What a frozen operation is, and the state that its analyses carry.

Three things are known of every register: its value on a batch; how far it moves
when the input moves (`constant`); and how large it can be and how wrong it can be
computed, anywhere in the frozen domain (`Range`).  A register of norm inf carries
these per coordinate, a register of norm 2 as one number: the l_2 Lipschitz constant,
the l_2 size and the l_2 error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import (
    FileFormatError,
    NonFiniteError,
    UncertifiableLayerError,
)
from stablerank.metrics import Metric
from stablerank.rounding import gamma, mul_up, sqrt_up, sum_up

__all__ = ["Operation", "Ragged", "Range", "l2_up", "matvec_up"]

Array = NDArray[np.float64]

#: Outward factor after a few float operations on nonnegative numbers [F1].
LAYER_SLACK = 1 + 2.0**-40
TINY = 2.0**-1074


@dataclass(frozen=True)
class Ragged:
    """Values of bars: packed rows of all samples, and how many each sample has."""

    values: Any  # (N, F), numpy or torch
    counts: NDArray[np.int64]  # (n,)


@dataclass(frozen=True)
class Range:
    """Largest absolute value and largest computing error over the frozen domain."""

    size: Array  # (D,) for norm inf, (1,) for norm 2
    error: Array  # like size


#: How far bars move, by the metric in which the move was bounded: {metric: constant}.
BarConstants = dict[Metric, Array]


def matvec_up(weight: Array, x: Array) -> Array:
    """Upper bound of |weight| @ x for x >= 0, over the last axis of `x`.

    A zero is returned only where every product has a factor that is zero [F8].

    Examples
    --------
    >>> float(matvec_up(np.array([[1.0, -2.0], [0.0, 0.0]]), np.array([1.0, 1.0]))[1])
    0.0
    """
    size = np.abs(weight)
    n = size.shape[1]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        product = (x @ size.T) * (1 + 2 * gamma(n + 2)) + (n + 2) * TINY
        product = np.nextafter(product, np.inf)
    # inf * 0 is NaN in floats; the bound there is infinity.
    product = np.where(np.isnan(product), np.inf, product)
    if (x != 0).all():  # as for almost every sample: no second product is needed
        zero = ~size.any(axis=1)
    else:
        zero = (x != 0).astype(np.float64) @ (size != 0).astype(np.float64).T == 0
    return np.where(zero, 0.0, product)


def l2_up(x: Array) -> float:
    """Upper bound of the l_2 norm of all entries.

    Examples
    --------
    >>> l2_up(np.array([3.0, -4.0]))
    5.0
    """
    return float(sqrt_up(sum_up(mul_up(np.abs(x), np.abs(x)))))


@dataclass(frozen=True, eq=False)
class Operation:
    """One step of a frozen program.

    Arrays among the fields are float64 (or int64 for positions), finite and
    read-only; the other fields are JSON values.
    """

    #: Name in files; one a class.
    kind: ClassVar[str]
    registry: ClassVar[dict[str, type[Operation]]] = {}

    inputs: tuple[int, ...]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in vars(cls):
            Operation.registry[cls.kind] = cls

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(int(i) for i in self.inputs))
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                dtype = np.int64 if value.dtype.kind in "iu" else np.float64
                array = np.array(value, dtype=dtype, order="C")
                if not np.isfinite(array).all():
                    raise NonFiniteError(
                        f"{f.name} of {self.kind} has NaN or infinite entries; "
                        "training has diverged: lower the learning rate"
                    )
                array.flags.writeable = False
                object.__setattr__(self, f.name, array)
        self.check()

    def check(self) -> None:
        """Raise if the stored numbers are not what the operation needs."""

    def evaluate(self, xp: Any, *values: Any) -> Any:
        """Value of the output register on a batch."""
        raise NotImplementedError

    def norm(self, *norms: float) -> float:
        """Norm of the output register."""
        raise NotImplementedError

    def width(self, *widths: int) -> int:
        """Number of coordinates of the output register."""
        raise NotImplementedError

    def constant(self, *constants: Any, norms: tuple[float, ...]) -> Any:
        """How far the output moves, given how far the inputs move."""
        raise NotImplementedError

    def range(self, *ranges: Range, norms: tuple[float, ...]) -> Range:
        """Size and computing error of the output over the domain."""
        raise NotImplementedError

    def repeated(self, times: int) -> Operation:
        """Return the operation that does this to each of several vectors in a row."""
        raise UncertifiableLayerError(
            f"{self.kind} mixes coordinates and has no form for {times} vectors side "
            "by side; use a convolution"
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays, for files."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: v for name, v in values if isinstance(v, np.ndarray)}

    def options(self) -> dict[str, Any]:
        """JSON fields, for files."""
        result: dict[str, Any] = {"kind": self.kind}
        for f in fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, np.ndarray):
                infinite = isinstance(value, float) and math.isinf(value)
                result[f.name] = "inf" if infinite else value
        return result

    @staticmethod
    def restore(
        options: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> Operation:
        """Inverse of `options` and `arrays`."""
        values: dict[str, Any] = {
            k: math.inf if v == "inf" else v for k, v in options.items()
        }
        kind = values.pop("kind", None)
        if kind not in Operation.registry:
            raise FileFormatError(f"unknown operation {kind!r}; update stablerank")
        values["inputs"] = tuple(values["inputs"])
        build: Callable[..., Operation] = Operation.registry[kind]
        return build(**values, **arrays)
