"""The benchmark of layers: everybody runs, who is missing is named, memory is real."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.scripts import ROOT, benchmark_script

CPU = torch.device("cpu")


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("layers", monkeypatch)


def test_all_layers_run_and_peers_that_are_missing_are_named(
    layers, monkeypatch, tmp_path, capsys
) -> None:
    for name in ("deel", "deel.torchlip", "orthogonium", "orthogonium.layers"):
        monkeypatch.setitem(sys.modules, name, None)
    out, before = tmp_path / "layers.json", torch.get_num_threads()
    try:
        layers.main(["--quick", "--threads", "1", "--out", str(out)])
    finally:
        torch.set_num_threads(before)
    record = json.loads(out.read_text())
    for part, kinds in (("dense", layers.DENSE), ("conv", layers.CONV)):
        (rows,) = record[part].values()
        assert set(rows) == set(kinds)
        missing = {name for name, row in rows.items() if row == "not installed"}
        assert missing == {layers.PEER, "orthogonium, Ortho"}
        assert rows[layers.FLOOR]["over_plain"] == 1
        for name in set(kinds) - missing:
            assert rows[name]["ms"] > 0
            assert rows[name]["peak_mb"] > 0
            assert "faster_than_peer" not in rows[name]
    printed = capsys.readouterr().out
    for part in ("dense", "conv", "frozen"):
        assert layers.table(record[part]) in printed


def test_a_peer_that_runs_is_what_speeds_are_multiples_of(layers) -> None:
    kinds = {layers.FLOOR: lambda n: torch.nn.Linear(n, n)}
    kinds[layers.PEER] = kinds[layers.FLOOR]
    rows = layers.steps(kinds, 8, 4, 3, CPU)
    assert rows[layers.PEER]["faster_than_peer"] == 1
    seconds = {name: row["seconds"] for name, row in rows.items()}
    fast = layers.common.ratio(seconds, layers.PEER, layers.FLOOR)
    assert rows[layers.FLOOR]["faster_than_peer"] == fast
    assert layers.PEER in layers.table({"8": rows})


def test_a_step_of_training_changes_the_layer_and_reaches_its_input(layers) -> None:
    torch.manual_seed(0)
    step = layers.Step(layers.BRO(6, 6), torch.randn(4, 6))
    before = step.layer.weight.detach().clone()
    step()
    assert not torch.equal(before, step.layer.weight)
    assert step.x.grad is not None


@pytest.mark.parametrize("make", [torch.ones, np.ones], ids=["tensors", "arrays"])
def test_the_peak_counts_what_is_held_at_once(layers, make) -> None:
    def call() -> None:
        for _ in range(3):
            first = make(1_000_000)
            second = first + first
            del first, second

    both = 16.0 if make is np.ones else 8.0  # float64 and float32
    assert layers.peak_megabytes(call, CPU) == pytest.approx(both, rel=0.02)


def test_the_page_shows_the_tables_that_were_measured(layers) -> None:
    record = json.loads((ROOT / "benchmarks/results/layers.json").read_text())
    page = (ROOT / "docs/layers.md").read_text("utf-8")
    assert not record["settings"]["quick"]
    for part in ("dense", "conv", "frozen"):
        assert layers.table(record[part]) in page
