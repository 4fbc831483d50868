"""What every extractor promises about running, whatever it computes.

Rows come from `tests/contracts/extractors.py`.  Theorems are in
`test_extractor_theorems.py`, specs and files in `test_extractor_specs.py`.
"""

from __future__ import annotations

import copy
import io
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from stablerank import Diagrams, PersistenceUnion, extract
from stablerank.exceptions import CostLimitError, StableRankError
from stablerank.extract import Extractor
from tests.contracts.extractors import CASES, Case, recast

each = pytest.mark.parametrize("case", CASES, ids=str)
keeping_vertices = pytest.mark.parametrize(
    "case", [c for c in CASES if c.name != "rips-sparse"], ids=str
)


def state(extractor: Extractor) -> str:
    """Content of all attributes, parameters and fitted choices alike."""
    return str(joblib.hash(vars(extractor)))


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def leaves(extractor: Extractor) -> Iterator[Extractor]:
    """The extractors that compute, in a union or alone."""
    if isinstance(extractor, PersistenceUnion):
        for _, part in extractor.extractors_:
            yield from leaves(part)
    else:
        yield extractor


Step = Callable[[int], None]


def before_each_sample(
    monkeypatch: pytest.MonkeyPatch, extractor: Extractor, step: Step
) -> None:
    """Call `step` with a running number before every computation of a sample."""
    numbers = iter(range(10**9))
    for cls in {type(leaf) for leaf in leaves(extractor)}:
        original = cls._transform_one

        def counted(self: Any, sample: Any, original: Any = original) -> Any:
            step(next(numbers))
            return original(self, sample)

        monkeypatch.setattr(cls, "_transform_one", counted)


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


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@each
def test_the_layout_of_the_input_does_not_matter(case: Case, layout: Any) -> None:
    X = recast(case.X, layout)
    assert case.make().fit_transform(X).identical(case.diagrams)


@each
def test_memory_maps_are_read(case: Case, tmp_path: Path) -> None:
    numbers = iter(range(100))

    def mapped(array: Any) -> Any:
        path = tmp_path / f"{next(numbers)}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    X = recast(case.X, mapped)
    assert case.make().fit_transform(X).identical(case.diagrams)


@pytest.mark.parametrize("to_single", [np.float32, torch.float32], ids=str)
@each
def test_single_precision_is_read_exactly(case: Case, to_single: Any) -> None:
    def single(array: Any) -> Any:
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def same(array: Any) -> Any:
        if array.dtype.kind != "f":
            return array
        rounded = array.astype(np.float32)
        return torch.tensor(rounded) if to_single is torch.float32 else rounded

    exact = recast(recast(case.X, single), lambda a: a.astype(np.float64, copy=False))
    if case.kind == "graph":  # vertices have numbers, not values
        exact = recast(recast(case.X, single), lambda a: a)
    given = case.make().fit_transform(recast(case.X, same))
    assert given.identical(case.make().fit_transform(exact))


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


@each
def test_two_processes_give_the_same_bits_as_one(case: Case) -> None:
    # More samples than a task holds, so that both processes have some.
    X = list(case.X) * 7
    dgms = case.fitted(n_jobs=2).transform(X)
    assert dgms.identical(Diagrams.concat([case.diagrams] * 7))
    assert dgms.source is not None


@each
def test_threads_give_the_same_bits(case: Case) -> None:
    X = list(case.X) * 7
    with joblib.parallel_config(backend="threading", n_jobs=3):
        dgms = case.fitted().transform(X)
    assert dgms.identical(Diagrams.concat([case.diagrams] * 7))


@pytest.mark.nightly
@each
def test_a_dask_cluster_gives_the_same_bits(case: Case) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        dgms = case.fitted().transform(list(case.X) * 7)
    assert dgms.identical(Diagrams.concat([case.diagrams] * 7))


# --- progress -------------------------------------------------------------------------


class Terminal(io.StringIO):
    """Standard error of somebody who looks at it."""

    def isatty(self) -> bool:
        return True


