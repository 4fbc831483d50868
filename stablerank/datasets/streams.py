"""Seeded streams: every random draw of the data sets has an address.

A draw is addressed by the user's seed and by what it is for (data set, class,
sample).  Two things follow, and everything in this room relies on them:

- *Prefix.*  Sample i of a class does not depend on how many others are asked
  for, so a small data set is the beginning of a large one.
- *Independence.*  The same seed given to two functions, as everybody does, does
  not make the split or the noise a function of the data.
"""

from __future__ import annotations

import zlib

import numpy as np

from stablerank.datasets.arguments import check_count

__all__ = ["generator", "raw_bits", "uniform_bits"]


def _sequence(seed: int, address: tuple[str | int, ...]) -> np.random.SeedSequence:
    check_count("seed", seed, minimum=0)
    # crc32 rather than hash(): the latter is salted anew in every process.
    key = [zlib.crc32(k.encode()) if isinstance(k, str) else k for k in address]
    return np.random.SeedSequence(int(seed), spawn_key=key)


def generator(seed: int, *address: str | int) -> np.random.Generator:
    """Generator for the draws at one address.

    Parameters
    ----------
    seed : int
        The user's seed, at least 0.
    *address : str or int
        What the draws are for, such as ``"shapes", "torus", 17``.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> from stablerank.datasets.streams import generator
    >>> a, b = generator(0, "noise", 3), generator(0, "noise", 3)
    >>> bool(a.random() == b.random())
    True
    """
    return np.random.Generator(np.random.PCG64(_sequence(seed, address)))


def raw_bits(n: int, seed: int, *address: str | int) -> np.ndarray:
    """Draw n words of 64 random bits.

    NumPy guarantees the bits of `PCG64` and `SeedSequence` for ever, but not the
    distributions of `Generator`; what must be the same array in every version is
    drawn from here.

    Parameters
    ----------
    n : int
        How many words.
    seed : int
        The user's seed, at least 0.
    *address : str or int
        What the draws are for.

    Returns
    -------
    numpy.ndarray of uint64, shape (n,)

    Examples
    --------
    >>> from stablerank.datasets.streams import raw_bits
    >>> bool((raw_bits(5, 0, "split")[:3] == raw_bits(3, 0, "split")).all())
    True
    """
    bits = np.random.PCG64(_sequence(seed, address)).random_raw(n)
    return np.asarray(bits, dtype=np.uint64)


def uniform_bits(n: int, seed: int, *address: str | int) -> np.ndarray:
    """Draw n multiples of 2^-53, uniform in [0, 1).

    Parameters
    ----------
    n : int
        How many numbers.
    seed : int
        The user's seed, at least 0.
    *address : str or int
        What the draws are for.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)

    Examples
    --------
    >>> from stablerank.datasets.streams import uniform_bits
    >>> u = uniform_bits(1000, 0, "orbit", 2)
    >>> bool(((u >= 0) & (u < 1)).all())
    True
    """
    return (raw_bits(n, seed, *address) >> np.uint64(11)) * 2.0**-53
