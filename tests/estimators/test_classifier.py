"""The classifier on clouds and on their diagrams: what it learns, what it certifies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stablerank import (
    AlphaPersistence,
    BottleneckBall,
    Budget,
    Diagrams,
    Displacement,
    DTMPersistence,
    FeatureBall,
    PersistenceUnion,
    RipsPersistence,
    SinglePoint,
    SRNClassifier,
)
from stablerank.exceptions import (
    IncompatibleDiagramsError,
    InvalidInputError,
    NoStabilityTheorem,
)
from tests.estimators.problems import SMALL, halves, orbits, rings_and_blobs

LONG = SMALL | {"epochs": 30}


@pytest.fixture(scope="module")
def fitted() -> SRNClassifier:
    return SRNClassifier(**LONG).fit(*rings_and_blobs())


def test_rings_are_told_from_discs_and_certified_on_new_clouds(fitted) -> None:
    clouds, y = rings_and_blobs(40, seed=1)
    assert fitted.score(clouds, y) >= 0.9
    cert = fitted.certify(clouds)
    assert cert.threat == Displacement()
    assert np.array_equal(cert.label, fitted.predict(clouds))
    assert fitted.certified_score(clouds, y, 0.01) > 0.5
    assert cert.accuracy(y, [0.0, 0.01, 0.05, 1e9])[-1] == 0.0


def test_rounding_and_engine_cost_less_than_a_millionth_of_the_median_radius(
    fitted,
) -> None:
    cert = fitted.certify(rings_and_blobs()[0])
    owed = cert.evidence["owed"].max() / cert.evidence["constants"].max()
    assert 0 < owed < 1e-6 * np.median(cert.radius)


def test_smaller_threats_get_larger_radii(fitted) -> None:
    clouds, _ = rings_and_blobs()
    many = fitted.certify_many(clouds, [Displacement(), Budget(), SinglePoint()])
    radii = [cert.radius for cert in many.values()]
    assert (radii[0] <= radii[1]).all()
    assert (radii[1] <= radii[2]).all()
    assert radii[2].sum() > 1.2 * radii[0].sum()
    for threat, cert in many.items():
        assert np.array_equal(cert.radius, fitted.certify(clouds, threat).radius)
        assert cert.threat == threat


def test_a_feature_ball_is_around_the_representation(fitted) -> None:
    clouds, _ = rings_and_blobs()
    whole = fitted.certify(clouds)
    cert = fitted.certify(clouds, FeatureBall(math.inf))
    assert np.array_equal(cert.label, whole.label)
    # All features have constant 1 under displacement, so both balls are one.
    assert cert.radius == pytest.approx(whole.radius, rel=1e-6)
    register = fitted.feature_register_
    vectors = fitted.program_.evaluate(fitted.extractor_.transform(clouds), register)
    network = fitted.program_.after(register)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = rng.choice([-1.0, 1.0], vectors.shape) * cert.radius[:, None]
        moved = network.evaluate(vectors + step * (1 - 1e-12)).argmax(axis=1)
        assert np.array_equal(fitted.classes_[moved], cert.label)
    # An l_2 ball is inside the ball of the sup norm.
    assert (fitted.certify(clouds, FeatureBall(2)).radius >= cert.radius).all()


def test_weights_of_points_come_with_raw_clouds(fitted) -> None:
    clouds, _ = rings_and_blobs()
    half = Displacement(weights=halves)
    many = fitted.certify_many(clouds, [Displacement(), half])
    plain, weighted = (cert.radius for cert in many.values())
    assert weighted == pytest.approx(2 * plain, rel=1e-9)
    with pytest.raises(NoStabilityTheorem, match="weights"):
        fitted.certify(AlphaPersistence().fit_transform(clouds), half)


def test_a_threat_without_a_theorem_is_refused_with_the_way_out() -> None:
    clouds, y = orbits(4)
    clf = SRNClassifier(DTMPersistence(n_neighbors=3, grid=8), **SMALL).fit(clouds, y)
    from stablerank import Hausdorff

    with pytest.raises(NoStabilityTheorem, match="Displacement"):
        clf.certify(clouds, Hausdorff())


# --- diagrams as input ------------------------------------------------------------


def two_filtrations() -> PersistenceUnion:
    square = [[0.0, 0.0], [1.0, 1.0]]
    return PersistenceUnion(
        [AlphaPersistence(), DTMPersistence(n_neighbors=3, grid=8, box=square)]
    )


@pytest.mark.parametrize("given", [None, "union", "list"])
def test_diagrams_bring_their_extractor_along(given: str | None) -> None:
    clouds, y = orbits()
    union = two_filtrations()
    dgms = union.fit_transform(clouds)
    parts = [part for _, part in union.extractors_]
    extractor = {None: None, "union": two_filtrations(), "list": parts}[given]
    clf = SRNClassifier(extractor, **SMALL).fit(dgms, y)
    assert clf.extractor_.spec() == union.spec()
    of_bars = clf.certify(dgms, Displacement())
    of_clouds = clf.certify(clouds, Displacement())
    assert np.array_equal(of_bars.radius, of_clouds.radius)
    assert np.array_equal(clf.predict(clouds), clf.predict(dgms))
    # The same as if the clouds had been given from the start.
    raw = SRNClassifier(two_filtrations(), **SMALL).fit(clouds, y)
    assert np.array_equal(raw.certify(clouds).radius, of_clouds.radius)


def test_the_bars_alone_certify_threats_on_diagrams_only() -> None:
    clouds, y = rings_and_blobs()
    dgms = AlphaPersistence().fit_transform(clouds)
    for extractor, data in (("precomputed", dgms), (None, dgms.without_source())):
        clf = SRNClassifier(extractor, **SMALL).fit(data, y)
        assert clf.extractor_ is None
        assert clf.certify(data).threat == BottleneckBall()
        with pytest.raises(NoStabilityTheorem, match="BottleneckBall"):
            clf.certify(data, Displacement())
        with pytest.raises(InvalidInputError, match="fitted on Diagrams"):
            clf.predict(clouds)


def test_diagrams_of_another_extractor_are_refused_at_fit_and_later(fitted) -> None:
    clouds, y = rings_and_blobs()
    rips = RipsPersistence().fit_transform(clouds)
    with pytest.raises(IncompatibleDiagramsError, match="made by RipsPersistence"):
        SRNClassifier(AlphaPersistence(), **SMALL).fit(rips, y)
    with pytest.raises(IncompatibleDiagramsError, match="made by RipsPersistence"):
        fitted.predict(rips)
    with pytest.raises(IncompatibleDiagramsError, match="do not say"):
        SRNClassifier(AlphaPersistence(), **SMALL).fit(rips.without_source(), y)


def test_the_grid_of_a_filtration_is_frozen_at_fit() -> None:
    clouds, y = orbits()
    other = DTMPersistence(n_neighbors=3, grid=8).fit_transform(clouds * 0.5)
    clf = SRNClassifier(DTMPersistence(n_neighbors=3, grid=8), **SMALL).fit(clouds, y)
    with pytest.raises(IncompatibleDiagramsError):
        clf.predict(other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"convention": "value"}, "fitted to radius"),
        ({"convention": "radius", "unit": "angstrom"}, "in unit angstrom"),
    ],
)
def test_another_convention_or_unit_is_refused(fitted, change, words) -> None:
    other = Diagrams.from_list([[[(0.0, 1.0)], [(0.5, 1.0)]]], **change)
    with pytest.raises(IncompatibleDiagramsError, match=words):
        fitted.predict(other)


def test_missing_channels_are_refused_by_name(fitted) -> None:
    dgms = AlphaPersistence((0,)).fit_transform(rings_and_blobs()[0]).without_source()
    with pytest.raises(IncompatibleDiagramsError, match="no channel 'H1'"):
        fitted.predict(dgms)


class Unproved(AlphaPersistence):
    """A filtration of a user, about which no theorem is known."""

    def _bounds(self, threat: Any, source: Any) -> Any:
        raise NoStabilityTheorem("nobody has proved it", "BottleneckBall()")


def test_an_extractor_without_a_theorem_predicts_and_never_certifies_its_input() -> (
    None
):
    clouds, y = rings_and_blobs()
    clf = SRNClassifier(Unproved(), **SMALL).fit(clouds, y)
    assert clf.predict(clouds).shape == y.shape
    with pytest.raises(NoStabilityTheorem, match="nobody"):
        clf.certify(clouds)
    assert (clf.certify(clouds, BottleneckBall()).radius > 0).any()


def test_diagrams_of_an_extractor_from_elsewhere_need_it_as_a_parameter() -> None:
    clouds, y = rings_and_blobs()
    extractor = Unproved().fit(clouds)
    dgms = extractor.transform(clouds)
    with pytest.raises(IncompatibleDiagramsError, match="give that fitted extractor"):
        SRNClassifier(**SMALL).fit(dgms, y)
    clf = SRNClassifier(extractor, **SMALL).fit(dgms, y)
    assert clf.extractor_ is not extractor
    assert np.array_equal(clf.predict(clouds), clf.predict(dgms))


@pytest.mark.parametrize(
    "extractor",
    [AlphaPersistence(precision="fast"), RipsPersistence(sparse=0.1)],
    ids=["fast", "sparse"],
)
def test_an_engine_that_does_not_bound_its_error_is_refused(extractor) -> None:
    with pytest.raises(InvalidInputError, match="does not bound its own error"):
        SRNClassifier(extractor).fit(*rings_and_blobs())


# --- what may be chosen -----------------------------------------------------------


@pytest.mark.parametrize("network", ["maxmin", "distance", "sortnet"])
def test_every_network_trains_and_certifies(network: str) -> None:
    clouds, y = rings_and_blobs()
    clf = SRNClassifier(network=network, **SMALL).fit(clouds, y)
    assert (clf.certify(clouds).radius >= 0).all()
    assert np.isfinite(clf.decision_function(clouds)).all()


def test_wanted_radii_are_in_the_units_of_the_threat() -> None:
    clouds, y = rings_and_blobs()
    small = SRNClassifier(radii=(0.0, 0.01), **SMALL).fit(clouds, y)
    large = SRNClassifier(radii=(0.0, 0.1), **SMALL).fit(clouds, y)
    assert large.unit_ == pytest.approx(10 * small.unit_)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "best"}, "preset"),
        ({"epochs": 0}, "epochs"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"network": "transformer"}, "network"),
        ({"extractor": "alpha"}, "precomputed"),
        ({"hidden": (30,)}, "multiple of 16"),
        ({"class_weight": "heavy"}, "class_weight"),
    ],
)
def test_a_wrong_choice_is_named(options, words) -> None:
    clouds, y = rings_and_blobs()
    with pytest.raises(ValueError, match=words):
        SRNClassifier(**SMALL | options).fit(clouds, y)
