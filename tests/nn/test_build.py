"""Networks by name: norms, widths, heads, schedules."""

from __future__ import annotations

import math

import pytest
import torch

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import Program, VectorInput
from stablerank.nn import BRO, Abs, L2Head, LinfDistance, Network, Skip, build_network
from stablerank.nn.build import NETWORKS
from tests.nn.layers import network_options

NAMES = [(norm, name) for norm, names in NETWORKS.items() for name in names]


@pytest.mark.parametrize(("norm", "name"), NAMES)
@pytest.mark.parametrize("hidden", [(), (16,), (32, 16)])
def test_pair_constants_are_those_of_the_certificate(
    norm: float, name: str, hidden: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    network = (
        build_network(name, 10, 4, hidden, **network_options(name, 10)).double().eval()
    )
    frozen = Program((VectorInput(10, norm, 4.0),), network.freeze(0))
    trained = network.pair_constants().detach().numpy()
    certified = frozen.pair_constants(1.0)
    # The damping of BRO leaves its true constant a little below 1.
    assert (trained <= certified * (1 + 1e-6)).all()
    assert (certified <= trained * (1 + 1e-8)).all()


def test_pair_constants_count_hidden_layers_above_one() -> None:
    torch.manual_seed(1)
    network = Network([Skip(Abs()), BRO(4, 4), L2Head(4, 3)])
    below = Network([BRO(4, 4), network.head])
    assert torch.equal(network.pair_constants(), 2 * below.pair_constants())


@pytest.mark.parametrize(("norm", "name"), NAMES)
def test_a_network_is_refused_for_inputs_of_another_norm(
    norm: float, name: str
) -> None:
    network = build_network(name, 10, 4, (16,), **network_options(name, 10))
    network.check_norm(norm)
    other = 2 if math.isinf(norm) else math.inf
    with pytest.raises(InvalidInputError, match="choose from"):
        network.check_norm(other)


@pytest.mark.parametrize("name", ["distance", "sortnet"])
def test_progress_reaches_every_distance_layer(name: str) -> None:
    network = build_network(name, 6, 2, (8, 8), exact_share=0.5)
    layers = [m for m in network.modules() if isinstance(m, LinfDistance)]
    assert len(layers) == 2
    for share, expected in ((0.0, 8.0), (0.6, math.inf)):
        network.set_progress(share)
        assert {layer.p for layer in layers} == {expected}


@pytest.mark.parametrize("name", ["maxmin", "bro"])
def test_widths_that_do_not_divide_into_groups_are_refused(name: str) -> None:
    with pytest.raises(ShapeError, match="multiple of 5"):
        build_network(name, 10, 3, (16,), group=5)


def test_a_new_head_leaves_the_hidden_layers_alone() -> None:
    network = build_network("bro", 6, 2, (8,))
    other = network.with_head("projected")
    assert other[0] is network[0]
    assert other.head.kind == "projected"
    assert other.head.weight.shape == (2, 8)


def test_unknown_names_and_networks_without_a_head_are_refused() -> None:
    with pytest.raises(
        InvalidInputError, match="maxmin, distance, sortnet, bro, cayley"
    ):
        build_network("transformer", 3, 2)
    with pytest.raises(InvalidInputError, match="ends with a head"):
        Network([BRO(4, 4)])
