"""The presets untouched on other data, against a random forest on the same features.

    python benchmarks/datasets.py [--sets shapes --preset accurate]

Nothing here is tuned: each estimator gets an extractor, a preset and a seed. The forest
reads the very numbers that the network reads (the frozen bank, designed on the training
part; the preset "accurate" trains it further), so the difference is the price of a
network whose every output has a proved constant. Within a split every choice falls on
the validation part of the training samples; the 30 % test samples are looked at once,
to be certified.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import common
import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from stablerank import (
    AlphaPersistence,
    Certificates,
    CubicalPersistence,
    PersistenceUnion,
    SRNClassifier,
    StableRankTransformer,
    datasets,
)
from stablerank.diagrams import Diagrams
from stablerank.plotting import plot_sandwich

#: Never tuned on.
DATA_SEED = 20260103
TREES = 500
PRESETS = ("balanced", "robust", "accurate")
FIGURE = common.ROOT / "docs" / "figures" / "datasets.png"

Array = NDArray[np.float64]


class SweptPersistence(CubicalPersistence):
    """Sublevel persistence of the ink that a straight front meets, from one direction.

    The function is max(-image, front), `front` rising from -top to 0 across the image.
    A sign and a maximum with a fixed function stretch no difference between images and
    round nothing, so constant and error are those of `CubicalPersistence` [X10].

    Parameters
    ----------
    turn : float
        Direction of the front, in turns.
    top : float
        Grey level of ink.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CubicalPersistence._parameter_constraints,
        "turn": [float],
        "top": [float],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        turn: float = 0.0,
        top: float = 16.0,
        construction: str = "top",
        periodic: bool | Sequence[bool] | None = None,
        field: int = 2,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: Any = None,
        max_memory: float | None = None,
    ) -> None:
        super().__init__(
            homology_dimensions,
            construction=construction,
            periodic=periodic,
            field=field,
            critical=critical,
            n_jobs=n_jobs,
            progress=progress,
            memory=memory,
            max_memory=max_memory,
        )
        self.turn = turn
        self.top = top

    def _transform_one(self, sample: Array) -> Any:
        angle = 2 * np.pi * self.turn
        rows, columns = np.indices(sample.shape)
        front = np.cos(angle) * rows + np.sin(angle) * columns
        front = self.top * ((front - front.max()) / np.ptp(front))
        return super()._transform_one(np.maximum(-sample, front))


@dataclass(frozen=True)
class Problem:
    """Samples, their extractor, and radii that mean something to them.

    `make` gives samples and labels of a size; sets of a fixed size do not ask for it.
    """

    what: str
    make: Callable[[int], tuple[Array, NDArray[np.int64]]]
    extractor: Any
    radii: tuple[float, ...]
    unit: str


def swept_digits() -> PersistenceUnion:
    """Eight directions, each with its own channels."""
    return PersistenceUnion(
        [(f"turn{k}", SweptPersistence(turn=k / 8)) for k in range(8)]
    )


PROBLEMS = {
    "shapes": Problem(
        "five surfaces and curves in space, 200 points with noise 0.1",
        lambda n: datasets.shapes(n, 200, noise=0.1, seed=DATA_SEED),
        AlphaPersistence(homology_dimensions=(0, 1, 2)),
        (0.002, 0.005, 0.01, 0.02),
        "displacement of every point; the shapes have radius 1",
    ),
    "signals": Problem(
        "five wave forms at random phases, 200 samples with noise 0.1",
        lambda n: datasets.signals(n, 200, seed=DATA_SEED, noise=0.1),
        CubicalPersistence(homology_dimensions=(0,)),
        (0.02, 0.05, 0.1, 0.2),
        "change of every sample; the amplitude is 1",
    ),
    "digits": Problem(
        "ten digits of 8 x 8 pixels, sublevel sets of the grey levels",
        lambda n: datasets.digits(),
        CubicalPersistence(),
        (0.05, 0.1, 0.2, 0.5),
        "change of every pixel, in grey levels of 16",
    ),
    "digits, swept": Problem(
        "the same digits, swept from eight directions",
        lambda n: datasets.digits(),
        swept_digits(),
        (0.05, 0.1, 0.2, 0.5),
        "change of every pixel, in grey levels of 16",
    ),
}


@dataclass(frozen=True, eq=False)
class Split:
    """What one preset gave on one split."""

    model: SRNClassifier
    certificates: Certificates  # of the test part
    y: NDArray[np.int64]
    fit_seconds: float


def forest_accuracy(
    diagrams: Diagrams,
    y: NDArray[np.int64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    seed: int,
) -> float:
    """Test accuracy of a random forest on the bank that the network reads too."""
    bank = StableRankTransformer(extractor="precomputed").fit(diagrams[train])
    forest = RandomForestClassifier(TREES, random_state=seed)
    forest.fit(bank.transform(diagrams[train]), y[train])
    return float(forest.score(bank.transform(diagrams[test]), y[test]))


def mean_and_std(values: Sequence[float]) -> dict[str, float]:
    """Over splits; a single one has no spread."""
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "std": float(spread)}


