"""Several threats from one reading of the input, for every estimator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import stablerank as sr
from tests.estimators.problems import SMALL, halves, rings_and_blobs, table


def test_a_regressor_answers_many_threats_from_one_extraction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clouds, _ = rings_and_blobs()
    sizes = np.linspace(1, 2, len(clouds))
    reg = sr.SRNRegressor(**SMALL).fit(clouds, sizes)
    threats = [sr.Displacement(), sr.Displacement(weights=halves), sr.Budget()]
    alone = [reg.certify(clouds, threat) for threat in threats]
    calls: list[int] = []
    extract = sr.AlphaPersistence.transform

    def counted(self: Any, X: Any) -> Any:
        calls.append(len(X))
        return extract(self, X)

    monkeypatch.setattr(sr.AlphaPersistence, "transform", counted)
    many = reg.certify_many(clouds, threats)
    assert calls == [len(clouds)]
    assert list(many) == threats
    for threat, one in zip(threats, alone, strict=True):
        assert np.array_equal(many[threat].constant, one.constant)
        assert np.array_equal(many[threat].value, one.value)


@pytest.mark.parametrize("kind", [sr.LipschitzClassifier, sr.LipschitzRegressor])
def test_tables_with_names_answer_many_threats(kind: Any) -> None:
    x, y = table()
    frame = pd.DataFrame(x, columns=list("abcd"))
    model = kind(**SMALL).fit(frame, y)
    threats = [sr.FeatureBall(2), sr.FeatureBall(math.inf)]
    many = model.certify_many(frame, threats)
    assert list(many) == threats
    for threat in threats:
        assert many[threat].threat == threat


@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.05])
def test_an_interval_for_a_stated_radius_holds_every_prediction_in_the_ball(
    eps: float,
) -> None:
    clouds, _ = rings_and_blobs()
    sizes = np.linspace(1, 2, len(clouds))
    scaled = [s * c for s, c in zip(sizes, clouds, strict=True)]
    reg = sr.SRNRegressor(**SMALL).fit(scaled, sizes)
    threat = sr.Displacement()
    low, high = reg.certify(scaled, threat).interval(eps)
    assert (low <= high).all()
    rng = np.random.default_rng(0)
    for _ in range(3):
        moved = [threat.project(c, c + rng.normal(size=c.shape), eps) for c in scaled]
        found = reg.predict(moved)
        assert ((low <= found) & (found <= high)).all()
    larger = [c * (1 + eps / np.linalg.norm(c, axis=1).max()) for c in scaled]
    inside = [threat.project(c, m, eps) for c, m in zip(scaled, larger, strict=True)]
    assert ((low <= reg.predict(inside)) & (reg.predict(inside) <= high)).all()
