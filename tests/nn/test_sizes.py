"""Every layer at every size, with weights that are hard on it, on every device.

The frozen constant is at least what an attack finds on the frozen program and on the
layer itself, layers that keep gradients attain it, and the merged float64 weights
reproduce the forward pass.  Small layers are tested always, the full product of sizes,
weights and dtypes takes minutes:

    python -m pytest -m nightly tests/nn/test_sizes.py
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stablerank.frozen import Operation, Program, VectorInput
from stablerank.nn import (
    AOL,
    BRO,
    CPL,
    SLL,
    SOC,
    Abs,
    AOLConv,
    AveragePool,
    Bjorck,
    BROConv,
    Cayley,
    CayleyConv,
    ChannelsLast,
    Cholesky,
    CholeskyConv,
    Exponential,
    FullSort,
    GroupSort,
    Householder,
    L2Conv,
    L2Head,
    L2Linear,
    L2ToLinf,
    Layer,
    LengthPool,
    LinearResidual,
    LinearResidualConv,
    LinearSpline,
    LinfConv,
    LinfDistance,
    LinfHead,
    LinfLinear,
    MaxMin,
    MeanShift,
    NActivation,
    ParametricReLU,
    PixelBRO,
    Sandwich,
    SortNeurons,
    SpaceToDepth,
    build_network,
)
from stablerank.nn.build import NETWORKS
from tests.nn.layers import attacked, jacobians, network_options


@dataclass(frozen=True)
class Family:
    """How to make a layer of two widths, and what holds for all of them."""

    make: Callable[[int, int], Layer]
    norm: float = 2
    #: Some direction keeps its length, whatever the weights are, except zeros.
    keeps: bool = False
    #: Inputs for every one that the first width counts.
    inputs: int = 1


def _network(name: str) -> Callable[[int, int], Layer]:
    options = {"group": 4} if name == "maxmin" else {}
    return lambda i, o: build_network(
        name, i, o, (8, 4), **options, **network_options(name, i)
    )


FAMILIES = {
    "LinfLinear": Family(LinfLinear, math.inf, keeps=True),
    "LinfLinear, projected": Family(
        lambda i, o: LinfLinear(i, o, "projected"), math.inf
    ),
    "LinfHead": Family(LinfHead, math.inf, keeps=True),
    "LinfDistance": Family(LinfDistance, math.inf, keeps=True),
    "SortNeurons": Family(SortNeurons, math.inf, keeps=True),
    "L2ToLinf": Family(L2ToLinf, keeps=True),
    "L2ToLinf, projected": Family(lambda i, o: L2ToLinf(i, o, "projected")),
    "L2Head": Family(L2Head, keeps=True),
    "L2Head, free": Family(lambda i, o: L2Head(i, o, "free")),
    "L2Linear": Family(L2Linear),
    "L2Linear, projected": Family(lambda i, o: L2Linear(i, o, "projected")),
    "AOL": Family(AOL),
    "BRO": Family(BRO, keeps=True),
    "BRO, rank 1": Family(lambda i, o: BRO(i, o, rank=1), keeps=True),
    "BRO, full rank": Family(lambda i, o: BRO(i, o, rank=max(i, o)), keeps=True),
    "Cayley": Family(Cayley, keeps=True),
    "Cholesky": Family(Cholesky, keeps=True),
    "Bjorck": Family(Bjorck, keeps=True),
    "Bjorck, 1 step": Family(lambda i, o: Bjorck(i, o, steps=1), keeps=True),
    "Exponential": Family(Exponential, keeps=True),
    "Sandwich": Family(Sandwich),
    "SLL": Family(lambda i, o: SLL(i, hidden=o)),
    "CPL": Family(lambda i, o: CPL(i, hidden=o)),
    "LinearResidual": Family(lambda i, o: LinearResidual(i, depth=o)),
    "BROConv": Family(lambda i, o: BROConv((2, 3, i), o, 2), keeps=True),
    "CayleyConv": Family(lambda i, o: CayleyConv((2, 3, i), o, 2), keeps=True),
    "CholeskyConv": Family(lambda i, o: CholeskyConv((2, 3, i), o, 2), keeps=True),
    "SOC": Family(lambda i, o: SOC((3, 3, i)), keeps=True),
    "AOLConv": Family(lambda i, o: AOLConv((2, 3, i), o, 2)),
    "LinfConv": Family(
        lambda i, o: LinfConv((2, 3, i), o, 2, padding="circular"), math.inf, keeps=True
    ),
    "LinfConv, projected": Family(
        lambda i, o: LinfConv((3, 3, i), o, stride=2, kind="projected"), math.inf
    ),
    "L2Conv": Family(lambda i, o: L2Conv((3, 3, i), o, 3, stride=2)),
    "L2Conv, circular": Family(
        lambda i, o: L2Conv((2, 3, i), o, 2, padding="circular")
    ),
    "LinearResidualConv": Family(
        lambda i, o: LinearResidualConv((2, 3, i), 2, depth=o)
    ),
    "AveragePool": Family(lambda i, o: AveragePool((2, 2, i)), keeps=True),
    "LengthPool": Family(lambda i, o: LengthPool((2, 2, i)), keeps=True),
    "SpaceToDepth": Family(lambda i, o: SpaceToDepth((2, 4, i)), keeps=True),
    "ChannelsLast": Family(lambda i, o: ChannelsLast((2, 3, i)), math.inf, keeps=True),
    "PixelBRO": Family(lambda i, o: PixelBRO((2, 3, i), o), keeps=True),
    "MaxMin": Family(lambda i, o: MaxMin(), math.inf, keeps=True, inputs=2),
    "GroupSort": Family(lambda i, o: GroupSort(i), keeps=True),
    "FullSort": Family(lambda i, o: FullSort(i), math.inf, keeps=True),
    "Abs": Family(lambda i, o: Abs(), math.inf, keeps=True),
    "NActivation": Family(lambda i, o: NActivation(i), math.inf, keeps=True),
    "ParametricReLU": Family(lambda i, o: ParametricReLU(i), keeps=True),
    "LinearSpline": Family(lambda i, o: LinearSpline(i, 5)),
    "Householder": Family(lambda i, o: Householder(2 * i), keeps=True, inputs=2),
    "Householder, order 2": Family(
        lambda i, o: Householder(2 * i, order=2), keeps=True, inputs=2
    ),
    "MeanShift": Family(lambda i, o: MeanShift(i), keeps=True),
    **{
        f"network, {name}": Family(_network(name), norm)
        for norm, names in NETWORKS.items()
        for name in names
    },
}

#: From a random matrix: weights that have gone wrong somewhere.
WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "random": lambda w: w,
    "zero": torch.zeros_like,
    "of rank one": lambda w: w[:, :1] * w[:1],
    "equal rows": lambda w: w[:1].expand_as(w),
    "equal columns": lambda w: w[:, :1].expand_as(w),
    "nearly parallel": lambda w: w[:1] + 1e-6 * w,
    "every other row zero": lambda w: w * (torch.arange(len(w)) % 2 == 0)[:, None],
    "one huge row": lambda w: w * 1e20 ** (torch.arange(len(w)) == 0)[:, None],
    "one tiny row": lambda w: w * 1e-20 ** (torch.arange(len(w)) == 0)[:, None],
    **{f"times {s:g}": lambda w, s=s: s * w for s in (1e-28, 1e-12, 1e12, 1e30)},
}
SMALL = [(1, 1), (4, 1), (1, 3), (3, 3), (2, 5)]
SIZES = [(n, n) for n in (1, 2, 3, 5, 16, 33, 64)]
SIZES += [(1, 5), (5, 2), (1, 64), (64, 1), (3, 16), (16, 5), (33, 64), (64, 33)]
DTYPES = [torch.float32, torch.float64]

CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
)
#: Largest gap between a forward pass in float32 and the frozen program, in shares of
#: the output: matrices without an inverse are only as good as their damping.
FLOAT32 = 1e-3


def layer_of(
    family: Family, size: tuple[int, int], weights: str, dtype: torch.dtype
) -> tuple[Layer, int]:
    """A layer with these weights and random biases, and the width of its input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hash(size) % 1000)
        layer = family.make(*size)
        width = math.prod(getattr(layer, "shape", (family.inputs * size[0],)))
        layer.prepare(torch.randn(16, width))
        for name, value in layer.named_parameters():
            drawn = torch.randn(len(value), value[0].numel())
            if name.rpartition(".")[2] not in ("bias", "log_shares"):
                drawn = WEIGHTS[weights](drawn)
            value.data = drawn.reshape(value.shape).to(dtype)
    return layer.to(dtype).eval(), width


