"""The search by ulps: it fills the ball exactly, and stays inside."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stablerank import Budget, Displacement, FeatureBall, PixelSup, SinglePoint
from stablerank.attack import Claim, VectorTarget, fill_ball, is_within, ulp_walk
from stablerank.attack.steps import random_step
from stablerank.frozen import Affine, Program, VectorInput
from stablerank.metrics import Threat


@pytest.mark.parametrize(
    "threat",
    [Displacement(), Budget(), SinglePoint(), PixelSup(), FeatureBall(2)],
    ids=str,
)
def test_the_ball_is_filled_to_a_few_ulp_and_never_left(threat: Threat) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.normal(size=(4, 2))
        radius = float(10.0 ** rng.uniform(-3, 3))
        reach = float(10.0 ** rng.uniform(-1, 1))
        towards = x + reach * random_step(threat, x, rng)
        edge = fill_ball(threat, x, towards, radius)
        assert is_within(threat, x, edge, radius)
        # The next ulp of the step is more than the ball holds, up to those of x.
        lost = np.spacing(np.abs(edge).max() + np.abs(x).max())
        assert threat.distance_up(x, edge) >= radius - 8 * lost


def test_a_walk_lowers_the_margin_and_stays_inside() -> None:
    rng = np.random.default_rng(1)
    head = Affine((0,), rng.normal(size=(2, 6)), np.zeros(2))
    target = VectorTarget(Program((VectorInput(6, math.inf, 8.0),), (head,)))
    rows = list(rng.normal(size=(5, 6)))
    logits = target.logits(rows)
    label, radius = logits.argmax(axis=1), np.full(5, 4 * 2.0**-53)
    claim = Claim(target, FeatureBall(math.inf), rows, label, radius)
    moved = ulp_walk(claim, rng, steps=40)
    gap = np.abs(logits[:, 0] - logits[:, 1])
    after = target.logits(moved)
    assert (np.abs(after[:, 0] - after[:, 1]) <= gap).all()
    assert (np.abs(after[:, 0] - after[:, 1]) < gap).any()
    for (x, r), x_new in zip(claim, moved, strict=True):
        assert is_within(claim.threat, x, x_new, r)
