"""Certificates of every kind that can be saved, small enough to be checked at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stablerank as sr
from stablerank.bounds import Bound
from stablerank.certify import Certificates, certify
from stablerank.estimators.base import pinned_channels
from stablerank.frozen import (
    Affine,
    BarFunctions,
    BarInput,
    Concat,
    Deaths,
    Operation,
    Program,
    SortTop,
    VectorInput,
)
from stablerank.metrics import Threat
from stablerank.represent.domain import bar_inputs
from tests.estimators.problems import halves, rings_and_blobs, table

SMALL: dict[str, Any] = {"hidden": (16,), "epochs": 3, "random_state": 0}


def on_bars(
    dgms: sr.Diagrams, bounds: dict[str, list[Bound]], p: float = math.inf
) -> Program:
    """Two classes: lengths (and deaths) of the bars of all channels, by random rows."""
    rng = np.random.default_rng(0)
    inputs = bar_inputs(dgms, pinned_channels(bounds))
    operations: list[Operation] = []
    sorted_ones = []

    def put(operation: Operation) -> int:
        operations.append(operation)
        return len(inputs) + len(operations) - 1

    for k, entry in enumerate(inputs):
        functions: list[Operation] = [
            BarFunctions((k,), np.array([[[-0.5, 0.5, 0.0]]]))
        ]
        if entry.pinned:
            functions.append(Deaths((k,)))
        for function in functions:
            register = put(function)
            sorted_ones.append(put(SortTop((register,), np.arange(3), p)))
    joined = put(Concat(tuple(sorted_ones)))
    rows = rng.standard_normal((2, 3 * len(sorted_ones)))
    put(Affine((joined,), rows, np.zeros(2), to_inf=p == 2))
    return Program(tuple(inputs), tuple(operations))


def certified(
    dgms: sr.Diagrams,
    bounds: dict[str, list[Bound]],
    threat: Threat,
    p: float = math.inf,
) -> Certificates:
    """Certificates of `on_bars`."""
    return certify(on_bars(dgms, bounds, p), dgms, threat, bounds)


@cache
def model(network: str = "maxmin", **options: Any) -> Any:
    """A small model on alpha diagrams."""
    clouds, y = rings_and_blobs()
    clf = sr.SRNClassifier(network=network, **SMALL | options)
    return clf.fit(clouds, np.array(["disc", "ring"])[y])


#: Options of the network on bars, and the threat.
_ON_BARS: dict[str, tuple[dict[str, Any], Threat]] = {
    "maxmin": ({}, sr.Displacement()),
    "distance": ({"network": "distance"}, sr.Displacement()),
    "sortnet": ({"network": "sortnet"}, sr.Displacement()),
    "paper": ({"preset": "paper"}, sr.Displacement()),
    "budget": ({}, sr.Budget()),
    "weighted": ({}, sr.Displacement(weights=halves)),
    "strain": ({}, sr.Strain()),
    "bottleneck": ({}, sr.BottleneckBall()),
    "wasserstein": ({}, sr.WassersteinBall(1)),
    "features": ({}, sr.FeatureBall(math.inf)),
}
#: Norm and name of the network on a table, and norm of the ball.
L2_NETWORKS = ("bro", "cayley", "aol", "sll", "sandwich", "spline")
LINF_NETWORKS = ("maxmin", "distance", "sortnet")
_ON_TABLES = {
    f"table, l_{a:g}, ball in l_{b:g}": (a, "auto", b)
    for a in (2, math.inf)
    for b in (2, math.inf)
} | {
    f"table, {name}": (norm, name, norm)
    for norm, names in ((2.0, L2_NETWORKS), (math.inf, LINF_NETWORKS))
    for name in names
}
#: Every network and representation that the estimators produce.
TRAINED = [*_ON_BARS, *_ON_TABLES]


def trained(name: str) -> tuple[Any, Any, Threat]:
    """A model, what it reads, and a threat to it."""
    if name in _ON_BARS:
        options, threat = _ON_BARS[name]
        return model(**options), rings_and_blobs(10, seed=1)[0], threat
    norm, network, ball = _ON_TABLES[name]
    rows, y = table()
    clf = sr.LipschitzClassifier(norm, network, **SMALL).fit(rows, y)
    return clf, rows[:20], sr.FeatureBall(ball)


def vectors(
    rows: Any, biases: Any, x: Any, norm: float = math.inf, limit: float = 2.0**900
) -> Certificates:
    """Certificates of one affine map on vectors, in the ball of its norm."""
    head = Affine((0,), np.asarray(rows, float), np.asarray(biases, float), norm == 2)
    program = Program((VectorInput(head.weight.shape[1], norm, limit),), (head,))
    return certify(program, np.asarray(x, float), sr.FeatureBall(norm))


def deep(
    weights: Sequence[NDArray[Any]], x: Any, norm: float, limit: float = 8.0
) -> Certificates:
    """Certificates of a stack of affine maps and sorts."""
    operations: list[Operation] = []
    for k, weight in enumerate(weights):
        last = k == len(weights) - 1
        operations.append(
            Affine((k,), weight, np.full(len(weight), 0.25), last and norm == 2)
        )
    entry = VectorInput(weights[0].shape[1], norm, limit)
    return certify(Program((entry,), tuple(operations)), x, sr.FeatureBall(norm))


def threshold(t: float = 0.75, *, gain: float = 1.0) -> Certificates:
    """The largest alpha death against t, for pairs of points at many distances."""
    entry = BarInput("H0", 0, "radius", None, 0.0, 64.0, 64, 1e-9, pinned=True)
    rows = gain * np.array([[1.0], [-1.0]])
    head = Affine((2,), rows, gain * np.array([-t, t]))
    program = Program((entry,), (Deaths((0,)), SortTop((1,), np.array([0])), head))
    clouds = [np.array([[0.0, 0.0], [d, 0.0]]) for d in (0.5, 1.0, 1.5, 2.0, 3.0)]
    alpha = sr.AlphaPersistence((0,), precision="exact")
    dgms = alpha.fit_transform(clouds)
    threat = sr.Displacement()
    return certify(
        program, dgms, threat, alpha.bounds(threat, dgms), ["narrow", "wide"]
    )
