"""Topological deep learning whose predictions are provably stable.

Names are loaded when they are first used: importing this package takes
milliseconds and needs nothing but the standard library, because the certificate
checker, which must run anywhere, is reached through it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "stablerank.bounds": ("Bound",),
    "stablerank.diagrams": ("Diagram", "Diagrams"),
    "stablerank.exceptions": (
        "NoStabilityTheorem",
        "StableRankError",
        "UncertifiableLayerError",
    ),
    "stablerank.extract": (
        "AlphaPersistence",
        "CubicalPersistence",
        "DTMPersistence",
        "DTMRipsPersistence",
        "GraphPersistence",
        "PersistenceUnion",
        "RipsPersistence",
    ),
    "stablerank.certify": ("Certificates", "RegressionCertificates"),
    "stablerank.estimators": (
        "LipschitzClassifier",
        "LipschitzRegressor",
        "SRNClassifier",
        "SRNRegressor",
        "StableRankTransformer",
        "certify_pipeline",
    ),
    "stablerank.io": ("load", "save"),
    "stablerank.metrics": (
        "BottleneckBall",
        "Budget",
        "Displacement",
        "FeatureBall",
        "Hausdorff",
        "MatrixSup",
        "PixelBudget",
        "PixelSup",
        "SinglePoint",
        "Strain",
        "WassersteinBall",
    ),
    "stablerank.represent": ("Contour", "stable_rank"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_ROOMS = (
    "certify",
    "datasets",
    "estimators",
    "extract",
    "metrics",
    "nn",
    "plotting",
    "represent",
)

__all__ = sorted({*_HOME_OF, "datasets"})  # noqa: PLE0605 - a list of names


def __getattr__(name: str) -> Any:
    """Import a public name from its room on first use (PEP 562)."""
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    elif name in _ROOMS:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *_ROOMS})
