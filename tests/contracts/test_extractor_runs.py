"""What every extractor promises while it runs: workers, progress, cache, errors, cost.

Rows come from `tests/contracts/extractors.py`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib.parallel import SequentialBackend

from stablerank import CubicalPersistence, Diagrams, PersistenceUnion
from stablerank.exceptions import CostLimitError, StableRankError
from stablerank.extract import Extractor
from tests.contracts.extractors import CASES, Case

each = pytest.mark.parametrize("case", CASES, ids=str)


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


# --- workers ------------------------------------------------------------------------


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


class Nowhere(SequentialBackend):
    """A backend that takes no work."""

    def configure(self, *args: Any, **kwargs: Any) -> int:
        raise AssertionError("a sample was sent on to other workers")


joblib.register_parallel_backend("nowhere", Nowhere)


@each
def test_a_worker_computes_its_samples_itself(case: Case) -> None:
    # An engine with a parallel loop of its own would wait for workers that wait.
    extractor = case.fitted()
    with joblib.parallel_config(backend="nowhere"):
        for sample in extractor._read(list(case.X)):
            extractor._extract(sample, None)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two dask workers; dask is an optional extra."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as running,
        distributed.Client(running),
    ):
        yield


@pytest.mark.nightly
@pytest.mark.usefixtures("cluster")
@each
def test_a_dask_cluster_gives_the_same_bits(case: Case) -> None:
    with joblib.parallel_config(backend="dask"):
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


def test_workers_find_large_samples_that_this_process_computed(tmp_path: Path) -> None:
    # Above a megabyte they travel as memory maps, which hold the same numbers.
    X = np.random.default_rng(0).normal(size=(2, 400, 400))
    extractor = CubicalPersistence(memory=str(tmp_path)).fit(X)
    dgms = extractor.transform(X)
    entries = len(list(tmp_path.rglob("output.pkl")))
    assert entries == len(X)
    assert extractor.set_params(n_jobs=2).transform(X).identical(dgms)
    assert len(list(tmp_path.rglob("output.pkl"))) == entries


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
