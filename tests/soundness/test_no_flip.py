"""The claim itself: no input within the radius gets another label from `predict`.

Models are trained as users train them, on clouds, images, bars and rows, and attacked
with all that `stablerank.attack` has.  That the attacks are no paper tigers is shown
on planted nets, and here by what they do far beyond the radius.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from stablerank import (
    BottleneckBall,
    Budget,
    Certificates,
    CubicalPersistence,
    Displacement,
    FeatureBall,
    LipschitzClassifier,
    PixelBudget,
    PixelSup,
    SinglePoint,
    SRNClassifier,
    WassersteinBall,
)
from stablerank.attack import (
    Claim,
    DiagramTarget,
    SampleTarget,
    VectorTarget,
    barely_certified,
    gradient_steps,
    judge,
    ulp_walk,
)
from stablerank.datasets import digits, shapes
from stablerank.metrics import Threat
from tests.checks import assert_sound
from tests.estimators.problems import SMALL, orbits, table

MODEL = SMALL | {"epochs": 25}


def claim_of(model: SRNClassifier, cert: Certificates, samples: list[Any]) -> Claim:
    return Claim.of(
        cert,
        SampleTarget(model.program_, model.extractor_),
        samples,
        predict=model.predict,
        classes=model.classes_,
    )


@cache
def clouds_and_model(name: str) -> tuple[list[Any], SRNClassifier]:
    if name == "orbits":
        clouds, y = orbits(3)
    else:
        clouds, y = shapes(seed=0, n_per_class=1, n_points=30)
    return list(clouds), SRNClassifier(**MODEL).fit(list(clouds), y)


@pytest.mark.parametrize(
    ("name", "threat"),
    [
        ("orbits", Displacement()),
        ("orbits", Budget()),
        ("orbits", SinglePoint()),
        ("shapes", Displacement()),
    ],
    ids=str,
)
def test_no_move_of_points_within_the_radius_changes_a_label(
    name: str, threat: Threat
) -> None:
    clouds, model = clouds_and_model(name)
    cert = model.certify(clouds, threat)
    assert cert.coverage() > 0.9
    assert_sound(claim_of(model, cert, clouds))


@pytest.mark.parametrize("threat", [PixelSup(), PixelBudget(2)], ids=str)
def test_no_change_of_pixels_within_the_radius_changes_a_label(threat: Threat) -> None:
    images, y = digits()
    images, y = images[:20], y[:20]
    model = SRNClassifier(CubicalPersistence(), **MODEL).fit(images, y)
    cert = model.certify(images, threat)
    assert_sound(claim_of(model, cert, list(images)))


@pytest.mark.parametrize("tail_p", [math.inf, 1, 2])
def test_no_move_of_bars_within_the_radius_changes_a_label(tail_p: float) -> None:
    clouds, y = orbits(4)
    preset = {"preset": "paper", "tail_p": tail_p} if tail_p < math.inf else {}
    model = SRNClassifier(**MODEL, **preset).fit(clouds, y)
    dgms = model.extractor_.transform(clouds)
    threat = WassersteinBall(tail_p) if tail_p < math.inf else BottleneckBall()
    cert = model.certify(dgms, threat)
    target = DiagramTarget(model.program_, dgms)
    claim = Claim.of(
        cert,
        target,
        target.samples,
        predict=lambda samples: model.predict(target.diagrams(samples)),
        classes=model.classes_,
    )
    assert_sound(claim)


@pytest.mark.parametrize("norm", [math.inf, 2])
def test_no_move_of_a_row_within_the_radius_changes_a_label(norm: float) -> None:
    rows, y = table()
    model = LipschitzClassifier(norm, **MODEL).fit(rows, y)
    cert = model.certify(rows, FeatureBall(norm))
    target = VectorTarget(model.program_)
    assert_sound(Claim.of(cert, target, rows, predict=model.predict))


@pytest.mark.parametrize("norm", [math.inf, 2])
def test_rows_that_are_only_just_certified_keep_their_label_by_the_ulp(
    norm: float,
) -> None:
    # Their margin is as large as what rounding is charged, and hardly more.
    rows, y = table()
    model = LipschitzClassifier(norm, **MODEL).fit(rows, y)
    labels = model.predict(rows)

    def holds(some: list[Any]) -> Any:
        cert = model.certify(np.array(some))
        return (cert.label == 0) & (cert.radius > 0)

    edge = barely_certified(holds, rows[labels == 0][:12], rows[labels == 1][:12])
    cert = model.certify(np.array(edge))
    assert (cert.radius > 0).all()
    assert cert.radius.max() < 1e-10
    target = VectorTarget(model.program_)
    claim = Claim.of(cert, target, edge, predict=model.predict)
    assert_sound(claim)
    moved = ulp_walk(claim, np.random.default_rng(0), steps=64)
    assert judge(claim, moved).succeeded == 0
    alone = [model.predict(x[None])[0] for x in edge]  # other sums, the same labels
    assert np.array_equal(alone, cert.label)


def test_far_beyond_the_radius_gradient_steps_do_change_labels() -> None:
    clouds, model = clouds_and_model("orbits")
    claim = claim_of(model, model.certify(clouds), clouds)
    far = claim.at(np.arange(len(claim)), 10.0)
    found = judge(far, gradient_steps(far, np.random.default_rng(0)))
    assert found.succeeded > len(claim) / 4
