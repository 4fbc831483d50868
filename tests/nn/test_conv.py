"""Layers on images: contractions for any taps, isometries for good ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stablerank import FeatureBall, LipschitzClassifier
from stablerank.exceptions import CostLimitError, InvalidInputError, ShapeError
from stablerank.frozen import Conv, Program, VectorInput
from stablerank.nn import (
    SOC,
    AveragePool,
    BROConv,
    CayleyConv,
    ChannelsLast,
    CholeskyConv,
    L2Conv,
    LengthPool,
    SpaceToDepth,
    build_network,
)
from stablerank.nn.conv import ConvLayer

NIGHTLY = pytest.mark.nightly
Shape = tuple[int, int, int]
#: Image, channels of the output.
SIZES: list[tuple[Shape, int]] = [
    ((4, 4, 3), 3),
    ((3, 5, 2), 7),
    ((5, 4, 6), 2),
    ((1, 1, 4), 4),
    ((1, 6, 1), 1),
    ((8, 8, 1), 8),
]


def soc(shape: Shape, channels: int, kernel_size: int) -> SOC:
    return SOC(shape, kernel_size - 1 + kernel_size % 2)


def circular(shape: Shape, channels: int, kernel_size: int) -> L2Conv:
    return L2Conv(shape, channels, kernel_size, padding="circular")


def strided(shape: Shape, channels: int, kernel_size: int) -> L2Conv:
    return L2Conv(shape, channels, kernel_size, stride=2, kind="projected")


ORTHOGONAL: dict[str, Callable[[Shape, int, int], ConvLayer]] = {
    "BRO": BROConv,
    "Cayley": CayleyConv,
    "Cholesky": CholeskyConv,
    "SOC": soc,
}
LAYERS: dict[str, Callable[[Shape, int, int], ConvLayer]] = {
    **ORTHOGONAL,
    "spectral, zeros": L2Conv,
    "spectral, circular": circular,
    "spectral, stride": strided,
}
KERNELS = ["start", "random", "zero", "rank one", "tiny", "huge"]


def edit(kernel: torch.Tensor, kind: str) -> None:
    """Write taps of a kind in place."""
    match kind:
        case "random":
            kernel.normal_()
        case "zero":
            kernel.zero_()
        case "rank one":
            kernel.copy_(kernel[:1, :1, :1, :1].expand_as(kernel))
        case "tiny":
            kernel.mul_(1e-30)
        case "huge":
            kernel.mul_(1e30)


def made(
    name: str, shape: Shape, channels: int, kind: str, dtype: torch.dtype
) -> ConvLayer:
    torch.manual_seed(1)
    layer = LAYERS[name](shape, channels, min(3, *shape[:2])).to(dtype)
    edit(layer.kernel.data, kind)
    return layer


def frozen(layer: Any) -> Program:
    width = math.prod(layer.shape)
    return Program((VectorInput(width, 2, 4.0),), layer.freeze(0))


def matrix(program: Program) -> NDArray[np.float64]:
    """Linear part of a program, (n_out, n_in)."""
    unit = np.eye(program.widths[0])
    return np.asarray(program.evaluate(unit) - program.evaluate(0 * unit)).T


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", KERNELS)
def test_no_direction_passes_the_frozen_constant(name: str, kind: str) -> None:
    for shape, channels in SIZES:
        layer = made(name, shape, channels, kind, torch.float32)
        program = frozen(layer)
        (constant,) = program.constants(1.0)[-1]
        # All of the Jacobian, so that its norm is that of the best attack.
        norm = np.linalg.norm(matrix(program), 2)
        assert norm <= (1 + 1e-14) * constant
        assert constant <= 1 + 2.0**-30
        assert program.widths[-1] == math.prod(layer.out_shape)
        if kind in ("start", "random") and name in ORTHOGONAL:
            assert norm >= 0.999 * constant >= 0.998
        if name == "spectral, circular" and kind in ("start", "random"):
            assert norm >= 0.95 * constant >= 0.95**2


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", KERNELS)
def test_the_forward_pass_is_the_frozen_convolution(name: str, kind: str) -> None:
    for shape, channels in SIZES:
        for dtype, tolerance in ((torch.float32, 2e-4), (torch.float64, 1e-10)):
            layer = made(name, shape, channels, kind, dtype)
            layer.bias.data.normal_()
            program = frozen(layer)
            x = torch.randn(5, math.prod(shape), dtype=dtype).clamp(-4, 4)
            with torch.no_grad():
                y = layer(x)
            assert y.dtype == dtype
            assert y.shape == (5, math.prod(layer.out_shape))
            # Ill-conditioned taps lose digits of float32, not of the frozen float64.
            if dtype == torch.float64 or kind in ("start", "zero", "tiny"):
                assert (y.double() - program.evaluate(x.double())).abs().max() <= (
                    tolerance
                )


@pytest.mark.parametrize("name", ["BRO", "Cayley", "Cholesky"])
def test_orthogonal_convolutions_keep_the_length_of_images(name: str) -> None:
    for shape in ((4, 4, 3), (3, 5, 2), (1, 1, 4)):
        layer = made(name, shape, shape[2], "start", torch.float64)
        x = torch.randn(6, math.prod(shape), dtype=torch.float64)
        assert torch.allclose(layer(x).norm(dim=1), x.norm(dim=1), rtol=1e-6)
    # More channels than before: nothing is lost, even if all is not filled.
    layer = made(name, (3, 5, 2), 7, "start", torch.float64)
    x = torch.randn(6, 30, dtype=torch.float64)
    assert torch.allclose(layer(x).norm(dim=1), x.norm(dim=1), rtol=1e-6)


@pytest.mark.parametrize("terms", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("reach", [0.5, 1.0, 3.0])
def test_soc_pays_for_its_truncation(terms: int, reach: float) -> None:
    torch.manual_seed(2)
    layer = SOC((5, 5, 2), terms=terms, reach=reach).double()
    layer.kernel.data.normal_()
    w = matrix(frozen(layer))
    values = np.linalg.svd(w, compute_uv=False)
    assert values.max() <= 1
    # Without the division some truncated series are longer than 1.
    assert layer.excess == 1 + reach ** (terms + 1) / math.factorial(terms + 1)
    if (terms, reach) in ((1, 3.0), (2, 3.0), (1, 1.0)):
        assert values.max() * layer.excess > 1.01


def test_soc_tends_to_the_exponential() -> None:
    torch.manual_seed(3)
    layer = SOC((5, 6, 2), terms=15).double()
    w = matrix(frozen(layer))
    assert np.abs(w @ w.T - np.eye(60)).max() < 1e-12


def test_soc_freezes_to_a_small_kernel_on_a_large_image() -> None:
    torch.manual_seed(4)
    layer = SOC((9, 4, 2), terms=3).double()
    (conv,) = layer.freeze(0)
    assert isinstance(conv, Conv)
    assert conv.kernel.shape == (2, 2, 7, 4)  # rows: 2 * 3 + 1; columns: wrapped
    assert conv.out_shape == layer.out_shape == (9, 4, 2)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_a_spectral_convolution_is_never_above_one(
    padding: str, kernel_size: int
) -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        layer = L2Conv((6, 5, 2), 3, kernel_size, padding=padding).double()
        norm = np.linalg.norm(matrix(frozen(layer)), 2)
        assert norm <= 1 + 1e-14
        # 3 channels: 2^(1/64) by the Gram bound; the border takes the rest.
        assert norm >= (0.98 if padding == "circular" else 0.7)


def test_a_stride_skips_outputs() -> None:
    torch.manual_seed(5)
    layer = L2Conv((6, 5, 2), 3, stride=2).double()
    every = L2Conv((6, 5, 2), 3).double()
    every.load_state_dict(layer.state_dict())
    x = torch.randn(2, 60, dtype=torch.float64)
    image = every(x).unflatten(1, every.out_shape)
    assert layer.out_shape == (3, 3, 3)
    assert torch.allclose(layer(x), image[:, ::2, ::2].flatten(1))


def test_kernels_that_would_fill_the_memory_are_refused() -> None:
    with pytest.raises(CostLimitError, match="SpaceToDepth"):
        CayleyConv((64, 64, 129), 128, 1)


@pytest.mark.parametrize("name", LAYERS)
def test_kernels_larger_than_the_image_are_refused(name: str) -> None:
    with pytest.raises(ShapeError, match="kernel_size=1"):
        LAYERS[name]((1, 4, 2), 2, 3)


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="even"):
        SOC((4, 4, 2), 2)
    with pytest.raises(InvalidInputError, match="free"):
        L2Conv((4, 4, 2), 2, kind="free")
    with pytest.raises(InvalidInputError, match="rank"):
        BROConv((4, 4, 2), 2, rank=3)
    with pytest.raises(ShapeError, match="blocks of 2"):
        SpaceToDepth((4, 5, 1))


@pytest.mark.parametrize("name", LAYERS)
def test_taps_that_stretch_are_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = made(name, (4, 4, 2), 2, "start", torch.float64)
    layer.check_invariant()
    true = layer.frozen_conv

    def stretched(*args: Any) -> Conv:
        conv = true(*args)
        scale = (1 + 1e-6) / conv.spectral_norm
        fields = (conv.shape, conv.stride, conv.pads, conv.padding)
        return Conv(conv.inputs, scale * conv.kernel, conv.bias, *fields)

    monkeypatch.setattr(layer, "frozen_conv", stretched)
    with pytest.raises(InvalidInputError, match="have norm"):
        layer.check_invariant()


def test_channels_last_is_the_permutation_of_torch() -> None:
    x = torch.randn(3, 2, 4, 5)  # (batch, channels, height, width)
    layer = ChannelsLast((4, 5, 2))
    assert torch.equal(layer(x.flatten(1)), x.permute(0, 2, 3, 1).flatten(1))


def test_space_to_depth_gathers_the_pixels_of_a_block() -> None:
    x = torch.arange(48.0).reshape(1, 4, 4, 3)
    layer = SpaceToDepth((4, 4, 3))
    y = layer(x.flatten(1)).reshape(layer.out_shape)
    assert y.shape == (2, 2, 12)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        block = x[0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        assert torch.equal(y[i, j], block.flatten())


def test_pools_are_what_torch_calls_them() -> None:
    x = torch.randn(3, 4, 6, 2, dtype=torch.float64)
    first = x.permute(0, 3, 1, 2)
    mean = torch.nn.functional.avg_pool2d(first, 2) * 2
    length = torch.nn.functional.lp_pool2d(first, 2.0, 2)
    for pool, expected in (
        (AveragePool((4, 6, 2)), mean),
        (LengthPool((4, 6, 2)), length),
    ):
        y = pool(x.flatten(1))
        assert torch.allclose(y, expected.permute(0, 2, 3, 1).flatten(1))
        program = frozen(pool)
        assert program.constants(1.0)[-1] <= 1 + 1e-12
        assert np.abs(program.evaluate(x.flatten(1).numpy()) - y.numpy()).max() < 1e-14
    assert torch.allclose(
        LengthPool((4, 6, 2))(x.flatten(1)).norm(dim=1), x.flatten(1).norm(dim=1)
    )


def test_lengths_of_dark_blocks_have_gradients() -> None:
    x = torch.zeros(1, 4, requires_grad=True)
    LengthPool((2, 2, 1))(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("channels_first", [False, True])
def test_bronet_takes_colour_images_in_either_order(channels_first: bool) -> None:
    torch.manual_seed(7)
    network = build_network(
        "bronet",
        8 * 8 * 3,
        10,
        (32,),
        image=(8, 8, 3),
        channels_first=channels_first,
        channels=12,
    ).double()
    x = torch.randn(4, 192, dtype=torch.float64)
    program = Program((VectorInput(192, 2, 8.0),), network.freeze(0))
    assert (network(x) - program.evaluate(x)).abs().max() < 1e-12
    hidden = program.constants(1.0)[-2]
    assert 0.999 <= hidden[0] <= 1 + 1e-8
    assert type(network[0]).__name__ == (
        "ChannelsLast" if channels_first else "SpaceToDepth"
    )


def test_images_of_an_unknown_shape_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="image=\\(height"):
        build_network("bronet", 192, 10)
    with pytest.raises(ShapeError, match="from 192 features"):
        build_network("bronet", 192, 10, image=(8, 8))
    with pytest.raises(ShapeError, match="multiple of 3"):
        build_network("bronet", 64, 10, group=3)


def test_bronet_learns_images_and_certifies_them() -> None:
    rng = np.random.default_rng(8)
    y = np.arange(240) % 2
    x = 0.2 * rng.standard_normal((240, 6, 6))
    for i, label in enumerate(y):  # a bar, upright or lying, anywhere
        at = rng.integers(6)
        x[(i, slice(None), at) if label else (i, at)] += 1.0
    rows = x.reshape(240, 36)
    clf = LipschitzClassifier(
        2,
        "bronet",
        hidden=(16,),
        network_options={"channels": 8, "depth": 1, "neck": 1, "patch": 1},
        epochs=15,
        random_state=0,
    ).fit(rows[:160], y[:160])
    cert = clf.certify(rows[160:], FeatureBall(2))
    assert cert.accuracy(y[160:]) > 0.9
    assert cert.accuracy(y[160:], 0.2) > 0.7


@pytest.mark.parametrize("name", ["BRO", pytest.param("SOC", marks=NIGHTLY)])
def test_compiled_convolutions_train_alike(name: str) -> None:
    x = torch.randn(4, 48, dtype=torch.float64)

    def gradients(compiled: bool) -> list[torch.Tensor]:
        layer = made(name, (4, 4, 3), 3, "start", torch.float64)
        torch._dynamo.reset()
        forward = torch.compile(layer, backend="aot_eager") if compiled else layer
        forward(x).square().sum().backward()
        return [p.grad for p in layer.parameters() if p.grad is not None]

    for a, b in zip(gradients(True), gradients(False), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
