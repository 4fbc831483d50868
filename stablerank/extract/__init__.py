"""Filtrations: raw data to persistence diagrams, each with its stability theorem."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AlphaPersistence": "alpha",
    "CubicalPersistence": "cubical",
    "DTMPersistence": "dtm",
    "DTMRipsPersistence": "dtm_rips",
    "Extractor": "base",
    "GraphPersistence": "graph",
    "PersistenceUnion": "union",
    "RipsPersistence": "rips",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names


def __getattr__(name: str) -> Any:
    """Import one extractor on first use, not the engines of all of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
