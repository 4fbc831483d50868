"""What every estimator on diagrams shares: reading input, features, constants."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from stablerank.bounds import Bound
from stablerank.certify.composition import best_moves, with_conversions
from stablerank.diagrams import Diagrams, Source
from stablerank.exceptions import (
    EmptyInputError,
    FileFormatError,
    IncompatibleDiagramsError,
    InvalidInputError,
    NoStabilityTheorem,
)
from stablerank.extract.base import Extractor
from stablerank.extract.restore import restore_extractor
from stablerank.extract.union import as_extractor
from stablerank.frozen import BarInput, Operation, Program, Tails
from stablerank.metrics import (
    Bottleneck,
    BottleneckBall,
    Budget,
    Displacement,
    Metric,
    PixelBudget,
    PixelSup,
    SortedDeaths,
    Threat,
    Wasserstein,
    WassersteinBall,
)
from stablerank.represent.bank import FixedBank, design_bank
from stablerank.represent.bank_l2 import design_l2_bank
from stablerank.represent.base import Joined
from stablerank.represent.domain import bar_inputs
from stablerank.represent.vector import mixture_vectors

__all__ = ["Features", "TopologyMixin"]

Array = NDArray[np.float64]

#: What a model in l_2 is trained for where a model in l_inf is trained for the key.
_IN_L2: dict[Threat, Threat] = {Displacement(): Budget(), PixelSup(): PixelBudget(2)}


@dataclass(frozen=True)
class Features:
    """A frozen representation and what it gives on the training data."""

    inputs: list[BarInput]
    operations: tuple[Operation, ...]
    names: list[str]
    values: Array  # (n, n_features)
    constants: Array  # (n_features,), per unit of the training threat

    @property
    def register(self) -> int:
        """Number of the register that holds the features."""
        return len(self.inputs) + len(self.operations) - 1


class TopologyMixin:
    """Input as raw samples or as `Diagrams`; threats through the fitted extractor."""

    extractor: Any
    extractor_: Extractor | None
    program_: Program
    n_jobs: int | None
    progress: bool
    memory: Any

    def _new_extractor(self, X: Any) -> Extractor | None:
        """Unfitted clone for raw samples; for diagrams the extractor they came from."""
        if isinstance(self.extractor, str):
            if self.extractor != "precomputed":
                raise InvalidInputError(
                    f"extractor is {self.extractor!r}; give an extractor, a list of "
                    "them, None, or 'precomputed' for Diagrams"
                )
            if not isinstance(X, Diagrams):
                raise InvalidInputError(
                    f"extractor='precomputed' needs Diagrams, got {type(X).__name__}"
                )
            return None
        if isinstance(X, Diagrams):
            extractor = self._origin(X.source)
            if extractor is None:
                return None
        else:
            extractor = clone(as_extractor(self.extractor))
        given = extractor.get_params(deep=False)
        wanted = {
            "n_jobs": self.n_jobs,
            "progress": self.progress,
            "memory": self.memory,
        }
        extractor.set_params(
            **{k: v for k, v in wanted.items() if v and not given.get(k)}
        )
        return extractor

    def _origin(self, source: Source | None) -> Extractor | None:
        """Restore the fitted extractor that diagrams say they come from.

        So the model reads raw samples later, and certifies threats on them.
        """
        if source is None:
            if self.extractor is None:
                return None
            raise IncompatibleDiagramsError(
                "the diagrams do not say where they come from, so no theorem of the "
                "extractor is known to hold for them; fit on raw samples, or with "
                "extractor='precomputed'"
            )
        given = None if self.extractor is None else as_extractor(self.extractor)
        if given is not None:
            given._check_origin(source)
        try:
            return restore_extractor(source.spec)
        except FileFormatError as error:
            # A class or function from elsewhere: only the user has the code.
            if given is not None and given.spec() == source.spec:
                return copy.deepcopy(given)
            msg = (
                f"the diagrams come from {source.spec['class']}, which cannot be "
                "rebuilt from its name; give that fitted extractor as extractor=..., "
                "or 'precomputed' to read the bars alone"
            )
            raise IncompatibleDiagramsError(msg) from error

    @staticmethod
    def _extract_fit(X: Any, extractor: Extractor | None) -> Diagrams:
        if isinstance(X, Diagrams):
            if not len(X):
                raise EmptyInputError("the diagrams have 0 samples; nothing to fit")
            return X
        assert extractor is not None
        return extractor.fit(X).transform(X)

    def _diagrams(self, X: Any) -> Diagrams:
        """Diagrams of new input; given ones must come from the same extractor."""
        check_is_fitted(self, "program_")
        if isinstance(X, Diagrams):
            if self.extractor_ is not None and X.source is not None:
                self.extractor_._check_origin(X.source)
            self.program_.check(X)
            known = [i.channel for i in self.program_.inputs if isinstance(i, BarInput)]
            if len(X.channels) > len(known):
                raise IncompatibleDiagramsError(
                    f"diagrams with channels {', '.join(X.channels)}, the model was "
                    f"fitted to {', '.join(known)}; select these"
                )
            return X
        if self.extractor_ is None:
            raise InvalidInputError(
                f"the model was fitted on Diagrams, got {type(X).__name__}; extract "
                "first, or fit with an extractor"
            )
        return self.extractor_.transform(X)

    def _keep_program(
        self, extractor: Extractor | None, diagrams: Diagrams, program: Program
    ) -> None:
        """Take over what a fit has found out about its input."""
        self.extractor_, self.program_ = extractor, program
        self.n_features_in_ = getattr(
            extractor, "n_features_in_", len(diagrams.channels)
        )
        names = getattr(extractor, "feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    @staticmethod
    def _weighed(diagrams: Diagrams, X: Any, threat: Threat) -> Diagrams:
        """Note the points' weights, which raw samples carry, for a weighted threat."""
        if getattr(threat, "weights", None) is None or isinstance(X, Diagrams):
            return diagrams
        return diagrams.with_weights(threat, list(X))

    def _default_threat(self) -> Threat:
        check_is_fitted(self, "program_")
        order = tail_order(self.program_)
        if not math.isinf(order):
            return WassersteinBall(order)
        # Bars and their values have no norm; the first vector is the features'.
        norm = next(n for n in self.program_.norms if not math.isnan(n))
        return usual_threat(self.extractor_, norm)

    def _threat_bounds(
        self, threat: Threat, diagrams: Diagrams
    ) -> Mapping[str, Sequence[Bound]]:
        """Bounds of the extractor, by channel."""
        bounds = channel_bounds(self.extractor_, threat, diagrams)
        check_tails(tail_order(self.program_), threat, bounds)
        return bounds


