"""What holds for every layer: constants, frozen values, dtypes, copies."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from stablerank.exceptions import DataTypeError, NonFiniteError
from stablerank.frozen import Program
from tests.nn.layers import LIMIT, ROWS, WIDTH, attacked, made, program

SHARP = [name for name, row in ROWS.items() if row.sharp]
WITH_NUMBERS = [name for name in ROWS if made(name).state_dict()]
TRAINED = [name for name in ROWS if list(made(name).parameters())]


def inputs(n: int = 50, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.empty(n, WIDTH, dtype=dtype).uniform_(-2, 2, generator=generator)


@pytest.mark.parametrize("name", ROWS)
def test_no_attack_passes_the_frozen_constant(name: str) -> None:
    for seed in range(3):
        norm = ROWS[name].norm
        attacked(program(made(name, seed=seed), norm), norm, seed)  # asserts inside


@pytest.mark.parametrize("name", SHARP)
def test_an_attack_reaches_the_frozen_constant(name: str) -> None:
    norm = ROWS[name].norm
    assert attacked(program(made(name), norm), norm) >= 0.99


@pytest.mark.parametrize("name", ROWS)
def test_the_frozen_constant_is_the_one_by_construction(name: str) -> None:
    layer = made(name)
    frozen = program(layer, ROWS[name].norm)
    worst = float(np.max(frozen.constants(1.0)[-1]))
    assert worst <= layer.lipschitz * (1 + 1e-9)


@pytest.mark.parametrize("name", ROWS)
def test_the_frozen_program_is_the_float64_forward_pass(name: str) -> None:
    layer, norm = made(name), ROWS[name].norm
    frozen, x = program(layer, norm), inputs()
    with torch.no_grad():
        gap = (layer(x).numpy() - frozen.evaluate(x.numpy())).__abs__()
    # Both are as wrong as stated, and so are the weights that each computes.
    allowed = 3 * frozen.rounding()
    if not math.isinf(frozen.norms[-1]):
        allowed = np.full_like(allowed, np.linalg.norm(allowed))
    assert (gap <= allowed).all()
    assert allowed.max() < 1e-11


@pytest.mark.parametrize("name", ROWS)
def test_the_float32_forward_pass_is_near_the_frozen_program(name: str) -> None:
    layer, x = made(name, torch.float32), inputs(dtype=torch.float32)
    frozen = program(layer, ROWS[name].norm)
    with torch.no_grad():
        gap = layer(x).double().numpy() - frozen.evaluate(x.double().numpy())
    assert np.abs(gap).max() < 1e-4


@pytest.mark.parametrize("name", WITH_NUMBERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_freeze(name: str, dtype: torch.dtype) -> None:
    with pytest.raises(DataTypeError, match="does not freeze"):
        made(name).to(dtype).freeze(0)


@pytest.mark.parametrize("name", WITH_NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_do_not_freeze(name: str, value: float) -> None:
    for key in made(name).state_dict():
        layer = made(name)
        layer.state_dict()[key].view(-1)[-1:] = value
        with pytest.raises(NonFiniteError):
            layer.freeze(0)


@pytest.mark.parametrize("name", ROWS)
def test_autocast_changes_no_bit(name: str) -> None:
    layer, x = made(name, torch.float32), inputs(dtype=torch.float32)
    with torch.no_grad():
        plain = layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = layer(x)
    assert cast.dtype == torch.float32
    assert torch.equal(plain, cast)


@pytest.mark.parametrize("name", ROWS)
def test_copies_freeze_to_the_same_bits(name: str) -> None:
    layer, norm = made(name), ROWS[name].norm
    other = made(name, seed=7)
    other.load_state_dict(layer.state_dict())
    digest = program(layer, norm).digest()
    for same in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        assert program(same, norm).digest() == digest


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_edited_weights_are_what_freezes(name: str) -> None:
    layer, norm = made(name), ROWS[name].norm
    before = program(layer, norm).digest()
    layer(inputs())  # would fill a cache, if there were one
    for value in layer.state_dict().values():
        value.view(-1)[0] += 0.5
    assert program(layer, norm).digest() != before


@pytest.mark.parametrize("name", ROWS)
def test_invariants_hold_for_any_weights(name: str) -> None:
    layer = made(name)
    layer.check_invariant()
    for scale in (1e-6, 1e6):
        for value in layer.parameters():
            value.data *= scale
        layer.check_invariant()


@pytest.mark.parametrize("name", ROWS)
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    layer, x = made(name), inputs(9)
    with torch.no_grad():
        alone = torch.cat([layer(row[None]) for row in x])
        assert torch.allclose(layer(x), alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_reach_every_weight(name: str) -> None:
    layer = made(name).train()
    layer.set_progress(0.3)
    (layer(inputs()) ** 3).sum().backward()  # squares would not see a reflection
    for key, value in layer.named_parameters():
        assert value.grad is not None, key
        assert value.grad.any(), key
        assert value.grad.isfinite().all(), key


def test_the_box_of_the_programs_holds_the_inputs() -> None:
    assert inputs().abs().max() < LIMIT  # else programs would clip, layers not


@pytest.mark.parametrize(
    "name",
    ["linear, normalised", "distance", "BRO, wide", "SLL", "sandwich", "spline, l_2"],
)
def test_the_attack_notices_a_constant_that_is_too_small(name: str) -> None:
    class Understated(Program):
        def constants(self, moves: Any) -> list[Any]:
            return [0.99 * c for c in super().constants(moves)]

    norm = ROWS[name].norm
    frozen = program(made(name), norm)
    with pytest.raises(AssertionError):
        attacked(Understated(frozen.inputs, frozen.operations), norm)
