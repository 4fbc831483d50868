"""Tables: scikit-learn's own checks, and certificates that attacks respect."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from stablerank import FeatureBall, LipschitzClassifier, LipschitzRegressor
from stablerank.exceptions import InvalidInputError, NonFiniteError, NoStabilityTheorem
from stablerank.metrics import Displacement
from tests.estimators.problems import SMALL, table


@pytest.mark.parametrize("cls", [LipschitzClassifier, LipschitzRegressor])
def test_all_checks_of_scikit_learn_pass_unmodified(cls) -> None:
    results = check_estimator(cls(), on_skip=None)
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    # It needs an environment variable, and arrays that numpy does not make.
    assert skipped <= {"check_array_api_input"}
    assert {r["status"] for r in results} <= {"passed", "skipped"}
    assert len(results) > 45


@pytest.mark.parametrize("norm", [2, math.inf])
def test_no_move_within_the_radius_changes_a_label(norm: float) -> None:
    X, y = table()
    clf = LipschitzClassifier(norm, **SMALL).fit(X, y)
    cert = clf.certify(X)
    assert cert.threat == FeatureBall(norm)
    assert cert.accuracy(y, 0.01) > 0.7
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = rng.normal(size=X.shape)
        if norm == math.inf:
            step = np.sign(step)
        step /= np.linalg.norm(step, norm, axis=1, keepdims=True)
        moved = X + 0.999999 * cert.radius[:, None] * step
        assert (clf.predict(moved) == cert.label).all()


@pytest.mark.parametrize("norm", [2, math.inf])
def test_an_attack_along_the_gradient_succeeds_a_little_beyond_some_radius(
    norm: float,
) -> None:
    # One linear layer: the certificate is exact, so the attack must find the label.
    X, y = table()
    clf = LipschitzClassifier(norm, hidden=(), epochs=20, random_state=0).fit(X, y)
    cert = clf.certify(X)
    wall = np.array([clf.decision_function(X + 1e-4 * e) for e in np.eye(4)])
    slope = (wall - clf.decision_function(X)).T
    way = np.sign(slope) if norm == math.inf else slope
    way = way / np.linalg.norm(way, norm, axis=1, keepdims=True)
    way *= -np.sign(clf.decision_function(X))[:, None]
    sure = cert.radius > 0
    beyond = clf.predict(X + (1 + 1e-6) * cert.radius[:, None] * way)
    assert (beyond != cert.label)[sure].mean() > 0.9
    within = clf.predict(X + (1 - 1e-6) * cert.radius[:, None] * way)
    assert (within == cert.label)[sure].all()


def test_intervals_contain_what_moved_inputs_give() -> None:
    X, _ = table()
    y = np.stack([X[:, 0], X[:, 1] - X[:, 2]], axis=1)
    reg = LipschitzRegressor(**SMALL).fit(X, y)
    cert = reg.certify(X)
    low, high = cert.interval(0.3)
    rng = np.random.default_rng(1)
    for _ in range(20):
        value = reg.predict(X + 0.3 * rng.choice([-1.0, 1.0], X.shape))
        assert (low <= value).all()
        assert (value <= high).all()


def test_a_cap_on_the_constant_is_kept() -> None:
    X, _ = table()
    reg = LipschitzRegressor(lipschitz=0.5, **SMALL).fit(X, 10 * X[:, 0])
    assert (reg.certify(X).constant <= 0.5 * (1 + 1e-9)).all()
    assert (reg.certify(X).constant >= 0.4).all()


def test_a_network_for_another_norm_is_refused() -> None:
    X, y = table()
    with pytest.raises(InvalidInputError, match="norm"):
        LipschitzClassifier(2, "maxmin", **SMALL).fit(X, y)


def test_a_threat_on_points_has_no_theorem_for_a_table() -> None:
    X, y = table()
    with pytest.raises(NoStabilityTheorem, match="FeatureBall"):
        LipschitzClassifier(**SMALL).fit(X, y).certify(X, Displacement())


def test_the_order_of_named_columns_is_checked() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = table()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    clf = LipschitzClassifier(**SMALL).fit(frame, y)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("badc")])
    clf.fit(X, y)
    assert not hasattr(clf, "feature_names_in_")


def test_infinite_targets_are_refused_by_row() -> None:
    X, _ = table()
    y = X[:, 0].copy()
    y[3] = np.inf
    with pytest.raises((NonFiniteError, ValueError), match="infinity"):
        LipschitzRegressor(**SMALL).fit(X, y)
