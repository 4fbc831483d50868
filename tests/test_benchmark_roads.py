"""The benchmark of the two roads asks both of them the same question."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType

import pytest

from stablerank.datasets import shapes
from tests.scripts import ROOT, benchmark_script


@pytest.fixture
def roads(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("roads", monkeypatch)


def test_both_roads_are_run_and_shown(roads, monkeypatch, tmp_path, capsys) -> None:
    small = replace(
        roads.PROBLEMS["shapes"], make=lambda: shapes(6, 40, noise=0.1, seed=0)
    )
    monkeypatch.setitem(roads.PROBLEMS, "shapes", small)
    out = tmp_path / "roads.json"
    roads.main(["--sets", "shapes", "--seeds", "1", "--epochs", "2", "--out", str(out)])
    record = json.loads(out.read_text())["sets"]["shapes"]
    assert record["threat"] == "Budget()"
    printed = capsys.readouterr().out
    assert printed.startswith(roads.table({"shapes": record}))
    for road in ("l_inf", "l_2"):
        assert f"|  | {road} |" in printed
        own = record["roads"][road]
        shares = [own[k]["mean"] for k in ("clean", *map(str, small.radii))]
        assert shares == sorted(shares, reverse=True)
        assert own["constant"]["mean"] > 0


def test_the_page_shows_the_table_that_was_measured(roads) -> None:
    record = json.loads((ROOT / "benchmarks/results/roads.json").read_text())
    assert roads.table(record["sets"]) in (ROOT / "docs/roads.md").read_text("utf-8")
