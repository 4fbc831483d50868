"""The paper's tails of finite order, from `fit` to attacks on the bars themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import stablerank as sr
from stablerank import (
    AlphaPersistence,
    BottleneckBall,
    Budget,
    CubicalPersistence,
    Diagrams,
    Displacement,
    NoStabilityTheorem,
    PixelBudget,
    PixelSup,
    SRNClassifier,
    UncertifiableLayerError,
    WassersteinBall,
)
from stablerank.certify import certify
from stablerank.estimators.base import channel_bounds
from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Affine, BarInput, Program, Ragged
from stablerank.represent import SplineDensity, StableRankVector, stable_rank
from tests.estimators.problems import SMALL, rings_and_blobs
from tests.represent.attacks import _step as steepest
from tests.represent.attacks import diagrams_of, random_bars

PAPER: dict[str, Any] = SMALL | {"preset": "paper", "epochs": 20}


@pytest.fixture(scope="module")
def fitted() -> dict[float, SRNClassifier]:
    X, y = rings_and_blobs()
    return {p: SRNClassifier(tail_p=p, **PAPER).fit(X, y) for p in (1, 2)}


def bars_of(dgms: Diagrams) -> list[dict[str, np.ndarray]]:
    """Finite bars of every sample by channel, as threats on diagrams read them."""
    return [
        {name: d[name][np.isfinite(d[name][:, 1])] for name in dgms.channels}
        for d in dgms
    ]


def batch_like(dgms: Diagrams, samples: list[dict[str, np.ndarray]]) -> Diagrams:
    return Diagrams.from_list(
        samples,
        channels=list(dgms.channels),
        degrees=list(dgms.degrees),
        convention=dgms.conventions[0],
    )


def attacked(
    program: Program, bars: dict[str, np.ndarray], threat: WassersteinBall, r: float
) -> dict[str, np.ndarray]:
    """Climb down the margin over the ends of all bars, inside the ball."""
    here = {name: torch.tensor(value) for name, value in bars.items()}
    label = None
    for share in (1.0, 0.5, 0.5, 0.25):
        for own in here.values():
            own.requires_grad_(True)
        registers = [Ragged(own, np.array([len(own)])) for own in here.values()]
        (z,) = program._run(
            registers, len(program.inputs) + len(program.operations) - 1
        )
        label = int(z.argmax()) if label is None else label
        rival = 1 - label  # of two classes
        grads = torch.autograd.grad(z[rival] - z[label], list(here.values()))
        with torch.no_grad():
            here = {
                name: (own + share * r * steepest(g, threat.p, threat.ground))
                .sort(dim=1)
                .values
                for (name, own), g in zip(here.items(), grads, strict=True)
            }
    return {
        name: threat.project({name: bars[name]}, {name: own.numpy()}, r)[name]
        for name, own in here.items()
    }


# --- certificates that attacks respect ----------------------------------------------


@pytest.mark.parametrize("p", [1, 2])
def test_the_usual_threat_of_tails_moves_the_bars(p: int, fitted) -> None:
    clouds, y = rings_and_blobs(40, seed=1)
    cert = fitted[p].certify(clouds)
    assert cert.threat == WassersteinBall(p)
    assert np.array_equal(cert.label, fitted[p].predict(clouds))
    assert cert.accuracy(y) > 0.8
    assert (cert.radius > 0).mean() > 0.9
    assert fitted[p].certified_score(clouds, y, 1e-3) > 0.7
    # What rounding and engine take away is nothing beside it.
    owed = cert.evidence["owed"].max() / cert.evidence["constants"].max()
    assert 0 < owed < 1e-4 * np.median(cert.radius)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(("factor", "flips"), [(1.0, False), (2.0, True)])
def test_no_attack_on_the_bars_within_the_radius_changes_a_label(
    p: int, factor: float, flips: bool, fitted
) -> None:
    model, threat = fitted[p], WassersteinBall(p)
    dgms = model.extractor_.transform(rings_and_blobs()[0])
    cert = model.certify(dgms, threat)
    moved = []
    for bars, r in zip(bars_of(dgms), cert.radius, strict=True):
        size = factor * float(r)
        moved.append(attacked(model.program_, bars, threat, size))
        assert threat.distance_up(bars, moved[-1]) <= size
    changed = model.predict(batch_like(dgms, moved)) != cert.label
    assert changed.any() == flips


def flat(p: float, q: float) -> tuple[Program, float]:
    """A threshold on the tail of all bars, lengths as they are but for the scale."""
    entry = BarInput("H1", 1, "value", None, 0.0, 16.0, 64, 0.0)
    density = SplineDensity([0.0, 16.0], [[1.0, 1.0]])
    vector = StableRankVector("H1", density, [0], p=p, q=q).double()
    head = Affine((2,), np.array([[1.0], [-1.0]]), np.array([-1.0, 1.0]))
    return Program((entry,), (*vector.freeze([entry]), head)), vector.factor


@pytest.mark.parametrize(("p", "q"), [(1, 1), (1, 2), (1, math.inf), (2, 2), (2, 1)])
@pytest.mark.parametrize("n_bars", [1, 5])
def test_the_constant_is_attained_by_moving_all_bars_alike(p, q, n_bars) -> None:
    program, scale = flat(p, q)
    threat = WassersteinBall(p, q)
    bars = np.array([[2.0 + i, 5.0 + i] for i in range(n_bars)])
    dgms = diagrams_of([bars])
    cert = certify(program, dgms, threat, channel_bounds(None, threat, dgms))
    # The tail must fall from its value to the threshold 1.
    tail = n_bars ** (1 / p) * 3.0 / scale
    assert cert.evidence["constants"][0, 1] == pytest.approx(2.0, rel=1e-12)
    assert cert.radius[0] == pytest.approx(tail - 1, rel=1e-9)
    # By how much each of the two ends of every bar moves; 1 / inf is 0.
    own = cert.radius[0] / n_bars ** (1 / p) / 2 ** (1 / q)
    for share, label in ((1 - 1e-9, 0), (1 + 1e-9, 1)):
        ends = share * own * np.array([1.0, -1.0])
        moved = bars + ends
        assert threat.distance_up([bars], [moved]) == pytest.approx(
            share * cert.radius[0], rel=1e-12
        )
        assert program.evaluate(diagrams_of([moved])).argmax() == label


# --- which threats, which orders ------------------------------------------------------


@pytest.mark.parametrize(
    "threat", [Displacement(), Budget(), BottleneckBall(), WassersteinBall(2)]
)
def test_threats_that_do_not_bound_a_sum_over_bars_are_refused(threat, fitted) -> None:
    with pytest.raises(NoStabilityTheorem, match="add up all bars") as caught:
        fitted[1].certify(rings_and_blobs()[0], threat)
    assert "WassersteinBall(1)" in caught.value.alternative
    assert "tail_p=math.inf" in caught.value.alternative


def test_balls_of_lower_order_are_smaller(fitted) -> None:
    X, _ = rings_and_blobs()
    own, lower, wide = (
        fitted[2].certify(X, threat).radius
        for threat in (WassersteinBall(2), WassersteinBall(1, 2), WassersteinBall(2, 1))
    )
    assert (lower >= own).all()
    assert (wide >= own).all()


def test_tails_of_order_inf_certify_points_and_every_ball_of_bars() -> None:
    X, y = rings_and_blobs()
    model = SRNClassifier(**PAPER).fit(X, y)
    assert model.certify(X).threat == Displacement()
    for threat in (BottleneckBall(), WassersteinBall(1), WassersteinBall(2, math.inf)):
        assert (model.certify(X, threat).radius > 0).any()


def test_a_theorem_in_wasserstein_reaches_the_input() -> None:
    # The l_1 norm of all pixels bounds W_(1, 1) of cubical diagrams [X11].
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    images = rng.random((20, 6, 6)) * (1 + y[:, None, None])
    model = SRNClassifier(CubicalPersistence(), tail_p=1, **PAPER).fit(images, y)
    threat = PixelBudget(1)
    cert = model.certify(images, threat)
    assert (cert.radius > 0).any()
    with pytest.raises(NoStabilityTheorem, match="add up all bars"):
        model.certify(images, PixelSup())
    for _ in range(10):
        step = rng.choice([-1.0, 1.0], images.shape) * rng.exponential(
            size=images.shape
        )
        step[rng.random(images.shape) < 0.7] = 0.0
        moved = [
            threat.project(a, a + s, r)
            for a, s, r in zip(images, step, cert.radius, strict=True)
        ]
        assert np.array_equal(model.predict(np.stack(moved)), cert.label)


class Unread(AlphaPersistence):
    """An extractor that nobody may ask."""

    def _transform_one(self, sample: Any) -> Any:
        raise AssertionError("extracted, only to be refused")


@pytest.mark.parametrize("p", [1.5, 3, 40.0])
def test_other_orders_are_refused_before_anything_is_extracted(p: float) -> None:
    with pytest.raises(UncertifiableLayerError, match="no proved rounding"):
        SRNClassifier(Unread(), preset="paper", tail_p=p).fit(*rings_and_blobs())


def test_other_orders_train_and_are_evaluated_outside_of_estimators() -> None:
    bars = random_bars(np.random.default_rng(0), 7, 0, 10)
    dgms = diagrams_of([bars])
    rank = stable_rank(dgms, "H1", p=3, q=3)[0]
    lengths = np.sort(bars[:, 1] - bars[:, 0])
    removed = 2 ** (1 / 3 - 1) * np.cumsum(lengths**3) ** (1 / 3)
    assert np.allclose(rank(removed * (1 + 1e-9)), np.arange(6, -1, -1))
    density = SplineDensity([0.0, 10.0], [[1.0, 2.0]])
    vector = StableRankVector("H1", density, range(3), p=3, q=3)
    before = vector(dgms.to_torch())
    optimiser = torch.optim.SGD(vector.parameters(), lr=0.1)
    before.sum().neg().backward()
    optimiser.step()
    assert bool((vector(dgms.to_torch()) > before).any())


def test_tails_are_of_the_paper_alone() -> None:
    with pytest.raises(InvalidInputError, match=r"tail_p=1 with preset='balanced'"):
        SRNClassifier(tail_p=1).fit(*rings_and_blobs())
    with pytest.raises(ValueError, match="'tail_p' parameter"):
        SRNClassifier(preset="paper", tail_p=0.5).fit(*rings_and_blobs())


@pytest.mark.parametrize("p", [1, 2])
def test_a_saved_model_knows_its_threat(p: int, fitted, tmp_path) -> None:
    X, _ = rings_and_blobs()
    sr.save(fitted[p], tmp_path)
    loaded = sr.load(tmp_path)
    assert loaded.tail_p == p
    ours, theirs = loaded.certify(X), fitted[p].certify(X)
    assert ours.threat == theirs.threat == WassersteinBall(p)
    assert np.array_equal(ours.radius, theirs.radius)
