"""Top-k certificates and abstention: what stays true when one label is not enough."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablerank.certify import Certificates, certify, margin_radii
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Affine, Program, VectorInput
from stablerank.metrics import FeatureBall

N = 4
BALL = FeatureBall(math.inf)


def identity(classes: int = N) -> Program:
    """Logits are the features: rivals rise by r while the label falls by r."""
    head = Affine((0,), np.eye(classes), np.zeros(classes))
    return Program((VectorInput(classes, math.inf, 64.0),), (head,))


def certified(*rows: list[float], names: Any = None) -> Certificates:
    return certify(identity(len(rows[0])), list(rows), BALL, classes=names)


def test_the_kth_rival_to_arrive_decides() -> None:
    cert = certified([8.0, 7.0, 4.0, 0.0])
    exact = [0.5, 2.0, 4.0]
    for k, radius in enumerate(exact, 1):
        top = cert.top(k)
        assert radius * (1 - 1e-12) <= top.radius[0] < radius
        assert top.rival[0] == k
        assert top.label[0] == 0
    assert cert.top(1).radius[0] == cert.radius[0]


logits = st.lists(st.integers(-64, 64).map(lambda k: k / 8), min_size=N, max_size=N)


@given(logits, st.integers(1, N - 1), st.integers(0, N - 1))
def test_no_corner_of_the_ball_pushes_a_label_out_of_the_top_k(
    z: list[float], k: int, label: int
) -> None:
    radius = certified(z).top(k, [label]).radius[0]
    inside = sum(v >= z[label] for i, v in enumerate(z) if i != label) < k
    assert (radius > 0) <= inside
    if radius == 0:
        return
    worst = 0
    for signs in product((-1, 1), repeat=N):
        moved = [
            Fraction(v) + s * Fraction(radius) for v, s in zip(z, signs, strict=True)
        ]
        ahead = sum(v >= moved[label] for i, v in enumerate(moved) if i != label)
        worst = max(worst, ahead)
    assert worst < k
    # ... and a little further some corner does.
    further = Fraction(radius) * (1 + Fraction(1, 2**20)) + Fraction(1, 2**20)
    moved = [Fraction(v) + further for v in z]
    moved[label] = Fraction(z[label]) - further
    assert sum(v >= moved[label] for i, v in enumerate(moved) if i != label) >= k


def test_certified_top_k_accuracy_counts_true_labels_that_stay() -> None:
    names = np.array(["ape", "bee", "cat", "dog"])
    cert = certified([8.0, 7.0, 4.0, 0.0], [0.0, 1.0, 2.0, 6.0], names=names)
    truth = ["bee", "ape"]
    assert cert.accuracy(truth) == 0.0
    two = cert.top(2, truth)
    assert two.label.tolist() == truth
    assert two.accuracy(truth) == 0.5  # at 0: the bee is second, the ape is last
    assert two.accuracy(truth, [1.0, 1.6]).tolist() == [0.5, 0.0]
    assert two.reason.tolist() == ["", "not among the top"]
    assert two.kind == "top 2"
    three = cert.top(3, truth)
    assert three.radius[1] == 0.0


def test_a_tie_counts_against_the_label() -> None:
    cert = certified([5.0, 3.0, 3.0, 0.0])
    assert cert.top(2, [1]).radius[0] == 0.0
    assert cert.top(2, [1]).reason[0] == "tie"
    assert cert.top(3, [1]).radius[0] == pytest.approx(1.5, rel=1e-12)


def test_a_rival_without_a_bound_takes_one_place_and_no_more() -> None:
    z = np.array([[8.0, 7.0, 4.0]])
    constants = np.full((3, 3), 2.0) - 2 * np.eye(3)
    constants[0, 1] = math.inf
    one, two = (margin_radii(z, constants, np.zeros((3, 3)), top=k) for k in (1, 2))
    assert one.radius[0] == 0.0
    assert one.reason[0] == "overflow in the analysis"
    assert two.radius[0] == math.nextafter(2.0, 0.0)
    assert two.reason[0] == ""


@pytest.mark.parametrize("k", [0, -1, N, N + 1, 1.5])
def test_a_number_of_places_that_is_none_is_refused(k: Any) -> None:
    with pytest.raises(InvalidInputError, match="top="):
        certified([1.0, 2.0, 3.0, 4.0]).top(k)


def test_labels_must_be_known_and_one_a_sample() -> None:
    cert = certified([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ShapeError, match="labels"):
        cert.top(2, [0, 1])
    with pytest.raises(InvalidInputError, match="labels\\[0\\] is 9"):
        cert.top(2, [9])


def test_certificates_without_logits_cannot_be_asked_again() -> None:
    cert = certified([1.0, 2.0, 3.0, 4.0])
    bare = Certificates(
        cert.label, cert.radius, cert.reason, cert.rival, cert.bound, cert.threat
    )
    with pytest.raises(InvalidInputError, match="logits"):
        bare.top(2)


# --- abstention -----------------------------------------------------------------------


def test_a_threshold_silences_small_radii_and_touches_no_other() -> None:
    cert = certified([8.0, 7.0, 0.0, 0.0], [8.0, 2.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0])
    kept = cert.abstain(below=1.0)
    assert kept.radius.tolist() == [0.0, cert.radius[1], 0.0]
    assert kept.reason.tolist() == ["below the threshold", "", "tie"]
    assert kept.label.tolist() == cert.label.tolist()
    assert kept.coverage() == pytest.approx(1 / 3)
    assert cert.coverage() == pytest.approx(2 / 3)
    each = cert.abstain(below=[0.1, 4.0, 0.0])
    assert each.radius.tolist() == [cert.radius[0], 0.0, 0.0]


def test_coverage_and_selective_accuracy_are_shares_of_what_holds() -> None:
    rows = [[6.0, 0, 0, 0], [4.0, 0, 0, 0], [2.0, 0, 0, 0], [1.0, 1.0, 0, 0]]
    cert = certified(*rows)  # radii 3, 2, 1 and 0
    y = [0, 1, 0, 0]
    sizes = [0.0, 0.9, 1.9, 2.9, 9.0]
    assert cert.coverage(sizes).tolist() == [0.75, 0.75, 0.5, 0.25, 0.0]
    found = cert.selective_accuracy(y, sizes)
    assert found[:4].tolist() == [2 / 3, 2 / 3, 0.5, 1.0]
    assert math.isnan(found[4])  # of nobody
    for eps in sizes[1:4]:
        product_of_both = cert.coverage(eps) * cert.selective_accuracy(y, eps)
        assert product_of_both == pytest.approx(cert.accuracy(y, eps))


@pytest.mark.parametrize("bad", [-1.0, math.nan, "much"])
def test_a_threshold_that_is_none_is_refused(bad: Any) -> None:
    cert = certified([1.0, 2.0, 3.0, 4.0])
    for ask in (cert.abstain, cert.coverage):
        with pytest.raises(InvalidInputError, match="eps"):
            ask(bad)
