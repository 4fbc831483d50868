"""Certificates: radii within which no perturbation can change a prediction.

Names load lazily, because the checker in this room must run without any package.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Certificates": "certificate",
    "RegressionCertificates": "regression",
    "StageRatios": "stages",
    "VectorMoves": "vectors",
    "certify": "programs",
    "certify_values": "programs",
    "compose": "composition",
    "margin_radii": "margin",
    "observe_stages": "stages",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names


def __getattr__(name: str) -> Any:
    """Import a name from its file on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
