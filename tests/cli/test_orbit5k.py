"""`stablerank orbit5k`: what it prints is so, and what it cached is not made again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import stablerank
from stablerank import AlphaPersistence, Diagrams, DTMPersistence
from stablerank.cli import main
from stablerank.datasets import ORBIT_PARAMETERS, orbit5k

ROOT = Path(stablerank.__file__).parents[1]
N_PER_CLASS = 2
SMALL = ["orbit5k", "--n-per-class", str(N_PER_CLASS), "--n-jobs", "1"]


def entries(cache: Path) -> set[str]:
    """Whole results that the cache holds."""
    return {str(path.parent) for path in cache.rglob("output.pkl")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder with `cache` and `out` of one run, and what the run printed."""
    folder = tmp_path_factory.mktemp("orbit5k")
    arguments = ["--seed", "3", "--cache", "cache", "--out", "out/deep"]
    code = (
        "import sys; from stablerank.cli import main;"
        f"sys.exit(main({[*SMALL, *arguments]!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_summary_counts_the_data(finished: tuple[Path, str]) -> None:
    _, said = finished
    assert "10 clouds of 1000 points, 2 for each of 5 classes" in said
    for r in ORBIT_PARAMETERS:
        assert f"r = {r}" in said


def test_the_summary_gives_mean_bars_by_channel_and_class(
    finished: tuple[Path, str],
) -> None:
    folder, said = finished
    summary = json.loads((folder / "out/deep/summary.json").read_text())
    clouds, y = orbit5k(seed=3, n_per_class=N_PER_CLASS)
    alpha = AlphaPersistence().fit_transform(clouds)
    expected = [float(alpha.counts[y == label, 1].mean()) for label in range(5)]
    assert summary["bars_per_cloud"]["alpha/H1"] == expected
    (line,) = [row for row in said.splitlines() if row.startswith("alpha/H1")]
    assert line.split()[1:] == [f"{mean:.1f}" for mean in expected]


def test_the_summary_times_every_stage(finished: tuple[Path, str]) -> None:
    folder, said = finished
    seconds = json.loads((folder / "out/deep/summary.json").read_text())["seconds"]
    assert list(seconds) == ["data", "alpha", "dtm"]
    assert min(seconds.values()) > 0
    for stage in seconds:
        assert re.search(rf"^{stage} +\d+\.\d$", said, re.MULTILINE)


def test_the_size_of_the_cache_is_told(finished: tuple[Path, str]) -> None:
    folder, said = finished
    found = re.search(r"^Kept for the next run: (\S+) kB in cache$", said, re.MULTILINE)
    assert found is not None
    files = [path for path in (folder / "cache").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1000
    assert float(found[1]) == pytest.approx(size, abs=0.1)


def test_the_bounds_are_those_of_the_extractors(finished: tuple[Path, str]) -> None:
    folder, said = finished
    written = json.loads((folder / "out/deep/summary.json").read_text())["bounds"]
    threat = stablerank.Displacement()
    for name, extractor in (("alpha", AlphaPersistence()), ("dtm", DTMPersistence())):
        bound = extractor.bound(threat)
        assert written[name]["constant"] == bound.constant
        assert written[name]["ledger"] == bound.ledger
        assert f"[{bound.ledger}]" in said


def test_the_last_line_says_in_plain_words_what_is_proved(
    finished: tuple[Path, str],
) -> None:
    folder, said = finished
    n_bars = sum(
        int(Diagrams.load(folder / f"out/deep/{name}.npz").counts.sum())
        for name in ("alpha", "dtm")
    )
    last = said.splitlines()[-1]
    assert last.startswith(f"In short: {n_bars} bars.")
    assert "by up to 0.001" in last
    assert "move by at most 0.001, and only bars no longer than 0.002" in last


def test_the_written_diagrams_are_those_of_the_extractors(
    finished: tuple[Path, str],
) -> None:
    folder, _ = finished
    clouds, _ = orbit5k(seed=3, n_per_class=N_PER_CLASS)
    for name, extractor in (("alpha", AlphaPersistence()), ("dtm", DTMPersistence())):
        loaded = Diagrams.load(folder / f"out/deep/{name}.npz")
        assert loaded.identical(extractor.fit_transform(clouds))


def test_the_written_figure_is_a_picture(finished: tuple[Path, str]) -> None:
    import matplotlib.image

    picture = matplotlib.image.imread(finished[0] / "out/deep/diagrams.png")
    assert picture.shape[0] > 300
    assert picture.std() > 0


def test_a_second_run_reads_the_cache_and_says_the_same(
    finished: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, said = finished
    before = entries(folder / "cache")
    assert len(before) == 2 * 5 * N_PER_CLASS

    def refuse(*arguments: object) -> None:
        raise AssertionError("extracted again")

    for extractor in (AlphaPersistence, DTMPersistence):
        monkeypatch.setattr(extractor, "_transform_one", refuse)
    assert main([*SMALL, "--seed", "3", "--cache", str(folder / "cache")]) == 0
    again = capsys.readouterr().out.splitlines()
    assert entries(folder / "cache") == before
    assert again[-1] == said.splitlines()[-1]


def test_another_seed_makes_other_diagrams(
    finished: tuple[Path, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*SMALL, "--seed", "4", "--cache", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] != finished[1].splitlines()[-1]


def test_without_out_nothing_but_the_cache_is_written(
    finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "--seed", "3", "--cache", str(finished[0] / "cache")]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n-per-class", "0"], "n_per_class must be an integer >= 1"),
        (["--n-per-class", "-5"], "n_per_class must be an integer >= 1"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_numbers_out_of_range_are_one_clear_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["orbit5k", *arguments, "--cache", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_folder_that_cannot_be_made_fails_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = str(tmp_path / "file" / "out")
    assert main([*SMALL, "--cache", str(tmp_path / "c"), "--out", out]) == 2
    assert "file" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_ctrl_c_leaves_a_whole_cache_from_which_the_next_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    arguments = ["orbit5k", "--n-per-class", "8", "--n-jobs", "2"]
    arguments += ["--cache", str(cache)]
    code = f"import sys; from stablerank.cli import main; sys.exit(main({arguments!r}))"
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches a whole group of processes
    )
    deadline = time.monotonic() + 60
    while len(entries(cache)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.splitlines()[-1] == (
        f"stablerank: interrupted; what is done is in {cache}; run again to go on"
    )
    assert "Traceback" not in said
    done = entries(cache)
    assert 5 <= len(done) < 2 * 40
    assert main([*arguments[:3], "--n-jobs", "1", "--cache", str(cache)]) == 0
    assert entries(cache) > done
    clouds, _ = orbit5k(seed=0, n_per_class=8)
    alpha = AlphaPersistence(memory=str(cache)).fit_transform(clouds)
    assert np.array_equal(alpha.bars, AlphaPersistence().fit_transform(clouds).bars)
