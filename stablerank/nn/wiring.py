"""How layers meet: side by side, and around each other.

    [g_1(x), g_2(x), ...]     l_inf: max L_i,  l_2: sqrt(sum L_i^2)    [R8]
    x + g(x)                  1 + L_g                                  [N8]

A constant above 1 costs nothing by itself: margins are divided by the constant of
the whole network, in training as in the certificate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stablerank.exceptions import UncertifiableLayerError
from stablerank.frozen import Add, Concat, Operation
from stablerank.nn.base import Layer, relocated

__all__ = ["Concatenated", "Identity", "Skip"]


class Identity(Layer):
    """x itself: an arm of `Concatenated` that does nothing.

    Examples
    --------
    >>> Identity().freeze(0)
    ()
    """

    norm_in = norm_out = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """No operation."""
        return ()


class Concatenated(Layer):
    """Several layers on one input, their outputs side by side.

    Parameters
    ----------
    arms : sequence of Layer
        All between the same norms.

    Examples
    --------
    >>> Concatenated([Identity(), Identity()])(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2., 1., 2.]])
    """

    def __init__(self, arms: Sequence[Layer]) -> None:
        super().__init__()
        self.arms = nn.ModuleList(arms)
        bound = {arm.norm_in for arm in arms} - {None}
        self.norm_in = bound.pop() if bound else None
        # An arm for every norm gives back the norm that the others take.
        free = {self.norm_in if arm.norm_in is None else arm.norm_out for arm in arms}
        if bound or len(free) > 1:
            norms = ", ".join(f"{arm.norm_in} to {arm.norm_out}" for arm in arms)
            raise UncertifiableLayerError(
                f"arms between the norms {norms} share no constant; use layers of one "
                "norm"
            )
        self.norm_out = free.pop()
        constants = [arm.lipschitz for arm in arms]
        # The l_2 sum bounds the maximum too, where the norm is not known yet.
        in_l2 = self.norm_out != math.inf
        self.lipschitz = math.hypot(*constants) if in_l2 else max(constants)

    def forward(self, x: Tensor) -> Tensor:
        """Apply all arms and join."""
        return torch.cat([arm(x) for arm in self.arms], dim=-1)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """Operations of all arms, then one `Concat`."""
        operations: list[Operation] = []
        ends = []
        for arm in self._each():
            own = relocated(arm.freeze(register), register, len(operations))
            operations += own
            ends.append(register + len(operations) if own else register)
        return (*operations, Concat(tuple(ends)))

    def check_invariant(self) -> None:
        """Check every arm."""
        for arm in self._each():
            arm.check_invariant()

    def prepare(self, x: Tensor) -> None:
        """Prepare every arm."""
        for arm in self._each():
            arm.prepare(x)

    def set_progress(self, share: float) -> None:
        """Tell every arm."""
        for arm in self._each():
            arm.set_progress(share)

    def _each(self) -> list[Layer]:
        return [arm for arm in self.arms if isinstance(arm, Layer)]


class Skip(Layer):
    """x + g(x): a residual block.

    Parameters
    ----------
    layer : Layer
        g, from a width to the same width, in one norm.

    Examples
    --------
    >>> from stablerank.nn import Abs
    >>> block = Skip(Abs())
    >>> block(torch.tensor([[-2.0, 3.0]])), block.lipschitz
    (tensor([[0., 6.]]), 2.0)
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        if layer.norm_in != layer.norm_out:
            raise UncertifiableLayerError(
                f"x + g(x) adds norm {layer.norm_in} and norm {layer.norm_out}; use a "
                "layer within one norm"
            )
        self.layer = layer
        self.norm_in, self.norm_out = layer.norm_in, layer.norm_out
        self.lipschitz = 1 + layer.lipschitz

    def forward(self, x: Tensor) -> Tensor:
        """Add."""
        return x + self.layer(x)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """Operations of the layer, then one `Add`."""
        operations = self.layer.freeze(register)
        return (*operations, Add((register, register + len(operations))))

    def check_invariant(self) -> None:
        """Check the layer inside."""
        self.layer.check_invariant()

    def prepare(self, x: Tensor) -> None:
        """Prepare the layer inside."""
        self.layer.prepare(x)

    def set_progress(self, share: float) -> None:
        """Tell the layer inside."""
        self.layer.set_progress(share)