def slopes(function: Callable[[Tensor], Tensor], x: Tensor, frozen: Program) -> Tensor:
    """How far the outputs (or their l_2 norm) move a unit of input, at every x."""
    found = jacobians(function, x).double()
    if math.isinf(frozen.norms[0]):
        return found.abs().sum(dim=2)
    if math.isinf(frozen.norms[-1]):
        return found.norm(dim=2)
    return torch.linalg.matrix_norm(found, 2)[:, None]


def hold(
    family: Family, size: tuple[int, int], weights: str, device: str, dtype: torch.dtype
) -> None:
    """All that is promised of one layer."""
    layer, width = layer_of(family, size, weights, dtype)
    frozen = Program((VectorInput(width, family.norm, 4.0),), layer.freeze(0))
    constant = torch.as_tensor(np.asarray(frozen.constants(1.0)[-1]), device=device)
    tolerance = getattr(layer, "tolerance", 2.0**-30)
    assert constant.max() <= layer.lipschitz * (1 + tolerance)

    layer = layer.to(device)
    generator = torch.Generator().manual_seed(0)
    x = torch.empty(6, width, dtype=dtype).uniform_(-2, 2, generator=generator)
    x = x.to(device)
    with torch.no_grad():
        y, z = layer(x), frozen.evaluate(x)
    assert y.dtype == dtype
    assert y.isfinite().all()
    assert z.isfinite().all()
    # Both are as wrong as stated, and so are the weights that each computes.
    stated = 3 * float(np.linalg.norm(frozen.rounding()))
    if dtype == torch.float32:
        stated += FLOAT32 * max(1.0, float(z.abs().max()))
    assert (y - z).abs().max() <= stated

    found = slopes(frozen.evaluate, x.double(), frozen)
    assert (found <= constant * (1 + 1e-9)).all()
    share = 1 + (FLOAT32 if dtype == torch.float32 else 1e-9)
    assert (slopes(layer, x, frozen) <= constant * share).all()
    attacked(frozen, family.norm, n_starts=6, steps=(1.0,))
    if family.keeps and weights != "zero":
        assert found.max() >= 0.95 * constant.max()
        assert constant.max() >= 0.95 * layer.lipschitz


