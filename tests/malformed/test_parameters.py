"""Parameters that are refused, by `fit` and by everything that would use them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from stablerank import (
    AlphaPersistence,
    CubicalPersistence,
    DTMPersistence,
    DTMRipsPersistence,
    GraphPersistence,
    PersistenceUnion,
    RipsPersistence,
)
from stablerank.exceptions import InvalidInputError, NonFiniteError, ShapeError
from stablerank.extract import Extractor
from stablerank.metrics import BottleneckBall

CLOUDS = [np.random.default_rng(0).normal(size=(7, 2))]
IMAGES = [np.arange(12.0).reshape(3, 4)]
GRAPHS = [([[0, 1], [1, 2]], [0.0, 2.0, 1.0])]
SAMPLES = {CubicalPersistence: IMAGES, GraphPersistence: GRAPHS}


class Row(NamedTuple):
    """A class, one wrong parameter, and the words that the message must hold."""

    cls: type[Extractor]
    params: dict[str, Any]
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.cls.__name__}-{self.params}"


def wrong(cls: type[Extractor], name: str, *values: Any) -> list[Row]:
    """Rows for wrong values of one parameter; the message must name it."""
    return [Row(cls, {name: value}, (name,)) for value in values]


NAN, INF = math.nan, math.inf
PLANE, UNION = {"n_neighbors": 3, "grid": 4}, [AlphaPersistence()]
ALPHA, RIPS, CUBICAL = AlphaPersistence, RipsPersistence, CubicalPersistence
DTM, DTM_RIPS, GRAPH = DTMPersistence, DTMRipsPersistence, GraphPersistence

#: Wrong whatever the data are.
ROWS = [
    row
    for cls in (ALPHA, RIPS, CUBICAL, DTM, DTM_RIPS, GRAPH)
    for row in (
        *wrong(cls, "homology_dimensions", (), 0, "01", None, (-1,), (0, 0), (True,)),
        *wrong(cls, "homology_dimensions", (0.0,), {0, 1}, {0: 1}, np.array([0.5])),
        *wrong(cls, "critical", 1, "yes", None),
    )
] + [
    row
    for cls in (ALPHA, RIPS, CUBICAL, DTM, DTM_RIPS, GRAPH, PersistenceUnion)
    for row in (
        *wrong(cls, "n_jobs", 0, 1.5, "2"),
        *wrong(cls, "progress", None, 1),
        *wrong(cls, "memory", 3, ""),
        *wrong(cls, "max_memory", 0, -1.0, NAN, "1 GB"),
    )
]
ROWS += [
    *wrong(ALPHA, "precision", "Safe", None, 53),
    *wrong(ALPHA, "relative_precision", 0, 1.0, -0.5, NAN, "1e-9"),
    *wrong(ALPHA, "field", 0, 1, 4, 13, 2.0),
    *wrong(RIPS, "metric", "manhattan", None),
    *wrong(RIPS, "engine", "giotto", None),
    *wrong(RIPS, "threshold", 0, -1.0, NAN, INF, "1"),
    *wrong(RIPS, "n_landmarks", 0, -3, 2.5, "many"),
    *wrong(RIPS, "sparse", 0, 1, -0.5, NAN),
    *wrong(RIPS, "coefficient", 0, 1, 4, 46349, 2.0),
    Row(RIPS, {"coefficient": 131, "engine": "ripser"}, ("at most 127", "131")),
    Row(RIPS, {"sparse": 0.5, "engine": "ripser"}, ('engine="gudhi"',)),
    Row(RIPS, {"sparse": 0.5, "critical": True}, ("critical=False", "n_landmarks")),
    *wrong(DTM_RIPS, "metric", "manhattan", None),
    *wrong(DTM_RIPS, "n_neighbors", 0, -1, 2.5, (1, 2), "5"),
    *wrong(DTM_RIPS, "q", 0.5, NAN, INF, "2"),
    *wrong(DTM_RIPS, "threshold", 0, -1.0, NAN, INF),
    *wrong(DTM_RIPS, "coefficient", 1, 4),
    *wrong(DTM, "n_neighbors", 0, (), (2, 2), (2, 2.5), True, (0, 1), {2, 3}, "5"),
    *wrong(DTM, "grid", 0, (), 2.5, (3, True), {3, 4}, "64"),
    *wrong(DTM, "q", 0.9, NAN, INF, "2"),
    *wrong(DTM, "margin", -0.1, NAN, INF, "wide"),
    *wrong(DTM, "box", "auto", 3),
    *wrong(CUBICAL, "construction", "vertices", None),
    *wrong(CUBICAL, "periodic", "yes", (2, 0), (None, True), ("a", "b")),
    *wrong(CUBICAL, "field", 4, 2.0),
    *wrong(GRAPH, "homology_dimensions", (2,), (0, 1, 2)),
    *wrong(GRAPH, "vertex_function", None, 3),
    *wrong(GRAPH, "extended", 1, "yes"),
    *wrong(GRAPH, "hks_time", -1, NAN, INF, "long"),
    *wrong(PersistenceUnion, "extractors", None, 3, (), {"a": AlphaPersistence()}),
    Row(PersistenceUnion, {"extractors": [AlphaPersistence]}, ("an extractor or",)),
    Row(PersistenceUnion, {"extractors": [RIPS((-1,))]}, ("homology_dimensions",)),
]


def made(row: Row, **params: Any) -> Extractor:
    """Return an extractor of the class, with the wrong parameter if it is given."""
    usual: dict[str, Any] = {}
    if row.cls is PersistenceUnion:
        usual = {"extractors": UNION}
    elif row.cls in (DTM, DTM_RIPS):
        usual = {k: v for k, v in PLANE.items() if row.cls is DTM or k != "grid"}
    elif row.cls is GRAPH:
        usual = {"vertex_function": "values"}
    return row.cls(**(usual | params))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_wrong_parameter_is_named_whoever_meets_it_first(row: Row) -> None:
    X = SAMPLES.get(row.cls, CLOUDS)
    fresh, fitted = made(row, **row.params), made(row).fit(X)
    dgms = fitted.transform(X)
    questions = [
        lambda: fresh.fit(X),
        lambda: fresh.fit_transform(X),
        lambda: fresh.estimate_cost(X),
        lambda: fresh.bound(BottleneckBall()),
        lambda: fresh.bounds(BottleneckBall(), dgms),
    ]
    if row.cls is not PersistenceUnion:  # which asks for a new fit
        fitted.set_params(**row.params)
        questions.append(lambda: fitted.transform(X))
    for ask in questions:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words say more
            ask()
        for word in row.words:
            assert word in str(caught.value)
    assert not hasattr(fresh, "n_features_in_")


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (Row(DTM, {"grid": (3,)}, ("grid has 1", "2 coordinates")), ShapeError),
        (Row(DTM, {"grid": (3, 4, 5)}, ("grid has 3",)), ShapeError),
        (Row(DTM, {"n_neighbors": 99}, ("7 points", "n_neighbors=99")), ShapeError),
        (Row(DTM, {"box": [[0, 0]]}, ("box", "shape (2, 2)")), InvalidInputError),
        (Row(DTM, {"box": [[1, 1], [0, 0]]}, ("box", "corner")), InvalidInputError),
        (Row(DTM, {"box": [[0, 0], [0, NAN]]}, ("box", "NaN")), NonFiniteError),
        (Row(DTM, {"margin": 1e308}, ("widened by margin", "inf")), NonFiniteError),
        (Row(DTM, {"margin": 1e200}, ("margin", "overflow")), InvalidInputError),
        (Row(DTM_RIPS, {"n_neighbors": 8}, ("7 points", "itself")), ShapeError),
        (Row(CUBICAL, {"periodic": (True,)}, ("1 entries", "2 axes")), ShapeError),
        (Row(CUBICAL, {"periodic": [True] * 3}, ("3 entries",)), ShapeError),
    ],
    ids=str,
)
def test_a_parameter_that_does_not_fit_the_data_is_named(
    row: Row, error: type[Exception]
) -> None:
    extractor = made(row, **row.params)
    with pytest.raises(error) as caught:
        extractor.fit(SAMPLES.get(row.cls, CLOUDS))
    for word in row.words:
        assert word in str(caught.value)
    assert not any(name.endswith("_") for name in vars(extractor))


def test_an_empty_cache_name_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="memory is empty"):
        AlphaPersistence(memory="").fit(CLOUDS)
    assert not list(tmp_path.iterdir())


def test_union_parts_that_read_different_data_are_refused_by_name() -> None:
    union = PersistenceUnion([AlphaPersistence(), GraphPersistence()])
    with pytest.raises(TypeError, match="expected a networkx graph") as caught:
        union.fit(CLOUDS)
    assert "in part 'graph' of the union" in caught.value.__notes__
