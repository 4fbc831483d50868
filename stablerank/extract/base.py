"""The contract of every extractor: raw samples in, diagrams and theorems out.

A subclass owes five private methods (`_read`, `_channels`, `_transform_one`,
`_bounds`, `_cost`) and, where its engine can tell, `_pullback`; the public ones
here check, run in parallel, cache and delegate.  A subclass never sees raw input.
"""

from __future__ import annotations

import functools
import json
import numbers
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import joblib
import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from stablerank.diagrams import Diagrams, Source
from stablerank.diagrams.packing import Ragged, stack_critical
from stablerank.exceptions import (
    InvalidInputError,
    NoStabilityTheorem,
    ShapeError,
)
from stablerank.extract.cost import CostEstimate, SampleCost, refuse_if_too_large
from stablerank.extract.parallel import cached, prepare, run
from stablerank.extract.specs import Specified
from stablerank.extract.theorems import Stability, needs_samples, no_theorem
from stablerank.validation import repeatable

__all__ = ["Extracted", "Extractor", "needs_samples", "no_theorem"]

Array = NDArray[np.float64]

#: Part of every cache key: raise it when an extractor's output may change.
_CACHE_VERSION = 1


@dataclass
class Extracted:
    """What `_transform_one` returns: one entry a channel, in channel order."""

    bars: list[Array]  # finite bars, (m, 2) each, in the engine's order
    essential: list[Array]  # births of bars that never die, (e,) each
    error: list[float]  # sup-norm engine error of the bars
    geometry: dict[str, float] = field(default_factory=dict)
    critical: list[NDArray[np.int64]] | None = None  # (m, 2, width) each, -1 padded


