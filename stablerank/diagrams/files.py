"""Diagrams on disk: one `.npz` of plain arrays and a JSON header; no pickle."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stablerank.diagrams.source import Source
from stablerank.exceptions import FileFormatError

if TYPE_CHECKING:
    from stablerank.diagrams.batch import Diagrams

SCHEMA = 1

_IN_HEADER = ("channels", "degrees", "conventions", "units")
_ARRAYS = ("bars", "offsets", "essential", "essential_offsets", "error")

#: What numpy, zipfile and json raise when they meet bytes that nobody wrote.
_DAMAGE = (
    EOFError,
    KeyError,
    NotImplementedError,  # an unknown compression method
    OSError,
    RuntimeError,  # "encrypted"
    TypeError,  # a .npy file: an array is no context manager
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def write_npz(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write all or nothing: a temporary neighbour takes the name when complete."""
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    text = json.dumps({"schema": SCHEMA, **header})
    packed = {**arrays, "header": np.frombuffer(text.encode(), np.uint8)}
    try:
        with partial.open("wb") as file:
            np.savez(file, **packed)  # type: ignore[arg-type]
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def read_npz(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays that `write_npz` wrote."""
    with Path(path).open("rb") as raw:  # ours to close, whatever numpy raises
        try:
            with np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(arrays.pop("header").tobytes())
        except _DAMAGE as error:
            msg = f"{path} is not a file of diagrams, or is damaged: {error}"
            raise FileFormatError(msg) from error
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise FileFormatError(f"{path} has another schema than {SCHEMA}; extract again")
    return header, arrays


def to_parts(
    own: Diagrams, prefix: str = ""
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """JSON values and arrays of a compact batch, without its critical vertices."""
    header: dict[str, Any] = {name: list(getattr(own, name)) for name in _IN_HEADER}
    arrays = {prefix + name: getattr(own, name) for name in _ARRAYS}
    header["source"], more = (
        (None, {}) if own.source is None else own.source.to_arrays()
    )
    return header, arrays | more


def from_parts(
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    make: type[Diagrams],
    prefix: str = "",
    **more: Any,
) -> Diagrams:
    """Inverse of `to_parts`; the constructor checks all once more."""
    source = header["source"]
    return make(
        **{name: arrays[prefix + name] for name in _ARRAYS},
        channels=header["channels"],
        degrees=header["degrees"],
        convention=header["conventions"],
        unit=header["units"],
        source=None if source is None else Source.from_arrays(source, arrays),
        **more,
    )


def write_diagrams(path: str | os.PathLike[str], own: Diagrams) -> None:
    """Write a compact batch."""
    header, arrays = to_parts(own)
    if own.critical is not None:
        arrays["critical"] = own.critical
    write_npz(path, header, arrays)


def read_diagrams(path: str | os.PathLike[str], make: type[Diagrams]) -> Diagrams:
    """Read what `write_diagrams` wrote."""
    header, arrays = read_npz(path)
    try:
        return from_parts(header, arrays, make, critical=arrays.get("critical"))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        msg = f"{path} is not a file of diagrams, or is damaged: {error!r}"
        raise FileFormatError(msg) from error
