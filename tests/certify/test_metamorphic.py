"""Transformed inputs whose certificate is known from that of the original."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from stablerank import (
    AlphaPersistence,
    Certificates,
    Displacement,
    RipsPersistence,
    SRNClassifier,
)
from stablerank.certify import certify
from stablerank.frozen import Affine, BarInput, Deaths, Program, SortTop
from tests.estimators.problems import SMALL, orbits, rings_and_blobs

THREAT = Displacement()


@cache
def problem() -> tuple[list[Any], Any]:
    clouds, y = rings_and_blobs(16)
    return [c.astype(np.float64) for c in clouds], y


@cache
def fitted(extractor: str) -> SRNClassifier:
    kind = {"alpha": AlphaPersistence, "rips": RipsPersistence}[extractor]
    return SRNClassifier(kind(), **SMALL).fit(*problem())


def slack(cert: Certificates) -> float:
    """What two runs may differ by: the charged errors, in units of the radius."""
    pairs = cert.evidence["constants"]
    off = pairs[~np.eye(len(pairs), dtype=bool)]
    return float(2 * cert.evidence["owed"].max() / off.min())


def same(old: Certificates, new: Certificates, more: float = 0.0) -> None:
    assert np.array_equal(old.label, new.label)
    assert np.abs(old.radius - new.radius).max() <= slack(old) + more


def moved(name: str, cloud: Any) -> Any:
    rng = np.random.default_rng(1)
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return {
        "permuted": lambda: cloud[rng.permutation(len(cloud))],
        "translated": lambda: cloud + np.array([3.0, -5.0]),
        "rotated": lambda: cloud @ turn.T,
        "reflected": lambda: cloud * [1.0, -1.0],
        "a point given twice": lambda: np.concatenate([cloud, cloud[:1]]),
    }[name]()


@pytest.mark.parametrize("extractor", ["alpha", "rips"])
@pytest.mark.parametrize(
    "name", ["permuted", "translated", "rotated", "reflected", "a point given twice"]
)
def test_what_changes_no_distance_changes_no_certificate(
    extractor: str, name: str
) -> None:
    clouds, _ = problem()
    model = fitted(extractor)
    old = model.certify(clouds, THREAT)
    new = model.certify([moved(name, cloud) for cloud in clouds], THREAT)
    assert (old.radius > 0).all()
    # Rotated and translated points are rounded themselves, by so much.
    rounded = 0.0 if name in ("permuted", "reflected") else 1e-13
    same(old, new, rounded)


def test_a_larger_unit_gives_a_larger_radius() -> None:
    """A model without biases: everything doubles, and the doubled floats are exact."""
    rows = np.array([[1.0, -0.5], [-1.0, 0.5]])
    entry = BarInput("H0", 0, "radius", None, 0.0, 64.0, 64, 1e-9, pinned=True)
    top = SortTop((1,), np.arange(2))
    program = Program((entry,), (Deaths((0,)), top, Affine((2,), rows, np.zeros(2))))
    clouds, _ = problem()
    radii = []
    for scale in (1.0, 4.0):
        alpha = AlphaPersistence((0,))
        dgms = alpha.fit_transform([scale * c for c in clouds])
        radii.append(certify(program, dgms, THREAT, alpha.bounds(THREAT, dgms)))
    small, large = radii
    assert np.array_equal(small.label, large.label)
    assert large.radius == pytest.approx(4 * small.radius, abs=1e-8)


def test_a_model_of_larger_units_is_the_same_model_in_them() -> None:
    clouds, y = problem()
    old = fitted("alpha").certify(clouds, THREAT)
    twice = [2 * c for c in clouds]
    new = SRNClassifier(AlphaPersistence(), **SMALL).fit(twice, y).certify(twice)
    assert np.array_equal(old.label, new.label)
    assert new.radius == pytest.approx(2 * old.radius, rel=1e-3)


def test_a_class_that_can_never_win_changes_no_radius() -> None:
    clouds, _ = problem()
    model = fitted("alpha")
    old = model.certify(clouds, THREAT)
    *body, head = model.program_.operations
    weight = np.vstack([head.weight, head.weight.mean(axis=0)])
    bias = np.append(head.bias, -1e6)
    more = Program(
        model.program_.inputs, (*body, replace(head, weight=weight, bias=bias))
    )
    dgms = model.extractor_.transform(clouds)
    bounds = model.extractor_.bounds(THREAT, dgms)
    new = certify(more, dgms, THREAT, bounds, [*model.classes_, 99])
    same(old, new, 1e-9)  # the bias of 1e6 is rounded on its own scale
    assert 99 not in new.rival


def test_a_class_given_twice_ties_and_abstains() -> None:
    clouds, _ = problem()
    model = fitted("alpha")
    *body, head = model.program_.operations
    twice = replace(head, weight=head.weight[[0, 1, 1]], bias=head.bias[[0, 1, 1]])
    program = Program(model.program_.inputs, (*body, twice))
    dgms = model.extractor_.transform(clouds)
    bounds = model.extractor_.bounds(THREAT, dgms)
    cert = certify(program, dgms, THREAT, bounds, [0, 1, 2])
    old = model.certify(clouds, THREAT)
    assert (cert.radius[old.label == 1] == 0).all()
    assert set(cert.reason[old.label == 1]) <= {"tie", "margin below rounding"}
    assert (cert.radius[old.label == 0] > 0).all()
    # Among the top two, the twin does no harm.
    assert (cert.top(2).radius[old.label == 1] > 0).all()


@pytest.mark.parametrize("n", [1, 3])
def test_a_batch_of_one_says_what_a_batch_of_many_says(n: int) -> None:
    clouds, _ = problem()
    model = fitted("alpha")
    whole = model.certify(clouds, THREAT)
    for start in range(0, len(clouds), n):
        part = model.certify(clouds[start : start + n], THREAT)
        here = slice(start, start + n)
        assert np.array_equal(part.label, whole.label[here])
        assert np.abs(part.radius - whole.radius[here]).max() <= slack(whole)


def test_the_order_of_the_batch_does_not_matter() -> None:
    clouds, _ = problem()
    model = fitted("rips")
    order = np.random.default_rng(0).permutation(len(clouds))
    old = model.certify(clouds, THREAT)
    new = model.certify([clouds[i] for i in order], THREAT)
    assert np.array_equal(old.label[order], new.label)
    assert np.abs(old.radius[order] - new.radius).max() <= slack(old)


def test_rounding_costs_less_than_a_millionth_of_the_median_radius() -> None:
    """Of the default job: alpha diagrams of orbits, the default network."""
    clouds, y = orbits(10)
    model = SRNClassifier(epochs=8, random_state=0).fit(clouds, y)
    cert = model.certify(clouds, THREAT)
    constants = cert.evidence["constants"]
    worst = cert.evidence["owed"].max()
    smallest = constants[~np.eye(len(constants), dtype=bool)].min()
    assert worst / smallest < 1e-6 * np.median(cert.radius)
    shares = (cert.evidence["rounding"], cert.evidence["engine"])
    assert all(share > 0 for share in shares)
    assert worst <= sum(shares) * (1 + 1e-12)
