"""The Stable Rank Network as a scikit-learn classifier with certificates."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from stablerank.certify.certificate import Certificates
from stablerank.certify.programs import certify
from stablerank.estimators.base import training_bounds
from stablerank.estimators.choices import (
    check_checkpoint,
    check_device,
    wanted_radii,
)
from stablerank.estimators.encoders import check_representation, represent
from stablerank.estimators.learning import learn_classifier
from stablerank.estimators.many import ManyThreats
from stablerank.estimators.presets import PRESETS, REPRESENTATIONS, Preset
from stablerank.estimators.srn import NetworkOnBars
from stablerank.estimators.targets import class_weights, encode_labels
from stablerank.exceptions import InvalidInputError, UncertifiableLayerError
from stablerank.frozen import Program
from stablerank.metrics import Threat
from stablerank.nn import Loss

__all__ = ["ClassifierBase", "SRNClassifier", "chosen_preset"]

Array = NDArray[np.float64]


class ClassifierBase(ManyThreats, ClassifierMixin, BaseEstimator):
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

    def certified_score(self, X: Any, y: ArrayLike, eps: float = 0.0) -> float:
        """Share of samples that are right and certified at `eps`, default threat."""
        return float(self.certify(X).accuracy(y, eps))


class SRNClassifier(NetworkOnBars, ClassifierBase):
    """Classify point clouds, images or graphs by shape, with certified radii.

    Parameters
    ----------
    extractor : Extractor, list of extractors, "precomputed" or None
        Where diagrams come from; None is `AlphaPersistence()`, a list is a
        `PersistenceUnion`, "precomputed" takes `Diagrams`.
    network : str
        Architecture; "auto" is "maxmin" for l_inf and "bro" for l_2; see
        `stablerank.nn.build_network`.
    norm : {math.inf, 2}
        In which features and network are bounded. inf: each feature moves little, for
        perturbations that bound every point or pixel. 2: all of them together do, for
        an l_2 budget shared by all points (`Budget`) or pixels (`PixelBudget`), and for
        `WassersteinBall(2)`; these are then the usual threats.
    preset : {"balanced", "robust", "accurate", "paper"}
        How much clean accuracy to trade for radius. "paper" is the Stable Rank
        Network as it was proposed: learned contours and a network of l_inf-distance
        neurons, whatever `network` says.
    representation : {"auto", "bank", "learned bank", "mixture"}
        What is read of diagrams; "auto" is the preset's. "bank": fixed functions of
        bars. "learned bank": these to start with, then trained along with the network,
        which certifies more and takes about three times as long; for norm=inf only.
        "mixture": learned contours.
    tail_p : {1, 2, math.inf}
        Of preset "paper": order p of the tails that its vectors hold. inf (the lengths
        themselves) certifies displacements and bottleneck balls; 1 and 2 see the many
        short bars together, and certify under `WassersteinBall` alone [R1].
    radii : "auto" or sequence of float
        Radii wanted, in units of the default threat; "auto" reads them off the
        spread of the data.
    loss : Loss, optional
        Of `stablerank.nn`, in place of the preset's `OffsetCrossEntropy`. Its radii are
        in margin units, of which one is `unit_` of the default threat; which epoch was
        best is still decided by the wanted radii. It is copied, never changed.
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
        "norm": [Options(numbers.Real, {2, math.inf})],
        "preset": [StrOptions(set(PRESETS))],
        "tail_p": [Interval(numbers.Real, 1, None, closed="both")],
        "representation": [StrOptions({"auto", *REPRESENTATIONS})],
        "radii": [StrOptions({"auto"}), "array-like"],
        "loss": [Loss, None],
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
        network: str = "auto",
        *,
        norm: float = math.inf,
        preset: str = "balanced",
        representation: str = "auto",
        tail_p: float = math.inf,
        radii: str | Sequence[float] = "auto",
        loss: Loss | None = None,
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
        self.norm = norm
        self.preset = preset
        self.representation = representation
        self.tail_p = tail_p
        self.radii = radii
        self.loss = loss
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
        sample_weight = class_weights(self.class_weight, classes, target)
        preset = chosen_preset(self.preset, self.epochs, self.representation, self.norm)
        self._check_tail_order(preset)
        check_representation(preset.representation, self.norm)
        radii = wanted_radii(self.radii)
        check_device(self.device)
        check_checkpoint(self.checkpoint)
        extractor, diagrams = self._training_diagrams(X, y)
        bounds = training_bounds(extractor, diagrams, self.tail_p, self.norm)
        features, encoder = represent(
            preset.representation, diagrams, bounds, self.norm, self.tail_p
        )
        learned = learn_classifier(
            features.values,
            features.constants,
            target,
            build=self._build,
            norm=self.norm,
            preset=preset,
            radii=radii,
            sample_weight=sample_weight,
            validation_fraction=self.validation_fraction,
            seed=self._seed(),
            device=self.device,
            progress=self.progress,
            checkpoint=self.checkpoint,
            encoder=encoder,
            loss=self.loss,
        )
        self._keep(extractor, diagrams, features, encoder, learned)
        self.classes_ = classes
        self.inverse_temperature_ = learned.inverse_temperature
        self.unit_ = learned.unit
        return self

    def _architecture(self) -> str:
        return PRESETS[self.preset].network or super()._architecture()

    def _check_tail_order(self, preset: Preset) -> None:
        """Raise before the extraction where the tails would not freeze after it."""
        if preset.representation != "mixture" and not math.isinf(self.tail_p):
            raise InvalidInputError(
                f"tail_p={self.tail_p:g} with preset={self.preset!r} and its "
                f"{preset.representation}, which reads single bars; tails are of "
                'preset="paper"'
            )
        if self.tail_p not in (1, 2, math.inf):
            raise UncertifiableLayerError(
                f"tails of order tail_p={self.tail_p:g} have no proved rounding, so "
                "they would not freeze; choose 1, 2 or math.inf. `stable_rank` and "
                "`represent.StableRankVector` take any order"
            )

    def certify(self, X: Any, threat: Threat | None = None) -> Certificates:
        """Certificates of the predictions for X.

        Parameters
        ----------
        X : samples or Diagrams
            As for `predict`.
        threat : Threat, optional
            What the radius measures; by default the extractor's usual one, or
            `WassersteinBall(tail_p)` for tails of finite order. A `FeatureBall` is
            around the representation vector.

        Returns
        -------
        Certificates

        Notes
        -----
        Stability: for every x' with d(x, x') <= radius, `predict` gives the same
        label   [C2]
        """
        program, data, threat, bounds = self._question(X, threat)
        return certify(program, data, threat, bounds, self.classes_)


def chosen_preset(
    name: str,
    epochs: int | None,
    representation: str = "auto",
    norm: float = math.inf,
) -> Preset:
    """Return a preset, with what a classifier was given in place of it.

    Examples
    --------
    >>> chosen_preset("robust", 7, "learned bank").representation
    'learned bank'
    """
    preset = PRESETS[name]
    if epochs is not None:
        preset = replace(preset, schedule=replace(preset.schedule, epochs=epochs))
    if representation == "auto":
        representation = preset.representation
        if representation == "learned bank" and norm == 2:
            representation = "bank"  # a preset serves both norms
    return replace(preset, representation=representation)
