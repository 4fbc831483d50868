"""Every layer as a row in a table, and the attack that all of them have to stand.

`sharp` rows reach their constant, up to one per cent, somewhere in the box that is
searched; the others are compositions, where the worst cases of the parts need not
meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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
    LinfHead,
    LinfLinear,
    MaxMin,
    MeanShift,
    Skip,
    SortNeurons,
    Stack,
    build_network,
)

WIDTH, LIMIT = 12, 4.0


@dataclass(frozen=True)
class Row:
    """How to make a layer on `WIDTH` inputs, and what is expected of it."""

    make: Callable[[], Layer]
    norm: float = math.inf
    sharp: bool = True


def _hidden(n_in: int, n_out: int) -> Layer:
    return Stack([LinfLinear(n_in, n_out), GroupSort(2)])


ROWS = {
    "linear, normalised": Row(lambda: LinfLinear(WIDTH, 7)),
    "linear, projected": Row(lambda: LinfLinear(WIDTH, 7, kind="projected")),
    "linear, one input": Row(lambda: Stack([LinfLinear(WIDTH, 1), LinfLinear(1, 3)])),
    "head": Row(lambda: LinfHead(WIDTH, 4)),
    "distance": Row(lambda: LinfDistance(WIDTH, 9)),
    "distance, identity": Row(lambda: LinfDistance(WIDTH, 9, identity=True)),
    "distance, wide": Row(lambda: LinfDistance(WIDTH, 40, identity=True)),
    "sort neurons": Row(lambda: SortNeurons(WIDTH, 5, keep=0.5, n_largest=6)),
    "sort neurons, all": Row(lambda: SortNeurons(WIDTH, 5, keep=0.3, n_largest=99)),
    "sort neurons, one": Row(lambda: SortNeurons(WIDTH, 5, keep=1.0)),
    "group sort": Row(lambda: GroupSort(4)),
    "maxmin": Row(MaxMin),
    "full sort": Row(lambda: GroupSort(WIDTH)),
    "abs": Row(Abs),
    "mean shift": Row(lambda: MeanShift(WIDTH)),
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


def attacked(frozen: Program, norm: float, seed: int = 0) -> float:
    """Largest share of the constant that a search of pairs of inputs reaches.

    Starts all over the box take the step that the Jacobian there recommends, once as
    an attack and once as the way to the next start.
    """
    constant = np.asarray(frozen.constants(1.0)[-1])
    generator = torch.Generator().manual_seed(seed)
    shape = (200, WIDTH)
    x = torch.empty(shape, dtype=torch.float64).uniform_(-2, 2, generator=generator)
    best = 0.0
    for step in (1e-3, 1e-2, 1e-1, 1.0):
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


def _steepest(
    frozen: Program, x: Tensor, norm: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Unit steps along which one output (or their l_2 norm) moves most."""
    n = frozen.n_outputs
    output = torch.randint(n, (len(x),), generator=generator)
    columns = []
    for i in range(n):
        start = x.clone().requires_grad_()
        columns.append(
            torch.autograd.grad(frozen.evaluate(start)[:, i].sum(), start)[0]
        )
    jacobian = torch.stack(columns, dim=1)  # (batch, outputs, inputs)
    if math.isinf(norm):
        return jacobian[torch.arange(len(x)), output].sign(), output
    if math.isinf(frozen.norms[-1]):
        row = jacobian[torch.arange(len(x)), output]
        return row / row.norm(dim=1, keepdim=True).clamp_min(1e-9), output
    return torch.linalg.svd(jacobian).Vh[:, 0], output
