"""One seed, many draws that know nothing of each other."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank.datasets.streams import generator, raw_bits, uniform_bits
from stablerank.exceptions import InvalidInputError


def test_different_addresses_draw_different_bits():
    addresses = [(), ("orbit",), ("split",), ("orbit", 0), ("orbit", 1), (0, "orbit")]
    words = [raw_bits(1, 0, *address)[0] for address in addresses]
    words += [raw_bits(1, 1, *address)[0] for address in addresses]
    assert len(set(words)) == len(words)


def test_bits_are_the_ones_they_have_always_been():
    assert raw_bits(2, 0, "orbit", 0).tolist() == [
        11568139263050887065,
        13507602812064924203,
    ]


def test_uniform_numbers_are_multiples_of_two_to_the_minus_53():
    u = uniform_bits(10_000, 0, "test")
    assert (u * 2.0**53 == np.floor(u * 2.0**53)).all()
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * 10_000)


def test_a_generator_draws_from_the_bits_of_its_address():
    assert generator(7, "a", 2).random() == uniform_bits(1, 7, "a", 2)[0]


def test_a_seed_below_zero_is_refused():
    with pytest.raises(InvalidInputError, match="seed must be an integer >= 0, got -3"):
        generator(-3, "a")
