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
from typing import Any

import numpy as np
import pytest

import stablerank as sr
from stablerank import AlphaPersistence, DTMPersistence
from stablerank.cli import main
from stablerank.cli.orbit5k import RADII, orbit_extractor
from stablerank.datasets import ORBIT_PARAMETERS, orbit5k, orbit_split

ROOT = Path(sr.__file__).parents[1]
N_PER_CLASS = 4
SMALL = ["orbit5k", "--n-per-class", str(N_PER_CLASS), "--n-jobs", "1"]
SMALL += ["--seeds", "2", "--epochs", "3"]


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


def results(finished: tuple[Path, str]) -> dict[str, Any]:
    text = (finished[0] / "out/deep/results.json").read_text()
    return json.loads(text)


def test_the_summary_counts_the_data(finished: tuple[Path, str]) -> None:
    said = f"20 clouds of 1000 points, {N_PER_CLASS} for each of 5 classes"
    assert said in finished[1]


def test_the_table_is_the_mean_and_spread_of_the_splits(
    finished: tuple[Path, str],
) -> None:
    found = results(finished)
    table, splits = found["accuracy"], found["splits"]
    assert list(table) == ["clean", *(f"{radius:g}" for radius in RADII)]
    for name, cell in table.items():
        values = [split["accuracy"][name] for split in splits]
        assert cell["mean"] == pytest.approx(np.mean(values))
        assert cell["std"] == pytest.approx(np.std(values, ddof=1))
        assert f"{100 * cell['mean']:.1f} +- {100 * cell['std']:.1f}" in finished[1]


def test_the_results_name_every_setting(finished: tuple[Path, str]) -> None:
    settings = results(finished)["settings"]
    assert settings["data_seed"] == 3
    assert settings["split_seeds"] == [0, 1]
    assert settings["extractor"]["class"] == "PersistenceUnion"
    assert settings["classifier"]["preset"] == "balanced"
    assert settings["preset"]["schedule"]["epochs"] == 3


def test_every_stage_is_timed(finished: tuple[Path, str]) -> None:
    seconds = results(finished)["seconds"]
    stages = ["data", "extraction", "training and certifying", "writing"]
    assert list(seconds) == stages
    assert min(seconds.values()) > 0
    for stage in stages:
        assert re.search(rf"^{stage} +\d+\.\d$", finished[1], re.MULTILINE)


def test_the_saved_models_and_certificates_are_those_of_the_table(
    finished: tuple[Path, str],
) -> None:
    folder, _ = finished
    clouds, y = orbit5k(seed=3, n_per_class=N_PER_CLASS)
    for split in results(finished)["splits"]:
        _, test = orbit_split(y, split["seed"])
        own = folder / f"out/deep/split{split['seed']}"
        cert = sr.load(own).certify(clouds[test], sr.Displacement())
        expected = [split["accuracy"][k] for k in ("clean", "0.0005", "0.001")]
        assert cert.accuracy(y[test], [0, 5e-4, 1e-3]).tolist() == expected
        saved = sr.Certificates.load(own)
        assert np.array_equal(saved.radius, cert.radius)


def test_nothing_is_learned_from_the_clouds_before_the_split() -> None:
    clouds, _ = orbit5k(seed=3, n_per_class=2)
    union = orbit_extractor()
    few, all_of_them = union.fit(clouds[:1]).spec(), union.fit(clouds).spec()
    assert few == all_of_them


def test_the_last_line_says_in_plain_words_what_is_proved(
    finished: tuple[Path, str],
) -> None:
    table = results(finished)["accuracy"]
    last = finished[1].splitlines()[-1]
    assert last.startswith("In short: of 5 orbits that the model has not seen")
    assert f"{100 * table['clean']['mean']:.1f} % are named right" in last
    assert f"{100 * table['0.001']['mean']:.1f} % stay right" in last


@pytest.mark.parametrize("name", ["sandwich.png", "diagrams.png"])
def test_the_figures_are_pictures(finished: tuple[Path, str], name: str) -> None:
    import matplotlib.image

    picture = matplotlib.image.imread(finished[0] / "out/deep" / name)
    assert picture.shape[0] > 300
    assert picture.std() > 0


def test_a_second_run_reads_the_cache_and_says_the_same(
    finished: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, said = finished
    before = entries(folder / "cache")
    assert len(before) == 2 * len(ORBIT_PARAMETERS) * N_PER_CLASS

    def refuse(*arguments: object) -> None:
        raise AssertionError("extracted again")

    for extractor in (AlphaPersistence, DTMPersistence):
        monkeypatch.setattr(extractor, "_transform_one", refuse)
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "--seed", "3", "--cache", str(folder / "cache")]) == 0
    again = capsys.readouterr().out.splitlines()
    assert entries(folder / "cache") == before
    assert again[-1] == said.splitlines()[-1]
    # Without --out the folder is named after the preset.
    assert [p.name for p in tmp_path.iterdir()] == ["orbit5k-balanced"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n-per-class", "0"], "n_per_class must be an integer >= 1"),
        (["--seeds", "0"], "seeds must be an integer >= 1"),
        (["--epochs", "0"], "epochs must be an integer >= 1"),
        (["--preset", "best"], "preset must be one of 'balanced'"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_wrong_values_are_one_clear_line_before_any_work(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["orbit5k", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


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
    arguments += ["--epochs", "1", "--seeds", "1"]
    arguments += ["--cache", str(cache), "--out", str(tmp_path / "out")]
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
    assert run.returncode == 130, said
    assert said.splitlines()[-1] == (
        f"stablerank: interrupted; what is done is in {cache}; run again to go on"
    )
    assert "Traceback" not in said
    done = entries(cache)
    assert 5 <= len(done) < 2 * 40
    assert main(arguments) == 0
    assert entries(cache) > done
    clouds, _ = orbit5k(seed=0, n_per_class=8)
    alpha = AlphaPersistence(memory=str(cache)).fit_transform(clouds)
    assert np.array_equal(alpha.bars, AlphaPersistence().fit_transform(clouds).bars)
