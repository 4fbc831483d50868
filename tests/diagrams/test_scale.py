"""Large batches are handled without a Python loop over bars.

The limits are loose on purpose: they tell milliseconds from minutes on any machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from stablerank.diagrams import Diagrams
from stablerank.diagrams.packing import offsets_of


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.perf_counter()
    yield
    taken = time.perf_counter() - start
    assert taken < seconds, f"took {taken:.2f} s, more than {seconds} s"


def batch(n: int, mean_bars: int) -> Diagrams:
    rng = np.random.default_rng(0)
    counts = rng.poisson(mean_bars, (n, 2))
    births = rng.uniform(size=counts.sum())
    bars = np.stack([births, births + rng.uniform(size=len(births))], axis=1)
    return Diagrams(bars, offsets_of(counts), ["H0", "H1"], [0, 1], error=1e-12)


def use(dgms: Diagrams, path: Path, unit: float) -> None:
    """Everything that a pipeline does to a batch; `unit` is one pass over the bars."""
    n = len(dgms)
    order = np.random.default_rng(1).permutation(n)
    with within(0.1 + unit / 10):
        views = [dgms[: n // 2], dgms[n // 2 :], dgms[order]]
        one = dgms[n // 3]
    np.testing.assert_array_equal(one[1], dgms[n // 3 : n // 3 + 1].compact()[0][1])
    with within(0.5 + 20 * unit):
        joined = Diagrams.concat(views[:2])
        assert joined.identical(dgms)
        shuffled = views[2].compact()
        assert shuffled.counts.sum() == dgms.counts.sum()
        h1 = dgms.select(["H1"])
        assert len(h1.bars) == dgms.counts[:, 1].sum()
    with within(2 + 60 * unit):
        dgms.save(path)
        assert Diagrams.load(path).identical(dgms)


def test_half_a_million_bars_take_moments(tmp_path: Path) -> None:
    dgms = batch(5000, 50)
    use(dgms, tmp_path / "d.npz", unit=0.02)


@pytest.mark.nightly
def test_fifteen_million_bars_take_seconds(tmp_path: Path) -> None:
    dgms = batch(5000, 1500)
    assert dgms.counts.sum() > 14_000_000
    use(dgms, tmp_path / "d.npz", unit=0.3)