def usual_threat(extractor: Extractor | None, norm: float) -> Threat:
    """What a model whose features move in this norm is trained for.

    In l_2 that is the l_2 norm of all moves together; on bars alone, W_2.

    Examples
    --------
    >>> from stablerank.extract import AlphaPersistence
    >>> usual_threat(AlphaPersistence(), 2), usual_threat(None, 2)
    (Budget(), WassersteinBall(p=2, q=2))
    """
    if extractor is None:
        return BottleneckBall() if math.isinf(norm) else WassersteinBall(2)
    threat = extractor.default_threat
    return threat if math.isinf(norm) else _IN_L2.get(threat, threat)


def tail_order(program: Program) -> float:
    """Smallest order of a program's tails; inf where it reads single bars only."""
    orders = [op.p for op in program.operations if isinstance(op, Tails)]
    return min(orders, default=math.inf)


def check_tails(
    order: float, threat: Threat, bounds: Mapping[str, Sequence[Bound]]
) -> None:
    """Raise unless tails of this order are stable under the threat [R1]."""
    if math.isinf(order):
        return
    for own in bounds.values():
        known = [b.target for b in own if isinstance(b.target, Wasserstein)]
        if not any(w.p <= order and w.q in (1, 2, math.inf) for w in known):
            raise NoStabilityTheorem(
                f"tails of order {order:g} add up all bars, and the {threat} bounds no "
                f"Wasserstein distance of order <= {order:g} with ground norm l_1, l_2 "
                "or l_inf",
                f"WassersteinBall({order:g}), or fit with tail_p=math.inf",
            )


def channel_bounds(
    extractor: Extractor | None, threat: Threat, diagrams: Diagrams
) -> Mapping[str, Sequence[Bound]]:
    """Bounds by channel; without an extractor only threats on diagrams have any."""
    if extractor is not None:
        return extractor.bounds(threat, diagrams)
    if not threat.on_diagrams:
        raise NoStabilityTheorem(
            f"the model was fitted on Diagrams, so the {threat} has no theorem",
            "BottleneckBall() or WassersteinBall(p), or fit with an extractor",
        )
    target: Metric = Bottleneck()
    if isinstance(threat, WassersteinBall):
        target = Wasserstein(threat.p, threat.ground)
    bound = Bound(threat, target, 1.0, "C1", "the bars themselves")
    return {name: [bound] for name in diagrams.channels}


