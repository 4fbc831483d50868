"""Attacks on representations: pairs of diagrams that are close, with far vectors.

A random pair of diagrams rarely comes near a Lipschitz constant.  These attacks climb
the gradient of one coordinate, over the ends of all bars, inside a ball of the metric
that the theorem is about; bars also come and go at the diagonal, where they are free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from stablerank.diagrams import Diagrams
from stablerank.matching import bottleneck_distance, wasserstein_distance

SLACK = 1e-12


def diagrams_of(samples: list[Any], channel: str = "H1", **properties: Any) -> Diagrams:
    """Samples of one channel, from arrays of bars."""
    return Diagrams.from_list([[s] for s in samples], channels=[channel], **properties)


def random_bars(rng: np.random.Generator, n: int, low: float, high: float) -> Any:
    return np.sort(rng.uniform(low, high, (n, 2)), axis=1)


def distance(a: Any, b: Any, p: float, q: float) -> float:
    """The metric of the theorem, rounded up."""
    if math.isinf(p):
        assert math.isinf(q)
        return bottleneck_distance(a, b)
    return wasserstein_distance(a, b, p, q)


def _step(gradient: torch.Tensor, p: float, q: float) -> torch.Tensor:
    """Steepest direction for bars (n, 2), of length 1 in l_p of l_q."""
    if math.isinf(q):
        direction = gradient.sign()
    elif q == 1:
        size = gradient.abs()
        direction = gradient.sign() * (size == size.amax(dim=1, keepdim=True))
        direction = direction / direction.abs().sum(dim=1, keepdim=True).clamp_min(1)
    else:
        direction = gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-300)
    if math.isinf(p):
        return direction
    dual = math.inf if q == 1 else 1.0 if math.isinf(q) else 2.0
    sizes = gradient.norm(p=dual, dim=1)
    if p == 1:
        share = (sizes == sizes.max()).to(sizes)
        return direction * (share / share.sum())[:, None]
    return direction * (sizes / sizes.norm().clamp_min(1e-300))[:, None]


def attacked_pairs(
    module: Any,
    rng: np.random.Generator,
    *,
    low: float,
    high: float,
    p: float = math.inf,
    q: float = math.inf,
    rounds: int = 30,
    channel: str = "H1",
    pinned: bool = False,
) -> Iterator[tuple[Any, Any]]:
    """Pairs of arrays of bars, the second found by climbing a coordinate."""
    for _ in range(rounds):
        start = random_bars(rng, int(rng.integers(1, 9)), low, high)
        if pinned:
            start[:, 0] = 0
        radius = (high - low) * 10.0 ** rng.uniform(-5, -0.5)
        sign = rng.choice([-1.0, 1.0])
        here = torch.tensor(start + radius * 1e-3 * rng.standard_normal(start.shape))
        if pinned:
            here[:, 0] = 0
        coordinate = None
        for step in (1.0, 0.5, 0.25):
            here.requires_grad_(True)
            packed = diagrams_of([start], channel).to_torch()._replace(bars=here)
            vector = module(packed)[0]
            if coordinate is None:
                alive = torch.nonzero(vector > 0)[:, 0].tolist() or [0]
                coordinate = int(rng.choice(alive))
            if not vector.requires_grad:
                break
            (gradient,) = torch.autograd.grad(vector[coordinate] * sign, here)
            with torch.no_grad():
                here = here + radius * step * _step(gradient, p, q)
                if pinned:
                    here[:, 0] = 0
                here = here.sort(dim=1).values
        end = here.detach().numpy()
        if rng.random() < 0.3 and not pinned:  # a bar that comes out of the diagonal
            middle = rng.uniform(low, high)
            end = np.concatenate([end, [[middle - radius / 2, middle + radius / 2]]])
        yield start, end


def worst_ratio(
    vectors: Any, pairs: list[tuple[Any, Any]], *, p: float, q: float
) -> float:
    """Largest |v - v'|_inf / distance; `vectors` maps a list of bars to an array."""
    worst = 0.0
    before = vectors([a for a, _ in pairs])
    after = vectors([b for _, b in pairs])
    for (a, b), v, w in zip(pairs, before, after, strict=True):
        moved = distance(a, b, p, q)
        if moved > 0:
            change = float(np.abs(v - w).max()) - SLACK * float(np.abs([v, w]).max())
            worst = max(worst, change / moved)
    return worst
