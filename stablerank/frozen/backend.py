"""The few array functions that frozen operations need, over numpy or torch.

Frozen arithmetic is + - * / sqrt, max, abs and sort in float64, nothing else: each
of these is correctly rounded or exact, on any device, so one error bound serves
them all [F1].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stablerank.frozen.resident import as_tensor

__all__ = ["NumpyBackend", "TorchBackend", "backend_of"]


class NumpyBackend:
    """Functions on numpy arrays."""

    @staticmethod
    def constant(array: Any, like: Any) -> Any:
        """Return the stored array in the form of `like`."""
        return array

    @staticmethod
    def blocks(x: Any, size: int) -> list[Any]:
        """Rows of x, at most `size` at a time."""
        return [x[i : i + size] for i in range(0, len(x), size)]

    @staticmethod
    def affine(x: Any, weight: Any, bias: Any) -> Any:
        """Rows of x times the transpose of the weight, plus the bias."""
        y = x @ weight.T
        y += bias  # in the memory of the product
        return y

    @staticmethod
    def clip(a: Any, low: float, high: float) -> Any:
        """Nearest values within the limits."""
        return np.clip(a, low, high)

    @staticmethod
    def maximum(a: Any, b: Any) -> Any:
        """Elementwise maximum."""
        return np.maximum(a, b)

    @staticmethod
    def minimum(a: Any, b: Any) -> Any:
        """Elementwise minimum."""
        return np.minimum(a, b)

    @staticmethod
    def absolute(a: Any) -> Any:
        """Elementwise absolute value."""
        return np.abs(a)

    @staticmethod
    def largest(a: Any, axis: int) -> Any:
        """Maximum along an axis."""
        return a.max(axis=axis)

    @staticmethod
    def sort_descending(a: Any, axis: int) -> Any:
        """Sort along an axis, largest first."""
        # Sorting the negatives would be a second pass; a flipped view is free.
        return np.flip(np.sort(a, axis=axis), axis=axis)

    @staticmethod
    def sum(a: Any, axis: int) -> Any:
        """Sum along an axis."""
        return a.sum(axis=axis)

    @staticmethod
    def cumsum_from_end(a: Any, axis: int) -> Any:
        """Sum of each entry and all after it."""
        return np.flip(np.cumsum(np.flip(a, axis), axis=axis), axis)

    @staticmethod
    def sqrt(a: Any) -> Any:
        """Elementwise square root."""
        return np.sqrt(a)

    @staticmethod
    def concatenate(arrays: list[Any], axis: int) -> Any:
        """Join along an axis."""
        return np.concatenate(arrays, axis=axis)

    @staticmethod
    def take(a: Any, index: Any, axis: int) -> Any:
        """Entries at the given positions of an axis; zeros past its end."""
        length = a.shape[axis]
        inside = index[index < length]
        taken = np.take(a, inside, axis=axis)
        missing = len(index) - len(inside)
        if not missing:
            return taken
        shape = list(taken.shape)
        shape[axis] = missing
        # Ranks ascend, so what is past the end comes last.
        return np.concatenate([taken, np.zeros(shape)], axis=axis)

    @staticmethod
    def pad(values: Any, counts: Any) -> Any:
        """Packed rows (N, F) of n samples as one (n, longest, F) block of zeros."""
        n, longest = len(counts), int(counts.max(initial=0))
        block = np.zeros((n, longest, values.shape[1]))
        block[np.arange(longest) < counts[:, None]] = values
        return block

    @staticmethod
    def pad_image(x: Any, pads: tuple[int, ...], circular: bool) -> Any:
        """Images (n, height, width, channels) with rows and columns added around."""
        top, bottom, left, right = pads
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.pad(x, around, mode="wrap" if circular else "constant")

    @staticmethod
    def windows(x: Any, size: tuple[int, int], stride: int) -> Any:
        """Views (n, rows, columns, channels, *size) of padded images."""
        view = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
        return view[:, ::stride, ::stride]

    @staticmethod
    def bar_functions(forms: Any, births: Any, deaths: Any) -> Any:
        """max(0, min_j (a_j b + c_j d + e_j)) of bars (N,) for forms (F, J, 3)."""
        # One function at a time: a few vectors stay in cache, tables (N, F) do not.
        values = np.empty((len(forms), len(births)))
        form, term = np.empty_like(births), np.empty_like(deaths)
        for row, own in zip(values, forms, strict=True):
            row.fill(np.inf)
            for a, c, e in own:
                np.multiply(births, a, out=form)
                np.multiply(deaths, c, out=term)
                form += term
                form += e
                np.minimum(row, form, out=row)
            np.maximum(row, 0.0, out=row)
        return values.T

    @staticmethod
    def sort_top(values: Any, counts: Any, ranks: Any) -> Any:
        """Packed values (N, F) >= 0, sorted descending at the ranks: (n, F, R)."""
        n = len(counts)
        ranked = np.zeros((n, values.shape[1], len(ranks)))
        sample = np.repeat(np.arange(n), counts)
        for f, column in enumerate(values.T):
            # Most tents of most bars are 0, and so is all padding: sort the others.
            alive = column > 0
            own = np.bincount(sample[alive], minlength=n)
            longest = int(own.max(initial=0))
            block = np.zeros((n, longest))
            block[np.arange(longest) < own[:, None]] = column[alive]
            block.sort(axis=1)
            inside = ranks[ranks < longest]
            ranked[:, f, : len(inside)] = block[:, longest - 1 - inside]
        return ranked

    @staticmethod
    def piece(knots: Any, x: Any) -> Any:
        """Number of the knot (G, K) at or before each x (G, N), short of the last."""
        found = [
            np.searchsorted(k, row, side="right") - 1
            for k, row in zip(knots, x, strict=True)
        ]
        return np.clip(np.array(found), 0, knots.shape[1] - 2)

    @staticmethod
    def gather(a: Any, index: Any) -> Any:
        """Entries of each row of `a` (G, K) at `index` (G, N)."""
        return np.take_along_axis(a, index, axis=1)


class TorchBackend:
    """The same functions on torch tensors, on any device, with gradients."""

    @staticmethod
    def constant(array: Any, like: Any) -> Any:
        """Return the stored array in the form of `like`."""
        return as_tensor(array, like.device)

    @staticmethod
    def blocks(x: Any, size: int) -> list[Any]:
        """Rows of x, at most `size` at a time; in graphs of any number of rows all."""
        import torch

        if torch.compiler.is_compiling():
            return [x]
        return [x[i : i + size] for i in range(0, len(x), size)]

    @staticmethod
    def affine(x: Any, weight: Any, bias: Any) -> Any:
        """Rows of x times the transpose of the weight, plus the bias."""
        import torch

        return torch.addmm(bias, x, weight.T)

    @staticmethod
    def clip(a: Any, low: float, high: float) -> Any:
        """Nearest values within the limits."""
        return a.clamp(low, high)

    @staticmethod
    def maximum(a: Any, b: Any) -> Any:
        """Elementwise maximum."""
        import torch

        return torch.maximum(a, torch.as_tensor(b, dtype=a.dtype, device=a.device))

    @staticmethod
    def minimum(a: Any, b: Any) -> Any:
        """Elementwise minimum."""
        import torch

        return torch.minimum(a, torch.as_tensor(b, dtype=a.dtype, device=a.device))

    @staticmethod
    def absolute(a: Any) -> Any:
        """Elementwise absolute value."""
        return a.abs()

    @staticmethod
    def largest(a: Any, axis: int) -> Any:
        """Maximum along an axis."""
        return a.amax(dim=axis)

    @staticmethod
    def sort_descending(a: Any, axis: int) -> Any:
        """Sort along an axis, largest first."""
        return a.sort(dim=axis, descending=True).values

    @staticmethod
    def sum(a: Any, axis: int) -> Any:
        """Sum along an axis."""
        return a.sum(dim=axis)

    @staticmethod
    def cumsum_from_end(a: Any, axis: int) -> Any:
        """Sum of each entry and all after it."""
        return a.flip(axis).cumsum(dim=axis).flip(axis)

    @staticmethod
    def sqrt(a: Any) -> Any:
        """Elementwise square root."""
        return a.sqrt()

    @staticmethod
    def concatenate(arrays: list[Any], axis: int) -> Any:
        """Join along an axis."""
        import torch

        return torch.cat(arrays, dim=axis)

    @staticmethod
    def take(a: Any, index: Any, axis: int) -> Any:
        """Entries at the given positions of an axis; zeros past its end."""
        import torch

        inside = torch.as_tensor(index[index < a.shape[axis]], device=a.device)
        taken = a.index_select(axis, inside)
        missing = len(index) - len(inside)
        if not missing:
            return taken
        shape = list(taken.shape)
        shape[axis] = missing
        return torch.cat([taken, taken.new_zeros(shape)], dim=axis)

    @staticmethod
    def pad(values: Any, counts: Any) -> Any:
        """Packed rows (N, F) of n samples as one (n, longest, F) block of zeros."""
        import torch

        counts = torch.as_tensor(counts, device=values.device)
        longest = int(counts.max()) if len(counts) else 0
        inside = torch.arange(longest, device=values.device) < counts[:, None]
        block = values.new_zeros((len(counts), longest, values.shape[1]))
        return block.masked_scatter(inside[..., None], values)

    @staticmethod
    def pad_image(x: Any, pads: tuple[int, ...], circular: bool) -> Any:
        """Images (n, height, width, channels) with rows and columns added around."""
        import torch

        top, bottom, left, right = pads
        channels_first = x.permute(0, 3, 1, 2)
        mode = "circular" if circular else "constant"
        padded = torch.nn.functional.pad(
            channels_first, (left, right, top, bottom), mode=mode
        )
        return padded.permute(0, 2, 3, 1)

    @staticmethod
    def windows(x: Any, size: tuple[int, int], stride: int) -> Any:
        """Views (n, rows, columns, channels, *size) of padded images."""
        return x.unfold(1, size[0], stride).unfold(2, size[1], stride)

    @staticmethod
    def bar_functions(forms: Any, births: Any, deaths: Any) -> Any:
        """max(0, min_j (a_j b + c_j d + e_j)) of bars (N,) for forms (F, J, 3)."""
        a, c, e = (forms[..., i] for i in range(3))  # (F, J)
        tall = births[:, None, None] * a + deaths[:, None, None] * c + e
        return tall.amin(dim=-1).clamp_min(0.0)

    @staticmethod
    def sort_top(values: Any, counts: Any, ranks: Any) -> Any:
        """Packed values (N, F) >= 0, sorted descending at the ranks: (n, F, R)."""
        block = TorchBackend.pad(values, counts).swapaxes(1, 2)
        return TorchBackend.take(TorchBackend.sort_descending(block, -1), ranks, -1)

    @staticmethod
    def piece(knots: Any, x: Any) -> Any:
        """Number of the knot (G, K) at or before each x (G, N), short of the last."""
        import torch

        found = torch.searchsorted(knots, x.contiguous(), right=True) - 1
        return found.clamp(0, knots.shape[1] - 2)

    @staticmethod
    def gather(a: Any, index: Any) -> Any:
        """Entries of each row of `a` (G, K) at `index` (G, N)."""
        return a.gather(1, index)


def backend_of(x: Any) -> type[NumpyBackend] | type[TorchBackend]:
    """Backend of an array or tensor.

    Examples
    --------
    >>> backend_of(np.zeros(2)).__name__
    'NumpyBackend'
    """
    return TorchBackend if hasattr(x, "detach") else NumpyBackend
