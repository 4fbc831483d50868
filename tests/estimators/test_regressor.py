"""The regressor on clouds: intervals that hold, one target or several."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank import AlphaPersistence, Displacement, SRNRegressor
from stablerank.exceptions import NonFiniteError, ShapeError
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


def test_targets_that_are_none_are_named() -> None:
    clouds, sizes = problem()
    broken = sizes.copy()
    broken[5] = np.nan
    with pytest.raises(NonFiniteError, match="row 5"):
        SRNRegressor(**SMALL).fit(clouds, broken)
    with pytest.raises(ShapeError, match="24 samples"):
        SRNRegressor(**SMALL).fit(clouds, sizes[:-1])
    with pytest.raises(ShapeError, match="n_targets"):
        SRNRegressor(**SMALL).fit(clouds, np.zeros((24, 2, 2)))
    with pytest.raises(TypeError, match="sample_weight"):
        SRNRegressor(**SMALL).fit(clouds, sizes, sample_weight=sizes)
