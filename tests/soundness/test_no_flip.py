"""The claim itself: no input within the radius gets another label from `predict`.

Random moves, moves of a few points, and a search without gradients (keep a move if
the margin shrinks) try to break it.  A net with a thin margin shows that the attacks
are no paper tigers: beyond 1.5 times the radius they succeed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stablerank import AlphaPersistence, Diagrams, Displacement, SRNClassifier
from stablerank.certify import certify
from stablerank.datasets import shapes
from stablerank.frozen import Affine, BarInput, Deaths, Program, SortTop
from tests.estimators.problems import SMALL, orbits

THREAT = Displacement()


def unit_moves(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One step of length 1 for every point."""
    step = rng.normal(size=shape)
    return step / np.linalg.norm(step, axis=-1, keepdims=True)


def one_shot(rng: np.random.Generator, cloud: np.ndarray) -> Iterator[np.ndarray]:
    """Moves of size at most 1 that need no knowledge of the model."""
    yield unit_moves(rng, cloud.shape)
    few = unit_moves(rng, cloud.shape)
    few[rng.random(len(cloud)) < 0.9] = 0.0
    yield few
    yield np.broadcast_to(unit_moves(rng, (1, cloud.shape[1])), cloud.shape)
    outwards = cloud - cloud.mean(axis=0)
    longest = np.linalg.norm(outwards, axis=1).max() or 1.0
    yield outwards / longest
    yield -outwards / longest


def search(
    model: SRNClassifier, clouds: Any, radii: np.ndarray, steps: int, seed: int
) -> list[np.ndarray]:
    """Descend the margin of all clouds side by side; every move stays in its ball."""
    rng = np.random.default_rng(seed)
    label = np.searchsorted(model.classes_, model.predict(clouds))
    rows = np.arange(len(clouds))

    def margins(moved: Any) -> np.ndarray:
        z = model.decision_function(moved)
        others = z.copy()
        others[rows, label] = -np.inf
        return z[rows, label] - others.max(axis=1)

    best = [cloud.copy() for cloud in clouds]
    value = margins(best)
    for _ in range(steps):
        tried = [
            THREAT.project(cloud, now + r * 0.7 * unit_moves(rng, cloud.shape), r)
            for cloud, now, r in zip(clouds, best, radii, strict=True)
        ]
        found = margins(tried)
        for i in np.flatnonzero(found < value):
            best[i], value[i] = tried[i], found[i]
    return best


def problems() -> dict[str, tuple[Any, Any]]:
    flat, y = orbits(10)
    solid, names = shapes(seed=0, n_per_class=5, n_points=60)
    return {"orbits": (list(flat), y), "shapes": (list(solid), names)}


@pytest.mark.parametrize("name", ["orbits", "shapes"])
def test_no_move_within_the_radius_changes_what_predict_says(name: str) -> None:
    clouds, y = problems()[name]
    model = SRNClassifier(**SMALL | {"epochs": 25}).fit(clouds, y)
    cert = model.certify(clouds, THREAT)
    sure = np.flatnonzero(cert.radius > 0)
    assert len(sure) > 0.9 * len(clouds)
    rng = np.random.default_rng(0)
    moved, rows = [], []
    for i in sure:
        r = float(cert.radius[i])
        for move in one_shot(rng, clouds[i]):
            moved.append(THREAT.project(clouds[i], clouds[i] + r * move, r))
            rows.append(i)
    picked = [clouds[i] for i in sure]
    moved += search(model, picked, cert.radius[sure], steps=6, seed=1)
    rows += sure.tolist()
    for i, cloud in zip(rows, moved, strict=True):  # exact sizes, or it is no hit
        assert THREAT.distance_up(clouds[i], cloud) <= cert.radius[i]
    assert np.array_equal(model.predict(moved), cert.label[rows])


def planted() -> tuple[Program, list[np.ndarray]]:
    """A threshold on the largest gap, and pairs of points around it."""
    entry = BarInput("H0", 0, "radius", None, 0.0, 64.0, 64, 1e-10, pinned=True)
    head = Affine((2,), np.array([[1.0], [-1.0]]), np.array([-1.0, 1.0]))
    program = Program((entry,), (Deaths((0,)), SortTop((1,), np.array([0])), head))
    gaps = np.linspace(1.0, 3.0, 21)
    clouds = [np.array([[0.0, 0.0], [gap, 0.0], [gap + 0.5, 0.0]]) for gap in gaps]
    return program, clouds


@pytest.mark.parametrize(("factor", "flips"), [(1.0, False), (1.5, True)])
def test_a_planted_net_flips_beyond_its_radius_and_never_within(
    factor: float, flips: bool
) -> None:
    program, clouds = planted()
    alpha = AlphaPersistence((0,)).fit(clouds)
    dgms: Diagrams = alpha.transform(clouds)
    cert = certify(program, dgms, THREAT, alpha.bounds(THREAT, dgms))
    rng = np.random.default_rng(0)
    moved = []
    for trial in range(24):
        for cloud, r in zip(clouds, factor * cert.radius, strict=True):
            if trial % 2:
                move = unit_moves(rng, cloud.shape)
            else:  # the critical edge: its two ends, apart or together
                move = np.zeros_like(cloud)
                move[:, 0] = (-1.0, 1.0, 1.0) if trial % 4 else (1.0, -1.0, -1.0)
            moved.append(THREAT.project(cloud, cloud + r * move, float(r)))
    label = program.evaluate(alpha.transform(moved)).argmax(axis=1).reshape(24, -1)
    flipped = ((label != cert.label) & (cert.radius > 0)).any(axis=0)
    assert flipped.any() == flips
    if flips:
        assert flipped.sum() >= 15
