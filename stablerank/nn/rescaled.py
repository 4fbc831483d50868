"""Weights rescaled row by row, and residual blocks that rest on them.

Almost orthogonal (AOL): with T_i = sum_j |P P^T|_ij, the matrix T - P P^T is
diagonally dominant, so W = T^(-1/2) P has

    |W|_2 <= 1,    and = 1 for orthogonal rows                         [N5].

One product and no iteration: the cheapest contraction, and the less tight the further
its rows are from orthogonal.  The smaller side of P is rescaled, rows of a wide matrix
and columns of a tall one, because only as many vectors can be orthogonal at all.

`SLL` and `CPL` put such a weight around one layer of ReLU, and keep the input:

    y = x - 2 W^T relu(W x + b),    |y - y'|_2 <= |x - x'|_2           [N5],

`SLL` with T_i = sum_j |V V^T|_ij q_j / q_i for learned q > 0, `CPL` with the norm of
V for all rows.  (In the papers T^-1 stands between V^T and relu(V x + c): that is the
same, for ReLU commutes with T^(-1/2) > 0.)  Both are shrunk by a hair that covers
the rounding of their float64 construction, so that the frozen block, whose constant is
proved from its numbers, has constant 1 and not 1.0000000001.

A scale of P cancels.  It is taken out first, without a gradient: then no square
overflows, and what keeps the quotient of a zero row finite is small beside the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import CPL as FrozenCPL
from stablerank.frozen import SLL as FrozenSLL
from stablerank.frozen import Operation
from stablerank.nn.activations import clipped
from stablerank.nn.base import Layer, to_float64
from stablerank.nn.contractions import gram_bound
from stablerank.nn.dense import TOLERANCE, Dense
from stablerank.nn.spectral import L2Conv

__all__ = ["AOL", "CPL", "SLL", "AOLConv"]

#: Keeps the quotient of a row of zeros finite, beside a largest entry of 1.
_LEAST = 1e-12
_TINY = 1e-30
#: More than the rounding of the proofs, less than anybody notices.
_HAIR = 1 - 2.0**-30
#: Largest |log q|: beyond, one row would leave nothing to another.
_SHARES_LIMIT = 4.0
#: Of the Gram bound in `CPL`: at most 1.1 per cent above a norm, at width 256.
_STEPS = 8
#: Size of the other taps before training, in shares of the middle one.
_NOISE = 0.1


def row_scales(rows: Tensor, shares: Tensor | None = None) -> Tensor:
    """T_i^(-1/2) with T_i = sum_j |P P^T|_ij q_j / q_i.

    Parameters
    ----------
    rows : Tensor of shape (n, m), or (n, m, k, k)
        P; a kernel stands for its convolution of the unbounded grid, and j also runs
        over all shifts.
    shares : Tensor of shape (n,), optional
        q; by default 1.

    Examples
    --------
    >>> row_scales(torch.tensor([[3.0, 4.0]]))
    tensor([0.2000])
    """
    top = rows.detach().abs().amax().clamp_min(_TINY)
    rows = rows / top
    if rows.ndim == 2:
        gram = (rows @ rows.T).abs()
    else:
        reach = rows.shape[-1] - 1
        gram = nn.functional.conv2d(rows, rows, padding=reach).abs().sum(dim=(2, 3))
    sums = gram.sum(dim=1) if shares is None else gram @ shares / shares
    return (sums + _LEAST).rsqrt() / top


class AOL(Dense):
    """y = W x + b with W almost orthogonal: rescaled rows or columns.

    Parameters
    ----------
    n_in, n_out : int
        Widths.

    Examples
    --------
    >>> bool(torch.linalg.matrix_norm(AOL(6, 4).matrix(), 2) <= 1 + 1e-6)
    True
    """

    def map(self, weight: Tensor) -> Tensor:
        """Rescale the smaller side."""
        if self.n_out <= self.n_in:
            return weight * row_scales(weight)[:, None]
        return weight * row_scales(weight.T)


class AOLConv(L2Conv):
    """A convolution whose input or output channels are rescaled.

    Parameters
    ----------
    shape : (height, width, channels)
        Of the input image.
    channels : int
        Of the output image.
    kernel_size : int
        Side of the kernel.
    stride : int
        Step between outputs; the bound is that of step 1.
    padding : {"zeros", "circular"}
        What lies around the image.

    Examples
    --------
    >>> layer = AOLConv((4, 4, 3), 5)
    >>> layer(torch.randn(2, 48)).shape
    torch.Size([2, 80])
    """

    # Rescaled taps can reach the norm 1, whose bound for a kernel is wider than for a
    # matrix [N7]; the other convolutions stay a little below.
    tolerance = 2.0**-10

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: str = "zeros",
    ) -> None:
        super().__init__(shape, channels, kernel_size, stride=stride, padding=padding)
        middle = kernel_size // 2
        self.kernel.data *= _NOISE
        nn.init.orthogonal_(self.kernel.data[:, :, middle, middle])

    def taps(self, kernel: Tensor) -> Tensor:
        """Rescale the smaller side."""
        if kernel.shape[0] <= kernel.shape[1]:
            return kernel * row_scales(kernel)[:, None, None, None]
        adjoint = kernel.transpose(0, 1).flip(2, 3)
        return kernel * row_scales(adjoint)[:, None, None]


class _Residual(Layer):
    """y = x - 2 W^T relu(W x + b); a subclass owes `matrix` and `freeze`.

    Parameters
    ----------
    width : int
        Of input and output.
    hidden : int, optional
        Rows of W; by default as many as the width.

    Attributes
    ----------
    weight : Parameter of shape (hidden, width)
        What W is made from, not W itself: that is `matrix()`.
    """

    norm_in = norm_out = 2

    def __init__(self, width: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = width if hidden is None else hidden
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(hidden, width)))
        self.bias = nn.Parameter(torch.zeros(hidden))

    def matrix(self) -> Tensor:
        """W, (hidden, width)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to (batch, width)."""
        with torch.autocast(x.device.type, enabled=False):
            x, weight = x.to(self.weight.dtype), self.matrix()
            units = nn.functional.linear(x, weight, self.bias).relu()
            return x - 2 * units @ weight

    def check_invariant(self) -> None:
        """Raise if the frozen block has a constant above 1 + 2**-30."""
        (block,) = self.freeze(0)
        assert isinstance(block, FrozenCPL | FrozenSLL)
        if block.factor > 1 + TOLERANCE:
            raise InvalidInputError(
                f"{type(self).__name__} has the constant {block.factor}"
            )

    def _exact(self, name: str) -> Tensor:
        """A parameter in float64."""
        value = getattr(self, name)
        return torch.from_numpy(to_float64(value, f"{type(self).__name__}.{name}"))


class CPL(_Residual):
    """Convex potential layer: W is V divided by its Gram bound.

    Parameters
    ----------
    width : int
        Of input and output.
    hidden : int, optional
        Rows of W; by default as many as the width.

    Examples
    --------
    >>> layer, x = CPL(4), torch.randn(3, 4)
    >>> bool((layer(x) - layer(-x)).norm() <= 2 * x.norm() * (1 + 1e-6))
    True
    """

    def matrix(self) -> Tensor:
        """W, (hidden, width)."""
        return self._map(self.weight)

    def _map(self, weight: Tensor) -> Tensor:
        bound = gram_bound(weight, _STEPS).clamp_min(_TINY)
        return weight * (_HAIR / bound)

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `CPL`."""
        with torch.no_grad():
            weight = self._map(self._exact("weight")).numpy()
        return (
            FrozenCPL((register,), weight=weight, bias=self._exact("bias").numpy()),
        )


