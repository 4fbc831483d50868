"""Nets that hide an adversary whose distance is known: never certified over.

Every sample has a neighbour with another label, and the nets are trained until they
tell the two apart. No radius of either may reach the other, whatever the training did;
the distance is compared in rational numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stablerank import Budget, Displacement, LipschitzClassifier, SRNClassifier
from stablerank.attack import PLANTED, is_within, judge, random_directions
from stablerank.attack.steps import random_step
from stablerank.metrics import FeatureBall, Threat
from stablerank.nn.build import NETWORKS
from tests.soundness.planted import certified

#: To the limit: no validation, no wish for radii.
MEMORISE: dict[str, Any] = {
    "preset": "accurate",
    "validation_fraction": 0.0,
    "random_state": 0,
}
OF_NORM = [(norm, name) for norm, names in NETWORKS.items() for name in names]


def assert_never_certified_over(
    model: Any, threat: Threat, samples: list[Any], neighbours: list[Any]
) -> None:
    """Wherever the labels of two neighbours differ, neither radius reaches across."""
    here, there = model.certify(samples, threat), model.certify(neighbours, threat)
    apart = np.flatnonzero(here.label != there.label)
    assert len(apart) > 0.8 * len(samples), "the net does not hide what it should"
    assert (here.radius[apart] > 0).any(), "nothing is certified, so nothing is tested"
    for i in apart.tolist():
        x, x_new = samples[i], neighbours[i]
        assert not is_within(threat, x, x_new, float(here.radius[i]))
        assert not is_within(threat, x_new, x, float(there.radius[i]))


@pytest.mark.parametrize(("norm", "network"), OF_NORM)
def test_a_network_on_rows_never_certifies_over_a_hidden_neighbour(
    norm: float, network: str
) -> None:
    rng, ball = np.random.default_rng(0), FeatureBall(norm)
    rows = rng.normal(size=(12, 16))
    neighbours = [x + 0.8 * random_step(ball, x, rng) for x in rows]
    y = np.arange(len(rows)) % 2
    model = LipschitzClassifier(norm, network, hidden=(32,), epochs=80, **MEMORISE)
    model.fit(np.concatenate([rows, neighbours]), np.concatenate([y, 1 - y]))
    assert_never_certified_over(model, ball, list(rows), neighbours)


@pytest.mark.parametrize("network", ["maxmin", "distance"])
def test_a_network_on_shapes_never_certifies_over_a_hidden_cloud(network: str) -> None:
    rng = np.random.default_rng(0)
    clouds = [rng.uniform(size=(10, 2)) for _ in range(8)]
    hidden = [x + 0.03 * random_step(Displacement(), x, rng) for x in clouds]
    y = np.arange(len(clouds)) % 2
    model = SRNClassifier(network=network, hidden=(32,), epochs=200, **MEMORISE)
    model.fit([*clouds, *hidden], np.concatenate([y, 1 - y]))
    for threat in (Displacement(), Budget()):
        assert_never_certified_over(model, threat, clouds, hidden)


def test_a_spike_that_random_moves_never_meet_still_ends_the_radius() -> None:
    net = PLANTED["hidden spike"]()
    claim, rng = certified(net), np.random.default_rng(0)
    hidden = net.program.operations[0].weight[0]
    assert net.target.logits([hidden]).argmax() == 1
    assert (claim.label == 0).all()
    for x, radius in claim:
        distance = np.abs(x - hidden).max()
        assert distance - 0.25 - 1e-12 <= radius < distance - 0.25
    for factor in (1.5, 2.0, 5.0):  # farther than the spike, and on all its sides
        beyond = claim.at(np.arange(len(claim)), factor)
        for _ in range(20):
            moved = random_directions(beyond, rng)
            assert judge(beyond, moved).succeeded == 0


def test_the_norms_of_all_networks_are_those_of_the_test() -> None:
    assert {norm for norm, _ in OF_NORM} == {2, math.inf}
