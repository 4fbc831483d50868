"""Certified intervals: how far a prediction can move when the input moves by eps.

|y(x') - y(x)| <= K eps + error    for every x' with d(x, x') <= eps   [C6]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.bounds import Bound
from stablerank.certify.certificate import _check_eps
from stablerank.exceptions import InvalidInputError
from stablerank.metrics import Threat
from stablerank.rounding import add_up, div_down, down, mul_up, sub_down

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RegressionCertificates"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RegressionCertificates:
    """Certified predictions of a regressor.

    Parameters
    ----------
    value : ndarray of shape (n,) or (n, n_targets)
        Predictions.
    constant : ndarray, broadcastable to `value`
        K, in target units per unit of the threat.
    error : ndarray, broadcastable to `value`
        Rounding and engine error, at the sample and in the ball together.
    bound : Bound
        The chain of theorems, for people.
    threat : Threat
        What eps measures.
    evidence : mapping
        The separate error terms.
    """

    value: Array
    constant: Array
    error: Array
    bound: Bound
    threat: Threat
    evidence: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.value)

    def __repr__(self) -> str:
        top = float(np.max(self.constant, initial=0.0))
        return f"RegressionCertificates({len(self)} samples, constant {top:.4g})"

    def interval(self, eps: float | ArrayLike) -> tuple[Array, Array]:
        """Lower and upper end of what `predict` can return within `eps`.

        Parameters
        ----------
        eps : float, or array shaped like `value`
            Size of the perturbation.
        """
        size = _check_eps(eps, self.value.shape)
        reach = add_up(mul_up(self.constant, size), self.error)
        low = np.asarray(sub_down(self.value, reach))
        return low, np.asarray(add_up(self.value, reach))

    def radius(self, tolerance: float | ArrayLike) -> Array:
        """Largest certified eps for which no prediction moves by more than tolerance.

        0 abstains: the tolerance is below the errors. inf: the model is constant.
        """
        allowed = np.asarray(tolerance, np.float64)
        if np.isnan(allowed).any() or (allowed < 0).any():
            raise InvalidInputError(f"tolerance must be >= 0, got {tolerance!r}")
        left = np.maximum(np.asarray(sub_down(allowed, self.error)), 0.0)
        moving = np.broadcast_to(
            self.constant > 0, np.broadcast(left, self.value).shape
        )
        safe = np.where(self.constant > 0, self.constant, 1.0)
        size = np.asarray(down(div_down(left, safe)))
        still = np.where(left > 0, np.inf, 0.0)
        return np.where(moving, size, still) * np.ones_like(self.value)

    def to_frame(self, eps: float = 0.0) -> pd.DataFrame:
        """Return one row a prediction with its interval, as a pandas table."""
        import pandas as pd

        low, high = self.interval(eps)
        names = ["value", "low", "high"]
        columns = [
            np.asarray(a).reshape(len(self), -1) for a in (self.value, low, high)
        ]
        if columns[0].shape[1] == 1:
            return pd.DataFrame(
                {k: c[:, 0] for k, c in zip(names, columns, strict=True)}
            )
        return pd.DataFrame(
            {
                f"{name}{t}": column[:, t]
                for name, column in zip(names, columns, strict=True)
                for t in range(column.shape[1])
            }
        )
