"""What extraction costs: beside its engines, beside its peers, in memory.

    python benchmarks/extraction.py            # under four minutes, two cores
    python benchmarks/extraction.py --quick    # does it still run?

Three answers, in `benchmarks/results/extraction.json`:

1. the ratio of our extractors to the *bare engine call*, the few lines that somebody
   would write who knows the engine well and wants no checks, no cache, no theorem;
2. the ratio of the peers to us, on the same samples, in the same rounds, after a
   check that all of them found the same bars;
3. time and memory of 5000 ORBIT clouds on two cores, as it went on.

Everything in 1 and 2 runs on one core.  giotto-ph is optional: the extra `bench`.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    RESULTS,
    MemoryWatch,
    commit,
    interleaved,
    machine,
    print_table,
    ratio,
    versions,
    write,
)
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist, squareform

from stablerank import __version__
from stablerank.datasets import orbit5k
from stablerank.extract import (
    AlphaPersistence,
    CubicalPersistence,
    DTMPersistence,
    RipsPersistence,
)

NEIGHBORS, GRID = (5, 20, 50), 64
Bars = np.ndarray  # (m, 2), births and deaths; deaths may be infinite


# --- what is compared ----------------------------------------------------------------


def alpha_bare(cloud: np.ndarray) -> list[Bars]:
    import gudhi

    tree = gudhi.AlphaComplex(points=cloud, precision="safe").create_simplex_tree(
        output_squared_values=False
    )
    tree.compute_persistence(homology_coeff_field=2)
    return [tree.persistence_intervals_in_dimension(k) for k in (0, 1)]


def pixels_bare(image: np.ndarray) -> list[Bars]:
    from gudhi.sklearn.cubical_persistence import (
        _persistence_on_rectangle_from_top_cells as planar,
    )

    return planar(image, 0.0)


def vertices_bare(image: np.ndarray) -> list[Bars]:
    """The same fast algorithm on the dual: negate, frame, swap the degrees."""
    low, high = image.min(), image.max()
    framed = np.full((image.shape[0] + 2, image.shape[1] + 2), -high)
    framed[1:-1, 1:-1] = -image
    components, holes = pixels_bare(framed)
    merges = -holes[:, ::-1]
    merges[(merges == (low, high)).all(axis=1).argmax(), 1] = np.inf
    return [merges, -components[np.isfinite(components[:, 1]), ::-1]]


def general_bare(image: np.ndarray) -> list[Bars]:
    import gudhi

    cubes = gudhi.CubicalComplex(vertices=image)
    cubes.compute_persistence(homology_coeff_field=2)
    return [cubes.persistence_intervals_in_dimension(k) for k in (0, 1)]


def grid_of(box: Sequence[float]) -> np.ndarray:
    """Points of the grid over a box (x0, x1, y0, y1), first axis first."""
    x = np.linspace(box[0], box[1], GRID)
    y = np.linspace(box[2], box[3], GRID)
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)


def dtm_bare(cloud: np.ndarray, grid: np.ndarray) -> list[Bars]:
    """One k-d tree, one query: the bars of all functions, one after the other."""
    squares = cKDTree(cloud).query(grid, k=NEIGHBORS[-1])[0] ** 2
    sums = np.cumsum(squares, axis=1)
    found = []
    for k in NEIGHBORS:
        found += vertices_bare(np.sqrt(sums[:, k - 1] / k).reshape(GRID, GRID))
    return found


def dtm_gudhi(cloud: np.ndarray, grid: np.ndarray) -> list[Bars]:
    from gudhi.point_cloud.dtm import DistanceToMeasure
    from gudhi.sklearn.cubical_persistence import CubicalPersistence as Peer

    peer = Peer([0, 1], input_type="vertices", homology_coeff_field=2)
    found = []
    for k in NEIGHBORS:
        values = DistanceToMeasure(k).fit(cloud).transform(grid).reshape(GRID, GRID)
        found += peer.fit_transform([values])[0]
    return found


def rips_bare(cloud: np.ndarray) -> list[Bars]:
    """gudhi's own Ripser in float64, up to the cone radius."""
    from gudhi.sklearn.rips_persistence import _full

    distances = squareform(pdist(cloud))
    cone = distances.max(axis=1).min()
    return _full(
        distances, max_dimension=1, max_edge_length=cone, homology_coeff_field=2
    )


def ripser_bare(cloud: np.ndarray) -> list[Bars]:
    from ripser import ripser

    distances = squareform(pdist(cloud))
    return ripser(distances, maxdim=1, distance_matrix=True)["dgms"]


def giotto_bare(cloud: np.ndarray) -> list[Bars]:
    from gph import ripser_parallel

    return ripser_parallel(
        squareform(pdist(cloud)), metric="precomputed", maxdim=1, n_threads=1
    )["dgms"]


