"""Block reflectors: contractions for any vectors, orthogonal for good ones."""

from __future__ import annotations

import pytest
import torch

from stablerank.exceptions import InvalidInputError
from stablerank.frozen.spectral import spectral_norm_up
from stablerank.nn import BRO

SIZES = [(1, 1), (2, 2), (7, 7), (3, 11), (11, 3), (64, 64), (1, 5), (5, 1)]


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_rows_or_columns_are_orthonormal(n_in: int, n_out: int) -> None:
    torch.manual_seed(0)
    w = BRO(n_in, n_out).double().matrix()
    gram = w @ w.T if n_out <= n_in else w.T @ w
    assert torch.allclose(gram, torch.eye(len(gram), dtype=w.dtype), atol=1e-6)


@pytest.mark.parametrize("vectors", ["zero", "equal", "tiny", "huge", "mixed"])
@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_vectors_give_a_contraction(
    n_in: int, n_out: int, vectors: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(1)
    layer = BRO(n_in, n_out).to(dtype)
    v = layer.vectors.data
    match vectors:
        case "zero":
            v.zero_()
        case "equal":
            v.copy_(v[:, :1].expand_as(v))
        case "tiny":
            v.mul_(1e-30)
        case "huge":
            v.mul_(1e30)
        case "mixed":
            v[:, ::2] *= 1e-12
    layer.check_invariant()
    (affine,) = layer.freeze(0)
    assert spectral_norm_up(affine.weight) <= 1 + 2.0**-30
    x = torch.randn(5, n_in, dtype=dtype)
    assert (layer(x).norm(dim=1) <= x.norm(dim=1) * (1 + 1e-5)).all()


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_the_factored_product_is_the_product_with_the_matrix(
    n_in: int, n_out: int
) -> None:
    torch.manual_seed(2)
    layer = BRO(n_in, n_out).double()
    layer.bias.data.normal_()
    x = torch.randn(6, n_in, dtype=torch.float64)
    assert torch.allclose(layer(x), x @ layer.matrix().T + layer.bias, atol=1e-12)


def test_rectangular_layers_start_without_preferring_any_input() -> None:
    # The leading block of an ordinary reflector is near the identity: it would pass
    # on the first inputs and lose the others.
    torch.manual_seed(3)
    energy = BRO(200, 50).matrix().detach().square().sum(dim=0)
    first, others = energy[:50].mean(), energy[50:].mean()
    assert 0.5 < first / others < 2


def test_a_rank_that_does_not_fit_is_refused() -> None:
    for rank in (0, 8):
        with pytest.raises(InvalidInputError, match="rank"):
            BRO(4, 7, rank=rank)