# scikit-learn has no types, so mypy cannot know the keyword.
class Extractor(  # type: ignore[call-arg]
    Specified, Stability, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Base class of the filtrations; `fit`, `transform`, `bound`, `bounds`.

    Common parameters of all subclasses
    -----------------------------------
    homology_dimensions : sequence of int
        Degrees to keep, for example `(0, 1)`.
    critical : bool
        Also keep the vertices that set each birth and death (needed by `pullback`).
    n_jobs : int, optional
        Processes, as in joblib; None obeys `joblib.parallel_config`.
    progress : bool
        One progress bar, if there is a terminal.
    memory : str or joblib.Memory, optional
        Folder of a cache keyed by content; an interrupted run resumes from it.
    max_memory : float, optional
        Bytes above which `transform` refuses; by default 80 % of what is free.
    """

    #: What the numbers of the diagrams are: "radius", "edge length" or "value".
    convention: ClassVar[str]
    #: Physical unit of the numbers.
    unit: ClassVar[str | None] = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "homology_dimensions": ["array-like"],
        "critical": ["boolean"],
        "n_jobs": [
            Interval(numbers.Integral, None, -1, closed="right"),
            Interval(numbers.Integral, 1, None, closed="left"),
            None,
        ],
        "progress": ["boolean"],
        "memory": [str, Memory, None],
        "max_memory": [Interval(numbers.Real, 0, None, closed="neither"), None],
    }

    homology_dimensions: Sequence[int]
    critical: bool
    n_jobs: int | None
    progress: bool
    memory: str | Memory | None
    max_memory: float | None

    # --- owed by subclasses ------------------------------------------------------

    @abstractmethod
    def _read(self, X: Any) -> list[Any]:
        """Validate raw input; one picklable, normalised sample each."""

    @abstractmethod
    def _channels(self) -> tuple[list[str], list[int]]:
        """Names and homology degrees of the channels."""

    @abstractmethod
    def _transform_one(self, sample: Any) -> Extracted:
        """Diagrams of one normalised sample."""

    @abstractmethod
    def _cost(self, sample: Any) -> SampleCost:
        """Forecast for one normalised sample."""

    def _pullback(self, sample: Any, critical: NDArray[np.int64], grad: Array) -> Array:
        """Gradient with respect to one sample, from all its bars (m, 2, ...)."""
        raise NoStabilityTheorem(
            f"{type(self).__name__} does not say which vertices set its bars",
            "an extractor with critical=True",
        )

    def _fit(self, samples: list[Any]) -> None:
        """Set data-dependent attributes; most extractors have none."""

    def _cheaper(self) -> str:
        """Options that need less memory, with their price in the certificate."""
        return "fewer points or a lower homology dimension"

    # --- scikit-learn -------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Extractor:
        """Check parameters and data; freeze data-dependent choices.

        Parameters
        ----------
        X : list of samples
            Raw input.
        y : ignored
            Present for scikit-learn.
        """
        self._check_parameters()
        samples = self._read(X)
        self._fit(samples)
        self.n_features_in_ = self._n_features(samples[0])
        names = getattr(X, "columns", None)
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Diagrams:
        """Diagrams of the samples that the extractor is fitted to.

        Parameters
        ----------
        X : list of samples
            Raw input.
        y : ignored
            Present for scikit-learn.
        """
        X = repeatable(X)
        return self.fit(X, y).transform(X)

    def transform(self, X: Any) -> Diagrams:
        """Persistence diagrams of every sample.

        Parameters
        ----------
        X : list of samples
            Raw input.

        Returns
        -------
        Diagrams
        """
        check_is_fitted(self, "n_features_in_")
        self._check_parameters()  # which may have been set since
        samples = self._read_like_fit(X)
        refuse_if_too_large(self._estimate(samples), self.max_memory, self._cheaper())
        prepare(self.memory, _transform_sample)
        results = run(
            functools.partial(self._extract, memory=self.memory),
            samples,
            n_jobs=self.n_jobs,
            progress=self.progress,
            label=type(self).__name__,
        )
        return self._pack(results)

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.memory == "":  # to joblib it means the current folder
            raise InvalidInputError(
                "memory is empty; name a folder, or use None for no cache"
            )

    def _check_parameters(self) -> None:
        self._validate_params()
        # Channels come in the order of the degrees, and a set has none.
        ordered = isinstance(self.homology_dimensions, (Sequence, np.ndarray))
        degrees = list(self.homology_dimensions)
        good = ordered and all(
            isinstance(k, numbers.Integral) and not isinstance(k, bool) and k >= 0
            for k in degrees
        )
        if not degrees or not good or len(set(degrees)) != len(degrees):
            raise InvalidInputError(
                "homology_dimensions must be a list of different integers >= 0, got "
                f"{self.homology_dimensions!r}"
            )

    def _n_features(self, sample: Any) -> int:
        """Width that all samples share: coordinates of a point by default."""
        return int(np.shape(sample)[-1])

    def _read_like_fit(self, X: Any) -> list[Any]:
        samples = self._read(X)
        for i, sample in enumerate(samples):
            if self._n_features(sample) != self.n_features_in_:
                raise ShapeError(
                    f"X has {self._n_features(sample)} features, but "
                    f"{type(self).__name__} is expecting {self.n_features_in_} "
                    f"features as input (sample {i})"
                )
        return samples

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the channels."""
        check_is_fitted(self, "n_features_in_")
        return np.asarray(self._channels()[0], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Extractor:
        """Do nothing: diagrams are no table, whatever container is asked for."""
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.no_validation = False
        return tags

    # --- running --------------------------------------------------------------------

    def _extract(self, sample: Any, memory: str | Memory | None) -> Extracted:
        """Cached `_transform_one`; a union asks its parts instead."""
        if memory is None:  # the key takes longer than a small image
            return self._transform_one(sample)
        # Workers read large arrays as memory maps, which hold the same numbers.
        content = joblib.hash(sample, coerce_mmap=True)
        key = json.dumps([_CACHE_VERSION, self.spec(), content], sort_keys=True)
        ignore = ["sample", "extractor"]
        return cached(memory, _transform_sample, ignore)(key, sample, self)

    def _pack(self, results: Sequence[Extracted]) -> Diagrams:
        names, degrees = self._channels()
        finite = Ragged.of([b for r in results for b in r.bars], len(names), (2,))
        births = Ragged.of([b for r in results for b in r.essential], len(names), ())
        critical: list[NDArray[np.int64] | None] = []
        for result in results:
            critical += result.critical or [None]
        return Diagrams(
            finite.values,
            finite.offsets,
            names,
            degrees,
            essential=births.values,
            essential_offsets=births.offsets,
            convention=self._conventions(),
            unit=self._units(),
            error=np.array([r.error for r in results]),
            source=self._source(results),
            critical=stack_critical(critical),
        )

    def _conventions(self) -> str | list[str]:
        return self.convention

    def _units(self) -> str | list[str | None] | None:
        return self.unit

    def _source(self, results: Sequence[Extracted]) -> Source:
        geometry = {
            name: np.array([r.geometry[name] for r in results])
            for name in results[0].geometry
        }
        return Source(self.spec(), geometry)

    # --- gradients --------------------------------------------------------------------

    def pullback(self, X: Any, diagrams: Diagrams, grad_bars: ArrayLike) -> list[Array]:
        """Gradient with respect to the input of a function of the bars.

        Valid in generic position, where every birth and death is set by one group
        of vertices.

        Parameters
        ----------
        X : list of samples
            The input that `diagrams` came from.
        diagrams : Diagrams
            Extracted with `critical=True`.
        grad_bars : array-like of shape (n_bars, 2)
            Gradient with respect to `diagrams.compact().bars`.

        Returns
        -------
        list of ndarray
            One array shaped like each sample.
        """
        check_is_fitted(self, "n_features_in_")
        own = diagrams.compact()
        if own.critical is None:
            raise InvalidInputError(
                "the diagrams have no critical vertices; extract with critical=True"
            )
        grads = np.asarray(grad_bars, dtype=np.float64)
        if grads.shape != own.bars.shape:
            raise ShapeError(
                f"grad_bars has shape {grads.shape}, the bars have {own.bars.shape}"
            )
        samples = self._read(X)
        if len(samples) != len(own):
            raise ShapeError(f"{len(samples)} samples, {len(own)} diagrams")
        result = []
        for i, sample in enumerate(samples):
            rows = slice(own.offsets[i, 0], own.offsets[i, -1])
            result.append(self._pullback(sample, own.critical[rows], grads[rows]))
        return result

    # --- cost -------------------------------------------------------------------------

    def estimate_cost(self, X: Any) -> CostEstimate:
        """Forecast of memory and time, without extracting anything.

        Examples
        --------
        >>> from stablerank import AlphaPersistence
        >>> AlphaPersistence().estimate_cost([[[0.0, 0.0], [1.0, 0.0]]]).largest
        0
        """
        self._check_parameters()
        return self._estimate(self._read(X))

    def _estimate(self, samples: list[Any]) -> CostEstimate:
        return CostEstimate.of([self._cost(sample) for sample in samples], self.n_jobs)


def _transform_sample(key: str, sample: Any, extractor: Extractor) -> Extracted:
    # `key` stands for both in the cache; the objects themselves are ignored.
    return extractor._transform_one(sample)