@each
def test_progress_is_one_bar_and_only_on_a_terminal(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = case.fitted(progress=True)
    for stream, shown in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        extractor.transform(list(case.X))
        monkeypatch.undo()
        text = stream.getvalue()
        assert text.count("100%") == shown
        assert (type(extractor).__name__ in text) == shown


# --- cache ----------------------------------------------------------------------------


@each
def test_what_is_cached_is_not_computed_again(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor, expected = case.fitted(memory=str(tmp_path)), case.diagrams
    calls: list[int] = []
    before_each_sample(monkeypatch, extractor, calls.append)
    assert extractor.transform(list(case.X)).identical(expected)
    once = len(calls)
    assert once == len(case.X) * len(list(leaves(extractor)))
    reordered = extractor.transform(list(case.X[::-1]))
    assert reordered.identical(expected[::-1])
    assert len(calls) == once
    another = case.fitted(memory=joblib.Memory(str(tmp_path), verbose=0))
    assert another.transform(list(case.X)).identical(expected)
    assert len(calls) == once


@each
def test_an_interrupted_run_resumes_where_it_stopped(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = case.fitted(memory=str(tmp_path))
    before, parts = state(extractor), len(list(leaves(extractor)))
    done: list[int] = []

    def interrupt(number: int) -> None:
        if number == 2 * parts:
            raise KeyboardInterrupt
        done.append(number)

    before_each_sample(monkeypatch, extractor, interrupt)
    with pytest.raises(KeyboardInterrupt):
        extractor.transform(list(case.X))
    assert state(extractor) == before
    assert extractor.transform(list(case.X)).identical(case.diagrams)
    assert len(done) == parts * len(case.X)


# --- errors ---------------------------------------------------------------------------


@each
def test_a_bad_sample_in_the_middle_leaves_object_and_cache_as_they_were(
    case: Case, tmp_path: Path
) -> None:
    extractor = case.fitted(memory=str(tmp_path))
    extractor.transform(list(case.X))
    before, kept = state(extractor), files(tmp_path)
    bad = [case.X[0], "not a sample", case.X[2]]
    for ask in (extractor.transform, extractor.fit, extractor.estimate_cost):
        with pytest.raises((StableRankError, ValueError), match=r"\[1\]|sample 1"):
            ask(bad)
        assert state(extractor) == before
        assert files(tmp_path) == kept
    assert extractor.transform(list(case.X)).identical(case.diagrams)


@each
def test_a_failure_of_the_engine_names_the_sample_and_loses_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = case.fitted(memory=str(tmp_path))
    before, parts = state(extractor), len(list(leaves(extractor)))

    def fail(number: int) -> None:
        if number == parts:
            raise RuntimeError("the engine broke")

    before_each_sample(monkeypatch, extractor, fail)
    with pytest.raises(RuntimeError, match="the engine broke") as caught:
        extractor.transform(list(case.X))
    assert "while extracting sample 1" in caught.value.__notes__
    assert state(extractor) == before
    assert extractor.transform(list(case.X)).identical(case.diagrams)


# --- cost -----------------------------------------------------------------------------


@each
def test_the_forecast_grows_with_the_work(case: Case) -> None:
    X = list(case.X)
    one = case.make().set_params(n_jobs=1).estimate_cost(X)
    assert 0 < one.memory < 1e9
    assert 0 < one.seconds < 10
    assert 0 <= one.largest < len(X)
    twice = case.fitted(n_jobs=1).estimate_cost(X + X)
    assert twice.seconds == pytest.approx(2 * one.seconds)
    assert twice.memory == one.memory
    shared = case.fitted(n_jobs=2).estimate_cost(X + X)
    assert shared.workers == 2
    assert shared.seconds == pytest.approx(one.seconds)
    assert one.memory < shared.memory <= 2 * one.memory


@each
def test_what_is_too_large_is_refused_before_it_starts(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = case.fitted(max_memory=1.0)
    calls: list[int] = []
    before_each_sample(monkeypatch, extractor, calls.append)
    with pytest.raises(CostLimitError, match=r"max_memory.*Cheaper: \w+") as caught:
        extractor.transform(list(case.X))
    assert extractor._cheaper() in str(caught.value)
    assert not calls


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
