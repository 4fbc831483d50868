"""Graphs of layers and of frozen programs: compiled, exported, and without us.

A few rows always, all of them with `python -m pytest -m nightly tests/nn`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Abs, Program
from stablerank.nn import Layer, export
from tests.frozen.test_errors import bar_program
from tests.nn.layers import ROWS, made, program
from tests.nn.test_layers import inputs

NIGHTLY = pytest.mark.nightly


def some(*always: str) -> list[object]:
    """Every row; those not named at night only."""
    assert set(always) <= set(ROWS)
    return [
        name if name in always else pytest.param(name, marks=NIGHTLY) for name in ROWS
    ]


def gradients(layer: Layer, x: torch.Tensor, forward: object) -> list[torch.Tensor]:
    y = forward(x)  # type: ignore[operator]
    if any(p.requires_grad for p in layer.parameters()):
        y.square().sum().backward()
    return [y.detach(), *(p.grad for p in layer.parameters() if p.grad is not None)]


def compiled_alike(name: str, backend: str) -> None:
    layer, other, x = made(name).train(), made(name).train(), inputs(8)
    # What training draws at random, a compiler may draw in another order.
    for module in (layer, other):
        module.set_progress(1.0)
    expected = gradients(layer, x, layer)
    torch._dynamo.reset()
    # One graph: nothing in a forward pass falls back to Python.
    compiled = torch.compile(other, backend=backend, fullgraph=True)
    found = gradients(other, x, compiled)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    "name",
    some("network, maxmin", "network, sortnet", "network, bro"),
)
def test_compiled_layers_train_alike_in_one_graph(name: str) -> None:
    compiled_alike(name, "aot_eager")


@NIGHTLY
@pytest.mark.skipif(not shutil.which("g++"), reason="Inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own code
@pytest.mark.parametrize("name", [n for n in ROWS if n.startswith("network")])
def test_networks_compiled_to_machine_code_train_alike(name: str) -> None:
    compiled_alike(name, "inductor")


@pytest.mark.parametrize(
    "name", some("network, maxmin", "network, distance", "network, bro", "spline")
)
def test_exported_layers_take_any_number_of_rows(name: str) -> None:
    layer, rows = made(name), torch.export.Dim("rows", min=1)
    graph = torch.export.export(layer, (inputs(3),), dynamic_shapes=({0: rows},))
    with torch.no_grad():
        for n in (1, 3, 20):
            expected = layer(inputs(n))
            assert torch.allclose(graph.module()(inputs(n)), expected, atol=1e-12)


# --- programs as graphs of torch alone ----------------------------------------------


@pytest.mark.parametrize(
    "name",
    some(*(n for n in ROWS if n.startswith("network")), "SOC", "Householder", "spline"),
)
def test_an_exported_program_has_the_bits_of_the_program(name: str) -> None:
    frozen = program(made(name), ROWS[name].norm)
    graph = export(frozen)
    assert not [n for n in graph.graph.nodes if "stablerank" in str(n.target)]
    for n in (1, 20):
        x = 3 * inputs(n)  # some beyond the box, where the program clips
        assert torch.equal(graph.module()(x), frozen.evaluate(x))


def test_a_saved_graph_runs_where_there_is_no_stablerank(tmp_path: Path) -> None:
    frozen = program(made("network, mixed"), 2)
    x = inputs(7)
    torch.export.save(export(frozen), tmp_path / "graph.pt2")
    np.save(tmp_path / "x.npy", x.numpy())
    code = f"""
import sys
sys.modules["stablerank"] = None
import numpy, torch
graph = torch.export.load({str(tmp_path / "graph.pt2")!r}).module()
x = torch.from_numpy(numpy.load({str(tmp_path / "x.npy")!r}))
numpy.save({str(tmp_path / "y.npy")!r}, graph(x).detach().numpy())
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "y.npy"), frozen.evaluate(x).numpy())


def test_programs_on_diagrams_are_exported_from_their_features_on() -> None:
    bars = bar_program()
    features = len(bars.widths) - 1
    frozen = Program(bars.inputs, (*bars.operations, Abs((features,))))
    with pytest.raises(InvalidInputError, match="after"):
        export(frozen)
    rest = frozen.after(features)
    x = torch.rand(3, frozen.widths[features], dtype=torch.float64)
    assert torch.equal(export(rest).module()(x), rest.evaluate(x))
