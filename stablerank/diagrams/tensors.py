"""Packed diagrams as torch tensors, for the representations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from stablerank.diagrams.batch import Diagrams

__all__ = ["PackedBars", "pack_tensors"]


class PackedBars(NamedTuple):
    """Torch twin of `Diagrams`: the packed buffers and their offsets."""

    bars: torch.Tensor  # (n_bars, 2)
    offsets: torch.Tensor  # (n_samples, n_channels + 1)
    essential: torch.Tensor  # (n_essential,)
    essential_offsets: torch.Tensor  # (n_samples, n_channels + 1)
    channels: tuple[str, ...]


def pack_tensors(own: Diagrams, device: Any, dtype: Any) -> PackedBars:
    """Copy a compact batch to a device; reals as `dtype`, float64 unless told."""
    import torch

    real = {"device": device, "dtype": dtype or torch.float64}
    return PackedBars(
        torch.tensor(own.bars, **real),
        torch.tensor(own.offsets, device=device),
        torch.tensor(own.essential, **real),
        torch.tensor(own.essential_offsets, device=device),
        own.channels,
    )
