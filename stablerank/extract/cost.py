"""What an extraction will take, said before it starts.

Memory of a persistence computation explodes with the number of simplices; the
process is then killed without a word.  So every extractor forecasts, and refuses
past a limit, naming cheaper options and their price in the certificate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from joblib import effective_n_jobs

from stablerank.exceptions import CostLimitError

__all__ = ["CostEstimate", "SampleCost", "refuse_if_too_large"]

#: Share of the free memory that may be used unless `max_memory` says otherwise.
_SHARE = 0.8


@dataclass(frozen=True)
class SampleCost:
    """Forecast for one sample: peak bytes while it runs, seconds on one core."""

    memory: float
    seconds: float


@dataclass(frozen=True)
class CostEstimate:
    """Forecast for a batch.

    Attributes
    ----------
    memory : float
        Peak bytes: the largest samples side by side, as many as there are workers.
    seconds : float
        Wall time, divided over the workers.
    largest : int
        The sample that needs most memory.
    workers : int
        Processes.
    """

    memory: float
    seconds: float
    largest: int
    workers: int

    def __str__(self) -> str:
        return (
            f"about {self.seconds:.1f} s and {readable(self.memory)} with "
            f"{self.workers} worker(s); sample {self.largest} needs most"
        )

    @classmethod
    def of(cls, samples: Sequence[SampleCost], n_jobs: int | None) -> CostEstimate:
        """Combine the forecasts of the samples of a batch.

        Examples
        --------
        >>> print(CostEstimate.of([SampleCost(2e9, 3.0)], n_jobs=1))
        about 3.0 s and 2.0 GB with 1 worker(s); sample 0 needs most
        """
        workers = max(1, min(effective_n_jobs(n_jobs), len(samples)))
        peaks = sorted((cost.memory for cost in samples), reverse=True)
        largest = max(range(len(samples)), key=lambda i: samples[i].memory)
        seconds = sum(cost.seconds for cost in samples) / workers
        return cls(sum(peaks[:workers]), seconds, largest, workers)


def readable(n_bytes: float) -> str:
    """Bytes as people read them.

    Examples
    --------
    >>> readable(1.5e9)
    '1.5 GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def refuse_if_too_large(
    estimate: CostEstimate, max_memory: float | None, cheaper: str
) -> None:
    """Raise `CostLimitError` if the forecast passes the limit.

    Parameters
    ----------
    estimate : CostEstimate
        Forecast of the batch.
    max_memory : float, optional
        Bytes; None is 80 % of what is free now.
    cheaper : str
        Options that need less, with what they cost in the certificate.
    """
    limit = max_memory
    if limit is None:
        limit = _SHARE * psutil.virtual_memory().available
    if estimate.memory <= limit:
        return
    raise CostLimitError(
        f"sample {estimate.largest} and its neighbours would need "
        f"{readable(estimate.memory)} with {estimate.workers} worker(s), the limit is "
        f"{readable(limit)} (max_memory). Cheaper: {cheaper}; or fewer n_jobs, or a "
        "larger max_memory"
    )
