"""Train a certified classifier on labelled point clouds and save it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

__all__ = ["add_arguments", "run"]

_EXTRACTORS = ("alpha", "rips", "dtm", "alpha+dtm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add = parser.add_argument
    add("data", type=Path, help="file (npy, npz, csv, parquet) or folder of clouds")
    add("--out", type=Path, required=True, metavar="DIR", help="the saved model")
    add("--labels", type=Path, metavar="FILE", help="npy, or text: [cloud,]label")
    add("--extractor", choices=_EXTRACTORS, default="alpha", help="filtration")
    add("--norm", type=float, default=math.inf, help="inf, or 2: an l_2 budget")
    add("--preset", default="balanced", help="balanced, robust, accurate or paper")
    add("--tail-p", type=float, default=math.inf, help="preset paper: 1, 2 or inf")
    add("--epochs", type=int, metavar="N", help="if not given, the preset's")
    add("--seed", type=int, default=0, help="of training")
    add("--n-jobs", type=int, default=-1, metavar="N", help="processes; -1: every core")
    add("--cache", metavar="DIR", help="keep diagrams there for the next run")


def run(arguments: argparse.Namespace) -> None:
    """Read, train, save, and say what came out."""
    import numpy as np

    from stablerank.cli.clouds import read_clouds
    from stablerank.datasets.arguments import check_choice, check_count
    from stablerank.estimators import SRNClassifier
    from stablerank.estimators.presets import PRESETS
    from stablerank.exceptions import InvalidInputError
    from stablerank.io import save

    check_choice("preset", arguments.preset, tuple(PRESETS))
    if arguments.epochs is not None:
        check_count("epochs", arguments.epochs)
    if not arguments.tail_p >= 1:
        raise InvalidInputError(f"--tail-p is 1, 2 or inf, got {arguments.tail_p}")
    if arguments.norm not in (2, math.inf):
        raise InvalidInputError(f"--norm is 2 or inf, got {arguments.norm}")
    clouds = read_clouds(arguments.data, arguments.labels)
    y = clouds.y
    if y is None:
        first = clouds.names[clouds.labels.index(None)]
        raise InvalidInputError(
            f"{first} has no label; put files into one sub-folder a class, add an "
            "array or column 'labels', or give --labels FILE"
        )
    names, counts = np.unique(y, return_counts=True)
    listed = ", ".join(f"{name} ({n})" for name, n in zip(names, counts, strict=True))
    print(f"{len(y)} clouds in {len(names)} classes: {listed}")
    model = SRNClassifier(
        _extractor(arguments.extractor),
        norm=arguments.norm,
        preset=arguments.preset,
        tail_p=arguments.tail_p,
        epochs=arguments.epochs,
        random_state=arguments.seed,
        n_jobs=arguments.n_jobs,
        progress=True,
        memory=arguments.cache,
    ).fit(clouds.points, y)
    save(model, arguments.out)
    score = max(model.history_.score)
    print(f"Saved to {arguments.out}")
    print(
        f"In short: kept the weights of epoch {model.history_.best_epoch}, whose mean "
        f"certified accuracy over the wanted radii is {score:.1%} on clouds held back "
        "from training. Ask `stablerank certify` for radii on new clouds."
    )


def _extractor(name: str) -> Any:
    from stablerank.extract import AlphaPersistence, DTMPersistence, RipsPersistence

    classes = {
        "alpha": AlphaPersistence,
        "rips": RipsPersistence,
        "dtm": DTMPersistence,
    }
    parts = [classes[part]() for part in name.split("+")]
    return parts[0] if len(parts) == 1 else parts
