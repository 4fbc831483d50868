"""Graphs: exact against brute force, as stable as proved, and no worse than said."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.linalg import expm
from sklearn.base import clone

from stablerank import (
    Budget,
    Diagrams,
    Displacement,
    GraphPersistence,
    MatrixSup,
    NoStabilityTheorem,
    PixelBudget,
    PixelSup,
)
from stablerank.exceptions import (
    CostLimitError,
    DataTypeError,
    EmptyInputError,
    GraphFormatError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
    StableRankError,
)
from stablerank.matching import bottleneck_distance, wasserstein_distance
from stablerank.metrics import Bottleneck, SortedLengths, Wasserstein
from stablerank.validation import Graph, check_graphs
from tests.oracles import Cell, persistence

Sample = tuple[list[tuple[int, int]], list[float]]
CHANNELS = {False: ("H0", "H1"), True: ("Ord0", "Ext+0", "Rel1", "Ext-1")}


def extract(samples: list[Any], **parameters: Any) -> Diagrams:
    parameters = {"vertex_function": "values", **parameters}
    return GraphPersistence(**parameters).fit_transform(samples)


def bars_of(sample: Sample, channel: str, values: Any = None) -> np.ndarray:
    edges, own = sample
    graph = (edges, own if values is None else values)
    bars = extract([graph], extended=not channel.startswith("H"))[0][channel]
    return bars[np.isfinite(bars).all(axis=1)]


@st.composite
def graphs(draw: st.DrawFn, max_vertices: int = 7) -> Sample:
    """Small graphs with many equal values."""
    n = draw(st.integers(1, max_vertices))
    possible = [(i, j) for j in range(n) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(possible), unique=True)) if possible else []
    values = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    return edges, [0.1 * v for v in values]


def random_graph(rng: np.random.Generator, n: int = 12, m: int = 20) -> Sample:
    pairs = rng.integers(0, n, (m, 2))
    edges = {(min(p), max(p)) for p in pairs.tolist() if p[0] != p[1]}
    return sorted(edges), rng.normal(size=n).tolist()


# --- exactness ------------------------------------------------------------------------


def lower_star_cells(sample: Sample) -> list[Cell]:
    edges, values = sample
    vertices = [Cell(0, (), v) for v in values]
    return vertices + [Cell(1, e, max(values[e[0]], values[e[1]])) for e in edges]


@given(graphs())
@example(random_graph(np.random.default_rng(0), 15, 40))
def test_lower_star_bars_are_those_of_the_boundary_matrix(sample: Sample) -> None:
    dgms = extract([sample])
    for k, expected in enumerate(persistence(lower_star_cells(sample), (0, 1))):
        found = dgms[0][k]
        alive = np.isinf(found[:, 1])
        np.testing.assert_array_equal(found[alive, 0], expected.essential)
        finite = found[~alive]
        np.testing.assert_array_equal(
            finite[np.lexsort(finite.T[::-1])], expected.bars.reshape(-1, 2)
        )


def coned_cells(sample: Sample) -> tuple[list[Cell], list[tuple[str, float]]]:
    """The filtration up, then its cone down, numbered; and where each cell stands.

    Equal values are ordered from the last vertex to the first, contrary to the
    library.
    """
    edges, values = sample
    order = sorted(range(len(values)), key=lambda v: (values[v], -v))
    rank = {v: r for r, v in enumerate(order)}
    apex = -1
    names: list[tuple[int, ...]] = [(apex,)]
    stands = [("apex", -np.inf)]
    for step, vertices in (("up", order), ("down", order[::-1])):
        enters = max if step == "up" else min
        cone = () if step == "up" else (apex,)
        for v in vertices:
            new = [(v,), *(e for e in edges if enters(e, key=rank.__getitem__) == v)]
            names += [(*cone, *simplex) for simplex in new]
            stands += [(step, values[v])] * len(new)
    number = {name: i for i, name in enumerate(names)}
    facets = lambda s: [s[:i] + s[i + 1 :] for i in range(len(s))] if s[1:] else []  # noqa: E731
    cells = [
        Cell(len(name) - 1, tuple(number[f] for f in facets(name)), float(i))
        for i, name in enumerate(names)
    ]
    return cells, stands


def coned_bars(sample: Sample) -> dict[str, list[tuple[float, float]]]:
    """Extended persistence from its definition, sorted to (min, max)."""
    cells, stands = coned_cells(sample)
    bars: dict[str, list[tuple[float, float]]] = {c: [] for c in CHANNELS[True]}
    for k, found in enumerate(persistence(cells, (0, 1, 2))):
        for birth, death in found.bars.astype(int).tolist():
            (born, b), (dies, d) = stands[birth], stands[death]
            if b != d:
                extended = "Ext+" if b < d else "Ext-"
                kind = {"upup": "Ord", "downdown": "Rel"}.get(born + dies, extended)
                bars[f"{kind}{k}"].append((min(b, d), max(b, d)))
    return bars


@given(graphs())
@example(random_graph(np.random.default_rng(0), 15, 40))
def test_extended_bars_are_those_of_the_coned_boundary_matrix(sample: Sample) -> None:
    dgms = extract([sample], extended=True)
    for channel, expected in coned_bars(sample).items():
        assert sorted(map(tuple, dgms[0][channel].tolist())) == sorted(expected)


def test_births_and_deaths_are_values_of_vertices_bit_for_bit() -> None:
    # Given the values themselves, the engine returns few of them unrounded.
    edges, values = random_graph(np.random.default_rng(0), 40, 80)
    dgms = extract([(edges, values)], extended=True)
    assert dgms.counts.sum() > 20
    assert set(dgms.bars.ravel().tolist()) <= set(values)
    assert (dgms.error == 0).all()


def test_rel_is_ord_of_the_negated_function() -> None:
    sample = random_graph(np.random.default_rng(1), 30, 35)
    negated = [-v for v in sample[1]]
    above, below = bars_of(sample, "Rel1"), bars_of(sample, "Ord0", negated)
    assert len(above)
    np.testing.assert_array_equal(above, -below[:, ::-1])


def test_extended_persistence_counts_components_and_cycles() -> None:
    graph = nx.disjoint_union(nx.cycle_graph(5), nx.complete_graph(4))
    values = np.random.default_rng(2).permutation(9).astype(float)
    counts = extract([(list(graph.edges), values)], extended=True).counts[0]
    assert counts[1] == 2
    assert counts[3] == 1 + 3


def test_the_oldest_component_and_all_cycles_never_die() -> None:
    dgms = extract([(list(nx.cycle_graph(4).edges), [0.0, 3.0, 1.0, 2.0])])
    np.testing.assert_array_equal(dgms[0]["H0"], [[1.0, 2.0], [0.0, np.inf]])
    np.testing.assert_array_equal(dgms[0]["H1"], [[3.0, np.inf]])


def test_isolated_vertices_are_components_of_their_own() -> None:
    dgms = extract([([], [2.0, 1.0])])
    np.testing.assert_array_equal(dgms.essential, [1.0, 2.0])
    assert extract([([], [2.0, 1.0])], extended=True).counts.sum() == 0


@pytest.mark.parametrize("extended", [False, True])
def test_the_names_of_vertices_do_not_matter(extended: bool) -> None:
    rng = np.random.default_rng(3)
    edges, values = random_graph(rng)
    new = rng.permutation(len(values))
    moved = np.empty(len(values))
    moved[new] = values
    renamed = ([(int(new[i]), int(new[j])) for i, j in reversed(edges)], moved)
    assert extract([(edges, values)], extended=extended).identical(
        extract([renamed], extended=extended)
    )


# --- stability ------------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS[False][:1] + CHANNELS[True])
def test_bars_move_no_more_than_the_values(channel: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(25):
        sample = random_graph(rng)
        values = np.array(sample[1])
        moved = values + rng.choice([0.05, 0.5, 5.0]) * rng.normal(size=len(values))
        distance = bottleneck_distance(
            bars_of(sample, channel), bars_of(sample, channel, moved)
        )
        assert distance <= PixelSup().distance_up(values, moved)


# A graph, a move, and the channel in which the move attains the constant.
BRANCH = ([(0, 1), (1, 2)], [0.0, 10.0, 5.0])
SQUARE = ([(0, 1), (1, 2), (2, 3), (3, 0)], [0.0, 5.0, 10.0, 5.0])
SHARP = [
    ("H0", BRANCH, [0.0, 1.0, -1.0]),
    ("Ord0", BRANCH, [0.0, 1.0, -1.0]),
    ("Ext+0", BRANCH, [-1.0, 1.0, 0.0]),
    ("Rel1", ([(0, 1), (1, 2)], [10.0, 0.0, 5.0]), [0.0, -1.0, 1.0]),
    ("Ext-1", SQUARE, [-1.0, 0.0, 1.0, 0.0]),
]


@pytest.mark.parametrize(("channel", "sample", "move"), SHARP)
def test_the_sup_norm_constant_is_attained(
    channel: str, sample: Sample, move: list[float]
) -> None:
    values = np.array(sample[1])
    moved = values + 0.25 * np.array(move)
    distance = bottleneck_distance(
        bars_of(sample, channel), bars_of(sample, channel, moved)
    )
    bound = GraphPersistence(extended=channel != "H0").bound(PixelSup())
    assert distance == bound.constant * PixelSup().distance_up(values, moved)


def bound_to(target: type, channel: str, p: float, sample: Sample) -> Any:
    extractor = GraphPersistence(vertex_function="values", extended=channel != "H0")
    dgms = extractor.fit_transform([sample])
    found = extractor.bounds(PixelBudget(p), dgms)[channel]
    return next(b for b in found if isinstance(b.target, target))


@pytest.mark.parametrize("p", [1, 1.5, 2, 4])
@pytest.mark.parametrize("channel", CHANNELS[False][:1] + CHANNELS[True])
def test_bars_move_no_more_than_the_budget_allows(channel: str, p: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        sample = random_graph(rng)
        values = np.array(sample[1])
        moved = values + rng.choice([0.05, 0.5]) * rng.normal(size=len(values))
        distance = wasserstein_distance(
            bars_of(sample, channel), bars_of(sample, channel, moved), p, p
        )
        constant = bound_to(Wasserstein, channel, p, sample).constant[0]
        assert distance <= constant * PixelBudget(p).distance_up(values, moved)


# One vertex of degree 5 that ends four bars, and nothing else.
STAR = ([(0, k) for k in range(1, 6)], [10.0, 0.0, 1.0, 2.0, 3.0, 4.0])
PEAKS = (STAR[0], [-v for v in STAR[1]])
FAN = ([(0, k) for k in range(1, 6)] + [(k, 6) for k in range(1, 6)], [9.0] + [4.0] * 6)
BUDGET_SHARP = [
    ("H0", STAR, 0),
    ("Ord0", STAR, 0),
    ("Rel1", PEAKS, 0),
    ("Ext+0", BRANCH, 1),
    ("Ext-1", FAN, 0),
]


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(("channel", "sample", "vertex"), BUDGET_SHARP)
def test_the_budget_constant_is_attained_at_a_vertex_of_full_degree(
    channel: str, sample: Sample, vertex: int, p: float
) -> None:
    values = np.array(sample[1])
    moved = values + 0.25 * (np.arange(len(values)) == vertex)
    distance = wasserstein_distance(
        bars_of(sample, channel), bars_of(sample, channel, moved), p, p
    )
    constant = bound_to(Wasserstein, channel, p, sample).constant[0]
    assert distance == pytest.approx(0.25 * constant, rel=1e-12)
    assert constant == pytest.approx(1 if channel == "Ext+0" else 4 ** (1 / p))


def sorted_lengths(sample: Sample, channel: str, values: Any = None) -> np.ndarray:
    bars = bars_of(sample, channel, values)
    return np.sort(bars[:, 1] - bars[:, 0])[::-1]


@pytest.mark.parametrize("channel", ["H0", "Ord0", "Rel1"])
def test_lengths_of_branches_move_no_more_than_the_root_of_the_degree(
    channel: str,
) -> None:
    rng = np.random.default_rng(6)
    for _ in range(25):
        sample = random_graph(rng)
        values = np.array(sample[1])
        moved = values + 0.2 * rng.normal(size=len(values))
        lengths = [sorted_lengths(sample, channel, v) for v in (values, moved)]
        width = max(map(len, lengths))
        a, b = (np.pad(x, (0, width - len(x))) for x in lengths)
        constant = bound_to(SortedLengths, channel, 2, sample).constant[0]
        size = PixelBudget(2).distance_up(values, moved)
        assert np.linalg.norm(a - b) <= constant * size


@pytest.mark.parametrize(("channel", "sample"), [("H0", STAR), ("Rel1", PEAKS)])
def test_the_constant_of_branch_lengths_is_attained_at_a_star(
    channel: str, sample: Sample
) -> None:
    values = np.array(sample[1])
    sign = 1 if channel == "H0" else -1
    moved = values + 0.01 * sign * np.array([4.0, 0.0, -1.0, -1.0, -1.0, -1.0])
    change = sorted_lengths(sample, channel, moved) - sorted_lengths(sample, channel)
    constant = bound_to(SortedLengths, channel, 2, sample).constant[0]
    size = PixelBudget(2).distance_up(values, moved)
    assert np.linalg.norm(change) == pytest.approx(constant * size, rel=1e-9)
    assert constant == pytest.approx(np.sqrt(5))


def test_constants_of_a_budget_belong_to_samples() -> None:
    extractor = GraphPersistence(vertex_function="values")
    dgms = extractor.fit_transform([STAR, BRANCH, ([], [0.0])])
    sup, one, two, lengths = extractor.bounds(PixelBudget(1), dgms)["H0"]
    assert (sup.target, sup.constant) == (Bottleneck(), 1.0)
    assert (one.target, two.target) == (Wasserstein(1, 1), Wasserstein(2, 2))
    np.testing.assert_array_equal(one.constant, [4.0, 1.0, 1.0])
    np.testing.assert_array_equal(two.constant, [2.0, 1.0, 1.0])
    np.testing.assert_allclose(lengths.constant, np.sqrt([5.0, 2.0, 1.0]))
    assert extractor.bound(PixelBudget(2)).constant == 1.0


def test_a_computed_function_says_what_the_radius_is_about() -> None:
    for function in ("degree", "hks", nx.pagerank):
        note = GraphPersistence(vertex_function=function).bound(PixelSup()).note
        assert "computed values" in note
    assert (
        "computed" not in GraphPersistence(vertex_function="x").bound(PixelSup()).note
    )


def test_one_edge_can_move_a_bar_by_anything_so_edges_are_refused() -> None:
    values = [0.0, 100.0, 0.0]
    apart, joined = ([(0, 1), (1, 2)], values), ([(0, 1), (1, 2), (0, 2)], values)
    assert bottleneck_distance(bars_of(apart, "H0"), bars_of(joined, "H0")) == 50.0
    with pytest.raises(NoStabilityTheorem, match="edges changes the complex"):
        GraphPersistence().bound(MatrixSup())


@pytest.mark.parametrize("threat", [Displacement(), Budget()])
def test_threats_to_points_are_refused_with_the_alternative(threat: Any) -> None:
    with pytest.raises(NoStabilityTheorem, match=r"PixelSup\(\), PixelBudget"):
        GraphPersistence().bound(threat)


def test_the_default_threat_is_the_sup_norm_of_the_values() -> None:
    assert GraphPersistence().default_threat == PixelSup()


# --- vertex functions -----------------------------------------------------------------


def test_heat_is_the_diagonal_of_the_heat_kernel() -> None:
    graph = nx.gnm_random_graph(15, 30, seed=0)
    graph.add_node("alone")
    laplacian = nx.normalized_laplacian_matrix(graph).toarray()
    for time in (0.1, 10.0):
        extractor = GraphPersistence(vertex_function="hks", hks_time=time)
        (heat,) = extractor.vertex_values([graph])
        np.testing.assert_allclose(heat, np.diag(expm(-time * laplacian)), atol=1e-12)
        assert heat[-1] == 1.0


def test_degrees_count_neighbours() -> None:
    graph = nx.MultiGraph([("a", "b"), ("b", "a"), ("b", "c")])
    (degrees,) = GraphPersistence().vertex_values([graph])
    np.testing.assert_array_equal(degrees, [1.0, 2.0, 1.0])


def test_a_callable_sees_the_graph_as_it_was_given() -> None:
    graph = nx.gnm_random_graph(15, 30, seed=1)
    nx.set_node_attributes(graph, nx.pagerank(graph), "rank")
    by_name = extract([graph], vertex_function="rank")
    assert by_name.identical(extract([graph], vertex_function=nx.pagerank))
    partial = functools.partial(nx.pagerank, alpha=0.85)
    assert by_name.identical(extract([graph], vertex_function=partial))


def test_the_cache_tells_two_callables_apart(tmp_path: Path) -> None:
    graph = {"edges": [[0, 1], [1, 2]]}
    found = [
        extract([graph], vertex_function=function, memory=str(tmp_path)).essential
        for function in (lambda g: [0.0, 1.0, 2.0], lambda g: [5.0, 6.0, 7.0])
    ]
    np.testing.assert_array_equal(np.concatenate(found), [0.0, 5.0])


# --- gradients ------------------------------------------------------------------------


@pytest.mark.parametrize("extended", [False, True])
def test_the_gradient_is_that_of_finite_differences(extended: bool) -> None:
    rng = np.random.default_rng(7)
    samples = [random_graph(rng), random_graph(rng, 8, 9)]
    extractor = GraphPersistence(
        vertex_function="values", extended=extended, critical=True
    )
    dgms = extractor.fit_transform(samples)
    weights = rng.normal(size=dgms.bars.shape)
    assert len(weights) >= 4
    gradients = extractor.pullback(samples, dgms, weights)
    step = 1e-6
    for i, (edges, values) in enumerate(samples):
        assert gradients[i].shape == (len(values),)
        for v in range(len(values)):
            sides = []
            for sign in (1, -1):
                moved = np.array(values)
                moved[v] += sign * step
                batch = list(samples)
                batch[i] = (edges, moved)
                sides.append((extractor.transform(batch).bars * weights).sum())
            slope = (sides[0] - sides[1]) / (2 * step)
            assert slope == pytest.approx(gradients[i][v], abs=1e-6)


def test_critical_vertices_carry_the_births_and_deaths() -> None:
    rng = np.random.default_rng(8)
    edges, values = random_graph(rng, 30, 40)
    dgms = extract([(edges, values)], extended=True, critical=True)
    assert dgms.critical is not None
    np.testing.assert_array_equal(np.array(values)[dgms.critical[:, :, 0]], dgms.bars)


# --- running --------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["values", "degree", "hks"])
def test_two_processes_return_the_same_bits_as_one(function: str) -> None:
    rng = np.random.default_rng(9)
    samples = [random_graph(rng, 60, 150) for _ in range(4)]
    alone, together = (
        extract(samples, vertex_function=function, extended=True, n_jobs=n)
        for n in (1, 2)
    )
    assert alone.identical(together)
    assert alone[2:].identical(
        extract(samples[2:], vertex_function=function, extended=True)
    )


def test_an_extractor_survives_cloning_and_pickling() -> None:
    extractor = GraphPersistence((0,), vertex_function="hks", extended=True).fit([STAR])
    again = pickle.loads(pickle.dumps(extractor))
    assert again.transform([STAR]).identical(extractor.transform([STAR]))
    assert clone(extractor).get_params() == extractor.get_params()
    assert list(extractor.get_feature_names_out()) == ["Ord0", "Ext+0"]


def test_what_would_not_fit_is_refused_before_it_starts() -> None:
    graph = {"edges": [], "n_vertices": 10**6}
    with pytest.raises(CostLimitError, match="degree"):
        extract([graph], vertex_function="hks")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"homology_dimensions": (0, 2)}, "degrees 0 and 1"),
        ({"hks_time": -1.0}, "hks_time"),
        ({"vertex_function": 3}, "vertex_function"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        extract([STAR], **parameters)


# --- reading --------------------------------------------------------------------------


def test_every_form_of_a_graph_reads_the_same() -> None:
    graph = nx.Graph([("a", "b"), ("b", "c")])
    nx.set_node_attributes(graph, {"a": 0.0, "b": 2.0, "c": 1.0}, "values")
    edges, values = [[2, 1], [0, 1], [1, 0]], [0.0, 2.0, 1.0]
    forms = [
        graph,
        (edges, values),
        (np.array(edges, np.uint8), dict(enumerate(values))),
        {"edges": edges, "values": np.array(values, np.float32), "n_vertices": 3},
        Graph(3, np.array([[0, 1], [1, 2]]), np.array(values)),
    ]
    for read in check_graphs(forms):
        np.testing.assert_array_equal(read.edges, [[0, 1], [1, 2]])
        np.testing.assert_array_equal(read.values, values)


def path(**attributes: Any) -> nx.Graph:
    graph = nx.path_graph(["a", "b", "c"])
    for name, value in attributes.items():
        nx.set_node_attributes(graph, value, name)
    return graph


PAIR = ([(0, 1)], [0.0, 1.0])
MALFORMED: list[tuple[Any, type[StableRankError], str]] = [
    (
        [PAIR, nx.DiGraph([(0, 1)])],
        GraphFormatError,
        r"graphs\[1\] is directed.*to_und",
    ),
    ([nx.Graph([("a", "a")])], GraphFormatError, r"vertex 'a' is joined to itself"),
    ([([(0, 1), (1, 1)], [0, 1])], GraphFormatError, r"edge 1: vertex 1 .*self-loop"),
    ([path()], GraphFormatError, "no vertex values 'values'"),
    ([path(values={"a": 1.0, "c": 2.0})], GraphFormatError, "vertex 'b' has no value"),
    ([path(values={"a": 1.0, "b": np.nan, "c": 0.0})], NonFiniteError, "vertex 'b'"),
    ([PAIR, ([(0, 1)], [0.0, None])], NonFiniteError, r"graphs\[1\].*vertex 1"),
    ([([(0, 1)], [0.0, np.inf])], NonFiniteError, "infinity .* row 1"),
    ([([(0, 2)], [0.0, 1.0])], GraphFormatError, "edge 0: vertex 2 is outside 0 to 1"),
    ([([(0, -1)], [0.0, 1.0])], GraphFormatError, "vertex -1 is outside"),
    ([([(0, 1)], ["a", "b"])], DataTypeError, "real numbers"),
    ([([(0, 1)], [1j, 0])], DataTypeError, "Complex"),
    ([([(0, 1)], [True, False])], DataTypeError, "bool"),
    ([([(0, 1)], [[0.0], [1.0]])], ShapeError, "one number a vertex"),
    ([([(0.5, 1.0)], [0.0, 1.0])], DataTypeError, "integers"),
    ([([[0, 1, 0], [1, 2, 2]], [0.0] * 3)], ShapeError, "transpose"),
    ([{"edges": [(0, 1)]}], GraphFormatError, "no vertex values"),
    ([{"edges": [], "values": []}], EmptyInputError, "no vertices"),
    ([{"edges": [], "values": [0.0], "n_vertices": 2}], ShapeError, "2 vertices"),
    ([{"edges": [], "values": [0.0], "n_vertices": 1.0}], GraphFormatError, "integer"),
    ([[(0, 1), (1, 2)]], DataTypeError, r"graphs\[0\] is a list; .*\[X\]"),
    (nx.path_graph(3), ShapeError, r"pass \[X\]"),
    ({"edges": [(0, 1)], "values": [0.0, 1.0]}, ShapeError, r"pass \[X\]"),
    (np.zeros((3, 2)), DataTypeError, "list of graphs"),
    ("graph", DataTypeError, "list of graphs"),
    ([], EmptyInputError, "0 samples"),
]


@pytest.mark.parametrize(("bad", "error", "words"), MALFORMED)
def test_a_malformed_graph_is_refused_by_name(
    bad: Any, error: type[StableRankError], words: str
) -> None:
    with pytest.raises(error, match=words):
        extract(bad)


def test_a_failed_extraction_leaves_the_extractor_as_it_was() -> None:
    extractor = GraphPersistence(vertex_function="values").fit([STAR])
    before = pickle.dumps(extractor)
    with pytest.raises(InvalidInputError):
        extractor.transform([nx.DiGraph([(0, 1)])])
    assert pickle.dumps(extractor) == before
