"""What the channels of a batch are: names, degrees, and what the numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from stablerank.exceptions import (
    ChannelError,
    DiagramFormatError,
    IncompatibleDiagramsError,
)

__all__ = ["Channels", "per_channel"]

T = TypeVar("T")


def per_channel(value: Any, n_channels: int, what: str) -> tuple[Any, ...]:
    """Repeat a single value, or check a sequence of one value a channel."""
    if value is None or isinstance(value, str):
        return (value,) * n_channels
    if not isinstance(value, Sequence):
        raise DiagramFormatError(
            f"{what} is a string, or one for each channel; got {value!r}"
        )
    values = tuple(value)
    if len(values) != n_channels:
        raise DiagramFormatError(
            f"{len(values)} values of {what}, {n_channels} channels"
        )
    return values


def _is_degree(k: Any) -> bool:
    """Whether k is an integer >= 0, and no boolean."""
    whole = isinstance(k, (int, np.integer)) and not isinstance(k, bool)
    return whole and int(k) >= 0


@dataclass(frozen=True)
class Channels:
    """Names, homology degrees, conventions and units, one of each a channel."""

    names: tuple[str, ...]
    degrees: tuple[int, ...]
    conventions: tuple[str, ...]
    units: tuple[str | None, ...]

    @classmethod
    def of(
        cls, names: Sequence[str], degrees: Sequence[int], convention: Any, unit: Any
    ) -> Channels:
        """Read what a user gives; `convention` and `unit` may be single values."""
        n = len(names)
        if len(degrees) != n or len(set(names)) != n or not n:
            raise DiagramFormatError(
                f"{len(degrees)} degrees for channels {tuple(names)}; give at least "
                "one channel, one degree per channel and different names"
            )
        if not all(isinstance(name, str) for name in names):
            raise DiagramFormatError(f"channels are names (str), got {tuple(names)}")
        if not all(_is_degree(k) for k in degrees):
            raise DiagramFormatError(f"degrees are integers >= 0, got {tuple(degrees)}")
        return cls(
            tuple(names),
            tuple(int(k) for k in degrees),
            per_channel(convention, n, "convention"),
            per_channel(unit, n, "unit"),
        )

    def __len__(self) -> int:
        return len(self.names)

    def index(self, key: int | str) -> int:
        """Position of a channel name, or of the only channel of a degree."""
        if isinstance(key, str):
            if key not in self.names:
                there = ", ".join(self.names)
                raise ChannelError(f"no channel {key!r}; there are {there}")
            return self.names.index(key)
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            found = [i for i, degree in enumerate(self.degrees) if degree == key]
            if len(found) == 1:
                return found[0]
            names = ", ".join(self.names[i] for i in found) or ", ".join(self.names)
            what = "several channels have" if found else "no channel has"
            raise ChannelError(f"{what} degree {key}; ask by name: {names}")
        raise ChannelError(f"a channel is a name or a degree, got {key!r}")

    def select(self, index: Sequence[int], prefix: str = "") -> Channels:
        """Return some channels, `prefix` removed from their names."""
        names = tuple(self.names[i].removeprefix(prefix) for i in index)
        if len(set(names)) < len(names) or not names:
            raise ChannelError(f"select different channels, at least one: got {names}")
        return Channels(
            names,
            tuple(self.degrees[i] for i in index),
            tuple(self.conventions[i] for i in index),
            tuple(self.units[i] for i in index),
        )

    def shared(self, values: tuple[T, ...]) -> T | dict[str, T]:
        """Return the common value, or a mapping by channel where they differ."""
        if len(set(values)) == 1:
            return values[0]
        return dict(zip(self.names, values, strict=True))

    def check_like(self, other: Channels) -> None:
        """Raise unless `other` is equal, naming the first difference."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if mine != theirs:
                raise IncompatibleDiagramsError(
                    f"{field.name} {theirs} where {mine} is expected; extract with "
                    "the same extractor"
                )
