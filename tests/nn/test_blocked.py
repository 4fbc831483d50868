"""Blocked distances: values, gradients and memory against the plain formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from stablerank.nn import blocked
from stablerank.nn.blocked import norm_distances, sorted_distances


def points(n: int, n_in: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, n_in, dtype=torch.float64, generator=generator)


def plain(x: Tensor, centres: Tensor, p: float) -> Tensor:
    gaps = (x[:, None] - centres).abs()
    top = gaps.amax(dim=2)
    return top * torch.linalg.vector_norm(gaps / top[..., None], p, dim=2)


@pytest.mark.parametrize("p", [4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 56.0, 896.0, math.inf])
def test_distances_are_the_norms_of_the_differences(p: float) -> None:
    x, centres = points(9, 13), points(7, 13, seed=1)
    found = norm_distances(x, centres, p)
    assert torch.allclose(found, plain(x, centres, p), rtol=1e-13)


@pytest.mark.parametrize(
    ("p", "on_grid"), [(8.9, 8), (9.99, 8), (31.9, 28), (1e3, 896)]
)
def test_orders_between_the_grid_are_rounded_down(p: float, on_grid: int) -> None:
    x, centres = points(9, 13), points(7, 13, seed=1)
    assert torch.equal(
        norm_distances(x, centres, p), norm_distances(x, centres, on_grid)
    )


@pytest.mark.parametrize("p", [4.0, 7.0, 12.0, 80.0, math.inf])
def test_gradients_are_those_of_finite_differences(p: float) -> None:
    x, centres = points(5, 6).requires_grad_(), points(4, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: norm_distances(a, b, p), (x, centres), atol=1e-6
    )


def test_gradients_of_sorted_sums_are_those_of_finite_differences() -> None:
    x, centres = points(5, 6).requires_grad_(), points(4, 6, seed=1).requires_grad_()
    coefficients = torch.tensor([0.5, 0.3, 0.1], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b: sorted_distances(a, b, coefficients), (x, centres)
    )


def test_sorted_sums_weigh_the_largest_entries() -> None:
    x, centres = points(9, 13), points(7, 13, seed=1)
    coefficients = torch.tensor([0.5, 0.0, 0.25], dtype=torch.float64)
    gaps = (x[:, None] - centres).abs().sort(dim=2, descending=True).values
    expected = 0.5 * gaps[..., 0] + 0.25 * gaps[..., 2]
    assert torch.allclose(sorted_distances(x, centres, coefficients), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("p", [8.0, 896.0, math.inf])
def test_no_power_overflows(p: float, scale: float, dtype: torch.dtype) -> None:
    x = (points(6, 40) * scale).to(dtype).requires_grad_()
    centres = (points(3, 40, seed=1) * scale).to(dtype)
    distances = norm_distances(x, centres, p)
    expected = plain(x.double() / scale, centres.double() / scale, p) * scale
    assert torch.allclose(distances.double(), expected, rtol=1e-5)
    distances.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("p", [8.0, 896.0, math.inf])
def test_a_sample_on_its_centre_has_a_finite_gradient(p: float) -> None:
    x = torch.ones(2, 5, requires_grad=True)
    distances = norm_distances(x, torch.ones(3, 5), p)
    distances.sum().backward()
    assert distances.abs().max() < 1e-30
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("p", [8.0, 96.0, math.inf])
def test_a_gradient_is_never_longer_than_the_constant(p: float) -> None:
    # |gradient|_1 <= n^(1/p): ties share one unit, they do not take one each.
    x = torch.zeros(1, 16, dtype=torch.float64, requires_grad=True)
    norm_distances(x, torch.ones(1, 16, dtype=torch.float64), p).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() <= 16 ** (1 / p) * (1 + 1e-12)


class LargestTensor(TorchDispatchMode):
    """Remembers how many numbers the largest tensor of any operation held."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple) else (result,):
            if isinstance(value, Tensor):
                self.numbers = max(self.numbers, value.numel())
        return result


@pytest.mark.parametrize("n_largest", [0, 3])
def test_no_tensor_is_larger_than_a_block(
    n_largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked, "BLOCK", 2048)
    x, centres = points(60, 40).requires_grad_(), points(50, 40, seed=1)
    with LargestTensor() as largest:
        if n_largest:
            coefficients = torch.full((n_largest,), 0.3, dtype=torch.float64)
            sorted_distances(x, centres, coefficients).sum().backward()
        else:
            norm_distances(x, centres, 8.0).sum().backward()
    # The output is (60, 50), its places (60, 50, 3); a plain broadcast 40 times that.
    assert largest.numbers <= max(1, n_largest) * 60 * 50


def test_blocks_cover_all_pairs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, centres = points(23, 5), points(31, 5, seed=1)
    whole = norm_distances(x, centres, 8.0)
    for block in (1, 16, 300, 10**6):
        monkeypatch.setattr(blocked, "BLOCK", block)
        found = norm_distances(x, centres, 8.0)
        assert torch.allclose(found, whole, rtol=1e-14, atol=0)
