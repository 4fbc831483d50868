"""Show versions, engines, threads and GPUs: what a bug report needs."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
from importlib import metadata

from stablerank import __version__

__all__ = ["add_arguments", "run"]

#: distribution -> what it is here for
_ENGINES = {
    "gudhi": "alpha, Rips, cubical",
    "ripser": "Rips, float32",
}
_FOUNDATION = ("numpy", "scipy", "scikit-learn", "joblib", "matplotlib")
_OPTIONAL = {
    "ase": "structures",
    "dask": "parallel on a cluster",
    "ray": "parallel on a cluster",
    "python-flint": "fast audits",
    "networkx": "graphs",
    "pandas": "tables",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print one fact a line."""
    facts = [
        ("stablerank", __version__),
        ("python", f"{platform.python_version()}, {platform.platform()}"),
        *_packages("engine", _ENGINES),
        *((name, _version(name)) for name in _FOUNDATION),
        *_packages("optional", _OPTIONAL),
        ("threads", _threads()),
        *_torch(),
    ]
    width = max(len(name) for name, _ in facts)
    for name, fact in facts:
        print(f"{name:<{width}}  {fact}")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _packages(kind: str, purposes: dict[str, str]) -> list[tuple[str, str]]:
    return [
        (name, f"{_version(name)} ({kind}: {purpose})")
        for name, purpose in purposes.items()
    ]


def _threads() -> str:
    import joblib

    limits = [
        f"{name}={os.environ[name]}"
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        if name in os.environ
    ]
    # joblib counts what this process may use, not what the machine has.
    return ", ".join([f"{joblib.cpu_count()} usable cores", *limits])


def _torch() -> list[tuple[str, str]]:
    if importlib.util.find_spec("torch") is None:
        return [("torch", "not installed: extraction works, networks do not")]
    import torch

    facts = [("torch", f"{torch.__version__}, {torch.get_num_threads()} threads")]
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(i)
            facts.append((f"gpu {i}", f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB"))
    elif torch.backends.mps.is_available():
        facts.append(("gpu", "Apple, through Metal"))
    else:
        facts.append(("gpu", "none that torch can use"))
    return facts
