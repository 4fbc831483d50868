"""Certify the predictions of a saved model: radii within which no label changes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from stablerank.cli.predict import load_cloud_model, write_table

__all__ = ["add_arguments", "run"]

#: Name of their class in the library, and its arguments.
_THREATS: dict[str, tuple[Any, ...]] = {
    "displacement": ("Displacement",),
    "single-point": ("SinglePoint",),
    "budget": ("Budget",),
    "hausdorff": ("Hausdorff",),
    "strain": ("Strain",),
    "bottleneck": ("BottleneckBall",),
    "wasserstein-1": ("WassersteinBall", 1),
    "wasserstein-2": ("WassersteinBall", 2),
}

_FIGURES = "certified share against radius, or what each stage takes off the radius"
_MOVES = (
    "moves of each cloud to try at each of some sizes: adds what they change to the "
    "curve; the waterfall takes 5 where none are given"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add = parser.add_argument
    add("model", type=Path, help="folder written by `stablerank fit` or sr.save")
    add("data", type=Path, help="file (npy, npz, csv, parquet) or folder of clouds")
    add("--threat", choices=[*_THREATS], help="what may move; if not given, the usual")
    add("--eps", type=float, nargs="*", default=[], help="sizes to report on")
    add("--labels", type=Path, metavar="FILE", help="true labels, to compare with")
    add("--plot", type=Path, metavar="FILE", help="figure of the certificates")
    add("--figure", choices=["curve", "waterfall"], default="curve", help=_FIGURES)
    add("--moves", type=int, default=0, metavar="N", help=_MOVES)
    add("--out", type=Path, metavar="DIR", help="certificates.csv and certificates")
    add("--n-jobs", type=int, default=-1, metavar="N", help="processes; -1: every core")


def run(arguments: argparse.Namespace) -> None:
    """Certify, then print a table and the chain of theorems."""
    import numpy as np

    from stablerank.cli.clouds import read_clouds
    from stablerank.exceptions import InvalidInputError

    if any(not eps >= 0 for eps in arguments.eps):
        raise InvalidInputError(f"--eps needs numbers >= 0, got {arguments.eps}")
    if arguments.moves < 0:
        raise InvalidInputError(f"--moves needs a number >= 0, got {arguments.moves}")
    model = load_cloud_model(arguments.model, arguments.n_jobs)
    if not hasattr(model, "classes_"):
        raise InvalidInputError(
            f"{arguments.model} is a regressor; its intervals are to be had from "
            "Python: sr.load(folder).certify(clouds).interval(eps)"
        )
    clouds = read_clouds(arguments.data, arguments.labels)
    cert = model.certify(clouds.points, _threat(arguments.threat))
    threat = cert.threat
    y = _like(clouds.y, cert.label)
    radius = cert.radius
    print(f"{len(cert)} clouds, {int((radius > 0).sum())} certified, {threat}")
    low, middle, high = np.quantile(radius, [0.1, 0.5, 0.9], method="lower")
    print(f"radius: median {middle:.4g}, 10 % below {low:.4g}, 10 % above {high:.4g}")
    if arguments.eps:
        known = "" if y is None else f"{'and right':>12}"
        print(f"{'size':>12}{'certified':>12}{known}")
    for eps in arguments.eps:
        line = f"{eps:>12g}{cert.holds(eps).mean():>12.1%}"
        print(line + ("" if y is None else f"{cert.accuracy(y, eps):>12.1%}"))
    cert.bound.explain()
    if arguments.out is not None:
        cert.save(arguments.out)
        table = {
            "cloud": clouds.names,
            "label": cert.label,
            "radius": radius,
            "rival": cert.rival,
            "reason": cert.reason,
        }
        write_table(arguments.out / "certificates.csv", table)
        print(f"Written to {arguments.out}")
    if arguments.plot is not None:
        arguments.plot.parent.mkdir(parents=True, exist_ok=True)
        _figure(arguments, model, clouds.points, cert, y).savefig(
            arguments.plot, dpi=150
        )
        print(f"Figure: {arguments.plot}")
    print(
        f"In short: half of the predictions cannot change, whatever happens within "
        f"about {middle:.3g} ({threat}). This is proved, not measured."
    )


def _figure(
    arguments: argparse.Namespace, model: Any, points: list[Any], cert: Any, y: Any
) -> Any:
    """Certified (and attacked) share by radius, or the waterfall."""
    from stablerank.cli.moves import first_flips, seen_stages

    if arguments.figure == "waterfall":
        stages = seen_stages(model, points, cert, arguments.moves or 5)
        return cert.plot(kind="waterfall", stages=stages).figure
    attacked = None
    if arguments.moves:
        attacked = first_flips(model, points, cert, arguments.moves)
    return cert.plot(y, attacked=attacked).figure


def _threat(name: str | None) -> Any:
    """Threat of that name; None leaves the choice to the model."""
    from stablerank import metrics

    if name is None:
        return None
    cls, *arguments = _THREATS[name]
    return getattr(metrics, cls)(*arguments)


def _like(y: Any, label: Any) -> Any:
    """Labels from a file are text; compare them as the model's labels are."""
    from stablerank.exceptions import InvalidInputError

    if y is None:
        return None
    try:
        return y.astype(label.dtype) if label.dtype.kind != "U" else y.astype(str)
    except ValueError as error:
        msg = f"labels such as {y[0]!r} are none that the model knows"
        raise InvalidInputError(msg) from error