def training_bounds(
    extractor: Extractor | None,
    diagrams: Diagrams,
    tail_p: float = math.inf,
    norm: float = math.inf,
) -> Mapping[str, Sequence[Bound]]:
    """Bounds under the usual threat, which set the scale of training.

    That is the extractor's. Where it has no theorem the model trains on moves of the
    bars, and refuses later to certify anything else; tails of finite order are stable
    under no other.
    """
    if not math.isinf(tail_p):
        return channel_bounds(extractor, WassersteinBall(tail_p), diagrams)
    if extractor is not None:
        try:
            return extractor.bounds(usual_threat(extractor, norm), diagrams)
        except NoStabilityTheorem:
            pass
    return channel_bounds(extractor, usual_threat(None, norm), diagrams)


def bank_features(
    diagrams: Diagrams,
    rows: NDArray[np.int64],
    bounds: Mapping[str, Sequence[Bound]],
    norm: float = math.inf,
) -> tuple[FixedBank, Features]:
    """Fixed bank, designed on the given rows, and what it gives on all of them."""
    pinned = _pinned(diagrams, bounds)
    train = diagrams[rows]
    if math.isinf(norm):
        bank = design_bank(train, pinned)
    else:
        bank = design_l2_bank(train, _together(bounds), pinned)
    inputs = [i for i in bar_inputs(train, pinned) if i.channel in bank.channels]
    operations = bank.operations(inputs)
    names = bank.feature_names()
    return bank, frozen_features(diagrams, inputs, operations, names, bounds)


def mixture_features(
    diagrams: Diagrams, bounds: Mapping[str, Sequence[Bound]], tail_p: float
) -> tuple[Joined, Features]:
    """Learnable contours as they start, and what they give before training."""
    pinned = _pinned(diagrams, bounds)
    # Ground norm and order are the same, as in the theorem on cells [X1].
    vectors = mixture_vectors(diagrams, pinned, p=tail_p, q=tail_p)
    inputs = bar_inputs(diagrams, pinned)
    operations = vectors.freeze(inputs)
    names = vectors.feature_names()
    return vectors, frozen_features(diagrams, inputs, operations, names, bounds)


def _pinned(diagrams: Diagrams, bounds: Mapping[str, Sequence[Bound]]) -> list[str]:
    """Pinned channels of diagrams that a model can be frozen for."""
    if not np.isfinite(diagrams.error).all():
        raise InvalidInputError(
            "the extractor does not bound its own error, so no limit of it can be "
            "frozen with the model; choose options whose error is known, such as "
            "precision='safe' (alpha) or sparse=None (Rips)"
        )
    return pinned_channels(bounds)


def pinned_channels(bounds: Mapping[str, Sequence[Bound]]) -> list[str]:
    """Channels with a theorem for sorted deaths: their bars are born at 0."""
    return [
        name
        for name, own in bounds.items()
        if any(isinstance(bound.target, SortedDeaths) for bound in own)
    ]


def _together(bounds: Mapping[str, Sequence[Bound]]) -> list[str]:
    """Channels with a theorem about all their bars together, in l_2."""
    return [
        name
        for name, own in bounds.items()
        if any(getattr(bound.target, "p", math.inf) <= 2 for bound in own)
    ]


def frozen_features(
    diagrams: Diagrams,
    inputs: list[BarInput],
    operations: tuple[Operation, ...],
    names: list[str],
    bounds: Mapping[str, Sequence[Bound]],
) -> Features:
    """Values and constants of a frozen representation."""
    program = Program(tuple(inputs), operations)
    moves = with_conversions(
        best_moves(bounds, [i.channel for i in inputs], "constant")
    )
    # Where constants differ by sample, training uses the median one.
    typical = {
        name: {m: np.median(np.asarray(c)) for m, c in table.items()}
        for name, table in moves.items()
    }
    values = program.evaluate(diagrams)
    # In l_2 one constant is that of all features together.
    constants = np.broadcast_to(program.constants(typical)[-1], values.shape[1:])
    return Features(inputs, operations, names, values, constants)
