"""Signals whose shape, not whose position, is the class.

The phase of every signal is random, so a value at a fixed time says nothing; what
differs is how many peaks there are and how high they stand above their valleys,
which is what sublevel persistence of a 1-d signal reads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stablerank.datasets.arguments import check_count, check_real
from stablerank.datasets.streams import generator

__all__ = ["SIGNAL_NAMES", "signals"]

Waveform = Callable[[np.ndarray, np.ndarray], np.ndarray]

_TURN = 2.0 * np.pi


def _slow_sine(t: np.ndarray, phase: np.ndarray) -> np.ndarray:
    return np.sin(_TURN * (2.0 * t + phase))


def _fast_sine(t: np.ndarray, phase: np.ndarray) -> np.ndarray:
    return np.sin(_TURN * (5.0 * t + phase))


def _chirp(t: np.ndarray, phase: np.ndarray) -> np.ndarray:
    # The frequency grows linearly from 1 to 7; 4 periods in all.
    return np.sin(_TURN * (t + 3.0 * t**2 + phase))


def _damped(t: np.ndarray, phase: np.ndarray) -> np.ndarray:
    return np.exp(-3.0 * t) * np.sin(_TURN * (5.0 * t + phase))


def _pulses(t: np.ndarray, phase: np.ndarray) -> np.ndarray:
    # Three pulses, each high for 30 % of its period.
    return np.where((3.0 * t + phase) % 1.0 < 0.3, 1.0, -1.0)


_WAVEFORMS: dict[str, Waveform] = {
    "slow sine": _slow_sine,
    "fast sine": _fast_sine,
    "chirp": _chirp,
    "damped": _damped,
    "pulses": _pulses,
}

#: The classes of `signals`, in the order of the labels.
SIGNAL_NAMES = tuple(_WAVEFORMS)


def signals(
    n_per_class: int = 100, length: int = 200, seed: int = 0, noise: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Generate noisy 1-d signals of five shapes, at random phases.

    Parameters
    ----------
    n_per_class : int, default=100
        Signals per class. Those of a smaller number are the first ones of each
        class of a larger number.
    length : int, default=200
        Samples per signal, at least 32 (the fastest class has 7 periods per unit
        of time at its end). Sample t stands at time t / length in [0, 1).
    seed : int, default=0
        Same seed, same signals. The phases do not depend on `length` or `noise`.
    noise : float, default=0.05
        Standard deviation of Gaussian noise on every sample; amplitudes are 1.

    Returns
    -------
    signals : numpy.ndarray of float64, shape (5 * n_per_class, length)
        Values, in [-1, 1] before noise, sorted by class.
    y : numpy.ndarray of int64, shape (5 * n_per_class,)
        Labels, positions in `SIGNAL_NAMES`.

    Examples
    --------
    >>> from stablerank.datasets import SIGNAL_NAMES, signals
    >>> X, y = signals(n_per_class=3, length=100, seed=0)
    >>> X.shape
    (15, 100)
    >>> SIGNAL_NAMES[y[-1]]
    'pulses'
    """
    check_count("n_per_class", n_per_class)
    check_count("length", length, minimum=32)
    check_real("noise", noise, minimum=0)

    t = np.arange(length) / length  # (length,)
    classes = []
    for name, waveform in _WAVEFORMS.items():
        phases = generator(seed, "signals", name).random((n_per_class, 1))
        clean = waveform(t, phases)  # (n_per_class, length)
        jitter = generator(seed, "signals", name, "noise")
        classes.append(clean + noise * jitter.standard_normal(clean.shape))
    y = np.repeat(np.arange(len(classes)), n_per_class)
    return np.concatenate(classes), y
