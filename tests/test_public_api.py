"""Names and signatures that users build on: they change with a major version only."""

from __future__ import annotations

import inspect

import pytest

import stablerank as sr

NAMES = {
    "AlphaPersistence",
    "BottleneckBall",
    "Bound",
    "Budget",
    "Certificates",
    "Contour",
    "CubicalPersistence",
    "DTMPersistence",
    "DTMRipsPersistence",
    "Diagram",
    "Diagrams",
    "Displacement",
    "FeatureBall",
    "GraphPersistence",
    "Hausdorff",
    "LipschitzClassifier",
    "LipschitzRegressor",
    "MatrixSup",
    "NoStabilityTheorem",
    "PersistenceUnion",
    "PixelBudget",
    "PixelSup",
    "RegressionCertificates",
    "RipsPersistence",
    "SRNClassifier",
    "SRNRegressor",
    "SinglePoint",
    "StableRankError",
    "StableRankTransformer",
    "Strain",
    "UncertifiableLayerError",
    "WassersteinBall",
    "certify_pipeline",
    "datasets",
    "load",
    "save",
    "stable_rank",
}

#: Parameters, with their defaults where a user relies on them.
SIGNATURES = {
    "AlphaPersistence": {"homology_dimensions": (0, 1), "precision": "safe"},
    "RipsPersistence": {
        "homology_dimensions": (0, 1),
        "metric": "euclidean",
        "engine": "gudhi",
        "threshold": None,
        "n_landmarks": None,
        "sparse": None,
    },
    "DTMPersistence": {"n_neighbors": (5, 20, 50), "grid": 64, "q": 2},
    "DTMRipsPersistence": {"n_neighbors": 5, "q": 2},
    "CubicalPersistence": {"construction": "vertex", "periodic": None},
    "GraphPersistence": {"vertex_function": "degree", "extended": False},
    "SRNClassifier": {"extractor": None, "network": "auto", "random_state": None},
    "WassersteinBall": {"q": None},
    "certify_pipeline": {"threat": None},
    "Displacement": {"weights": None},
}

COMMON = {"homology_dimensions", "n_jobs", "progress", "memory"}


def test_the_public_names_are_these() -> None:
    assert set(sr.__all__) == NAMES
    for name in NAMES:
        assert getattr(sr, name) is not None


@pytest.mark.parametrize("name", list(SIGNATURES))
def test_parameters_and_defaults_stay(name: str) -> None:
    parameters = inspect.signature(getattr(sr, name)).parameters
    for parameter, default in SIGNATURES[name].items():
        assert parameters[parameter].default == default


@pytest.mark.parametrize("name", sorted(n for n in NAMES if n.endswith("Persistence")))
def test_every_extractor_has_the_common_parameters(name: str) -> None:
    assert set(inspect.signature(getattr(sr, name)).parameters) >= COMMON


def test_what_is_imported_lazily_is_listed() -> None:
    assert set(sr.__all__) <= set(dir(sr))
