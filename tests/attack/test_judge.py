"""A flip counts only within the radius; verdicts add up."""

from __future__ import annotations

import math

import numpy as np

from stablerank.attack import Claim, VectorTarget, Verdict, judge
from stablerank.certify import certify
from stablerank.frozen import Abs, Program, VectorInput
from stablerank.metrics import FeatureBall


def sign(rows: list[np.ndarray]) -> np.ndarray:
    return np.where(np.asarray(rows)[:, 0] > 0, 1, 0)


def claimed(*radii: float) -> Claim:
    n = len(radii)
    ball = FeatureBall(math.inf)
    return Claim(None, ball, np.ones((n, 1)), np.ones(n), np.array(radii), sign)


def test_a_flip_that_is_a_rounding_too_long_is_pulled_inside_and_asked_again() -> None:
    too_long = [np.array([-1.0])]
    found = judge(claimed(1.5), too_long)
    assert found.succeeded == 1
    assert found.hits[0][1][0] == -0.5
    assert found.rows == {0}
    found = judge(claimed(0.75), too_long)
    assert (found.tried, found.succeeded, found.rejected) == (1, 0, 1)


def test_nothing_tried_is_an_empty_verdict() -> None:
    assert judge(claimed(), []) == Verdict()


def test_certificates_that_claim_nothing_are_no_claim() -> None:
    target = VectorTarget(Program((VectorInput(2, math.inf, 8.0),), (Abs((0,)),)))
    rows = np.array([[1.0, 2.0], [1.0, 1.0], [5.0, 1.0]])
    cert = certify(target.program, rows, FeatureBall(math.inf), classes=["b", "a"])
    assert cert.label.tolist() == ["a", "b", "b"]
    claim = Claim.of(cert, target, rows, classes=["b", "a"])
    assert claim.label.tolist() == [1, 0]
    assert [x.tolist() for x in claim.samples] == [[1.0, 2.0], [5.0, 1.0]]
    assert (claim.said(claim.samples) == claim.label).all()


def test_verdicts_add_up() -> None:
    one, two = Verdict(3, ((0, "a"),), 1), Verdict(2, ((1, "b"),), 0)
    total = one + two
    assert (total.tried, total.succeeded, total.rejected) == (5, 2, 1)
    assert total.rows == {0, 1}