Case = tuple[tuple[int, int], str, torch.dtype]


def few(name: str) -> list[Case]:
    """Every kind of weights, each at one size and in one dtype, which rotate."""
    shift = list(FAMILIES).index(name)
    return [
        (SMALL[(k + shift) % len(SMALL)], weights, DTYPES[(k + shift) % 2])
        for k, weights in enumerate(WEIGHTS)
    ]


def check(name: str, device: str, cases: Iterable[Case]) -> None:
    for size, weights, dtype in cases:
        hold(FAMILIES[name], size, weights, device, dtype)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_small_layer_keeps_its_promises_whatever_its_weights(
    name: str, device: str
) -> None:
    check(name, device, few(name))


@pytest.mark.nightly
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_layer_of_any_size_keeps_its_promises_whatever_its_weights(
    name: str, device: str, dtype: torch.dtype
) -> None:
    # Images have many coordinates a channel, and Jacobians of their square.
    is_image = name == "network, bronet" or hasattr(FAMILIES[name].make(1, 1), "shape")
    largest = 5 if is_image else 64
    sizes = [size for size in SIZES if max(size) <= largest]
    check(name, device, itertools.product(sizes, WEIGHTS, [dtype]))


def test_a_promise_that_is_broken_is_noticed() -> None:
    class Long(BRO):
        """Frozen as it is, evaluated a hair longer."""

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * (1 + 1e-7)

    class Short(BRO):
        """Frozen shorter than it is evaluated."""

        def freeze(self, register: int) -> tuple[Operation, ...]:
            (affine,) = super().freeze(register)
            return (replace(affine, weight=affine.weight * (1 - 1e-7)),)

    for make in (Long, Short):
        with pytest.raises(AssertionError):
            hold(Family(make), (4, 3), "random", "cpu", torch.float64)
    with pytest.raises(AssertionError):  # a layer that shrinks is no keeper
        hold(Family(AOL, keeps=True), (16, 16), "random", "cpu", torch.float64)
