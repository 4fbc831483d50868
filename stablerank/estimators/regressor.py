"""The Stable Rank Network as a scikit-learn regressor with certified intervals."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from stablerank.certify.composition import compose, vector_bounds
from stablerank.certify.regression import RegressionCertificates
from stablerank.diagrams import Diagrams
from stablerank.estimators.base import (
    TopologyMixin,
    bank_features,
    check_target_length,
    training_bounds,
)
from stablerank.estimators.regression import learn_regression
from stablerank.exceptions import NonFiniteError, ShapeError
from stablerank.frozen import Program
from stablerank.metrics import Threat
from stablerank.nn import Network, build_network
from stablerank.training import Schedule

__all__ = ["RegressorBase", "SRNRegressor", "read_targets", "regression_certificates"]

Array = NDArray[np.float64]


def read_targets(y: ArrayLike) -> Array:
    """Targets as (n, n_targets) float64, finite.

    Examples
    --------
    >>> read_targets([1, 2]).shape
    (2, 1)
    """
    target = np.asarray(y, dtype=np.float64)
    if target.ndim not in (1, 2):
        raise ShapeError(f"y has shape {target.shape}; expected (n,) or (n, n_targets)")
    target = target.reshape(len(target), -1)
    if not np.isfinite(target).all():
        row = int(np.argmax(~np.isfinite(target).all(axis=1)))
        raise NonFiniteError(f"Input y contains NaN or infinity in row {row}; drop it")
    return target


def regression_certificates(
    program: Program, data: Any, threat: Threat, bounds: Any, single: bool
) -> RegressionCertificates:
    """Constants and errors of every output, for one threat."""
    chain = vector_bounds(program, threat) if bounds is None else bounds
    composition = compose(program, chain)
    value = np.asarray(program.evaluate(data))
    # One of each for all samples, or one a sample, whichever the bounds depend on.
    constant = np.broadcast_to(composition.output_constants, value.shape)
    error = np.broadcast_to(composition.output_errors, value.shape)
    if single:
        value, constant, error = value[:, 0], constant[:, 0], error[:, 0]
    evidence = {
        "rounding": composition.rounding,
        "engine": composition.engine,
        "approximation": composition.approximation,
    }
    return RegressionCertificates(
        value, constant, error, composition.bound, threat, evidence
    )


class RegressorBase(RegressorMixin, BaseEstimator):
    """Predictions of the frozen program, which alone decides."""

    program_: Program
    n_targets_: int
    single_: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _program_input(self, X: Any) -> Any:
        raise NotImplementedError

    def predict(self, X: Any) -> Array:
        """Predictions, (n,) or (n, n_targets) as the targets were."""
        check_is_fitted(self, "program_")
        value = np.asarray(self.program_.evaluate(self._program_input(X)))
        return value[:, 0] if self.single_ else value


class SRNRegressor(TopologyMixin, RegressorBase):
    """Predict numbers from shape, with certified intervals.

    Parameters
    ----------
    extractor : Extractor, list of extractors, "precomputed" or None
        As in `SRNClassifier`.
    network : str
        Architecture.
    lipschitz : "auto" or float
        "auto": a gain on the standardised target, chosen on the validation part; a
        float caps the constant, in target units per unit of the default threat.
    hidden, network_options, validation_fraction, random_state
        As in `SRNClassifier`.
    epochs : int
        Passes over the training data.
    n_jobs, progress, memory
        Handed to the extractor where it has none of its own.

    Examples
    --------
    >>> import numpy as np
    >>> import stablerank as sr
    >>> rng = np.random.default_rng(0)
    >>> sizes = rng.uniform(1, 2, 40)
    >>> clouds = [s * rng.random((30, 2)) for s in sizes]
    >>> reg = sr.SRNRegressor(epochs=5, random_state=0).fit(clouds, sizes)
    >>> low, high = reg.certify(clouds[:1], sr.Displacement()).interval(1e-3)
    >>> bool((low < high).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "network": [str],
        "lipschitz": [
            StrOptions({"auto"}),
            Interval(numbers.Real, 0, None, closed="neither"),
        ],
        "hidden": ["array-like"],
        "network_options": [dict, None],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(numbers.Real, 0, 0.9, closed="both")],
        "random_state": ["random_state"],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        extractor: Any = None,
        network: str = "maxmin",
        *,
        lipschitz: str | float = "auto",
        hidden: Sequence[int] = (128, 128),
        network_options: Mapping[str, Any] | None = None,
        epochs: int = 80,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: Any = None,
    ) -> None:
        self.extractor = extractor
        self.network = network
        self.lipschitz = lipschitz
        self.hidden = hidden
        self.network_options = network_options
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory

    def fit(self, X: Any, y: ArrayLike) -> SRNRegressor:
        """Extract, represent, train, freeze.

        Parameters
        ----------
        X : samples or Diagrams
            What the extractor reads.
        y : array-like of shape (n,) or (n, n_targets)
            Targets.
        """
        self._validate_params()
        target = read_targets(y)
        if hasattr(X, "__len__"):  # said before the extraction, where it can be
            check_target_length(len(X), target)
        extractor = self._new_extractor(X)
        diagrams = self._extract_fit(X, extractor)
        check_target_length(len(diagrams), target)
        bounds = training_bounds(extractor, diagrams)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        features = bank_features(diagrams, np.arange(len(diagrams)), bounds)
        learned = learn_regression(
            features.values,
            features.constants,
            target,
            build=self._build,
            lipschitz=self.lipschitz,
            schedule=Schedule(epochs=self.epochs),
            validation_fraction=self.validation_fraction,
            seed=seed,
            progress=self.progress,
        )
        head = learned.operations(features.register)
        program = Program(tuple(features.inputs), (*features.operations, *head))
        self.extractor_ = extractor
        self.program_ = program
        self.n_targets_ = target.shape[1]
        self.single_ = np.ndim(y) == 1
        self.feature_names_ = features.names
        self.history_ = learned.history
        self.n_features_in_ = getattr(
            extractor, "n_features_in_", len(diagrams.channels)
        )
        return self

    def _build(self, n_in: int, n_out: int) -> Network:
        options = dict(self.network_options or {})
        return build_network(self.network, n_in, n_out, tuple(self.hidden), **options)

    def _program_input(self, X: Any) -> Diagrams:
        return self._diagrams(X)

    def certify(self, X: Any, threat: Threat | None = None) -> RegressionCertificates:
        """Certified intervals of the predictions for X.

        Parameters
        ----------
        X : samples or Diagrams
            As for `predict`.
        threat : Threat, optional
            What eps measures; by default the extractor's usual one.
        """
        threat = self._default_threat() if threat is None else threat
        diagrams = self._weighed(self._diagrams(X), X, threat)
        bounds = self._threat_bounds(threat, diagrams)
        return regression_certificates(
            self.program_, diagrams, threat, bounds, self.single_
        )
