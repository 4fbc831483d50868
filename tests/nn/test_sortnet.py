"""SortNet neurons: exact coefficients, and training by random subsets."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stablerank.exceptions import InvalidInputError
from stablerank.nn import LinfDistance, SortNeurons
from stablerank.nn.sortnet import sort_coefficients
from tests.nn.layers import WIDTH


@given(st.floats(1e-3, 1.0), st.integers(1, 30))
def test_coefficients_sum_to_one_at_most_and_nearly(keep: float, n: int) -> None:
    coefficients = sort_coefficients(keep, n).tolist()
    total = sum(map(Fraction, coefficients))
    assert 1 - Fraction(1, 2**50) <= total <= 1
    assert coefficients == sorted(coefficients, reverse=True)
    assert min(coefficients) >= 0


def test_the_mean_over_random_subsets_is_the_sorted_sum() -> None:
    torch.manual_seed(0)
    layer = SortNeurons(WIDTH, 3, keep=0.6, n_largest=WIDTH).double()
    layer.set_progress(0.79)  # p near 1000
    x = torch.randn(2, WIDTH, dtype=torch.float64)
    draws = torch.stack([layer._on_kept(x, layer.centres()) for _ in range(3000)])
    deviation = draws.std(dim=0) / 3000**0.5
    assert ((draws.mean(dim=0) - layer.eval()(x)).abs() < 4 * deviation + 0.01).all()


def test_samples_that_share_a_subset_are_not_shifted_by_it() -> None:
    torch.manual_seed(1)
    layer = SortNeurons(WIDTH, 3, keep=0.5).double()
    outputs = layer(torch.randn(96, WIDTH, dtype=torch.float64)).detach()
    means = torch.stack([part.mean(dim=0) for part in outputs.split(32)])
    assert torch.allclose(means, means[:1].expand_as(means))


def test_one_input_is_kept_at_least() -> None:
    layer = SortNeurons(2, 3, keep=1e-9)
    torch.manual_seed(2)
    assert layer(torch.randn(64, 2)).isfinite().all()


def test_keeping_all_inputs_is_a_distance_neuron() -> None:
    sort, distance = SortNeurons(5, 4, keep=1.0).eval(), LinfDistance(5, 4).eval()
    distance.load_state_dict(sort.state_dict())
    x = torch.randn(7, 5)
    assert torch.allclose(sort(x), distance(x))


def test_the_last_share_of_training_is_what_is_evaluated() -> None:
    layer = SortNeurons(WIDTH, 3, keep=0.5)
    layer.set_progress(1.0)
    x = torch.randn(5, WIDTH)
    assert torch.equal(layer.train()(x), layer.eval()(x))


@pytest.mark.parametrize("bad", [{"keep": 0.0}, {"keep": 1.5}, {"n_largest": 0}])
def test_wrong_arguments_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="keep is in"):
        SortNeurons(3, 2, **bad)
