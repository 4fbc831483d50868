"""Orthogonal layers for l_2: nothing is stretched, and nothing shrinks.

Block reflector (BRO): with any V of shape (n, r) and d >= 0,

    W = I - 2 V (V^T V + d I)^-1 V^T

has eigenvalues 1 and (d - s^2) / (d + s^2) for the singular values s of V, all in
[-1, 1]: it is a contraction whatever the damping d, orthogonal for d = 0 [N5].  A
rectangular layer is the leading block of a square reflector, so it has orthonormal
rows or columns.

W is symmetric, and -I at full rank, so a square layer uses half the rank; a
rectangular one reflects as many coordinates as its smaller side has.  The Cholesky
factor of V^T V + d I is taken in float64 whatever the dtype: it is small, and d can
then be so small that W is orthogonal to all digits of float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Affine, Operation
from stablerank.frozen.spectral import spectral_norm_up
from stablerank.nn.base import Layer, to_float64

__all__ = ["BRO"]

#: Damping in shares of the mean diagonal of V^T V, and for V = 0.
_DAMPING, _LEAST = 1e-8, 1e-100


class BRO(Layer):
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

    norm_in = norm_out = 2

    def __init__(self, n_in: int, n_out: int, rank: int | None = None) -> None:
        super().__init__()
        large, small = max(n_in, n_out), min(n_in, n_out)
        default = small if small < large else max(1, large // 2)
        rank = default if rank is None else rank
        if not 1 <= rank <= large:
            raise InvalidInputError(f"rank {rank} of a reflector of size {large}")
        self.n_in, self.n_out = n_in, n_out
        start = torch.randn(large, rank) / large**0.5
        if small < large and rank == small:
            start = _spread_frame(large, small)
        self.vectors = nn.Parameter(start)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def matrix(self) -> Tensor:
        """Weight that the forward pass applies, (n_out, n_in)."""
        with torch.autocast(self.vectors.device.type, enabled=False):
            return self._matrix(self.vectors)

    def _matrix(self, vectors: Tensor) -> Tensor:
        half = _half_reflection(vectors)
        eye = torch.eye(self.n_out, self.n_in, dtype=half.dtype, device=half.device)
        return eye - 2 * half[: self.n_out] @ half[: self.n_in].T

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (batch, n_in); W itself is never formed."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.vectors.dtype)
            half = _half_reflection(self.vectors)
            reflected = (x @ half[: self.n_in]) @ half[: self.n_out].T
            missing = self.n_out - self.n_in
            kept = nn.functional.pad(x, (0, missing))  # cuts where it is negative
            return kept - 2 * reflected + self.bias

    def freeze(self, register: int) -> tuple[Operation, ...]:
        """One `Affine` with W in float64."""
        vectors = torch.from_numpy(to_float64(self.vectors, "BRO.vectors"))
        weight = self._matrix(vectors).numpy()
        bias = to_float64(self.bias, "BRO.bias")
        return (Affine((register,), weight=weight, bias=bias),)

    def check_invariant(self) -> None:
        """Raise if the float64 matrix has a spectral norm above 1 + 2**-30."""
        (affine,) = self.freeze(0)
        assert isinstance(affine, Affine)
        norm = spectral_norm_up(affine.weight)
        if norm > 1 + 2.0**-30:
            raise InvalidInputError(f"the matrix of BRO has spectral norm {norm}")


def _half_reflection(vectors: Tensor) -> Tensor:
    """A with A A^T = V (V^T V + d I)^-1 V^T, of the shape of V."""
    v = vectors.double()
    gram = v.T @ v
    damping = _DAMPING * gram.diagonal().mean() + _LEAST
    gram = gram + damping * torch.eye(len(gram), dtype=v.dtype, device=v.device)
    factor = torch.linalg.cholesky_ex(gram).L  # NaN in, NaN out
    half = torch.linalg.solve_triangular(factor, v.T, upper=False).T
    return half.to(vectors.dtype)


def _spread_frame(large: int, small: int) -> Tensor:
    """V whose reflector has a random orthonormal frame as its leading block.

    The reflector along the columns of E - Q maps the leading unit vectors E to the
    frame Q if E^T Q is symmetric; its sign is chosen so that E - Q is far from 0.
    """
    frame = torch.linalg.qr(torch.randn(large, small, dtype=torch.float64)).Q
    left, _, right = torch.linalg.svd(frame[:small])
    frame = -frame @ (left @ right).T
    unit = torch.eye(large, small, dtype=torch.float64)
    return (unit - frame).to(torch.get_default_dtype())
