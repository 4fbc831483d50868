"""The fixed bank as a scikit-learn transformer, for any model downstream.

    |v_k(X) - v_k(X')| <= K_k * d(X, X')   for every feature k   [R3, H1]

Nothing is learned but quantiles: which bar functions, at which ranks.  A downstream
model with a known l_inf constant inherits a certificate; a random forest does not, and
simply gets good features.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from stablerank.bounds import Bound
from stablerank.certify.composition import compose
from stablerank.diagrams import Diagrams
from stablerank.estimators.base import (
    TopologyMixin,
    pinned_channels,
    training_bounds,
)
from stablerank.extract.base import Extractor
from stablerank.extract.union import as_extractor
from stablerank.frozen import Program
from stablerank.metrics import Threat
from stablerank.represent.bank import FixedBank, design_bank
from stablerank.represent.domain import bar_inputs

__all__ = ["StableRankTransformer"]


class StableRankTransformer(TopologyMixin, TransformerMixin, BaseEstimator):
    """Sorted bar functions of persistence diagrams, with a known constant each.

    Parameters
    ----------
    extractor : Extractor, list of extractors, "precomputed" or None
        Where diagrams come from; None is `AlphaPersistence()`, a list is a
        `PersistenceUnion`. `Diagrams` are taken as they are, whatever stands here.
    size : {"small", "default", "large"}
        How finely diagrams are read.
    n_jobs, progress, memory
        Handed to the extractor where it has none of its own.

    Attributes
    ----------
    extractor_ : Extractor or None
        Fitted; None after a fit on `Diagrams` without an extractor.
    bank_ : FixedBank
        Functions and ranks of every channel, from training quantiles.
    program_ : Program
        What `transform` evaluates, in float64.
    n_features_in_ : int
        As the extractor counts; channels, after a fit on `Diagrams`.

    Notes
    -----
    Where sorted deaths have a theorem under the extractor's default threat (H0 of a
    fixed vertex set), they are read instead of lengths, with half the constant.

    Examples
    --------
    >>> dgms = Diagrams.from_list([{"H1": [(0.0, 1.0), (1.0, 4.0)]}, {"H1": []}])
    >>> features = StableRankTransformer().fit(dgms)
    >>> features.get_feature_names_out()[:2]
    array(['H1/half/rank000', 'H1/half/rank001'], dtype=object)
    >>> features.transform(dgms)[:, :2]
    array([[1.5, 0.5],
           [0. , 0. ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "extractor": [Extractor, list, tuple, StrOptions({"precomputed"}), None],
        "size": [StrOptions({"small", "default", "large"})],
        "n_jobs": [int, None],
        "progress": ["boolean"],
        "memory": [str, Memory, None],
    }

    extractor_: Extractor | None
    bank_: FixedBank
    program_: Program

    def __init__(
        self,
        extractor: Any = None,
        *,
        size: str = "default",
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
    ) -> None:
        self.extractor = extractor
        self.size = size
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory

    def fit(self, X: Any, y: Any = None) -> StableRankTransformer:
        """Choose functions and ranks from the diagrams of X.

        Parameters
        ----------
        X : Diagrams, or samples that the extractor reads
            Training data.
        y : ignored
            Present for scikit-learn.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit and transform with a single extraction."""
        diagrams = self._fit(X)
        return np.asarray(self.program_.evaluate(diagrams))

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Features of new samples.

        Parameters
        ----------
        X : Diagrams, or samples that the extractor reads
            Diagrams must have the convention and unit of those at fit.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
        """
        diagrams = self._diagrams(X)
        return np.asarray(self.program_.evaluate(diagrams))

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Names such as "H1/tent03/rank012".

        Parameters
        ----------
        input_features : array-like of str, optional
            Checked against those at fit, and not used.
        """
        check_is_fitted(self, "program_")
        _check_feature_names_in(self, input_features, generate_names=False)
        return np.asarray(self.bank_.feature_names(), dtype=object)

    def bound(self, X: Any, threat: Threat | None = None) -> Bound:
        """Bound from a threat on the input to the sup norm of the features.

        Parameters
        ----------
        X : Diagrams or samples
            Some constants depend on the sample.
        threat : Threat, optional
            By default the extractor's; `BottleneckBall()` after a fit on `Diagrams`.

        Raises
        ------
        NoStabilityTheorem
            If the extractor proves nothing about this threat.

        Examples
        --------
        >>> dgms = Diagrams.from_list([{"H1": [(0.0, 1.0)]}])
        >>> round(StableRankTransformer().fit(dgms).bound(dgms).constant, 9)
        1.0
        """
        diagrams = self._diagrams(X)
        threat = self._default_threat() if threat is None else threat
        return compose(self.program_, self._threat_bounds(threat, diagrams)).bound

    # --- private --------------------------------------------------------------

    def _fit(self, X: Any) -> Diagrams:
        """Fit; return the diagrams, so that they need not be extracted again."""
        self._validate_params()
        extractor = self._new_extractor(X)
        diagrams = self._extract_fit(X, extractor)
        pinned = pinned_channels(training_bounds(extractor, diagrams))
        bank = design_bank(diagrams, pinned, size=self.size)
        inputs = bar_inputs(diagrams, pinned)
        program = Program(tuple(inputs), bank.operations(inputs))
        # From here on nothing can fail: a broken fit leaves the old one in place.
        self.bank_ = bank
        self._keep_program(extractor, diagrams, program)
        return diagrams

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if not isinstance(self.extractor, str):
            own = as_extractor(self.extractor).__sklearn_tags__()
            tags.input_tags = own.input_tags
        return tags
