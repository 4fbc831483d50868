"""What scikit-learn's tools expect of every estimator, diagrams or tables alike."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_random_state

from stablerank import (
    AlphaPersistence,
    Displacement,
    LipschitzClassifier,
    SRNClassifier,
)
from stablerank.estimators.learning import split_validation
from tests.estimators.problems import (
    SMALL,
    bits,
    estimators,
    orbits,
    rings_and_blobs,
    table,
)

NAMES = list(estimators())
CLASSIFIERS = [name for name in NAMES if "Classifier" in name]


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    return {name: est.fit(X, y) for name, (est, X, y) in estimators().items()}


@pytest.mark.parametrize("name", NAMES)
def test_two_fits_and_a_clone_give_the_same_bits(name: str, fitted) -> None:
    _, X, y = estimators()[name]
    assert bits(clone(fitted[name]).fit(X, y), X) == bits(fitted[name], X)


@pytest.mark.parametrize("name", NAMES)
def test_fit_returns_self_and_touches_no_parameter(name: str) -> None:
    estimator, X, y = estimators()[name]
    before = copy.deepcopy(estimator.get_params())
    assert estimator.fit(X, y) is estimator
    assert repr(estimator.get_params()) == repr(before)


@pytest.mark.parametrize("name", NAMES)
def test_pickle_and_joblib_keep_every_bit(name: str, fitted, tmp_path: Path) -> None:
    _, X, _ = estimators()[name]
    said = bits(fitted[name], X)
    assert bits(pickle.loads(pickle.dumps(fitted[name])), X) == said
    joblib.dump(fitted[name], tmp_path / "model")
    assert bits(joblib.load(tmp_path / "model"), X) == said


@pytest.mark.parametrize("name", NAMES)
def test_the_global_random_states_are_left_alone(name: str) -> None:
    import torch

    estimator, X, y = estimators()[name]
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    estimator.fit(X, y)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_agrees_with_a_batch_of_many(name: str, fitted) -> None:
    _, X, _ = estimators()[name]
    model = fitted[name]
    whole, alone = model.certify(X), [model.certify(X[i : i + 1]) for i in range(8)]
    for i, one in enumerate(alone):
        if is_classifier(model):
            owed = whole.evidence["owed"].max() / whole.evidence["constants"].max()
            if whole.radius[i] > 0:
                assert one.label[0] == whole.label[i]
            assert one.radius[0] == pytest.approx(whole.radius[i], abs=owed)
        else:
            assert abs(one.value[0] - whole.value[i]) <= whole.error[i]


# --- classifiers -----------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_sum_to_one_and_agree_with_the_labels(name: str, fitted) -> None:
    _, X, _ = estimators()[name]
    p = fitted[name].predict_proba(X)
    assert p.shape == (len(X), 2)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-12)
    assert (p >= 0).all()
    labels = fitted[name].classes_[p.argmax(axis=1)]
    assert np.array_equal(labels, fitted[name].predict(X))
    right = (fitted[name].decision_function(X) > 0) == (labels == 1)
    assert right.all()


@pytest.mark.parametrize("name", ["SRNClassifier", "LipschitzClassifier"])
def test_probabilities_are_the_likeliest_on_the_validation_part(name: str) -> None:
    if name == "SRNClassifier":  # labels that nothing explains
        X, y = rings_and_blobs(60)
        y = np.random.default_rng(0).permutation(y)
    else:
        X, y = table(300)
    model = clone(estimators()[name][0]).set_params(validation_fraction=0.4).fit(X, y)
    seed = int(check_random_state(0).randint(2**31 - 1))
    _, valid = split_validation(y, 0.4, seed, stratify=True)
    z = model._logits(X)[valid]
    assert 0.3 < (z.argmax(axis=1) == y[valid]).mean() < 0.99

    def surprise(temperature: float) -> float:
        log_p = log_softmax(temperature * z, axis=1)
        return -float(log_p[np.arange(len(valid)), y[valid]].mean())

    best = model.inverse_temperature_
    assert surprise(best) <= min(surprise(best * f) for f in (0.5, 0.9, 1.1, 2.0))
    p = model.predict_proba(X)[valid, y[valid]]
    assert -np.log(p).mean() == pytest.approx(surprise(best))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_class_weights_shift_the_decision_to_the_heavy_class(name: str) -> None:
    estimator, X, y = estimators()[name]
    y = np.random.default_rng(0).permutation(y)  # nothing to learn but the weights
    counts = [
        (clone(estimator).set_params(class_weight=w).fit(X, y).predict(X) == 1).sum()
        for w in ({0: 50.0, 1: 1.0}, {0: 1.0, 1: 50.0})
    ]
    assert counts[0] < counts[1]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_balanced_weights_are_those_of_scikit_learn(name: str) -> None:
    estimator, X, y = estimators()[name]
    rare = np.where(np.arange(len(y)) < 6, 1, 0)
    by_hand = {c: len(rare) / (2 * n) for c, n in enumerate(np.bincount(rare))}
    a, b = (
        clone(estimator).set_params(class_weight=w).fit(X, rare)
        for w in ("balanced", by_hand)
    )
    assert np.array_equal(a.decision_function(X), b.decision_function(X))


@pytest.mark.parametrize(
    "names", [("cat", "dog"), (True, False), (-1.0, 7.0), (10**12, 3)], ids=str
)
def test_labels_of_any_kind_come_back_as_they_were(names: tuple[Any, Any]) -> None:
    X, y = table()
    labels = np.array(names)[y]
    clf = LipschitzClassifier(**SMALL).fit(X, labels)
    assert set(clf.predict(X)) <= set(labels)
    assert clf.classes_.tolist() == sorted(names)
    assert clf.predict(X).dtype == labels.dtype
    cert = clf.certify(X)
    assert cert.accuracy(labels) == clf.score(X, labels)
    assert not (cert.rival == cert.label).any()


def test_string_labels_work_on_clouds_with_three_classes() -> None:
    clouds, y = orbits()
    names = np.array(["calm", "wild", "wilder"])[y]
    clf = SRNClassifier(**SMALL).fit(clouds, names)
    assert clf.classes_.tolist() == ["calm", "wild", "wilder"]
    assert clf.decision_function(clouds).shape == (len(y), 3)
    assert np.allclose(clf.predict_proba(clouds).sum(axis=1), 1)
    numbers = SRNClassifier(**SMALL).fit(clouds, y)
    assert np.array_equal(clf.certify(clouds).radius, numbers.certify(clouds).radius)


# --- tools -----------------------------------------------------------------


def certified_accuracy(model: Any, X: Any, y: Any) -> float:
    """Score of a search: right and certified at 0.02."""
    return model.certified_score(X, y, 0.02)


def test_a_grid_search_maximises_certified_accuracy() -> None:
    clouds, y = rings_and_blobs(30)
    search = GridSearchCV(
        SRNClassifier(**SMALL),
        {"preset": ["balanced", "accurate"], "hidden": [(16,), (32,)]},
        scoring=certified_accuracy,
        cv=2,
    ).fit(clouds, y)
    assert len(search.cv_results_["params"]) == 4
    scores = search.cv_results_["mean_test_score"]
    assert search.best_score_ == scores.max()
    assert 0 <= scores.min() <= scores.max() <= 1
    assert search.best_estimator_.certify(clouds).threat == Displacement()


def test_cross_validation_splits_diagrams_as_they_are() -> None:
    clouds, y = rings_and_blobs(30)
    dgms = AlphaPersistence().fit_transform(clouds)
    model = SRNClassifier(**SMALL)
    of_bars = cross_val_score(model, dgms, y, cv=3)
    assert np.array_equal(of_bars, cross_val_score(model, clouds, y, cv=3))


def centred(clouds: Any) -> list[np.ndarray]:
    return [np.asarray(cloud) - np.mean(cloud, axis=0) for cloud in clouds]


def test_a_pipeline_gives_what_its_steps_give() -> None:
    clouds, y = rings_and_blobs()
    pipe = make_pipeline(FunctionTransformer(centred), SRNClassifier(**SMALL))
    steps = SRNClassifier(**SMALL).fit(centred(clouds), y)
    assert np.array_equal(
        pipe.fit(clouds, y).predict(clouds), steps.predict(centred(clouds))
    )
    # Extraction may be a step of its own; the model then reads diagrams.
    bars = make_pipeline(AlphaPersistence(), SRNClassifier(**SMALL)).fit(clouds, y)
    whole = SRNClassifier(**SMALL).fit(clouds, y)
    assert np.array_equal(bars.predict_proba(clouds), whole.predict_proba(clouds))


def test_parameters_are_reached_through_a_pipeline() -> None:
    pipe = make_pipeline(AlphaPersistence(), SRNClassifier())
    pipe.set_params(srnclassifier__preset="robust", alphapersistence__field=3)
    assert pipe[-1].preset == "robust"
    assert pipe[0].field == 3