def has_giotto() -> bool:
    try:
        import gph  # noqa: F401
    except ImportError:
        return False
    return True


Contestant = Callable[[], list[list[Bars]]]


def ours(extractor: Any, samples: Any) -> Contestant:
    """Return our transform; `fit` freezes what a user freezes once."""
    extractor.fit(samples)
    return lambda: extractor.transform(samples)


def each(function: Callable[..., list[Bars]], samples: Any, *more: Any) -> Contestant:
    return lambda: [function(sample, *more) for sample in samples]


def agree(answers: dict[str, list[list[Bars]]], tolerance: float) -> None:
    """Raise unless all contestants found the same bars, up to the tolerance.

    Bars shorter than twice the tolerance may differ: float32 engines lose or make
    some.
    """
    reference, expected = next(iter(answers.items()))
    for name, answer in answers.items():
        for i, (mine, theirs) in enumerate(zip(answer, expected, strict=True)):
            for channel, (a, b) in enumerate(zip(mine, theirs, strict=True)):
                x, y = _ordered(a, tolerance), _ordered(b, tolerance)
                if x.shape != y.shape or not np.allclose(x, y, rtol=0, atol=tolerance):
                    raise RuntimeError(
                        f"{name} and {reference} differ: sample {i}, channel {channel}"
                    )


def _ordered(bars: Bars, tolerance: float) -> np.ndarray:
    """Births and deaths of the bars that count, each sorted."""
    bars = np.asarray(bars, dtype=np.float64).reshape(-1, 2)
    bars = bars[(bars[:, 1] - bars[:, 0]) > 4 * tolerance]
    return np.sort(np.where(np.isinf(bars), 1e9, bars), axis=0)


def contest(
    title: str,
    contestants: dict[str, Contestant],
    bare: dict[str, str],
    *,
    n_samples: int,
    rounds: int,
    tolerance: float,
) -> dict[str, Any]:
    """Check that all agree, then time them; the first one has ratio 1.

    `bare` says which contestant is the bare engine call of which of ours.
    """
    agree({name: run() for name, run in contestants.items()}, tolerance)
    seconds = interleaved(contestants, rounds)
    first = next(iter(contestants))
    rows = {
        name: {
            "ms_per_sample": 1000 * statistics.median(own) / n_samples,
            "ratio": ratio(seconds, name, first),
        }
        for name, own in seconds.items()
    }
    print_table(title, rows)
    over_bare = {mine: ratio(seconds, mine, call) for mine, call in bare.items()}
    return {
        "samples": n_samples,
        "rounds": rounds,
        "contestants": rows,
        "over_bare": over_bare,
    }


def alpha(quick: bool) -> dict[str, Any]:
    from gudhi.sklearn.cech_persistence import CechPersistence

    n, n_points, rounds = (2, 100, 1) if quick else (20, 1000, 15)
    clouds = list(np.random.default_rng(0).random((n, n_points, 2)))
    return contest(
        f"Alpha, {n_points} points in the plane, H0 and H1",
        {
            "bare gudhi": each(alpha_bare, clouds),
            "stablerank": ours(AlphaPersistence(), clouds),
            "gudhi.sklearn CechPersistence": lambda: CechPersistence(
                [0, 1], homology_coeff_field=2
            ).fit_transform(clouds),
        },
        {"stablerank": "bare gudhi"},
        n_samples=n,
        rounds=rounds,
        tolerance=1e-6,
    )


def dtm(quick: bool) -> dict[str, Any]:
    n, n_points, rounds = (2, 100, 1) if quick else (10, 1000, 7)
    clouds = list(np.random.default_rng(1).random((n, n_points, 2)))
    mine = DTMPersistence(n_neighbors=NEIGHBORS, grid=GRID).fit(clouds)
    grid = grid_of(np.asarray(mine.box_).T.ravel())
    return contest(
        f"DTM, {n_points} points, {GRID} x {GRID} grid, {len(NEIGHBORS)} functions",
        {
            "bare scipy and gudhi": each(dtm_bare, clouds, grid),
            "stablerank": lambda: mine.transform(clouds),
            "gudhi DTM, sklearn Cubical": each(dtm_gudhi, clouds, grid),
        },
        {"stablerank": "bare scipy and gudhi"},
        n_samples=n,
        rounds=rounds,
        tolerance=1e-7,
    )


