"""The public norms: tensors in, floats out, and no estimate among the bounds."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import stablerank
from stablerank.bounds import Bound
from stablerank.exceptions import DataTypeError, InvalidInputError, ShapeError
from stablerank.frozen import Affine, Diagonal
from stablerank.metrics import FeatureBall
from stablerank.nn import norms
from stablerank.nn.norms import (
    Estimate,
    audit_spectral_norm,
    conv_gram_bound,
    conv_norm_up,
    estimate_spectral_norm,
    gram_bound,
    operator_norm_up,
    spectral_norm_up,
)
from stablerank.rounding import add_up, mul_up

PACKAGE = Path(stablerank.__file__).parent


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_is_bounded_by_the_numbers_it_holds(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 4, dtype=dtype))
    bound = spectral_norm_up(weight)
    assert isinstance(bound, float)
    assert audit_spectral_norm(weight, bound)
    assert bound == spectral_norm_up(weight.detach().double().numpy())
    assert operator_norm_up(weight, 2, math.inf) <= bound
    kernel = torch.randn(3, 2, 3, 3, dtype=dtype)
    assert conv_norm_up(kernel) == conv_norm_up(kernel.double().numpy())


@pytest.mark.parametrize(
    "weight",
    [
        torch.ones(2, 2, dtype=torch.float16),
        torch.ones(2, 2, dtype=torch.bfloat16),
        torch.ones(2, 2, dtype=torch.int64),
        np.ones((2, 2), np.float16),
        [[1, 2]],
    ],
)
def test_weights_of_less_than_float32_are_refused(weight: object) -> None:
    for norm in (spectral_norm_up, operator_norm_up, estimate_spectral_norm):
        with pytest.raises(DataTypeError, match="float"):
            norm(weight)  # type: ignore[arg-type]


def test_torch_convolutions_stretch_no_image_more_than_their_norm() -> None:
    torch.manual_seed(1)
    for groups, stride, padding in ((1, 1, 1), (2, 2, 1), (4, 1, 0), (1, 3, 2)):
        conv = torch.nn.Conv2d(
            4, 8, 3, stride, padding, groups=groups, bias=False, dtype=torch.float64
        )
        bound = conv_norm_up(conv.weight, (9, 9), stride=stride, groups=groups)
        image = torch.randn(1, 4, 9, 9, dtype=torch.float64)
        for _ in range(100):  # power steps: an attack
            image.requires_grad_(True)
            size = conv(image).norm()
            (gradient,) = torch.autograd.grad(size, image)
            image = (gradient / gradient.norm()).detach()
        attained = float(conv(image).norm().detach())
        assert 0.8 * bound < attained <= bound
        corner = conv_norm_up(conv.weight, norm=math.inf)
        signs = torch.sign(torch.randn(64, 4, 9, 9, dtype=torch.float64))
        assert conv(signs).abs().max() <= corner


# --- estimates ----------------------------------------------------------------------


def test_power_iteration_stays_below_the_norm() -> None:
    weight = np.random.default_rng(2).standard_normal((60, 40))
    true = np.linalg.norm(weight, 2)
    values = [estimate_spectral_norm(weight, steps).value for steps in (1, 10, 1000)]
    assert values[0] < values[1] < 0.999 * true
    assert values[2] == pytest.approx(true, rel=1e-9)
    assert not audit_spectral_norm(weight[:9, :9], 0.0)
    assert estimate_spectral_norm(np.zeros((3, 2))).value == 0


def test_nothing_that_certifies_accepts_an_estimate() -> None:
    estimate = estimate_spectral_norm(np.eye(2))
    ball = FeatureBall(2)
    refusals = [
        lambda: float(estimate),  # type: ignore[arg-type]
        lambda: estimate * 2.0,  # type: ignore[operator]
        lambda: np.asarray(estimate, np.float64),
        lambda: mul_up(1.0, estimate),  # type: ignore[arg-type]
        lambda: add_up(estimate, 1.0),  # type: ignore[arg-type]
        lambda: max(1.0, estimate),  # type: ignore[type-var]
        lambda: Bound(ball, ball, estimate, "N6"),  # type: ignore[arg-type]
        lambda: Diagonal((0,), np.array([estimate]), np.zeros(1)),
        lambda: Affine((0,), np.array([[estimate]]), np.zeros(1)),
        lambda: audit_spectral_norm(np.eye(2), estimate),  # type: ignore[arg-type]
    ]
    for refusal in refusals:
        with pytest.raises(TypeError):
            refusal()


def named_in(source: str) -> set[str]:
    """Every name, attribute and imported name of a file."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        names |= {
            *([node.id] if isinstance(node, ast.Name) else []),
            *([node.attr] if isinstance(node, ast.Attribute) else []),
            *([node.name] if isinstance(node, ast.alias) else []),
        }
    return names


