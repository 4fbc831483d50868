"""The stopwatch is fair, and the contests notice who gives another answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.scripts import ROOT, benchmark_script

BARS = np.array([[0.0, 1.0], [0.5, 2.0], [0.0, np.inf]])


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("common", monkeypatch)


@pytest.fixture
def extraction(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("extraction", monkeypatch)


def test_every_round_runs_everyone_once_and_the_order_turns(common: ModuleType) -> None:
    calls: list[str] = []
    runs = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    seconds = common.interleaved(runs, rounds=3)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(own) for name, own in seconds.items()} == dict.fromkeys("abc", 3)


def test_a_ratio_is_taken_within_the_round(common: ModuleType) -> None:
    # The machine slows down a hundredfold: the ratio of medians would be 20.
    seconds = {"mine": [2.0, 20.0, 200.0], "theirs": [1.0, 10.0, 1.0]}
    assert common.ratio(seconds, "mine", "theirs") == 2.0


def test_memory_is_watched_while_it_is_held(common: ModuleType) -> None:
    with common.MemoryWatch(interval=0.01) as watch:
        time.sleep(0.1)
        block = np.ones(25_000_000)  # 200 MB
        time.sleep(0.1)
    assert block.nbytes == 2e8
    peaks = watch.peaks()["tree_mb"]
    assert peaks == sorted(peaks)
    assert peaks[-1] - watch.samples[0][1] > 150


def test_the_results_say_where_they_come_from(common: ModuleType) -> None:
    assert common.versions("numpy", "no-such-package") == {
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "no-such-package": "not installed",
    }
    assert common.machine()["cores"] >= 1
    assert common.commit()


@pytest.mark.parametrize(
    "other",
    [BARS[:2], np.maximum(BARS, [0.0, 1.1]), -BARS[:, ::-1]],
    ids=["a bar less", "a bar moved", "negated"],
)
def test_contestants_with_different_answers_are_not_timed(
    extraction: ModuleType, other: np.ndarray
) -> None:
    with pytest.raises(RuntimeError, match="peer and ours differ: sample 0, channel 0"):
        extraction.agree({"ours": [[BARS]], "peer": [[other]]}, 1e-6)


def test_order_and_tiny_bars_are_no_difference(extraction: ModuleType) -> None:
    other = np.concatenate([BARS[::-1], [[0.3, 0.3 + 1e-9]]])
    extraction.agree({"ours": [[BARS]], "peer": [[other]]}, 1e-6)


@pytest.mark.nightly
def test_the_benchmark_of_extraction_runs(tmp_path: Path) -> None:
    file = ROOT / "benchmarks" / "extraction.py"
    out = tmp_path / "results.json"
    subprocess.run(
        [sys.executable, str(file), "--quick", "--out", str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert '"over_bare_engine"' in out.read_text()


def test_the_ablation_changes_one_thing_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variants = benchmark_script("ablation", monkeypatch).VARIANTS
    default = asdict(variants["as it is"])
    for name, variant in variants.items():
        own = asdict(variant)
        changed = {key for key in own if own[key] != default[key]}
        # Slow variants are trained for fewer epochs, as a row of its own is.
        epochs = own["preset"]["schedule"]["epochs"]
        allowed = 2 if epochs == 10 and "preset" in changed else 1
        assert len(changed) <= allowed, name


@pytest.mark.nightly
def test_the_ablation_runs(tmp_path: Path) -> None:
    file = ROOT / "benchmarks" / "ablation.py"
    out = tmp_path / "ablation.json"
    options = ["--n-per-class", "12", "--seeds", "1", "--out", str(out)]
    options += ["--only", "as it is", "bank: learnable, 10 epochs"]
    subprocess.run(
        [sys.executable, str(file), *options, "--cache", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert '"bank: learnable, 10 epochs"' in out.read_text()


@pytest.mark.nightly
def test_the_benchmark_of_certificates_runs() -> None:
    file = ROOT / "benchmarks" / "certify.py"
    done = subprocess.run(
        [sys.executable, str(file), "--quick", "--threads", "1"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "In short: a certificate costs" in done.stdout
