"""The contract of every extractor, on a tiny one."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from stablerank.diagrams import Diagrams
from stablerank.exceptions import (
    IncompatibleDiagramsError,
    InvalidInputError,
    NoStabilityTheorem,
    ShapeError,
)
from stablerank.extract.specs import jsonable
from stablerank.metrics import (
    Bottleneck,
    BottleneckBall,
    Displacement,
    FeatureBall,
    PixelBudget,
    PixelSup,
    Strain,
    Wasserstein,
    WassersteinBall,
)
from tests.extract.tiny import RangePersistence, SilentPersistence

SIGNALS = [np.array(s, float) for s in ([0, 3, 1], [2, 2, 2, 2], [5, -1], [1, 4, 0])]


# --- scikit-learn -------------------------------------------------------------------


def test_diagrams_hold_what_the_engine_returned_and_say_where_they_come_from() -> None:
    extractor = RangePersistence(critical=True)
    batch = extractor.fit_transform(SIGNALS)
    assert isinstance(batch, Diagrams)
    assert batch.channels == ("H0", "H1")
    assert (batch.convention, batch.unit) == ("value", "volt")
    np.testing.assert_array_equal(batch[0][0], [[0, 3], [0, np.inf]])
    np.testing.assert_array_equal(batch[0][1], [[-2, 3]])
    np.testing.assert_array_equal(batch[1][0], [[2, np.inf]])  # no bar of length 0
    assert (batch.error == 2.0**-50).all()
    np.testing.assert_array_equal(batch.source.geometry["n_values"], [3, 4, 2, 3])
    assert batch.source.spec == extractor.spec()
    assert batch.critical.shape == (len(batch.bars), 2, 1)
    assert extractor.fit(SIGNALS).transform(SIGNALS[2:]).identical(batch[2:])
    assert RangePersistence().fit_transform(SIGNALS).critical is None


def test_extractors_are_cloned_configured_and_pickled_as_estimators_are() -> None:
    extractor = RangePersistence((1,), scale=3.0).fit(SIGNALS)
    assert not hasattr(clone(extractor), "n_features_in_")
    assert clone(extractor).get_params() == extractor.get_params()
    assert clone(extractor).set_params(scale=1.0).scale == 1
    twin = pickle.loads(pickle.dumps(extractor))
    assert twin.transform(SIGNALS).identical(extractor.transform(SIGNALS))
    assert make_pipeline(RangePersistence()).fit_transform(SIGNALS).shape == (4,)
    assert extractor.set_output(transform="pandas") is extractor
    assert isinstance(extractor.transform(SIGNALS), Diagrams)
    assert "RangePersistence(homology_dimensions=(1,)" in repr(extractor)


def test_nothing_is_asked_before_fit() -> None:
    for ask in ("transform", "get_feature_names_out"):
        with pytest.raises(NotFittedError):
            getattr(RangePersistence(), ask)(SIGNALS)


def test_names_of_features_are_channels_in_and_columns_out() -> None:
    extractor = RangePersistence((1, 0)).fit(SIGNALS)
    assert extractor.get_feature_names_out().tolist() == ["H1", "H0"]
    table = pd.DataFrame(np.eye(3), columns=["a", "b", "c"])
    assert extractor.fit(table).feature_names_in_.tolist() == ["a", "b", "c"]
    assert not hasattr(extractor.fit(SIGNALS), "feature_names_in_")
    with pytest.raises(ShapeError, match=r"2 features.*expecting 1 .*sample 0"):
        extractor.transform([np.eye(2)])


@pytest.mark.parametrize(
    "params",
    [
        {"homology_dimensions": ()},
        {"homology_dimensions": (0, 0)},
        {"homology_dimensions": (-1,)},
        {"homology_dimensions": (0.5,)},
        {"homology_dimensions": (True,)},
        {"homology_dimensions": "01"},
        {"homology_dimensions": 1},
        {"n_jobs": 1.5},
        {"progress": "yes"},
        {"memory": 3},
        {"max_memory": 0},
        {"critical": None},
        {"scale": "1"},
    ],
    ids=str,
)
def test_wrong_parameters_are_refused_at_fit_and_change_nothing(
    params: dict[str, Any],
) -> None:
    extractor = RangePersistence().fit(SIGNALS)
    before = extractor.spec()["fitted"]
    extractor.set_params(**params)
    with pytest.raises(ValueError, match="must be"):
        extractor.fit(SIGNALS[:1])
    assert extractor.spec()["fitted"] == before


def test_bad_input_leaves_the_fitted_extractor_as_it_was() -> None:
    extractor = RangePersistence().fit(SIGNALS)
    before, expected = extractor.spec(), extractor.transform(SIGNALS)
    for bad in ([], [np.array([1.0, math.nan])], np.zeros(3)):
        for method in (extractor.fit, extractor.transform):
            with pytest.raises(InvalidInputError):
                method(bad)
    assert extractor.spec() == before
    assert extractor.transform(SIGNALS).identical(expected)


# --- spec ---------------------------------------------------------------------------


def test_the_spec_is_json_and_tells_apart_what_decides_the_output() -> None:
    one = RangePersistence(n_jobs=2, memory="x", max_memory=1e9).fit(SIGNALS)
    assert json.loads(json.dumps(one.spec())) == one.spec()
    assert one.spec() == RangePersistence().fit(SIGNALS).spec()
    assert one.spec() == RangePersistence([0, 1]).fit(SIGNALS).spec()
    assert one.spec() != RangePersistence(scale=2.0).fit(SIGNALS).spec()
    assert one.spec() != RangePersistence().fit(SIGNALS[:2]).spec()  # largest_ differs
    assert one.spec() != SilentPersistence().fit(SIGNALS).spec()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([[0.1, math.inf]]), [[0.1, {"float": "inf"}]]),
        (np.float64(0.1), 0.1),
        (np.int64(3), 3),
        (np.True_, True),
        (-math.inf, {"float": "-inf"}),
        ((1, [2.5, None]), [1, [2.5, None]]),
        (range(2), [0, 1]),
        ({"a": np.int64(1), 2: (3,)}, {"a": 1, "2": [3]}),
        (np.linalg.norm, {"callable": "numpy.linalg.norm"}),
        (RangePersistence((0,)), RangePersistence((0,)).spec()),
        ("text", "text"),
        (True, True),
    ],
    ids=str,
)
def test_parameters_become_json_values(value: Any, expected: Any) -> None:
    assert jsonable(value) == expected
    json.dumps(jsonable(value), allow_nan=False)


# --- theorems -----------------------------------------------------------------------


def test_the_global_bound_holds_for_every_channel() -> None:
    """The larger constant of one channel and the offset of the other."""
    both = RangePersistence().bound(PixelSup())
    assert (both.constant, both.offset) == (2.0, 0.5)
    assert (both.source, both.target) == (PixelSup(), Bottleneck())
    assert both.ledger == "X10"
    first, second = (RangePersistence((k,)).bound(PixelSup()) for k in (0, 1))
    assert (first.constant, first.offset) == (1.0, 0.5)
    assert (second.constant, second.offset) == (2.0, 0.0)


def test_the_global_bound_of_diagrams_that_move_themselves() -> None:
    assert RangePersistence().bound(BottleneckBall()).constant == 1
    through = RangePersistence().bound(WassersteinBall(1, math.inf))
    assert (through.constant, through.target) == (1, Bottleneck())
    assert through.source == WassersteinBall(1, math.inf)


def test_bounds_are_listed_by_channel_and_depend_on_the_samples() -> None:
    extractor = RangePersistence()
    batch = extractor.fit_transform(SIGNALS)
    listed = extractor.bounds(PixelSup(), batch)
    assert list(listed) == ["H0", "H1"]
    assert [b.ledger for b in listed["H0"]] == ["H1", "X10", "X10"]
    strained = extractor.bounds(Strain(), batch[1:3])["H1"][0]
    np.testing.assert_array_equal(strained.constant, [4, 2])
    with pytest.raises(NoStabilityTheorem, match="depends on the sample"):
        extractor.bound(Strain())


def test_threats_on_diagrams_need_no_origin() -> None:
    extractor = RangePersistence()
    foreign = Diagrams.from_list([[[(0.0, 1.0)], []]])
    for threat, target in (
        (BottleneckBall(), Bottleneck()),
        (WassersteinBall(2), Wasserstein(2, 2)),
    ):
        for bounds in extractor.bounds(threat, foreign).values():
            assert [(b.constant, b.target) for b in bounds] == [(1, target)]
    with pytest.raises(NoStabilityTheorem, match="where they come from"):
        extractor.bounds(PixelSup(), foreign)


def test_diagrams_of_another_extractor_are_refused() -> None:
    batch = RangePersistence().fit_transform(SIGNALS)
    unfitted_twin = RangePersistence([0, 1], n_jobs=2)
    assert unfitted_twin.bounds(PixelSup(), batch)
    assert RangePersistence().fit(SIGNALS).bounds(PixelSup(), batch)
    for other in (
        RangePersistence(scale=2.0),
        RangePersistence((0,)),
        SilentPersistence(),
        RangePersistence().fit(SIGNALS[:2]),  # a fitted choice differs
    ):
        with pytest.raises(IncompatibleDiagramsError, match="RangePersistence"):
            other.bounds(PixelSup(), batch)


def test_what_has_no_theorem_is_refused_with_an_alternative() -> None:
    extractor = RangePersistence()
    with pytest.raises(NoStabilityTheorem, match=r"l_2 norm.*instead.*PixelSup\(\)"):
        extractor.bound(PixelBudget())
    with pytest.raises(NoStabilityTheorem, match="feature ball is around vectors"):
        extractor.bound(FeatureBall())
    for nonsense in ("displacement", None, Bottleneck(), Displacement):
        with pytest.raises(InvalidInputError, match="threat must be a threat"):
            extractor.bound(nonsense)  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="threat must be a threat"):
            extractor.bounds(nonsense, extractor.fit_transform(SIGNALS))


def test_clouds_are_displaced_unless_a_class_says_otherwise() -> None:
    assert RangePersistence().default_threat == Displacement()


# --- gradients ----------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [(0, 1), (1, 0), (0,)])
def test_gradients_flow_back_to_the_values_that_set_the_bars(
    dimensions: tuple[int, ...],
) -> None:
    extractor = RangePersistence(dimensions[:1], scale=2.0, critical=True)
    batch = extractor.fit_transform(SIGNALS)
    rng = np.random.default_rng(0)
    for part in (slice(None), [3, 0], slice(2, 3)):
        chosen = batch[part]
        signals = [SIGNALS[i] for i in np.arange(4)[part]]
        grad = rng.normal(size=chosen.compact().bars.shape)
        pulled = extractor.pullback(signals, chosen, grad)
        assert [g.shape for g in pulled] == [s.shape for s in signals]
        assert sum(g.sum() for g in pulled) == pytest.approx(2 * grad.sum())


def test_gradients_that_do_not_fit_are_refused() -> None:
    extractor = RangePersistence(critical=True)
    batch = extractor.fit_transform(SIGNALS)
    good = np.zeros_like(batch.bars)
    with pytest.raises(ShapeError, match="grad_bars has shape"):
        extractor.pullback(SIGNALS, batch, good[1:])
    with pytest.raises(ShapeError, match="2 samples, 4 diagrams"):
        extractor.pullback(SIGNALS[:2], batch, good)
    plain = RangePersistence().fit_transform(SIGNALS)
    with pytest.raises(InvalidInputError, match="critical=True"):
        extractor.pullback(SIGNALS, plain, good)
    silent = SilentPersistence(critical=True)
    with pytest.raises(NoStabilityTheorem, match="which vertices"):
        silent.pullback(SIGNALS, silent.fit_transform(SIGNALS), good)
