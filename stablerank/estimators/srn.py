"""What the Stable Rank Networks share: from samples to a program, and to its threats.

Extract, represent, train, freeze: nothing of the estimator changes before all four are
done, so a fit that is interrupted or refused leaves the previous model in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from stablerank.diagrams import Diagrams
from stablerank.estimators.base import Features, TopologyMixin
from stablerank.estimators.choices import check_hidden, named_network, network_name
from stablerank.estimators.encoders import RowEncoder
from stablerank.estimators.learning import Learned
from stablerank.estimators.regression import LearnedRegression
from stablerank.estimators.targets import check_target_length
from stablerank.extract.base import Extractor
from stablerank.frozen import Program
from stablerank.metrics import FeatureBall, Threat
from stablerank.nn import Network

__all__ = ["NetworkOnBars"]

#: Program, its input, the threat, and the bounds of its channels (None: vectors).
Question = tuple[Program, Any, Threat, Any]


class NetworkOnBars(TopologyMixin):
    """A network on a frozen representation of diagrams."""

    norm: float
    network: str
    hidden: Sequence[int]
    network_options: Mapping[str, Any] | None
    random_state: Any
    program_: Program
    feature_register_: int

    def _training_diagrams(
        self, X: Any, y: ArrayLike
    ) -> tuple[Extractor | None, Diagrams]:
        """Extract, with one target a sample."""
        check_hidden(self.hidden)
        self._architecture()
        if hasattr(X, "__len__"):  # said before the extraction, where it can be
            check_target_length(len(X), y)
        extractor = self._new_extractor(X)
        diagrams = self._extract_fit(X, extractor)
        check_target_length(len(diagrams), y)
        return extractor, diagrams

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _architecture(self) -> str:
        return network_name(self.network, self.norm)

    def _build(self, n_in: int, n_out: int) -> Network:
        return named_network(
            self._architecture(), n_in, n_out, self.hidden, self.network_options
        )

    def _keep(
        self,
        extractor: Extractor | None,
        diagrams: Diagrams,
        features: Features,
        encoder: RowEncoder | None,
        learned: Learned | LearnedRegression,
    ) -> None:
        """Freeze, and only then become the new model."""
        body = features.operations
        if encoder is not None:
            body = encoder.representation.freeze(features.inputs)
        operations = (*body, *learned.operations(features.register))
        program = Program(tuple(features.inputs), operations)
        self._keep_program(extractor, diagrams, program)
        self.feature_register_ = features.register
        self.feature_names_ = features.names
        self.history_ = learned.history

    def _program_input(self, X: Any) -> Diagrams:
        return self._diagrams(X)

    def _prepared(self, X: Any) -> Diagrams:
        return self._diagrams(X)

    def _question(self, X: Any, threat: Threat | None) -> Question:
        """What is certified, on which data, against what."""
        threat = self._default_threat() if threat is None else threat
        diagrams = self._weighed(self._diagrams(X), X, threat)
        if isinstance(threat, FeatureBall):
            # The ball is around the representation: only the network can stretch it.
            vectors = self.program_.evaluate(diagrams, self.feature_register_)
            return self.program_.after(self.feature_register_), vectors, threat, None
        bounds = self._threat_bounds(threat, diagrams)
        return self.program_, diagrams, threat, bounds
