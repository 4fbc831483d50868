"""Pipelines: the radius is in the units of the input, and no step is taken on trust."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    StandardScaler,
)

from stablerank import (
    AlphaPersistence,
    Displacement,
    FeatureBall,
    LipschitzClassifier,
    LipschitzRegressor,
    MatrixSup,
    NoStabilityTheorem,
    SRNClassifier,
    SRNRegressor,
    StableRankTransformer,
    UncertifiableLayerError,
    certify_pipeline,
)
from stablerank.exceptions import DataTypeError, InvalidInputError
from tests.estimators.problems import SMALL, halves, rings_and_blobs, table

TINY: dict[str, Any] = {"hidden": (), "epochs": 4, "random_state": 0}
SCALES = np.array([1e-2, 1.0, 30.0, 1.0])


def stretched() -> tuple[Any, Any]:
    x, y = table()
    return x * SCALES + [5.0, 0.0, -300.0, 1.0], y


def exact_radii(pipe: Pipeline, x: Any, norm: float) -> list[Fraction]:
    """Radii of a linear classifier behind a scaler, in fractions (l_2: squared)."""
    scaler, last = pipe[0], pipe[-1]
    scale, head = last.program_.operations
    w = [[Fraction(v) for v in row] for row in head.weight.tolist()]
    d = [Fraction(v) for v in scale.scale.tolist()]
    t = [Fraction(v) for v in scale.shift.tolist()]
    m = [Fraction(v) for v in scaler.mean_.tolist()]
    s = [Fraction(v) for v in scaler.scale_.tolist()]
    gap = [a - b for a, b in zip(w[0], w[1], strict=True)]
    bias = Fraction(head.bias[0]) - Fraction(head.bias[1])
    slopes = [g * k / z for g, k, z in zip(gap, d, s, strict=True)]
    radii = []
    for row in x.tolist():
        parts = (
            g * ((Fraction(v) - c) / z * k + u)
            for v, c, z, k, u, g in zip(row, m, s, d, t, gap, strict=True)
        )
        margin = abs(sum(parts) + bias)
        if math.isinf(norm):
            radii.append(margin / sum(map(abs, slopes)))
        else:
            radii.append(margin**2 / sum(v * v for v in slopes))
    return radii


def test_a_linear_pipeline_is_certified_up_to_its_exact_radius() -> None:
    x, y = stretched()
    pipe = make_pipeline(StandardScaler(), LipschitzClassifier(**TINY)).fit(x, y)
    threat = FeatureBall(math.inf)
    cert = certify_pipeline(pipe, x, threat)
    assert cert.threat == threat
    assert np.array_equal(cert.label, pipe.predict(x))
    for found, exact in zip(cert.radius, exact_radii(pipe, x, math.inf), strict=True):
        assert Fraction(found) < exact
        assert float(exact) - found <= 1e-9 * max(1.0, float(exact))


def test_an_l2_ball_enters_by_coordinates_where_that_is_better() -> None:
    """One small column would cost all others their radius in a single l_2 constant."""
    x, y = stretched()
    pipe = make_pipeline(StandardScaler(), LipschitzClassifier(**TINY)).fit(x, y)
    ball, box = (certify_pipeline(pipe, x, FeatureBall(p)) for p in (2, math.inf))
    for found, exact in zip(ball.radius, exact_radii(pipe, x, 2), strict=True):
        assert Fraction(found) ** 2 < exact
    assert (ball.radius >= box.radius * (1 - 1e-9)).all()


PIPES = {
    "standard": lambda: make_pipeline(StandardScaler(), LipschitzClassifier(**SMALL)),
    "pca": lambda: make_pipeline(
        StandardScaler(), PCA(3), LipschitzClassifier(2, **SMALL)
    ),
    "whitened": lambda: make_pipeline(
        PCA(whiten=True), FunctionTransformer(), LipschitzClassifier(**SMALL)
    ),
    "nested": lambda: Pipeline(
        [
            ("first", make_pipeline(MinMaxScaler(clip=True), "passthrough")),
            ("off", "passthrough"),
            ("net", LipschitzClassifier(2, **SMALL)),
        ]
    ),
    "alone": lambda: make_pipeline(LipschitzClassifier(**SMALL)),
}


@pytest.mark.parametrize("norm", [2, math.inf])
@pytest.mark.parametrize("name", list(PIPES))
def test_no_move_within_the_radius_changes_what_the_pipeline_predicts(
    name: str, norm: float
) -> None:
    x, y = stretched()
    pipe = PIPES[name]().fit(x, y)
    threat = FeatureBall(norm)
    cert = certify_pipeline(pipe, x, threat)
    assert np.array_equal(cert.label, pipe.predict(x))
    assert (cert.radius > 0).mean() > 0.8
    rng = np.random.default_rng(0)
    # Along the gradient, found by differences, and in random directions.
    score = pipe.decision_function
    unit = 1e-6 * x.std(axis=0)
    slope = np.stack(
        [(score(x + u) - score(x - u)) / (2 * u.sum()) for u in np.diag(unit)], axis=1
    )
    inwards = -np.sign(score(x))[:, None] * slope
    flips = {}
    for factor in (1.0, 40.0):
        flips[factor] = 0
        for trial in range(4):
            step = inwards if trial == 0 else rng.normal(size=x.shape)
            if math.isinf(norm):
                step = np.sign(step)
            else:
                step = step / np.linalg.norm(step, axis=1, keepdims=True)
            moved = np.array(
                [
                    threat.project(a, a + factor * r * s, factor * r)
                    for a, r, s in zip(x, cert.radius, step, strict=True)
                ]
            )
            flips[factor] += int((pipe.predict(moved) != cert.label).sum())
    assert flips[1.0] == 0
    assert flips[40.0] > 0


def test_the_last_step_alone_certifies_in_the_units_of_its_array() -> None:
    x, y = table()
    x = 1000 * (x - x.mean(axis=0)) / x.std(axis=0)  # all columns of one scale
    pipe = make_pipeline(StandardScaler(), LipschitzClassifier(**SMALL)).fit(x, y)
    whole = certify_pipeline(pipe, x)
    inner = pipe[-1].certify(pipe[0].transform(x))
    assert np.array_equal(whole.label, inner.label)
    assert whole.radius == pytest.approx(1000 * inner.radius, rel=1e-6)
    assert whole.threat == inner.threat == FeatureBall(math.inf)


def test_moving_the_units_moves_the_radius_and_nothing_else() -> None:
    x, y = table()
    small = make_pipeline(StandardScaler(), LipschitzClassifier(**SMALL)).fit(x, y)
    large = make_pipeline(StandardScaler(), LipschitzClassifier(**SMALL)).fit(8 * x, y)
    a, b = (certify_pipeline(p, z).radius for p, z in ((small, x), (large, 8 * x)))
    assert b == pytest.approx(8 * a, rel=1e-6)


def test_an_extractor_and_a_model_on_its_diagrams_are_one_model() -> None:
    clouds, y = rings_and_blobs()
    pipe = make_pipeline(AlphaPersistence(), SRNClassifier("precomputed", **SMALL))
    pipe.fit(clouds, y)
    cert = certify_pipeline(pipe, clouds, Displacement())
    assert np.array_equal(cert.label, pipe.predict(clouds))
    assert (cert.radius > 0).mean() > 0.8
    # The bars alone have no theorem for moves of points; through the pipeline they do.
    with pytest.raises(NoStabilityTheorem, match="fitted on Diagrams"):
        pipe[-1].certify(pipe[0].transform(clouds), Displacement())
    assert certify_pipeline(pipe, clouds).threat == Displacement()
    with pytest.raises(NoStabilityTheorem, match="instead"):
        certify_pipeline(pipe, clouds, MatrixSup())


def test_the_weights_of_points_are_read_where_the_points_are() -> None:
    clouds, y = rings_and_blobs()
    pipe = make_pipeline(AlphaPersistence(), SRNClassifier("precomputed", **SMALL))
    pipe.fit(clouds, y)
    plain = certify_pipeline(pipe, clouds, Displacement())
    half = certify_pipeline(pipe, clouds, Displacement(weights=halves))
    assert half.radius == pytest.approx(2 * plain.radius, rel=1e-9)


@pytest.mark.parametrize("norm", [2, math.inf])
def test_features_of_diagrams_scaled_into_a_network(norm: float) -> None:
    clouds, y = rings_and_blobs()
    last = LipschitzClassifier(norm, **SMALL)
    pipe = make_pipeline(StableRankTransformer(size="small"), StandardScaler(), last)
    pipe.fit(clouds, y)
    threat = Displacement()
    cert = certify_pipeline(pipe, clouds, threat)
    assert np.array_equal(cert.label, pipe.predict(clouds))
    assert (cert.radius > 0).mean() > 0.8
    assert cert.evidence["engine"] > 0
    rng = np.random.default_rng(0)
    for _ in range(4):
        moved = [
            threat.project(c, c + r * rng.normal(size=c.shape), r)
            for c, r in zip(clouds, cert.radius, strict=True)
        ]
        assert np.array_equal(pipe.predict(moved), cert.label)
    split = make_pipeline(
        AlphaPersistence(), StableRankTransformer(size="small"), StandardScaler(), last
    ).fit(clouds, y)
    again = certify_pipeline(split, clouds, threat)
    assert again.radius == pytest.approx(cert.radius, rel=1e-9)


def test_regressors_give_intervals() -> None:
    x, _ = stretched()
    target = x[:, 2]
    pipe = make_pipeline(StandardScaler(), LipschitzRegressor(**TINY)).fit(x, target)
    cert = certify_pipeline(pipe, x, FeatureBall(math.inf))
    low, high = cert.interval(0.1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        found = pipe.predict(x + rng.uniform(-0.1, 0.1, x.shape))
        assert ((low <= found) & (found <= high)).all()
    clouds, _ = rings_and_blobs()
    sizes = np.linspace(1, 2, len(clouds))
    on_bars = make_pipeline(AlphaPersistence(), SRNRegressor("precomputed", **SMALL))
    on_bars.fit(clouds, sizes)
    assert (certify_pipeline(on_bars, clouds).constant > 0).all()


def test_the_chain_shows_every_step() -> None:
    x, y = stretched()
    cert = certify_pipeline(PIPES["pca"]().fit(x, y), x)
    text = cert.bound.explain()
    for words in ("StandardScaler, step 'standardscaler'", "PCA, step 'pca'", "N1"):
        assert words in text
    largest = float(cert.evidence["constants"].max())
    assert largest <= float(np.max(cert.bound.constant)) <= largest * (1 + 1e-9)


def foreign() -> dict[str, tuple[Any, str]]:
    net = LipschitzClassifier(**TINY)
    return {
        "a normaliser": (make_pipeline(Normalizer(), net), "step 'normalizer'"),
        "a function": (
            make_pipeline(FunctionTransformer(np.tanh), net),
            "step 'functiontransformer'",
        ),
        "deep inside": (
            Pipeline([("a", make_pipeline(Normalizer())), ("b", net)]),
            "step 'a.normalizer'",
        ),
        "a forest": (
            make_pipeline(StandardScaler(), RandomForestClassifier(3)),
            "step 'randomforestclassifier'",
        ),
        "a linear model": (make_pipeline(LogisticRegression()), "logisticregression"),
    }


@pytest.mark.parametrize("name", list(foreign()))
def test_a_foreign_step_is_named(name: str) -> None:
    pipe, words = foreign()[name]
    x, y = table()
    pipe.fit(x, y)
    with pytest.raises(UncertifiableLayerError, match=words):
        certify_pipeline(pipe, x, FeatureBall(math.inf))


def test_what_is_no_pipeline_no_threat_or_no_float64_is_refused() -> None:
    x, y = table()
    net = LipschitzClassifier(**TINY).fit(x, y)
    with pytest.raises(InvalidInputError, match="takes a Pipeline"):
        certify_pipeline(net, x)  # type: ignore[arg-type]
    pipe = make_pipeline(StandardScaler(), net).fit(x, y)
    with pytest.raises(InvalidInputError, match="threat"):
        certify_pipeline(pipe, x, "feature ball")  # type: ignore[arg-type]
    with pytest.raises(DataTypeError, match="float32"):
        certify_pipeline(pipe, x.astype(np.float32))
    with pytest.raises(NoStabilityTheorem, match="FeatureBall"):
        certify_pipeline(pipe, x, Displacement())
    whole = certify_pipeline(pipe, np.rint(x).astype(int))
    assert np.array_equal(whole.label, pipe.predict(np.rint(x).astype(int)))
