"""Choices that a rule for one parameter cannot check: lists, devices, architectures."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stablerank.exceptions import InvalidInputError
from stablerank.nn import Network, build_network
from stablerank.nn.build import NETWORKS

__all__ = [
    "check_checkpoint",
    "check_device",
    "check_hidden",
    "named_network",
    "network_name",
    "wanted_radii",
]


def wanted_radii(radii: str | Sequence[float]) -> list[float] | None:
    """Radii that were asked for; None for "auto".

    Examples
    --------
    >>> wanted_radii((0.0, 1e-3))
    [0.0, 0.001]
    """
    if isinstance(radii, str):
        return None
    values = list(radii)
    if not values or not all(
        isinstance(r, numbers.Real) and 0 <= r < math.inf for r in values
    ):
        raise InvalidInputError(
            f'radii must be "auto" or finite numbers >= 0, at least one; got {radii!r}'
        )
    return [float(r) for r in values]


def check_hidden(hidden: Sequence[int]) -> None:
    """Raise unless the widths of the hidden layers are integers >= 1."""
    for width in hidden:
        whole = isinstance(width, numbers.Integral) and not isinstance(width, bool)
        if not whole or width < 1:
            raise InvalidInputError(
                f"hidden must be a list of integers >= 1, got {hidden!r}"
            )


def check_device(device: str) -> None:
    """Raise unless torch can compute there."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        msg = f"torch cannot use device={device!r} here ({str(error).splitlines()[0]})"
        raise InvalidInputError(msg) from error


def check_checkpoint(checkpoint: Any) -> None:
    """Raise before training where a checkpoint could not be written."""
    if checkpoint is not None and Path(checkpoint).is_dir():
        raise InvalidInputError(f"checkpoint={checkpoint!s} is a folder; name a file")


def network_name(name: str, norm: float) -> str:
    """Architecture in a norm; "auto" is the usual one of it.

    Examples
    --------
    >>> network_name("auto", 2), network_name("cayley", 2)
    ('bro', 'cayley')
    """
    if name == "auto":
        return "maxmin" if math.isinf(norm) else "bro"
    for other, known in NETWORKS.items():
        if other != norm and name in known:
            raise InvalidInputError(
                f"network {name!r} is bounded in l_{other}, and norm={norm}; choose "
                f"from {', '.join(NETWORKS[norm])}, or norm={other}"
            )
    return name


def named_network(
    name: str,
    n_in: int,
    n_out: int,
    hidden: Sequence[int],
    options: Mapping[str, Any] | None,
) -> Network:
    """Build a network; options that it does not take are named."""
    own = dict(options or {})
    try:
        return build_network(name, n_in, n_out, tuple(hidden), **own)
    except TypeError as error:
        msg = f"network {name!r} cannot be built with network_options={own}: {error}"
        raise InvalidInputError(msg) from error
