"""Sandwich layers: a frame shared by reading and writing."""

from __future__ import annotations

import pytest
import torch

from stablerank.exceptions import ShapeError
from stablerank.nn import Sandwich

SIZES = [(1, 1), (2, 2), (3, 11), (11, 3), (40, 40)]


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_rows_of_the_frame_are_orthonormal(n_in: int, n_out: int) -> None:
    torch.manual_seed(0)
    for hidden in {1, n_out, n_in + n_out}:
        layer = Sandwich(n_in, n_out, hidden).double()
        layer.weight.data.normal_()
        outer, inner = layer.frame()
        gram = outer.T @ outer + inner.T @ inner
        assert torch.allclose(gram, torch.eye(hidden).double(), atol=1e-4)


def test_it_starts_as_relu_of_a_rotation() -> None:
    torch.manual_seed(1)
    layer, x = Sandwich(9, 9).double(), torch.randn(50, 9).double()
    outer, inner = layer.frame()
    assert torch.allclose(outer.T, torch.eye(9).double() * 0.5**0.5, atol=1e-6)
    rotated = x @ inner * 2**0.5
    assert torch.allclose(rotated.norm(dim=1), x.norm(dim=1))
    assert torch.allclose(layer(x), rotated.relu(), atol=1e-6)


def test_an_input_that_wakes_all_units_is_moved_at_full_length() -> None:
    torch.manual_seed(2)
    layer = Sandwich(8, 8).double()
    layer.bias.data.fill_(10.0)
    x = torch.randn(2, 8).double()
    moved = (layer(x[:1]) - layer(x[1:])).norm()
    assert moved > 0.999 * (x[0] - x[1]).norm()


def test_units_that_have_no_place_in_the_frame_are_refused() -> None:
    for hidden in (0, 8):
        with pytest.raises(ShapeError, match="hidden units"):
            Sandwich(4, 3, hidden)
