"""Activations: what they are, and the norms that they are for."""

from __future__ import annotations

import math

import pytest
import torch

from stablerank.exceptions import (
    InvalidInputError,
    ShapeError,
    UncertifiableLayerError,
)
from stablerank.frozen import Program, VectorInput
from stablerank.nn import (
    FullSort,
    GroupSort,
    Householder,
    LinearSpline,
    LinfLinear,
    MaxMin,
    NActivation,
    ParametricReLU,
    Stack,
)
from tests.nn.layers import jacobians

X = torch.randn(300, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
KEEPERS = {
    "maxmin": MaxMin,
    "full sort": lambda: FullSort(6),
    "N-activation": lambda: NActivation(6),
    "Householder": lambda: Householder(6),
    "Householder, order 2": lambda: Householder(6, order=2),
    "spline": lambda: LinearSpline(6),
    "absolute value": lambda: ParametricReLU(6, start=-1),
}


@pytest.mark.parametrize("name", KEEPERS)
def test_gradients_keep_their_length(name: str) -> None:
    torch.manual_seed(1)
    layer = KEEPERS[name]().double()
    found = jacobians(layer, X)
    assert torch.allclose(found @ found.mT, torch.eye(6, dtype=X.dtype), atol=1e-6)


def test_a_full_sort_is_a_group_sort_of_the_width() -> None:
    assert torch.equal(FullSort(6)(X), GroupSort(6)(X))


def test_an_n_activation_is_an_n_between_its_thresholds() -> None:
    layer = NActivation(1).double()
    layer.thresholds.data.copy_(torch.tensor([[1.0, -2.0]]))  # in any order
    x = torch.tensor([[-3.0], [-2.0], [0.5], [1.0], [2.0]], dtype=torch.float64)
    assert layer(x).flatten().tolist() == [1.0, 2.0, -0.5, -1.0, 0.0]


def test_equal_thresholds_only_shift() -> None:
    layer = NActivation(6).double()
    layer.thresholds.data.fill_(0.7)
    assert torch.allclose(layer(X), X - 1.4)


def test_slopes_beyond_one_are_clipped_in_training_and_when_frozen() -> None:
    layer = ParametricReLU(6).double()
    layer.slope.data.copy_(torch.tensor([-7.0, -1.0, 0.0, 0.5, 1.0, 3.0]))
    frozen = Program((VectorInput(6, math.inf, 8.0),), layer.freeze(0))
    assert (frozen.constants(1.0)[-1] == 1).all()
    expected = torch.tensor([-1.0, -1.0, 0.0, 0.5, 1.0, 1.0])
    slopes = torch.where(X > 0, 1.0, expected)
    assert torch.allclose(layer(X), slopes * X)


def test_a_slope_beyond_one_finds_its_way_back() -> None:
    layer = ParametricReLU(2).double()
    layer.slope.data.copy_(torch.tensor([1.5, 1.5]))
    y = layer(torch.full((1, 2), -1.0).double())  # -1 each, whatever is beyond 1
    (y * torch.tensor([1.0, -1.0])).sum().backward()
    # Descent would push the first slope further out, and pulls the second one in.
    assert layer.slope.grad is not None
    assert layer.slope.grad.tolist() == [0.0, 1.0]


def test_householder_at_a_right_angle_sorts_pairs() -> None:
    layer = Householder(6).double()
    flipped = MaxMin()(X).unflatten(1, (-1, 2)).flip(-1).flatten(1)
    assert torch.allclose(layer(X), flipped, atol=1e-6)


def test_the_angle_is_that_of_the_reflection() -> None:
    # Beyond the line (x, y) -> (x cos a + y sin a, x sin a - y cos a).
    layer, a = Householder(2).double(), 0.6
    layer.angles.data.fill_(a)
    z = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    x, y = z[0]
    c, s = math.cos(a), math.sin(a)
    assert torch.allclose(layer(z)[0], torch.stack([x * c + y * s, x * s - y * c]))
    assert torch.equal(layer(-z), -z)


def test_order_two_has_four_pieces_at_its_angles() -> None:
    layer = Householder(2, order=2).double()
    a, s, t = 0.5, 1.0, 2.6
    layer.angles.data.copy_(torch.tensor([[a], [s], [t]]))
    turn = torch.linspace(0, 2 * math.pi, 1000, dtype=torch.float64)
    circle = torch.stack([turn.cos(), turn.sin()], dim=1)
    found = jacobians(layer, circle).flatten(1).mul(1e6).round()
    assert len(found.unique(dim=0)) == 4
    changes = turn[1:][(found[1:] != found[:-1]).any(dim=1)]
    expected = torch.tensor([a, a + s, a + s + t, a + t + 2 * math.pi]) / 2
    assert torch.allclose(changes, expected.double(), atol=0.01)


def test_order_two_without_its_last_angle_is_of_order_one() -> None:
    one, two = Householder(6).double(), Householder(6, order=2).double()
    one.angles.data.uniform_(0, 6)
    two.angles.data[0], two.angles.data[2] = one.angles.data[0], 0.0
    assert torch.allclose(two(X), one(X), atol=1e-12)


def test_angles_of_sectors_beyond_a_turn_are_clipped_and_find_back() -> None:
    layer, other = Householder(6, order=2).double(), Householder(6, order=2).double()
    layer.angles.data[1:] = torch.tensor([[-1.0, 9.0, 7.0], [8.0, 1.0, -2.0]])
    other.angles.data.copy_(layer.angles.data.clamp(0, 2 * math.pi))
    assert torch.allclose(layer(X), other(X))
    layer(X).square().sum().backward()
    (layer(X) * torch.randn_like(X)).sum().backward()
    assert layer.angles.grad is not None
    assert layer.angles.grad.isfinite().all()


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_reflections_are_those_of_finite_differences(order: int) -> None:
    torch.manual_seed(3)
    layer = Householder(6, order).double()
    layer.angles.data.uniform_(0.3, 5)
    assert torch.autograd.gradcheck(
        lambda x, angles: torch.func.functional_call(layer, {"angles": angles}, x),
        (X[:20].clone().requires_grad_(), layer.angles),
        atol=1e-4,
    )


def test_frozen_reflections_have_the_constant_one_exactly() -> None:
    torch.manual_seed(2)
    for order in (1, 2):
        layer = Householder(64, order)
        layer.angles.data.uniform_(-20, 20)
        frozen = Program((VectorInput(64, 2, 8.0),), layer.freeze(0))
        assert frozen.constants(1.0)[-1] == 1.0


def test_householder_has_no_place_in_an_l_inf_network() -> None:
    with pytest.raises(UncertifiableLayerError, match="norm"):
        Stack([LinfLinear(4, 4), Householder(4)])
    with pytest.raises(UncertifiableLayerError, match=r"sqrt\(2\)"):
        Program((VectorInput(4, math.inf, 1.0),), Householder(4).freeze(0))


def test_orders_and_widths_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="order"):
        Householder(4, order=3)
    with pytest.raises(ShapeError, match="pairs"):
        Householder(5)
