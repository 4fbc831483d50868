"""Certified classifiers and regressors for plain tables of features.

The input is a vector, the threat a ball around it (`FeatureBall`); everything else
is as for diagrams.  One scale serves all columns: the ball treats them alike.
"""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from stablerank.certify.certificate import Certificates
from stablerank.certify.programs import certify, certify_values
from stablerank.certify.regression import RegressionCertificates
from stablerank.estimators.choices import (
    check_hidden,
    named_network,
    network_name,
    wanted_radii,
)
from stablerank.estimators.classifier import ClassifierBase, chosen_preset
from stablerank.estimators.learning import learn_classifier
from stablerank.estimators.presets import PRESETS
from stablerank.estimators.regression import learn_regression
from stablerank.estimators.regressor import RegressorBase
from stablerank.estimators.targets import (
    check_target_length,
    class_weights,
    encode_labels,
    read_targets,
)
from stablerank.frozen import Program, VectorInput
from stablerank.metrics import FeatureBall, Threat
from stablerank.nn import Loss, Network
from stablerank.training import Schedule

__all__ = ["LipschitzClassifier", "LipschitzRegressor"]

Array = NDArray[np.float64]

#: Inputs are clipped at this multiple of the largest training value.
_HEADROOM = 16.0


def _vector_input(x: Array, norm: float) -> VectorInput:
    largest = float(np.abs(x).max(initial=0.0))
    return VectorInput(x.shape[1], norm, _HEADROOM * largest or 1.0)


class _TableMixin:
    """Reading tables, and networks for a norm."""

    norm: float
    network: str
    hidden: Sequence[int]
    network_options: Mapping[str, Any] | None

    def _build(self, n_in: int, n_out: int) -> Network:
        name = network_name(self.network, self.norm)
        return named_network(name, n_in, n_out, self.hidden, self.network_options)

    def _remember_columns(self, checked: Any) -> None:
        """Take over what `validate_data` found out about the columns."""
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(checked, name):
                setattr(self, name, getattr(checked, name))
            elif hasattr(self, name):
                delattr(self, name)

    def _program_input(self, X: Any) -> Array:
        check_is_fitted(self, "program_")
        return np.asarray(validate_data(self, X, dtype=np.float64, reset=False))


