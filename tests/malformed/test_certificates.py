"""What cannot be certified, or asked of a certificate: refused in words, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

import stablerank as sr
from stablerank.bounds import Bound
from stablerank.certify import certify, certify_values
from stablerank.exceptions import (
    EmptyInputError,
    IncompatibleDiagramsError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
)
from stablerank.frozen import (
    Affine,
    BarFunctions,
    BarInput,
    Program,
    SortTop,
    VectorInput,
)
from stablerank.metrics import Bottleneck, VectorNorm
from tests.estimators.problems import SMALL, rings_and_blobs, table

BALL = sr.FeatureBall(math.inf)
BOX = VectorInput(2, math.inf, 8.0)
HEAD = Affine((0,), np.eye(2), np.zeros(2))
VECTORS = Program((BOX,), (HEAD,))
ROWS = np.array([[1.0, 0.0], [0.0, 1.0]])
HALF = np.array([[[-0.5, 0.5, 0.0]]])
BARS = Program(
    (BarInput("H1", 1, "value", None, 0.0, 8.0, 4, 0.0),),
    (
        BarFunctions((0,), HALF),
        SortTop((1,), np.arange(2)),
        Affine((2,), np.eye(2), np.zeros(2)),
    ),
)
DIAGRAMS = sr.Diagrams.from_list([{"H1": [(0.0, 4.0)]}, {"H1": [(0.0, 2.0)]}])
THREAT = sr.BottleneckBall()


def bounds(constant: Any = 1.0, channel: str = "H1") -> dict[str, list[Bound]]:
    return {channel: [Bound(THREAT, Bottleneck(), constant, "C1")]}


class Case(NamedTuple):
    ask: Callable[[], Any]
    error: type[Exception]
    words: str


CASES = {
    "rows with NaN": Case(
        lambda: certify(VECTORS, [[math.nan, 0.0]], BALL), NonFiniteError, "NaN"
    ),
    "rows with infinity": Case(
        lambda: certify(VECTORS, [[math.inf, 0.0]], BALL), NonFiniteError, "infinity"
    ),
    "one row": Case(lambda: certify(VECTORS, [1.0, 0.0], BALL), ShapeError, r"\(2,\)"),
    "another width": Case(
        lambda: certify(VECTORS, np.ones((2, 3)), BALL), ShapeError, r"\(n, 2\)"
    ),
    "text": Case(lambda: certify(VECTORS, [["a", "b"]], BALL), ValueError, "a"),
    "a tensor with NaN": Case(
        lambda: certify(VECTORS, torch.full((1, 2), math.nan), BALL),
        NonFiniteError,
        "NaN",
    ),
    "diagrams for a model of vectors": Case(
        lambda: certify(VECTORS, DIAGRAMS, THREAT, bounds()),
        InvalidInputError,
        "vectors",
    ),
    "vectors for a model of diagrams": Case(
        lambda: certify(BARS, ROWS, THREAT, bounds()), InvalidInputError, "diagrams"
    ),
    "no bounds": Case(
        lambda: certify(BARS, DIAGRAMS, THREAT), InvalidInputError, "bounds="
    ),
    "bounds of a vector for a model of diagrams": Case(
        lambda: certify(BARS, DIAGRAMS, BALL, Bound(BALL, VectorNorm(), 1.0, "C1")),
        InvalidInputError,
        "by channel",
    ),
    "a bound of a vector in another norm": Case(
        lambda: certify(VECTORS, ROWS, BALL, Bound(BALL, VectorNorm(3), 1.0, "C1")),
        InvalidInputError,
        "l_3",
    ),
    "bounds of another channel": Case(
        lambda: certify(BARS, DIAGRAMS, THREAT, bounds(channel="H0")),
        sr.NoStabilityTheorem,
        "H1",
    ),
    "bounds of other samples": Case(
        lambda: certify(BARS, DIAGRAMS, THREAT, bounds(np.array([1.0, 2.0, 3.0]))),
        ShapeError,
        "of these samples",
    ),
    "a threat to points": Case(
        lambda: certify(VECTORS, ROWS, sr.Displacement()),
        sr.NoStabilityTheorem,
        "FeatureBall",
    ),
    "a name for a threat": Case(
        lambda: certify(VECTORS, ROWS, "displacement"), InvalidInputError, "threat"
    ),
    "a class for a threat": Case(
        lambda: certify_values(VECTORS, ROWS, sr.FeatureBall),
        InvalidInputError,
        "threat",
    ),
    "too few classes": Case(
        lambda: certify(VECTORS, ROWS, BALL, classes=["one"]), ShapeError, "2 outputs"
    ),
    "diagrams without the channel": Case(
        lambda: certify(
            BARS, sr.Diagrams.from_list([{"H0": [(0.0, 1.0)]}]), THREAT, bounds()
        ),
        IncompatibleDiagramsError,
        "no channel 'H1'",
    ),
    "more bars than the model allows": Case(
        lambda: certify(
            BARS, sr.Diagrams.from_list([{"H1": [(0.0, 1.0)] * 5}]), THREAT, bounds()
        ),
        IncompatibleDiagramsError,
        "5 above the model's limit 4",
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_what_cannot_be_certified_is_refused(name: str) -> None:
    case = CASES[name]
    with pytest.raises(case.error, match=case.words):
        case.ask()


def test_the_same_programs_certify_what_they_are_made_for() -> None:
    assert (certify(VECTORS, ROWS, BALL).radius > 0).all()
    assert (certify(VECTORS, torch.tensor(ROWS), BALL).radius > 0).all()
    assert (certify(BARS, DIAGRAMS, THREAT, bounds()).radius > 0).all()
    by_sample = certify(BARS, DIAGRAMS, THREAT, bounds(np.array([1.0, 2.0])))
    assert by_sample.radius[1] == pytest.approx(by_sample.radius[0] / 4, rel=1e-9)


def test_no_sample_gives_no_certificate() -> None:
    cert = certify(VECTORS, np.empty((0, 2)), BALL)
    assert len(cert) == 0
    assert len(certify_values(VECTORS, np.empty((0, 2)), BALL)) == 0
    assert len(certify(BARS, DIAGRAMS[:0], THREAT, bounds())) == 0
    with pytest.raises(InvalidInputError, match="0 samples"):
        cert.accuracy([])


@cache
def on_clouds() -> sr.SRNClassifier:
    return sr.SRNClassifier(**SMALL).fit(*rings_and_blobs())


@cache
def on_rows() -> sr.LipschitzClassifier:
    return sr.LipschitzClassifier(**SMALL).fit(*table())


ESTIMATORS = {
    "not fitted": Case(
        lambda: sr.SRNClassifier().certify(rings_and_blobs()[0]),
        NotFittedError,
        "not fitted",
    ),
    "a table, not fitted": Case(
        lambda: sr.LipschitzClassifier().certify(table()[0]),
        NotFittedError,
        "not fitted",
    ),
    "a cloud with NaN": Case(
        lambda: on_clouds().certify([np.full((5, 2), math.nan)]), NonFiniteError, "NaN"
    ),
    "an empty cloud": Case(
        lambda: on_clouds().certify([np.empty((0, 2))]), EmptyInputError, "0"
    ),
    "no clouds": Case(lambda: on_clouds().certify([]), EmptyInputError, "0 samples"),
    "points in space for a model of the plane": Case(
        lambda: on_clouds().certify([np.ones((5, 3))]), ShapeError, "3"
    ),
    "columns that are missing": Case(
        lambda: on_rows().certify(np.ones((2, 3))), ValueError, "3 features"
    ),
    "a value that is missing": Case(
        lambda: on_rows().certify([[math.nan] * 4]), ValueError, "NaN"
    ),
}


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_an_estimator_refuses_to_certify_what_it_could_not_predict(name: str) -> None:
    case = ESTIMATORS[name]
    with pytest.raises(case.error, match=case.words):
        case.ask()


EPS = {
    "negative": -1e-300,
    "NaN": math.nan,
    "text": "small",
    "None": None,
    "complex": 1j,
    "a negative among others": [0.1, -0.1],
}


@pytest.mark.parametrize("name", list(EPS))
@pytest.mark.parametrize(
    "method", ["holds", "coverage", "abstain", "accuracy", "selective_accuracy"]
)
def test_a_size_that_is_none_is_refused_everywhere(method: str, name: str) -> None:
    cert = certify(VECTORS, ROWS, BALL)
    y = [[0, 1]] if "accuracy" in method else []
    with pytest.raises(InvalidInputError, match="eps must be"):
        getattr(cert, method)(*y, EPS[name])
    values = certify_values(VECTORS, ROWS, BALL)
    with pytest.raises(InvalidInputError, match="eps must be"):
        values.interval(EPS[name])


@pytest.mark.parametrize("eps", [[0.1] * 3, np.ones((2, 1)), np.ones((1, 2))])
def test_sizes_for_other_samples_are_refused(eps: Any) -> None:
    cert = certify(VECTORS, ROWS, BALL)
    for ask in (cert.holds, cert.abstain):
        with pytest.raises(ShapeError, match="eps has shape"):
            ask(eps)


@pytest.mark.parametrize("y", [[0], [0, 1, 0], [[0, 1]], 0, []])
def test_labels_for_other_samples_are_refused(y: Any) -> None:
    cert = certify(VECTORS, ROWS, BALL)
    for ask in (cert.accuracy, cert.selective_accuracy, cert.curve):
        with pytest.raises(ShapeError, match="true labels for 2 certificates"):
            ask(y)
    with pytest.raises(ShapeError):
        cert.top(1, y)
