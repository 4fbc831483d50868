"""What an attack is about: labels, and the radii within which they are said to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.attack.targets import Labels, Target
from stablerank.metrics import Threat

__all__ = ["Claim"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Claim:
    """No move of a sample within its radius gets another label.

    Parameters
    ----------
    target : Target
        The model as an attack sees it.
    threat : Threat
        What the radius measures.
    samples : sequence of length n
        Clean.
    label : ndarray of int, shape (n,)
        Numbers of outputs.
    radius : ndarray of shape (n,)
        In units of the threat.
    predict : callable, optional
        From samples to numbers of outputs, as users run it; by default the largest
        logit of the target.

    Examples
    --------
    >>> from stablerank import FeatureBall
    >>> from stablerank.attack import VectorTarget
    >>> from stablerank.frozen import Abs, Program, VectorInput
    >>> target = VectorTarget(Program((VectorInput(2, 2, 8.0),), (Abs((0,)),)))
    >>> rows = np.array([[1.0, 2.0], [4.0, 0.0]])
    >>> claim = Claim(target, FeatureBall(2), rows, np.array([1, 0]), np.ones(2))
    >>> claim.said(rows)
    array([1, 0])
    >>> claim.at(np.array([1]), 2.0).radius
    array([2.])
    """

    target: Any  # Target, and what single attacks ask of one kind
    threat: Threat
    samples: Sequence[Any]
    label: Labels
    radius: Array
    predict: Callable[[Any], NDArray[np.int64]] | None = None

    @classmethod
    def of(
        cls,
        certificates: Any,
        target: Target,
        samples: Sequence[Any],
        *,
        predict: Callable[[Any], NDArray[Any]] | None = None,
        classes: ArrayLike | None = None,
    ) -> Claim:
        """The claim that certificates make, where they make one that can be tested.

        Parameters
        ----------
        certificates : Certificates
            Of the samples. Those of radius 0 claim nothing; infinite radii leave
            nothing to aim at.
        target : Target
            Their model.
        samples : sequence
            In the form that the threat compares.
        predict : callable, optional
            As users call it: it returns labels.
        classes : array-like, optional
            The label of every output; by default its number.
        """
        radius = np.asarray(certificates.radius)
        rows = np.flatnonzero((radius > 0) & np.isfinite(radius))
        numbers: Callable[[Any], NDArray[np.int64]] = np.asarray
        if classes is not None:
            order = {name: i for i, name in enumerate(np.asarray(classes).tolist())}
            numbers = lambda names: np.array(  # noqa: E731
                [order[name] for name in np.asarray(names).tolist()], np.int64
            )
        said = None if predict is None else (lambda moved: numbers(predict(moved)))
        label = numbers(certificates.label)
        claim = cls(target, certificates.threat, samples, label, radius, said)
        return claim.at(rows)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __iter__(self) -> Iterator[tuple[Any, float]]:
        """Samples with their radii."""
        return zip(self.samples, self.radius.tolist(), strict=True)

    def said(self, samples: Sequence[Any]) -> NDArray[np.int64]:
        """What the model says of other samples."""
        if self.predict is not None:
            return np.asarray(self.predict(samples))
        return np.asarray(self.target.logits(samples).argmax(axis=1))

    def at(self, rows: NDArray[np.int64], factor: float = 1.0) -> Claim:
        """Some of the samples, at a multiple of their radius.

        Parameters
        ----------
        rows : ndarray of int
            Which.
        factor : float
            Beyond 1 the claim is nobody's, and attacks should break it.
        """
        return replace(
            self,
            samples=[self.samples[i] for i in rows.tolist()],
            label=self.label[rows],
            radius=factor * self.radius[rows],
        )
