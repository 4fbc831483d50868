"""Reading diagrams that a user passes: one array of bars a channel and sample."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.diagrams.packing import Bars, Ragged
from stablerank.exceptions import DataTypeError, DiagramFormatError
from stablerank.rounding import fits_float64

__all__ = ["check_bars", "check_buffers", "read_samples"]


def read_samples(
    samples: Sequence[Any],
    channels: Sequence[str] | None,
    degrees: Sequence[int] | None,
) -> dict[str, Any]:
    """Arguments of `Diagrams` for one list (or mapping) of arrays a sample."""
    names = _names_of(samples, channels)
    if not names:
        raise DiagramFormatError("diagrams[0] is empty; give at least one channel")
    if degrees is None:
        first = samples[0] if samples else None
        degrees = getattr(first, "degrees", None)  # a Diagram knows its own
    if degrees is None:
        degrees = [_degree_of(str(name), i) for i, name in enumerate(names)]
    bars, births = _split_samples(samples, names)
    finite = Ragged.of(bars, len(names), (2,))
    essential = Ragged.of(births, len(names), ())
    return {
        "bars": finite.values,
        "offsets": finite.offsets,
        "channels": names,
        "degrees": degrees,
        "essential": essential.values,
        "essential_offsets": essential.offsets,
    }


def _names_of(samples: Sequence[Any], channels: Sequence[str] | None) -> list[str]:
    """Names of the channels that a list of samples has."""
    if channels is not None:
        return list(channels)
    if not samples:
        raise DiagramFormatError("an empty list has no channels; give channels=[...]")
    first = samples[0]
    if isinstance(first, Mapping):
        return [key if isinstance(key, str) else f"H{key}" for key in first]
    if hasattr(first, "channels"):
        return list(first.channels)
    if not hasattr(first, "__len__"):
        raise DiagramFormatError(
            f"diagrams[0] is {first!r}; a sample is a list with one (m, 2) array per "
            "homology degree"
        )
    if isinstance(first, np.ndarray) and first.dtype != object and first.ndim != 3:
        raise DiagramFormatError(
            f"diagrams[0] is one array of shape {first.shape}; a sample is a list with "
            "one (m, 2) array per homology degree: [array]"
        )
    return [f"H{k}" for k in range(len(first))]


def _degree_of(name: str, position: int) -> int:
    """Homology degree that a name ends in ("alpha/H1" is 1), else the position."""
    found = re.search(r"H(\d+)$", name)
    return int(found.group(1)) if found else position


def _channels_of(sample: Any, names: Sequence[str], i: int) -> Iterator[Any]:
    """Bars of one sample in the order of `names`."""
    if hasattr(sample, "channels"):  # a Diagram knows its names
        sample = dict(zip(sample.channels, sample, strict=True))
    if isinstance(sample, Mapping):
        keyed = {k if isinstance(k, str) else f"H{k}": v for k, v in sample.items()}
        if set(keyed) != set(names):
            raise DiagramFormatError(
                f"diagrams[{i}] has channels {list(keyed)}, expected {list(names)}"
            )
        return (keyed[name] for name in names)
    size = len(sample) if hasattr(sample, "__len__") else 0
    if size != len(names):
        raise DiagramFormatError(
            f"diagrams[{i}] has {size} arrays, expected one for each of "
            f"{', '.join(names)}"
        )
    return iter(sample)


def check_bars(array: ArrayLike, where: str) -> Bars:
    """Bars as float64 of shape (m, 2), or an error that names the row."""
    try:
        raw = np.asarray(array)
    except ValueError as error:  # rows of different lengths
        msg = f"{where} is ragged; a bar is a pair (birth, death)"
        raise DiagramFormatError(msg) from error
    if raw.size == 0:  # in whatever shape an engine leaves it: (0,), (1, 0), (0, 3)
        return np.empty((0, 2))
    if raw.dtype.kind not in "iuf":
        raise DataTypeError(f"{where} holds {raw.dtype} values; give real numbers")
    if not fits_float64(raw):
        raise DataTypeError(
            f"{where} holds {raw.dtype} numbers that float64 does not have; round them"
        )
    if raw.ndim != 2 or raw.shape[1] != 2:
        raise DiagramFormatError(
            f"{where} has shape {raw.shape}; bars have shape (m, 2): birth, death "
            "(drop other columns; split by degree)"
        )
    bars = raw.astype(np.float64)
    _refuse_impossible(bars, where)
    return bars


def _refuse_impossible(bars: Bars, where: str) -> None:
    """Raise unless every row is a bar; a death may be inf."""
    births, deaths = bars[:, 0], bars[:, 1]
    if (np.isfinite(births) & (births <= deaths)).all():
        return
    for bad, what, fix in (
        (np.isnan(bars).any(axis=1), "NaN", "drop the row"),
        (
            np.isinf(births),
            "an infinite birth",
            "clip it to the start of the filtration",
        ),
        (deaths == -np.inf, "death -inf", "swap or drop the row"),
        (deaths < births, "death < birth", "swap the columns or negate the filtration"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise DiagramFormatError(
                f"{where}, row {row}: {what} ({births[row]:g}, {deaths[row]:g}); {fix}"
            )


def _split_samples(
    samples: Sequence[Any], names: Sequence[str]
) -> tuple[list[Bars], list[NDArray[np.float64]]]:
    """Finite bars, and births of essential ones, of every channel of every sample."""
    finite, births = [], []
    for i, sample in enumerate(samples):
        for name, array in zip(names, _channels_of(sample, names, i), strict=True):
            bars = check_bars(array, f"diagrams[{i}], channel {name}")
            alive = np.isinf(bars[:, 1])
            finite.append(bars[~alive] if alive.any() else bars)
            births.append(bars[alive, 0])
    return finite, births


def check_buffers(
    finite: Ragged,
    essential: Ragged,
    error: NDArray[np.float64],
    critical: NDArray[np.int64] | None,
) -> None:
    """Raise unless the buffers hold bars and the offsets point into them."""
    bars, births = finite.values, essential.values
    if bars.ndim != 2 or bars.shape[1] != 2 or births.ndim != 1:
        raise DiagramFormatError(
            "bars have shape (n_bars, 2) and essential births (n_essential,); got "
            f"{bars.shape} and {births.shape}"
        )
    _refuse_impossible(bars, "bars")
    if not np.isfinite(bars).all() or not np.isfinite(births).all():
        raise DiagramFormatError(
            "bars and births must be finite; give a bar that never dies as an "
            "essential birth"
        )
    shape = (error.shape[0], error.shape[1] + 1)
    finite.check(shape, "offsets")
    essential.check(shape, "essential_offsets")
    if not (error >= 0).all():
        raise DiagramFormatError("error must be >= 0 and not NaN")
    if critical is not None and (
        critical.ndim != 3 or critical.shape[:2] != bars.shape
    ):
        raise DiagramFormatError(
            f"critical has shape {critical.shape}; with {len(bars)} bars it must be "
            f"({len(bars)}, 2, width)"
        )
