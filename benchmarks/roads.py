"""Two roads to the same radius: features bounded one by one, or all together in l_2.

    python benchmarks/roads.py                    # under five minutes on one core

Both roads certify the same threat, an l_2 budget that all points or pixels share, on
the same diagrams and splits.  The l_inf road is the default model; a budget enters it
through the largest move alone.  The l_2 road is the same estimator with `norm=2`.
Nothing here was tuned on these orbits and shapes; of the digits there is one set.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from stablerank import (
    AlphaPersistence,
    Budget,
    CubicalPersistence,
    PixelBudget,
    SRNClassifier,
    datasets,
)
from stablerank.metrics import Threat

DATA_SEED = 20260103
#: Roads by name: what the estimator is given.
ROADS: dict[str, dict[str, Any]] = {"l_inf": {"norm": math.inf}, "l_2": {"norm": 2}}


@dataclass(frozen=True)
class Problem:
    """Samples, their extractor, and the budget that is certified on them."""

    what: str
    make: Callable[[], tuple[Any, NDArray[np.int64]]]
    extractor: Any
    threat: Threat
    radii: tuple[float, ...]


PROBLEMS = {
    "orbits": Problem(
        "ORBIT5K, 100 a class, 300 points in the unit square",
        lambda: datasets.orbit5k(DATA_SEED, 100, n_points=300),
        AlphaPersistence(),
        Budget(),
        (0.001, 0.002, 0.005, 0.01),
    ),
    "shapes": Problem(
        "five surfaces and curves of radius 1, 60 a class, 200 points, noise 0.1",
        lambda: datasets.shapes(60, 200, noise=0.1, seed=DATA_SEED),
        AlphaPersistence(homology_dimensions=(0, 1, 2)),
        Budget(),
        (0.01, 0.02, 0.05, 0.1),
    ),
    "digits": Problem(
        "ten digits of 8 x 8 pixels in 16 grey levels, sublevel sets",
        datasets.digits,
        CubicalPersistence(),
        PixelBudget(2),
        (0.05, 0.1, 0.2, 0.5),
    ),
}


def run(problem: Problem, n_splits: int, **options: Any) -> dict[str, Any]:
    """Both roads on every split of one set: shares of the test part, median radius."""
    samples, y = problem.make()
    diagrams = problem.extractor.fit_transform(samples)
    found: dict[str, dict[str, list[float]]] = {road: {} for road in ROADS}
    for seed in range(n_splits):
        train, test = train_test_split(
            np.arange(len(y)), test_size=0.3, random_state=seed, stratify=y
        )
        for road, norm in ROADS.items():
            model = SRNClassifier(
                problem.extractor, random_state=seed, **norm, **options
            )
            start = time.perf_counter()
            model.fit(diagrams[train], y[train])
            seconds = time.perf_counter() - start
            cert = model.certify(diagrams[test], problem.threat)
            shares = cert.accuracy(y[test], list(problem.radii))
            row = dict(zip(map(str, problem.radii), shares, strict=True))
            row["clean"] = float((cert.label == y[test]).mean())
            row["median radius"] = float(np.median(cert.radius))
            row["constant"] = float(np.max(cert.bound.constant))
            row["fit seconds"] = seconds
            for name, value in row.items():
                found[road].setdefault(name, []).append(float(value))
    return {
        "what": problem.what,
        "threat": repr(problem.threat),
        "radii": list(problem.radii),
        "n_samples": len(y),
        "roads": {
            road: {
                name: {"mean": float(np.mean(v)), "std": float(np.std(v)), "splits": v}
                for name, v in own.items()
            }
            for road, own in found.items()
        },
    }


def table(records: Mapping[str, Any]) -> str:
    """All sets and roads as one Markdown table; shares in per cent."""
    head = ["set", "road", "clean", *[f"radius {k}" for k in range(1, 5)], "median"]
    lines = [head, ["---"] * len(head)]
    for name, record in records.items():
        given = [f"{radius:g}" for radius in record["radii"]]
        lines.append([f"{name}, `{record['threat']}`", "", "0", *given, ""])
        for road, own in record["roads"].items():
            cells = [percent(own[k]) for k in ("clean", *map(str, record["radii"]))]
            lines.append(["", road, *cells, f"{own['median radius']['mean']:.2g}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: Mapping[str, float]) -> str:
    return f"{100 * value['mean']:.1f} ± {100 * value['std']:.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=[*PROBLEMS], choices=[*PROBLEMS])
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--epochs", type=int, help="in place of the preset's")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "roads.json")
    given = parser.parse_args(arguments)

    torch.set_num_threads(1)  # the matrices are small; more threads would only wait
    start = time.perf_counter()
    records = {
        name: run(PROBLEMS[name], given.seeds, preset=given.preset, epochs=given.epochs)
        for name in given.sets
    }
    print(table(records))
    common.write(
        given.out,
        {
            "question": "an l_2 budget, certified in l_2 and in the maximum norm",
            "settings": {
                "data_seed": DATA_SEED,
                "split_seeds": list(range(given.seeds)),
                "test_share": 0.3,
                "preset": given.preset,
                "epochs": given.epochs,
            },
            "sets": records,
            "seconds": time.perf_counter() - start,
            **common.origin("stablerank", "numpy", "torch", "gudhi", "scikit-learn"),
        },
    )


if __name__ == "__main__":
    main()
