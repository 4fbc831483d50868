"""Generate ORBIT5K, extract its diagrams, say how far they can move.

Each class is a parameter r of a map of the unit square; a sample is the cloud of the
points of one orbit.  Two filtrations read it: alpha, which sees every hole, and the
distance to measure on a grid, which sees density.  Diagrams are cached by content, so
an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablerank import __version__

if TYPE_CHECKING:
    import numpy as np

    from stablerank.bounds import Bound
    from stablerank.diagrams import Diagrams
    from stablerank.extract.base import Extractor

__all__ = ["add_arguments", "run"]

#: The size of a perturbation that the last line speaks of.
_MOVE = 0.001


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    parser.add_argument(
        "--n-per-class", type=int, default=1000, metavar="N", help="clouds a class"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the data")
    parser.add_argument(
        "--n-jobs", type=int, default=-1, metavar="N", help="processes; -1: every core"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write summary.json, the diagrams and a figure there",
    )
    parser.add_argument(
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
    from stablerank.extract import AlphaPersistence, DTMPersistence
    from stablerank.metrics import Displacement

    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)  # fail now, not at the end
    common = {
        "n_jobs": arguments.n_jobs,
        "progress": True,
        "memory": arguments.cache,
    }
    extractors: dict[str, Extractor] = {
        "alpha": AlphaPersistence(**common),
        "dtm": DTMPersistence(**common),
    }
    seconds: dict[str, float] = {}
    with _timed(seconds, "data"):
        clouds, y = orbit5k(arguments.seed, arguments.n_per_class)
    print(
        f"ORBIT5K, seed {arguments.seed}: {len(clouds)} clouds of {clouds.shape[1]} "
        f"points, {arguments.n_per_class} for each of {len(ORBIT_PARAMETERS)} classes"
    )
    diagrams: dict[str, Diagrams] = {}
    for name, extractor in extractors.items():
        with _timed(seconds, name):
            diagrams[name] = extractor.fit_transform(clouds)

    bars = _bars_per_cloud(diagrams, y)
    _print_bars(bars, list(ORBIT_PARAMETERS))
    _print_seconds(seconds)
    bounds = {name: e.bound(Displacement()) for name, e in extractors.items()}
    _print_bounds(bounds, diagrams)
    print(f"\nKept for the next run: {_size(arguments.cache)} in {arguments.cache}")
    if arguments.out is not None:
        _write(arguments, seconds, bars, bounds, diagrams)
        print(f"Written to {arguments.out}")
    print(f"\n{_in_short(bounds, diagrams)}")


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def _bars_per_cloud(
    diagrams: dict[str, Diagrams], y: np.ndarray
) -> dict[str, list[float]]:
    """Mean number of finite bars in every channel, for each class."""
    import numpy as np

    return {
        f"{name}/{channel}": [
            float(batch.counts[y == label, c].mean()) for label in np.unique(y)
        ]
        for name, batch in diagrams.items()
        for c, channel in enumerate(batch.channels)
    }


def _print_bars(bars: dict[str, list[float]], parameters: list[float]) -> None:
    title = "Bars a cloud, mean"
    width = max(map(len, [title, *bars]))
    print(f"\n{title:<{width}}" + "".join(f"{f'r = {r}':>10}" for r in parameters))
    for channel, means in bars.items():
        print(f"{channel:<{width}}" + "".join(f"{mean:>10.1f}" for mean in means))


def _print_seconds(seconds: dict[str, float]) -> None:
    print("\nSeconds (cached diagrams are read, not made again)")
    for stage, spent in seconds.items():
        print(f"{stage:<8}{spent:>8.1f}")


def _print_bounds(bounds: dict[str, Bound], diagrams: dict[str, Diagrams]) -> None:
    for name, bound in bounds.items():
        print(f"\nHow far the {name} diagrams can move")
        bound.explain()
        print(f"  and at most {diagrams[name].error.max():.1e} for the engine's error")


def _size(folder: str) -> str:
    from stablerank.extract.cost import readable

    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return readable(sum(path.stat().st_size for path in files))


def _in_short(bounds: dict[str, Bound], diagrams: dict[str, Diagrams]) -> str:
    n_bars = sum(int(batch.counts.sum()) for batch in diagrams.values())
    # Both diagrams of a pair may be off by the engine's error.
    moved = max(
        float(bound.constant) * _MOVE + 2 * float(diagrams[name].error.max())
        for name, bound in bounds.items()
    )
    return (
        f"In short: {n_bars} bars. Move every point of a cloud by up to {_MOVE:g}, in "
        f"any way at all: the ends of its bars move by at most {moved:.3g}, and only "
        f"bars no longer than {2 * moved:.3g} can come or go. This is proved, not "
        "measured."
    )


def _write(
    arguments: argparse.Namespace,
    seconds: dict[str, float],
    bars: dict[str, list[float]],
    bounds: dict[str, Bound],
    diagrams: dict[str, Diagrams],
) -> None:
    summary: dict[str, Any] = {
        "stablerank": __version__,
        "settings": {
            "n_per_class": arguments.n_per_class,
            "seed": arguments.seed,
            "n_jobs": arguments.n_jobs,
        },
        "seconds": seconds,
        "bars_per_cloud": bars,
        "bounds": {
            name: {
                "threat": str(bound.source),
                "target": str(bound.target),
                "constant": bound.constant,
                "ledger": bound.ledger,
            }
            for name, bound in bounds.items()
        },
    }
    text = json.dumps(summary, indent=2) + "\n"
    (arguments.out / "summary.json").write_text(text, encoding="utf-8")
    for name, batch in diagrams.items():
        batch.save(arguments.out / f"{name}.npz")
    _draw(diagrams["alpha"], arguments.n_per_class, arguments.out / "diagrams.png")


def _draw(diagrams: Diagrams, n_per_class: int, path: Path) -> None:
    """Draw the first cloud of every class, the classes named."""
    from stablerank.datasets import ORBIT_PARAMETERS

    axes = diagrams[::n_per_class].plot()
    for ax, r in zip(axes, ORBIT_PARAMETERS, strict=True):
        ax.set_title(f"r = {r}", fontsize="medium")
    axes[0].figure.savefig(path)
