"""Distance neurons: the schedule of p, the identity, the unit of the centres."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.nn import LinfDistance, MeanShift, Stack
from tests.nn.layers import WIDTH, made


def test_p_grows_from_8_to_1000_and_is_infinite_at_the_end() -> None:
    layer = LinfDistance(4, 2, exact_share=0.25)
    shares = torch.linspace(0, 1, 101).tolist()
    orders = []
    for share in shares:
        layer.set_progress(share)
        orders.append(layer.p)
    assert orders[0] == 8
    assert orders == sorted(orders)
    ratios = [b / a for a, b in itertools.pairwise(orders[:70])]
    assert max(ratios) / min(ratios) < 1 + 1e-6  # exponentially
    assert 900 < max(p for p in orders if math.isfinite(p)) <= 1000
    assert all(
        math.isinf(p) == (s >= 0.75) for p, s in zip(orders, shares, strict=True)
    )


def test_evaluation_is_at_infinite_p_whatever_the_progress() -> None:
    layer = made("distance")
    x = torch.randn(5, WIDTH, dtype=torch.float64)
    exact = (x[:, None] - layer.centres()).abs().amax(dim=2)
    assert torch.equal(layer(x), exact)
    assert (layer.train()(x) > exact).all()  # p = 8
    layer.set_progress(1.0)
    assert torch.equal(layer(x), exact)


def test_the_identity_start_gives_each_coordinate_back() -> None:
    x = torch.empty(50, 6).uniform_(-1, 1)
    layer = Stack([LinfDistance(6, 12, identity=True), MeanShift(12)])
    layer.prepare(x)
    centred = x - x.mean(dim=0)
    assert torch.allclose(layer.eval()(x), centred.repeat(1, 2), atol=1e-5)


def test_a_prepared_layer_works_in_the_units_of_its_inputs() -> None:
    x = torch.randn(20, WIDTH, dtype=torch.float64)
    small, large = made("distance"), made("distance")
    small.prepare(x)
    large.prepare(1024 * x)
    assert torch.equal(1024 * small(x), large(1024 * x))  # powers of two are exact
    assert small.centres().abs().max() < 8 * x.abs().max()


def test_preparing_with_zeros_changes_nothing() -> None:
    layer = LinfDistance(3, 2)
    layer.prepare(torch.zeros(4, 3))
    assert layer.unit == 1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="exact_share"):
        LinfDistance(3, 2, exact_share=1.0)
    with pytest.raises(ShapeError, match=r"\(4, 2\), not \(n, 3\)"):
        LinfDistance(3, 2)(torch.zeros(4, 2))
