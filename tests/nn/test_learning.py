"""Every network by name, from data to certificates, through the estimators."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stablerank import (
    FeatureBall,
    LipschitzClassifier,
    LipschitzRegressor,
    load,
    save,
)
from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Program
from stablerank.nn.build import NETWORKS
from tests.nn.layers import network_options

NAMES = [(norm, name) for norm, names in NETWORKS.items() for name in names]


def table(n: int = 160) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Three Gaussians in five dimensions, of unequal spread."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 5)) * [1, 1, 0.1, 2, 1]
    x[:, :3] += 3.0 * np.eye(3)[y]
    return x, y


def attack(
    program: Program, x: NDArray[np.float64], radius: NDArray[Any], norm: float
) -> NDArray[np.float64]:
    """Inputs moved by the radius, along the gradient that hurts the margin most."""
    moved = torch.tensor(x)
    size = torch.tensor(radius)[:, None]
    label = torch.tensor(program.evaluate(x).argmax(axis=1))
    for _ in range(10):
        point = moved.clone().requires_grad_()
        logits = program.evaluate(point)
        own = torch.nn.functional.one_hot(label, logits.shape[1]).bool()
        rival = logits.masked_fill(own, -math.inf).amax(dim=1)
        (rival - logits[own]).sum().backward()
        assert point.grad is not None
        if math.isinf(norm):
            step = point.grad.sign()
        else:
            step = point.grad / point.grad.norm(dim=1, keepdim=True).clamp_min(1e-12)
        moved = moved + size / 4 * step
        gap = moved - torch.tensor(x)
        length = torch.linalg.vector_norm(gap, norm, dim=1, keepdim=True)
        # A hair inside the ball, where rounding cannot carry it outside.
        gap = gap * (size * (1 - 1e-12) / length.clamp_min(1e-300)).clamp_max(1.0)
        moved = torch.tensor(x) + gap
    return np.asarray(moved)


@pytest.mark.parametrize(("norm", "name"), NAMES)
def test_classifiers_learn_and_no_attack_moves_a_label_within_its_radius(
    norm: float, name: str
) -> None:
    x, y = table()
    clf = LipschitzClassifier(
        norm,
        name,
        hidden=(32, 16),
        network_options=network_options(name, 5),
        epochs=40,
        random_state=0,
    )
    cert = clf.fit(x[:120], y[:120]).certify(x[120:], FeatureBall(norm))
    assert cert.accuracy(y[120:]) > 0.8
    assert np.median(cert.radius) > 0.2
    finite = np.where(np.isfinite(cert.radius), cert.radius, 0.0)
    moved = attack(clf.program_, x[120:], finite, norm)
    assert (clf.predict(moved) == cert.label).all()
    # The search is a real one: a few radii further on, it wins.
    assert (
        clf.predict(attack(clf.program_, x[120:], 4 * finite, norm)) != cert.label
    ).any()


@pytest.mark.parametrize(("norm", "name"), NAMES)
@pytest.mark.parametrize("lipschitz", ["auto", 0.5])
def test_regressors_learn_and_keep_their_constant(
    norm: float, name: str, lipschitz: str | float
) -> None:
    x, _ = table()
    y = np.stack([np.abs(x[:, 0]), 0.2 * x[:, 1]], axis=1)
    reg = LipschitzRegressor(
        norm,
        name,
        lipschitz=lipschitz,
        hidden=(32,),
        network_options=network_options(name, 5),
        epochs=40,
        random_state=0,
    ).fit(x, y)
    assert reg.score(x, y) > 0.5
    cert = reg.certify(x, FeatureBall(norm))
    if lipschitz != "auto":
        assert (cert.constant <= 0.5 * (1 + 1e-9)).all()
    low, high = cert.interval(0.3)
    rng = np.random.default_rng(1)
    for _ in range(20):
        step = rng.choice([-1.0, 1.0], x.shape)
        step *= 0.3 * (1 - 1e-12) / np.linalg.norm(step, norm, axis=1)[:, None]
        moved = reg.predict(x + step)
        assert ((low <= moved) & (moved <= high)).all()


@pytest.mark.parametrize(("norm", "name"), NAMES)
def test_the_norm_of_the_network_must_be_that_of_the_ball(
    norm: float, name: str
) -> None:
    x, y = table(30)
    other = 2 if math.isinf(norm) else math.inf
    options = {"network_options": network_options(name, 5), "epochs": 1}
    with pytest.raises(InvalidInputError, match="is bounded in l_"):
        LipschitzClassifier(other, name, **options).fit(x, y)
    with pytest.raises(InvalidInputError, match="is bounded in l_"):
        LipschitzRegressor(other, name, **options).fit(x, y)


@pytest.mark.parametrize(("norm", "name"), NAMES)
def test_a_saved_network_certifies_as_it_did(
    norm: float, name: str, tmp_path: Path
) -> None:
    x, y = table(60)
    clf = LipschitzClassifier(
        norm,
        name,
        hidden=(16, 16),
        network_options=network_options(name, 5),
        epochs=3,
        random_state=0,
    ).fit(x, y)
    save(clf, tmp_path)
    again, before = load(tmp_path).certify(x), clf.certify(x)
    assert np.array_equal(again.radius, before.radius)
    assert np.array_equal(again.label, before.label)
