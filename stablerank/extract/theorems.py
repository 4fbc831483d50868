"""What an extractor proves: bounds from threats on its input to its diagrams.

A subclass states its theorems once, in `_bounds`; here they are asked for, checked and
joined.  Threats to the diagrams themselves need no theorem of the extractor [C1].
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from stablerank.bounds import Bound, conversion
from stablerank.diagrams import Diagrams, Source
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem
from stablerank.metrics import (
    Bottleneck,
    BottleneckBall,
    Displacement,
    FeatureBall,
    Threat,
    Wasserstein,
    WassersteinBall,
)

__all__ = ["Stability", "needs_samples", "no_theorem"]


class Stability:
    """Stability bounds, for people (`bound`) and for certificates (`bounds`)."""

    # --- owed by subclasses ------------------------------------------------------

    @abstractmethod
    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        """Bounds of every channel, for threats on the input.

        `source` is None when the question is about no sample in particular; where
        a constant depends on the sample, raise `needs_samples(...)` then.
        """

    @abstractmethod
    def _channels(self) -> tuple[list[str], list[int]]:
        """Names and homology degrees of the channels."""

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise unless the parameters make sense."""

    @abstractmethod
    def _check_origin(self, source: Source) -> None:
        """Raise unless an extractor with these parameters made the diagrams."""

    # --- public -------------------------------------------------------------------

    @property
    def default_threat(self) -> Threat:
        """The perturbation that users of this filtration usually mean."""
        return Displacement()

    def bound(self, threat: Threat) -> Bound:
        """Global stability bound from `threat` to the bottleneck distance.

        Parameters
        ----------
        threat : Threat
            For example `Displacement()`.

        Returns
        -------
        Bound
            Valid for every channel and every sample.

        Raises
        ------
        NoStabilityTheorem
            If there is none; the message says why, and what to use instead.
        """
        best = []
        for bounds in self._all_bounds(threat, None).values():
            usable = [b for b in map(_to_bottleneck, bounds) if b is not None]
            if not usable:
                raise NoStabilityTheorem(
                    f"no bound from {threat} to the bottleneck distance of "
                    f"{type(self).__name__}",
                    "bounds(threat, diagrams), which lists what is proved by channel",
                )
            best.append(min(usable, key=lambda b: float(np.max(b.constant))))
        worst = max(best, key=lambda b: float(np.max(b.constant)))
        offset = max(float(np.max(b.offset)) for b in best)
        if offset > np.max(worst.offset):  # no channel's bound holds for all channels
            ledger = " . ".join(dict.fromkeys(b.ledger for b in best))
            worst = Bound(
                threat,
                Bottleneck(),
                worst.constant,
                ledger,
                "the largest of all channels",
                offset,
            )
        return worst

    def bounds(self, threat: Threat, diagrams: Diagrams) -> dict[str, list[Bound]]:
        """All proved bounds for these samples, by channel.

        Parameters
        ----------
        threat : Threat
            Metric on the input.
        diagrams : Diagrams
            What this extractor returned; some constants depend on the sample.

        Returns
        -------
        dict of str to list of Bound
            One bound per target metric; a certificate takes the best valid chain.
        """
        if isinstance(threat, Threat) and threat.on_diagrams:
            return self._all_bounds(threat, diagrams.source)
        if diagrams.source is None:
            raise NoStabilityTheorem(
                "these diagrams do not say where they come from",
                "diagrams made by an extractor, or a threat on diagrams",
            )
        self._check_origin(diagrams.source)
        return self._all_bounds(threat, diagrams.source)

    def _all_bounds(
        self, threat: Threat, source: Source | None
    ) -> dict[str, list[Bound]]:
        self._check_parameters()
        if not isinstance(threat, Threat):
            raise InvalidInputError(
                f"threat must be a threat such as Displacement(), got {threat!r}"
            )
        if isinstance(threat, BottleneckBall):
            return self._same(
                Bound(threat, Bottleneck(), 1.0, "C1", "the bars themselves")
            )
        if isinstance(threat, WassersteinBall):
            target = Wasserstein(threat.p, threat.ground)
            return self._same(Bound(threat, target, 1.0, "C1", "the bars themselves"))
        if isinstance(threat, FeatureBall):
            raise NoStabilityTheorem(
                "a feature ball is around vectors, not around inputs of an extractor",
                f"{self.default_threat!r}",
            )
        return self._bounds(threat, source)

    def _same(self, *bounds: Bound) -> dict[str, list[Bound]]:
        return {name: list(bounds) for name in self._channels()[0]}


def _to_bottleneck(bound: Bound) -> Bound | None:
    """Continue a bound to the bottleneck distance, if a listed inequality does."""
    if isinstance(bound.target, Bottleneck):
        return bound
    step = conversion(bound.target, Bottleneck())
    return None if step is None else step @ bound


def needs_samples(what: str) -> NoStabilityTheorem:
    """Return the error for a constant that depends on the sample."""
    return NoStabilityTheorem(
        f"the constant depends on the sample ({what}), so no global one exists",
        "bounds(threat, diagrams), which gives one constant a sample",
    )


def no_theorem(extractor: Stability, threat: Threat, listed: str) -> NoStabilityTheorem:
    """Return the error for a threat that the ledger has nothing about."""
    return NoStabilityTheorem(
        f"no stability theorem links the {threat} to {type(extractor).__name__}",
        f"one of {listed}",
    )