class LipschitzClassifier(_TableMixin, ClassifierBase):
    """Classify rows of a table, with certified radii in l_inf or l_2.

    Parameters
    ----------
    norm : {math.inf, 2}
        Norm of the perturbation.
    network : str
        "auto" is "maxmin" for l_inf and "bro" for l_2; see
        `stablerank.nn.build_network`.
    preset, radii, loss, hidden, network_options, epochs, class_weight
        As in `SRNClassifier`.
    validation_fraction, random_state, progress
        As in `SRNClassifier`.

    Examples
    --------
    >>> import math
    >>> from sklearn.datasets import load_iris
    >>> from stablerank import FeatureBall, LipschitzClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = LipschitzClassifier(epochs=20, random_state=0).fit(X, y)
    >>> cert = clf.certify(X, FeatureBall(math.inf))
    >>> bool(cert.accuracy(y, 0.1) <= cert.accuracy(y))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "norm": [Options(numbers.Real, {2, math.inf})],
        "network": [str],
        "preset": [
            StrOptions({k for k, p in PRESETS.items() if p.representation != "mixture"})
        ],
        "radii": [StrOptions({"auto"}), "array-like"],
        "loss": [Loss, None],
        "hidden": ["array-like"],
        "network_options": [dict, None],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "validation_fraction": [Interval(numbers.Real, 0, 0.9, closed="both")],
        "random_state": ["random_state"],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        norm: float = math.inf,
        network: str = "auto",
        *,
        preset: str = "balanced",
        radii: str | Sequence[float] = "auto",
        loss: Loss | None = None,
        hidden: Sequence[int] = (128, 128),
        network_options: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        class_weight: Any = None,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.norm = norm
        self.network = network
        self.preset = preset
        self.radii = radii
        self.loss = loss
        self.hidden = hidden
        self.network_options = network_options
        self.epochs = epochs
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: ArrayLike, y: ArrayLike) -> LipschitzClassifier:
        """Train on a table and freeze.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Real numbers.
        y : array-like of shape (n,)
            Labels.
        """
        self._validate_params()
        check_hidden(self.hidden)
        # On a copy: an interrupted fit leaves the previous model in place.
        checked = copy.copy(self)
        x, y = validate_data(checked, X, y, dtype=np.float64)
        classes, target = encode_labels(y)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        learned = learn_classifier(
            x,
            np.ones(x.shape[1]),
            target,
            build=self._build,
            norm=self.norm,
            preset=chosen_preset(self.preset, self.epochs),
            radii=wanted_radii(self.radii),
            sample_weight=class_weights(self.class_weight, classes, target),
            validation_fraction=self.validation_fraction,
            seed=seed,
            device="cpu",
            progress=self.progress,
            checkpoint=None,
            loss=self.loss,
        )
        program = Program((_vector_input(x, self.norm),), learned.operations(0))
        self._remember_columns(checked)
        self.program_ = program
        self.classes_ = classes
        self.inverse_temperature_ = learned.inverse_temperature
        self.unit_ = learned.unit
        self.history_ = learned.history
        return self

    def certify(self, X: ArrayLike, threat: Threat | None = None) -> Certificates:
        """Certificates of the predictions for X.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Rows.
        threat : FeatureBall, optional
            By default the ball of the estimator's norm.
        """
        x = self._program_input(X)
        threat = FeatureBall(self.norm) if threat is None else threat
        return certify(self.program_, x, threat, classes=self.classes_)


class LipschitzRegressor(_TableMixin, RegressorBase):
    """Predict numbers from rows of a table, with certified intervals.

    Parameters
    ----------
    norm, network, hidden, network_options, validation_fraction
        As in `LipschitzClassifier`.
    lipschitz : "auto" or float
        As in `SRNRegressor`.
    epochs : int
        Passes over the training data.
    random_state, progress
        As in `LipschitzClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from stablerank import LipschitzRegressor
    >>> X = np.linspace(0, 1, 50)[:, None]
    >>> reg = LipschitzRegressor(lipschitz=2.0, epochs=20, random_state=0)
    >>> cert = reg.fit(X, X[:, 0]).certify(X)
    >>> bool((cert.constant <= 2.0 + 1e-9).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "norm": [Options(numbers.Real, {2, math.inf})],
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
        norm: float = math.inf,
        network: str = "auto",
        *,
        lipschitz: str | float = "auto",
        hidden: Sequence[int] = (64, 64),
        network_options: Mapping[str, Any] | None = None,
        epochs: int = 100,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.norm = norm
        self.network = network
        self.lipschitz = lipschitz
        self.hidden = hidden
        self.network_options = network_options
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: ArrayLike, y: ArrayLike) -> LipschitzRegressor:
        """Train on a table and freeze.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Real numbers.
        y : array-like of shape (n,) or (n, n_targets)
            Targets.
        """
        self._validate_params()
        check_hidden(self.hidden)
        # On a copy: an interrupted fit leaves the previous model in place.
        checked = copy.copy(self)
        x, y = validate_data(
            checked, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        target = read_targets(y)
        check_target_length(len(x), target)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        learned = learn_regression(
            x,
            np.ones(x.shape[1]),
            target,
            build=self._build,
            norm=self.norm,
            lipschitz=self.lipschitz,
            schedule=Schedule(epochs=self.epochs),
            validation_fraction=self.validation_fraction,
            seed=seed,
            progress=self.progress,
        )
        program = Program((_vector_input(x, self.norm),), learned.operations(0))
        self._remember_columns(checked)
        self.program_ = program
        self.n_targets_ = target.shape[1]
        self.single_ = np.ndim(y) == 1
        self.history_ = learned.history
        return self

    def certify(
        self, X: ArrayLike, threat: Threat | None = None
    ) -> RegressionCertificates:
        """Certified intervals of the predictions for X.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Rows.
        threat : FeatureBall, optional
            By default the ball of the estimator's norm.
        """
        x = self._program_input(X)
        threat = FeatureBall(self.norm) if threat is None else threat
        return certify_values(self.program_, x, threat, None, self.single_)