class SLL(_Residual):
    """SDP-based residual layer: rows of V divided by T^(1/2), with learned q.

    Parameters
    ----------
    width : int
        Of input and output.
    hidden : int, optional
        Rows of W; by default as many as the width.

    Attributes
    ----------
    log_shares : Parameter of shape (hidden,)
        log q, between -4 and 4.

    Examples
    --------
    >>> layer, x = SLL(4), torch.randn(3, 4)
    >>> bool((layer(x) - layer(-x)).norm() <= 2 * x.norm() * (1 + 1e-6))
    True
    """

    def __init__(self, width: int, hidden: int | None = None) -> None:
        super().__init__(width, hidden)
        self.log_shares = nn.Parameter(torch.zeros(len(self.bias)))

    def matrix(self) -> Tensor:
        """W, (hidden, width)."""
        return self.weight * self._scales(self.weight, self.log_shares)[:, None]

    def _scales(self, weight: Tensor, log_shares: Tensor) -> Tensor:
        return _HAIR * row_scales(weight, _shares(log_shares))

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `SLL`.

        W = T^(-1/2) V is dominated with the shares T^(1/2) q, if V is with q.
        """
        with torch.no_grad():
            weight, log_shares = self._exact("weight"), self._exact("log_shares")
            scales = self._scales(weight, log_shares)
            shares = _shares(log_shares) / (scales / scales.amax())
        return (
            FrozenSLL(
                (register,),
                weight=(weight * scales[:, None]).numpy(),
                bias=self._exact("bias").numpy(),
                shares=shares.numpy(),
            ),
        )


def _shares(log_shares: Tensor) -> Tensor:
    return (_SHARES_LIMIT * clipped(log_shares / _SHARES_LIMIT)).exp()
