"""Batches of diagrams that tests of this folder share."""

from __future__ import annotations

from typing import Any

import numpy as np

from stablerank.diagrams import Diagrams, Source
from tests.strategies import Bars


def random_list(seed: int, n: int, n_channels: int = 2) -> list[list[Bars]]:
    """Random bars, some channels empty, some bars essential."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(n):
        sample = []
        for _ in range(n_channels):
            births = rng.uniform(size=rng.integers(0, 6))
            deaths = births + rng.uniform(size=len(births))
            deaths[rng.uniform(size=len(births)) < 0.2] = np.inf
            bars = np.stack([births, deaths], axis=1)
            sample.append(bars[np.argsort(np.isinf(deaths), kind="stable")])
        samples.append(sample)
    return samples


def full_batch(seed: int = 0, n: int = 9) -> Diagrams:
    """Three channels with everything that a batch can carry."""
    rng = np.random.default_rng(seed + 1000)
    plain = Diagrams.from_list(random_list(seed, n, 3))
    part = Source({"class": "Part"}, {"reach": rng.uniform(size=n)})
    return Diagrams(
        plain.bars,
        plain.offsets,
        ["alpha/H0", "alpha/H1", "dtm/H1"],
        [0, 1, 1],
        essential=plain.essential,
        essential_offsets=plain.essential_offsets,
        convention=["radius", "radius", "value"],
        unit=["angstrom", "angstrom", None],
        error=rng.uniform(size=(n, 3)),
        source=Source(
            {"class": "Union", "params": {"a": [1, 2.5], "b": None}},
            {"n_points": np.arange(n, dtype=float)},
            {"displacement in units of u": rng.uniform(size=(n, 2))},
            {"alpha": part},
        ),
        critical=rng.integers(-1, 50, (len(plain.bars), 2, 3)),
    )


def assert_same(a: Diagrams, b: Diagrams) -> None:
    """Everything equal, source and critical vertices included."""
    assert a.identical(b)
    a, b = a.compact(), b.compact()
    assert (a.degrees, a.conventions, a.units) == (b.degrees, b.conventions, b.units)
    assert (a.critical is None) == (b.critical is None)
    if a.critical is not None and b.critical is not None:
        np.testing.assert_array_equal(a.critical, b.critical)
    assert_same_source(a.source, b.source)


def assert_same_source(a: Source | None, b: Source | None) -> None:
    """Spec, geometry, weights and parts equal."""
    if a is None or b is None:
        assert a is b
        return
    assert a.same_extractor(b)
    for table, other in ((a.geometry, b.geometry), (a.weights, b.weights)):
        assert table.keys() == other.keys()
        for name in table:
            np.testing.assert_array_equal(table[name], other[name])
    assert a.parts.keys() == b.parts.keys()
    for name in a.parts:
        assert_same_source(a.parts[name], b.parts[name])


def check_samples(part: Diagrams, whole: Diagrams, rows: Any) -> None:
    """Sample i of the part is sample rows[i] of the whole, with all it carries."""
    assert isinstance(part, Diagrams)
    assert part.shape == (len(part),) == (len(rows),)
    for i, row in enumerate(rows):
        for mine, theirs in zip(part[i], whole[int(row)], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(part.error[i], whole.error[row])
    if whole.source is not None:
        assert_same_source(part.source, whole.source[np.asarray(rows, np.int64)])
