"""Inputs for the Rips filtrations, and the one check that all their bounds obey."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from stablerank.extract.base import Extractor
from stablerank.matching import bottleneck_distance, wasserstein_distance
from stablerank.metrics import Bottleneck, SortedDeaths, SortedLengths, Wasserstein
from tests.checks import assert_lipschitz

#: Distances of diagrams are evaluated upward, by a few ulp at most.
_EVALUATION = 1 - 2.0**-48


def random_cloud(rng: np.random.Generator, n: int, d: int, kind: str) -> np.ndarray:
    if kind == "lattice":  # ties everywhere
        grid = np.array(list(itertools.product(range(3), repeat=d)), float)
        return grid[rng.choice(len(grid), min(n, len(grid)), replace=False)]
    if kind == "duplicates":
        return rng.random((n, d))[rng.integers(0, max(1, n // 2), n)]
    if kind == "ring":
        return polygon(rng, n, d)
    return rng.random((n, d))


def polygon(rng: np.random.Generator, n: int, d: int, noise: float = 0.1) -> np.ndarray:
    angles = 2 * np.pi * np.arange(n) / n
    ring = np.zeros((n, d))
    ring[:, 0] = np.cos(angles)
    ring[:, 1 % d] += np.sin(angles)
    return ring + noise * rng.normal(size=(n, d))


def random_matrix(rng: np.random.Generator, n: int) -> np.ndarray:
    """Dissimilarities that no points have."""
    upper = np.triu(rng.random((n, n)), 1)
    return upper + upper.T


def finite(bars: np.ndarray) -> np.ndarray:
    return bars[np.isfinite(bars[:, 1])]


def distance(target: Any, old: np.ndarray, new: np.ndarray) -> float:
    """Distance of two channels in the metric that a bound ends in."""
    if isinstance(target, Bottleneck):
        return bottleneck_distance(old, new)
    if isinstance(target, Wasserstein):
        return wasserstein_distance(old, new, target.p, target.q)
    assert isinstance(target, (SortedDeaths, SortedLengths))
    width = max(len(old), len(new))
    start = 0.0 if isinstance(target, SortedDeaths) else 1.0
    numbers = [
        np.sort(bars[:, 1] - start * bars[:, 0])[::-1].copy() for bars in (old, new)
    ]
    a, b = (np.pad(v, (0, width - len(v))) for v in numbers)
    return float(np.linalg.norm(a - b, ord=target.p)) if width else 0.0


def check(extractor: Extractor, threat: Any, x: Any, y: Any) -> dict[Any, float]:
    """Assert every bound for two inputs; the largest ratio by target metric."""
    a, b = extractor.fit_transform([x]), extractor.transform([y])
    if getattr(threat, "weights", None) is not None:
        a = a.with_weights(threat, [x])
    size = threat.distance_up(x, y)
    ratios: dict[Any, float] = {}
    for name, bounds in extractor.bounds(threat, a).items():
        channel = a.channels.index(name)
        old, new = finite(a[0][name]), finite(b[0][name])
        error = float(a.error[0, channel] + b.error[0, channel])
        # Lengths have two ends, and in l_2 every bar may be off.
        many = 2 * math.sqrt(max(len(old), len(new), 1))
        for bound in bounds:
            share = 1.0 if isinstance(bound.target, Bottleneck) else many
            moved = distance(bound.target, old, new)
            constant, offset = (
                float(np.max(bound.constant)),
                float(np.max(bound.offset)),
            )
            assert_lipschitz(
                moved * _EVALUATION,
                size,
                constant,
                offset=offset + share * error + 2.0**-1000,
            )
            if size > 0:
                ratio = moved / (constant * size + offset)
                ratios[bound.target] = max(ratio, ratios.get(bound.target, 0.0))
    return ratios
