"""The page on ORBIT5K shows what was measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.scripts import ROOT

PAGE = (ROOT / "docs" / "orbit5k.md").read_text(encoding="utf-8")


def record(name: str) -> dict[str, Any]:
    file = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "more"),
    [("orbit5k", ""), ("orbit5k_paper", ""), ("orbit5k_learned", ", learned bank")],
)
def test_the_page_shows_every_preset_as_measured(name: str, more: str) -> None:
    for preset, own in record(name)["presets"].items():
        cells = (
            f"{100 * v['mean']:.1f} ± {100 * v['std']:.1f}"
            for v in own["accuracy"].values()
        )
        assert f"| {' | '.join([preset + more, *cells])} |" in PAGE


def test_the_page_says_how_long_a_learned_bank_takes() -> None:
    learned, fixed = (
        f"{record(name)['presets']['balanced']['seconds']:.0f} s"
        for name in ("orbit5k_learned", "orbit5k")
    )
    assert f"certified in {learned}, with the fixed bank in\n{fixed}" in PAGE


def test_the_page_shows_the_ablation_as_measured() -> None:
    for name, own in record("ablation")["rows"].items():
        cells = (f"{100 * share:.1f}" for share in own["mean"])
        assert f"| {' | '.join([name, *cells])} |" in PAGE
