"""A union adds channels side by side, and nothing else."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from stablerank import (
    AlphaPersistence,
    BottleneckBall,
    Budget,
    CubicalPersistence,
    Diagrams,
    Displacement,
    DTMPersistence,
    GraphPersistence,
    NoStabilityTheorem,
    PersistenceUnion,
    PixelSup,
    RipsPersistence,
    SinglePoint,
)
from stablerank.exceptions import (
    CostLimitError,
    EmptyInputError,
    IncompatibleDiagramsError,
    InvalidInputError,
    ShapeError,
)
from stablerank.extract.base import Extractor
from stablerank.extract.union import as_extractor
from stablerank.matching import bottleneck_distance


def clouds(n_samples: int = 3, n_points: int = 25, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n_points + i, 2)) for i in range(n_samples)]


def parts(critical: bool = False) -> list[Extractor]:
    return [
        AlphaPersistence(critical=critical),
        DTMPersistence(n_neighbors=(3, 5), grid=8, critical=critical),
        RipsPersistence((1,), critical=critical),
    ]


def equal(cloud: np.ndarray) -> np.ndarray:
    return np.ones(len(cloud))


def growing(cloud: np.ndarray) -> np.ndarray:
    return np.arange(len(cloud), dtype=float)


PREFIXES = ("alpha", "dtm", "rips")


def alone(prefix: str, union: Diagrams) -> Diagrams:
    """The channels of one part, under the names that the part gives them."""
    start = f"{prefix}/"
    return union.select([c for c in union.channels if c.startswith(start)], start)


# --- channels -------------------------------------------------------------------------


def test_a_union_holds_what_its_parts_return_alone() -> None:
    X = clouds()
    union = PersistenceUnion(parts()).fit_transform(X)
    for prefix, part in zip(PREFIXES, parts(), strict=True):
        expected = part.fit_transform(X)
        found = alone(prefix, union)
        assert found.identical(expected)
        assert found.degrees == expected.degrees


def test_channels_are_called_after_classes_and_second_ones_are_numbered() -> None:
    alpha, dtm = AlphaPersistence((1,)), DTMPersistence((0,), n_neighbors=3, grid=4)
    union = PersistenceUnion([alpha, dtm, alpha, ("mine", alpha), alpha]).fit(clouds())
    assert list(union.get_feature_names_out()) == [
        "alpha/H1",
        "dtm/k3/H0",
        "alpha2/H1",
        "mine/H1",
        "alpha3/H1",
    ]


def test_a_name_that_was_given_is_not_taken_again() -> None:
    alpha = AlphaPersistence((1,))
    union = PersistenceUnion([alpha, ("alpha", alpha)])
    assert union._channels()[0] == ["alpha2/H1", "alpha/H1"]


def test_conventions_and_units_stay_with_their_channels() -> None:
    dgms = PersistenceUnion(parts()).fit_transform(clouds())
    assert dgms.convention == {
        "alpha/H0": "radius",
        "alpha/H1": "radius",
        "dtm/k3/H0": "value",
        "dtm/k3/H1": "value",
        "dtm/k5/H0": "value",
        "dtm/k5/H1": "value",
        "rips/H1": "edge length",
    }


def test_unions_nest() -> None:
    X = clouds()
    inner = PersistenceUnion([AlphaPersistence(), RipsPersistence((1,))])
    outer = PersistenceUnion([inner, AlphaPersistence((0,))]).fit(X)
    dgms = outer.transform(X)
    assert dgms.channels[0] == "union/alpha/H0"
    assert alone("union", dgms).identical(inner.fit_transform(X))
    bounds = outer.bounds(Displacement(), dgms)
    assert bounds["union/rips/H1"][0].constant == 2.0
    weighted = Displacement(weights=equal)
    heavy = outer.bounds(weighted, dgms.with_weights(weighted, X))
    assert heavy["union/rips/H1"][0].constant[0] == 2.0


def test_saving_keeps_the_source_of_every_part(tmp_path: Path) -> None:
    union = PersistenceUnion([("a", AlphaPersistence()), RipsPersistence()])
    dgms = union.fit_transform(clouds())
    dgms.save(tmp_path / "d.npz")
    again = Diagrams.load(tmp_path / "d.npz")
    assert again.source is not None
    assert list(again.source.parts) == ["a", "rips"]
    assert union.bounds(Budget(), again).keys() == set(again.channels)
    joined = Diagrams.concat([again[:1], dgms[1:]])
    assert union.bounds(Budget(), joined).keys() == set(again.channels)


# --- theorems -------------------------------------------------------------------------


@pytest.mark.parametrize("threat", [Displacement(), SinglePoint(), Budget()])
def test_bounds_are_those_of_the_parts(threat: Any) -> None:
    X = clouds()
    union = PersistenceUnion(parts())
    found = union.bounds(threat, union.fit_transform(X))
    assert len(found) == 7
    for prefix, part in zip(PREFIXES, parts(), strict=True):
        for channel, bounds in part.bounds(threat, part.fit_transform(X)).items():
            for one, other in zip(bounds, found[f"{prefix}/{channel}"], strict=True):
                assert (one.source, one.target) == (other.source, other.target)
                np.testing.assert_array_equal(one.constant, other.constant)


def test_the_bound_is_the_worst_of_the_parts_and_rips_reaches_it() -> None:
    union = PersistenceUnion([AlphaPersistence((0,)), RipsPersistence((0,))])
    bound = union.bound(Displacement())
    assert bound.constant == 2.0
    pair, moved = np.array([[0.0], [1.0]]), np.array([[-0.25], [1.25]])
    before, after = union.fit_transform([pair, moved])
    distances = {
        name: bottleneck_distance(before[name][:1], after[name][:1])
        for name in before.channels
    }
    assert distances == {"alpha/H0": 0.25, "rips/H0": 0.5}
    assert distances["rips/H0"] == bound.constant * 0.25


def test_every_channel_moves_no_more_than_its_bound() -> None:
    rng = np.random.default_rng(1)
    X = clouds(4)
    moved = [cloud + 0.05 * rng.normal(size=cloud.shape) for cloud in X]
    union = PersistenceUnion(parts()).fit(X + moved)
    before, after = union.transform(X), union.transform(moved)
    bounds = union.bounds(Displacement(), before)
    for i, (cloud, other) in enumerate(zip(X, moved, strict=True)):
        size = Displacement().distance_up(cloud, other)
        for c, channel in enumerate(before.channels):
            finite = [d[i][channel] for d in (before, after)]
            a, b = (bars[np.isfinite(bars[:, 1])] for bars in finite)
            engine = before.error[i, c] + after.error[i, c]
            constant = np.max(bounds[channel][0].constant)
            assert bottleneck_distance(a, b) <= constant * size + engine


def test_a_threat_to_the_diagrams_needs_no_part() -> None:
    union = PersistenceUnion(parts())
    bounds = union.bounds(BottleneckBall(), union.fit_transform(clouds()))
    assert {b.constant for (b,) in bounds.values()} == {1.0}


def test_a_part_without_a_theorem_is_named() -> None:
    union = PersistenceUnion(
        [AlphaPersistence(), ("f", AlphaPersistence(precision="fast"))]
    )
    with pytest.raises(NoStabilityTheorem, match="part 'f': "):
        union.bound(Displacement())
    with pytest.raises(NoStabilityTheorem, match="part 'alpha'"):
        union.bound(PixelSup())


def test_weights_of_points_reach_every_part() -> None:
    X = clouds()
    threat = Displacement(weights=growing)
    union = PersistenceUnion([AlphaPersistence(), RipsPersistence()])
    dgms = union.fit_transform(X).with_weights(threat, X)
    found = union.bounds(threat, dgms)
    n = np.array([len(cloud) for cloud in X])
    np.testing.assert_allclose(found["alpha/H1"][0].constant, n - 1.5)
    np.testing.assert_allclose(found["rips/H1"][0].constant, 2 * n - 3.0)


def test_the_default_threat_is_what_all_parts_mean() -> None:
    assert PersistenceUnion(parts()).default_threat == Displacement()
    mixed = PersistenceUnion([AlphaPersistence(), CubicalPersistence()])
    with pytest.raises(NoStabilityTheorem, match="cubical: PixelSup"):
        _ = mixed.default_threat


def test_bounds_are_refused_for_diagrams_of_another_union() -> None:
    X = clouds()
    dgms = PersistenceUnion([AlphaPersistence()]).fit_transform(X)
    other = PersistenceUnion([AlphaPersistence((0,))])
    for extractor in (other, AlphaPersistence()):
        with pytest.raises(IncompatibleDiagramsError, match="made by"):
            extractor.bounds(Displacement(), dgms)


# --- gradients ------------------------------------------------------------------------


def test_the_gradient_is_the_sum_of_those_of_the_parts() -> None:
    X = clouds()
    slope = lambda bars: np.sin(7 * bars)  # noqa: E731 - any function of the bars
    dgms = PersistenceUnion(parts(critical=True)).fit_transform(X)
    total = (
        PersistenceUnion(parts(critical=True))
        .fit(X)
        .pullback(X, dgms, slope(dgms.bars))
    )
    expected = [np.zeros_like(cloud) for cloud in X]
    for part in parts(critical=True):
        own = part.fit_transform(X)
        for i, found in enumerate(part.pullback(X, own, slope(own.bars))):
            expected[i] += found
    for a, b in zip(total, expected, strict=True):
        assert np.abs(b).max() > 0.1
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_the_gradient_is_that_of_finite_differences() -> None:
    X = clouds(1, 12)
    union = PersistenceUnion(
        [AlphaPersistence(critical=True), RipsPersistence(critical=True)]
    ).fit(X)
    dgms = union.transform(X)
    weights = np.random.default_rng(3).normal(size=dgms.bars.shape)
    (gradient,) = union.pullback(X, dgms, weights)
    step = 1e-6
    for place in np.ndindex(X[0].shape):
        sides = []
        for sign in (1, -1):
            moved = X[0].copy()
            moved[place] += sign * step
            sides.append((union.transform([moved]).bars * weights).sum())
        slope = (sides[0] - sides[1]) / (2 * step)
        assert slope == pytest.approx(gradient[place], abs=1e-5)


def test_a_part_without_bars_adds_no_gradient() -> None:
    pair = np.array([[0.0, 0.0], [3.0, 4.0]])
    inner = PersistenceUnion([RipsPersistence((1,), critical=True)])
    union = PersistenceUnion([AlphaPersistence(critical=True), inner])
    dgms = union.fit_transform([pair])
    (gradient,) = union.pullback([pair], dgms, np.ones(dgms.bars.shape))
    np.testing.assert_allclose(gradient, [[-0.3, -0.4], [0.3, 0.4]])


def test_critical_vertices_are_kept_only_if_every_part_keeps_them() -> None:
    X = clouds()
    half = PersistenceUnion([AlphaPersistence(critical=True), RipsPersistence()])
    dgms = half.fit_transform(X)
    assert dgms.critical is None
    with pytest.raises(InvalidInputError, match="critical=True"):
        half.pullback(X, dgms, np.zeros(dgms.bars.shape))
    with pytest.raises(ShapeError, match="grad_bars"):
        half.pullback(X, dgms, np.zeros((1, 2)))


# --- scikit-learn ---------------------------------------------------------------------


def test_parameters_of_parts_are_reached_by_name() -> None:
    union = PersistenceUnion([AlphaPersistence(), ("b", RipsPersistence())])
    union.set_params(alpha__homology_dimensions=(0,), b__critical=True, n_jobs=1)
    params = union.get_params()
    assert params["alpha__homology_dimensions"] == (0,)
    assert params["b"].critical
    union.set_params(b=AlphaPersistence((1,)))
    assert union._channels()[0] == ["alpha/H0", "b/H1"]
    with pytest.raises(ValueError, match="Invalid parameter"):
        union.set_params(c=AlphaPersistence())


def test_fitting_leaves_the_given_parts_alone() -> None:
    given = [AlphaPersistence(), DTMPersistence(n_neighbors=3, grid=4)]
    union = PersistenceUnion(given).fit(clouds())
    assert not any(hasattr(part, "n_features_in_") for part in given)
    assert [name for name, _ in union.extractors_] == ["alpha", "dtm"]
    assert union.n_features_in_ == 2
    copy = clone(union)
    assert not hasattr(copy, "extractors_")
    assert copy.extractors[0] is not given[0]


def test_changing_a_part_asks_for_a_new_fit_but_a_runtime_setting_does_not() -> None:
    X = clouds()
    union = PersistenceUnion([AlphaPersistence()]).fit(X)
    union.set_params(n_jobs=1).transform(X)
    union.set_params(alpha__homology_dimensions=(0,))
    with pytest.raises(NotFittedError):
        union.transform(X)


def test_pickling_keeps_the_fit() -> None:
    X = clouds()
    union = PersistenceUnion(parts()).fit(X)
    again = pickle.loads(pickle.dumps(union))
    assert again.transform(X).identical(union.transform(X))


def test_the_spec_is_json_with_the_specs_of_the_parts() -> None:
    union = PersistenceUnion([("a", AlphaPersistence()), RipsPersistence()])
    spec = json.loads(json.dumps(union.fit(clouds()).spec()))
    given, fitted = spec["params"]["extractors"], spec["fitted"]["extractors_"]
    for listed in (given, fitted):
        assert [(name, part["class"]) for name, part in listed] == [
            ("a", "AlphaPersistence"),
            ("rips", "RipsPersistence"),
        ]
    assert fitted[0][1]["fitted"] == {"n_features_in_": 2}


def test_fitting_a_given_part_elsewhere_does_not_change_the_union() -> None:
    X, alpha = clouds(), AlphaPersistence()
    union = PersistenceUnion([alpha]).fit(X)
    dgms = union.transform(X)
    alpha.fit(X)
    assert union.bounds(Displacement(), dgms)
    assert PersistenceUnion([alpha]).bounds(Displacement(), dgms)


# --- running --------------------------------------------------------------------------


def test_two_processes_and_any_subset_return_the_same_bits() -> None:
    X = clouds(6)
    union = PersistenceUnion(parts()).fit(X)
    dgms = union.transform(X)
    with parallel_config(n_jobs=2):
        assert union.transform(X).identical(dgms)
    assert union.transform(X[2:4]).identical(dgms[2:4])


def test_a_part_finds_what_it_computed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = clouds()
    expected = AlphaPersistence(memory=str(tmp_path)).fit_transform(X)

    def never(self: Any, sample: Any) -> Any:
        raise AssertionError("computed a second time")

    monkeypatch.setattr(AlphaPersistence, "_transform_one", never)
    union = PersistenceUnion([("a", AlphaPersistence())], memory=str(tmp_path))
    assert alone("a", union.fit_transform(X)).identical(expected)


def test_a_generator_is_read_by_every_part() -> None:
    X = clouds()
    union = PersistenceUnion(parts())
    dgms = union.fit(cloud for cloud in X).transform(cloud for cloud in X)
    assert dgms.identical(union.transform(X))


def test_the_forecast_adds_times_and_takes_the_largest_peak() -> None:
    X = clouds(1)
    costs = [part.fit(X).estimate_cost(X) for part in parts()]
    total = PersistenceUnion(parts()).fit(X).estimate_cost(X)
    assert total.seconds == pytest.approx(sum(cost.seconds for cost in costs))
    assert total.memory == max(cost.memory for cost in costs)
    small = PersistenceUnion([GraphPersistence(extended=True)], max_memory=1.0)
    with pytest.raises(CostLimitError, match="graph: extended=False"):
        small.fit_transform([{"edges": [(0, 1)]}])


def test_errors_say_in_which_part_they_happened() -> None:
    union = PersistenceUnion(
        [AlphaPersistence(), ("far", DTMPersistence(n_neighbors=99))]
    )
    with pytest.raises(InvalidInputError) as caught:
        union.fit(clouds())
    assert "in part 'far' of the union" in caught.value.__notes__
    assert not hasattr(union, "extractors_")
    with pytest.raises(EmptyInputError):
        union.fit([])


@pytest.mark.parametrize(
    ("extractors", "words"),
    [
        ([], "at least one"),
        (3, "extractors"),
        ([AlphaPersistence], "a part of a union is an extractor"),
        ([("a/b", AlphaPersistence())], "without '/'"),
        ([("a__b", AlphaPersistence())], "without '/'"),
        ([("", AlphaPersistence())], "without '/'"),
        ([("n_jobs", AlphaPersistence())], "parameter of the union"),
        ([("a", AlphaPersistence()), ("a", RipsPersistence())], "two parts"),
    ],
)
def test_lists_that_are_no_union_are_refused(extractors: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PersistenceUnion(extractors).fit(clouds())


def test_what_an_extractor_parameter_may_be() -> None:
    assert isinstance(as_extractor(None), AlphaPersistence)
    alpha = AlphaPersistence()
    assert as_extractor(alpha) is alpha
    assert isinstance(as_extractor([alpha, ("b", alpha)]), PersistenceUnion)
    with pytest.raises(
        InvalidInputError, match=r"make an instance: AlphaPersistence\(\)"
    ):
        as_extractor(AlphaPersistence)
    with pytest.raises(InvalidInputError, match="got 'alpha'"):
        as_extractor("alpha")
