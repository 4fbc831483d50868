"""The cost of a batch is forecast, and refused in words that help."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stablerank.exceptions import CostLimitError
from stablerank.extract import cost
from stablerank.extract.cost import (
    CostEstimate,
    SampleCost,
    readable,
    refuse_if_too_large,
)
from tests.extract.tiny import RangePersistence

COSTS = [SampleCost(1e6, 1.0), SampleCost(5e6, 2.0), SampleCost(2e6, 3.0)]


def test_workers_hold_the_largest_samples_side_by_side_and_share_the_time() -> None:
    alone, pair = CostEstimate.of(COSTS, 1), CostEstimate.of(COSTS, 2)
    assert alone == CostEstimate(memory=5e6, seconds=6.0, largest=1, workers=1)
    assert pair == CostEstimate(memory=7e6, seconds=3.0, largest=1, workers=2)
    assert CostEstimate.of(COSTS[:1], 2).workers == 1  # never more than samples


def test_an_estimate_reads_as_a_sentence() -> None:
    assert str(CostEstimate.of(COSTS, 2)) == (
        "about 3.0 s and 7.0 MB with 2 worker(s); sample 1 needs most"
    )


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0.0 B"),
        (999, "999.0 B"),
        (1000, "1.0 kB"),
        (2.5e6, "2.5 MB"),
        (8e9, "8.0 GB"),
        (3.2e15, "3200.0 TB"),
    ],
)
def test_bytes_are_written_as_people_read_them(n_bytes: float, text: str) -> None:
    assert readable(n_bytes) == text


def test_work_beyond_the_limit_is_refused_with_the_cheaper_options() -> None:
    estimate = CostEstimate.of(COSTS, 2)
    refuse_if_too_large(estimate, 7e6, "fewer points")
    with pytest.raises(CostLimitError) as caught:
        refuse_if_too_large(estimate, 7e6 - 1, "fewer points (no loss)")
    message = str(caught.value)
    for words in (
        "sample 1 ",
        "7.0 MB with 2 worker(s)",
        "limit is 7.0 MB (max_memory)",
        "Cheaper: fewer points (no loss)",
        "fewer n_jobs",
        "a larger max_memory",
    ):
        assert words in message
    assert isinstance(caught.value, MemoryError)


def test_without_a_limit_four_fifths_of_the_free_memory_is_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        cost.psutil, "virtual_memory", lambda: SimpleNamespace(available=10e6)
    )
    refuse_if_too_large(CostEstimate(8e6, 1.0, 0, 1), None, "")
    with pytest.raises(CostLimitError, match=r"the limit is 8\.0 MB"):
        refuse_if_too_large(CostEstimate(8e6 + 1, 1.0, 0, 1), None, "")


def test_an_extractor_refuses_before_it_starts(
    tmp_path: Path,
) -> None:
    journal = f"{tmp_path}/journal"
    signals = [np.arange(3.0), np.arange(30.0), np.arange(4.0)]
    extractor = RangePersistence(max_memory=1e8, journal=journal).fit(signals)
    assert extractor.estimate_cost(signals).largest == 1
    with pytest.raises(CostLimitError, match=r"sample 1 .*a shorter signal"):
        extractor.transform(signals)
    assert len(extractor.transform(signals[::2])) == 2
    assert len(Path(journal).read_text().split()) == 2


def test_estimates_extract_nothing(tmp_path: Path) -> None:
    journal = f"{tmp_path}/journal"
    extractor = RangePersistence(journal=journal, n_jobs=2)
    estimate = extractor.estimate_cost(np.zeros((4, 10)))
    assert (estimate.workers, estimate.memory) == (2, 1.6e8)
    assert not Path(journal).exists()
