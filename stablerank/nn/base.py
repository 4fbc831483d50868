"""The contract of a layer: forward in training, plain operations when frozen.

What a layer promises in training is an approximation in floats; what it leaves
behind, `freeze()`, is checked from its numbers alone.  So a bug in a parametrisation
costs accuracy and never truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stablerank.exceptions import (
    DataTypeError,
    NonFiniteError,
    UncertifiableLayerError,
)
from stablerank.frozen import Operation

__all__ = ["Layer", "Stack", "chained_norms", "relocated", "to_float64"]


def to_float64(tensor: Tensor, name: str) -> NDArray[np.float64]:
    """Weights as float64 numpy, or an error where they cannot be frozen.

    Parameters
    ----------
    tensor : Tensor
        float32 or float64.
    name : str
        How messages call it.
    """
    if tensor.dtype not in (torch.float32, torch.float64):
        raise DataTypeError(
            f"{name} is {tensor.dtype}, which does not freeze; call .float() or "
            ".double() on the model before it is trained"
        )
    array = tensor.detach().to("cpu", torch.float64).numpy().copy()
    if not np.isfinite(array).all():
        raise NonFiniteError(
            f"{name} holds NaN or infinity; training has diverged: lower the learning "
            "rate"
        )
    return array


class Layer(nn.Module):
    """Base class of all layers.

    Attributes
    ----------
    norm_in, norm_out : float or None
        Norms between which the layer is bounded: inf or 2; None where one constant
        holds from l_p to l_p whatever p.
    lipschitz : float
        Its constant between them by construction, in exact arithmetic.
    """

    norm_in: float | None = math.inf
    norm_out: float | None = math.inf
    lipschitz: float = 1.0

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """Operations that compute the layer in float64.

        Parameters
        ----------
        register : int
            The register that holds the input, the last one written so far; the
            operations write the registers after it, in order, and read nothing but
            these.

        Returns
        -------
        tuple of Operation
            The last one writes the output; without any, the output is the input.
        """
        raise NotImplementedError

    def check_invariant(self) -> None:
        """Raise if the weights have left the set they must stay in."""

    def prepare(self, x: Tensor) -> None:
        """Fit scales and means to a batch of inputs, once, before training."""

    def set_progress(self, share: float) -> None:
        """Move schedules to this share of training, from 0 to 1."""


class Stack(Layer):
    """Layers one after the other.

    Parameters
    ----------
    layers : sequence of Layer
        Each must take the norm that the layers before it give.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm_in, self.norm_out = chained_norms(layers)
        self.lipschitz = math.prod(layer.lipschitz for layer in layers)

    def __getitem__(self, index: int) -> Any:
        """Return one layer."""
        return self.layers[index]

    def __iter__(self) -> Iterator[Any]:
        """Go through the layers, from the input to the output."""
        return iter(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers."""
        for layer in self.layers:
            x = layer(x)
        return x

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """Operations of all layers."""
        operations: list[Operation] = []
        for layer in self:
            operations += layer.freeze(register + len(operations))
        return tuple(operations)

    def check_invariant(self) -> None:
        """Check every layer."""
        for layer in self:
            layer.check_invariant()

    def prepare(self, x: Tensor) -> None:
        """Prepare every layer for what the layers before it, prepared, make of `x`."""
        training = self.training
        self.eval()  # without dropout, and at the end of every schedule
        with torch.no_grad():
            for layer in self:
                layer.prepare(x)
                x = layer(x)
        self.train(training)

    def set_progress(self, share: float) -> None:
        """Tell every layer."""
        for layer in self:
            layer.set_progress(share)


def chained_norms(layers: Sequence[Layer]) -> tuple[float | None, float | None]:
    """Norms of the input and the output of layers in a row, or an error.

    Examples
    --------
    >>> from stablerank.nn import BRO, GroupSort, LinfLinear
    >>> chained_norms([BRO(4, 8), GroupSort(2)])
    (2, 2)
    >>> chained_norms([BRO(4, 8), LinfLinear(8, 8)])
    Traceback (most recent call last):
        ...
    stablerank.exceptions.UncertifiableLayerError: layer 1, LinfLinear, is bounded ...
    """
    first = last = None
    for i, layer in enumerate(layers):
        if layer.norm_in is None:
            continue
        if last is not None and layer.norm_in != last:
            raise UncertifiableLayerError(
                f"layer {i}, {type(layer).__name__}, is bounded in norm "
                f"{layer.norm_in}, the layers before it in norm {last}; no constant "
                "links the two: use layers of one norm"
            )
        first = layer.norm_in if first is None else first
        last = layer.norm_out
    return first, last


def relocated(
    operations: Sequence[Operation], register: int, shift: int
) -> list[Operation]:
    """Operations frozen after `register`, moved `shift` registers further.

    Branches read one register but cannot write the same ones: each is frozen as if
    it were alone, and its own registers are then renumbered.

    Parameters
    ----------
    operations : sequence of Operation
        As `freeze(register)` gives them.
    register : int
        Input of the branch, which stays where it is.
    shift : int
        Operations of the branches before this one.

    Examples
    --------
    >>> from stablerank.frozen import Abs, ReLU
    >>> [op.inputs for op in relocated([Abs((3,)), ReLU((4,))], 3, 5)]
    [(3,), (9,)]
    """
    return [
        replace(op, inputs=tuple(i + shift if i > register else i for i in op.inputs))
        for op in operations
    ]
