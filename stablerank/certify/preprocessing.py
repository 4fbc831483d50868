"""Steps of scikit-learn that are affine maps, with their constants and roundings.

A fitted scaler or PCA is y = W x + b, applied in float64 with no frozen domain.  With
the computed map f, and gamma as in [F1],

    |f(x)_i - y_i| <= gamma_k ((|W| |x|)_i + c_i) + t,

whatever the order of summation; so, for a computed clean x and any x',

    |f(x)_i - f(x')_i| <= (1 + gamma_k) (|W| |x - x'|)_i
                          + 2 (gamma_k ((|W| |x|)_i + c_i) + t)          [N1, F6]

by coordinate, and alike in l_2 with s(W) + gamma_k |W|_F.  What scikit-learn runs was
read for each step of the table; a step that is not in it, or a subclass, has no bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from stablerank.bounds import Bound
from stablerank.certify.vectors import VectorMoves, euclidean, ratio_up, top
from stablerank.exceptions import NonFiniteError, UncertifiableLayerError
from stablerank.frozen.base import TINY, matvec_up
from stablerank.frozen.spectral import spectral_norm_up
from stablerank.metrics import VectorNorm
from stablerank.rounding import UNIT_ROUNDOFF, add_up, div_up, gamma, mul_up, sqrt_up

__all__ = ["KNOWN_STEPS", "AffineStep", "affine_step"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AffineStep:
    """What is known of one computed affine map.

    Parameters
    ----------
    size : ndarray of shape (n,) or (n_out, n_in)
        |W|, rounded up; one row for a diagonal W.
    shift : ndarray of shape (n_out,)
        c: what is added to |W||x| where errors are in proportion to it.
    spectral : float
        At least s(W).
    n_operations : int
        k: roundings that a term goes through, with the sums.
    lost : float
        t: what underflow may cost.
    """

    size: Array
    shift: Array
    spectral: float
    n_operations: int
    lost: float = 4 * TINY

    def moves(self, name: str, before: Array, moves: VectorMoves) -> VectorMoves:
        """How far the output moves.

        Parameters
        ----------
        name : str
            Of the step, for people.
        before : ndarray of shape (n, n_in)
            The computed clean input.
        moves : VectorMoves
            Of the input.
        """
        terms = np.asarray(add_up(self._through(np.abs(before)), self.shift))
        lost = self.lost
        if not math.isinf(moves.norm):
            terms = euclidean(terms)
            lost = float(mul_up(sqrt_up(float(len(self.shift))), lost))
        own = add_up(mul_up(gamma(self.n_operations), terms), lost)
        constant = self._stretched(moves.constant, moves.norm)
        offsets = {
            cause: self._stretched(part, moves.norm)
            for cause, part in moves.offsets.items()
        }
        known = offsets.get("rounding", np.zeros(1))
        # At the sample, and in the ball.
        offsets["rounding"] = np.asarray(add_up(known, mul_up(2.0, own)))
        norm = VectorNorm(moves.norm)
        link = Bound(
            norm, norm, ratio_up(top(constant), top(moves.constant)), "N1", name
        )
        return VectorMoves(moves.norm, constant, link @ moves.chain, offsets)

    def _stretched(self, move: Array, norm: float) -> Array:
        """How far the output moves if the input moves so far, rounding included."""
        share = gamma(self.n_operations)
        if math.isinf(norm):
            return np.asarray(mul_up(self._through(move), 1 + 2 * share))
        factor = add_up(self.spectral, mul_up(share, self._frobenius()))
        return np.asarray(mul_up(factor, move))

    def _through(self, x: Array) -> Array:
        """|W| x for x >= 0, rounded up."""
        if self.size.ndim == 1:
            return np.asarray(mul_up(x, self.size))
        return matvec_up(self.size, x)

    def _frobenius(self) -> float:
        return float(euclidean(self.size.reshape(1, -1))[0, 0])


def affine_step(name: str, step: Any) -> AffineStep | None:
    """Return what is known of a fitted step; None if it is the identity.

    Parameters
    ----------
    name : str
        Of the step, for messages.
    step : estimator
        Of scikit-learn.

    Raises
    ------
    UncertifiableLayerError
        If no constant of this step is proved.

    Examples
    --------
    >>> scaler = StandardScaler().fit([[0.0], [4.0]])
    >>> affine_step("scale", scaler).spectral
    0.5
    """
    if step is None or step == "passthrough":
        return None
    rule = _RULES.get(type(step))
    if rule is None:
        raise UncertifiableLayerError(
            f"step {name!r} ({type(step).__name__}) has no known Lipschitz constant, "
            f"and none is assumed; use {KNOWN_STEPS}"
        )
    return rule(f"step {name!r} ({type(step).__name__})", step)


def _scaled(name: str, centre: Any, scale: Any) -> AffineStep:
    """(x - centre) / scale: two roundings; clipping is exact and 1-Lipschitz."""
    width = len(centre if centre is not None else scale)
    divisor = np.ones(width) if scale is None else _numbers(name, scale)
    middle = np.zeros(width) if centre is None else _numbers(name, centre)
    if (divisor == 0).any():
        raise NonFiniteError(f"{name} divides by 0; drop the constant column")
    size = np.asarray(div_up(1.0, np.abs(divisor)))
    shift = np.asarray(mul_up(size, np.abs(middle)))
    return AffineStep(size, shift, top(size), 4)


def _standard(name: str, step: Any) -> AffineStep | None:
    if not (step.with_mean or step.with_std):
        return None
    mean = step.mean_ if step.with_mean else None
    return _scaled(name, mean, step.scale_ if step.with_std else None)


def _robust(name: str, step: Any) -> AffineStep | None:
    if not (step.with_centering or step.with_scaling):
        return None
    centre = step.center_ if step.with_centering else None
    return _scaled(name, centre, step.scale_ if step.with_scaling else None)


def _max_abs(name: str, step: Any) -> AffineStep:
    return _scaled(name, None, step.scale_)


def _min_max(name: str, step: Any) -> AffineStep:
    """x scale + min, then perhaps clipped."""
    size = np.abs(_numbers(name, step.scale_))
    return AffineStep(size, np.abs(_numbers(name, step.min_)), top(size), 4)


def _pca(name: str, step: Any) -> AffineStep:
    """(C x - C m) / s, the two products apart; s is 1 unless whitened."""
    rows, mean = _numbers(name, step.components_), _numbers(name, step.mean_)
    weight, scale = rows, np.ones(len(rows))
    if step.whiten:
        # As `transform` does; a square root is the same float each time.
        scale = np.sqrt(_numbers(name, step.explained_variance_))
        scale[scale < np.finfo(scale.dtype).eps] = np.finfo(scale.dtype).eps
        weight = rows / scale[:, None]
    size = np.asarray(div_up(np.abs(rows), scale[:, None]))
    frobenius = float(euclidean(size.reshape(1, -1))[0, 0])
    spectral = float(spectral_norm_up(weight))
    if step.whiten:  # the quotient itself was rounded
        rounded = add_up(mul_up(2 * UNIT_ROUNDOFF, frobenius), size.size * TINY)
        spectral = float(add_up(spectral, rounded))
    n_in = rows.shape[1]
    lost = float(mul_up(2 * (n_in + 4) * TINY, add_up(1.0, div_up(1.0, scale.min()))))
    shift = matvec_up(size, np.abs(mean))
    return AffineStep(size, shift, spectral, n_in + 8, lost)


def _function(name: str, step: Any) -> None:
    if step.func is not None:
        raise UncertifiableLayerError(
            f"{name} applies a function whose constant is not known; only the "
            "identity (func=None) is"
        )


def _numbers(name: str, values: Any) -> Array:
    """Fitted numbers in the float64 that the bounds are proved for."""
    array = np.asarray(values)
    if array.dtype != np.float64:
        raise UncertifiableLayerError(
            f"{name} was fitted on {array.dtype} and computes in it, which is not "
            "bounded here; fit the pipeline on float64"
        )
    if not np.isfinite(array).all():
        raise NonFiniteError(f"{name} holds NaN or infinity; clean the data and refit")
    return array


_RULES: dict[type, Callable[[str, Any], AffineStep | None]] = {
    StandardScaler: _standard,
    RobustScaler: _robust,
    MaxAbsScaler: _max_abs,
    MinMaxScaler: _min_max,
    PCA: _pca,
    FunctionTransformer: _function,
}
KNOWN_STEPS = ", ".join(kind.__name__ for kind in _RULES)
