"""The Stable Rank Network as a scikit-learn classifier with certificates."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from stablerank.certify.certificate import Certificates
from stablerank.certify.composition import certify
from stablerank.diagrams import Diagrams
from stablerank.estimators.base import (
    TopologyMixin,
    bank_features,
    check_target_length,
    mixture_features,
    training_bounds,
)
from stablerank.estimators.learning import RowEncoder, learn_classifier
from stablerank.estimators.presets import PRESETS
from stablerank.exceptions import InvalidInputError, NonFiniteError
from stablerank.frozen import Program
from stablerank.metrics import FeatureBall, Threat
from stablerank.nn import Network, build_network

__all__ = ["ClassifierBase", "SRNClassifier", "encode_labels"]

Array = NDArray[np.float64]


def encode_labels(y: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sorted classes and the class number of every label.

    Examples
    --------
    >>> encode_labels(["b", "a", "b"])[1]
    array([1, 0, 1])
    """
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.argmax(~np.isfinite(labels)))
        raise NonFiniteError(f"Input y contains NaN or infinity in row {row}; drop it")
    check_classification_targets(labels)
    classes, target = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InvalidInputError(
            f"y has only one class, {classes[0]!r}; a classifier needs 2 at least"
        )
    return classes, target.astype(np.int64)


def class_weights(
    class_weight: str | Mapping[Any, float] | None,
    classes: NDArray[Any],
    target: NDArray[np.int64],
) -> Array:
    """Weight of every sample, with mean 1."""
    by_class = compute_class_weight(class_weight, classes=classes, y=classes[target])
    weights = np.asarray(by_class, np.float64)[target]
    return weights / weights.mean()


class ClassifierBase(ClassifierMixin, BaseEstimator):
    """Predictions of the frozen program, which alone decides."""

    classes_: NDArray[Any]
    program_: Program
    inverse_temperature_: float

    def _program_input(self, X: Any) -> Any:
        raise NotImplementedError

    def _logits(self, X: Any) -> Array:
        check_is_fitted(self, "program_")
        return np.asarray(self.program_.evaluate(self._program_input(X)))

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels, as the frozen program gives them."""
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def decision_function(self, X: Any) -> Array:
        """Logits; for two classes their difference, positive for the second."""
        logits = self._logits(X)
        if len(self.classes_) == 2:
            return np.asarray(logits[:, 1] - logits[:, 0])
        return logits

    def predict_proba(self, X: Any) -> Array:
        """Probabilities, calibrated on the validation part; (n, n_classes)."""
        z = self._logits(X) * self.inverse_temperature_
        p = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def certify(self, X: Any, threat: Threat | None = None) -> Certificates:
        """Certificates of the predictions for X.

        Parameters
        ----------
        X : samples
            As for `predict`.
        threat : Threat, optional
            What the radius measures; by default the usual one for this input.

        Returns
        -------
        Certificates
        """
        raise NotImplementedError

    def certify_many(
        self, X: Any, threats: Sequence[Threat]
    ) -> dict[Threat, Certificates]:
        """Certificates under several threats, from one extraction.

        Each holds by itself; never take the larger radius across threats [C4].
        """
        data = self._program_input(X)
        return {
            threat: self.certify(self._weighed(data, X, threat), threat)
            for threat in threats
        }

    @staticmethod
    def _weighed(data: Any, X: Any, threat: Threat) -> Any:
        """Add to the program's input what only raw samples can say of a threat."""
        return data

    def certified_score(self, X: Any, y: ArrayLike, eps: float = 0.0) -> float:
        """Share of samples that are right and certified at `eps`, default threat."""
        return float(self.certify(X).accuracy(y, eps))


