"""Ripser: lean flag complexes, with cocycles, in single precision.

Values become float32 on the way in.  Rounding is monotone, so the bars are those of
the rounded values: within 2**-24 of the largest [F3], and exact for whole numbers up
to 2**24.  A power of two is taken out before, so that nothing leaves the range of
float32.  What the engine cannot represent aborts the process or never ends (version
0.6.15), so it is refused here first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import EngineError

__all__ = [
    "COEFFICIENT_LIMIT",
    "EXACT_INTEGERS",
    "ROUNDING",
    "rips_bars",
    "rips_cocycles",
]

Array = NDArray[np.float64]

#: Coefficients are held in eight bits, one of them for the sign.
COEFFICIENT_LIMIT = 127
#: Relative error of values inside the engine, and integers that it holds exactly.
ROUNDING, EXACT_INTEGERS = 2.0**-24, 2**24
_LARGEST_INDEX = 2**55 - 1


def rips_bars(
    values: Array,  # (n, n) symmetric with zero diagonal
    max_degree: int,
    limit: float,
    coefficient: int,
) -> list[Array]:
    """Bars of the flag complex of all edges up to `limit`, one (m, 2) a degree.

    A bar that is alive at the end has death inf.
    """
    return rips_cocycles(values, max_degree, limit, coefficient, wanted=False)[0]


def rips_cocycles(
    values: Array,
    max_degree: int,
    limit: float,
    coefficient: int,
    *,
    wanted: bool = True,
) -> tuple[list[Array], list[list[NDArray[np.int64]]]]:
    """Bars, and for each bar of degree k >= 1 a cocycle of shape (cells, k + 2).

    A row holds the k + 1 vertices of a simplex and the value on it.
    """
    from ripser import ripser

    n = len(values)
    if math.comb(n, min(max_degree + 2, n // 2)) > _LARGEST_INDEX:
        raise EngineError(
            f"ripser cannot number the simplices of degree {max_degree} on {n} points; "
            'use engine="gudhi", n_landmarks or a lower homology dimension'
        )
    largest = float(values.max())
    exponent = math.frexp(largest)[1]
    result = ripser(
        np.ldexp(values, -exponent),
        maxdim=max_degree,
        thresh=math.inf if limit >= largest else math.ldexp(limit, -exponent),
        coeff=coefficient,
        distance_matrix=True,
        do_cocycles=wanted,
    )
    return [np.ldexp(bars, exponent) for bars in result["dgms"]], result["cocycles"]
