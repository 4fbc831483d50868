"""Several threats at once, from one reading of the input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stablerank.metrics import Threat

__all__ = ["ManyThreats"]


class ManyThreats:
    """What every estimator with certificates adds to `certify`."""

    def certify(self, X: Any, threat: Threat | None = None) -> Any:
        """Certificates of the predictions for X.

        Parameters
        ----------
        X : samples
            As for `predict`.
        threat : Threat, optional
            What the radius measures; by default the usual one for this input.
        """
        raise NotImplementedError

    def certify_many(self, X: Any, threats: Iterable[Threat]) -> dict[Threat, Any]:
        """Certificates under several threats, from one extraction.

        Parameters
        ----------
        X : samples
            As for `predict`.
        threats : iterable of Threat
            Each is certified by itself; never take the larger radius across threats
            [C4].

        Returns
        -------
        dict
            From threat to what `certify` returns.
        """
        data = self._prepared(X)
        return {
            threat: self.certify(self._weighed(data, X, threat), threat)
            for threat in threats
        }

    def _prepared(self, X: Any) -> Any:
        """What is common to all threats, in a form that `certify` takes."""
        return X

    @staticmethod
    def _weighed(data: Any, X: Any, threat: Threat) -> Any:
        """Add to the program's input what only raw samples can say of a threat."""
        return data
