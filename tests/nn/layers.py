"""Every layer as a row in a table, and the attack that all of them have to stand.

`sharp` rows reach their constant, up to one per cent, somewhere in the box that is
searched; the others are compositions, where the worst cases of the parts need not
meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stablerank.frozen import Program, VectorInput
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
    Concatenated,
    Exponential,
    FullSort,
    GroupSort,
    Householder,
    Identity,
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
    Pixelwise,
    Sandwich,
    Skip,
    SortNeurons,
    SpaceToDepth,
    Stack,
    build_network,
)

WIDTH, LIMIT = 12, 4.0
#: A shape of `WIDTH` numbers: height, width, channels.
IMAGE = (2, 2, 3)


@dataclass(frozen=True)
class Row:
    """How to make a layer on `WIDTH` inputs, and what is expected of it."""

    make: Callable[[], Layer]
    norm: float = math.inf
    sharp: bool = True


def network_options(name: str, n_in: int) -> dict[str, Any]:
    """What a network by name needs for features in no particular order."""
    row_of_pixels = {"image": (1, n_in), "patch": 1, "neck": 1, "channels": 8}
    return row_of_pixels if name == "bronet" else {}


def _hidden(n_in: int, n_out: int) -> Layer:
    return Stack([LinfLinear(n_in, n_out), GroupSort(2)])


ROWS = {
    "linear, normalised": Row(lambda: LinfLinear(WIDTH, 7)),
    "linear, projected": Row(lambda: LinfLinear(WIDTH, 7, kind="projected")),
    "linear, one input": Row(
        lambda: Stack([LinfLinear(WIDTH, 1), LinfLinear(1, 3, "projected")])
    ),
    "head": Row(lambda: LinfHead(WIDTH, 4)),
    "distance": Row(lambda: LinfDistance(WIDTH, 9)),
    "distance, identity": Row(lambda: LinfDistance(WIDTH, 9, identity=True)),
    "distance, wide": Row(lambda: LinfDistance(WIDTH, 40, identity=True)),
    "sort neurons": Row(lambda: SortNeurons(WIDTH, 5, keep=0.5, n_largest=6)),
    "sort neurons, all": Row(lambda: SortNeurons(WIDTH, 5, keep=0.3, n_largest=99)),
    "sort neurons, one": Row(lambda: SortNeurons(WIDTH, 5, keep=1.0)),
    "group sort": Row(lambda: GroupSort(4)),
    "maxmin": Row(MaxMin),
    "full sort": Row(lambda: FullSort(WIDTH)),
    "N-activation": Row(lambda: NActivation(WIDTH)),
    "N-activation, l_2": Row(lambda: NActivation(WIDTH), norm=2),
    "parametric ReLU": Row(lambda: ParametricReLU(WIDTH)),
    "parametric ReLU, l_2": Row(lambda: ParametricReLU(WIDTH), norm=2),
    "spline": Row(lambda: LinearSpline(WIDTH)),
    "spline, l_2": Row(lambda: LinearSpline(WIDTH, n_knots=5), norm=2),
    "Householder": Row(lambda: Householder(WIDTH), norm=2),
    "Householder, order 2": Row(lambda: Householder(WIDTH, order=2), norm=2),
    "abs": Row(Abs),
    "mean shift": Row(lambda: MeanShift(WIDTH)),
    "mean shift of channels": Row(lambda: Pixelwise(MeanShift(3), pixels=4)),
    "spline of channels": Row(lambda: Pixelwise(LinearSpline(3, n_knots=5), pixels=4)),
    "N-activation of channels, l_2": Row(
        lambda: Pixelwise(NActivation(4), pixels=3), norm=2
    ),
    "Householder of channels": Row(lambda: Pixelwise(Householder(4), 3), norm=2),
    "Householder of channels, order 2": Row(
        lambda: Pixelwise(Householder(6, order=2), pixels=2), norm=2
    ),
    "sorted channels": Row(lambda: Pixelwise(Stack([MaxMin(), Abs()]), pixels=3)),
    "l_inf convolution": Row(lambda: LinfConv((3, 4, 1), 4)),
    "l_inf convolution, circular": Row(
        lambda: LinfConv(IMAGE, 4, 2, padding="circular")
    ),
    "l_inf convolution, stride": Row(
        lambda: LinfConv((4, 3, 1), 4, stride=2, kind="projected")
    ),
    "concatenated": Row(
        lambda: Concatenated([_hidden(WIDTH, 4), Identity(), LinfDistance(WIDTH, 3)])
    ),
    "skip": Row(lambda: Skip(Abs())),
    "skip in skip": Row(
        lambda: Skip(Stack([Skip(Abs()), LinfLinear(WIDTH, WIDTH)])), sharp=False
    ),
    "network, maxmin": Row(
        lambda: build_network("maxmin", WIDTH, 3, (16, 16), group=4), sharp=False
    ),
    "network, distance": Row(
        lambda: build_network("distance", WIDTH, 3, (16, 16)), sharp=False
    ),
    "network, sortnet": Row(
        lambda: build_network("sortnet", WIDTH, 3, (16, 16)), sharp=False
    ),
    "BRO, square": Row(lambda: BRO(WIDTH, WIDTH), norm=2),
    "BRO, tall": Row(lambda: BRO(WIDTH, 20), norm=2),
    "BRO, wide": Row(lambda: BRO(WIDTH, 5), norm=2),
    "BRO, rank 1": Row(lambda: BRO(WIDTH, WIDTH, rank=1), norm=2),
    "BRO, full rank": Row(lambda: BRO(WIDTH, WIDTH, rank=WIDTH), norm=2),
    "Cayley, square": Row(lambda: Cayley(WIDTH, WIDTH), norm=2),
    "Cayley, tall": Row(lambda: Cayley(WIDTH, 20), norm=2),
    "Cayley, wide": Row(lambda: Cayley(WIDTH, 5), norm=2),
    "Cholesky, tall": Row(lambda: Cholesky(WIDTH, 20), norm=2),
    "Cholesky, wide": Row(lambda: Cholesky(WIDTH, 5), norm=2),
    "Bjorck, tall": Row(lambda: Bjorck(WIDTH, 20), norm=2),
    "Bjorck, wide": Row(lambda: Bjorck(WIDTH, 5), norm=2),
    "Bjorck, no step": Row(lambda: Bjorck(WIDTH, 5, steps=0), norm=2, sharp=False),
    "exponential, square": Row(lambda: Exponential(WIDTH, WIDTH), norm=2),
    "exponential, wide": Row(lambda: Exponential(WIDTH, 5), norm=2),
    "l_2 linear": Row(lambda: L2Linear(WIDTH, 7), norm=2),
    "l_2 linear, projected": Row(lambda: L2Linear(WIDTH, 7, "projected"), norm=2),
    "BRO of pixels": Row(lambda: PixelBRO(IMAGE, 3), norm=2),
    "BRO of pixels, tall": Row(lambda: PixelBRO(IMAGE, 5), norm=2),
    "BRO of pixels, wide": Row(lambda: PixelBRO((3, 1, 4), 2), norm=2),
    "BRO convolution": Row(lambda: BROConv(IMAGE, 3, 2), norm=2),
    "BRO convolution, tall": Row(lambda: BROConv(IMAGE, 5, 2), norm=2),
    "BRO convolution, wide": Row(lambda: BROConv((3, 1, 4), 2, 1), norm=2),
    "Cayley convolution": Row(lambda: CayleyConv(IMAGE, 3, 2), norm=2),
    "Cayley convolution, tall": Row(lambda: CayleyConv(IMAGE, 5, 2), norm=2),
    "Cholesky convolution, tall": Row(lambda: CholeskyConv(IMAGE, 5, 2), norm=2),
    "Cholesky convolution, wide": Row(lambda: CholeskyConv(IMAGE, 2, 2), norm=2),
    "SOC": Row(lambda: SOC((3, 4, 1)), norm=2),
    "SOC, one pixel": Row(lambda: SOC((1, 1, WIDTH), 1), norm=2),
    "l_2 convolution": Row(lambda: L2Conv((3, 4, 1), 4), norm=2, sharp=False),
    "l_2 convolution, circular": Row(
        lambda: L2Conv(IMAGE, 4, 2, padding="circular"), norm=2
    ),
    "l_2 convolution, stride": Row(
        lambda: L2Conv((4, 3, 1), 4, stride=2, kind="projected"), norm=2, sharp=False
    ),
    "space to depth": Row(lambda: SpaceToDepth(IMAGE)),
    "space to depth, l_2": Row(lambda: SpaceToDepth(IMAGE), norm=2),
    "channels last": Row(lambda: ChannelsLast(IMAGE), norm=2),
    "average pool": Row(lambda: AveragePool(IMAGE), norm=2),
    "length pool": Row(lambda: LengthPool(IMAGE), norm=2),
    "network, cayley": Row(
        lambda: build_network("cayley", WIDTH, 3, (16, 16)), norm=2, sharp=False
    ),
    "network, bronet": Row(
        lambda: build_network(
            "bronet", WIDTH, 3, (16,), image=IMAGE, patch=1, channels=8, centring=True
        ),
        norm=2,
        sharp=False,
    ),
    "AOL, square": Row(lambda: AOL(WIDTH, WIDTH), norm=2),
    "AOL, tall": Row(lambda: AOL(WIDTH, 20), norm=2),
    "AOL, wide": Row(lambda: AOL(WIDTH, 5), norm=2),
    "AOL convolution": Row(lambda: AOLConv(IMAGE, 5, 2), norm=2, sharp=False),
    "AOL convolution, wide": Row(
        lambda: AOLConv((3, 2, 2), 1, 2, padding="circular"), norm=2
    ),
    "AOL convolution, stride": Row(
        lambda: AOLConv((4, 3, 1), 3, stride=2), norm=2, sharp=False
    ),
    "SLL": Row(lambda: SLL(WIDTH), norm=2),
    "SLL, few units": Row(lambda: SLL(WIDTH, hidden=3), norm=2),
    "SLL, many units": Row(lambda: SLL(WIDTH, hidden=30), norm=2),
    "CPL": Row(lambda: CPL(WIDTH), norm=2),
    "CPL, many units": Row(lambda: CPL(WIDTH, hidden=30), norm=2),
    "sandwich": Row(lambda: Sandwich(WIDTH, WIDTH), norm=2),
    "sandwich, tall": Row(lambda: Sandwich(WIDTH, 20), norm=2, sharp=False),
    "sandwich, wide": Row(lambda: Sandwich(WIDTH, 3), norm=2),
    "sandwich, many units": Row(
        lambda: Sandwich(WIDTH, 3, hidden=9), norm=2, sharp=False
    ),
    "linear residual": Row(lambda: LinearResidual(WIDTH, depth=2), norm=2),
    "linear residual convolution": Row(
        lambda: LinearResidualConv((3, 4, 1)), norm=2, sharp=False
    ),
    "l_2 to l_inf": Row(lambda: L2ToLinf(WIDTH, 4), norm=2),
    "l_2 to l_inf, network": Row(
        lambda: Stack([L2ToLinf(WIDTH, 6), MaxMin(), LinfHead(6, 3)]),
        norm=2,
        sharp=False,
    ),
    "network, mixed": Row(
        lambda: Stack(
            [
                *(AOL(WIDTH, 8), Householder(8, order=2), SLL(8), NActivation(8)),
                *(CPL(8), LinearResidual(8), ParametricReLU(8), Sandwich(8, 6)),
                *(LinearSpline(6), L2Head(6, 3)),
            ]
        ),
        norm=2,
        sharp=False,
    ),
    "network, aol": Row(
        lambda: build_network("aol", WIDTH, 3, (16, 16)), norm=2, sharp=False
    ),
    "network, sll": Row(
        lambda: build_network("sll", WIDTH, 3, (16, 16)), norm=2, sharp=False
    ),
    "network, sandwich": Row(
        lambda: build_network("sandwich", WIDTH, 3, (16, 16)), norm=2, sharp=False
    ),
    "network, spline": Row(
        lambda: build_network("spline", WIDTH, 3, (16, 16)), norm=2, sharp=False
    ),
    "l_2 head": Row(lambda: L2Head(WIDTH, 4), norm=2),
    "l_2 head, projected": Row(lambda: L2Head(WIDTH, 4, kind="projected"), norm=2),
    "l_2 head, free": Row(lambda: L2Head(WIDTH, 4, kind="free"), norm=2),
    "group sort, l_2": Row(lambda: GroupSort(4), norm=2),
    "abs, l_2": Row(Abs, norm=2),
    "mean shift, l_2": Row(lambda: MeanShift(WIDTH), norm=2),
    "concatenated, l_2": Row(
        lambda: Concatenated([BRO(WIDTH, WIDTH), Identity()]), norm=2
    ),
    "skip, l_2": Row(lambda: Skip(Abs()), norm=2),
    "network, bro": Row(
        lambda: build_network("bro", WIDTH, 3, (16, 16)), norm=2, sharp=False
    ),
}


def made(name: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> Layer:
    """The layer with random weights, biases and running means, ready to predict."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = ROWS[name].make()
        layer.prepare(torch.randn(32, WIDTH))
        for value in layer.parameters():
            value.data += 0.1 * torch.randn_like(value)
    return layer.to(dtype).eval()