def rips(quick: bool) -> dict[str, Any]:
    from gudhi.sklearn.rips_persistence import RipsPersistence as Peer

    n, n_points, rounds = (2, 40, 1) if quick else (10, 300, 7)
    clouds = list(np.random.default_rng(2).random((n, n_points, 2)))
    contestants: dict[str, Contestant] = {
        "bare gudhi": each(rips_bare, clouds),
        "bare ripser.py": each(ripser_bare, clouds),
        "stablerank, engine gudhi": ours(RipsPersistence(engine="gudhi"), clouds),
        "stablerank, engine ripser": ours(RipsPersistence(engine="ripser"), clouds),
        "gudhi.sklearn RipsPersistence": lambda: Peer(
            [0, 1], homology_coeff_field=2
        ).fit_transform(clouds),
    }
    if has_giotto():
        contestants["giotto-ph, one thread"] = each(giotto_bare, clouds)
    result = contest(
        f"Rips, {n_points} points in the plane, H0 and H1",
        contestants,
        {
            "stablerank, engine gudhi": "bare gudhi",
            "stablerank, engine ripser": "bare ripser.py",
        },
        n_samples=n,
        rounds=rounds,
        tolerance=1e-6,
    )
    if not has_giotto():
        result["giotto-ph"] = "not installed"
        print("giotto-ph is not installed: pip install '.[bench]'")
    return result


def images(quick: bool) -> dict[str, Any]:
    from gudhi.sklearn.cubical_persistence import CubicalPersistence as Peer

    n, size, rounds = (2, 16, 1) if quick else (100, 64, 9)
    pictures = list(np.random.default_rng(3).random((n, size, size)))
    result = {}
    for construction, kind, bare in (
        ("top", "top_dimensional_cells", pixels_bare),
        ("vertex", "vertices", vertices_bare),
    ):
        mine = CubicalPersistence(construction=construction)
        peer = Peer([0, 1], input_type=kind, homology_coeff_field=2)
        contestants: dict[str, Contestant] = {
            "bare gudhi": each(bare, pictures),
            "stablerank": ours(mine, pictures),
            "gudhi.sklearn CubicalPersistence": partial(peer.fit_transform, pictures),
        }
        if construction == "vertex":
            contestants["bare gudhi CubicalComplex"] = each(general_bare, pictures)
        result[construction] = contest(
            f"Images, {size} x {size}, {construction} construction",
            contestants,
            {"stablerank": "bare gudhi"},
            n_samples=n,
            rounds=rounds,
            tolerance=1e-9,
        )
    return result


# --- time and memory of a large batch ------------------------------------------------


def orbit(quick: bool) -> dict[str, Any]:
    n_per_class = 4 if quick else 1000
    clouds, _ = orbit5k(seed=0, n_per_class=n_per_class)
    result: dict[str, Any] = {"clouds": len(clouds), "n_jobs": 2}
    print(f"\n{len(clouds)} ORBIT clouds of 1000 points, two processes")
    for name, extractor in (
        ("alpha", AlphaPersistence(n_jobs=2, progress=True)),
        ("dtm", DTMPersistence(n_jobs=2, progress=True)),
    ):
        extractor.fit(clouds)
        with MemoryWatch() as watch:
            diagrams = extractor.transform(clouds)
        peaks = watch.peaks()
        held = (diagrams.bars.nbytes + diagrams.offsets.nbytes) / 1e6
        result[name] = {"seconds": watch.seconds, "diagrams_mb": held, **peaks}
        print(f"{name}: {watch.seconds:.1f} s; the diagrams take {held:.0f} MB")
        for what in ("tree", "workers"):
            so_far = ", ".join(f"{peak:.0f}" for peak in peaks[f"{what}_mb"])
            print(f"  {what:<8} peak MB at 1/4, 1/2, 3/4 and the end: {so_far}")
        del diagrams
    return result


# --- all of it -----------------------------------------------------------------------


def overheads(results: dict[str, Any]) -> dict[str, float]:
    """How many times the bare engine call each extractor takes."""
    contests = {name: results[name] for name in ("alpha", "dtm", "rips")}
    contests |= {f"images, {kind}": part for kind, part in results["images"].items()}
    return {
        f"{name}: {mine}": value
        for name, part in contests.items()
        for mine, value in part["over_bare"].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no file")
    parser.add_argument("--out", type=Path, help="default: results/extraction.json")
    arguments = parser.parse_args()
    start = time.perf_counter()
    results: dict[str, Any] = {
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {"stablerank": __version__}
        | versions("gudhi", "ripser", "giotto-ph", "numpy", "scipy", "joblib"),
        "quick": arguments.quick,
        "orbit": orbit(arguments.quick),  # first: an empty process has no old memory
        "alpha": alpha(arguments.quick),
        "dtm": dtm(arguments.quick),
        "rips": rips(arguments.quick),
        "images": images(arguments.quick),
    }
    results["over_bare_engine"] = overheads(results)
    results["seconds"] = time.perf_counter() - start
    print("\nTimes the bare engine call (target: at most 1.10)")
    for name, times in results["over_bare_engine"].items():
        print(f"{name:<34}{times:>8.2f}")
    if arguments.out or not arguments.quick:
        write(arguments.out or RESULTS / "extraction.json", results)


if __name__ == "__main__":
    main()
