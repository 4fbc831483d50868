"""Certificates of frozen programs: constants, one forward pass, radii.

A certificate is about the program as it is executed, so this room needs the program,
its input and the bounds of the threat, and knows nothing of estimators or training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stablerank.bounds import Bound
from stablerank.certify.certificate import Certificates
from stablerank.certify.composition import (
    AnyBounds,
    ChannelBounds,
    Composition,
    compose,
)
from stablerank.certify.margin import margin_radii
from stablerank.certify.regression import RegressionCertificates
from stablerank.certify.vectors import VectorMoves, entered_in_l2, ratio_up, top
from stablerank.diagrams import Diagrams
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Program
from stablerank.metrics import Threat, VectorNorm

__all__ = ["best_entry", "certify", "certify_values"]


def certify(
    program: Program,
    data: Diagrams | Any,
    threat: Threat,
    bounds: AnyBounds | tuple[VectorMoves, ...] | None = None,
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
        `extractor.bounds(threat, diagrams)` for programs on diagrams. A program on
        vectors needs none: the threat is a `FeatureBall` around them.
    classes : sequence, optional
        Labels of the outputs; by default 0, 1, ....

    Returns
    -------
    Certificates

    Examples
    --------
    >>> import math
    >>> from stablerank.frozen import Affine, VectorInput
    >>> from stablerank.metrics import FeatureBall
    >>> head = Affine((0,), np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2))
    >>> program = Program((VectorInput(2, math.inf, 8.0),), (head,))
    >>> cert = certify(program, [[3.0, 1.0]], FeatureBall(math.inf))
    >>> round(float(cert.radius[0]), 9), int(cert.rival[0])
    (1.0, 1)
    """
    names = np.asarray(range(program.n_outputs) if classes is None else classes)
    if names.shape != (program.n_outputs,):
        raise ShapeError(
            f"classes of shape {names.shape} for {program.n_outputs} outputs; give one "
            "label an output"
        )
    program, composition = best_entry(program, _bounds(program, data, threat, bounds))
    logits = _outputs(program, data)
    found = margin_radii(logits, composition.constants, composition.owed)
    return Certificates(
        label=names[found.predicted],
        radius=found.radius,
        reason=found.reason,
        rival=names[found.rival],
        bound=_to_pairs(composition),
        threat=threat,
        evidence={
            "logits": logits,
            "constants": composition.constants,
            "owed": composition.owed,
            "rounding": composition.rounding,
            "engine": composition.engine,
            "approximation": composition.approximation,
            "classes": names,
            "program": program,
            "data": data,
            "bounds": bounds,
        },
    )


def certify_values(
    program: Program,
    data: Diagrams | Any,
    threat: Threat,
    bounds: AnyBounds | tuple[VectorMoves, ...] | None = None,
    single: bool = False,
) -> RegressionCertificates:
    """Certify the outputs of a frozen program as numbers.

    Parameters
    ----------
    program, data, threat, bounds
        As for `certify`; the last register holds the predictions.
    single : bool
        There is one target, and values are of shape (n,).

    Returns
    -------
    RegressionCertificates

    Examples
    --------
    >>> from stablerank.frozen import Affine, VectorInput
    >>> from stablerank.metrics import FeatureBall
    >>> line = Affine((0,), np.array([[3.0]]), np.array([1.0]))
    >>> program = Program((VectorInput(1, 2, 8.0),), (line,))
    >>> cert = certify_values(program, [[2.0]], FeatureBall(2), single=True)
    >>> low, high = cert.interval(0.5)
    >>> round(float(low[0]), 9), round(float(high[0]), 9)
    (5.5, 8.5)
    """
    program, composition = best_entry(program, _bounds(program, data, threat, bounds))
    value = _outputs(program, data)
    # One of each for all samples, or one a sample, whichever the bounds depend on.
    constant = np.broadcast_to(composition.output_constants, value.shape)
    error = np.broadcast_to(composition.output_errors, value.shape)
    if single:
        value, constant, error = value[:, 0], constant[:, 0], error[:, 0]
    evidence = {
        "rounding": composition.rounding,
        "engine": composition.engine,
        "approximation": composition.approximation,
        "program": program,
    }
    return RegressionCertificates(
        value, constant, error, composition.bound, threat, evidence
    )


def _bounds(program: Program, data: Any, threat: Threat, bounds: Any) -> Any:
    """The bounds as given, if they are of this data; for vectors, the ball."""
    if not isinstance(threat, Threat):
        raise InvalidInputError(
            f"threat must be a threat such as Displacement(), got {threat!r}"
        )
    if isinstance(bounds, Mapping):
        _check_samples(bounds, len(data))
    if bounds is not None:
        return bounds
    if program.is_on_bars:
        raise InvalidInputError(
            "a program on diagrams needs bounds=extractor.bounds(threat, diagrams)"
        )
    return VectorMoves.ball(threat, program.widths[0])


def _check_samples(bounds: ChannelBounds, n: int) -> None:
    """Raise where constants by sample are those of other samples."""
    for name, own in bounds.items():
        for bound in own:
            sizes = {np.size(bound.constant)} if np.ndim(bound.constant) else {n}
            if sizes != {n}:
                raise ShapeError(
                    f"channel {name!r} has bounds of {sizes.pop()} samples, the data "
                    f"has {n}; give the bounds of these samples"
                )


def _outputs(program: Program, data: Any) -> Any:
    """One forward pass: on an accelerator where the data are, else by numpy.

    The error that is charged holds for any order of summation [F1], so for both.
    """
    if not hasattr(data, "detach"):
        return np.asarray(program.evaluate(data))
    if data.device.type == "cpu":
        return np.asarray(program.evaluate(data.detach().numpy()))
    return program.evaluate(data.detach()).cpu().numpy()


def best_entry(
    program: Program, bounds: AnyBounds | tuple[VectorMoves, ...]
) -> tuple[Program, Composition]:
    """Compose along the way that gives the smallest constants.

    Parameters
    ----------
    program : Program
        Frozen.
    bounds : as for `compose`, or a tuple of moves
        Each of the moves is a valid description of the same threat. Those in l_2 may
        enter an l_inf network as they are, or coordinate by coordinate.

    Returns
    -------
    Program
        The same function, analysed in the norm of its best entry.
    Composition
    """
    ways: list[tuple[Program, AnyBounds]] = []
    entered = entered_in_l2(program)
    for moves in bounds if isinstance(bounds, tuple) else (bounds,):
        euclidean = isinstance(moves, VectorMoves) and moves.norm == 2
        ways.append((entered if euclidean else program, moves))
    found = [(way, compose(way, moves)) for way, moves in ways]
    return min(found, key=lambda pair: top(pair[1].constants))


def _to_pairs(composition: Composition) -> Bound:
    """The chain, and what the difference of two outputs adds to one of them."""
    chain = composition.bound
    largest = top(composition.constants)
    factor = ratio_up(largest, top(chain.constant))
    note = "difference of two outputs"
    return Bound(chain.target, VectorNorm(), factor, "N9", note) @ chain