def program(layer: Layer, norm: float = math.inf) -> Program:
    """The frozen layer alone, on `WIDTH` inputs."""
    return Program((VectorInput(WIDTH, norm, LIMIT),), layer.freeze(0))


def attacked(
    frozen: Program,
    norm: float,
    seed: int = 0,
    n_starts: int = 200,
    steps: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0),
) -> float:
    """Largest share of the constant that a search of pairs of inputs reaches.

    Starts all over the box take the step that the Jacobian there recommends, once as
    an attack and once as the way to the next start.
    """
    constant = np.asarray(frozen.constants(1.0)[-1])
    generator = torch.Generator().manual_seed(seed)
    shape = (n_starts, frozen.widths[0])
    x = torch.empty(shape, dtype=torch.float64).uniform_(-2, 2, generator=generator)
    best = 0.0
    for step in steps:
        direction, output = _steepest(frozen, x, norm, generator)
        ahead, behind = x + step * direction, x - step * direction
        moved = frozen.evaluate(ahead) - frozen.evaluate(behind)
        length = 2 * step * torch.linalg.vector_norm(direction, norm, dim=1)
        if len(constant) == frozen.n_outputs:
            rows = torch.arange(len(x))
            size, allowed = moved[rows, output].abs(), torch.tensor(constant)[output]
        else:
            size, allowed = moved.norm(dim=1), torch.tensor(constant)
        # Two evaluations, each as wrong as the program says it may be.
        owed = 2 * float(np.linalg.norm(frozen.rounding()))
        assert bool((size <= allowed * length * (1 + 1e-12) + owed).all())
        best = max(best, float((size / (allowed * length).clamp_min(1e-30)).max()))
        x = ahead.clamp(-2, 2)
    return best


def jacobians(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Derivatives of every output at every row of x, (batch, outputs, inputs)."""
    start = x.clone().requires_grad_()
    columns = [
        torch.autograd.grad(column.sum(), start, retain_graph=True)[0]
        for column in function(start).unbind(dim=1)
    ]
    return torch.stack(columns, dim=1)


def _steepest(
    frozen: Program, x: Tensor, norm: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Unit steps along which one output (or their l_2 norm) moves most."""
    output = torch.randint(frozen.n_outputs, (len(x),), generator=generator)
    jacobian = jacobians(frozen.evaluate, x)
    if math.isinf(norm):
        return jacobian[torch.arange(len(x)), output].sign(), output
    if math.isinf(frozen.norms[-1]):
        row = jacobian[torch.arange(len(x)), output]
        return row / row.norm(dim=1, keepdim=True).clamp_min(1e-9), output
    return torch.linalg.svd(jacobian).Vh[:, 0], output
