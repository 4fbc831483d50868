"""Small problems that train in a fraction of a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import is_classifier

from stablerank import (
    LipschitzClassifier,
    LipschitzRegressor,
    SRNClassifier,
    SRNRegressor,
    training,
)
from stablerank.datasets import orbit5k

SMALL: dict[str, Any] = {"hidden": (32,), "epochs": 8, "random_state": 0}


def rings_and_blobs(n: int = 24, seed: int = 0) -> tuple[list[Any], NDArray[np.int64]]:
    """Noisy circles (1) and discs (0) of 20 to 25 points; alpha tells them apart."""
    rng = np.random.default_rng(seed)
    clouds, y = [], np.arange(n) % 2
    for label in y:
        m = int(rng.integers(20, 26))
        angle = rng.uniform(0, 2 * np.pi, m)
        radius = np.ones(m) if label else np.sqrt(rng.uniform(0, 1, m))
        cloud = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        clouds.append(cloud + rng.normal(0, 0.02, cloud.shape))
    return clouds, y


def halves(cloud: Any) -> NDArray[np.float64]:
    """Weights of points that may move half as far as others."""
    return np.full(len(cloud), 0.5)


def orbits(n_per_class: int = 8, seed: int = 0) -> tuple[Any, NDArray[np.int64]]:
    """Three classes of short orbits."""
    return orbit5k(seed, n_per_class, n_points=60, rs=(2.5, 4.0, 4.3))


def table(n: int = 60, seed: int = 0) -> tuple[Any, NDArray[np.int64]]:
    """Two overlapping Gaussians in four dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return rng.normal(size=(n, 4)) + 2.0 * y[:, None], y


def fitted_after_an_interruption(
    model: Any, X: Any, y: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fit for 12 epochs, with Ctrl-C in the ninth and the same call once more."""
    one_epoch, epochs = training._Run.one_epoch, []

    def counted(run: Any, step: Any) -> float:
        epochs.append(run.epoch)
        if len(epochs) == 9:
            raise KeyboardInterrupt
        return one_epoch(run, step)

    monkeypatch.setattr(training._Run, "one_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not hasattr(model, "program_")
    model.fit(X, y)
    # What came after the last validation, after five epochs, is trained again.
    assert epochs == [*range(9), *range(5, 12)]


def estimators() -> dict[str, tuple[Any, Any, Any]]:
    """Name to unfitted estimator, samples and targets."""
    clouds, labels = rings_and_blobs()
    rows, classes = table()
    sizes = np.linspace(1, 2, len(clouds))
    scaled = [s * c for s, c in zip(sizes, clouds, strict=True)]
    return {
        "SRNClassifier": (SRNClassifier(**SMALL), clouds, labels),
        "SRNClassifier, l_2": (SRNClassifier(norm=2, **SMALL), clouds, labels),
        "SRNClassifier, learned bank": (
            SRNClassifier(representation="learned bank", **SMALL),
            clouds,
            labels,
        ),
        "SRNRegressor, learned bank": (
            SRNRegressor(representation="learned bank", **SMALL),
            scaled,
            sizes,
        ),
        "SRNRegressor": (SRNRegressor(**SMALL), scaled, sizes),
        "SRNRegressor, l_2": (SRNRegressor(norm=2, **SMALL), scaled, sizes),
        "LipschitzClassifier": (LipschitzClassifier(**SMALL), rows, classes),
        "LipschitzClassifier, l_2": (LipschitzClassifier(2, **SMALL), rows, classes),
        "LipschitzRegressor": (LipschitzRegressor(**SMALL), rows, rows[:, 0]),
    }


def bits(model: Any, X: Any) -> list[bytes]:
    """Everything that a model says about X."""
    cert = model.certify(X)
    if is_classifier(model):
        said = [model.predict_proba(X), cert.radius, model.decision_function(X)]
    else:
        said = [cert.value, *cert.interval(0.01)]
    return [np.ascontiguousarray(a).tobytes() for a in (model.predict(X), *said)]
