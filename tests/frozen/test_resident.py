"""Frozen arrays as tensors: the memory of the array, or one copy on a device."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
import torch

from stablerank.frozen import resident
from stablerank.frozen.resident import as_tensor


def read_only(*shape: int) -> np.ndarray:
    array = np.random.default_rng(0).normal(size=shape)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("turned", [lambda a: a, lambda a: a.T, lambda a: a[::-1, ::2]])
def test_a_tensor_holds_the_values_of_any_array(turned: object) -> None:
    array = turned(read_only(5, 7))  # type: ignore[operator]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(as_tensor(array, "cpu"), torch.tensor(array.copy()))


def test_a_tensor_on_the_cpu_is_the_memory_of_the_array() -> None:
    array = read_only(4, 3)
    assert as_tensor(array, "cpu").data_ptr() == array.ctypes.data


def test_a_tensor_outlives_the_last_name_of_its_array() -> None:
    array = np.random.default_rng(0).normal(size=(500, 500))
    expected = array.copy()
    tensor = as_tensor(array, "cpu")
    del array
    gc.collect()
    others = [np.zeros((500, 500)) for _ in range(4)]  # would take the memory
    assert np.array_equal(tensor.numpy(), expected)
    assert not others[0].any()


# The "meta" device has no data and needs no accelerator.
def test_a_read_only_array_is_sent_to_a_device_once() -> None:
    array = read_only(3, 3)
    first = as_tensor(array, "meta")
    assert as_tensor(array, "meta") is first
    assert first.device.type == "meta"


def test_what_can_be_written_to_is_sent_every_time() -> None:
    array = np.zeros(3)
    assert as_tensor(array, "meta") is not as_tensor(array, "meta")


def test_a_copy_goes_with_its_array() -> None:
    array = read_only(3, 3)
    as_tensor(array, "meta")
    key = id(array)
    assert key in resident._KEPT
    del array
    gc.collect()
    assert key not in resident._KEPT
