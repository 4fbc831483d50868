"""What a certificate says, and the questions that people ask of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.bounds import Bound
from stablerank.certify.margin import NOT_AMONG_THE_TOP, margin_radii
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.metrics import Threat

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from stablerank.certify.stages import StageRatios

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
        "margin" (deterministic), "top k" (the label stays among the k largest), or
        "smoothing".
    alpha : float
        Probability that the certificate is wrong; 0 when deterministic.
    evidence : mapping
        Logits, pairwise constants, the separate error terms, and what they are of:
        program, data, bounds and classes.
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

    def top(self, k: int, labels: ArrayLike | None = None) -> Certificates:
        """Certificates that a label stays among the k largest logits.

        A label leaves them only if k rivals reach it, so its radius is that at which
        the k-th rival may arrive; ties count against the label. `top(1)` is the
        certificate itself.

        Parameters
        ----------
        k : int
            From 1 to the number of classes less 1.
        labels : array-like of shape (n,), optional
            The labels in question, for example the true ones; by default the predicted
            ones. One that is not among the top k now has radius 0.

        Returns
        -------
        Certificates
            Of these labels; `accuracy` of the true ones is certified top-k accuracy.

        Examples
        --------
        >>> from stablerank.certify import certify
        >>> from stablerank.frozen import Affine, Program, VectorInput
        >>> from stablerank.metrics import FeatureBall
        >>> head = Affine((0,), np.eye(3), np.zeros(3))
        >>> program = Program((VectorInput(3, np.inf, 8.0),), (head,))
        >>> cert = certify(program, [[4.0, 3.0, 0.0]], FeatureBall(np.inf))
        >>> [round(float(cert.top(k).radius[0]), 9) for k in (1, 2)]
        [0.5, 2.0]
        """
        names = self.evidence.get("classes")
        if names is None:
            raise InvalidInputError(
                "these certificates do not hold the logits of all classes; ask those "
                "that certify returned"
            )
        chosen = None if labels is None else _positions(names, labels, len(self))
        found = margin_radii(
            self.evidence["logits"],
            self.evidence["constants"],
            self.evidence["owed"],
            top=k,
            of=chosen,
        )
        return replace(
            self,
            label=names[found.predicted],
            radius=found.radius,
            reason=found.reason,
            rival=names[found.rival],
            kind="margin" if k == 1 and labels is None else f"top {k}",
        )

    def abstain(self, below: float | ArrayLike) -> Certificates:
        """Abstain wherever the radius is smaller than a threshold.

        A selective classifier that answers at radius `below` or more keeps, within the
        radius of an answer, from giving another label; it may still fall silent there.

        Parameters
        ----------
        below : float, or array of shape (n,)
            Smallest radius that is answered.

        Returns
        -------
        Certificates
            The same, with radius 0 and a reason where it abstains.

        Examples
        --------
        >>> from stablerank.certify import certify
        >>> from stablerank.frozen import Affine, Program, VectorInput
        >>> from stablerank.metrics import FeatureBall
        >>> head = Affine((0,), np.eye(2), np.zeros(2))
        >>> program = Program((VectorInput(2, np.inf, 8.0),), (head,))
        >>> rows = [[4.0, 0.0], [1.0, 0.0]]
        >>> cert = certify(program, rows, FeatureBall(np.inf)).abstain(below=1.0)
        >>> cert.coverage(), cert.reason.tolist()
        (0.5, ['', 'below the threshold'])
        """
        silent = (self.radius > 0) & (
            self.radius < _check_eps(below, self.radius.shape)
        )
        return replace(
            self,
            radius=np.where(silent, 0.0, self.radius),
            reason=np.where(silent, "below the threshold", self.reason),
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
        return self._each(
            eps, lambda e: float(np.mean(right & self.holds(e) if e > 0 else right))
        )

    def coverage(self, eps: float | ArrayLike = 0.0) -> Any:
        """Share of samples that are certified at `eps`, right or wrong.

        Parameters
        ----------
        eps : float or sequence of float
            Sizes of the perturbation; at 0 all that do not abstain.

        Returns
        -------
        float, or ndarray with one entry a size
        """
        return self._each(eps, lambda e: _share(self.holds(e)))

    def selective_accuracy(self, y: ArrayLike, eps: float | ArrayLike = 0.0) -> Any:
        """Share of right ones among the samples that are certified at `eps`.

        Parameters
        ----------
        y : array-like of shape (n,)
            True labels.
        eps : float or sequence of float
            Sizes of the perturbation.

        Returns
        -------
        float, or ndarray with one entry a size
            NaN where no sample is certified.
        """
        right = self._right(y)
        return self._each(eps, lambda e: _share(right[self.holds(e)]))

    def _each(self, eps: float | ArrayLike, share: Callable[[float], float]) -> Any:
        """One share a size."""
        sizes = np.atleast_1d(_check_eps(eps))
        if sizes.ndim > 1:
            raise ShapeError(f"eps has shape {sizes.shape}; give a list of sizes")
        shares = [share(e) for e in sizes.tolist()]
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
        return np.asarray((truth == self.label) & (self.reason != NOT_AMONG_THE_TOP))

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

    def plot(
        self,
        y: ArrayLike | None = None,
        ax: Axes | None = None,
        *,
        kind: str = "curve",
        attacked: ArrayLike | None = None,
        stages: StageRatios | None = None,
    ) -> Axes:
        """Draw what is certified, or where the radius is lost.

        Parameters
        ----------
        y : array-like of shape (n,), optional
            True labels.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        kind : {"curve", "waterfall"}
            "curve": certified accuracy (without y, the certified share) by radius.
            "waterfall": what each stage takes off the radius.
        attacked : array-like of shape (n,), optional
            For the curve: size of the smallest move that changed the label.
        stages : StageRatios, optional
            For the waterfall: what `observe_stages` measured.
        """
        from stablerank.plotting import plot_certificates, plot_waterfall

        if kind == "curve":
            return plot_certificates(self, y=y, ax=ax, attacked=attacked)
        if kind != "waterfall":
            raise InvalidInputError(f"kind is 'curve' or 'waterfall', not {kind!r}")
        if stages is None:
            raise InvalidInputError(
                "a waterfall shows what moves have shown; give stages=observe_stages("
                "program, clean, moved, sizes, ...) of stablerank.certify"
            )
        return plot_waterfall(stages, ax=ax)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write all that is needed to decide them again, without this library.

        Parameters
        ----------
        folder : path
            For `certificates.json` and `certificates.safetensors`; then
            `python -m stablerank.certify.checker folder` decides.

        Examples
        --------
        >>> import tempfile
        >>> from stablerank.certify import certify, checker
        >>> from stablerank.frozen import Affine, Program, VectorInput
        >>> from stablerank.metrics import FeatureBall
        >>> head = Affine((0,), np.eye(2), np.zeros(2))
        >>> program = Program((VectorInput(2, np.inf, 8.0),), (head,))
        >>> cert = certify(program, [[4.0, 0.0]], FeatureBall(np.inf))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cert.save(folder)
        ...     verdicts, report = checker.check(folder)
        >>> verdicts[0].claimed < verdicts[0].exact < 2, verdicts[0].complaint
        (True, '')
        """
        from stablerank.certify.file import write_certificates

        write_certificates(self, folder)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], threat: Threat | None = None
    ) -> Certificates:
        """Read what `save` wrote; constants are computed again, claims are not.

        Parameters
        ----------
        folder : path
            With both files.
        threat : Threat, optional
            The threat that was certified, where its weights are a function.

        Raises
        ------
        FileFormatError
            If the file was changed since, or is not one of ours.
        """
        from stablerank.certify.file import read_certificates

        return read_certificates(folder, threat)


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if chosen.size else float("nan")


def _positions(names: NDArray[Any], labels: ArrayLike, n: int) -> NDArray[np.int64]:
    """Number of the class of every label."""
    wanted = np.asarray(labels)
    if wanted.shape != (n,):
        raise ShapeError(f"{wanted.shape} labels for {n} certificates")
    known = {name: i for i, name in enumerate(names.tolist())}
    for row, label in enumerate(wanted.tolist()):
        if label not in known:
            raise InvalidInputError(
                f"labels[{row}] is {label!r}; the model knows {list(known)}"
            )
    return np.array([known[label] for label in wanted.tolist()], np.int64)


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
