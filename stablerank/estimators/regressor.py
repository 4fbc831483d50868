"""The Stable Rank Network as a scikit-learn regressor with certified intervals."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from stablerank.certify.programs import certify_values
from stablerank.certify.regression import RegressionCertificates
from stablerank.estimators.base import training_bounds
from stablerank.estimators.encoders import check_representation, represent
from stablerank.estimators.many import ManyThreats
from stablerank.estimators.regression import learn_regression
from stablerank.estimators.srn import NetworkOnBars
from stablerank.estimators.targets import read_targets
from stablerank.frozen import Program
from stablerank.metrics import Threat
from stablerank.training import Schedule

__all__ = ["RegressorBase", "SRNRegressor"]

Array = NDArray[np.float64]


class RegressorBase(ManyThreats, RegressorMixin, BaseEstimator):
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


class SRNRegressor(NetworkOnBars, RegressorBase):
    """Predict numbers from shape, with certified intervals.

    Parameters
    ----------
    extractor : Extractor, list of extractors, "precomputed" or None
        As in `SRNClassifier`.
    network, norm
        As in `SRNClassifier`.
    representation : {"bank", "learned bank"}
        As in `SRNClassifier`.
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
        "norm": [Options(numbers.Real, {2, math.inf})],
        "representation": [StrOptions({"bank", "learned bank"})],
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
        network: str = "auto",
        *,
        norm: float = math.inf,
        representation: str = "bank",
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
        self.norm = norm
        self.representation = representation
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
        check_representation(self.representation, self.norm)
        target = read_targets(y)
        extractor, diagrams = self._training_diagrams(X, target)
        bounds = training_bounds(extractor, diagrams, norm=self.norm)
        features, encoder = represent(self.representation, diagrams, bounds, self.norm)
        learned = learn_regression(
            features.values,
            features.constants,
            target,
            build=self._build,
            norm=self.norm,
            lipschitz=self.lipschitz,
            schedule=Schedule(epochs=self.epochs),
            validation_fraction=self.validation_fraction,
            seed=self._seed(),
            progress=self.progress,
            encoder=encoder,
        )
        self._keep(extractor, diagrams, features, encoder, learned)
        self.n_targets_ = target.shape[1]
        self.single_ = np.ndim(y) == 1
        return self

    def certify(self, X: Any, threat: Threat | None = None) -> RegressionCertificates:
        """Certified intervals of the predictions for X.

        Parameters
        ----------
        X : samples or Diagrams
            As for `predict`.
        threat : Threat, optional
            What eps measures; by default the extractor's usual one. A `FeatureBall` is
            around the representation vector.
        """
        return certify_values(*self._question(X, threat), self.single_)
