"""The offset cross-entropy: what it counts, and what it is blind to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stablerank.exceptions import InvalidInputError
from stablerank.nn import OffsetCrossEntropy, pairwise_radii

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.3, 0.1]])
TARGET = torch.tensor([0, 2])
CONSTANTS = torch.tensor([[0.0, 2.0, 1.0], [2.0, 0.0, 0.5], [1.0, 0.5, 0.0]])


def loss(offsets: tuple[float, ...], temperature: float, q: float = 0.0) -> float:
    module = OffsetCrossEntropy(offsets, temperature, q)
    return float(module(LOGITS, TARGET, CONSTANTS))


def test_radii_are_margins_over_the_constants_of_the_pair() -> None:
    expected = [[0.0, 0.75, 3.0], [0.1, -0.4, 0.0]]
    found = pairwise_radii(LOGITS, TARGET, CONSTANTS)
    assert torch.allclose(found, torch.tensor(expected))


def test_it_is_the_formula_of_the_module() -> None:
    radii, total = pairwise_radii(LOGITS, TARGET, CONSTANTS), 0.0
    for offset in (0.5, 1.0):
        for row, y in zip(radii.tolist(), TARGET.tolist(), strict=True):
            rivals = [r for j, r in enumerate(row) if j != y]
            energies = torch.tensor([3.0 * (offset - r) for r in rivals])
            total += float(energies.exp().sum().log1p())
    assert loss((0.5, 1.0), 3.0) == pytest.approx(total / 4)


def test_without_offset_and_constants_it_is_the_cross_entropy() -> None:
    ones = torch.ones(3, 3)
    found = OffsetCrossEntropy((0.0,), 1.0)(LOGITS, TARGET, ones)
    assert torch.allclose(found, torch.nn.functional.cross_entropy(LOGITS, TARGET))


def test_scaling_logits_and_constants_together_changes_nothing() -> None:
    module = OffsetCrossEntropy((0.0, 1.0), 2.0)
    scaled = module(7 * LOGITS, TARGET, 7 * CONSTANTS)
    assert torch.allclose(scaled, module(LOGITS, TARGET, CONSTANTS))


def test_larger_exponents_give_up_on_hopeless_samples() -> None:
    def gradient(q: float) -> Tensor:
        logits = torch.tensor([[-20.0, 20.0]], requires_grad=True)
        unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
        OffsetCrossEntropy((0.0,), 1.0, q)(logits, torch.tensor([0]), unit).backward()
        assert logits.grad is not None
        return logits.grad.abs().max()

    assert gradient(0.0) > 0.4
    assert gradient(0.5) < 1e-4
    assert loss((1.0,), 3.0, q=1e-6) == pytest.approx(loss((1.0,), 3.0), rel=1e-3)


def test_weights_weigh_samples() -> None:
    module = OffsetCrossEntropy((0.5,), 1.0)
    alone = module(LOGITS[:1], TARGET[:1], CONSTANTS)
    weighted = module(LOGITS, TARGET, CONSTANTS, torch.tensor([2.0, 0.0]))
    assert torch.allclose(alone, weighted)


def test_equal_rows_of_the_head_do_not_divide_by_zero() -> None:
    constants = torch.zeros(3, 3, requires_grad=True)
    OffsetCrossEntropy((0.5,), 1.0)(LOGITS, TARGET, constants).backward()
    assert constants.grad is not None
    assert constants.grad.isfinite().all()


@pytest.mark.parametrize(
    "bad",
    [
        ((), 1.0, 0.0),
        ((0.0, 1.0), 1.0, (0.0,)),
        ((0.0,), 0.0, 0.0),
        ((-1.0,), 1.0, 0.0),
        ((0.0,), 1.0, -0.1),
    ],
)
def test_wrong_arguments_are_refused(
    bad: tuple[tuple[float, ...], float, float],
) -> None:
    with pytest.raises(InvalidInputError):
        OffsetCrossEntropy(*bad)