def test_no_file_behind_a_certificate_names_an_estimate() -> None:
    forbidden = {"Estimate", "estimate_spectral_norm"}
    files = [
        PACKAGE / "bounds.py",
        *(
            file
            for room in ("frozen", "certify", "estimators")
            for file in (PACKAGE / room).rglob("*.py")
        ),
    ]
    assert len(files) > 10
    for file in files:
        assert not named_in(file.read_text(encoding="utf-8")) & forbidden, file
    # The search sees what it looks for.
    found = named_in(
        "from stablerank.nn.norms import Estimate\nn.estimate_spectral_norm"
    )
    assert found >= forbidden
    assert Estimate(1.0, 3).value == 1.0


# --- bounds to train with -----------------------------------------------------------


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("shape", [(3, 2, 3), (2, 4, 3, 3), (3, 3, 1, 5), (2, 2, 1, 1)])
def test_the_gram_bound_of_a_convolution_is_above_the_norm(
    shape: tuple[int, ...], padding: str
) -> None:
    torch.manual_seed(3)
    kernel = torch.randn(shape, dtype=torch.float64)
    image = (6,) * (len(shape) - 2)
    bound = float(conv_gram_bound(kernel, image, padding=padding, steps=8))
    # `conv_norm_up` may lie above the supremum by two of its tolerances.
    known = image if padding == "circular" else None  # zeros are bounded for any image
    certified = conv_norm_up(kernel, known, padding=padding)
    assert certified * (1 - 5e-4) <= bound <= certified * 1.03


def test_the_gram_bound_allows_for_a_maximum_between_the_frequencies() -> None:
    # |1 + e^(i (angle - w))| is largest in the middle between two points.
    angle = math.pi / norms._POINTS
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    kernel = torch.stack([torch.eye(2, dtype=torch.float64), turn], dim=2)
    bound = float(conv_gram_bound(kernel, steps=20))
    assert 2 * (1 - 1e-12) <= bound <= 2 * (1 + 1e-5)


def test_the_gram_bound_of_a_torus_is_no_bound_for_zeros() -> None:
    kernel = torch.tensor([[[-2.0, 1.0, -2.0]]], dtype=torch.float64)
    torus = float(conv_gram_bound(kernel, (3,), padding="circular"))
    zeros = float(conv_gram_bound(kernel, (3,), padding="zeros"))
    assert torus == pytest.approx(3.0)
    assert 5.0 <= zeros <= 5.1


@pytest.mark.parametrize("image", [(3, 3, 3), (2, 5)])
def test_a_torus_smaller_than_the_kernel_is_refused(image: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="axis"):
        conv_gram_bound(torch.ones(1, 1, 3, 3), image, padding="circular")


def test_other_norms_and_paddings_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="2 or inf"):
        conv_norm_up(torch.ones(1, 1, 3), norm=1)
    with pytest.raises(InvalidInputError, match="reflect"):
        conv_gram_bound(torch.ones(1, 1, 3), padding="reflect")


def test_gradients_of_gram_bounds_are_those_of_finite_differences() -> None:
    torch.manual_seed(4)
    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gram_bound, (weight,))
    kernel = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    for padding in ("zeros", "circular"):
        assert torch.autograd.gradcheck(
            lambda k, p=padding: conv_gram_bound(k, (4, 4), padding=p), (kernel,)
        )


def test_descending_a_gram_bound_shrinks_the_certified_norm() -> None:
    torch.manual_seed(5)
    kernel = torch.randn(4, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    before = conv_norm_up(kernel)
    optimizer = torch.optim.Adam([kernel], lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        conv_gram_bound(kernel).backward()
        optimizer.step()
    assert conv_norm_up(kernel) < 0.7 * before