def summary(
    splits: Sequence[Split], forest: Sequence[float], radii: Sequence[float]
) -> dict[str, Any]:
    """What is written about one preset on one set."""
    values = np.array([s.certificates.accuracy(s.y, [0.0, *radii]) for s in splits])
    names = ["clean", *(f"{radius:g}" for radius in radii)]
    return {
        "accuracy": {n: mean_and_std(v) for n, v in zip(names, values.T, strict=True)},
        # Split by split: both saw the same samples.
        "gap_to_forest": mean_and_std(values[:, 0] - np.asarray(forest)),
        "margin_unit": mean_and_std([s.model.unit_ for s in splits]),
        "median_radius": mean_and_std(
            [float(np.median(s.certificates.radius)) for s in splits]
        ),
        "best_epoch": [s.model.history_.best_epoch for s in splits],
        "fit_seconds": mean_and_std([s.fit_seconds for s in splits]),
    }


def run(
    problem: Problem,
    presets: Sequence[str],
    n_splits: int,
    n_per_class: int,
    **options: Any,
) -> tuple[dict[str, Any], dict[str, list[Split]]]:
    """Train and certify every preset on every split of one set."""
    samples, y = problem.make(n_per_class)
    start = time.perf_counter()
    diagrams = problem.extractor.fit_transform(samples)
    extraction = time.perf_counter() - start
    forest: list[float] = []
    splits: dict[str, list[Split]] = {name: [] for name in presets}
    for seed in range(n_splits):
        train, test = train_test_split(
            np.arange(len(y)), test_size=0.3, random_state=seed, stratify=y
        )
        forest.append(forest_accuracy(diagrams, y, train, test, seed))
        for name in presets:
            model = SRNClassifier(
                problem.extractor, preset=name, random_state=seed, **options
            )
            start = time.perf_counter()
            model.fit(diagrams[train], y[train])
            seconds = time.perf_counter() - start
            certificates = model.certify(diagrams[test])
            splits[name].append(Split(model, certificates, y[test], seconds))
    any_model = splits[presets[0]][0].model
    record = {
        "what": problem.what,
        "n_samples": len(y),
        "n_classes": len(np.unique(y)),
        "n_features": len(any_model.feature_names_),
        "threat": f"{splits[presets[0]][0].certificates.threat}",
        "radius": problem.unit,
        "extraction_seconds": extraction,
        "forest": mean_and_std(forest) | {"splits": forest},
        "presets": {
            name: summary(own, forest, problem.radii) for name, own in splits.items()
        },
    }
    return record, splits


def table(record: Mapping[str, Any]) -> str:
    """One set as a Markdown table, in per cent."""

    def cell(value: Mapping[str, float], sign: str = "") -> str:
        return f"{100 * value['mean']:{sign}.1f} ± {100 * value['std']:.1f}"

    first = next(iter(record["presets"].values()))
    head = ["", *first["accuracy"], "over the forest"]
    rows = [
        [
            name,
            *(cell(value) for value in own["accuracy"].values()),
            cell(own["gap_to_forest"], "+"),
        ]
        for name, own in record["presets"].items()
    ]
    empty = ["–"] * len(first["accuracy"])
    rows.append(["random forest", cell(record["forest"]), *empty])
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(
    curves: Mapping[str, Mapping[str, list[Split]]],
    records: Mapping[str, Mapping[str, Any]],
) -> Any:
    """One panel a set: certified accuracy by radius, and what the forest has."""
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(6.2 * columns, 4.2 * rows),
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.flat[len(curves) :]:
        ax.remove()
    for ax, (name, presets) in zip(axes.flat, curves.items(), strict=False):
        groups = {
            preset: [(split.certificates, split.y) for split in own]
            for preset, own in presets.items()
        }
        plot_sandwich(groups, mark=PROBLEMS[name].radii[1], ax=ax)
        ax.set_title(f"{name}\n{ax.get_title()}", fontsize="medium")
        clean = 100 * records[name]["forest"]["mean"]
        ax.axhline(clean, color="black", lw=1, label=f"random forest ({clean:.1f} %)")
        ax.legend(fontsize="small", loc="upper right", framealpha=1.0)
        ax.set_ylim(0, 103)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=[*PROBLEMS], choices=[*PROBLEMS])
    parser.add_argument("--preset", nargs="+", default=[*PRESETS], choices=PRESETS)
    parser.add_argument("--n-per-class", type=int, default=200)
    parser.add_argument("--epochs", type=int, help="in place of the presets'")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "datasets.json")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are small; more threads would only wait
    records: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for name in arguments.sets:
        start = time.perf_counter()
        records[name], curves[name] = run(
            PROBLEMS[name],
            arguments.preset,
            arguments.seeds,
            arguments.n_per_class,
            epochs=arguments.epochs,
        )
        records[name]["seconds"] = time.perf_counter() - start
        print(f"\n{name}: {PROBLEMS[name].what}\n{table(records[name])}", flush=True)

    arguments.figure.parent.mkdir(parents=True, exist_ok=True)
    draw(curves, records).savefig(arguments.figure, dpi=110)
    common.write(
        arguments.out,
        {
            "question": "presets untouched on other data, against a random forest",
            "settings": {
                "data_seed": DATA_SEED,
                "n_per_class": arguments.n_per_class,
                "split_seeds": list(range(arguments.seeds)),
                "test_share": 0.3,
                "epochs": arguments.epochs,
                "trees": TREES,
            },
            "sets": records,
            **common.origin("stablerank", "numpy", "torch", "gudhi", "scikit-learn"),
        },
    )


if __name__ == "__main__":
    main()
