"""Raw arrays to float64: exactly, or an error that says where and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import (
    DataTypeError,
    InvalidInputError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.rounding import fits_float64

__all__ = [
    "LARGEST",
    "Array",
    "as_numpy",
    "as_samples",
    "check_finite",
    "check_limit",
    "repeatable",
    "to_float64",
]

Array = NDArray[np.float64]

#: Squares of differences must stay finite, summed over any sensible dimension.
LARGEST = 1e150


def as_numpy(x: Any, where: str) -> NDArray[Any]:
    """Any array-like as numpy, without importing the library that made it."""
    if hasattr(x, "detach"):  # a torch tensor, on any device, with or without grad
        if x.is_meta:
            raise DataTypeError(f"{where} is a tensor on the meta device, without data")
        x = x.detach().cpu()
        x = (x.to_dense() if x.is_sparse else x).resolve_conj().resolve_neg()
        # numpy has no bfloat16; float64 holds every floating type of torch.
        x = (x.double() if x.is_floating_point() else x).numpy()
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataTypeError(f"{where} is a masked array; fill or drop what is masked")
    if hasattr(x, "toarray"):
        raise DataTypeError(
            f"{where} is a sparse matrix; dense data is required: use .toarray()"
        )
    if isinstance(x, (Mapping, Set)):
        raise DataTypeError(f"{where} is a {type(x).__name__}; expected an array")
    try:
        return np.asarray(x)
    except ValueError as error:  # rows of different lengths
        msg = f"{where} is ragged: rows have different lengths; make it rectangular"
        raise ShapeError(msg) from error


def to_float64(x: Any, where: str) -> Array:
    """Array as float64 in C order, exactly; finite and far from overflow.

    Parameters
    ----------
    x : array-like
        Real numbers of any integer or floating type.
    where : str
        How messages call it, for example "clouds[3]".

    Examples
    --------
    >>> to_float64([[0, 1]], "x")
    array([[0., 1.]])
    """
    raw = as_numpy(x, where)
    if raw.dtype.kind == "c":
        raise DataTypeError(
            f"{where}: Complex data not supported; take real parts or moduli"
        )
    if raw.dtype.kind == "O":
        raw = _numbers_of_objects(raw, where)
    if raw.dtype.kind not in "iuf":
        raise DataTypeError(
            f"{where} holds {raw.dtype} values; convert them to real numbers"
        )
    if not fits_float64(raw):
        raise NumericRangeError(
            f"{where} holds {raw.dtype} numbers that float64 does not have (integers "
            "above 2**53, or more digits than it has); rescale or round"
        )
    array = np.ascontiguousarray(raw, dtype=np.float64)
    check_finite(array, where)
    if array.size and np.abs(array).max() > LARGEST:
        row = int(np.argmax(np.abs(array).reshape(len(array), -1).max(axis=1)))
        raise NumericRangeError(
            f"{where} has values above {LARGEST:g} in row {row}: squares would "
            "overflow; rescale the data"
        )
    return array


def _numbers_of_objects(raw: NDArray[Any], where: str) -> NDArray[Any]:
    """Read an object array whose entries are all real numbers."""
    for index, value in np.ndenumerate(raw):
        # bool is an int to Python, and a category to everybody else.
        if isinstance(value, bool) or not isinstance(
            value, (int, float, np.integer, np.floating)
        ):
            raise DataTypeError(
                f"{where} holds {value!r} at {index}: every entry of the argument must "
                "be real; a string or another object is not a number"
            )
        if isinstance(value, int) and abs(value) > 2**53:
            raise NumericRangeError(
                f"{where} holds the integer {value} at {index}, which float64 cannot "
                "represent; rescale"
            )
    return raw.astype(np.float64)


def check_finite(array: Array, where: str) -> None:
    """Raise if an entry is NaN or infinite, naming the first such row."""
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    place = np.argwhere(bad)[0].tolist()
    what = "NaN" if np.isnan(array[tuple(place)]) else "infinity (inf)"
    at = f"row {place[0]}" if array.ndim <= 2 else f"position {tuple(place)}"
    raise NonFiniteError(
        f"{where} has {what} in {at}; drop the row or impute before fitting"
    )


def as_samples(X: Any, name: str, sample_ndim: int, single: str) -> list[Any]:
    """Split a batch into samples, telling a single sample from a batch."""
    if getattr(X, "is_nested", False):  # torch's own ragged batches
        return list(X.unbind())
    # Arrays, tensors and tables; a list of arrays has no such method.
    if hasattr(X, "__array__") or hasattr(X, "toarray"):
        raw = as_numpy(X, name)
        if raw.dtype == object and raw.ndim == 1:
            return list(raw)
        if raw.ndim == sample_ndim:
            raise ShapeError(f"{name} has shape {raw.shape}, {single}: pass [X]")
        if raw.ndim != sample_ndim + 1:
            raise ShapeError(
                f"{name} has shape {raw.shape}; expected {sample_ndim + 1} axes, or a "
                f"list of arrays with {sample_ndim}"
            )
        return list(raw)
    return listed(X, name)


def listed(X: Any, name: str, what: str = "arrays") -> list[Any]:
    """List of samples, of anything that is one."""
    # Sets have no order, and the keys of a mapping are no samples.
    unfit = (str, bytes, Mapping, Set)
    if isinstance(X, unfit) or not isinstance(X, Iterable):
        raise DataTypeError(
            f"{name} is a {type(X).__name__}; expected a list of {what}"
        )
    return list(X)


def repeatable(X: Any) -> Any:
    """Return the input, as a list if it could be read only once.

    Examples
    --------
    >>> repeatable(x for x in [1, 2])
    [1, 2]
    """
    return list(X) if isinstance(X, Iterator) else X


def check_limit(value: float, name: str) -> None:
    """Raise unless the value is a finite number above 0."""
    if not (np.isfinite(value) and value > 0):
        raise InvalidInputError(f"{name} must be a finite number > 0, got {value!r}")
