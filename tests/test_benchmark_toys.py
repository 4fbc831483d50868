"""The toys: shapes of known size, a fair budget, and a page that tells the truth."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from stablerank.nn import TemperatureCrossEntropy
from tests.scripts import ROOT, benchmark_script

PAGE = ROOT / "docs" / "losses.md"


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("toys", monkeypatch)


@pytest.fixture
def record() -> dict[str, Any]:
    file = ROOT / "benchmarks" / "results" / "toys.json"
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("order", range(5))
def test_the_snowflake_has_the_area_of_koch(toys: ModuleType, order: int) -> None:
    corners = toys.koch(order)
    assert len(corners) == 3 * 4**order
    area = float((corners.conj() * np.roll(corners, -1)).imag.sum()) / 2
    triangle = 3 * math.sqrt(3) / 4
    assert area == pytest.approx(triangle * (1 + 0.6 * (1 - (4 / 9) ** order)))


def test_shapes_have_two_classes_that_come_close(toys: ModuleType) -> None:
    for shape in toys.SHAPES.values():
        x, y = shape(300)
        assert x.shape == (300, 2)
        assert set(y) == {0, 1}
        gap = toys.cdist(x[y == 0], x[y == 1]).min()
        assert 0 < gap < 0.3


def test_a_budget_of_steps_gives_the_same_network_twice(toys: ModuleType) -> None:
    x, y = toys.spirals(60)
    outputs = []
    for _ in range(2):
        network = toys.new_network("bro", 2, 2, (8,), seed=3)
        loss = TemperatureCrossEntropy(4.0)
        share = lambda done: done / 7  # noqa: E731
        assert toys.train(network, loss, x, y, share, seed=3, batch=20) == 7
        outputs.append(network(torch.tensor(x, dtype=torch.float32)))
    assert torch.equal(*outputs)


def test_training_ends_when_every_point_is_right(toys: ModuleType) -> None:
    x = np.array([[-1.0, 0.0], [1.0, 0.0]] * 5)
    y = np.array([0, 1] * 5)
    network = toys.new_network("bro", 2, 2, (8,), seed=0)
    share = toys.until_fitted(network, x, y, limit=1000)
    loss = TemperatureCrossEntropy(4.0)
    steps = toys.train(network, loss, x, y, share, seed=0, batch=10)
    assert steps % toys.LOOK == 0
    assert steps < 1000
    assert (toys.certificates(network, x).label == y).all()


def test_the_page_holds_the_numbers_of_the_record(record: dict[str, Any]) -> None:
    page = PAGE.read_text("utf-8")
    for name, layer in record["layers"].items():
        cells = [
            f"{100 * v['mean']:.1f} ± {100 * v['std']:.1f}"
            for v in layer["accuracy"].values()
        ]
        row = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", page, re.MULTILINE)
        assert row is not None, name
        assert [cell.strip() for cell in row[1].split("|")] == cells
    for name, shape in record["boundary"].items():
        cells = [f"{100 * run['train_accuracy']:.1f}" for run in shape["runs"]]
        row = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", page, re.MULTILINE)
        assert row is not None, name
        assert [c.strip() for c in row[1].split("|")] == [
            f"{shape['smallest_gap']:.3f}",
            *cells,
        ]


def test_constant_one_fits_every_boundary_of_the_record(record: dict[str, Any]) -> None:
    assert not record["settings"]["quick"]
    for shape in record["boundary"].values():
        assert shape["runs"][-1]["train_accuracy"] == 1.0


@pytest.mark.nightly
def test_the_toys_run(tmp_path: Path) -> None:
    out, figure = tmp_path / "toys.json", tmp_path / "toys.png"
    file = ROOT / "benchmarks" / "toys.py"
    options = ["--quick", "--out", str(out), "--figure", str(figure)]
    subprocess.run(
        [sys.executable, str(file), *options],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=True,
    )
    assert set(json.loads(out.read_text())["layers"]) >= {"bro", "cayley", "aol", "sll"}
    assert figure.stat().st_size > 10_000
