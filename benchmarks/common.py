"""Fair timing, and everything that a number needs beside it to be believed.

Contestants run interleaved: every round calls each of them once, in an order that
turns with the round, so that a machine that slows down slows all alike.  A ratio is
the median over rounds of the ratio within the round, not a ratio of two medians.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Contestants = Mapping[str, Callable[[], Any]]


def interleaved(contestants: Contestants, rounds: int) -> dict[str, list[float]]:
    """Seconds of every contestant in every round, after one round unmeasured.

    Parameters
    ----------
    contestants : mapping of str to callable
        Each does the whole task once.
    rounds : int
        Measurements of each.
    """
    names = list(contestants)
    for name in names:  # imports, allocators and caches warm up
        contestants[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()  # a collection would hit whoever runs when it is due
    try:
        for turn in range(rounds):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                start = time.perf_counter()
                contestants[name]()
                seconds[name].append(time.perf_counter() - start)
            gc.collect()
    finally:
        gc.enable()
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], name: str, reference: str) -> float:
    """Median over rounds of the time of `name` over that of `reference`."""
    pairs = zip(seconds[name], seconds[reference], strict=True)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def print_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print milliseconds a sample and ratio of every contestant."""
    print(f"\n{title}\n{'':<34}{'ms a sample':>12}{'ratio':>9}")
    for name, row in rows.items():
        print(f"{name:<34}{row['ms_per_sample']:>12.2f}{row['ratio']:>9.2f}")


class MemoryWatch:
    """Samples the memory of this process and of its children while a block runs.

    Shared pages are divided among those who share them (PSS), where the system
    tells; so the sum over the tree counts nothing twice.
    """

    def __init__(self, interval: float = 0.2) -> None:
        self.interval = interval
        self.samples: list[tuple[float, float, float]] = []  # (s, parent MB, rest MB)

    def __enter__(self) -> MemoryWatch:
        self._stop = threading.Event()
        self._start = time.perf_counter()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        parent = psutil.Process()
        while not self._stop.is_set():
            children = sum(map(_megabytes, parent.children(recursive=True)))
            now = time.perf_counter() - self._start
            self.samples.append((now, _megabytes(parent), children))
            self._stop.wait(self.interval)

    def peaks(self) -> dict[str, list[float]]:
        """Peak megabytes so far at 1/4, 1/2, 3/4 and the end of the run."""
        times, parent, rest = np.array(self.samples).T
        marks = np.array([0.25, 0.5, 0.75, 1.0]) * self.seconds
        so_far = lambda values: [  # noqa: E731
            round(float(values[times <= mark].max()), 1) for mark in marks
        ]
        return {"tree_mb": so_far(parent + rest), "workers_mb": so_far(rest)}


def _megabytes(process: psutil.Process) -> float:
    try:
        memory = process.memory_full_info()
    except psutil.NoSuchProcess:  # a worker that ended between listing and asking
        return 0.0
    return getattr(memory, "pss", memory.uss) / 1e6


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system and load of this machine."""
    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity() or [])
        if hasattr(psutil.Process, "cpu_affinity")
        else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "load": [round(load, 2) for load in psutil.getloadavg()],
    }


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(*distributions: str) -> dict[str, str]:
    """Versions of Python and of the given distributions."""
    found = {"python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str:
    """Hash of the commit, with "+changes" if the code differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if head.returncode:
        return "not committed"
    # Results of other runs are no change of the code.
    state = [*git, "status", "--porcelain", "--", ":!benchmarks/results"]
    changes = subprocess.run(state, capture_output=True, text=True, check=True).stdout
    return head.stdout.strip() + ("+changes" if changes else "")


def origin(*distributions: str) -> dict[str, Any]:
    """What results need beside them: the machine, the versions, the commit."""
    return {
        "machine": machine(),
        "versions": versions(*distributions),
        "commit": commit(),
    }


def keep(path: Path, results: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def write(path: Path, results: Mapping[str, Any]) -> None:
    keep(path, results)
    print(f"\nWritten to {path}")
