"""Orthogonal layers: contractions for any weights, orthogonal for good ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Affine, Program, VectorInput
from stablerank.frozen.spectral import spectral_norm_up
from stablerank.nn import BRO, Bjorck, Cayley, Cholesky, Exponential, L2Linear
from stablerank.nn.contractions import bjorck, gram_bound, orthonormal, reflected
from stablerank.nn.dense import Dense

SIZES = [(1, 1), (7, 7), (3, 11), (11, 3), (1, 5), (5, 1), (64, 64)]
ORTHOGONAL: dict[str, Callable[[int, int], Dense]] = {
    "BRO": BRO,
    "Cayley": Cayley,
    "Cholesky": Cholesky,
    "Bjorck": Bjorck,
    "exponential": Exponential,
}
LAYERS: dict[str, Callable[[int, int], Dense]] = {
    **ORTHOGONAL,
    "Bjorck, one step": lambda n_in, n_out: Bjorck(n_in, n_out, steps=1),
    "Bjorck, no step": lambda n_in, n_out: Bjorck(n_in, n_out, steps=0),
    "spectral": L2Linear,
    "spectral, projected": lambda n_in, n_out: L2Linear(n_in, n_out, "projected"),
}
WEIGHTS = ["start", "random", "zero", "rank one", "tiny", "huge", "mixed"]


def edit(weight: torch.Tensor, kind: str) -> None:
    """Write weights of a kind in place."""
    match kind:
        case "random":
            weight.normal_()
        case "zero":
            weight.zero_()
        case "rank one":
            weight.copy_(weight[:, :1].expand_as(weight))
        case "tiny":
            weight.mul_(1e-30)
        case "huge":
            weight.mul_(1e30)
        case "mixed":
            weight[:, ::2] *= 1e-12


def made(name: str, n_in: int, n_out: int, kind: str, dtype: torch.dtype) -> Dense:
    torch.manual_seed(1)
    layer = LAYERS[name](n_in, n_out).to(dtype)
    edit(layer.weight.data, kind)
    layer.bias.data.normal_()
    return layer


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", WEIGHTS)
def test_the_frozen_constant_is_the_largest_ratio_there_is(
    name: str, kind: str
) -> None:
    for n_in, n_out in SIZES:
        layer = made(name, n_in, n_out, kind, torch.float32)
        layer.bias.data.zero_()  # else rounding hides what tiny weights do
        (affine,) = layer.freeze(0)
        assert isinstance(affine, Affine)
        program = Program((VectorInput(n_in, 2, 4.0),), (affine,))
        (constant,) = program.constants(1.0)[-1]
        assert constant <= 1 + 2.0**-30
        # The Jacobian is W everywhere: its leading singular vector is the best attack.
        step = np.linalg.svd(affine.weight)[2][:1]
        moved = np.linalg.norm(program.evaluate(step) - program.evaluate(-step))
        ratio = moved / (2 * np.linalg.norm(step))
        assert (1 - 1e-9) * constant <= ratio <= (1 + 1e-14) * constant
        if kind in ("start", "random") and name in ORTHOGONAL:
            assert ratio >= 0.999


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", WEIGHTS)
def test_the_forward_pass_is_the_frozen_product(name: str, kind: str) -> None:
    for n_in, n_out in SIZES:
        for dtype in (torch.float32, torch.float64):
            layer = made(name, n_in, n_out, kind, dtype)
            program = Program((VectorInput(n_in, 2, 4.0),), layer.freeze(0))
            x = torch.randn(6, n_in, dtype=dtype).clamp(-4, 4)
            with torch.no_grad():
                y = layer(x).double()
                same = x @ layer.matrix().T + layer.bias
            # W itself is computed twice, and is worth as many digits as its dtype has.
            tolerance = 2e-4 if dtype == torch.float32 else 1e-10
            assert (y - same).abs().max() <= tolerance
            if kind in ("start", "zero", "tiny") or dtype == torch.float64:
                frozen = program.evaluate(x.double())
                assert (y - frozen).abs().max() <= tolerance


@pytest.mark.parametrize("name", ORTHOGONAL)
@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_rows_or_columns_are_orthonormal(name: str, n_in: int, n_out: int) -> None:
    torch.manual_seed(0)
    w = ORTHOGONAL[name](n_in, n_out).double().matrix()
    gram = w @ w.T if n_out <= n_in else w.T @ w
    if name == "exponential" and n_in != n_out:  # a block of a rotation
        assert torch.linalg.matrix_norm(w, 2) <= 1 + 1e-12
    else:
        assert torch.allclose(gram, torch.eye(len(gram), dtype=w.dtype), atol=1e-6)


def test_rectangular_layers_start_without_preferring_any_input() -> None:
    # The leading block of an ordinary reflector is near the identity: it would pass
    # on the first inputs and lose the others.
    torch.manual_seed(3)
    energy = BRO(200, 50).matrix().detach().square().sum(dim=0)
    first, others = energy[:50].mean(), energy[50:].mean()
    assert 0.5 < first / others < 2


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_gradients_keep_their_length(name: str) -> None:
    torch.manual_seed(4)
    layer = ORTHOGONAL[name](9, 9).double()
    x = torch.randn(5, 9, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x).sum(dim=0).norm(), x)
    assert torch.allclose(gradient.norm(dim=1), torch.ones(5).double(), atol=1e-6)


@pytest.mark.parametrize("steps", range(9))
def test_bjorck_is_a_contraction_after_any_number_of_steps(steps: int) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        for shape in ((30, 30), (30, 4), (4, 30)):
            w = bjorck(torch.randn(shape, dtype=torch.float64), steps)
            assert spectral_norm_up(w.numpy()) <= 1 + 2.0**-30


def test_bjorck_survives_a_bound_that_is_wrong_by_a_factor_of_two() -> None:
    # s -> 1.5 s - 0.5 s^3 maps [0, 2] into [-1, 1]; just above 2 it does not.
    s = np.linspace(0, 2, 100_001)
    assert np.abs(1.5 * s - 0.5 * s**3).max() <= 1
    assert abs(1.5 * 2.001 - 0.5 * 2.001**3) > 1


@pytest.mark.parametrize("steps", [0, 1, 3, 5, 8])
@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_the_gram_bound_is_above_the_norm_and_as_near_as_promised(
    steps: int, scale: float
) -> None:
    for seed in range(10):
        torch.manual_seed(seed)
        for n, m in ((1, 1), (20, 7), (7, 20), (33, 33)):
            w = scale * torch.randn(n, m, dtype=torch.float64)
            if seed % 2:
                w = w[:, :1] @ torch.randn(1, m, dtype=torch.float64)
            norm = torch.linalg.matrix_norm(w, 2)
            bound = gram_bound(w, steps)
            assert norm * (1 - 1e-13) <= bound
            assert bound <= norm * min(n, m) ** (2.0 ** -(steps + 1)) * (1 + 1e-12)


def test_the_gram_bound_is_attained_by_rows_of_equal_length() -> None:
    w = torch.eye(16, dtype=torch.float64)
    assert gram_bound(w, 3).item() == pytest.approx(16 ** (1 / 16))


def test_the_gradient_of_the_gram_bound_is_its_derivative() -> None:
    torch.manual_seed(5)
    w = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gram_bound, (w,))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("n_in", "n_out"), [(5, 5), (3, 6), (6, 3)])
def test_the_gradient_of_a_weight_is_its_derivative(
    name: str, n_in: int, n_out: int
) -> None:
    layer = made(name, n_in, n_out, "random", torch.float64)
    weight = layer.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(layer.map, (weight,), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_derivatives_of_a_reflection_are_those_of_its_formula(
    dtype: torch.dtype,
) -> None:
    torch.manual_seed(6)
    v = torch.randn(2, 5, 3, dtype=dtype, requires_grad=True)
    x = torch.randn(2, 4, 5, dtype=dtype, requires_grad=True)
    half = orthonormal(v)
    plain = x - 2 * (x @ half.conj()) @ half.mT
    assert torch.allclose(reflected(v, x), plain, rtol=0, atol=1e-14)
    cotangent = torch.randn_like(plain)
    found = torch.autograd.grad(reflected(v, x), (v, x), cotangent)
    expected = torch.autograd.grad(plain, (v, x), cotangent)
    for f, e in zip(found, expected, strict=True):
        assert torch.allclose(f, e, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(reflected, (v, x), atol=1e-6)
    assert torch.autograd.gradgradcheck(reflected, (v, x), atol=1e-6)
    for fixed in ((v, x.detach()), (v.detach(), x)):
        (free,) = [t for t in fixed if t.requires_grad]
        y = reflected(*fixed)
        (once,) = torch.autograd.grad(y, free, cotangent, retain_graph=True)
        (twice,) = torch.autograd.grad(y, free, cotangent, create_graph=True)
        assert torch.allclose(once, twice, rtol=1e-10, atol=1e-12)


def test_a_reflection_along_nothing_has_gradient_zero() -> None:
    layer = BRO(4, 4)
    layer.weight.data.zero_()
    layer(torch.randn(3, 4)).square().sum().backward()
    assert layer.weight.grad is not None
    assert not layer.weight.grad.any()


def test_a_projected_weight_that_is_small_is_left_alone() -> None:
    layer = L2Linear(6, 4, "projected")
    layer.weight.data *= 0.5 / gram_bound(layer.weight.data)
    assert torch.equal(layer.matrix(), layer.weight)
    scaled = L2Linear(6, 4, "normalised")
    scaled.weight = layer.weight
    norm = torch.linalg.matrix_norm(scaled.matrix(), 2)
    assert 4 ** (-1 / 64) * (1 - 1e-5) <= norm <= 1 + 1e-6


def test_a_rank_that_does_not_fit_is_refused() -> None:
    for rank in (0, 8):
        with pytest.raises(InvalidInputError, match="rank"):
            BRO(4, 7, rank=rank)
    with pytest.raises(InvalidInputError, match="free"):
        L2Linear(4, 7, "free")


@pytest.mark.parametrize("name", LAYERS)
def test_a_matrix_that_stretches_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = made(name, 5, 5, "start", torch.float64)
    true = layer.map
    monkeypatch.setattr(layer, "map", lambda w: 1.01 * true(w) * math.sqrt(2))
    with pytest.raises(InvalidInputError, match="spectral norm"):
        layer.check_invariant()
