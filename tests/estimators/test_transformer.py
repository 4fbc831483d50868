"""The fixed bank as a scikit-learn transformer."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from stablerank.diagrams import Diagrams
from stablerank.estimators import StableRankTransformer
from stablerank.exceptions import (
    IncompatibleDiagramsError,
    InvalidInputError,
    NoStabilityTheorem,
)
from stablerank.extract import AlphaPersistence, CubicalPersistence, RipsPersistence
from stablerank.metrics import (
    BottleneckBall,
    Displacement,
    FeatureBall,
    PixelSup,
    VectorNorm,
)


@parametrize_with_checks([StableRankTransformer(extractor=CubicalPersistence())])
def test_scikit_learn_finds_nothing_to_object_to(estimator, check):
    check(estimator)


def clouds(n: int = 6, n_points: int = 25, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n, n_points, 2))


@pytest.fixture(scope="module")
def fitted():
    return StableRankTransformer().fit(clouds())


# --- features -------------------------------------------------------------------------


def test_raw_clouds_and_their_diagrams_give_the_same_features(fitted):
    dgms = AlphaPersistence().fit_transform(clouds())
    features = fitted.transform(clouds())
    assert np.array_equal(features, fitted.transform(dgms))
    assert features.shape == (6, len(fitted.get_feature_names_out()))


def test_fit_transform_is_fit_and_then_transform(fitted):
    features = StableRankTransformer().fit_transform(clouds())
    assert np.array_equal(features, fitted.transform(clouds()))


def test_no_extractor_means_alpha_and_a_list_means_a_union():
    names = StableRankTransformer().fit(clouds()).get_feature_names_out()
    assert "H0/death/rank000" in names
    union = StableRankTransformer([AlphaPersistence(), RipsPersistence()])
    names = union.fit(clouds(3, 12)).get_feature_names_out()
    assert {"alpha/H0/death/rank000", "rips/H1/half/rank000"} <= set(names)


def test_diagrams_alone_are_enough_to_fit():
    dgms = Diagrams.from_list([{"H1": [(0.0, 1.0)]}, {"H1": [(0.0, 3.0)]}])
    for extractor in (None, "precomputed"):
        model = StableRankTransformer(extractor).fit(dgms)
        assert model.transform(dgms)[:, 0].tolist() == [0.5, 1.5]
        assert model.n_features_in_ == 1
        with pytest.raises(InvalidInputError, match="fitted on Diagrams"):
            model.transform(clouds())


def test_diagrams_with_their_extractor_keep_its_theorems():
    dgms = AlphaPersistence().fit_transform(clouds())
    with_theorems = StableRankTransformer(AlphaPersistence()).fit(dgms)
    without = StableRankTransformer("precomputed").fit(dgms)
    assert "H0/death/rank000" in with_theorems.get_feature_names_out()
    assert "H0/half/rank000" in without.get_feature_names_out()


def test_pandas_output_is_named_and_keeps_its_index():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        np.random.default_rng(0).normal(size=(8, 12)), index=list("abcdefgh")
    )
    table.columns = [f"t{i}" for i in range(12)]
    model = StableRankTransformer(CubicalPersistence()).set_output(transform="pandas")
    for found in (model.fit_transform(table), model.transform(table)):
        assert list(found.columns) == list(model.get_feature_names_out())
        assert list(found.index) == list(table.index)
    assert list(model.feature_names_in_) == list(table.columns)
    model.fit(table.to_numpy())
    assert not hasattr(model, "feature_names_in_")


def test_sizes_trade_speed_for_detail():
    counts = [
        StableRankTransformer(size=size).fit(clouds()).bank_.n_features
        for size in ("small", "default", "large")
    ]
    assert counts == sorted(set(counts))


# --- stability ------------------------------------------------------------------------


def test_features_move_no_more_than_the_points(fitted):
    bound = fitted.bound(clouds())
    assert (bound.source, bound.target) == (Displacement(), VectorNorm())
    assert bound.constant == pytest.approx(1.0)
    rng = np.random.default_rng(1)
    before = fitted.transform(clouds())
    for size in (1e-4, 1e-2, 0.3):
        moves = rng.normal(size=(*before.shape[:1], 25, 2))
        moves *= size / np.linalg.norm(moves, axis=2, keepdims=True)
        after = fitted.transform(clouds() + moves)
        assert np.abs(after - before).max() <= bound.constant * size * (1 + 1e-9)


def test_one_move_attains_the_constant():
    def pair(gap):
        return np.array([[0.0, 0.0], [gap, 0.0]])

    model = StableRankTransformer().fit([pair(2.0)])
    a, b = model.transform([pair(2.0), pair(2.2)])  # both points move by 0.1
    assert np.abs(a - b).max() == pytest.approx(0.1)


def test_threats_without_a_theorem_are_refused(fitted):
    dgms = Diagrams.from_list([{"H1": [(0.0, 1.0)]}])
    model = StableRankTransformer().fit(dgms)
    assert model.bound(dgms, BottleneckBall()).constant == pytest.approx(1.0)
    with pytest.raises(NoStabilityTheorem):
        model.bound(dgms, Displacement())
    with pytest.raises(NoStabilityTheorem):
        fitted.bound(clouds(), FeatureBall())
    table = StableRankTransformer(CubicalPersistence()).fit(np.eye(5))
    assert table.bound(np.eye(5), PixelSup()).constant == pytest.approx(1.0)


# --- life of an estimator -------------------------------------------------------------


def test_clones_and_pickles_compute_the_same(fitted):
    features = fitted.transform(clouds())
    assert np.array_equal(
        pickle.loads(pickle.dumps(fitted)).transform(clouds()), features
    )
    again = clone(fitted).fit(clouds())
    assert np.array_equal(again.transform(clouds()), features)


def test_it_feeds_any_model_downstream():
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, (40, 60))
    circles = np.stack([np.cos(angles), np.sin(angles)], axis=2)
    radii = np.where(np.arange(40) % 2, 1.0, np.sqrt(rng.uniform(0, 1, (60, 40)))).T
    shapes = circles * radii[..., None]  # every second one is a full disc
    model = make_pipeline(
        StableRankTransformer(), RandomForestClassifier(20, random_state=0)
    )
    assert cross_val_score(model, shapes, np.arange(40) % 2, cv=3).mean() > 0.9


def test_a_failed_fit_leaves_the_fitted_model_in_place(fitted):
    model = clone(fitted).fit(clouds())
    features = model.transform(clouds())
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full((3, 5, 2), np.nan))
    assert np.array_equal(model.transform(clouds()), features)


def test_wrong_use_is_named(fitted):
    with pytest.raises(NotFittedError):
        StableRankTransformer().transform(clouds())
    with pytest.raises(NotFittedError):
        StableRankTransformer().get_feature_names_out()
    with pytest.raises(ValueError, match="'size' parameter"):
        StableRankTransformer(size="huge").fit(clouds())
    with pytest.raises(ValueError, match="'extractor' parameter"):
        StableRankTransformer(extractor="alpha").fit(clouds())
    with pytest.raises(InvalidInputError, match="needs Diagrams"):
        StableRankTransformer("precomputed").fit(clouds())
    other = Diagrams.from_list([[[(0.0, 1.0)], [(0.0, 1.0)]]], convention="value")
    with pytest.raises(IncompatibleDiagramsError, match="fitted to radius"):
        fitted.transform(other)
    with pytest.raises(ValueError, match="input_features"):
        fitted.get_feature_names_out(["a", "b", "c"])
