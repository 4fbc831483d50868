"""Diagrams to vectors, each representation with its constant.

Nothing is imported before it is used, so that the fixed bank and the stable ranks
for people come without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "BarFunctionBank": "bars",
    "Block": "bank",
    "Contour": "contour",
    "FixedBank": "bank",
    "Joined": "base",
    "LearnableBank": "learned",
    "MixtureDensity": "densities",
    "Representation": "base",
    "SortedDeaths": "bars",
    "SplineDensity": "densities",
    "StableRankVector": "vector",
    "StableRanks": "stable_ranks",
    "StepFunction": "stable_ranks",
    "bar_inputs": "domain",
    "design_bank": "bank",
    "design_l2_bank": "bank_l2",
    "learnable_bank": "learned",
    "mixture_vectors": "vector",
    "stable_rank": "stable_ranks",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names


def __getattr__(name: str) -> Any:
    """Import one idea on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
