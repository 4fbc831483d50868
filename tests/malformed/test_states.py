"""Estimators in a bad state, and diagrams that are not those of the fit."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from stablerank import (
    AlphaPersistence,
    BottleneckBall,
    Diagrams,
    SRNClassifier,
    SRNRegressor,
    StableRankTransformer,
    training,
)
from stablerank.estimators import learning, regression
from stablerank.exceptions import IncompatibleDiagramsError, ShapeError
from stablerank.extract import Extractor
from tests.estimators.problems import (
    SMALL,
    bits,
    estimators,
    fitted_after_an_interruption,
    rings_and_blobs,
    table,
)

NAMES = list(estimators())


def everything() -> dict[str, tuple[Any, Any, Any]]:
    clouds, y = rings_and_blobs()
    return estimators() | {
        "StableRankTransformer": (StableRankTransformer(), clouds, y)
    }


# --- nothing fitted -------------------------------------------------------------------


def questions(estimator: Any) -> list[str]:
    """Public methods that need a fitted model."""
    return [
        name
        for name, _ in inspect.getmembers(estimator, inspect.ismethod)
        if not name.startswith(("_", "set_", "fit"))
        and name not in {"get_params", "get_metadata_routing"}
    ]


ARGUMENTS = {"get_feature_names_out": "", "score": "Xy", "certified_score": "Xy"}


@pytest.mark.parametrize("name", list(everything()))
def test_every_question_to_an_unfitted_estimator_is_refused(name: str) -> None:
    estimator, X, y = everything()[name]
    asked = questions(estimator)
    assert {"certify", "predict"} <= {*asked} or "transform" in asked
    for method in asked:
        values: list[Any] = [{"X": X, "y": y}[c] for c in ARGUMENTS.get(method, "X")]
        if method == "certify_many":
            values.append([BottleneckBall()])
        with pytest.raises(NotFittedError, match="not fitted"):
            getattr(estimator, method)(*values)


# --- other diagrams than at fit -------------------------------------------------------

ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "a channel less": ({"channels": ["H0"]}, "no channel 'H1'"),
    "a channel more": ({"channels": ["H0", "H1", "H2"]}, "fitted to H0, H1"),
    "other names": ({"channels": ["H0", "Ext1"]}, "no channel 'H1'"),
    "another convention": ({"convention": "edge length"}, "fitted to radius"),
    "no convention": ({"convention": "value"}, "holds value"),
    "another unit": ({"unit": "angstrom"}, "in unit angstrom"),
}


@pytest.fixture(scope="module")
def on_diagrams() -> list[Any]:
    clouds, y = rings_and_blobs()
    dgms = AlphaPersistence().fit_transform(clouds).without_source()
    models = [
        SRNClassifier("precomputed", **SMALL),
        SRNRegressor("precomputed", **SMALL),
        StableRankTransformer("precomputed"),
    ]
    return [model.fit(dgms, y) for model in models]


@pytest.mark.parametrize("row", list(ROWS))
def test_diagrams_unlike_those_of_the_fit_are_refused(row: str, on_diagrams) -> None:
    changes, words = ROWS[row]
    properties = {"channels": ["H0", "H1"], "convention": "radius"} | changes
    bars = [[(0.0, 1.0)] for _ in properties["channels"]]
    other = Diagrams.from_list([bars], **properties)
    for model in on_diagrams:
        for method in questions(model):
            if method in {"get_feature_names_out", "score", "certified_score"}:
                continue
            more = [[BottleneckBall()]] if method == "certify_many" else []
            with pytest.raises(IncompatibleDiagramsError, match=words):
                getattr(model, method)(other, *more)


def test_more_bars_or_a_larger_error_than_a_model_allows_are_refused(
    on_diagrams,
) -> None:
    many = Diagrams.from_list([[[], [(0.0, 1.0)] * 5000]], convention="radius")
    wrong = Diagrams.from_list([[[], []]], convention="radius", error=1.0)
    for model in on_diagrams:
        ask = model.transform if hasattr(model, "transform") else model.certify
        with pytest.raises(IncompatibleDiagramsError, match="bars 5000 above"):
            ask(many)
        with pytest.raises(IncompatibleDiagramsError, match="engine error 1 above"):
            ask(wrong)


def test_bars_born_late_are_refused_where_all_were_born_at_zero() -> None:
    clouds, y = rings_and_blobs()
    model = SRNClassifier(**SMALL).fit(clouds, y)
    late = Diagrams.from_list([[[(0.5, 1.0)], []]], convention="radius")
    with pytest.raises(IncompatibleDiagramsError, match="born after 0"):
        model.predict(late)


def test_another_number_of_coordinates_or_columns_is_refused() -> None:
    clouds, y = rings_and_blobs()
    for model in (SRNClassifier(**SMALL), SRNRegressor(**SMALL)):
        model.fit(clouds, y)
        with pytest.raises(ShapeError, match="expecting 2 features"):
            model.certify([np.zeros((5, 3))])
    rows, _ = table()
    for name in ("LipschitzClassifier", "LipschitzRegressor"):
        estimator, X, y = estimators()[name]
        with pytest.raises(ValueError, match="expecting 4 features"):
            estimator.fit(X, y).certify(rows[:, :3])


# --- interrupted ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    return {name: est.fit(X, y) for name, (est, X, y) in estimators().items()}


#: Tables are not extracted.
STAGES = [
    (name, where)
    for name in NAMES
    for where in ("extraction", "training", "freezing")
    if "SRN" in name or where != "extraction"
]


@pytest.mark.parametrize(("name", "where"), STAGES)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_fit_leaves_the_old_model(
    name: str,
    where: str,
    stop: type[BaseException],
    fitted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, X, y = estimators()[name]
    model = copy.deepcopy(fitted[name])
    said, attributes = bits(model, X), set(vars(model))

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        raise stop

    if where == "extraction":
        monkeypatch.setattr(Extractor, "transform", interrupted)
    elif where == "training":
        monkeypatch.setattr(training._Run, "one_epoch", interrupted)
    else:
        monkeypatch.setattr(learning.Learned, "operations", interrupted)
        monkeypatch.setattr(regression.LearnedRegression, "operations", interrupted)
    narrow = [x[..., :2] * 3 for x in X] if isinstance(X, list) else X[:, :3]
    with pytest.raises(stop):
        model.fit(narrow, y)
    monkeypatch.undo()
    assert set(vars(model)) == attributes
    assert bits(model, X) == said


@pytest.mark.parametrize("preset", ["balanced", "paper"])
def test_an_interrupted_fit_goes_on_from_its_checkpoint(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds, y = rings_and_blobs()
    options = SMALL | {"epochs": 12, "preset": preset}
    whole = SRNClassifier(**options).fit(clouds, y)
    model = SRNClassifier(**options, checkpoint=tmp_path / "fit.safetensors")
    fitted_after_an_interruption(model, clouds, y, monkeypatch)
    assert bits(model, clouds) == bits(whole, clouds)
