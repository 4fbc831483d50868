"""Where libraries of Lipschitz layers have been caught, one test a hole, all layers.

Half-precision weights, copies, pickles and edits are in `test_layers`, graphs in
`test_graphs`, sizes and scales in `test_sizes`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import stablerank.nn
from stablerank import FeatureBall
from stablerank.certify import certify
from stablerank.frozen import Program, VectorInput
from stablerank.nn import L2Head, Layer, Network, Stack, build_network
from stablerank.nn.build import NETWORKS
from tests.nn.layers import LIMIT, ROWS, WIDTH, made, network_options, program
from tests.nn.test_layers import WITH_NUMBERS, inputs
from tests.nn.test_sizes import FAMILIES, SMALL

NAMES = [(norm, name) for norm, names in NETWORKS.items() for name in names]


def parts(layer: Layer) -> set[type]:
    return {type(part) for part in layer.modules() if isinstance(part, Layer)}


def test_every_public_layer_is_in_the_tables() -> None:
    public = {getattr(stablerank.nn, name) for name in stablerank.nn.__all__}
    layers = {x for x in public if isinstance(x, type) and issubclass(x, Layer)}
    layers -= {Layer, Stack, Network}
    assert len(layers) > 30
    assert layers <= set().union(*(parts(made(name)) for name in ROWS))
    sized = set().union(*(parts(f.make(*SMALL[1])) for f in FAMILIES.values()))
    wiring = {"Concatenated", "Identity", "Pixelwise", "Skip"}
    assert {x.__name__ for x in layers - sized} == wiring


def test_every_network_by_name_is_in_the_tables() -> None:
    for _, name in NAMES:
        assert f"network, {name}" in ROWS
        assert f"network, {name}" in FAMILIES


# --- ties ---------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "name"), NAMES)
def test_equal_logits_have_no_radius_and_the_reason_is_said(
    norm: float, name: str
) -> None:
    torch.manual_seed(0)
    options = network_options(name, WIDTH)
    network = build_network(name, WIDTH, 3, (16,), **options).double().eval()
    head = network.head
    head.weight.data[1] = head.weight.data[0]
    head.bias.data.copy_(torch.tensor([3.0, 3.0, 0.0]))  # the first two win, tied
    frozen = Program((VectorInput(WIDTH, norm, LIMIT),), network.freeze(0))
    cert = certify(frozen, inputs(5).numpy(), FeatureBall(norm))
    z = frozen.evaluate(inputs(5).numpy())
    assert (z[:, 0] == z[:, 1]).all()
    assert (z.argmax(axis=1) == 0).all()
    assert not cert.radius.any()
    assert all(cert.reason)
    # A tie of the others takes nothing from the one that wins.
    head.bias.data.copy_(torch.tensor([0.0, 0.0, 5.0]))
    frozen = Program((VectorInput(WIDTH, norm, LIMIT),), network.freeze(0))
    assert (certify(frozen, inputs(5).numpy(), FeatureBall(norm)).radius > 0).all()


# --- weights so small that their products underflow ---------------------------------


@pytest.mark.parametrize("scale", [1e-160, 5e-324])
@pytest.mark.parametrize("name", ROWS)
def test_what_moves_at_all_has_a_constant(name: str, scale: float) -> None:
    layer = made(name)
    for value in layer.parameters():
        value.data *= scale
    frozen, x = program(layer, ROWS[name].norm), inputs(20).numpy()
    constant = np.asarray(frozen.constants(1.0)[-1])
    moved = np.ptp(frozen.evaluate(x), axis=0)
    if len(constant) == 1 < frozen.n_outputs:
        moved = moved.max(keepdims=True)
    assert (constant[moved > 0] > 0).all()
    assert np.isfinite(moved).all()


@pytest.mark.parametrize("scale", [1e-40, 1e-160, 1e-300])
def test_tiny_heads_have_no_infinite_radius(scale: float) -> None:
    head = L2Head(WIDTH, 3, kind="free").double()
    head.weight.data *= scale
    head.bias.data.zero_()
    cert = certify(program(head, 2), inputs(5).numpy(), FeatureBall(2))
    assert np.isfinite(cert.radius).all()
    unit = certify(program(L2Head(WIDTH, 3), 2), inputs(5).numpy(), FeatureBall(2))
    assert cert.radius.max() <= unit.radius.max() * 10


# --- state --------------------------------------------------------------------------


def agrees(layer: Layer, norm: float) -> bool:
    """Whether the forward pass is that of the program frozen now."""
    frozen = program(layer, norm)
    with torch.no_grad():
        gap = np.abs(layer(inputs()).numpy() - frozen.evaluate(inputs().numpy()))
    return bool(gap.max() <= 3 * np.linalg.norm(frozen.rounding()))


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_a_forward_pass_follows_edits_in_evaluation(name: str) -> None:
    layer, norm = made(name), ROWS[name].norm
    before = layer(inputs()).detach()  # would fill a cache, if there were one
    for value in layer.state_dict().values():
        value.view(-1)[0] += 0.5
    assert agrees(layer, norm)
    assert not torch.equal(layer(inputs()), before)


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_weights_loaded_before_or_after_eval_are_those_that_count(name: str) -> None:
    layer, norm = made(name), ROWS[name].norm
    for load_first in (True, False):
        other = made(name, seed=7).train()
        other(inputs())
        steps = [lambda o=other: o.load_state_dict(layer.state_dict()), other.eval]
        for step in steps if load_first else reversed(steps):
            step()
        assert torch.equal(other(inputs()), layer(inputs()))
        assert program(other, norm).digest() == program(layer, norm).digest()


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_a_state_dict_survives_a_file_that_runs_no_code(name: str) -> None:
    layer, norm, file = made(name), ROWS[name].norm, io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = made(name, seed=7)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert program(other, norm).digest() == program(layer, norm).digest()


# --- precision of the surroundings --------------------------------------------------


@pytest.fixture
def coarse() -> Iterator[None]:
    """Autocast and TF32: all that may make products less exact."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.usefixtures("coarse")
def test_nothing_around_changes_a_bit_of_what_is_frozen(name: str) -> None:
    layer, norm = made(name, torch.float32), ROWS[name].norm
    there, here = program(layer, norm), inputs()
    values = there.evaluate(here)
    with torch.autocast("cpu", enabled=False):
        torch.set_float32_matmul_precision("highest")
        plain = program(layer, norm)
        assert plain.digest() == there.digest()
        assert torch.equal(plain.evaluate(here), values)
    assert values.dtype == torch.float64


def test_the_surroundings_of_that_test_are_coarse(coarse: None) -> None:
    x = torch.randn(9, 9)
    assert (x @ x).dtype == torch.bfloat16
    assert math.isfinite(float((x @ x).float().sum()))
