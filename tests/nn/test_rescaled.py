"""Rescaled weights and the residual blocks on them: constant 1 for any parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stablerank.frozen.spectral import spectral_norm_up
from stablerank.nn import (
    AOL,
    CPL,
    SLL,
    AOLConv,
    Layer,
    LinearResidual,
    LinearResidualConv,
    Sandwich,
)
from stablerank.nn.dense import Dense
from stablerank.nn.rescaled import row_scales
from tests.frozen.test_residual import steepest
from tests.nn.layers import jacobians

SIZES = [(1, 1), (2, 2), (7, 7), (3, 11), (11, 3), (64, 64), (1, 5), (5, 1)]
LAYERS = {
    "AOL": AOL,
    "SLL": SLL,
    "CPL": CPL,
    "sandwich": Sandwich,
    "sandwich, many units": lambda n, m: Sandwich(n, m, hidden=n + m),
    "linear residual": lambda n, m: LinearResidual(n, depth=m),
}


def degenerate(kind: str, value: Tensor) -> None:
    """Make parameters as bad as training can."""
    match kind:
        case "random":
            value.normal_()
        case "zero":
            value.zero_()
        case "equal":
            value.copy_(torch.full_like(value, 0.3))
        case "tiny":
            value.normal_().mul_(1e-30)
        case "huge":
            value.normal_().mul_(1e30)
        case "mixed" if value.ndim == 2:
            value.normal_()[::2].mul_(1e-12)


@pytest.mark.parametrize("kind", ["start", "random", "zero", "equal", "tiny", "huge"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_weights_give_a_contraction(
    name: str, kind: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    for n_in, n_out in SIZES:
        layer: Layer = LAYERS[name](n_in, n_out).to(dtype)
        for key, value in layer.named_parameters():
            if kind != "start":
                degenerate("random" if "shares" in key else kind, value.data)
        layer.check_invariant()
        (block,) = layer.freeze(0)
        if isinstance(layer, Dense):
            assert spectral_norm_up(block.weight) <= 1 + 2.0**-30
        else:
            assert steepest(block) <= block.factor * (1 + 1e-12)
        pairs = torch.randn(2, 9, n_in, dtype=dtype)
        with torch.no_grad():
            moved = (layer(pairs[0]) - layer(pairs[1])).norm(dim=1)
        allowed = (pairs[0] - pairs[1]).norm(dim=1) * (1 + 1e-5)
        # With a huge bias, float32 forgets the input; the frozen program does not.
        rounding = 1e-6 * float(layer.bias.detach().abs().max())
        assert (moved <= allowed + rounding).all()


@pytest.mark.parametrize("layer", [SLL, CPL])
@pytest.mark.parametrize("hidden", [1, 6, 40])
def test_residual_blocks_freeze_to_the_constant_one_exactly(
    layer: type[SLL], hidden: int
) -> None:
    torch.manual_seed(1)
    for scale in (0.0, 1e-20, 1.0, 1e20):
        block = layer(12, hidden)
        block.weight.data.normal_().mul_(scale)
        if isinstance(block, SLL):
            block.log_shares.data.normal_()
        (frozen,) = block.freeze(0)
        assert frozen.factor == 1.0


def test_shares_out_of_their_range_are_clipped() -> None:
    torch.manual_seed(2)
    block = SLL(8)
    block.weight.data.normal_()
    block.log_shares.data.normal_().mul_(1e6)
    (frozen,) = block.freeze(0)
    assert frozen.factor <= 1 + 1e-9
    assert frozen.shares.min() > 0


def test_orthogonal_rows_are_left_alone() -> None:
    for n_in, n_out in SIZES:
        torch.manual_seed(3)
        layer = AOL(n_in, n_out).double()
        assert torch.allclose(layer.matrix(), layer.weight, atol=1e-6)


def test_scales_are_those_of_the_formula() -> None:
    torch.manual_seed(4)
    rows = torch.randn(5, 7, dtype=torch.float64)
    q = torch.rand(5, dtype=torch.float64) + 0.5
    expected = ((rows @ rows.T).abs() @ q / q) ** -0.5
    assert torch.allclose(row_scales(rows, q), expected, rtol=1e-9)
    # A kernel of one tap is a matrix.
    assert torch.allclose(row_scales(rows[..., None, None]), row_scales(rows))
    assert torch.isfinite(row_scales(0 * rows)).all()


def test_scales_of_a_kernel_are_those_of_its_matrix_on_a_large_image() -> None:
    torch.manual_seed(5)
    kernel = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    basis = torch.eye(3 * 49, dtype=torch.float64).view(-1, 3, 7, 7)
    matrix = torch.nn.functional.conv2d(basis, kernel, padding=1).flatten(1).T
    rows = matrix.view(2, 7, 7, -1)[:, 3, 3]  # outputs that see no border
    sums = (rows @ matrix.T).abs().sum(dim=1)
    assert torch.allclose(row_scales(kernel), sums**-0.5, rtol=1e-9)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("channels", [2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_are_contractions_for_any_kernel(
    padding: str, channels: int, stride: int
) -> None:
    torch.manual_seed(6)
    for kind in ("start", "random", "zero", "equal", "huge"):
        layer = AOLConv((4, 6, 3), channels, padding=padding, stride=stride)
        if kind != "start":
            degenerate(kind, layer.kernel.data)
        layer.check_invariant()
        basis = torch.eye(72, dtype=torch.float64)
        layer = layer.double()
        with torch.no_grad():
            matrix = layer(basis) - layer(0 * basis)
        assert torch.linalg.matrix_norm(matrix, 2) <= 1 + 1e-9


def test_taps_that_reach_the_norm_one_keep_the_invariant() -> None:
    torch.manual_seed(6)
    layer = AOLConv((6, 6, 3), 3)
    rows = torch.linalg.qr(torch.randn(3, 3)).Q
    layer.kernel.data.zero_()
    for row, place in enumerate(((0, 0), (0, 1), (2, 2))):
        layer.kernel.data[row, :, *place] = rows[row]
    (conv,) = layer.freeze(0)
    assert abs(conv.spectral_norm - 1) < 1e-6
    layer.check_invariant()


def test_convolutions_of_one_tap_are_dense_layers() -> None:
    torch.manual_seed(7)
    conv = AOLConv((1, 1, 6), 4, kernel_size=1)
    dense = AOL(6, 4)
    dense.weight.data.copy_(conv.kernel.data[:, :, 0, 0])
    x = torch.randn(3, 6)
    assert torch.allclose(conv(x), dense(x), atol=1e-6)


def test_a_merged_skip_costs_less_than_its_parts() -> None:
    torch.manual_seed(8)
    layer = LinearResidual(16).double()
    layer.weight.data.copy_(-0.5 * torch.eye(16))  # shrinks what the skip passes on
    assert torch.allclose(layer.matrix(), torch.eye(16).double(), atol=0.05)
    deep = LinearResidual(16, depth=100)
    assert torch.linalg.matrix_norm(deep.matrix() - torch.eye(16), 2) < 0.5


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_a_merged_convolution_is_its_image_and_the_rest(padding: str) -> None:
    torch.manual_seed(9)
    layer = LinearResidualConv((4, 4, 3), depth=2, padding=padding, kind="projected")
    layer.kernel.data.mul_(0)
    x = torch.randn(2, 48)
    # The grid of the bound for zero padding is 2 per cent above the norm at most.
    assert torch.allclose(layer(x), x, atol=0.1)
    layer.check_invariant()


def test_gradients_are_finite_where_weights_vanish() -> None:
    torch.manual_seed(10)
    for make in LAYERS.values():
        layer = make(6, 4)
        layer.weight.data.zero_()
        layer(torch.randn(3, 6)).square().sum().backward()
        assert layer.weight.grad is not None
        assert layer.weight.grad.isfinite().all(), make


def test_blocks_start_with_gradients_of_full_length() -> None:
    torch.manual_seed(11)
    x = torch.randn(20, 12, dtype=torch.float64)
    for make in (AOL, SLL):
        layer = make(12, 12).double()
        layer.bias.data.normal_()
        values = torch.linalg.svdvals(jacobians(layer, x))
        assert torch.allclose(values, torch.ones_like(values), atol=1e-6)
