"""Show versions, engines, threads and GPUs; or what a saved model is."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
from importlib import metadata
from pathlib import Path

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
    """Add what a user may choose."""
    parser.add_argument(
        "model",
        type=Path,
        nargs="?",
        help="folder of a saved model; if not given, tell about the installation",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print one fact a line."""
    facts = _installation() if arguments.model is None else _model(arguments.model)
    width = max(len(name) for name, _ in facts)
    for name, fact in facts:
        print(f"{name:<{width}}  {fact}")


def _model(folder: Path) -> list[tuple[str, str]]:
    from stablerank.io import load

    model = load(folder)
    header = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    program = model.program_
    facts = [
        ("model", header["estimator"]),
        ("written by", f"stablerank {header['library']}"),
        ("sha256", header["sha256"]),
        ("parameters", ", ".join(f"{k}={v}" for k, v in header["params"].items())),
    ]
    if hasattr(model, "classes_"):
        facts.append(("classes", ", ".join(map(str, model.classes_))))
    extractor = getattr(model, "extractor_", None)
    if extractor is not None:
        facts.append(("extractor", " ".join(repr(extractor).split())))
        facts.append(("usual threat", repr(model._default_threat())))
    if hasattr(model, "feature_names_"):
        facts.append(("features", str(len(model.feature_names_))))
    for i in program.inputs:
        facts.append(("input", " ".join(repr(i).split())))
    kinds = [type(op).__name__ for op in program.operations]
    facts.append(("operations", f"{len(kinds)}: {', '.join(kinds)}"))
    numbers = sum(a.size for op in program.operations for a in op.arrays().values())
    facts.append(("numbers", f"{numbers} in float64 arrays"))
    return facts


def _installation() -> list[tuple[str, str]]:
    return [
        ("stablerank", __version__),
        ("python", f"{platform.python_version()}, {platform.platform()}"),
        *_packages("engine", _ENGINES),
        *((name, _version(name)) for name in _FOUNDATION),
        *_packages("optional", _OPTIONAL),
        ("threads", _threads()),
        *_torch(),
    ]


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
