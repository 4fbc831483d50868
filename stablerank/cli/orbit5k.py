"""Train on ORBIT5K and prove how far its orbits can move, label unchanged.

Each class is a parameter r of a map of the unit square; a sample is the cloud of the
points of one orbit.  Two filtrations read it: alpha, which sees every hole, and the
distance to measure on a grid over the square, which sees density.  The square is a
constant of the data, so nothing is learned from test clouds and one extraction serves
all splits.  Diagrams are cached by content: an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablerank import __version__

if TYPE_CHECKING:
    import numpy as np

    from stablerank.certify import Certificates
    from stablerank.diagrams import Diagrams
    from stablerank.estimators import SRNClassifier

__all__ = ["RADII", "Split", "add_arguments", "orbit_extractor", "run", "train_splits"]

#: Sizes of the perturbation that the table speaks of; the side of the square is 1.
RADII = (5e-4, 1e-3, 2e-3, 5e-3)
#: The one that the last line speaks of.
_MOVE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add = parser.add_argument
    add("--n-per-class", type=int, default=1000, metavar="N", help="clouds a class")
    add("--seeds", type=int, default=5, metavar="N", help="splits 70/30 to average")
    add("--preset", default="balanced", help="balanced, robust, accurate or paper")
    add(
        "--representation",
        default="auto",
        metavar="NAME",
        help="'bank', 'learned bank' or 'mixture', in place of the preset's",
    )
    add("--seed", type=int, default=0, help="of the data")
    add("--n-jobs", type=int, default=-1, metavar="N", help="processes; -1: every core")
    add(
        "--epochs",
        type=int,
        metavar="N",
        help="passes over the training data; if not given, the preset's",
    )
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="results.json, figure, models and certificates; if not given, "
        "orbit5k-PRESET",
    )
    add(
        "--cache",
        default=".stablerank_cache",
        metavar="DIR",
        help="diagrams of earlier runs; delete it to free its space",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the stages, then print the summary."""
    try:
        _run(arguments)
    except KeyboardInterrupt as stop:
        stop.add_note(f"what is done is in {arguments.cache}; run again to go on")
        raise


def _run(arguments: argparse.Namespace) -> None:
    from stablerank.datasets import ORBIT_PARAMETERS, orbit5k
    from stablerank.datasets.arguments import check_choice, check_count
    from stablerank.estimators.presets import PRESETS, REPRESENTATIONS

    # Whatever is wrong is said now, not after the work.
    check_count("seeds", arguments.seeds)
    check_choice("preset", arguments.preset, tuple(PRESETS))
    check_choice("representation", arguments.representation, ("auto", *REPRESENTATIONS))
    if arguments.epochs is not None:
        check_count("epochs", arguments.epochs)
    out: Path = arguments.out or Path(f"orbit5k-{arguments.preset}")
    seconds: dict[str, float] = {}
    with _timed(seconds, "data"):
        clouds, y = orbit5k(arguments.seed, arguments.n_per_class)
    out.mkdir(parents=True, exist_ok=True)
    print(
        f"ORBIT5K, seed {arguments.seed}: {len(clouds)} clouds of {clouds.shape[1]} "
        f"points, {arguments.n_per_class} for each of {len(ORBIT_PARAMETERS)} classes"
    )
    extractor = orbit_extractor().set_params(
        n_jobs=arguments.n_jobs, progress=True, memory=arguments.cache
    )
    with _timed(seconds, "extraction"):
        diagrams = extractor.fit_transform(clouds)
    with _timed(seconds, "training and certifying"):
        splits = train_splits(
            diagrams,
            y,
            arguments.seeds,
            n_jobs=arguments.n_jobs,
            preset=arguments.preset,
            epochs=arguments.epochs,
            representation=arguments.representation,
        )
    with _timed(seconds, "writing"):
        _write(out, arguments, splits, diagrams)
    table = summary(splits)
    _print_table(arguments.preset, table, len(splits))
    _print_seconds(seconds, splits)
    _write_results(out, arguments, splits, table, seconds)
    print(f"\nWritten to {out}; diagrams for the next run are in {arguments.cache}")
    print(f"\n{_in_short(table, splits)}")


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


# --- the experiment ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Split:
    """What one split gave."""

    seed: int
    model: SRNClassifier
    certificates: Certificates  # of the test part
    y: np.ndarray  # true labels of the test part
    fit_seconds: float
    certify_seconds: float

    @property
    def accuracy(self) -> list[float]:
        """Share that is right, then right and certified at each of `RADII`."""
        return [float(a) for a in self.certificates.accuracy(self.y, [0.0, *RADII])]


def orbit_extractor() -> Any:
    """Return the two filtrations of the job; the grid covers the unit square."""
    from stablerank.extract import AlphaPersistence, DTMPersistence, PersistenceUnion

    square = [[0.0, 0.0], [1.0, 1.0]]
    return PersistenceUnion([AlphaPersistence(), DTMPersistence(box=square)])


def train_splits(
    diagrams: Diagrams,
    y: np.ndarray,
    n_splits: int,
    *,
    n_jobs: int | None,
    **options: Any,
) -> list[Split]:
    """Train and certify one model a split, side by side in processes.

    Parameters
    ----------
    diagrams : Diagrams
        Of all clouds.
    y : ndarray of shape (n,)
        Labels.
    n_splits : int
        Seeds 0, 1, ...; a seed decides the split and the training.
    n_jobs : int, optional
        As in joblib.
    **options
        Of `SRNClassifier`.
    """
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

    tasks = (delayed(_split)(diagrams, y, seed, options) for seed in range(n_splits))
    done = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    with warnings.catch_warnings():
        # A worker that has loaded torch looks to loky as if it leaked, and is replaced.
        warnings.filterwarnings(
            "ignore", message="A worker stopped", category=UserWarning
        )
        # disable=None: silent where there is no terminal.
        bar = tqdm(done, total=n_splits, desc="training", unit="split", disable=None)
        return list(bar)


