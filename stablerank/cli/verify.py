"""Decide saved certificates again, and, given the inputs, their diagrams too."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from stablerank.diagrams import Diagrams

__all__ = ["Comparison", "add_arguments", "compare", "extract_again", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add = parser.add_argument
    add("folder", type=Path, help="written by Certificates.save or certify --out")
    add(
        "--recompute",
        type=Path,
        metavar="DATA",
        help="the clouds (file or folder): extract again, by a second engine where "
        "there is one, and compare with the bars in the file",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the checker's report; 0 if all stands, else 1."""
    from stablerank.certify import checker

    status = checker.main([str(arguments.folder)])
    if status or arguments.recompute is None:
        return status
    from stablerank.certify import Certificates
    from stablerank.cli.clouds import read_clouds

    saved = Certificates.load(arguments.folder).evidence["data"]
    clouds = read_clouds(arguments.recompute)
    again, engines = extract_again(saved, clouds.points)
    for engine in engines:
        print(f"again     {engine}")
    wrong = 0
    for name, found in zip(clouds.names, compare(saved, again), strict=True):
        wrong += not found.agrees
        verdict = "agrees" if found.agrees else "DIFFERS"
        print(
            f"{verdict:<9} {name}: {found.channel} by {found.distance:.3g}, "
            f"{found.allowed:.3g} allowed"
        )
    return int(wrong > 0)


def extract_again(saved: Diagrams, inputs: Any) -> tuple[Diagrams, list[str]]:
    """Diagrams of the inputs by other engines than those that made the saved ones.

    Parameters
    ----------
    saved : Diagrams
        With their source, which says how they were made.
    inputs : list of samples
        What they were made of, in the same order.

    Returns
    -------
    Diagrams
    list of str
        What computed them, one line an extractor.
    """
    from stablerank.exceptions import InvalidInputError
    from stablerank.extract import PersistenceUnion
    from stablerank.extract.restore import restore_extractor

    if saved.source is None:
        raise InvalidInputError(
            "the certificates start from bars that do not say where they come from, so "
            "nothing can be extracted again"
        )
    if len(inputs) != len(saved):
        raise InvalidInputError(f"{len(inputs)} inputs for {len(saved)} certificates")
    extractor = restore_extractor(saved.source.spec)
    parts = [("", extractor)]
    if isinstance(extractor, PersistenceUnion):
        parts = [(f"{name}: ", part) for name, part in extractor.extractors_]
    engines = [prefix + _other_engine(part) for prefix, part in parts]
    return extractor.transform(inputs).select(saved.channels), engines


def _other_engine(extractor: Any) -> str:
    """Set a fitted extractor to another engine, if it has one; return which."""
    from stablerank import extract

    match extractor:
        case extract.AlphaPersistence(precision="exact"):
            extractor.precision = "safe"
            return "gudhi alpha in interval arithmetic"
        case extract.AlphaPersistence():
            extractor.precision = "exact"
            return "gudhi alpha in rational arithmetic"
        case extract.RipsPersistence(sparse=None):
            extractor.engine = "gudhi" if extractor.engine == "ripser" else "ripser"
            return f"{extractor.engine} Rips"
        case extract.DTMPersistence() | extract.CubicalPersistence():
            extractor.critical = not extractor.critical
            kind = "general cubical" if extractor.critical else "line and plane"
            return f"gudhi's algorithm for {kind} complexes"
    return f"{type(extractor).__name__} once more, there is no second engine"


class Comparison(NamedTuple):
    """The channel of one sample where old and new bars differ most for their errors."""

    channel: str
    distance: float  # bottleneck, or an upper bound of it that is small enough
    allowed: float  # sum of the two stated errors

    @property
    def agrees(self) -> bool:
        """Whether the bars are as near as their errors say."""
        return self.distance <= self.allowed


def compare(saved: Diagrams, again: Diagrams) -> list[Comparison]:
    """Compare diagrams of the same inputs, sample by sample.

    Examples
    --------
    >>> from stablerank import Diagrams
    >>> a = Diagrams.from_list([[[(0.0, 1.0)]]], error=0.01)
    >>> b = Diagrams.from_list([[[(0.0, 1.0625)]]], error=0.01)
    >>> compare(a, b)[0].distance, compare(a, b)[0].agrees
    (0.0625, False)
    """
    from stablerank.rounding import add_up

    found = []
    for i, (old, new) in enumerate(zip(saved, again, strict=True)):
        rows = []
        for c, name in enumerate(saved.channels):
            allowed = float(add_up(saved.error[i, c], again.error[i, c]))
            rows.append(
                Comparison(name, _distance(old[name], new[name], allowed), allowed)
            )
        found.append(max(rows, key=lambda row: (not row.agrees, row.distance)))
    return found


def _distance(a: Any, b: Any, allowed: float) -> float:
    """Bottleneck distance of finite bars; where sorting matches them well, that."""
    import numpy as np

    from stablerank.matching import bottleneck_distance

    a, b = (x[np.isfinite(x[:, 1])] for x in (a, b))
    a, b = (x[np.lexsort((x[:, 0], x[:, 1]))] for x in (a, b))
    if a.shape == b.shape:
        # Any matching bounds the distance; this one is the best, as a rule.
        near = (
            float(np.nextafter(np.abs(a - b).max(initial=0.0), np.inf)) * (a != b).any()
        )
        if near <= allowed:
            return float(near)
    return bottleneck_distance(a, b)
