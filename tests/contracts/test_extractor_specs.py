"""What every extractor says about itself, and what can be rebuilt from it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stablerank import (
    CubicalPersistence,
    Diagrams,
    DTMPersistence,
    GraphPersistence,
    PersistenceUnion,
    RipsPersistence,
)
from stablerank.exceptions import FileFormatError, InvalidInputError
from stablerank.extract import AlphaPersistence, Extractor
from stablerank.extract.restore import restore_extractor
from tests.contracts.extractors import CASES, WEIGHTED, Case, weighted

each = pytest.mark.parametrize("case", CASES, ids=str)
#: No file can say which function a caller has passed.
restorable = pytest.mark.parametrize(
    "case", [c for c in CASES if c.name != "graph-callable"], ids=str
)


def specs() -> dict[str, Any]:
    """Specs of all rows, fitted."""
    return {case.name: case.fitted().spec() for case in CASES}


# --- specs ----------------------------------------------------------------------------


@each
def test_a_spec_is_json_and_keeps_every_number_to_the_bit(case: Case) -> None:
    spec = case.fitted().spec()
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert spec["class"] == type(case.make()).__name__
    runtime = {"n_jobs", "progress", "memory", "max_memory"}
    assert spec["params"].keys() == case.make().get_params(deep=False).keys() - runtime
    assert "n_features_in_" in spec["fitted"]


@each
def test_the_diagrams_carry_the_spec_of_their_extractor(case: Case) -> None:
    source = case.diagrams.source
    assert source is not None
    assert source.spec == case.fitted().spec()


def test_specs_are_the_same_in_every_process() -> None:
    code = (
        "import json, tests.contracts.test_extractor_specs as t;"
        "print(json.dumps(t.specs(), sort_keys=True))"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"PYTHONHASHSEED": "321", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == json.dumps(specs(), sort_keys=True)


class Scaled:
    """A function with data of its own."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, graph: Any) -> Any:
        return self.scale * np.asarray(graph[1])

    def method(self, graph: Any) -> Any:
        return self(graph)


def plain(graph: Any, scale: float = 1.0) -> Any:
    return scale * np.asarray(graph[1])


def function_spec(function: Any) -> Any:
    return GraphPersistence(vertex_function=function).spec()["params"][
        "vertex_function"
    ]


def test_a_function_is_known_by_its_name_and_by_the_data_it_carries() -> None:
    here = __name__
    assert function_spec(plain) == {"callable": f"{here}.plain"}
    one, same, other = (Scaled(s) for s in (1.0, 1.0, 2.0))
    for make in (
        lambda scaled: scaled,
        lambda scaled: scaled.method,
        lambda scaled: functools.partial(plain, scale=scaled.scale),
        lambda scaled: functools.partial(scaled, scaled.scale),
    ):
        assert function_spec(make(one)) == function_spec(make(same))
        assert function_spec(make(one)) != function_spec(make(other))
        assert "0x" not in json.dumps(function_spec(make(one)))
    assert function_spec(one)["callable"] == f"{here}.Scaled"


def test_infinities_in_a_spec_are_told_from_words() -> None:
    word = GraphPersistence(vertex_function="inf")
    assert restore_extractor(word.spec()).vertex_function == "inf"
    number = AlphaPersistence().set_params(relative_precision=float("inf"))
    assert number.spec()["params"]["relative_precision"] == {"float": "inf"}


# --- rebuilding -----------------------------------------------------------------------


def through_a_file(extractor: Extractor) -> Extractor:
    return restore_extractor(json.loads(json.dumps(extractor.spec())))


@restorable
def test_an_extractor_is_rebuilt_from_its_spec(case: Case) -> None:
    fitted = case.fitted()
    again = through_a_file(fitted)
    assert type(again) is type(fitted)
    assert again.spec() == fitted.spec()
    assert again.transform(list(case.X)).identical(case.diagrams)
    assert list(again.get_feature_names_out()) == list(case.diagrams.channels)
    if case.certifies:
        threat = again.default_threat
        assert again.bounds(threat, case.diagrams).keys() == set(case.diagrams.channels)


@restorable
def test_an_extractor_that_was_not_fitted_is_rebuilt_as_such(case: Case) -> None:
    again = through_a_file(case.make())
    assert again.spec() == case.make().spec()
    assert again.fit_transform(list(case.X)).identical(case.diagrams)


def test_a_rebuilt_extractor_refuses_what_the_first_one_refused() -> None:
    signals = np.eye(4)
    same_shape = through_a_file(CubicalPersistence().fit(signals))
    with pytest.raises(ValueError, match="all training samples had"):
        same_shape.transform(signals[:, :3])
    ragged = through_a_file(CubicalPersistence().fit([signals[0], signals[0, :3]]))
    assert len(ragged.transform([signals[0, :2]])) == 1
    far = [np.full((5, 2), 9.0) + np.eye(5, 2)]
    dtm = DTMPersistence(n_neighbors=2, grid=4).fit([np.eye(5, 2)])
    assert through_a_file(dtm).transform(far).identical(dtm.transform(far))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"class": "Extractor", "params": {}}, "not one of this library"),
        ({"class": "os.system", "params": {}}, "not one of this library"),
        ({"params": {}}, "not one of this library"),
        ({"class": "AlphaPersistence", "params": {"deg": 1}}, "no such parameters"),
        (
            {"class": "AlphaPersistence", "params": {}, "fitted": {"transform": 1}},
            "not fitted by setting 'transform'",
        ),
        (
            {"class": "AlphaPersistence", "params": {}, "fitted": {"__class__": 1}},
            "not fitted by setting",
        ),
        (GraphPersistence(vertex_function=plain).spec(), "hand it to load"),
        (GraphPersistence(vertex_function=Scaled(1.0)).spec(), "hand it to load"),
        (
            PersistenceUnion([GraphPersistence(vertex_function=plain)]).spec(),
            "hand it to load",
        ),
    ],
)
def test_specs_of_something_else_are_refused(spec: Any, words: str) -> None:
    with pytest.raises(FileFormatError, match=words):
        restore_extractor(spec)


def test_parameters_of_a_rebuilt_extractor_are_checked() -> None:
    spec = RipsPersistence().spec()
    spec["params"]["homology_dimensions"] = [-1]
    with pytest.raises(InvalidInputError, match="homology_dimensions"):
        restore_extractor(spec)


# --- diagrams in files ----------------------------------------------------------------


@each
def test_saved_diagrams_certify_like_the_ones_in_memory(
    case: Case, tmp_path: Path
) -> None:
    dgms = weighted(WEIGHTED, case.diagrams, case.X) if case.kind == "cloud" else None
    dgms = case.diagrams if dgms is None else dgms
    dgms.save(tmp_path / "diagrams.npz")
    loaded = Diagrams.load(tmp_path / "diagrams.npz")
    assert loaded.identical(dgms)
    extractor = case.fitted()
    for threat in case.proved:
        expected = extractor.bounds(threat, dgms)
        found = extractor.bounds(threat, loaded)
        assert found.keys() == expected.keys()
        for channel, bounds in expected.items():
            for one, other in zip(bounds, found[channel], strict=True):
                assert (one.source, one.target, one.ledger) == (
                    other.source,
                    other.target,
                    other.ledger,
                )
                np.testing.assert_array_equal(one.constant, other.constant)
                np.testing.assert_array_equal(one.offset, other.offset)
    joined = Diagrams.concat([loaded[:1], dgms[1:]])
    assert joined.identical(dgms)
