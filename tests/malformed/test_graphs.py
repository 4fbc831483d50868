"""Graphs that are refused, and odd ones that are fine."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch

from stablerank import GraphPersistence
from stablerank.exceptions import (
    CostLimitError,
    DataTypeError,
    EmptyInputError,
    GraphFormatError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.extract import Extractor
from tests.malformed.refusals import Row, assert_refused, table

MAKERS: dict[str, Callable[[], Extractor]] = {
    "lower star": lambda: GraphPersistence(vertex_function="values"),
    "extended": lambda: GraphPersistence(vertex_function="values", extended=True),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)

EDGES = [[0, 1], [1, 2], [2, 3], [3, 0]]
VALUES = [0.0, 3.0, 1.0, 2.0]
GRAPH = (EDGES, VALUES)


def network(cls: type = nx.Graph, **values: Any) -> Any:
    """The same graph in networkx; `v1=7.0` changes the value of vertex 1."""
    graph = cls(EDGES)
    for vertex, value in enumerate(VALUES):
        new = values.get(f"v{vertex}", value)
        if new is not None:
            graph.nodes[vertex]["values"] = new
    return graph


def with_loop() -> nx.Graph:
    graph = network()
    graph.add_edge(2, 2)
    return graph


def valued(*values: Any) -> list[Any]:
    return [GRAPH, (EDGES, values)]


REFUSED = table(
    Row(
        "directed",
        [network(), network(nx.DiGraph)],
        GraphFormatError,
        ("[1]", "directed", ".to_undirected()"),
    ),
    Row(
        "self-loop in networkx",
        [with_loop()],
        GraphFormatError,
        ("vertex 2", "joined to itself", "remove the self-loop"),
    ),
    Row("self-loop", [([[1, 1]], VALUES)], GraphFormatError, ("edge 0", "vertex 1")),
    Row(
        "missing value in networkx",
        [network(v1=None)],
        GraphFormatError,
        ("vertex 1", "no value", "every vertex"),
    ),
    Row("no values", [nx.Graph(EDGES)], GraphFormatError, ("'values'", "add them")),
    Row("no values given", [{"edges": EDGES}], GraphFormatError, ("'values'",)),
    Row(
        "one value too few",
        valued(0.0, 1.0, 2.0),
        GraphFormatError,
        ("[1]", "vertex 3", "every vertex a value"),
    ),
    Row("one value too many", valued(*VALUES, 1.0, [1]), ShapeError, ("ragged",)),
    Row("nan", valued(0.0, math.nan, 1.0, 2.0), NonFiniteError, ("vertex 1", "nan")),
    Row("None", valued(0.0, 1.0, None, 2.0), NonFiniteError, ("vertex 2", "None")),
    Row("nan in networkx", [network(v3=math.nan)], NonFiniteError, ("vertex 3",)),
    Row("inf", valued(0.0, 1.0, 2.0, math.inf), NonFiniteError, ("inf", "row 3")),
    Row("huge", valued(0.0, 1.0, 2.0, 1e200), NumericRangeError, ("overflow",)),
    Row("strings", valued(*"abcd"), DataTypeError, ("<U1", "real numbers")),
    Row("complex", valued(1j, 0, 0, 0), DataTypeError, ("Complex data",)),
    Row("bool", valued(True, False, True, True), DataTypeError, ("bool",)),
    Row("columns", [(EDGES, np.ones((4, 2)))], ShapeError, ("(4, 2)", "one number")),
    Row("end outside", [([[0, 9]], VALUES)], GraphFormatError, ("vertex 9", "0 to 3")),
    Row("end below", [([[-1, 0]], VALUES)], GraphFormatError, ("vertex -1", "from 0")),
    Row(
        "edges turned",
        [(np.array(EDGES).T, VALUES)],
        ShapeError,
        ("(2, 4)", "(n_edges, 2)", "transpose"),
    ),
    Row("edges of floats", [([[0.0, 1.0]], VALUES)], DataTypeError, ("float64",)),
    Row("edges of names", [([["a", "b"]], VALUES)], DataTypeError, ("integers",)),
    Row("triangles", [([[0, 1, 2]], VALUES)], ShapeError, ("(1, 3)", "(n_edges, 2)")),
    Row("no vertices", [nx.Graph()], EmptyInputError, ("no vertices", "drop")),
    Row("nothing in it", [([], [])], EmptyInputError, ("no vertices",)),
    Row("no samples", [], EmptyInputError, ("0 samples",)),
    Row("single graph", network(), ShapeError, ("single graph", "[X]")),
    Row("single pair", GRAPH, DataTypeError, ("[0]", "[X]")),
    Row("adjacency", [np.eye(4)], DataTypeError, ("ndarray", "(edges, values)")),
    Row(
        "sparse adjacency",
        [scipy.sparse.csr_matrix(np.eye(4))],
        DataTypeError,
        ("csr_matrix", "(edges, values)"),
    ),
    Row("array", np.array(EDGES), DataTypeError, ("(4, 2)", "list of graphs")),
    Row("word", "graph", DataTypeError, ("str", "list of graphs")),
    Row("nothing", None, DataTypeError, ("NoneType", "list of graphs")),
    Row("list for a pair", [[EDGES, VALUES]], DataTypeError, ("list", "tuple")),
    Row("three parts", [(EDGES, VALUES, 1)], DataTypeError, ("tuple (edges, values)",)),
    Row("no edges", [{"values": VALUES}], DataTypeError, ("dict", "'edges'")),
    Row(
        "number of vertices",
        [{"edges": EDGES, "values": VALUES, "n_vertices": "4"}],
        GraphFormatError,
        ("n_vertices", "'4'"),
    ),
    Row(
        "more vertices than values",
        [{"edges": EDGES, "values": VALUES, "n_vertices": 6}],
        ShapeError,
        ("6 vertices", "(4,)"),
    ),
)


@REFUSED
def test_a_malformed_graph_is_refused_and_nothing_changes(
    row: Row, tmp_path: Path
) -> None:
    for name, make in MAKERS.items():
        assert_refused(make, [GRAPH], row, tmp_path / name)


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [
        ([1.0], ShapeError, "4 vertices and values of shape"),
        (None, ShapeError, "one number a vertex"),
        (["a", "b", "c", "d"], DataTypeError, "real numbers"),
        ([0.0, math.nan, 0.0, 0.0], NonFiniteError, "vertex 1"),
        ({0: 1.0, 1: 1.0, 2: 1.0}, GraphFormatError, "vertex 3 has no value"),
    ],
)
def test_what_a_vertex_function_returns_is_checked(
    returned: Any, error: type[Exception], words: str
) -> None:
    extractor = GraphPersistence(vertex_function=lambda graph: returned)
    with pytest.raises(error, match=words):
        extractor.fit([GRAPH])


def test_a_vertex_function_that_fails_says_on_which_graph() -> None:
    def divide(graph: Any) -> Any:
        return 1.0 / np.array(graph[1])[0] if graph[1][0] else 1 // 0

    with pytest.raises(ZeroDivisionError) as caught:
        GraphPersistence(vertex_function=divide).fit([GRAPH])
    assert "while computing the vertex values of graphs[0]" in caught.value.__notes__


def test_a_vertex_number_with_a_typing_error_is_not_allocated() -> None:
    with pytest.raises(CostLimitError, match="sample 0"):
        GraphPersistence().fit_transform([{"edges": [[0, 10**10]]}])


FINE: dict[str, Callable[[], Any]] = {
    "networkx": network,
    "multigraph": lambda: network(nx.MultiGraph),
    "both directions": lambda: ([*EDGES, *(e[::-1] for e in EDGES)], VALUES),
    "mapping": lambda: {"edges": EDGES, "values": VALUES},
    "values by vertex": lambda: (EDGES, dict(enumerate(VALUES))),
    "unsigned edges": lambda: (np.array(EDGES, np.uint8), np.array(VALUES, np.float32)),
    "tensors": lambda: (torch.tensor(EDGES), torch.tensor(VALUES, requires_grad=True)),
    "names": lambda: nx.relabel_nodes(network(), dict(enumerate("wxyz"))),
}


@pytest.mark.parametrize("make_input", FINE.values(), ids=FINE)
@every_maker
def test_every_way_to_write_a_graph_gives_the_same_bits(
    make: Callable[[], Extractor], make_input: Any
) -> None:
    expected = make().fit_transform([GRAPH])
    assert len(expected.bars) + len(expected.essential) >= 2
    assert make().fit_transform([make_input()]).identical(expected)


@every_maker
def test_vertices_without_edges_are_components(make: Callable[[], Extractor]) -> None:
    dgms = make().fit_transform([([], [1.0, 5.0])])
    births = np.concatenate([array[:, 0] for array in dgms[0].arrays])
    # Extended components of a point are bars of length 0, which are left out.
    assert births.tolist() == ([] if "Ord0" in dgms.channels else [1.0, 5.0])


@pytest.mark.parametrize("time", [0.0, 1e-300, 1e30, 1e308])
def test_heat_stays_between_0_and_1_for_all_times(time: float) -> None:
    extractor = GraphPersistence(vertex_function="hks", hks_time=time)
    wheel = nx.disjoint_union(nx.wheel_graph(9), nx.path_graph(3))
    (heat,) = extractor.vertex_values([wheel])
    assert ((heat >= 0) & (heat <= 1 + 1e-14)).all()
    if time > 1:  # all that is left is spread over each component by degree
        degrees = np.array([d for _, d in wheel.degree()])
        shares = np.r_[degrees[:9] / degrees[:9].sum(), degrees[9:] / degrees[9:].sum()]
        np.testing.assert_allclose(heat, shares, rtol=1e-12)
