"""A small honest extractor: the range of a signal, and of its steps.

It stands in a module of its own because worker processes import it.  It keeps a
journal of what it was really asked to compute, for tests of the cache.
"""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from numpy.typing import NDArray

from stablerank.bounds import Bound
from stablerank.diagrams import Source
from stablerank.exceptions import EngineError
from stablerank.extract.base import Extracted, Extractor, needs_samples, no_theorem
from stablerank.extract.cost import SampleCost
from stablerank.metrics import Bottleneck, PixelSup, SortedDeaths, Strain, Threat
from stablerank.validation import check_images

BAD = 666.0


class RangePersistence(Extractor):
    """Bars (min, max) of the values in degree 0, of the steps in degree 1.

    Values move the first bar by at most as much, the second by twice as much.
    """

    convention = "value"
    unit = "volt"
    _runtime: ClassVar[tuple[str, ...]] = (*Extractor._runtime, "journal", "delay")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._parameter_constraints,
        "scale": [numbers.Real],
        "journal": [str, None],
        "delay": [numbers.Real],
    }

    def __init__(
        self,
        homology_dimensions: Sequence[int] = (0, 1),
        *,
        scale: float = 1.0,
        journal: str | None = None,
        delay: float = 0.0,
        critical: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.homology_dimensions = homology_dimensions
        self.scale = scale
        self.journal = journal
        self.delay = delay
        self.critical = critical
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    def _read(self, X: Any) -> list[Any]:
        return check_images(X)

    def _n_features(self, sample: NDArray[np.float64]) -> int:
        return sample.ndim  # signals may differ in length

    def _fit(self, samples: list[Any]) -> None:
        self.largest_ = float(max(s.max() for s in samples))

    def _channels(self) -> tuple[list[str], list[int]]:
        return [f"H{k}" for k in self.homology_dimensions], [*self.homology_dimensions]

    def _transform_one(self, sample: NDArray[np.float64]) -> Extracted:
        if self.journal is not None:
            with Path(self.journal).open("a") as file:
                file.write(f"{sample[0]:g}\n")
        time.sleep(self.delay)
        if sample[0] == BAD:
            raise EngineError("the engine met the number of the beast; drop the sample")
        bars, essential, critical = [], [], []
        for k in self.homology_dimensions:
            values = self.scale * (np.diff(sample) if k else sample)
            low, high = int(values.argmin()), int(values.argmax())
            rows = slice(0, int(values[low] < values[high]))
            bars.append(np.array([[values[low], values[high]]])[rows])
            essential.append(np.array([] if k else [values[low]]))
            critical.append(np.array([[[low], [high]]])[rows])
        return Extracted(
            bars,
            essential,
            [2.0**-50] * len(bars),
            {"n_values": float(len(sample)), "pid": float(os.getpid())},
            critical if self.critical else None,
        )

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        constants = {0: 1.0, 1: 2.0}
        if isinstance(threat, Strain):  # a constant of the sample
            if source is None:
                raise needs_samples("its number of values")
            return self._same(
                Bound(threat, Bottleneck(), source.geometry["n_values"], "X14")
            )
        if not isinstance(threat, PixelSup):
            raise no_theorem(self, threat, "PixelSup()")
        names, degrees = self._channels()
        return {
            name: [
                Bound(threat, SortedDeaths(), 0.5, "H1"),
                Bound(threat, Bottleneck(), 7.0, "X10"),
                Bound(threat, Bottleneck(), constants[k], "X10", offset=0.5 * (k == 0)),
            ]
            for name, k in zip(names, degrees, strict=True)
        }

    def _cost(self, sample: NDArray[np.float64]) -> SampleCost:
        return SampleCost(memory=8e6 * len(sample), seconds=1e-3)

    def _cheaper(self) -> str:
        return "a shorter signal (nothing to pay)"

    def _pullback(
        self,
        sample: NDArray[np.float64],
        critical: NDArray[np.int64],
        grad: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        result = np.zeros_like(sample)
        np.add.at(result, critical[..., 0], self.scale * grad)
        return result


class SilentPersistence(RangePersistence):
    """The same without any idea of which values set the bars."""

    _pullback = Extractor._pullback
