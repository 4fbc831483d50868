"""Perturbed samples of every kind, and how far they move the diagrams.

Random noise rarely finds the worst case, so the pool also holds steps along the
gradient of single ends of bars, which reach sharp constants, and inputs where
something changes hands: ties, merged points, stretched clouds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.extract import GraphPersistence
from stablerank.matching import bottleneck_distance, wasserstein_distance
from stablerank.metrics import (
    Bottleneck,
    Metric,
    SortedDeaths,
    SortedLengths,
    Wasserstein,
)
from tests.contracts.extractors import Case, uneven

Array = NDArray[np.float64]

#: Small against the gaps between the values of a row's samples.
_STEP = 1e-3
_ENDS = 8


def pool(case: Case, x: Any) -> list[Any]:
    """Perturbations of one sample: noise, special positions and gradient steps."""
    rng = np.random.default_rng(3)
    moves = {
        "cloud": _moved_points,
        "matrix": _moved_entries,
        "image": _moved_pixels,
        "graph": _moved_values,
    }
    return [*moves[case.kind](rng, x), *_along_gradients(case, x)]


def _moved_points(rng: np.random.Generator, x: Array) -> Iterator[Array]:
    yield x
    for size in (0.01, 0.1, 0.5):
        yield x + size * rng.normal(size=x.shape)
        way = rng.normal(size=x.shape)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        yield x + size * way
        yield x + size * uneven(x)[:, None] * way
        one = x.copy()
        one[rng.integers(len(x))] += size * way[0]
        yield one
        yield np.vstack([x, x[:2] + size * way[:2]])
    merged = x.copy()
    merged[1] = merged[0]
    yield merged
    yield np.round(x, 1)
    yield np.delete(x, 2, axis=0)
    yield 0.9 * x
    yield x * (1 + 0.1 * np.arange(x.shape[1]))


def _moved_entries(rng: np.random.Generator, x: Array) -> Iterator[Array]:
    yield x
    for size in (0.01, 0.1, 1.0):
        for noise in (rng.uniform(-1, 1, x.shape), rng.choice([-1.0, 1.0], x.shape)):
            upper = np.triu(size * noise, 1)
            yield np.maximum(x + upper + upper.T, 0.0)
    yield np.round(x)
    yield 1.1 * x


def _moved_pixels(rng: np.random.Generator, x: Array) -> Iterator[Array]:
    yield x
    for size in (0.01, 0.1, 1.0):
        yield x + size * rng.normal(size=x.shape)
        yield x + size * rng.choice([-1.0, 1.0], x.shape)
        one = x.copy()
        one.flat[rng.integers(x.size)] += size
        yield one
        yield x - size
    yield np.round(x)


def _moved_values(rng: np.random.Generator, x: Any) -> Iterator[Any]:
    edges, values = x
    for moved in _moved_pixels(rng, values):
        yield edges, moved


def _along_gradients(case: Case, x: Any) -> Iterator[Any]:
    """Steps that move one end of one bar as fast as each threat can."""
    extractor = case.fitted(**case.options)
    dgms = extractor.transform([x])
    ends = np.argwhere(dgms.critical.max(axis=2) >= 0)  # (bar, end)
    for bar, end in ends[:: math.ceil(len(ends) / _ENDS)]:
        slopes = np.zeros(dgms.bars.shape)
        slopes[bar, end] = 1.0
        (gradient,) = extractor.pullback([x], dgms, slopes)
        for way in _directions(case, gradient):
            for sign in (1, -1):
                yield _add(x, sign * _STEP * way)


def _directions(case: Case, gradient: Array) -> Iterator[Array]:
    if not gradient.any():
        return
    yield gradient / np.linalg.norm(gradient)
    yield np.sign(gradient)
    if case.kind == "cloud":
        lengths = np.linalg.norm(gradient, axis=1, keepdims=True)
        # Points that do not matter may go anywhere; here they stay.
        yield np.divide(
            gradient, lengths, out=np.zeros_like(gradient), where=lengths > 0
        )
        yield np.where(lengths == lengths.max(), gradient, 0) / lengths.max()


def _add(x: Any, move: Array) -> Any:
    if isinstance(x, tuple):
        return x[0], x[1] + move
    return x + move


def measured(case: Case, x: Any) -> Any:
    """What a threat to the input of the row measures changes of."""
    extractor = case.make()
    if isinstance(extractor, GraphPersistence):
        return extractor.vertex_values([x])[0]
    return x


# --- sizes of what happened -----------------------------------------------------------


@cache
def moved(target: Metric, case: Case, i: int, channel: str) -> tuple[float, float]:
    """How far perturbation i moved, and the factor by which the error enters that."""
    _, dgms = case.attacked
    (a, births), (b, births_new) = (_split(dgms[k][channel]) for k in (0, i))
    n = len(a) + len(b)
    match target:
        case Bottleneck():
            # Bars that never die are in bijection, and move no more than others.
            gaps = np.abs(births - births_new)
            return max(bottleneck_distance(a, b), float(gaps.max(initial=0.0))), 1.0
        case Wasserstein(p, q):
            return wasserstein_distance(a, b, p, q), n ** (1 / p) * 2 ** (1 / q)
        case SortedDeaths(p):
            return _sorted_distance(a[:, 1], b[:, 1], p), n ** (1 / p)
        case SortedLengths(p):
            lengths = [bars[:, 1] - bars[:, 0] for bars in (a, b)]
            return _sorted_distance(*lengths, p), 2 * n ** (1 / p)
        case _:
            raise AssertionError(f"no distance for {target}")


def _split(bars: Array) -> tuple[Array, Array]:
    """Finite bars, and the sorted births of the others."""
    alive = np.isinf(bars[:, 1])
    return bars[~alive], np.sort(bars[alive, 0])


def _sorted_distance(a: Array, b: Array, p: float) -> float:
    padded = np.zeros((2, max(len(a), len(b))))
    padded[0, : len(a)], padded[1, : len(b)] = np.sort(a)[::-1], np.sort(b)[::-1]
    gaps = np.abs(padded[0] - padded[1])
    if math.isinf(p):
        return float(gaps.max(initial=0.0))
    return float((gaps**p).sum() ** (1 / p))
