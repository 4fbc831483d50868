"""The regressor on clouds: intervals that hold, one target or several."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

from stablerank import (
    AlphaPersistence,
    BottleneckBall,
    Displacement,
    FeatureBall,
    LipschitzRegressor,
    SRNRegressor,
)
from tests.estimators.problems import SMALL, halves, rings_and_blobs


def problem(n: int = 24) -> tuple[list[np.ndarray], np.ndarray]:
    clouds, _ = rings_and_blobs(n)
    sizes = np.linspace(1, 2, n)
    return [s * c for s, c in zip(sizes, clouds, strict=True)], sizes


def test_the_size_of_a_cloud_is_learned() -> None:
    clouds, sizes = problem()
    reg = SRNRegressor(hidden=(32,), epochs=60, random_state=0).fit(clouds, sizes)
    assert reg.score(clouds, sizes) > 0.5


@pytest.mark.parametrize("n_targets", [1, 2])
def test_moved_clouds_stay_in_their_intervals(n_targets: int) -> None:
    clouds, sizes = problem()
    y = sizes if n_targets == 1 else np.stack([sizes, -3 * sizes], axis=1)
    reg = SRNRegressor(**SMALL).fit(clouds, y)
    cert = reg.certify(clouds)
    assert cert.value.shape == reg.predict(clouds).shape == y.shape
    low, high = cert.interval(0.05)
    rng = np.random.default_rng(0)
    threat = Displacement()
    for _ in range(5):
        moved = [
            threat.project(c, c + 0.05 * rng.choice([-1.0, 1.0], c.shape), 0.05)
            for c in clouds
        ]
        value = reg.predict(moved)
        assert (low <= value).all()
        assert (value <= high).all()


def test_a_column_of_targets_keeps_its_shape() -> None:
    clouds, sizes = problem()
    reg = SRNRegressor(**SMALL).fit(clouds, sizes[:, None])
    assert reg.predict(clouds).shape == (len(sizes), 1)


def test_diagrams_bring_their_extractor_along() -> None:
    clouds, sizes = problem()
    dgms = AlphaPersistence().fit_transform(clouds)
    reg = SRNRegressor(**SMALL).fit(dgms, sizes)
    assert np.array_equal(reg.predict(clouds), reg.predict(dgms))
    assert reg.certify(clouds).threat == Displacement()


def test_weights_of_points_come_with_raw_clouds() -> None:
    clouds, sizes = problem()
    reg = SRNRegressor(**SMALL).fit(clouds, sizes)
    half = Displacement(weights=halves)
    assert reg.certify(clouds, half).constant == pytest.approx(
        0.5 * reg.certify(clouds).constant, rel=1e-9
    )


def test_a_feature_ball_is_around_the_representation() -> None:
    clouds, sizes = problem()
    y = np.stack([sizes, -3 * sizes], axis=1)
    reg = SRNRegressor(**SMALL).fit(clouds, y)
    whole = reg.certify(clouds)
    cert = reg.certify(clouds, FeatureBall(math.inf))
    assert np.array_equal(cert.value, whole.value)
    # All features have constant 1 under displacement, so both balls are one.
    assert cert.constant == pytest.approx(whole.constant, rel=1e-6)
    register = reg.feature_register_
    vectors = reg.program_.evaluate(reg.extractor_.transform(clouds), register)
    network = reg.program_.after(register)
    low, high = cert.interval(0.05)
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = network.evaluate(
            vectors + 0.05 * rng.choice([-1.0, 1.0], vectors.shape)
        )
        assert (low <= moved).all()
        assert (moved <= high).all()
    # An l_2 ball is inside the ball of the sup norm.
    assert (reg.certify(clouds, FeatureBall(2)).constant <= cert.constant).all()


@pytest.mark.parametrize("cap", [0.3, 4.0])
@pytest.mark.parametrize("factors", [(1.0,), (1.0, -3.0)])
def test_a_cap_bounds_the_constant_under_the_usual_threat(cap, factors) -> None:
    clouds, sizes = problem()
    y = sizes[:, None] * factors
    reg = SRNRegressor(lipschitz=cap, **SMALL).fit(clouds, y)
    constant = np.max(reg.certify(clouds).constant, axis=0)
    # Of several targets the widest has the cap, the others less in proportion.
    wanted = cap * np.abs(factors) / np.max(np.abs(factors))
    assert (constant <= wanted * (1 + 1e-9)).all()
    assert (constant >= 0.6 * wanted).all()


def test_auto_is_no_steeper_than_the_target_needs() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (300, 1))
    slopes = []
    for y in (x[:, 0], np.tanh(20 * x[:, 0])):
        reg = LipschitzRegressor(hidden=(32,), epochs=60, random_state=0).fit(x, y)
        assert reg.score(x, y) > 0.95
        slopes.append(float(reg.certify(x).constant.max()))
    assert slopes[0] < 1.5  # a line of slope 1
    assert slopes[1] > 3  # of slope 20 in the middle


def test_larger_targets_get_constants_in_proportion() -> None:
    clouds, sizes = problem()
    one, ten = (
        SRNRegressor(**SMALL).fit(clouds, factor * sizes).certify(clouds)
        for factor in (1.0, 8.0)
    )
    assert ten.constant == pytest.approx(8 * one.constant, rel=1e-3)
    assert ten.value == pytest.approx(8 * one.value, rel=1e-3)


@pytest.mark.parametrize("cls", [SRNRegressor, LipschitzRegressor])
def test_regressors_take_no_sample_weight(cls: Any) -> None:
    assert "sample_weight" not in inspect.signature(cls.fit).parameters
    clouds, sizes = problem()
    with pytest.raises(TypeError, match="sample_weight"):
        cls(**SMALL).fit(clouds, sizes, sample_weight=sizes)


def test_the_bars_alone_certify_threats_on_diagrams() -> None:
    clouds, sizes = problem()
    dgms = AlphaPersistence().fit_transform(clouds).without_source()
    reg = SRNRegressor("precomputed", **SMALL).fit(dgms, sizes)
    assert reg.certify(dgms).threat == BottleneckBall()
