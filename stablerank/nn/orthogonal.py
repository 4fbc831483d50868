"""Dense orthogonal layers for l_2: nothing is stretched, and nothing shrinks.

`Cayley`, `Cholesky`, `Bjorck` and `Exponential` turn a free matrix into one with
orthonormal rows or columns; their inequalities are in `contractions`.  The cheapest
is the block reflector (BRO): with any V of shape (n, r) and d >= 0,

    W = I - 2 V (V^T V + d I)^-1 V^T

has eigenvalues 1 and (d - s^2) / (d + s^2) for the singular values s of V, all in
[-1, 1]: it is a contraction whatever the damping d, orthogonal for d = 0 [N5].  A
rectangular layer is the leading block of a square reflector, so it has orthonormal
rows or columns.

W is symmetric, and -I at full rank, so a square layer uses half the rank; a
rectangular one reflects as many coordinates as its smaller side has.  With the
Cholesky factor R of V^T V + d I and A = V R^-1, W x = x - 2 A (A^T x): training
solves with R and never forms W.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError
from stablerank.nn.contractions import (
    bjorck,
    cayley,
    exponential,
    orthonormal,
    reflected,
)
from stablerank.nn.dense import Dense

__all__ = [
    "BRO",
    "Bjorck",
    "Cayley",
    "Cholesky",
    "Exponential",
    "reflector_rank",
    "spread_frame",
]


class BRO(Dense):
    """y = W x + b with W the leading (n_out, n_in) block of a block reflector.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    rank : int, optional
        r, at most the larger width; by default half the width of a square layer,
        the smaller width of a rectangular one.

    Examples
    --------
    >>> rows = BRO(6, 2).matrix()
    >>> torch.allclose(rows @ rows.T, torch.eye(2), atol=1e-5)
    True
    """

    def __init__(self, n_in: int, n_out: int, rank: int | None = None) -> None:
        large, small = max(n_in, n_out), min(n_in, n_out)
        rank = reflector_rank(n_in, n_out, rank)
        spread = small < large and rank == small
        random = torch.randn(large, rank) / large**0.5
        super().__init__(n_in, n_out, spread_frame(large, small) if spread else random)

    def map(self, weight: Tensor) -> Tensor:
        """I - 2 A A^T, the leading block."""
        half = orthonormal(weight)
        eye = torch.eye(self.n_out, self.n_in, dtype=half.dtype, device=half.device)
        return eye - 2 * half[: self.n_out] @ half[: self.n_in].T

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, n_in); W itself is never formed."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight.dtype)
            x = nn.functional.pad(x, (0, len(self.weight) - self.n_in))
            return reflected(self.weight, x)[:, : self.n_out] + self.bias


def reflector_rank(n_in: int, n_out: int, rank: int | None) -> int:
    """Rank of a reflector, by default the one that turns most.

    Examples
    --------
    >>> reflector_rank(8, 8, None), reflector_rank(8, 3, None), reflector_rank(8, 8, 2)
    (4, 3, 2)
    """
    large, small = max(n_in, n_out), min(n_in, n_out)
    default = small if small < large else max(1, large // 2)
    rank = default if rank is None else rank
    if not 1 <= rank <= large:
        raise InvalidInputError(f"rank {rank} of a reflector of size {large}")
    return rank


class Cayley(Dense):
    """y = W x + b with W a Cayley transform: orthonormal rows or columns.

    Everything but an eigenvalue of -1 is in reach, at one linear system a step.

    Examples
    --------
    >>> rows = Cayley(6, 2).matrix()
    >>> torch.allclose(rows @ rows.T, torch.eye(2), atol=1e-5)
    True
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(
            n_in, n_out, torch.randn(n_out, n_in) / max(n_in, n_out) ** 0.5
        )

    def map(self, weight: Tensor) -> Tensor:
        """Transform."""
        return cayley(weight)


class Cholesky(Dense):
    """y = W x + b with W = L^-1 X, L L^T = X X^T + d I: Gram-Schmidt at once.

    Examples
    --------
    >>> rows = Cholesky(6, 2).matrix()
    >>> torch.allclose(rows @ rows.T, torch.eye(2), atol=1e-5)
    True
    """

    def map(self, weight: Tensor) -> Tensor:
        """Orthonormal columns, or rows of the transpose."""
        tall = self.n_out >= self.n_in
        return orthonormal(weight) if tall else orthonormal(weight.T).T


class Bjorck(Dense):
    """y = W x + b with W after some steps of Bjorck's iteration.

    Sound at every number of steps; a small number leaves small singular values small.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    steps : int
        Iterations; the start is divided by its Gram bound.

    Examples
    --------
    >>> rows = Bjorck(6, 2).matrix()
    >>> torch.allclose(rows @ rows.T, torch.eye(2), atol=1e-5)
    True
    """

    def __init__(self, n_in: int, n_out: int, steps: int = 15) -> None:
        super().__init__(n_in, n_out)
        self.steps = steps

    def map(self, weight: Tensor) -> Tensor:
        """Iterate."""
        return bjorck(weight, self.steps)


class Exponential(Dense):
    """y = W x + b with W the leading block of exp(A - A^T), a rotation.

    Parameters
    ----------
    n_in, n_out : int
        Widths; A is square, of the larger one.

    Examples
    --------
    >>> rows = Exponential(6, 2).matrix()
    >>> torch.allclose(rows @ rows.T, torch.eye(2), atol=1e-5)
    True
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        large = max(n_in, n_out)
        super().__init__(n_in, n_out, torch.randn(large, large) / large**0.5)

    def map(self, weight: Tensor) -> Tensor:
        """Exponential of the skew part, the leading block."""
        return exponential(weight)[: self.n_out, : self.n_in]


def spread_frame(large: int, small: int) -> Tensor:
    """V whose reflector has a random orthonormal frame as its leading block.

    The reflector along the columns of E - Q maps the leading unit vectors E to the
    frame Q if E^T Q is symmetric; its sign is chosen so that E - Q is far from 0.

    Examples
    --------
    >>> layer = BRO(9, 3)
    >>> layer.weight.data = spread_frame(9, 3)
    >>> bool(layer.matrix().abs().amax() < 1)
    True
    """
    frame = torch.linalg.qr(torch.randn(large, small, dtype=torch.float64)).Q
    left, _, right = torch.linalg.svd(frame[:small])
    frame = -frame @ (left @ right).T
    unit = torch.eye(large, small, dtype=torch.float64)
    return (unit - frame).to(torch.get_default_dtype())
