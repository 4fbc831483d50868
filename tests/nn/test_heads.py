"""Heads: pairwise constants as training sees them, and as they are frozen."""

from __future__ import annotations

import math

import pytest
import torch

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Program, VectorInput
from stablerank.nn import L2Head, L2ToLinf, LinfHead, MaxMin, Network

HEADS = [
    (LinfHead, math.inf, "normalised"),
    (LinfHead, math.inf, "projected"),
    (L2Head, 2, "normalised"),
    (L2Head, 2, "projected"),
    (L2Head, 2, "free"),
]


@pytest.mark.parametrize(("head", "norm", "kind"), HEADS)
def test_training_and_certificates_share_the_pair_constants(
    head: type[L2Head], norm: float, kind: str
) -> None:
    torch.manual_seed(0)
    layer = head(9, 4, kind=kind).double()
    frozen = Program((VectorInput(9, norm, 1.0),), layer.freeze(0))
    trained = layer.pair_constants().detach().numpy()
    certified = frozen.pair_constants(1.0)
    assert (trained <= certified * (1 + 1e-12)).all()
    assert (certified <= trained * (1 + 1e-9)).all()


@pytest.mark.parametrize("head", [LinfHead, L2Head])
def test_rows_are_as_long_as_their_kind_says(head: type[L2Head]) -> None:
    torch.manual_seed(1)
    norm = 1 if head is LinfHead else 2
    normalised, projected = (head(9, 4, kind=k) for k in ("normalised", "projected"))
    for scale in (1e-3, 1e3):
        for layer in (normalised, projected):
            layer.weight.data *= scale
        lengths = torch.linalg.vector_norm(normalised.matrix(), norm, dim=1)
        assert torch.allclose(lengths, torch.ones(4))
        lengths = torch.linalg.vector_norm(projected.matrix(), norm, dim=1)
        assert (lengths <= 1 + 1e-6).all()
    short = projected.weight.data.mul_(1e-6)
    assert torch.linalg.vector_norm(projected.matrix(), norm, dim=1).max() < 1e-2
    assert short.any()


@pytest.mark.parametrize(("head", "norm", "kind"), HEADS)
def test_equal_rows_have_a_finite_gradient(
    head: type[L2Head], norm: float, kind: str
) -> None:
    layer = head(3, 3, kind=kind)
    layer.weight.data[1] = layer.weight.data[0]
    constants = layer.pair_constants()
    assert constants[0, 1] == 0
    constants.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.isfinite().all()


def test_an_unknown_kind_is_refused() -> None:
    for head in (LinfHead, L2Head):
        with pytest.raises(InvalidInputError, match="kind is"):
            head(3, 2, kind="orthonormal")


@pytest.mark.parametrize("kind", ["normalised", "projected"])
def test_an_l_inf_network_is_entered_from_l2_with_rows_of_length_one(kind: str) -> None:
    torch.manual_seed(2)
    network = Network([L2ToLinf(9, 6, kind), MaxMin(), LinfHead(6, 3)]).double()
    network.check_norm(2)
    frozen = Program((VectorInput(9, 2, 4.0),), network.freeze(0))
    assert (frozen.constants(1.0)[1] <= 1 + 1e-12).all()
    trained = network.pair_constants().detach().numpy()
    assert (frozen.pair_constants(1.0) <= trained * (1 + 1e-9)).all()
    with pytest.raises(InvalidInputError, match="kind is"):
        L2ToLinf(9, 6, "free")
