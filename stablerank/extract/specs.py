"""Specs: everything that decides the output of an extractor, as JSON values.

A spec is the same in every process, so it serves as a cache key, tells diagrams of one
extractor from those of another, and comes back from a file as the extractor it was.
"""

from __future__ import annotations

import functools
import math
import pickle
from collections.abc import Callable
from types import MethodType
from typing import Any, ClassVar

import joblib
import numpy as np

from stablerank.diagrams import Source
from stablerank.exceptions import IncompatibleDiagramsError

__all__ = ["Specified", "jsonable"]


class Specified:
    """Knows its spec, and the diagrams that were made to it."""

    #: Parameters that change how, not what, is computed.
    _runtime: ClassVar[tuple[str, ...]] = ("n_jobs", "progress", "memory", "max_memory")
    #: Fitted attributes that say what input is refused, and decide nothing else.
    _guards: ClassVar[tuple[str, ...]] = ("n_features_in_",)

    #: Of scikit-learn.
    get_params: Callable[..., dict[str, Any]]

    def spec(self) -> dict[str, Any]:
        """Everything that decides the output, as JSON values.

        Examples
        --------
        >>> from stablerank import AlphaPersistence
        >>> AlphaPersistence().spec()["class"]
        'AlphaPersistence'
        """
        own = {
            k: v
            for k, v in self.get_params(deep=False).items()
            if k not in self._runtime
        }
        fitted = {
            k: v
            for k, v in vars(self).items()
            if k.endswith("_") and not k.startswith("_") and k != "feature_names_in_"
        }
        params = {k: jsonable(v) for k, v in sorted(own.items())}
        choices = {k: jsonable(v) for k, v in sorted(fitted.items())}
        return {"class": type(self).__name__, "params": params, "fitted": choices}

    def _check_origin(self, source: Source) -> None:
        """Raise unless an extractor with these parameters made the diagrams."""
        mine, theirs = self.spec(), source.spec
        fitted = mine["fitted"].keys() & theirs["fitted"].keys() - {*self._guards}
        same = (
            mine["class"] == theirs["class"]
            and mine["params"] == theirs["params"]
            and all(mine["fitted"][k] == theirs["fitted"][k] for k in fitted)
        )
        if not same:
            raise IncompatibleDiagramsError(
                f"the diagrams were made by {theirs['class']} with {theirs['params']}, "
                f"this is {mine['class']} with {mine['params']}; ask the extractor "
                "that made them"
            )


def jsonable(value: Any) -> Any:
    """Parameters and fitted choices as JSON values, floats kept to the bit."""
    match value:
        case np.ndarray():
            value = jsonable(value.tolist())
        case np.integer() | np.floating() | np.bool_():
            value = jsonable(value.item())
        case float() if not math.isfinite(value):
            value = {"float": repr(value)}
        case Specified():
            value = value.spec()
        case dict():
            value = {str(k): jsonable(v) for k, v in value.items()}
        case list() | tuple() | range():
            value = [jsonable(v) for v in value]
        case _ if callable(value):
            value = _callable_spec(value)
    return value


def _callable_spec(function: Callable[..., Any]) -> dict[str, Any]:
    """Name of a function, and a hash of the data that it carries along.

    Both are the same in every process, where a repr would hold an address.
    """
    if isinstance(function, functools.partial):
        spec, carried = _callable_spec(function.func), [function.args]
        carried += sorted(function.keywords.items())
        return {"callable": spec, "state": _hash(carried)}
    if hasattr(function, "__qualname__"):
        spec = {"callable": f"{function.__module__}.{function.__qualname__}"}
        if isinstance(function, MethodType):
            spec["state"] = _hash(function.__self__)
        return spec
    cls = type(function)
    return {
        "callable": f"{cls.__module__}.{cls.__qualname__}",
        "state": _hash(getattr(function, "__dict__", None)),
    }


def _hash(carried: Any) -> str | None:
    """Hash of the content, or None where only a name can tell, as for a lambda."""
    try:
        return str(joblib.hash(carried))
    except (pickle.PicklingError, AttributeError, TypeError):  # three ways to refuse
        return None
