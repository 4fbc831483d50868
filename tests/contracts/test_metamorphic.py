"""How diagrams follow their input: what must not matter, and what must scale along.

No answer is known here, only that two answers belong together.  They may differ by
the errors that both charge; where a relation is exact in floats, or the input itself
was rounded, this is said, and nothing more is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stablerank import Diagrams, Displacement
from stablerank.extract import Extractor
from stablerank.matching import bottleneck_distance
from tests.contracts.extractors import CASES, Case

Array = NDArray[np.float64]

ROUNDING = 2.0**-53


def rows(*kinds: str, but: Callable[[Case], bool] = lambda case: False) -> Any:
    """Rows of some kinds whose diagrams have an error that says something."""
    chosen = [c for c in CASES if c.kind in kinds and c.certifies and not but(c)]
    return pytest.mark.parametrize("case", chosen, ids=str)


def has_grid(case: Case) -> bool:
    """Whether the row evaluates something on a grid that stays where it is."""
    return any(name.endswith("box") for name in case.make().get_params())


def with_params(case: Case, ending: str, change: Callable[[Any], Any]) -> Extractor:
    """Return an extractor with all parameters of a name changed, in parts too."""
    extractor = case.make()
    found = {
        name: change(value)
        for name, value in extractor.get_params().items()
        if name.rpartition("__")[2] == ending and value is not None
    }
    return extractor.set_params(**found)


def placed(case: Case, scale: float = 1.0, offset: float = 0.0) -> Extractor:
    """Return an extractor whose grid and threshold go along with the points."""
    extractor, dimension = case.make(), np.shape(case.X[0])[-1]
    # Vertices of this box are sums of few powers of two: floats at any place.
    box = offset + scale * np.array([[-2.0] * dimension, [2.0] * dimension])
    params = {name: box for name in extractor.get_params() if name.endswith("box")}
    if "threshold" in extractor.get_params():
        limit = extractor.get_params()["threshold"]
        params["threshold"] = None if limit is None else scale * limit
    return extractor.set_params(**params)


def assert_close(
    first: Diagrams,
    second: Diagrams,
    *,
    allowed: float = 0.0,
    change: Callable[[Array], Array] = lambda bars: bars,
    charge: float = 1.0,
) -> None:
    """Assert that `change` takes the first diagrams to the second ones.

    Every channel may be off by `allowed`, and by the error of both; that of the first
    counts `charge` times.
    """
    assert len(first) == len(second)
    for i, (one, other) in enumerate(zip(first, second, strict=True)):
        arrays = zip(one.arrays, other.arrays, strict=True)
        for c, (bars, found) in enumerate(arrays):
            limit = allowed + charge * first.error[i, c] + second.error[i, c]
            a, births = split(change(bars))
            b, births_found = split(found)
            assert bottleneck_distance(a, b) <= limit
            assert len(births) == len(births_found)
            assert np.abs(births - births_found).max(initial=0.0) <= limit


def split(bars: Array) -> tuple[Array, Array]:
    """Finite bars, and the sorted births of the others."""
    alive = np.isinf(bars[:, 1])
    return bars[~alive], np.sort(bars[alive, 0])


@rows("cloud", "matrix", "image", "graph")
def test_a_change_of_one_in_a_thousand_would_be_seen(case: Case) -> None:
    """A tester is tested: the comparison fails where bars differ."""
    with pytest.raises(AssertionError):
        assert_close(case.diagrams, case.diagrams, change=lambda bars: 1.001 * bars)


# --- clouds ---------------------------------------------------------------------------


@rows("cloud")
def test_the_order_of_the_points_does_not_matter(case: Case) -> None:
    rng = np.random.default_rng(0)
    # Landmarks begin at the first point, so that stays the first.
    orders = [np.r_[0, 1 + rng.permutation(len(x) - 1)] for x in case.X]
    X = [x[order] for x, order in zip(case.X, orders, strict=True)]
    assert_close(case.diagrams, case.fitted().transform(X))


@pytest.mark.parametrize("offset", [1e8, -1e3])
@rows("cloud")
def test_a_far_cloud_has_the_diagrams_of_its_exact_translate(
    case: Case, offset: float
) -> None:
    far = [x + offset for x in case.X]  # rounds the points, for both
    back = [x - offset for x in far]
    for x, y in zip(far, back, strict=True):
        assert np.array_equal(x, y + offset)
        assert not np.array_equal(y, np.zeros_like(y))
    near = placed(case).fit_transform(back)
    assert near.counts.sum() > 0
    assert_close(near, placed(case, offset=offset).fit_transform(far))


@rows("cloud")
def test_a_quarter_turn_and_a_mirror_change_nothing(case: Case) -> None:
    def turned(x: Array) -> Array:
        result = x.copy()
        result[:, 0], result[:, -1] = -x[:, -1], x[:, 0]
        return result

    extractor = placed(case).fit(list(case.X))
    dgms = extractor.transform(list(case.X))
    assert_close(dgms, extractor.transform([turned(x) for x in case.X]))
    assert_close(dgms, extractor.transform([-x for x in case.X]))


def rounding_allowed(case: Case, X: list[Array], roundings: float) -> float:
    """What moves of every point by some roundings of the largest may do."""
    reach = max(float(np.linalg.norm(x, axis=1).max()) for x in X)
    dgms = case.fitted().transform(X)
    bounds = case.fitted().bounds(Displacement(), dgms)
    constant = max(float(np.max(b.constant)) for own in bounds.values() for b in own)
    return constant * roundings * ROUNDING * reach


@rows("cloud", but=has_grid)
def test_a_rotation_changes_no_more_than_the_rounding_of_the_points(
    case: Case,
) -> None:
    dimension = case.X[0].shape[1]
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(dimension,) * 2))
    X = [x @ rotation for x in case.X]
    # The matrix is orthogonal, and the products are exact, up to a few roundings.
    assert_close(
        case.diagrams,
        case.fitted().transform(X),
        allowed=rounding_allowed(case, X, 32 * dimension),
    )


@pytest.mark.parametrize("exponent", [-40, 3, 60])
@rows("cloud", "matrix")
def test_powers_of_two_scale_every_bit_of_the_bars(case: Case, exponent: int) -> None:
    scale = 2.0**exponent
    near = placed(case).fit_transform(list(case.X))
    X = [scale * x for x in case.X]
    far = placed(case, scale).fit_transform(X)
    np.testing.assert_array_equal(far.offsets, near.offsets)
    np.testing.assert_array_equal(far.bars, scale * near.bars)
    np.testing.assert_array_equal(far.essential, scale * near.essential)


@rows("cloud")
def test_other_scales_are_off_by_the_rounding_of_the_points(case: Case) -> None:
    near = placed(case).fit_transform(list(case.X))
    X = [3.0 * x for x in case.X]
    far = placed(case, 3.0).fit_transform(X)
    assert_close(
        near,
        far,
        # Of the points, and of the bars times 3.
        allowed=rounding_allowed(case, X, 4),
        change=lambda bars: 3.0 * bars,
        charge=3.0,
    )


@rows("cloud", "matrix")
def test_giving_every_point_twice_changes_nothing(case: Case) -> None:
    """Where a number of neighbours counts, it counts twice as many."""

    def twice(x: Array) -> Array:
        doubled = x.repeat(2, axis=0)
        return doubled.repeat(2, axis=1) if case.kind == "matrix" else doubled

    extractor = with_params(
        case, "n_neighbors", lambda k: np.multiply(k, 2).tolist()
    ).fit(list(case.X))
    assert_close(case.diagrams, extractor.transform([twice(x) for x in case.X]))


# --- matrices -------------------------------------------------------------------------


@rows("matrix")
def test_the_order_of_rows_and_columns_does_not_matter(case: Case) -> None:
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(x)) for x in case.X]
    X = [x[np.ix_(order, order)] for x, order in zip(case.X, orders, strict=True)]
    assert_close(case.diagrams, case.fitted().transform(X))


INCREASING = {
    "cube": lambda x: x**3,
    "root": np.cbrt,
    "shift": lambda x: x + 1e8,
    "third": lambda x: x / 3.0,
    "bounded": np.arctan,
}
increasing = pytest.mark.parametrize("name", INCREASING)


@pytest.mark.parametrize("name", ["cube", "root", "third", "bounded"])
@rows("matrix", but=lambda case: "n_neighbors" in case.make().get_params())
def test_rips_follows_every_increasing_map_that_keeps_zero(
    case: Case, name: str
) -> None:
    function = INCREASING[name]
    dgms = case.fitted().transform([function(x) for x in case.X])
    assert dgms.error.max() == 0
    assert_close(case.diagrams, dgms, change=function_of_bars(function))


def function_of_bars(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def change(bars: Array) -> Array:
        return np.where(
            np.isinf(bars), bars, function(np.where(np.isinf(bars), 0, bars))
        )

    return change


# --- images ---------------------------------------------------------------------------


@increasing
@rows("image")
def test_sublevel_sets_follow_every_increasing_map(case: Case, name: str) -> None:
    function = INCREASING[name]
    dgms = case.fitted().transform([function(x) for x in case.X])
    assert dgms.error.max() == 0
    assert_close(case.diagrams, dgms, change=function_of_bars(function))


@rows("image")
def test_neither_the_order_nor_the_direction_of_axes_matters(case: Case) -> None:
    turned = case.make()
    if isinstance(turned.periodic, tuple):
        turned.set_params(periodic=turned.periodic[::-1])
    assert_close(case.diagrams, turned.fit_transform([x.T for x in case.X]))
    mirrored = [np.flip(x, axis=0) for x in case.X]
    assert_close(case.diagrams, case.fitted().transform(mirrored))


@rows("image", but=lambda case: case.make().periodic is None)
def test_a_periodic_axis_has_no_beginning(case: Case) -> None:
    axis = case.make().periodic.index(True)
    rolled = [np.roll(x, 2, axis=axis) for x in case.X]
    assert_close(case.diagrams, case.fitted().transform(rolled))


# --- graphs ---------------------------------------------------------------------------


def given_values(case: Case) -> bool:
    return case.make().vertex_function == "values"


def change_of_values(case: Case, before: list[Array], X: list[Any]) -> float:
    """Rounding of computed values, which moves bars by no more [X10]."""
    after = case.make().vertex_values(X)
    return max(np.abs(a - b).max() for a, b in zip(before, after, strict=True))


def relabelled(graph: Any, order: NDArray[np.int64]) -> Any:
    """Return the graph with vertex order[i] called i."""
    name = np.argsort(order)
    if isinstance(graph, dict):
        return {"edges": name[graph["edges"]], "n_vertices": len(order)}
    return name[graph[0]], graph[1][order]


@rows("graph")
def test_the_names_of_the_vertices_do_not_matter(case: Case) -> None:
    rng = np.random.default_rng(0)
    values = case.make().vertex_values(list(case.X))
    orders = [rng.permutation(len(v)) for v in values]
    X = [relabelled(x, order) for x, order in zip(case.X, orders, strict=True)]
    moved = [v[order] for v, order in zip(values, orders, strict=True)]
    rounding = change_of_values(case, moved, X)
    assert rounding < 1e-14
    assert_close(case.diagrams, case.fitted().transform(X), allowed=rounding)


@rows("graph")
def test_two_copies_of_a_graph_have_every_bar_twice(case: Case) -> None:
    values = case.make().vertex_values(list(case.X))
    X: list[Any] = []
    for graph, own in zip(case.X, values, strict=True):
        edges = graph["edges"] if isinstance(graph, dict) else graph[0]
        both = np.vstack([edges, edges + len(own)])
        if isinstance(graph, dict):
            X.append({"edges": both, "n_vertices": 2 * len(own)})
        else:
            X.append((both, np.tile(graph[1], 2)))
    rounding = change_of_values(case, [np.tile(v, 2) for v in values], X)
    assert rounding < 1e-14
    assert_close(
        case.diagrams,
        case.fitted().transform(X),
        allowed=rounding,
        change=lambda bars: bars.repeat(2, axis=0),
    )


@increasing
@rows("graph", but=lambda case: not given_values(case))
def test_graphs_follow_every_increasing_map(case: Case, name: str) -> None:
    function = INCREASING[name]
    dgms = case.fitted().transform([(edges, function(v)) for edges, v in case.X])
    assert dgms.error.max() == 0
    assert_close(case.diagrams, dgms, change=function_of_bars(function))
