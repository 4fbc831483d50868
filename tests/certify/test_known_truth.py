"""Where the exact radius is known in closed form: never above it, and right up to it.

A threshold at t on the only death (or half-life) splits two classes, so the exact
radius is the distance to the threshold, which some perturbation attains [C2].
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from stablerank import AlphaPersistence, Diagrams, Displacement
from stablerank.certify import Certificates, certify
from stablerank.frozen import (
    Affine,
    BarFunctions,
    BarInput,
    Deaths,
    Operation,
    Program,
    SortTop,
)
from stablerank.metrics import BottleneckBall

TIGHT = 1e-12
RANKS = np.array([0])


def threshold(
    t: float, first: Operation, entry: BarInput, gain: float = 1.0
) -> Program:
    """Class 0 above t, class 1 below."""
    rows = gain * np.array([[1.0], [-1.0]])
    head = Affine((2,), rows, gain * np.array([-t, t]))
    return Program((entry,), (first, SortTop((1,), RANKS), head))


def on_deaths(t: float, gain: float = 1.0) -> Program:
    entry = BarInput("H0", 0, "radius", None, 0.0, 64.0, 64, 1e-14, pinned=True)
    return threshold(t, Deaths((0,)), entry, gain)


def certified(program: Program, cloud: np.ndarray) -> Certificates:
    alpha = AlphaPersistence((0,), precision="exact")
    dgms = alpha.fit_transform([cloud])
    threat = Displacement()
    return certify(program, dgms, threat, alpha.bounds(threat, dgms))


@pytest.mark.parametrize("gain", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize(("distance", "t"), [(2.0, 0.25), (0.5, 1.0), (3.0, 1.0)])
def test_two_points(distance: float, t: float, gain: float) -> None:
    cloud = np.array([[0.0, 0.0], [distance, 0.0]])
    cert = certified(on_deaths(t, gain), cloud)
    exact = abs(distance / 2 - t)  # both points move along the line, towards or away
    assert exact - TIGHT <= cert.radius[0] < exact
    assert cert.label[0] == int(distance / 2 < t)
    # The exact radius is attained: one step further the label is another one.
    way = 1.0 if distance / 2 < t else -1.0
    moved = cloud + (exact + 1e-9) * way * np.array([[-1.0, 0.0], [1.0, 0.0]])
    assert certified(on_deaths(t, gain), moved).label[0] != cert.label[0]


@pytest.mark.parametrize("n", [2, 5, 20])
def test_equal_steps_on_a_line(n: int) -> None:
    cloud = np.stack([np.arange(n, dtype=float), np.zeros(n)], axis=1)
    cert = certified(on_deaths(0.75), cloud)
    assert 0.25 - TIGHT <= cert.radius[0] < 0.25  # the largest gap opens from both ends


@pytest.mark.parametrize(("bar", "t"), [((1.0, 4.0), 1.0), ((0.5, 1.0), 2.0)])
def test_one_bar_under_moves_of_the_bar(bar: tuple[float, float], t: float) -> None:
    entry = BarInput("H1", 1, "value", None, -16.0, 16.0, 8, 0.0)
    half = BarFunctions((0,), np.array([[[-0.5, 0.5, 0.0]]]))
    dgms = Diagrams.from_list([{"H1": [bar]}])
    threat = BottleneckBall()
    bounds = AlphaPersistence((1,)).bounds(threat, dgms)
    cert = certify(threshold(t, half, entry), dgms, threat, bounds)
    exact = abs((bar[1] - bar[0]) / 2 - t)
    assert exact - TIGHT <= cert.radius[0] < exact


def test_a_constant_classifier_holds_everywhere() -> None:
    entry = BarInput("H0", 0, "radius", None, 0.0, 64.0, 64, 1e-14, pinned=True)
    head = Affine((2,), np.zeros((2, 1)), np.array([1.0, 0.0]))
    program = Program((entry,), (Deaths((0,)), SortTop((1,), RANKS), head))
    cert = certified(program, np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert cert.radius[0] == math.inf
    assert cert.reason[0] == "constant"


def test_an_exact_tie_abstains() -> None:
    cert = certified(on_deaths(0.5), np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert cert.radius[0] == 0.0
    assert cert.reason[0] == "tie"
