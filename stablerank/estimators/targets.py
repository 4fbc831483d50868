"""Labels and target values: what a fit can learn, and what it refuses by row."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from stablerank.exceptions import (
    DataTypeError,
    EmptyInputError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
)

__all__ = ["check_target_length", "class_weights", "encode_labels", "read_targets"]

Array = NDArray[np.float64]

#: Kinds of arrays that can be labels: strings, booleans, numbers.
_LABELS = "Ubiuf"


def encode_labels(y: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sorted classes and the class number of every label.

    Examples
    --------
    >>> encode_labels(["b", "a", "b"])[1]
    array([1, 0, 1])
    """
    labels = column_or_1d(y, warn=True)
    if not len(labels):
        raise EmptyInputError("y is empty; give one label a sample")
    _check_labels(labels)
    check_classification_targets(labels)
    classes, target = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InvalidInputError(
            f"y has only one class, {classes.tolist()[0]!r}; a classifier needs 2 at "
            "least"
        )
    return classes, target.astype(np.int64)


def _check_labels(labels: NDArray[Any]) -> None:
    """Raise unless labels are of one kind, and all there."""
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.argmax(~np.isfinite(labels)))
        raise NonFiniteError(f"Input y contains NaN or infinity in row {row}; drop it")
    if labels.dtype.kind == "O":
        for row, label in enumerate(labels):
            if label is None or (isinstance(label, float) and not np.isfinite(label)):
                raise NonFiniteError(
                    f"Input y contains NaN or None in row {row} ({label!r}); drop it"
                )
            if _kind(label) != _kind(labels[0]):
                raise DataTypeError(
                    f"y has labels of two kinds: {labels[0]!r} in row 0, {label!r} in "
                    f"row {row}; use one, for example y.astype(str)"
                )
    elif labels.dtype.kind not in _LABELS:
        raise DataTypeError(
            f"y has labels of type {labels.dtype}; use strings, booleans or numbers, "
            "for example y.astype(str)"
        )


def _kind(label: Any) -> type:
    """Labels of one kind can be sorted."""
    for kind in (str, numbers.Number):
        if isinstance(label, kind):
            return kind
    return type(label)


def class_weights(
    class_weight: str | Mapping[Any, float] | None,
    classes: NDArray[Any],
    target: NDArray[np.int64],
) -> Array:
    """Weight of every sample, with mean 1."""
    weights = compute_class_weight(class_weight, classes=classes, y=classes[target])
    by_class = np.asarray(weights, np.float64)
    if not (np.isfinite(by_class).all() and (by_class >= 0).all() and by_class.any()):
        raise InvalidInputError(
            f"class_weight gives {by_class.tolist()} to classes {classes.tolist()}; "
            "weights must be finite and >= 0, and not all 0"
        )
    weights = by_class[target]
    return np.asarray(weights / weights.mean())


def read_targets(y: ArrayLike) -> Array:
    """Targets as (n, n_targets) float64, finite.

    Examples
    --------
    >>> read_targets([1, 2]).shape
    (2, 1)
    """
    raw = np.asarray(y)
    if raw.dtype.kind not in "biufO":
        raise DataTypeError(f"y holds {raw.dtype} values; give real numbers")
    try:
        target = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"y must hold real numbers ({error})") from error
    if target.ndim not in (1, 2):
        raise ShapeError(f"y has shape {target.shape}; expected (n,) or (n, n_targets)")
    if not target.size:
        raise EmptyInputError(f"y is empty, of shape {target.shape}")
    target = target.reshape(len(target), -1)
    if not np.isfinite(target).all():
        row = int(np.argmax(~np.isfinite(target).all(axis=1)))
        raise NonFiniteError(f"Input y contains NaN or infinity in row {row}; drop it")
    return target


def check_target_length(n_samples: int, y: ArrayLike) -> None:
    """Raise unless there is one target a sample."""
    if np.ndim(y) == 0 or len(np.asarray(y)) != n_samples:
        raise ShapeError(
            f"{n_samples} samples but y has shape {np.shape(y)}; inconsistent numbers "
            "of samples"
        )
