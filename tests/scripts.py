"""The scripts that lie beside the package, imported as when they are run."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

import stablerank

__all__ = ["ROOT", "benchmark_script"]

ROOT = Path(stablerank.__file__).parents[1]


def benchmark_script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a benchmark; it finds its neighbours in `benchmarks/`."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module(name)
