"""Slopes of margins are those of finite differences, through bars and vertices."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank import CubicalPersistence, RipsPersistence, SRNClassifier
from stablerank.attack import DiagramTarget, SampleTarget, VectorTarget
from stablerank.attack.targets import margins
from stablerank.datasets import digits
from tests.estimators.problems import SMALL, orbits
from tests.frozen.test_errors import vector_programs

STEP = 1e-7


def assert_slope(target: object, x: np.ndarray, slope: np.ndarray, label: int) -> None:
    """The slope along three directions, by central differences."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        way = rng.normal(size=x.shape)
        ends = target.logits([x + STEP * way, x - STEP * way])  # type: ignore[attr-defined]
        high, low = margins(ends, np.array([label, label]))
        expected = (high - low) / (2 * STEP)
        assert (slope * way).sum() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_slopes_of_vectors() -> None:
    target = VectorTarget(vector_programs()["deep"])
    x = np.random.default_rng(0).uniform(-1, 1, (4, 24))
    label = target.logits(x).argmax(axis=1)
    for row, slope, own in zip(x, target.slopes(x, label), label, strict=True):
        assert_slope(target, row, slope, int(own))


@pytest.mark.parametrize("kind", ["alpha", "rips", "cubical"])
def test_slopes_of_samples(kind: str) -> None:
    if kind == "cubical":
        images, y = digits()
        # Pixels that tie have no slope.
        jitter = np.random.default_rng(0).normal(size=(40, 8, 8))
        samples, y, extractor = images[:40] + jitter, y[:40], CubicalPersistence()
    else:
        samples, y = orbits(5)
        extractor = RipsPersistence() if kind == "rips" else None
    model = SRNClassifier(extractor, **SMALL).fit(samples, y)
    target = SampleTarget(model.program_, model.extractor_)
    assert np.array_equal(target.logits(samples), model._logits(samples))
    label = target.logits(samples).argmax(axis=1)
    slopes = target.slopes(list(samples), label)
    assert any(slope.any() for slope in slopes)
    for i in (0, 7):
        assert_slope(target, samples[i], slopes[i], int(label[i]))


def test_slopes_of_bars() -> None:
    clouds, y = orbits(5)
    model = SRNClassifier(**SMALL).fit(clouds, y)
    dgms = model.extractor_.transform(clouds)
    target = DiagramTarget(model.program_, dgms)
    logits = target.logits(target.samples)
    assert np.array_equal(logits, model.program_.evaluate(dgms))
    label = logits.argmax(axis=1)
    slopes = target.slopes(target.samples, label)
    bars = target.samples[0]
    way = np.random.default_rng(0).normal(size=bars["H1"].shape)
    ends = [bars | {"H1": bars["H1"] + s * STEP * way} for s in (1, -1)]
    high, low = margins(target.logits(ends), label[[0, 0]])
    expected = (high - low) / (2 * STEP)
    assert (slopes[0]["H1"] * way).sum() == pytest.approx(expected, rel=1e-4, abs=1e-6)
