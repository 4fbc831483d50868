"""What every extractor promises as a scikit-learn transformer, and about its input.

Rows come from `tests/contracts/extractors.py`.  What happens while it runs is in
`test_extractor_runs.py`, theorems in `test_extractor_theorems.py`, specs and files in
`test_extractor_specs.py`.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from stablerank import Diagrams, extract
from stablerank.extract import Extractor
from tests.contracts.extractors import CASES, Case, recast

each = pytest.mark.parametrize("case", CASES, ids=str)
keeping_vertices = pytest.mark.parametrize(
    "case", [c for c in CASES if c.name != "rips-sparse"], ids=str
)


def state(extractor: Extractor) -> str:
    """Content of all attributes, parameters and fitted choices alike."""
    return str(joblib.hash(vars(extractor)))


def test_every_extractor_has_a_row() -> None:
    rows = {type(case.make()).__name__ for case in CASES}
    assert rows == set(extract.__all__) - {"Extractor"}
    assert len({case.name for case in CASES}) == len(CASES)


@each
def test_the_samples_of_a_row_have_bars(case: Case) -> None:
    # Without bars most of what follows would show nothing.
    assert case.diagrams.counts.sum() + len(case.diagrams.essential) >= len(case.X)


# --- scikit-learn ---------------------------------------------------------------------


@each
def test_a_clone_has_equal_parameters_and_is_not_fitted(case: Case) -> None:
    fitted = case.fitted()
    copied = clone(fitted)
    assert copied.spec()["params"] == fitted.spec()["params"]
    assert copied.spec()["fitted"] == {}
    with pytest.raises(NotFittedError):
        copied.transform(list(case.X))
    assert copied.fit_transform(list(case.X)).identical(case.diagrams)


@each
def test_parameters_that_are_read_can_be_set(case: Case) -> None:
    one, other = case.make(), case.make()
    params = one.get_params(deep=False)
    assert other.set_params(**params) is other
    for name, value in other.get_params(deep=False).items():
        assert value is params[name]
    with pytest.raises(ValueError, match="Invalid parameter"):
        one.set_params(no_such_parameter=1)


@each
def test_fitting_leaves_the_parameters_as_they_were_given(case: Case) -> None:
    extractor = case.make()
    before = extractor.get_params(deep=False)
    described = extractor.spec()["params"]
    assert extractor.fit(list(case.X)) is extractor
    after = extractor.get_params(deep=False)
    assert all(after[name] is value for name, value in before.items())
    assert extractor.spec()["params"] == described


@each
def test_transforming_changes_no_attribute(case: Case) -> None:
    extractor = case.fitted()
    before = state(extractor)
    extractor.transform(list(case.X))
    assert state(extractor) == before


@each
def test_copies_of_all_kinds_give_the_same_bits(case: Case, tmp_path: Path) -> None:
    extractor = case.fitted()
    joblib.dump(extractor, tmp_path / "extractor.joblib")
    for copied in (
        pickle.loads(pickle.dumps(extractor)),
        copy.deepcopy(extractor),
        joblib.load(tmp_path / "extractor.joblib"),
    ):
        assert copied.transform(list(case.X)).identical(case.diagrams)


@each
def test_nothing_is_transformed_before_fit(case: Case) -> None:
    extractor = case.make()
    for ask in (
        lambda: extractor.transform(list(case.X)),
        extractor.get_feature_names_out,
        lambda: extractor.pullback(list(case.X), case.diagrams, case.diagrams.bars),
    ):
        with pytest.raises(NotFittedError, match="not fitted"):
            ask()


@each
def test_features_are_called_like_the_channels(case: Case) -> None:
    names = case.fitted().get_feature_names_out()
    assert names.dtype == object
    assert tuple(names) == case.diagrams.channels


@each
def test_set_output_changes_nothing(case: Case) -> None:
    for container in ("pandas", "default", None):
        extractor = case.make().set_output(transform=container)
        dgms = extractor.fit_transform(list(case.X))
        assert isinstance(dgms, Diagrams)
        assert dgms.identical(case.diagrams)
    piped = make_pipeline(case.make()).set_output(transform="pandas")
    assert piped.fit_transform(list(case.X)).identical(case.diagrams)


# --- input ----------------------------------------------------------------------------


def read_only(array: Any) -> Any:
    copied = array.copy()
    copied.flags.writeable = False
    return copied


def strided(array: Any) -> Any:
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    every_second = tuple(slice(None, None, 2) for _ in array.shape)
    wide[every_second] = array
    return wide[every_second]


def backwards(array: Any) -> Any:
    turned = tuple(slice(None, None, -1) for _ in array.shape)
    return array[turned].copy()[turned]


def tensor(array: Any) -> torch.Tensor:
    return torch.tensor(array)


def with_grad(array: Any) -> torch.Tensor:
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


LAYOUTS = (read_only, strided, backwards, np.asfortranarray, tensor, with_grad)


@each
def test_the_layout_of_the_input_does_not_matter(case: Case) -> None:
    for layout in LAYOUTS:
        dgms = case.make().fit_transform(recast(case.X, layout))
        assert dgms.identical(case.diagrams), layout.__name__


@each
def test_memory_maps_are_read(case: Case, tmp_path: Path) -> None:
    numbers = iter(range(100))

    def mapped(array: Any) -> Any:
        path = tmp_path / f"{next(numbers)}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    X = recast(case.X, mapped)
    assert case.make().fit_transform(X).identical(case.diagrams)


@each
def test_single_precision_is_read_exactly(case: Case) -> None:
    def single(array: Any) -> Any:  # ends of edges stay whole numbers
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def double(array: Any) -> Any:
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    rounded = recast(case.X, single)
    expected = case.make().fit_transform(recast(rounded, double))
    for X in (rounded, recast(rounded, torch.tensor)):
        assert case.make().fit_transform(X).identical(expected)


@each
def test_the_input_is_not_changed(case: Case) -> None:
    X = copy.deepcopy(list(case.X))
    before = joblib.hash(X)
    case.make().fit(X).transform(X)
    assert joblib.hash(X) == before


# --- samples stand alone --------------------------------------------------------------


@each
def test_neither_neighbours_nor_order_of_samples_matter(case: Case) -> None:
    extractor, X = case.fitted(), list(case.X)
    for start, stop in ((0, 1), (1, 3), (2, 3)):
        part = extractor.transform(X[start:stop])
        assert part.identical(case.diagrams[start:stop])
    assert extractor.transform(X[::-1]).identical(case.diagrams[::-1])


@each
def test_fitting_again_gives_the_same_bits(case: Case) -> None:
    extractor = case.fitted().fit(list(case.X[:1])).fit(list(case.X))
    assert extractor.transform(list(case.X)).identical(case.diagrams)


# --- critical vertices ----------------------------------------------------------------


@keeping_vertices
def test_gradients_have_the_shapes_of_the_samples(case: Case) -> None:
    extractor, X = case.fitted(**case.options), list(case.X)
    dgms = extractor.transform(X)
    assert dgms.critical is not None
    assert dgms.critical.shape[:2] == dgms.bars.shape
    found = extractor.pullback(X, dgms, np.ones(dgms.bars.shape))
    for gradient, shape in zip(found, case.shapes, strict=True):
        assert gradient.shape == shape
        assert np.isfinite(gradient).all()
    part = extractor.pullback(X[1:], dgms[1:], np.ones(dgms[1:].compact().bars.shape))
    for one, other in zip(part, found[1:], strict=True):
        np.testing.assert_array_equal(one, other)


@keeping_vertices
def test_keeping_vertices_moves_no_bar_beyond_the_charged_error(case: Case) -> None:
    dgms = case.fitted(**case.options).transform(list(case.X))
    np.testing.assert_array_equal(dgms.counts, case.diagrams.counts)
    charged = np.max(dgms.error + case.diagrams.error)
    if np.isfinite(charged):
        gaps = np.abs(np.sort(dgms.bars, axis=0) - np.sort(case.diagrams.bars, axis=0))
        assert gaps.max(initial=0.0) <= charged


@each
def test_gradients_need_critical_vertices_and_one_row_a_bar(case: Case) -> None:
    extractor = case.fitted()
    with pytest.raises(ValueError, match="critical=True"):
        extractor.pullback(list(case.X), case.diagrams, case.diagrams.bars)