def _split(diagrams: Diagrams, y: np.ndarray, seed: int, options: Any) -> Split:
    import torch

    from stablerank.datasets import orbit_split
    from stablerank.estimators import SRNClassifier
    from stablerank.metrics import Displacement

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # splits run side by side; more threads would only wait
    try:
        train, test = orbit_split(y, seed)
        start = time.perf_counter()
        model = SRNClassifier(random_state=seed, **options).fit(
            diagrams[train], y[train]
        )
        fitted = time.perf_counter()
        certificates = model.certify(diagrams[test], Displacement())
        end = time.perf_counter()
    finally:
        torch.set_num_threads(threads)
    return Split(seed, model, certificates, y[test], fitted - start, end - fitted)


def summary(splits: Sequence[Split]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over splits, clean and at each radius."""
    import numpy as np

    values = np.array([split.accuracy for split in splits])
    names = ["clean", *(f"{radius:g}" for radius in RADII)]
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else 0 * values[0]
    return {
        name: {"mean": float(mean), "std": float(std)}
        for name, mean, std in zip(names, values.mean(axis=0), spread, strict=True)
    }


# --- what is said and written -------------------------------------------------------


def _print_table(
    preset: str, table: dict[str, dict[str, float]], n_splits: int
) -> None:
    print(f"\nRight and certified at that displacement of every point, %, {preset}")
    print(f"mean and standard deviation of {n_splits} splits 70/30")
    print("".join(f"{name:>14}" for name in table))
    cells = (f"{100 * v['mean']:.1f} +- {100 * v['std']:.1f}" for v in table.values())
    print("".join(f"{cell:>14}" for cell in cells))


def _print_seconds(seconds: dict[str, float], splits: Sequence[Split]) -> None:
    print("\nSeconds (cached diagrams are read, not made again)")
    for stage, spent in seconds.items():
        print(f"{stage:<24}{spent:>8.1f}")
    n = len(splits)
    fit = sum(split.fit_seconds for split in splits) / n
    certify = sum(split.certify_seconds for split in splits) / n
    print(f"of these, for one split: training {fit:.1f}, certifying {certify:.1f}")


def _write(
    out: Path,
    arguments: argparse.Namespace,
    splits: Sequence[Split],
    diagrams: Diagrams,
) -> None:
    from stablerank.datasets import ORBIT_PARAMETERS
    from stablerank.io import save
    from stablerank.plotting import plot_sandwich

    for split in splits:
        folder = out / f"split{split.seed}"
        save(split.model, folder)
        split.certificates.save(folder)
    curves = {arguments.preset: [(s.certificates, s.y) for s in splits]}
    figure: Any = plot_sandwich(curves, mark=_MOVE).figure
    figure.savefig(out / "sandwich.png", dpi=150)
    first = diagrams.select(["alpha/H0", "alpha/H1"])[:: arguments.n_per_class]
    axes = first.plot()
    for ax, r in zip(axes, ORBIT_PARAMETERS, strict=True):
        ax.set_title(f"r = {r}", fontsize="medium")
    axes[0].figure.savefig(out / "diagrams.png", dpi=150)


def _write_results(
    out: Path,
    arguments: argparse.Namespace,
    splits: Sequence[Split],
    table: dict[str, dict[str, float]],
    seconds: dict[str, float],
) -> None:
    first = splits[0]
    model, bound = first.model, first.certificates.bound
    results = {
        "stablerank": __version__,
        "settings": {
            "n_per_class": arguments.n_per_class,
            "data_seed": arguments.seed,
            "split_seeds": [split.seed for split in splits],
            "test_share": 0.3,
            "n_jobs": arguments.n_jobs,
            "extractor": model.extractor_.spec(),
            "classifier": _plain(model.get_params(deep=False)),
            "preset": _plain(asdict(_preset(model))),
        },
        "threat": repr(first.certificates.threat),
        "ledger": bound.ledger,
        "accuracy": table,
        "splits": [
            {
                "seed": split.seed,
                "accuracy": dict(zip(table, split.accuracy, strict=True)),
                "margin_unit": split.model.unit_,
                "constant": float(split.certificates.bound.constant),
                "charged_for_rounding": split.certificates.evidence["rounding"],
                "charged_for_engine": split.certificates.evidence["engine"],
                "fit_seconds": split.fit_seconds,
                "certify_seconds": split.certify_seconds,
            }
            for split in splits
        ],
        "seconds": seconds,
    }
    text = json.dumps(results, indent=2) + "\n"
    (out / "results.json").write_text(text, encoding="utf-8")


def _preset(model: SRNClassifier) -> Any:
    from stablerank.estimators.classifier import chosen_preset

    return chosen_preset(model.preset, model.epochs, model.representation, model.norm)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON values; objects by their description."""
    return json.loads(json.dumps(values, default=repr))


def _in_short(table: dict[str, dict[str, float]], splits: Sequence[Split]) -> str:
    clean, moved = (100 * table[key]["mean"] for key in ("clean", f"{_MOVE:g}"))
    return (
        f"In short: of {len(splits[0].y)} orbits that the model has not seen, "
        f"{clean:.1f} % are named right, and {moved:.1f} % stay right if every point "
        f"moves by up to {_MOVE:g} of the side of the square, in any way at all. This "
        "is proved, not measured."
    )
