"""What a certificate says, and the questions that people ask of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.bounds import Bound
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.metrics import Threat

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Certificates"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Certificates:
    """Certified predictions of a batch.

    For every input x' with d(x, x') <= radius, d the threat, `predict` returns the
    same label; radius 0 abstains, and `reason` says why.

    Parameters
    ----------
    label : ndarray of shape (n,)
        Predicted labels.
    radius : ndarray of shape (n,)
        In the units of the threat; 0 abstains, inf: no rival can move.
    reason : ndarray of str, shape (n,)
        "" for an ordinary certificate.
    rival : ndarray of shape (n,)
        The label that decides the radius.
    bound : Bound
        The chain of theorems, for people.
    threat : Threat
        What the radius measures.
    kind : str
        "margin" (deterministic) or "smoothing".
    alpha : float
        Probability that the certificate is wrong; 0 when deterministic.
    evidence : mapping
        Logits, pairwise constants and the separate error terms.
    """

    label: NDArray[Any]
    radius: Array
    reason: NDArray[np.str_]
    rival: NDArray[Any]
    bound: Bound
    threat: Threat
    kind: str = "margin"
    alpha: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if np.isnan(self.radius).any() or (self.radius < 0).any():
            raise InvalidInputError("a radius is never NaN or negative")

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.radius)

    def __repr__(self) -> str:
        certified = int((self.radius > 0).sum())
        median = f", median radius {np.median(self.radius):.4g}" if len(self) else ""
        return (
            f"Certificates({len(self)} samples, {certified} certified, "
            f"threat {self.threat}{median})"
        )

    def holds(self, eps: float | ArrayLike) -> NDArray[np.bool_]:
        """Whether each prediction is certified at size `eps`: 0 < radius >= eps.

        Parameters
        ----------
        eps : float, or array of shape (n,)
            One size for all, or one a sample.
        """
        size = _check_eps(eps, self.radius.shape)
        return (self.radius > 0) & (size <= self.radius)

    def accuracy(self, y: ArrayLike, eps: float | ArrayLike = 0.0) -> Any:
        """Share of samples that are right and certified at `eps`.

        At `eps` 0 this is the plain accuracy of the labels.

        Parameters
        ----------
        y : array-like of shape (n,)
            True labels.
        eps : float or sequence of float
            Sizes of the perturbation.

        Returns
        -------
        float, or ndarray with one entry a size
        """
        right = self._right(y)
        sizes = np.atleast_1d(_check_eps(eps))
        if sizes.ndim > 1:
            raise ShapeError(f"eps has shape {sizes.shape}; give a list of sizes")
        shares = [
            float(np.mean(right & self.holds(e))) if e > 0 else float(np.mean(right))
            for e in sizes.tolist()
        ]
        return shares[0] if np.ndim(eps) == 0 else np.array(shares)

    def curve(self, y: ArrayLike) -> tuple[Array, Array]:
        """Certified accuracy against radius, as a step function.

        Returns
        -------
        radii : ndarray
            0 and the radii of the samples that are right, ascending; the last is the
            largest finite one.
        share : ndarray
            Share that is right and certified at that radius.
        """
        right = self._right(y)
        own = np.sort(self.radius[right & (self.radius > 0)])
        n = len(self.radius)
        finite = own[np.isfinite(own)]
        radii = np.concatenate([[0.0], finite])
        still = len(own) - np.arange(len(finite))
        return radii, np.concatenate([[right.mean()], still / n])

    def _right(self, y: ArrayLike) -> NDArray[np.bool_]:
        truth = np.asarray(y)
        if truth.shape != self.label.shape:
            raise ShapeError(f"{truth.shape} true labels for {len(self)} certificates")
        if not len(truth):
            raise InvalidInputError("a share of 0 samples has no value")
        return np.asarray(truth == self.label)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a sample, as a pandas table."""
        from stablerank.exceptions import MissingDependencyError

        try:
            import pandas as pd
        except ImportError:
            raise MissingDependencyError("pandas", "test", "a table") from None
        columns = {
            "label": self.label,
            "radius": self.radius,
            "rival": self.rival,
            "reason": self.reason,
        }
        return pd.DataFrame(columns)

    def plot(self, y: ArrayLike | None = None, ax: Axes | None = None) -> Axes:
        """Draw certified accuracy (or the certified share, without y) by radius."""
        from stablerank.plotting import plot_certificates

        return plot_certificates(self, y=y, ax=ax)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `certificates.json` and `certificates.npz` into a folder."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        arrays = {
            "label": self.label,
            "radius": self.radius,
            "reason": self.reason,
            "rival": self.rival,
            "logits": self.evidence.get("logits", np.empty(0)),
            "constants": self.evidence.get("constants", np.empty(0)),
            "owed": self.evidence.get("owed", np.empty(0)),
        }
        for name in ("label", "rival"):
            if arrays[name].dtype == object:
                arrays[name] = arrays[name].astype(str)
        np.savez(target / "certificates.npz", **arrays)
        header = {
            "schema": 1,
            "threat": repr(self.threat),
            "kind": self.kind,
            "alpha": self.alpha,
            "ledger": self.bound.ledger,
            "rounding": self.evidence.get("rounding"),
            "engine": self.evidence.get("engine"),
            "approximation": self.evidence.get("approximation"),
        }
        text = json.dumps(header, indent=2) + "\n"
        (target / "certificates.json").write_text(text)


def _check_eps(eps: float | ArrayLike, shape: tuple[int, ...] | None = None) -> Array:
    """Read sizes: numbers >= 0; with a shape, one number or an array of that shape."""
    try:
        size = np.asarray(eps, dtype=np.float64)
    except (TypeError, ValueError):
        msg = f"eps must be a number >= 0, got {eps!r}"
        raise InvalidInputError(msg) from None
    if np.isnan(size).any() or (size < 0).any():
        raise InvalidInputError(f"eps must be >= 0 and not NaN, got {eps!r}")
    if shape is not None and size.shape not in ((), shape):
        raise ShapeError(
            f"eps has shape {size.shape}; give one number, or one for each of the "
            f"predictions, {shape}"
        )
    return size
