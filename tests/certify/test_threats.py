"""Every threat against every filtration: a sound radius, or the reason why not."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import stablerank as sr
from stablerank import NoStabilityTheorem
from stablerank.certify import compose
from stablerank.estimators.base import TopologyMixin
from stablerank.metrics import Threat
from tests.estimators.problems import SMALL, halves, rings_and_blobs

POINTS = {
    "displacement": sr.Displacement(),
    "weighted displacement": sr.Displacement(weights=halves),
    "single point": sr.SinglePoint(),
    "budget": sr.Budget(),
    "hausdorff": sr.Hausdorff(),
    "strain": sr.Strain(),
}
ARRAYS = {
    "matrix": sr.MatrixSup(),
    "pixels": sr.PixelSup(),
    "pixel budget": sr.PixelBudget(),
    "pixel budget, l_1": sr.PixelBudget(1),
}
BARS = {
    "bottleneck": sr.BottleneckBall(),
    "W_1": sr.WassersteinBall(1),
    "W_2": sr.WassersteinBall(2),
    "W_3": sr.WassersteinBall(3),
    "W_2, sup ground norm": sr.WassersteinBall(2, math.inf),
}
FEATURES = {"l_2 features": sr.FeatureBall(2), "features": sr.FeatureBall(math.inf)}
THREATS: dict[str, Threat] = {**POINTS, **ARRAYS, **BARS, **FEATURES}

#: What has a theorem, besides threats to bars and features, which always have one.
PROVED: dict[str, set[str]] = {
    "alpha": {*POINTS},
    "rips": {*POINTS},
    "rips, matrix": {"matrix"},
    "dtm": {*POINTS} - {"hausdorff", "strain"},
    "dtm rips": {*POINTS} - {"hausdorff"},
    "cubical": {"pixels", "pixel budget", "pixel budget, l_1"},
    "alpha and dtm": {*POINTS} - {"hausdorff", "strain"},
}
EXTRACTORS: dict[str, Any] = {
    "alpha": sr.AlphaPersistence(),
    "rips": sr.RipsPersistence(),
    "rips, matrix": sr.RipsPersistence(metric="precomputed"),
    "dtm": sr.DTMPersistence(n_neighbors=(5,), grid=16),
    "dtm rips": sr.DTMRipsPersistence(),
    "cubical": sr.CubicalPersistence(),
    "alpha and dtm": [
        sr.AlphaPersistence(),
        sr.DTMPersistence(n_neighbors=(5,), grid=16),
    ],
}


@cache
def samples(name: str) -> tuple[list[Any], Any]:
    clouds, y = rings_and_blobs()
    if name == "rips, matrix":
        gaps = [c[:, None] - c[None] for c in clouds]
        return [np.sqrt((g**2).sum(axis=2)) for g in gaps], y
    if name == "cubical":
        rng = np.random.default_rng(0)
        images = rng.normal(0.0, 0.2, (len(y), 8, 8))
        images[y == 1, 2:5, 2:5] += 2.0
        return list(images), y
    return clouds, y


@cache
def model(name: str) -> sr.SRNClassifier:
    return sr.SRNClassifier(EXTRACTORS[name], **SMALL).fit(*samples(name))


CASES = [(e, t) for e in EXTRACTORS for t in THREATS]


@pytest.mark.parametrize(("extractor", "threat"), CASES)
def test_a_threat_has_a_positive_radius_or_a_reason(
    extractor: str, threat: str
) -> None:
    clf, (X, _) = model(extractor), samples(extractor)
    if threat not in {*PROVED[extractor], *BARS, *FEATURES}:
        with pytest.raises(NoStabilityTheorem) as caught:
            clf.certify(X, THREATS[threat])
        assert caught.value.reason
        assert caught.value.alternative
        return
    cert = clf.certify(X, THREATS[threat])
    assert cert.threat == THREATS[threat]
    assert np.array_equal(cert.label, clf.predict(X))
    assert (cert.radius > 0).mean() > 0.9
    assert np.isfinite(cert.radius).all()
    # The chain for people is the one that was used, pair by pair at most.
    largest = float(cert.evidence["constants"].max())
    shown = float(np.max(cert.bound.constant))
    assert largest <= shown <= largest * (1 + 1e-9)
    assert cert.bound.source == THREATS[threat]


@pytest.mark.parametrize(
    ("extractor", "threat"),
    [
        (e, t)
        for e in EXTRACTORS
        for t in sorted(PROVED[e])
        if t not in ("strain", "hausdorff")
    ],
)
def test_moves_of_exactly_the_radius_change_no_label(
    extractor: str, threat: str
) -> None:
    clf, (X, _) = model(extractor), samples(extractor)
    cert, measure = clf.certify(X, THREATS[threat]), THREATS[threat]
    rng = np.random.default_rng(0)
    moved = []
    for x, r in zip(X, cert.radius, strict=True):
        step = rng.normal(size=np.shape(x))
        if extractor == "rips, matrix":
            step = np.triu(np.sign(step), 1)
            step += step.T
        new = measure.project(x, np.asarray(x) + 4 * r * step, float(r))
        if extractor == "rips, matrix":
            new = np.maximum(new, 0.0)
        assert measure.distance_up(x, new) <= r
        moved.append(new)
    assert np.array_equal(clf.predict(moved), cert.label)


def radii(extractor: str, threat: str) -> Any:
    return model(extractor).certify(samples(extractor)[0], THREATS[threat]).radius


@pytest.mark.parametrize(
    ("extractor", "threat", "gain"),
    [
        ("alpha", "single point", 2.0),  # 1/2 [X5]
        ("alpha", "budget", math.sqrt(2)),  # 1/sqrt 2 [X5]
        ("alpha", "hausdorff", 1.0),
        ("alpha", "weighted displacement", 2.0),
        ("rips", "single point", 2.0),  # 1 instead of 2 [X3]
        ("rips", "budget", math.sqrt(2)),
        ("rips", "hausdorff", 1.0),  # [X4]
        ("dtm", "budget", math.sqrt(5)),  # 1/sqrt k with k = 5 [X9]
        ("dtm", "single point", math.sqrt(5)),
        ("dtm rips", "single point", 2.0),
    ],
)
def test_radii_gain_what_the_ledger_says(
    extractor: str, threat: str, gain: float
) -> None:
    base = radii(extractor, "displacement")
    # At least: under a budget degree 0 has theorems of its own, which may be better.
    assert (radii(extractor, threat) >= gain * base * (1 - 1e-6)).all()
    if gain == 1.0:
        assert radii(extractor, threat) == pytest.approx(base, rel=1e-6)


@pytest.mark.parametrize(
    ("threat", "alpha", "dtm"),
    [
        ("budget", 1 / math.sqrt(2), 1 / math.sqrt(5)),
        ("single point", 1 / 2, 1 / math.sqrt(5)),
        ("displacement", 1.0, 1.0),
    ],
)
def test_channels_with_small_constants_count_little(
    threat: str, alpha: float, dtm: float
) -> None:
    clf, (X, _) = model("alpha and dtm"), samples("alpha and dtm")
    dgms = clf.extractor_.transform(X)
    bounds = clf.extractor_.bounds(THREATS[threat], dgms)
    for name, own in bounds.items():
        known = alpha if name.startswith("alpha") else dtm
        assert float(np.max(own[0].constant)) == pytest.approx(known, rel=1e-9)
    apart = float(compose(clf.program_, bounds).constants[0, 1])
    one_for_all = {
        name: [sr.Bound(b.source, b.target, max(alpha, dtm), "X5") for b in own[:1]]
        for name, own in bounds.items()
    }
    together = float(compose(clf.program_, one_for_all).constants[0, 1])
    # Without H1, which reads sorted deaths, the largest constant for all is worse yet.
    assert apart < (0.97 if alpha != dtm else 1.0) * together


def test_a_ball_of_features_in_l2_is_no_smaller_than_the_box_inside_which_it_lies() -> (
    None
):
    for name in ("alpha", "cubical"):
        box, ball = (radii(name, t) for t in ("features", "l_2 features"))
        assert (ball >= box).all()
        # The first layer reads many features, each a little: |w|_2 is far below |w|_1.
        assert np.median(ball / box) > 1.3


def test_orders_of_wasserstein_balls_nest() -> None:
    for name in ("alpha", "cubical"):
        sizes = [radii(name, t) for t in ("W_1", "W_2", "W_3", "bottleneck")]
        for larger, smaller in pairwise(sizes):
            assert (larger >= smaller * (1 - 1e-9)).all()


def test_models_on_bars_alone_certify_moves_of_bars_alone() -> None:
    X, y = samples("alpha")
    dgms = sr.AlphaPersistence().fit_transform(X)
    clf = sr.SRNClassifier("precomputed", **SMALL).fit(dgms, y)
    for name, threat in THREATS.items():
        if name in BARS or name in FEATURES:
            assert (clf.certify(dgms, threat).radius > 0).mean() > 0.9
        else:
            with pytest.raises(NoStabilityTheorem, match="fitted on Diagrams"):
                clf.certify(dgms, threat)
    assert isinstance(clf, TopologyMixin)


def test_one_extraction_serves_many_threats() -> None:
    X, _ = samples("alpha")
    clf = model("alpha")
    many = clf.certify_many(X, [*POINTS.values()])
    assert list(many) == [*POINTS.values()]
    for name, threat in POINTS.items():
        assert np.array_equal(many[threat].radius, radii("alpha", name))


@pytest.mark.parametrize("bad", [None, "displacement", 0.1, sr.Displacement])
def test_what_is_no_threat_is_refused(bad: Any) -> None:
    X, _ = samples("alpha")
    if bad is None:
        assert model("alpha").certify(X, bad).threat == sr.Displacement()
        return
    with pytest.raises((sr.StableRankError, TypeError), match="threat"):
        model("alpha").certify(X, bad)
