"""Learned splines: clipped slopes, kept means, and the penalty on kinks."""

from __future__ import annotations

import pytest
import torch

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Program, Spline, VectorInput
from stablerank.nn import LinearSpline, Stack, build_network, total_variation


def wild(seed: int = 0, width: int = 4, n_knots: int = 9) -> LinearSpline:
    """Values that ask for slopes far beyond 1."""
    torch.manual_seed(seed)
    layer = LinearSpline(width, n_knots).double()
    layer.values.data.normal_()
    return layer


def test_slopes_are_clipped_and_the_mean_is_kept() -> None:
    layer = wild()
    wanted = layer.values.diff(dim=1) / layer.step
    assert wanted.abs().max() > 2
    assert torch.equal(layer.slopes(), wanted.clamp(-1, 1))
    knots = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None].expand(-1, 4)
    values = layer(knots).T
    assert torch.allclose(values.mean(dim=1), layer.values.mean(dim=1))
    assert torch.allclose(values.diff(dim=1) / layer.step, layer.slopes())


def test_gentle_values_are_met_exactly() -> None:
    layer = wild()
    layer.values.data.mul_(0.01)
    knots = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None].expand(-1, 4)
    assert torch.allclose(layer(knots).T, layer.values, atol=1e-15)


def test_beyond_the_knots_the_last_slope_goes_on() -> None:
    layer = wild(1)
    far = torch.tensor([[-50.0], [-40.0], [40.0], [50.0]]).double().expand(-1, 4)
    y = layer(far)
    assert torch.allclose((y[1] - y[0]) / 10, layer.slopes()[:, 0])
    assert torch.allclose((y[3] - y[2]) / 10, layer.slopes()[:, -1])


def test_numbers_past_all_integers_are_beyond_the_last_knot() -> None:
    layer = wild(1)
    layer.values.data.copy_(layer.values.sort(dim=1).values)  # no slope below 0
    far = torch.tensor([[-1e30], [1e30], [torch.nan]]).double().expand(-1, 4)
    ends = layer.slopes()[:, [0, -1]].T * far[:2]
    y = layer(far)
    assert torch.allclose(y[:2], ends)
    assert y[2].isnan().all()


def test_the_unit_follows_the_data_and_scales_the_function() -> None:
    layer, other = wild(2), wild(2)
    layer.prepare(torch.tensor([[0.1, -5.0, 3.0, 1.0]]))
    assert layer.unit == 8.0
    x = torch.randn(50, 4).double()
    assert torch.equal(layer(8 * x), 8 * other(x))
    (frozen,) = layer.freeze(0)
    assert isinstance(frozen, Spline)
    assert frozen.knots[0, [0, -1]].tolist() == [-8.0, 8.0]
    program = Program((VectorInput(4, 2, 99.0),), (frozen,))
    gap = layer(8 * x).detach().numpy() - program.evaluate(8 * x.numpy())
    assert abs(gap).max() < 1e-13


def test_data_without_any_size_keep_the_unit() -> None:
    layer = LinearSpline(2)
    layer.prepare(torch.zeros(3, 2))
    assert layer.unit == 1.0


def test_the_penalty_counts_the_jumps_of_the_slope() -> None:
    layer = LinearSpline(6).double()  # three times |x|, whose slope jumps by 2
    assert total_variation(layer).item() == pytest.approx(6.0)
    network = Stack([layer, LinearSpline(6).double()])
    assert total_variation(network).item() == pytest.approx(12.0)
    assert total_variation(build_network("bro", 4, 2, (8,))).item() == 0.0


def test_the_penalty_removes_kinks_that_nothing_asks_for() -> None:
    layer = wild(3, width=1, n_knots=17)
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)[:, None]
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.03)
    before = total_variation(layer).item()
    for _ in range(400):
        optimiser.zero_grad()
        loss = (layer(x) - x.abs()).square().mean() + 1e-3 * total_variation(layer)
        loss.backward()
        optimiser.step()
    assert (layer(x) - x.abs()).abs().max() < 0.1
    assert total_variation(layer).item() < min(0.5 * before, 3.0)


def test_numbers_of_knots_without_a_middle_are_refused() -> None:
    for n_knots in (1, 8):
        with pytest.raises(InvalidInputError, match="odd"):
            LinearSpline(3, n_knots)
