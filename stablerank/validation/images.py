"""Reading arrays of values: signals and images."""

from __future__ import annotations

from typing import Any

from stablerank.exceptions import EmptyInputError, ShapeError
from stablerank.validation.arrays import Array, as_numpy, listed, to_float64

__all__ = ["check_images"]


def check_images(X: Any, name: str = "images") -> list[Array]:
    """Read arrays of values: 1-D signals, 2-D or 3-D images.

    Parameters
    ----------
    X : ndarray of 2, 3 or 4 axes, or list of arrays of 1, 2 or 3 axes
        The first axis of an array runs over samples, so a plain 2-D table is read
        as one signal a row.
    name : str
        How messages call them.

    Examples
    --------
    >>> [image.shape for image in check_images([[0, 1, 0], [1, 0, 1]])]
    [(3,), (3,)]
    """
    if getattr(X, "is_nested", False):  # torch's own ragged batches
        samples = list(X.unbind())
    elif hasattr(X, "detach") or hasattr(X, "toarray") or hasattr(X, "__array__"):
        raw = as_numpy(X, name)  # tensors, arrays, tables with column names
        if raw.ndim == 1 and raw.dtype != object:
            raise ShapeError(
                f"{name} has shape {raw.shape}. Reshape your data: a single signal is "
                "[X], of shape (1, n)"
            )
        samples = list(raw) if raw.ndim else []
    else:
        samples = listed(X, name)
    if not samples:
        raise EmptyInputError(
            f"Found array with 0 sample(s) in {name} while a minimum of 1 is required."
        )
    images = []
    for i, sample in enumerate(samples):
        where = f"{name}[{i}]"
        image = to_float64(sample, where)
        if image.ndim not in (1, 2, 3):
            raise ShapeError(
                f"{where} has shape {image.shape}. Reshape your data: signals have 1 "
                "axis, images 2 or 3"
            )
        if image.size == 0:
            raise EmptyInputError(
                f"{where} is empty: 0 feature(s) (shape="
                f"{(len(samples), *image.shape)}) while a minimum of 1 is required."
            )
        images.append(image)
        if image.ndim != images[0].ndim:
            raise ShapeError(
                f"{where} has {image.ndim} axes, {name}[0] has {images[0].ndim}; "
                "images of one kind are needed"
            )
    return images