class SRNClassifier(TopologyMixin, ClassifierBase):
    """Classify point clouds, images or graphs by shape, with certified radii.

    Parameters
    ----------
    extractor : Extractor, list of extractors, "precomputed" or None
        Where diagrams come from; None is `AlphaPersistence()`, a list is a
        `PersistenceUnion`, "precomputed" takes `Diagrams`.
    network : str
        Architecture; see `stablerank.nn.build_network`.
    preset : {"balanced", "robust", "accurate", "paper"}
        How much clean accuracy to trade for radius. "paper" is the Stable Rank
        Network as it was proposed: learned contours and a network of l_inf-distance
        neurons, whatever `network` says.
    radii : "auto" or sequence of float
        Radii wanted, in units of the default threat; "auto" reads them off the
        spread of the data.
    hidden : sequence of int
        Widths of the hidden layers.
    network_options : mapping, optional
        Further options of the architecture.
    epochs : int, optional
        In place of the preset's.
    class_weight : mapping, "balanced" or None
        As in scikit-learn.
    validation_fraction : float
        Share of the training data used for every choice, never trained on.
    random_state : int, RandomState or None
        Seed of split, weights and batches.
    device : str
        Where to train; certificates are computed in float64 on the CPU.
    n_jobs, progress, memory
        Handed to the extractor where it has none of its own.
    checkpoint : path, optional
        File from which an interrupted training resumes.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    extractor_ : Extractor or None
        Fitted.
    program_ : Program
        The model: everything is predicted and certified from it.
    unit_ : float
        Margin unit of the training data, in units of the default threat.
    history_ : History
        Loss and validation score.

    Examples
    --------
    >>> import stablerank as sr
    >>> clouds, y = sr.datasets.orbit5k(n_per_class=8, seed=0, n_points=60)
    >>> clf = sr.SRNClassifier(epochs=5, random_state=0).fit(clouds, y)
    >>> cert = clf.certify(clouds[:2], sr.Displacement())
    >>> bool((cert.radius >= 0).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "network": [str],
        "preset": [StrOptions(set(PRESETS))],
        "radii": [StrOptions({"auto"}), "array-like"],
        "hidden": ["array-like"],
        "network_options": [dict, None],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "validation_fraction": [Interval(numbers.Real, 0, 0.9, closed="both")],
        "random_state": ["random_state"],
        "device": [str],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        extractor: Any = None,
        network: str = "maxmin",
        *,
        preset: str = "balanced",
        radii: str | Sequence[float] = "auto",
        hidden: Sequence[int] = (256, 256),
        network_options: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        class_weight: Any = None,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        device: str = "cpu",
        n_jobs: int | None = None,
        progress: bool = False,
        memory: Any = None,
        checkpoint: Any = None,
    ) -> None:
        self.extractor = extractor
        self.network = network
        self.preset = preset
        self.radii = radii
        self.hidden = hidden
        self.network_options = network_options
        self.epochs = epochs
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: ArrayLike) -> SRNClassifier:
        """Extract, represent, train, freeze.

        Nothing of the estimator changes before all of it is done, so an interrupted
        fit leaves the previous model in place.

        Parameters
        ----------
        X : samples or Diagrams
            What the extractor reads.
        y : array-like of shape (n,)
            Labels.
        """
        self._validate_params()
        classes, target = encode_labels(y)
        if hasattr(X, "__len__"):  # said before the extraction, where it can be
            check_target_length(len(X), y)
        extractor = self._new_extractor(X)
        diagrams = self._extract_fit(X, extractor)
        check_target_length(len(diagrams), y)
        bounds = training_bounds(extractor, diagrams)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        preset = preset_with_epochs(self.preset, self.epochs)
        encoder = None
        if preset.representation == "mixture":
            vectors, features = mixture_features(diagrams, bounds)
            encoder = RowEncoder(vectors, diagrams)
        else:
            features = bank_features(diagrams, np.arange(len(diagrams)), bounds)
        learned = learn_classifier(
            features.values,
            features.constants,
            target,
            build=self._build,
            preset=preset,
            radii=None if isinstance(self.radii, str) else list(self.radii),
            sample_weight=class_weights(self.class_weight, classes, target),
            validation_fraction=self.validation_fraction,
            seed=seed,
            device=self.device,
            progress=self.progress,
            checkpoint=self.checkpoint,
            encoder=encoder,
        )
        body = features.operations
        if encoder is not None:
            body = encoder.representation.freeze(features.inputs)
        head = learned.operations(features.register)
        program = Program(tuple(features.inputs), (*body, *head))
        self.classes_ = classes
        self.extractor_ = extractor
        self.program_ = program
        self.feature_register_ = features.register
        self.feature_names_ = features.names
        self.inverse_temperature_ = learned.inverse_temperature
        self.unit_ = learned.unit
        self.history_ = learned.history
        self.n_features_in_ = getattr(
            extractor, "n_features_in_", len(diagrams.channels)
        )
        return self

    def _build(self, n_in: int, n_out: int) -> Network:
        options = dict(self.network_options or {})
        name = PRESETS[self.preset].network or self.network
        return build_network(name, n_in, n_out, tuple(self.hidden), **options)

    def _program_input(self, X: Any) -> Diagrams:
        return self._diagrams(X)

    def certify(self, X: Any, threat: Threat | None = None) -> Certificates:
        """Certificates of the predictions for X.

        Parameters
        ----------
        X : samples or Diagrams
            As for `predict`.
        threat : Threat, optional
            What the radius measures; by default the extractor's usual one. A
            `FeatureBall` is around the representation vector.

        Returns
        -------
        Certificates

        Notes
        -----
        Stability: for every x' with d(x, x') <= radius, `predict` gives the same
        label   [C2]
        """
        threat = self._default_threat() if threat is None else threat
        diagrams = self._weighed(self._diagrams(X), X, threat)
        if isinstance(threat, FeatureBall):
            # The ball is around the representation: only the network can stretch it.
            vectors = self.program_.evaluate(diagrams, self.feature_register_)
            network = self.program_.after(self.feature_register_)
            return certify(network, vectors, threat, None, self.classes_)
        bounds = self._threat_bounds(threat, diagrams)
        return certify(self.program_, diagrams, threat, bounds, self.classes_)


def preset_with_epochs(name: str, epochs: int | None) -> Any:
    from dataclasses import replace

    preset = PRESETS[name]
    if epochs is None:
        return preset
    return replace(preset, schedule=replace(preset.schedule, epochs=epochs))
