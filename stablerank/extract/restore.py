"""Extractors from their specs: only classes of this library, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stablerank import extract
from stablerank.exceptions import FileFormatError
from stablerank.extract.base import Extractor

__all__ = ["restore_extractor"]


def restore_extractor(spec: Mapping[str, Any]) -> Extractor:
    """Rebuild an extractor, fitted if it was, from `Extractor.spec()`.

    Parameters
    ----------
    spec : mapping
        JSON values, such as a file holds; nothing that it names is imported.

    Raises
    ------
    FileFormatError
        If the extractor, or a function that is a parameter of it, is not of this
        library, or if the spec is none.

    Examples
    --------
    >>> from stablerank import AlphaPersistence
    >>> alpha = AlphaPersistence().fit([[[0.0, 0.0], [1.0, 0.0]]])
    >>> restore_extractor(alpha.spec()).spec() == alpha.spec()
    True
    """
    name = spec.get("class")
    if name not in extract.__all__ or name == "Extractor":
        raise FileFormatError(
            f"the model's extractor {name!r} is not one of this library; hand it to "
            "load(folder, extractor=...)"
        )
    params = {key: _value(value) for key, value in spec["params"].items()}
    try:
        extractor: Extractor = getattr(extract, name)(**params)
    except TypeError as error:
        msg = f"{name} has no such parameters in this version: {error}"
        raise FileFormatError(msg) from error
    extractor._check_parameters()
    for attribute, value in spec.get("fitted", {}).items():
        if attribute.startswith("_") or not attribute.endswith("_"):
            raise FileFormatError(f"{name} is not fitted by setting {attribute!r}")
        fitted = _value(value)
        if isinstance(fitted, list) and _is_table(fitted):
            fitted = np.asarray(fitted)
        setattr(extractor, attribute, fitted)
    return extractor


def _value(value: Any) -> Any:
    """JSON value as the parameter that it was."""
    match value:
        case {"class": _}:
            value = restore_extractor(value)
        case {"float": text}:
            value = float(text)
        case {"callable": function}:
            raise FileFormatError(
                f"the model's extractor calls {function!r}, and no file tells which "
                "code to run; hand it to load(folder, extractor=...)"
            )
        case dict():
            value = {key: _value(item) for key, item in value.items()}
        case [str() as name, {"class": _} as part]:  # a named part of a union
            value = name, restore_extractor(part)
        case list():
            value = [_value(item) for item in value]
    return value


def _is_table(value: list[Any]) -> bool:
    """Whether a list holds numbers only, on every level."""
    return all(
        _is_table(v) if isinstance(v, list) else isinstance(v, (int, float))
        for v in value
    )
