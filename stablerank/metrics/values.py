"""Threats to arrays of values: distance matrices, images, signals, features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stablerank.exceptions import InvalidInputError
from stablerank.metrics.base import (
    Array,
    Threat,
    check_order,
    check_radius,
    clip,
    largest_entry,
    norm_name,
    norm_up,
    pair,
)

__all__ = ["FeatureBall", "MatrixSup", "PixelBudget", "PixelSup"]


@dataclass(frozen=True)
class MatrixSup(Threat):
    """Largest change of an entry of a distance matrix.

    Examples
    --------
    >>> MatrixSup().distance_up([[0, 1], [1, 0]], [[0, 1.5], [1.5, 0]])
    0.5
    """

    def __str__(self) -> str:
        return "sup norm of the distance matrix"

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Smallest float at least max |x - x_new|."""
        return largest_entry(*pair(x, x_new))

    def project(self, x: ArrayLike, x_new: ArrayLike, radius: float) -> Array:
        """Clip every entry to within the radius of its old value."""
        check_radius(radius)
        return clip(*pair(x, x_new), radius)


@dataclass(frozen=True)
class PixelSup(Threat):
    """Largest change of a pixel, a sample of a signal or a vertex value.

    Examples
    --------
    >>> PixelSup().distance_up([0.0, 1.0], [0.25, 1.0])
    0.25
    """

    def __str__(self) -> str:
        return "sup norm of the values"

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Smallest float at least max |x - x_new|."""
        return largest_entry(*pair(x, x_new))

    def project(self, x: ArrayLike, x_new: ArrayLike, radius: float) -> Array:
        """Clip every entry to within the radius of its old value."""
        check_radius(radius)
        return clip(*pair(x, x_new), radius)


@dataclass(frozen=True)
class PixelBudget(Threat):
    """l_p norm of the change of all pixels together (p = 2 by default).

    Examples
    --------
    >>> PixelBudget().distance_up([0.0, 0.0], [3.0, 4.0])
    5.0
    """

    p: float = 2

    def __post_init__(self) -> None:
        check_order(self.p)

    def __str__(self) -> str:
        return f"{norm_name(self.p)} norm of the values"

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Upper bound of the l_p norm of x - x_new; exact for p = 1, 2, inf."""
        a, b = pair(x, x_new)
        return norm_up(a.ravel(), b.ravel(), self.p)

    def project(self, x: ArrayLike, x_new: ArrayLike, radius: float) -> Array:
        """Clip every entry (sup norm), or scale the whole move."""
        if math.isinf(self.p):
            check_radius(radius)
            return clip(*pair(x, x_new), radius)
        return np.asarray(super().project(x, x_new, radius))


@dataclass(frozen=True)
class FeatureBall(Threat):
    """The feature vector moves by at most r in l_2 or l_inf.

    Examples
    --------
    >>> FeatureBall(2).distance_up([0.0, 0.0], [3.0, 4.0])
    5.0
    """

    norm: float = math.inf

    def __post_init__(self) -> None:
        if self.norm not in (2, math.inf):
            raise InvalidInputError(f"norm must be 2 or math.inf, got {self.norm!r}")

    def __str__(self) -> str:
        return f"{norm_name(self.norm)} distance of features"

    def distance_up(self, x: ArrayLike, x_new: ArrayLike) -> float:
        """Smallest float at least the norm of x - x_new."""
        a, b = pair(x, x_new)
        return norm_up(a.ravel(), b.ravel(), self.norm)

    def project(self, x: ArrayLike, x_new: ArrayLike, radius: float) -> Array:
        """Clip every entry (sup norm), or scale the whole move."""
        if math.isinf(self.norm):
            check_radius(radius)
            return clip(*pair(x, x_new), radius)
        return np.asarray(super().project(x, x_new, radius))
