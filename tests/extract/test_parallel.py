"""Running over samples: in order, with places in errors, one bar, a whole cache."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import Memory, parallel_config

from stablerank.exceptions import EngineError
from stablerank.extract.parallel import cached, run
from tests.extract.tiny import BAD, RangePersistence

SIGNALS = np.random.default_rng(0).normal(size=(70, 6))


def square(x: float) -> float:
    if x < 0:
        raise ValueError("negative")
    return x * x


# --- order and errors ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "n_jobs"), [(0, None), (1, None), (15, 1), (100, None), (100, 2)]
)
def test_results_come_in_order(n: int, n_jobs: int | None) -> None:
    found = run(square, range(n), n_jobs=n_jobs, progress=False, label="squares")
    assert found == [x * x for x in range(n)]


def test_the_callers_configuration_is_obeyed() -> None:
    with parallel_config(backend="threading", n_jobs=2):
        batch = RangePersistence().fit_transform(SIGNALS)
    assert set(batch.source.geometry["pid"]) == {os.getpid()}
    assert batch.identical(RangePersistence().fit_transform(SIGNALS))


def test_two_processes_work_and_give_the_same_bits() -> None:
    alone, shared = (RangePersistence(n_jobs=n).fit_transform(SIGNALS) for n in (1, 2))
    assert alone.identical(shared)
    assert os.getpid() not in shared.source.geometry["pid"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_says_which_sample_and_the_next_run_works(n_jobs: int) -> None:
    broken = SIGNALS.copy()
    broken[37, 0] = BAD
    extractor = RangePersistence(n_jobs=n_jobs).fit(SIGNALS)
    with pytest.raises(EngineError, match="number of the beast") as caught:
        extractor.transform(broken)
    assert "while extracting sample 37" in caught.value.__notes__
    assert len(extractor.transform(SIGNALS)) == len(SIGNALS)


# --- progress -----------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, **params: Any) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    RangePersistence(**params).fit_transform(SIGNALS)
    monkeypatch.undo()
    return stream.getvalue()


def test_nothing_is_printed_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(monkeypatch, io.StringIO(), progress=True) == ""
    assert shown(monkeypatch, Terminal(), progress=False) == ""
    assert capsys.readouterr().out == ""


def test_one_bar_runs_to_the_end_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, Terminal(), progress=True)
    lines = [line for line in text.replace("\n", "\r").split("\r") if line.strip()]
    assert all(line.startswith("RangePersistence:") for line in lines)
    assert "0/70" in lines[0]
    assert "70/70" in lines[-1]
    assert text.count("\n") == 1


def test_the_bar_is_closed_when_a_sample_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = SIGNALS.copy()
    broken[40, 0] = BAD
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(EngineError):
        RangePersistence(progress=True).fit_transform(broken)
    monkeypatch.undo()
    assert terminal.getvalue().endswith("\n")
    assert "32/70" in terminal.getvalue()


# --- the cache ----------------------------------------------------------------------


def computed(journal: Path) -> list[str]:
    return journal.read_text().split() if journal.exists() else []


def test_the_cache_is_keyed_by_content_and_by_what_decides_the_result(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal"
    common = {"memory": str(tmp_path / "cache"), "journal": str(journal)}
    signals = SIGNALS[:5].copy()
    first = RangePersistence(**common).fit_transform(signals)
    assert len(computed(journal)) == 5
    # Equal content in another order, another dtype, another process: no work.
    again = RangePersistence(**common, n_jobs=2, max_memory=1e12).fit(signals)
    assert again.transform(signals[::-1].tolist()).identical(first[::-1])
    assert len(computed(journal)) == 5
    # One changed value: one sample of work.
    changed = signals.copy()
    changed[3, 1] = np.nextafter(changed[3, 1], 9.0)
    again.transform(changed)
    assert len(computed(journal)) == 6
    # A parameter or a fitted choice that decides the result: all of it.
    RangePersistence(**common, scale=2.0).fit(signals).transform(signals)
    assert len(computed(journal)) == 11
    RangePersistence(**common).fit(signals * 2).transform(signals)
    assert len(computed(journal)) == 16


def test_a_memory_object_serves_as_a_folder_does(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    memory = Memory(tmp_path / "cache", verbose=0)
    for _ in range(2):
        extractor = RangePersistence(memory=memory, journal=str(journal))
        extractor.fit_transform(SIGNALS[:4])
    assert len(computed(journal)) == 4
    nothing = RangePersistence(memory=Memory(None), journal=str(journal))
    nothing.fit_transform(SIGNALS[:4])
    assert len(computed(journal)) == 8


def test_without_a_memory_the_function_itself_is_called() -> None:
    assert cached(None, square, []) is square
    assert cached(Memory(None), square, []) is square


def test_a_failure_leaves_the_cache_whole(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    broken = SIGNALS[:6].copy()
    broken[4, 0] = BAD
    extractor = RangePersistence(memory=str(tmp_path / "c"), journal=str(journal))
    extractor.fit(SIGNALS[:6])
    with pytest.raises(EngineError):
        extractor.transform(broken)
    before = computed(journal)
    mended = extractor.transform(SIGNALS[:6])
    assert mended.identical(RangePersistence().fit(SIGNALS[:6]).transform(SIGNALS[:6]))
    assert len(computed(journal)) == len(before) + 2  # sample 4, mended, and sample 5


INTERRUPTED = """
import sys
import numpy as np
from tests.extract.tiny import RangePersistence
cache, journal, result, n_jobs = sys.argv[1:]
signals = np.random.default_rng(0).normal(size=(60, 6))
extractor = RangePersistence(
    memory=cache, journal=journal, n_jobs=int(n_jobs), delay=0.02
)
extractor.fit_transform(signals).save(result)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process group")
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_an_interrupted_run_resumes_where_it_was(tmp_path: Path, n_jobs: int) -> None:
    journal, result = tmp_path / "journal", tmp_path / "result.npz"
    script = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "cache")]
    script += [str(journal), str(result), str(n_jobs)]
    # Ctrl-C reaches the workers too, so it is sent to the whole group.
    process = subprocess.Popen(
        script, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(computed(journal)) < 20 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert not result.exists()
    done = len(computed(journal))
    assert 20 <= done < 60

    subprocess.run(script, check=True, timeout=60)
    # What was done is kept; joblib had sent each worker two chunks to begin with.
    begun = 2 * n_jobs
    assert 60 <= len(computed(journal)) <= 60 + begun
    signals = np.random.default_rng(0).normal(size=(60, 6))
    expected = RangePersistence().fit_transform(signals)
    assert type(expected).load(result).identical(expected)
