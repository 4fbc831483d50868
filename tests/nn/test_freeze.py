"""A user's module: it freezes to what it computes, or the layer is named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import stablerank.nn as srnn
from stablerank import FeatureBall
from stablerank.certify import certify
from stablerank.exceptions import (
    DataTypeError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
    UncertifiableLayerError,
)
from stablerank.nn import freeze


def seeded(make: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module: nn.Module = make().double()
        for part in module.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2.0)
                part.weight.data.normal_()
    return module.eval()


IMAGE = (2, 5, 6)
FLAT = {
    "linear": lambda: nn.Linear(6, 3),
    "without bias": lambda: nn.Sequential(nn.Linear(6, 3, bias=False)),
    "two layers": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
    "nested": lambda: nn.Sequential(
        nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.ReLU(), nn.Identity())),
        nn.Dropout(0.5),
        nn.Linear(8, 3),
    ),
    "batch norm": lambda: nn.Sequential(
        nn.BatchNorm1d(6), nn.Linear(6, 4), nn.BatchNorm1d(4)
    ),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(6, 6)),
    "our network": lambda: srnn.build_network("maxmin", 6, 3, (16,), group=4),
    "ours inside": lambda: nn.Sequential(
        nn.Linear(6, 8), srnn.MaxMin(), srnn.build_network("distance", 8, 3, (8,))
    ),
}
IMAGES = {
    "conv": lambda: nn.Conv2d(2, 3, 3, padding=1),
    "conv, strides": lambda: nn.Sequential(
        nn.Conv2d(2, 4, (2, 3), stride=2, padding=(1, 0)),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout2d(),
        nn.Conv2d(4, 3, (1, 3), padding="same", bias=False),
        nn.Flatten(),
        nn.Linear(18, 3),
    ),
    "circular": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), nn.Flatten()
    ),
    "flat at once": lambda: nn.Sequential(nn.Flatten(), nn.Linear(60, 3)),
}


ONLY_INF = {"ours inside"}  # l_inf-distance neurons


@pytest.mark.parametrize(
    ("name", "norm"),
    [(n, math.inf) for n in [*FLAT, *IMAGES]]
    + [(n, 2) for n in [*FLAT, *IMAGES] if n not in ONLY_INF],
)
def test_the_program_computes_what_the_module_computes(name: str, norm: float) -> None:
    module = seeded({**FLAT, **IMAGES}[name])
    shape = IMAGE if name in IMAGES else None
    program = freeze(module, norm, shape=shape)
    x = torch.randn(
        (20, *(shape or (6,))), dtype=torch.float64, generator=torch.Generator()
    )
    with torch.no_grad():
        expected = module(x).flatten(1).numpy()
    found = program.evaluate(x.flatten(1).numpy())
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("norm", [2, math.inf])
@pytest.mark.parametrize("name", ["two layers", "nested", "orthogonal", "circular"])
def test_no_gradient_step_within_the_radius_changes_the_label(
    name: str, norm: float
) -> None:
    module = seeded({**FLAT, **IMAGES}[name])
    shape = IMAGE if name in IMAGES else (6,)
    threat = FeatureBall(norm)
    program = freeze(module, norm, shape=shape if len(shape) == 3 else None)
    x = torch.randn((40, *shape), dtype=torch.float64)
    cert = certify(program, x.flatten(1), threat)
    assert (cert.radius > 0).all()
    reached = 0.0
    for sign in (1.0, 3.0):  # at the radius, and at three times as much
        start = x.clone().requires_grad_()
        z = module(start).flatten(1)
        rows = torch.arange(len(x))
        own, rival = torch.as_tensor(cert.label), torch.as_tensor(cert.rival)
        (gradient,) = torch.autograd.grad((z[rows, own] - z[rows, rival]).sum(), start)
        flat = gradient.flatten(1)
        step = flat.sign() if math.isinf(norm) else flat / flat.norm(dim=1)[:, None]
        moved = x.flatten(1) - sign * torch.as_tensor(cert.radius)[:, None] * step
        inside = [
            threat.project(a, b, sign * r)
            for a, b, r in zip(
                x.flatten(1).numpy(), moved.numpy(), cert.radius, strict=True
            )
        ]
        changed = program.evaluate(np.array(inside)).argmax(axis=1) != cert.label
        if sign == 1.0:
            assert not changed.any()
        else:
            reached = changed.mean()
    assert reached > 0  # an attack that never succeeds shows nothing


def test_an_l2_module_is_bounded_tightly_where_it_is_linear() -> None:
    module = nn.Linear(3, 2).double()
    weight = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    module.weight.data = torch.tensor(weight)
    module.bias.data.zero_()
    x = np.array([[1.0, 0.0, 1.0]])
    radius = certify(freeze(module.eval(), 2, limit=1), x, FeatureBall(2)).radius[0]
    assert 7 / 5 * (1 - 1e-12) <= radius < 7 / 5


class Unknown(nn.Module):
    def forward(self, x: Any) -> Any:
        return 2 * x


class OwnOrder(nn.Sequential):
    """Looks like a Sequential, and applies its layers twice."""

    def forward(self, x: Any) -> Any:
        return super().forward(super().forward(x))


REFUSED = {
    "unknown layer": (nn.Sequential(nn.Linear(4, 4), Unknown()), "layer '1' (Unknown)"),
    "unknown, deep": (
        nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.GELU()))),
        "layer '0.1.0' (GELU)",
    ),
    "softmax": (nn.Sequential(nn.Linear(4, 4), nn.Softmax(1)), "Softmax"),
    "layer norm": (nn.Sequential(nn.LayerNorm(4)), "LayerNorm"),
    "a container of its own": (OwnOrder(nn.Linear(4, 4)), "OwnOrder"),
    "own, nested": (
        nn.Sequential(OwnOrder(nn.Linear(4, 4))),
        "layer '0' (OwnOrder)",
    ),
    "dropout in training": (
        nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train(),
        "layer '1' (Dropout) is in training mode",
    ),
    "batch norm in training": (
        nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)).train(),
        "training mode",
    ),
    "batch norm without statistics": (
        nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)).eval(),
        "running statistics",
    ),
    "a mean shift in training": (
        nn.Sequential(srnn.Stack([srnn.MeanShift(4)]).train()),
        "training mode",
    ),
    "a partial flatten": (nn.Sequential(nn.Flatten(2), nn.Linear(4, 2)), "keeps dim"),
    "no layer": (nn.Sequential(), "no layers"),
    "grouped convolution": (nn.Conv2d(2, 2, 3, groups=2), "groups"),
    "reflected convolution": (
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        "reflect",
    ),
    "rows of an image": (nn.Linear(6, 2), "nn.Flatten"),
    "ours on an image": (srnn.LinfLinear(60, 2), "nn.Flatten"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_has_no_known_constant_is_refused_by_its_path(name: str) -> None:
    module, words = REFUSED[name]
    image = any(word in name for word in ("convolution", "image"))
    with pytest.raises(UncertifiableLayerError) as caught:
        freeze(module, math.inf, shape=IMAGE if image else None)
    assert words in str(caught.value)


def test_hooks_are_refused_because_they_may_change_the_output() -> None:
    module = nn.Sequential(nn.Linear(4, 2)).eval()
    handle = module[0].register_forward_hook(lambda m, x, y: 2 * y)
    with pytest.raises(UncertifiableLayerError, match="hooks"):
        freeze(module, 2)
    handle.remove()
    assert freeze(module, 2).n_outputs == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ours", [False, True])
def test_half_precision_weights_are_refused(dtype: torch.dtype, ours: bool) -> None:
    layer = srnn.LinfLinear(4, 2) if ours else nn.Linear(4, 2)
    with pytest.raises(DataTypeError, match=r"float16|bfloat16"):
        freeze(nn.Sequential(layer).to(dtype).eval(), math.inf)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(bad: float) -> None:
    module = nn.Sequential(nn.Linear(4, 2)).eval()
    module[0].weight.data[0, 0] = bad
    with pytest.raises(NonFiniteError, match=r"layer '0' \(Linear\): weight"):
        freeze(module, math.inf)


def test_neurons_without_an_l2_constant_are_refused_in_l2() -> None:
    with pytest.raises(UncertifiableLayerError, match="l_inf"):
        freeze(srnn.build_network("distance", 4, 2, (8,)).eval(), 2)


def test_the_shape_is_asked_for_only_where_the_layers_do_not_say_it() -> None:
    assert freeze(nn.Sequential(nn.ReLU(), nn.Linear(4, 2)), 2).widths[0] == 4
    with pytest.raises(ShapeError, match="shape="):
        freeze(nn.Sequential(nn.ReLU()), 2)
    assert freeze(nn.Sequential(nn.ReLU()), 2, shape=4).widths == [4, 4]
    with pytest.raises(ShapeError):
        freeze(nn.Linear(4, 2), 2, shape=5)
    with pytest.raises(UncertifiableLayerError, match="shape="):
        freeze(nn.Conv2d(2, 2, 3), 2)
    with pytest.raises(ShapeError, match="channels"):
        freeze(nn.Linear(4, 2), 2, shape=(2, 2))


@pytest.mark.parametrize("norm", [1, 3, "inf", None])
def test_other_norms_are_refused(norm: Any) -> None:
    with pytest.raises(InvalidInputError, match="norm"):
        freeze(nn.Linear(4, 2), norm)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="torch module"):
        freeze(lambda x: x, 2)  # type: ignore[arg-type]


def test_freezing_copies_the_weights() -> None:
    module = nn.Linear(4, 2).double()
    program = freeze(module, math.inf)
    before = program.digest()
    module.weight.data.zero_()
    assert program.digest() == before


@pytest.mark.parametrize(
    "first", [srnn.AOL(4, 6), srnn.SLL(4), srnn.CPL(4), srnn.Sandwich(4, 6)]
)
def test_l2_layers_say_how_many_inputs_they_have(first: nn.Module) -> None:
    head = srnn.L2Head(first(torch.zeros(1, 4)).shape[1], 3)
    assert freeze(nn.Sequential(nn.ReLU(), first, head).eval(), 2).widths[0] == 4
