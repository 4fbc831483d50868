"""Frozen arrays as torch tensors, without a copy in every call.

On the CPU a tensor looks at the memory of the array itself.  On an accelerator the
array is sent once and kept there for as long as it lives: only arrays that nobody can
write to are kept, so what is kept is never stale.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = ["as_tensor"]

#: Copies on accelerators, by the identity of a living array.
_KEPT: dict[int, dict[Any, torch.Tensor]] = {}


class _Window:
    """Memory of an array that torch takes without a warning.

    Torch knows no read-only tensors and warns of an array that is one; frozen
    operations write into none of their operands.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {
            **array.__array_interface__,
            "data": (address, False),
        }
        self.array = array  # lives as long as whoever looks through the window


def as_tensor(array: NDArray[Any], device: Any) -> torch.Tensor:
    """The array as a tensor on a device, not to be written to.

    Examples
    --------
    >>> as_tensor(np.arange(3.0), "cpu")
    tensor([0., 1., 2.], dtype=torch.float64)
    """
    import torch

    device = torch.device(device)
    if device.type == "cpu":
        return _view(array)
    if array.flags.writeable:
        return _view(array).to(device)
    key = id(array)
    if key not in _KEPT:
        _KEPT[key] = {}
        weakref.finalize(array, _KEPT.pop, key, None).atexit = False
    if device not in _KEPT[key]:
        _KEPT[key][device] = _view(array).to(device)
    return _KEPT[key][device]


def _view(array: NDArray[Any]) -> torch.Tensor:
    import torch

    if min(array.strides, default=0) < 0:  # unknown to torch
        array = np.ascontiguousarray(array)
    return torch.from_numpy(np.asarray(_Window(array)))
