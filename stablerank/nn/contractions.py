"""From any matrix to one that stretches nothing: the maps behind l_2 layers.

All act on the last two dimensions, (..., n, m), real or complex, so one formula
serves a dense weight and, frequency by frequency, a circular convolution.  In exact
arithmetic the result has spectral norm at most 1 whatever the input is: zero,
rank-deficient, huge [N5].  In floats it is a hair off, and no certificate trusts it:
layers freeze to the matrix itself, whose norm is bounded from its numbers [N6, N7].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["bjorck", "cayley", "exponential", "gram_bound", "orthonormal", "reflected"]

#: Damping in shares of the mean diagonal of V^* V, and the least one, for V = 0.
_DAMPING, _LEAST = 1e-8, 1e-30
#: Largest Frobenius norm in a Cayley transform, and largest l_1 norm of a column in
#: an exponential: both turn by all angles that matter long before, and beyond lose
#: digits.
_CAYLEY_LIMIT, _ANGLE_LIMIT = 2.0**8, 2.0**8
_TINY = 1e-30


def orthonormal(v: Tensor) -> Tensor:
    """A = V R^-1 with R^* R = V^* V + d I, for V of shape (..., n, m), n >= m.

    A^* A = I - d (V^* V + d I)^-1 <= I for any d >= 0 [N5, Cholesky].  Computed in
    float64 whatever the dtype: d can then be so small that A is orthonormal to all
    digits of float32.

    Examples
    --------
    >>> a = orthonormal(torch.randn(5, 3))
    >>> torch.allclose(a.mT @ a, torch.eye(3), atol=1e-5)
    True
    """
    return _factored(v, _largest(v))[0]


def _factored(v: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """A of V, and the factor R^* of V / scale, on which A does not depend."""
    # Times the inverse: a quotient of complex numbers takes several times as long.
    exact = v.to(torch.complex128 if v.is_complex() else torch.float64) * (1 / scale)
    gram = exact.mH @ exact
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    mean = diagonal.detach().real.mean(dim=-1, keepdim=True)
    diagonal += _DAMPING * mean + _LEAST
    factor = torch.linalg.cholesky_ex(gram).L  # NaN in, NaN out
    half = torch.linalg.solve_triangular(factor, exact.mH, upper=False).mH
    return half.to(v.dtype), factor


def reflected(v: Tensor, x: Tensor) -> Tensor:
    """(I - 2 A A^*) x for every row x of (..., batch, n), with A = `orthonormal`(v).

    I - 2 A A^* = I - 2 V (V^* V + d I)^-1 V^* has eigenvalues (d - s^2) / (d + s^2)
    for the singular values s of V, and 1: all in [-1, 1] [N5, BRO].  The matrix is
    never formed, and its derivative needs no derivative of a factorisation.

    Examples
    --------
    >>> x = torch.randn(4, 5)
    >>> torch.allclose(reflected(torch.randn(5, 2), x).norm(), x.norm())
    True
    """
    if torch.compiler.is_compiling():  # dynamo, export: no class to step into
        return _plainly_reflected(v, x)
    result: Tensor = _Reflected.apply(v, x)
    return result


def _plainly_reflected(v: Tensor, x: Tensor) -> Tensor:
    half = orthonormal(v)
    return x - 2 * (x @ half.conj()) @ half.mT


class _Reflected(torch.autograd.Function):
    """A reflection whose derivative is made of products.

    With P = A A^*, G = V^* V + d I and d held fixed,

        dP = (I - P) dV G^-1 V^* + its adjoint,

    and (I - P) x = (x + y) / 2 is known from the output y; so is (I - P) g from the
    gradient g of y and that of x.  What is left are products with the batch and one
    triangular system.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, x: Tensor) -> Tensor:
        """Reflect the rows."""
        scale = _largest(v)
        half, factor = _factored(v, scale)
        inner = x @ half.conj()  # (..., batch, m)
        y = x - 2 * inner @ half.mT
        ctx.save_for_backward(v, x, y, half, inner, factor, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of V and x."""
        v, x, y, half, inner, factor, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: the plain road
            y = _plainly_reflected(v, x)
            wanted = [
                t for t, use in zip((v, x), ctx.needs_input_grad, strict=True) if use
            ]
            found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
            return tuple(next(found) if use else None for use in ctx.needs_input_grad)
        turned = gradient @ half.conj()
        of_x = gradient - 2 * turned @ half.mT
        if not ctx.needs_input_grad[0]:
            return None, of_x
        of_half = (gradient + of_x).mT @ inner.conj() + (x + y).mT @ turned.conj()
        of_v = torch.linalg.solve_triangular(
            factor.to(v.dtype), of_half, upper=False, left=False
        )
        return of_v * (-1 / scale), of_x


def cayley(w: Tensor) -> Tensor:
    """Q = [(I + A)^-1 (I - A); -2 V (I + A)^-1] for W = [U; V], U square.

    With A = U - U^* + V^* V, A + A^* = 2 V^* V gives Q^* Q = I [N5]: orthonormal
    columns where W is tall, rows where it is wide.

    Examples
    --------
    >>> q = cayley(torch.randn(3, 5))
    >>> torch.allclose(q @ q.mT, torch.eye(3), atol=1e-5)
    True
    """
    if w.shape[-2] < w.shape[-1]:
        return cayley(w.mH).mH
    m = w.shape[-1]
    top = _largest(w)
    size = top * torch.linalg.matrix_norm(w / top, keepdim=True)
    w = _shrunk(w, size, _CAYLEY_LIMIT)
    u, v = w[..., :m, :], w[..., m:, :]
    eye = torch.eye(m, dtype=w.dtype, device=w.device)
    inverse = torch.linalg.inv_ex(eye + u - u.mH + v.mH @ v).inverse
    return torch.cat([2 * inverse - eye, -2 * v @ inverse], dim=-2)


def bjorck(w: Tensor, steps: int) -> Tensor:
    """W <- 1.5 W - 0.5 W W^* W, from a W divided by its Gram bound.

    Singular values follow s -> 1.5 s - 0.5 s^3, which maps [0, 2] into [-1, 1]: after
    any number of steps they are at most 1 [N5].  The start has norm at most 1, and
    the bound could be wrong by a factor of 2 before that failed.

    Examples
    --------
    >>> w = bjorck(torch.randn(3, 5), steps=25)
    >>> torch.allclose(w @ w.mT, torch.eye(3), atol=1e-4)
    True
    """
    if w.shape[-2] < w.shape[-1]:
        return bjorck(w.mH, steps).mH
    w = w / gram_bound(w)[..., None, None].clamp_min(_TINY)
    for _ in range(steps):
        w = 1.5 * w - 0.5 * w @ (w.mH @ w)
    return w


def exponential(w: Tensor) -> Tensor:
    """exp(W - W^*): a rotation, because W - W^* is skew [N5].

    Examples
    --------
    >>> q = exponential(torch.randn(3, 3))
    >>> torch.allclose(q @ q.mT, torch.eye(3), atol=1e-5)
    True
    """
    skew = w - w.mH
    size = torch.linalg.matrix_norm(skew, ord=1, keepdim=True)
    return torch.linalg.matrix_exp(_shrunk(skew, size, _ANGLE_LIMIT))


def gram_bound(w: Tensor, steps: int = 5) -> Tensor:
    """Upper bound of the spectral norm by Gram iteration, differentiable, (...,).

    s(M_i)^2 = |M_i|_F^2 s(M_{i+1}) with M_{i+1} = M_i^* M_i / |M_i|_F^2 and
    s(M_N) <= |M_N|_F: at most m^(2^-(N+1)) times the norm, never below it, in exact
    arithmetic [N6 d].

    Parameters
    ----------
    w : Tensor of shape (..., n, m)
        Matrices.
    steps : int
        N.

    Examples
    --------
    >>> bool(1 <= gram_bound(torch.eye(3, dtype=torch.float64)) <= 1.02)
    True
    """
    w = w if w.shape[-2] >= w.shape[-1] else w.mH
    top = _largest(w)
    w, share, logarithm = w * (1 / top), 1.0, torch.zeros_like(top[..., 0, 0])
    for _ in range(steps):
        size = _frobenius(w).clamp_min(_TINY)
        logarithm = logarithm + share * size.log()
        w = w * (1 / size)[..., None, None]
        w = w.mH @ w
        share /= 2
    last = _frobenius(w).clamp_min(_TINY)
    return top[..., 0, 0] * (logarithm + share * last.log()).exp()


def _frobenius(w: Tensor) -> Tensor:
    """Frobenius norm, (...,)."""
    return torch.linalg.vector_norm(_as_real(w), dim=-1)


def _largest(w: Tensor) -> Tensor:
    """Largest part of an entry, without a gradient: squares then do not overflow."""
    largest = _as_real(w.detach()).abs().amax(dim=-1)
    return largest.clamp_min(_TINY)[..., None, None]


def _as_real(w: Tensor) -> Tensor:
    """All real and imaginary parts of a matrix in one row: norms of these are fast."""
    parts = torch.view_as_real(w.resolve_conj()) if w.is_complex() else w
    return parts.flatten(-3 if w.is_complex() else -2)


def _shrunk(w: Tensor, size: Tensor, limit: float) -> Tensor:
    """W, or where its size is above the limit, the multiple that is not."""
    return w * (limit / size.clamp_min(limit))
