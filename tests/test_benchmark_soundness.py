"""The page on soundness shows what was measured, and what was measured is no hit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.scripts import ROOT

PAGE = (ROOT / "docs" / "soundness.md").read_text(encoding="utf-8")


@pytest.fixture
def record() -> dict[str, Any]:
    file = ROOT / "benchmarks" / "results" / "soundness.json"
    return json.loads(file.read_text(encoding="utf-8"))


def test_nothing_was_broken_in_ten_thousand_certificates(
    record: dict[str, Any],
) -> None:
    assert record["broken"] == []
    total = record["within"]["all"]
    assert total["certified"] >= 10_000
    assert total["succeeded"] == 0


def test_every_attack_and_every_planted_model_is_broken_beyond(
    record: dict[str, Any],
) -> None:
    assert all(max(rates) > 0 for rates in record["planted_by_attack"].values())
    assert all(rates[0] > 0 for rates in record["planted"].values())


def test_the_page_shows_the_numbers_of_the_record(record: dict[str, Any]) -> None:
    for name, own in record["within"].items():
        cells = [own[key] for key in ("certified", "tried", "succeeded", "rejected")]
        row = " | ".join(map(str, [name, *cells, f"{own['at_most']:.1e}"]))
        assert f"| {row} |" in PAGE
    for table in ("planted_by_attack", "models"):
        for name, rates in record[table].items():
            row = " | ".join(f"{100 * rate:.0f}" for rate in rates)
            assert f"| {name} | {row} |" in PAGE
