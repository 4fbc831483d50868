"""What a certificate answers: holds, accuracy, curve, table, file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stablerank.bounds import Bound
from stablerank.certify import Certificates
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.metrics import Bottleneck, Displacement

BOUND = Bound(Displacement(), Bottleneck(), 1.0, "X5")


def certificates(radius: Any, label: Any = None) -> Certificates:
    r = np.asarray(radius, float)
    names = np.arange(len(r)) % 2 if label is None else np.asarray(label)
    reason = np.where(r > 0, "", "tie")
    return Certificates(
        names, r, reason, 1 - np.arange(len(r)) % 2, BOUND, Displacement()
    )


@pytest.mark.parametrize("bad", [-1e-300, math.nan, -math.inf])
def test_a_radius_is_never_negative_or_nan(bad: float) -> None:
    with pytest.raises(InvalidInputError, match="never NaN or negative"):
        certificates([1.0, bad])


def test_a_certificate_holds_up_to_its_radius_and_not_one_ulp_further() -> None:
    cert = certificates([0.5, 0.0, math.inf])
    assert cert.holds(0.5).tolist() == [True, False, True]
    assert cert.holds(math.nextafter(0.5, 1.0)).tolist() == [False, False, True]


def test_an_abstention_holds_nowhere_not_even_at_zero() -> None:
    assert certificates([0.0, 1.0]).holds(0.0).tolist() == [False, True]


def test_sizes_may_differ_by_sample() -> None:
    cert = certificates([0.5, 0.5, 0.5])
    assert cert.holds([0.4, 0.5, 0.6]).tolist() == [True, True, False]


@pytest.mark.parametrize("bad", [-1e-9, math.nan, "much", None, [0.1, -0.1, 0.0], 1j])
def test_a_size_that_is_none_is_refused(bad: Any) -> None:
    cert = certificates([0.5, 0.5, 0.5])
    with pytest.raises(InvalidInputError, match="eps must be"):
        cert.holds(bad)
    with pytest.raises(InvalidInputError, match="eps must be"):
        cert.accuracy([0, 1, 0], bad)


@pytest.mark.parametrize("shape", [(2,), (3, 1), (3, 3)])
def test_sizes_of_another_number_than_samples_are_refused(
    shape: tuple[int, ...],
) -> None:
    with pytest.raises(ShapeError, match="eps has shape"):
        certificates([0.5, 0.5, 0.5]).holds(np.ones(shape))
    if len(shape) > 1:
        with pytest.raises(ShapeError, match="list of sizes"):
            certificates([0.5, 0.5, 0.5]).accuracy([0, 1, 0], np.ones(shape))


def test_accuracy_counts_what_is_right_and_certified() -> None:
    cert = certificates([0.3, 0.2, 0.1, 0.0])  # labels 0 1 0 1
    y = [0, 1, 1, 1]  # the third is wrong
    assert cert.accuracy(y) == 0.75  # at 0 the plain accuracy, abstentions included
    assert cert.accuracy(y, 0.1) == 0.5
    assert cert.accuracy(y, [0.0, 0.2, 0.25, 1.0]).tolist() == [0.75, 0.5, 0.25, 0.0]


def test_accuracy_needs_one_label_a_sample_and_at_least_one() -> None:
    with pytest.raises(ShapeError, match="3 certificates"):
        certificates([0.1, 0.2, 0.3]).accuracy([0, 1])
    with pytest.raises(InvalidInputError, match="0 samples"):
        certificates([]).accuracy([])


def test_string_labels_are_compared_as_they_are() -> None:
    cert = certificates([0.1, 0.2], ["cat", "dog"])
    assert cert.accuracy(["cat", "cat"], 0.05) == 0.5


def test_the_curve_agrees_with_the_accuracy_on_both_sides_of_every_step() -> None:
    rng = np.random.default_rng(3)
    cert = certificates(np.round(rng.exponential(size=40), 1))  # ties and zeros
    y = rng.integers(0, 2, 40)
    radii, share = cert.curve(y)
    assert radii[0] == 0
    assert (np.diff(radii) >= 0).all()
    assert (np.diff(share) <= 0).all()
    assert share[0] == cert.accuracy(y)
    for r in set(radii[1:].tolist()):
        first = int(np.argmax(radii == r))
        assert share[first] == pytest.approx(cert.accuracy(y, r), abs=1e-15)


def test_an_infinite_radius_never_leaves_the_curve() -> None:
    cert = certificates([math.inf, 1.0], [0, 0])
    radii, share = cert.curve([0, 0])
    assert radii.tolist() == [0.0, 1.0]
    assert share.tolist() == [1.0, 1.0]


def test_the_table_has_one_row_a_sample() -> None:
    table = certificates([0.5, 0.0]).to_frame()
    assert list(table.columns) == ["label", "radius", "rival", "reason"]
    assert table["radius"].tolist() == [0.5, 0.0]
    assert table["reason"].tolist() == ["", "tie"]


def test_the_description_says_how_many_are_certified() -> None:
    assert "2 samples, 1 certified" in repr(certificates([0.5, 0.0]))
    assert "0 samples, 0 certified" in repr(certificates([]))
