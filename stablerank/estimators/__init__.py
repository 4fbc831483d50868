"""scikit-learn estimators: fit, predict, certify."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "LipschitzClassifier": "lipschitz",
    "LipschitzRegressor": "lipschitz",
    "SRNClassifier": "classifier",
    "SRNRegressor": "regressor",
    "StableRankTransformer": "transformer",
    "certify_pipeline": "pipeline",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names


def __getattr__(name: str) -> Any:
    """Import one estimator on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
