"""How far a vector moves on its way into a network.

A move is known per coordinate (norm inf) or as one l_2 length (norm 2), as an affine
function of the size of the perturbation,

    |v_i - v_i'| <= constant_i * d(x, x') + offset_i,

the offset being what equal inputs may differ by: rounding, the engine, an
approximation.  Each share of it has a name and stays apart up to the certificate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.bounds import Bound
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem
from stablerank.frozen import (
    Abs,
    Affine,
    Diagonal,
    GroupSort,
    Program,
    ReLU,
    VectorInput,
)
from stablerank.metrics import FeatureBall, Threat, VectorNorm
from stablerank.rounding import div_up, mul_up, sqrt_up, sum_up

__all__ = ["VectorMoves", "entered_in_l2", "euclidean", "ratio_up", "top"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class VectorMoves:
    """Constants and offsets of a vector under one threat.

    Parameters
    ----------
    norm : float
        inf: arrays of shape (width,) or (n, width); 2: of shape (1,) or (n, 1).
    constant : ndarray
        Per unit of the threat, rounded up.
    offsets : mapping of str to ndarray
        Shares of the offset by cause: "rounding", "engine", "approximation".
    chain : Bound
        From the threat to this vector, for people.

    Examples
    --------
    >>> (box,) = VectorMoves.ball(FeatureBall(math.inf), 4)
    >>> box.into(2).constant
    array([2.])
    """

    norm: float
    constant: Array
    chain: Bound
    offsets: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def ball(cls, threat: Threat, width: int) -> tuple[VectorMoves, ...]:
        """Moves of the vector itself inside a ball around it; all ways that are valid.

        An l_2 ball also lies in the box of the same radius, which goes through steps
        that scale coordinates very differently with less loss.
        """
        if not isinstance(threat, FeatureBall):
            raise NoStabilityTheorem(
                f"a network on features has no theorem for the {threat}",
                "FeatureBall(2) or FeatureBall(math.inf)",
            )
        ways = []
        for norm in (2.0, math.inf):
            if norm >= threat.norm:
                constant = np.ones(width if math.isinf(norm) else 1)
                chain = Bound(threat, VectorNorm(norm), 1.0, "C1", "the vector itself")
                ways.append(cls(norm, constant, chain))
        return tuple(ways)

    @classmethod
    def along(cls, bound: Bound, width: int) -> VectorMoves:
        """Moves of all coordinates alike, as one bound says.

        Examples
        --------
        >>> bound = Bound(FeatureBall(2), VectorNorm(math.inf), 3.0, "N1")
        >>> VectorMoves.along(bound, 2).constant
        array([3., 3.])
        """
        target = bound.target
        if not isinstance(target, VectorNorm) or target.p not in (2, math.inf):
            raise InvalidInputError(
                f"a vector is bounded in l_2 or l_inf, not {target}"
            )
        one = np.ones(width if math.isinf(target.p) else 1)
        constant, offset = (
            (values[:, None] if values.ndim else values) * one
            for values in map(np.asarray, (bound.constant, bound.offset))
        )
        return cls(float(target.p), constant, bound, {"approximation": offset})

    def into(self, norm: float) -> VectorMoves:
        """The same moves in another norm [C1]: the l_2 sum of all, or all for each."""
        if norm == self.norm:
            return self
        if math.isinf(norm):  # |v_i| <= |v|_2
            link = Bound(VectorNorm(2), VectorNorm(norm), 1.0, "C1")
            return replace(self, norm=norm, chain=link @ self.chain)
        constant = euclidean(self.constant)
        factor = ratio_up(top(constant), top(self.constant))
        link = Bound(VectorNorm(self.norm), VectorNorm(norm), factor, "C1")
        offsets = {name: euclidean(part) for name, part in self.offsets.items()}
        return VectorMoves(norm, constant, link @ self.chain, offsets)


def euclidean(moves: Array) -> Array:
    """l_2 length of the last axis, rounded up, as (..., 1).

    Examples
    --------
    >>> euclidean(np.array([3.0, 4.0]))
    array([5.])
    """
    return np.asarray(sqrt_up(sum_up(mul_up(moves, moves), axis=-1)))[..., None]


def top(values: Any) -> float:
    """Largest entry of a nonnegative array or number; 0 of none.

    Examples
    --------
    >>> top(np.array([1.0, 3.0])), top(2.0), top(np.empty(0))
    (3.0, 2.0, 0.0)
    """
    return float(np.max(np.asarray(values), initial=0.0))


def ratio_up(whole: float, part: float) -> float:
    """Factor that leads from `part` to at least `whole`; 0 only if the whole is 0.

    Examples
    --------
    >>> ratio_up(6.0, 2.0), ratio_up(0.0, 0.0)
    (3.0, 0.0)
    """
    if whole == 0:
        return 0.0
    if math.isinf(part):
        return 1.0
    return float(div_up(whole, max(part, 2.0**-1022)))


#: What may stand before the first affine map: it is bounded in l_2 as in l_inf.
_EITHER_NORM = (Diagonal, GroupSort, Abs, ReLU)


def entered_in_l2(program: Program) -> Program:
    """The same function, with its input measured in l_2 where that can be done.

    An l_inf network is entered through an affine map, whose outputs move by at most
    |W_i|_2 under a unit l_2 ball, and not by |W_i|_1 [C1, N1]. The operations and
    their order stay, so every bit of the result does.

    Parameters
    ----------
    program : Program
        On a vector. Unless it starts with an affine map, up to operations that are
        bounded in both norms, it is returned as it is.

    Examples
    --------
    >>> head = Affine((0,), np.ones((1, 4)), np.zeros(1))
    >>> program = Program((VectorInput(4, math.inf, 8.0),), (head,))
    >>> for way in (program, entered_in_l2(program)):
    ...     print(round(float(way.constants(1.0)[-1][0]), 9))
    4.0
    2.0
    """
    vector, operations = program.inputs[0], list(program.operations)
    if not isinstance(vector, VectorInput) or vector.norm == 2:
        return program
    for k, op in enumerate(operations):
        if op.inputs != (k,):
            return program
        if isinstance(op, Affine):
            if any(min(later.inputs) <= k for later in operations[k + 1 :]):
                return program  # an l_2 register would meet an l_inf one
            operations[k] = replace(op, to_inf=True)
            return Program((replace(vector, norm=2),), tuple(operations))
        if not isinstance(op, _EITHER_NORM):
            return program
    return program
