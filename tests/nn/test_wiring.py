"""Branches: register numbers, constants, and norms that must not mix."""

from __future__ import annotations

import math

import pytest
import torch

from stablerank.exceptions import UncertifiableLayerError
from stablerank.frozen import Program, VectorInput
from stablerank.nn import (
    BRO,
    Abs,
    Concatenated,
    GroupSort,
    Identity,
    L2Head,
    Layer,
    LinfDistance,
    LinfLinear,
    MeanShift,
    Skip,
    Stack,
)


def nested() -> Layer:
    """Branches in branches, an arm without operations, and an arm of several."""
    inner = Concatenated([Identity(), Stack([LinfLinear(4, 6), GroupSort(2)])])
    block = Skip(Stack([inner, LinfLinear(10, 8), Skip(Abs()), LinfLinear(8, 4)]))
    arms = [Identity(), block, Stack([LinfDistance(4, 3), MeanShift(3)])]
    return Stack([LinfLinear(4, 4), Concatenated(arms), GroupSort(11)])


def test_branches_freeze_to_what_they_compute() -> None:
    torch.manual_seed(0)
    layer = nested().double().eval()
    x = torch.randn(20, 4, dtype=torch.float64)
    for before in (0, 1):  # the numbering does not hang on register 0
        operations = (*Abs().freeze(0),)[:before] + layer.freeze(before)
        frozen = Program((VectorInput(4, math.inf, 8.0),), operations)
        start = x.abs() if before else x
        expected = layer(start).detach().numpy()
        assert abs(frozen.evaluate(x.numpy()) - expected).max() < 1e-12


def test_branches_add_up_their_constants() -> None:
    torch.manual_seed(1)
    layer = nested()
    # Inside: max(1, 1), then 1 + 1 around Abs, then 1 + 2 around it all.
    assert layer.lipschitz == 3
    frozen = Program((VectorInput(4, math.inf, 8.0),), layer.double().freeze(0))
    assert frozen.constants(1.0)[-1].max() <= 3 * (1 + 1e-9)


def test_arms_in_l2_add_up_their_squares() -> None:
    assert Concatenated([BRO(4, 4), BRO(4, 4), Abs()]).lipschitz == math.sqrt(3)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda: Stack([BRO(4, 4), LinfLinear(4, 4)]),
        lambda: Stack([LinfLinear(4, 4), GroupSort(2), BRO(4, 4)]),
        lambda: Stack([LinfDistance(4, 4), MeanShift(4), L2Head(4, 2)]),
        lambda: Stack([L2Head(4, 4), BRO(4, 4)]),
        lambda: Concatenated([BRO(4, 4), LinfLinear(4, 4)]),
        lambda: Concatenated([L2Head(4, 4), Identity()]),
        lambda: Concatenated([L2Head(4, 4), BRO(4, 4)]),
        lambda: Skip(L2Head(4, 4)),
        lambda: Stack([BRO(4, 4), Skip(Stack([Abs(), LinfLinear(4, 4)]))]),
    ],
)
def test_layers_of_two_norms_do_not_meet(mixed: object) -> None:
    with pytest.raises(UncertifiableLayerError, match="norm"):
        mixed()  # type: ignore[operator]


def test_a_stack_takes_the_norms_of_its_ends() -> None:
    assert Stack([Abs(), GroupSort(2)]).norm_in is None
    stack = Stack([Abs(), BRO(4, 4), GroupSort(2), L2Head(4, 2)])
    assert (stack.norm_in, stack.norm_out) == (2, math.inf)


def test_everything_inside_is_prepared_told_and_checked() -> None:
    distance, shift = LinfDistance(4, 3), MeanShift(3)
    layer = Skip(
        Stack([Concatenated([Stack([distance, shift]), Identity()]), LinfLinear(7, 4)])
    )
    x = torch.randn(16, 4) * 100
    layer.prepare(x)
    layer.set_progress(1.0)
    assert distance.unit > 100
    assert math.isinf(distance.p)
    assert torch.allclose(shift.mean, distance.eval()(x).mean(dim=0))
    layer.check_invariant()
    assert layer.training  # preparing puts the mode back
