"""Predict labels (or numbers) for point clouds with a saved model."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

__all__ = ["add_arguments", "load_cloud_model", "run", "write_table"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add = parser.add_argument
    add("model", type=Path, help="folder written by `stablerank fit` or sr.save")
    add("data", type=Path, help="file (npy, npz, csv, parquet) or folder of clouds")
    add("--out", type=Path, metavar="FILE", help="csv; if not given, print it")
    add("--labels", type=Path, metavar="FILE", help="true labels, to compare with")
    add("--n-jobs", type=int, default=-1, metavar="N", help="processes; -1: every core")


def run(arguments: argparse.Namespace) -> None:
    """Write one line a cloud: name, label, and the probability of that label."""
    from stablerank.cli.clouds import read_clouds

    model = load_cloud_model(arguments.model, arguments.n_jobs)
    clouds = read_clouds(arguments.data, arguments.labels)
    found = model.predict(clouds.points)
    columns: dict[str, Any] = {"cloud": clouds.names}
    if hasattr(model, "classes_"):
        columns["label"] = found
        columns["probability"] = model.predict_proba(clouds.points).max(axis=1).round(4)
    else:
        targets = found.reshape(len(found), -1).T
        one = len(targets) == 1
        columns |= {"value" if one else f"value{t}": v for t, v in enumerate(targets)}
    write_table(arguments.out, columns)
    if arguments.out is not None:
        print(f"{len(found)} predictions written to {arguments.out}")
    if clouds.y is not None and hasattr(model, "classes_"):
        right = (clouds.y.astype(str) == found.astype(str)).mean()
        print(f"{right:.1%} agree with the labels that came with the clouds")


def load_cloud_model(folder: Path, n_jobs: int | None) -> Any:
    """Load a model that reads clouds."""
    from stablerank.exceptions import InvalidInputError
    from stablerank.io import load

    model = load(folder)
    if getattr(model, "extractor_", None) is None:
        raise InvalidInputError(
            f"{folder} is a {type(model).__name__} without an extractor, which reads "
            "no point clouds; use it from Python: sr.load(folder)"
        )
    model.extractor_.set_params(n_jobs=n_jobs, progress=True)
    return model


def write_table(file: Path | None, columns: dict[str, Any]) -> None:
    """Write a csv with a header, or print it."""
    import sys

    rows = zip(*columns.values(), strict=True)
    if file is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows([[*columns], *rows])
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([[*columns], *rows])
