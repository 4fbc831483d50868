"""Certificates of scikit-learn pipelines: the bounds of all steps, composed.

    x  --scaler-->  x_1  --PCA-->  x_2  --network-->  label
    d(f(x), f(x')) <= K_n ( ... (K_1 d(x, x') + o_1) ... ) + o_n        [C1, F6]

The radius is in the units of what the pipeline is handed, `pipe[-1].certify(array)` in
those of the array.  Each step is bounded as it is executed, in float64, with its own
rounding in the offsets o; a step without a theorem is refused by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from stablerank.certify.certificate import Certificates
from stablerank.certify.composition import ChannelBounds, moves_after
from stablerank.certify.preprocessing import KNOWN_STEPS, affine_step
from stablerank.certify.programs import certify, certify_values
from stablerank.certify.regression import RegressionCertificates
from stablerank.certify.vectors import VectorMoves
from stablerank.estimators.base import TopologyMixin
from stablerank.estimators.classifier import ClassifierBase
from stablerank.estimators.lipschitz import LipschitzClassifier, LipschitzRegressor
from stablerank.estimators.regressor import RegressorBase
from stablerank.estimators.srn import NetworkOnBars
from stablerank.estimators.transformer import StableRankTransformer
from stablerank.exceptions import (
    DataTypeError,
    InvalidInputError,
    UncertifiableLayerError,
)
from stablerank.extract.base import Extractor
from stablerank.metrics import FeatureBall, Threat

__all__ = ["certify_pipeline"]

#: Of channels, of a vector (each entry a valid way to say it), of the raw input.
Bounds = ChannelBounds | tuple[VectorMoves, ...] | None


def certify_pipeline(
    pipe: Pipeline, X: Any, threat: Threat | None = None
) -> Certificates | RegressionCertificates:
    """Certify what a pipeline predicts, against moves of its own input.

    Parameters
    ----------
    pipe : sklearn.pipeline.Pipeline
        Fitted; it ends with an estimator of this library. Before it may stand an
        extractor, a `StableRankTransformer`, and of scikit-learn `StandardScaler`,
        `RobustScaler`, `MaxAbsScaler`, `MinMaxScaler`, `PCA`, "passthrough" and the
        identity `FunctionTransformer`.
    X : samples, or array-like of shape (n, n_features)
        As for `pipe.predict`; tables in float64.
    threat : Threat, optional
        What the radius measures, on X; by default that of the first step, or the
        `FeatureBall` of the network.

    Returns
    -------
    Certificates, or RegressionCertificates

    Raises
    ------
    UncertifiableLayerError
        If a step has no known constant; the message names it.
    NoStabilityTheorem
        If the threat has no theorem for the first step.

    Examples
    --------
    >>> import math
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from stablerank import FeatureBall, LipschitzClassifier, certify_pipeline
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = LipschitzClassifier(epochs=20, random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), clf).fit(X, y)
    >>> centimetres = certify_pipeline(pipe, X, FeatureBall(math.inf))
    >>> bool(centimetres.accuracy(y, 0.1) <= centimetres.accuracy(y))
    True
    """
    if not isinstance(pipe, Pipeline):
        raise InvalidInputError(
            f"certify_pipeline takes a Pipeline, got {type(pipe).__name__}; an "
            "estimator alone has its own certify"
        )
    check_is_fitted(pipe)
    *steps, (name, last) = _steps(pipe, "")
    if not isinstance(last, (ClassifierBase, RegressorBase)):
        raise UncertifiableLayerError(
            f"step {name!r} ({type(last).__name__}) has no certificates; end with "
            "SRNClassifier, SRNRegressor, LipschitzClassifier or LipschitzRegressor"
        )
    threat = _default_threat([step for _, step in steps], last, threat)
    data, bounds = X, None
    for label, step in steps:
        data, bounds = _after(label, step, data, bounds, threat)
    if bounds is None:
        return last.certify(data, threat)
    return _certified(name, last, data, bounds, threat)


def _steps(pipe: Pipeline, prefix: str) -> Iterator[tuple[str, Any]]:
    """Steps that do something, those of pipelines within this one included."""
    for name, step in pipe.steps:
        label = f"{prefix}{name}"
        if isinstance(step, Pipeline):
            yield from _steps(step, f"{label}.")
        elif step is not None and step != "passthrough":
            yield label, step


def _default_threat(steps: list[Any], last: Any, threat: Threat | None) -> Threat:
    if threat is not None:
        if not isinstance(threat, Threat):
            raise InvalidInputError(
                f"threat must be a threat such as Displacement(), got {threat!r}"
            )
        return threat
    for step in (*steps, last):
        if isinstance(step, Extractor):
            return step.default_threat
        if isinstance(step, TopologyMixin):
            return step._default_threat()
    return FeatureBall(last.norm)


def _after(
    name: str, step: Any, data: Any, bounds: Bounds, threat: Threat
) -> tuple[Any, Bounds]:
    """Output of a step, and how far it moves."""
    if isinstance(step, Extractor):
        if bounds is not None:
            raise UncertifiableLayerError(
                f"step {name!r} ({type(step).__name__}) extracts from the output of "
                "other steps, for which it has no theorem; put it first"
            )
        diagrams = TopologyMixin._weighed(step.transform(data), data, threat)
        return diagrams, step.bounds(threat, diagrams)
    if isinstance(step, StableRankTransformer):
        diagrams = TopologyMixin._weighed(step._diagrams(data), data, threat)
        if bounds is None:
            bounds = step._threat_bounds(threat, diagrams)
        moves = moves_after(step.program_, _of_bars(name, step, bounds))
        return step.program_.evaluate(diagrams), (moves,)
    known = affine_step(name, step)
    if known is None:
        return data, bounds
    before = _table(data)
    if bounds is None:
        bounds = VectorMoves.ball(threat, before.shape[1])
    if not isinstance(bounds, tuple):
        raise _misplaced(name, step)
    label = f"{type(step).__name__}, step {name!r}"
    moved = tuple(known.moves(label, before, moves) for moves in bounds)
    return step.transform(data), moved


def _certified(
    name: str, last: Any, data: Any, bounds: Bounds, threat: Threat
) -> Certificates | RegressionCertificates:
    """Certificates of the last step, for moves that reach it."""
    if isinstance(last, NetworkOnBars):
        chain: Any = _of_bars(name, last, bounds)
        inputs: Any = last._diagrams(data)
    elif isinstance(last, (LipschitzClassifier, LipschitzRegressor)):
        if not isinstance(bounds, tuple):
            raise _misplaced(name, last)
        chain, inputs = bounds, last._program_input(data)
    else:
        raise UncertifiableLayerError(
            f"step {name!r} ({type(last).__name__}) cannot be certified behind others; "
            "use its own certify"
        )
    if isinstance(last, ClassifierBase):
        return certify(last.program_, inputs, threat, chain, last.classes_)
    return certify_values(last.program_, inputs, threat, chain, last.single_)


def _of_bars(name: str, step: Any, bounds: Bounds) -> ChannelBounds:
    if bounds is None or isinstance(bounds, tuple):
        raise _misplaced(name, step)
    return bounds


def _misplaced(name: str, step: Any) -> UncertifiableLayerError:
    return UncertifiableLayerError(
        f"step {name!r} ({type(step).__name__}) stands where it has no theorem; put "
        "an extractor first, then StableRankTransformer or a model on diagrams, and "
        f"between vectors {KNOWN_STEPS}"
    )


def _table(data: Any) -> NDArray[np.float64]:
    """Rows in float64, in which the steps compute what is bounded."""
    array = np.asarray(data)
    if array.dtype.kind not in "iuf" or (
        array.dtype.kind == "f" and array.dtype != np.float64
    ):
        raise DataTypeError(
            f"X holds {array.dtype}, and the steps would compute in it, with roundings "
            "that are not bounded here; give X.astype(np.float64)"
        )
    return array.astype(np.float64)
