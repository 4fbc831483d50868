"""Densities: primitives, inverses, and a sup and inf that no point beats [R2]."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.represent import MixtureDensity, SplineDensity

POINTS = torch.linspace(-20, 30, 40_001, dtype=torch.float64)[None]


def mixture(seed: int) -> MixtureDensity:
    rng = np.random.default_rng(seed)
    means, widths = rng.uniform(0, 10, (4, 3)), rng.uniform(0.2, 3, (4, 3))
    return MixtureDensity(means, widths, rng.uniform(0.1, 2, (4, 3))).double()


def spline(seed: int) -> SplineDensity:
    rng = np.random.default_rng(seed)
    return SplineDensity(
        np.sort(rng.uniform(0, 10, 7)), rng.uniform(0.1, 2, (4, 7))
    ).double()


DENSITIES = [make(seed) for make in (mixture, spline) for seed in range(4)]
IDS = [f"{name} {seed}" for name in ("mixture", "spline") for seed in range(4)]
each = pytest.mark.parametrize("density", DENSITIES, ids=IDS)


@each
def test_no_point_beats_the_bounds(density):
    values = density.density(POINTS)
    assert bool((values.amax(dim=1) <= density.sup() * (1 + 1e-12)).all())
    assert bool((values.amin(dim=1) >= density.inf() * (1 - 1e-12)).all())
    slopes = values.diff(dim=1).abs() / POINTS.diff()
    assert bool((slopes.amax(dim=1) <= density.steepness() * (1 + 1e-9)).all())


@each
def test_the_sup_is_within_two_percent_of_the_largest_value(density):
    peak = density.density(POINTS).amax(dim=1)
    assert bool((density.sup() <= 1.02 * peak).all())


@each
def test_the_primitive_is_the_integral(density):
    x = POINTS.clone().requires_grad_()
    (derivative,) = torch.autograd.grad(density.primitive(x).sum(), x)
    assert torch.allclose(derivative[0], density.density(POINTS).sum(dim=0), atol=1e-9)


@each
def test_the_inverse_undoes_the_primitive_with_its_gradients(density):
    y = torch.linspace(-2, 9, 12, dtype=torch.float64)[None].requires_grad_()
    x = density.inverse(y, base=0.0)
    origin = density.primitive(torch.zeros(1, 1, dtype=torch.float64))
    assert torch.allclose(density.primitive(x) - origin, y.expand(4, -1), atol=1e-9)
    names = [name for name, _ in density.named_parameters()]

    def solve(y, *values):
        own = dict(zip(names, values, strict=True))
        return torch.func.functional_call(
            Inverse(density), {f"density.{k}": v for k, v in own.items()}, (y,)
        )

    values = [p.detach().clone().requires_grad_() for p in density.parameters()]
    assert torch.autograd.gradcheck(
        solve, (y, *values), atol=1e-5, rtol=1e-4, fast_mode=True
    )


class Inverse(torch.nn.Module):
    def __init__(self, density):
        super().__init__()
        self.density = density

    def forward(self, y):
        return self.density.inverse(y, base=0.0)


@each
def test_every_parameter_feels_the_price_of_a_peak(density):
    gradients = torch.autograd.grad(
        density.sup().sum(), list(density.parameters()), allow_unused=True
    )
    assert any(g is not None and bool((g != 0).any()) for g in gradients)


def test_densities_start_as_they_were_asked_for():
    means, widths = [[1.0, 5.0]], [[0.5, 2.0]]
    gauss = MixtureDensity(means, widths, [[0.3, 0.7]]).double()
    m, s, w, _ = gauss._numbers()
    assert np.allclose(m.detach(), means, atol=1e-6)
    assert np.allclose(s.detach(), widths, atol=1e-6)
    assert np.allclose(w.detach(), [[0.3, 0.7]], atol=1e-6)
    hat = SplineDensity([0.0, 1.0, 3.0], [[1.0, 2.0, 0.5]]).double()
    assert np.allclose(hat._values().detach(), [[1.0, 2.0, 0.5]], atol=1e-6)


def test_widths_keep_above_their_floor_and_weights_above_zero():
    density = mixture(0)
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.sub_(1e3)
    _, widths, weights, floor = density._numbers()
    assert bool((widths >= density.min_width).all())
    assert bool((weights >= 0).all() and (floor >= 0).all())


def test_impossible_densities_are_refused():
    with pytest.raises(ShapeError, match="n_components"):
        MixtureDensity([[0.0]], [[1.0, 1.0]])
    with pytest.raises(InvalidInputError, match="must be > 0"):
        MixtureDensity([[0.0]], [[0.0]])
    with pytest.raises(InvalidInputError, match="not below"):
        MixtureDensity([[0.0]], [[1.0]], min_width=1.0)
    with pytest.raises(ShapeError, match="two knots or more"):
        SplineDensity([0.0], [[1.0]])
    with pytest.raises(InvalidInputError, match="ascend"):
        SplineDensity([1.0, 0.0], [[1.0, 1.0]])
