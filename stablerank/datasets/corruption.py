"""Corruptions of point clouds, each with one level that is 0 for no change.

Robustness is measured by accuracy against level, so the curves should be smooth in
it: for one seed, all levels share their random draws.  A larger level moves the
same points further, or corrupts the same points and some more.

In the units of the threats: a ``"gaussian"`` level is the typical displacement of
each coordinate, with no bound on the largest; a ``"rotation"`` is no change to
anything built on distances alone; ``"stretch"`` and ``"shear"`` change every distance
by a share of at most level, a strain.  ``"replacement"``, ``"outliers"`` and
``"dropout"`` move, add or remove points anywhere: no small displacement covers them,
and that is why they are here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from stablerank.datasets.arguments import check_choice, check_real
from stablerank.datasets.streams import generator
from stablerank.exceptions import ShapeError
from stablerank.validation import check_clouds

__all__ = ["CORRUPTIONS", "corrupt"]

Box = tuple[np.ndarray, np.ndarray]  # lower and upper corner
Corruption = Callable[[np.ndarray, float, np.random.Generator, Box], np.ndarray]


def _uniform(rng: np.random.Generator, n: int, box: Box) -> np.ndarray:
    low, high = box
    return low + (high - low) * rng.random((n, len(low)))


def _gaussian(
    cloud: np.ndarray, level: float, rng: np.random.Generator, box: Box
) -> np.ndarray:
    return cloud + level * rng.standard_normal(cloud.shape)


def _replacement(
    cloud: np.ndarray, level: float, rng: np.random.Generator, box: Box
) -> np.ndarray:
    replaced = rng.random(len(cloud)) < level
    return np.where(replaced[:, None], _uniform(rng, len(cloud), box), cloud)


def _outliers(
    cloud: np.ndarray, level: float, rng: np.random.Generator, box: Box
) -> np.ndarray:
    return np.concatenate([cloud, _uniform(rng, round(level * len(cloud)), box)])


def _dropout(
    cloud: np.ndarray, level: float, rng: np.random.Generator, box: Box
) -> np.ndarray:
    n_kept = max(len(cloud) - round(level * len(cloud)), 1)
    kept = np.argsort(rng.random(len(cloud)), kind="stable")[:n_kept]
    return cloud[np.sort(kept)]


def _about_centroid(cloud: np.ndarray, change: np.ndarray) -> np.ndarray:
    # A linear map A written as x + (A - 1)(x - c): at level 0 exactly the identity.
    return cloud + (cloud - cloud.mean(axis=0)) @ change.T


def _directions(rng: np.random.Generator, dimension: int, n: int) -> np.ndarray:
    """Draw n orthonormal vectors, uniform: (n, dimension)."""
    q, r = np.linalg.qr(rng.standard_normal((dimension, n)))
    # LAPACK fixes the sign of a coordinate of q; with that of r undone it is free.
    return (q * np.sign(np.diag(r))).T


def _rotation(
    cloud: np.ndarray, level: float, rng: np.random.Generator, box: Box
) -> np.ndarray:
    if cloud.shape[1] == 2:
        turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    else:
        x, y, z = _directions(rng, 3, 1)[0]
        turn = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # Rodrigues; 1 - cos by half angles, which small angles need.
    one_minus_cos = 2.0 * math.sin(level / 2.0) ** 2
    return _about_centroid(cloud, math.sin(level) * turn + one_minus_cos * turn @ turn)


def _stretch(
    cloud: np.ndarray, level: float, rng: np.random.Generator, box: Box
) -> np.ndarray:
    (u,) = _directions(rng, cloud.shape[1], 1)
    return _about_centroid(cloud, level * np.outer(u, u))


def _shear(
    cloud: np.ndarray, level: float, rng: np.random.Generator, box: Box
) -> np.ndarray:
    u, v = _directions(rng, cloud.shape[1], 2)
    return _about_centroid(cloud, level * np.outer(u, v))


@dataclass(frozen=True)
class _Kind:
    apply: Corruption
    lowest: float = 0.0  # level
    highest: float = math.inf
    dimensions: tuple[float, float] = (1, math.inf)


_KINDS = {
    "gaussian": _Kind(_gaussian),
    "replacement": _Kind(_replacement, highest=1.0),
    "outliers": _Kind(_outliers),
    "dropout": _Kind(_dropout, highest=1.0),
    "rotation": _Kind(_rotation, lowest=-math.inf, dimensions=(2, 3)),
    "stretch": _Kind(_stretch),
    "shear": _Kind(_shear, dimensions=(2, math.inf)),
}

#: The kinds that `corrupt` knows.
CORRUPTIONS = tuple(_KINDS)


@overload
def corrupt(
    clouds: np.ndarray,
    kind: str,
    level: float,
    seed: int = ...,
    *,
    box: Literal["cloud", "unit"] = ...,
) -> np.ndarray: ...
@overload
def corrupt(
    clouds: Sequence[ArrayLike],
    kind: str,
    level: float,
    seed: int = ...,
    *,
    box: Literal["cloud", "unit"] = ...,
) -> list[np.ndarray]: ...
def corrupt(
    clouds: np.ndarray | Sequence[ArrayLike],
    kind: str,
    level: float,
    seed: int = 0,
    *,
    box: Literal["cloud", "unit"] = "cloud",
) -> np.ndarray | list[np.ndarray]:
    """Corrupt every cloud in one way, by one level; the input stays as it is.

    Parameters
    ----------
    clouds : array of shape (n, m, d), or sequence of n arrays (n_i, d)
        Point clouds of one dimension d.
    kind : str
        One of `CORRUPTIONS`:

        ``"gaussian"``
            adds to every coordinate Gaussian noise of standard deviation `level`.
        ``"replacement"``
            replaces every point, with probability `level`, by a uniform one in the
            box (the protocol of PLLay; whole points, not single coordinates).
        ``"outliers"``
            adds ``round(level * n_i)`` uniform points in the box, at the end.
        ``"dropout"``
            removes ``round(level * n_i)`` points, but keeps at least one.
        ``"rotation"``
            rotates by `level` radians: counter-clockwise in the plane, about a
            random axis in space.
        ``"stretch"``
            stretches by the factor ``1 + level`` along a random direction.
        ``"shear"``
            moves every point along a random direction by `level` times its
            coordinate in a random perpendicular direction.

        The last three leave the centroid of the cloud where it is.
    level : float
        How much. 0 changes nothing. At least 0, except for the angle; at most 1
        for ``"replacement"`` and ``"dropout"``.
    seed : int, default=0
        Cloud i is corrupted in a way that depends on the seed, the kind and i, not
        on the other clouds; and levels share their draws.
    box : {"cloud", "unit"}, default="cloud"
        Where new points fall, for ``"replacement"`` and ``"outliers"``: the
        bounding box of the cloud, or the unit cube. On ORBIT clouds PLLay's protocol
        is ``"unit"``; the two differ, as some orbits never leave a small island.

    Returns
    -------
    array of float64, shape (n, m', d), or list of n arrays
        An array if `clouds` is one, else a list.

    Raises
    ------
    InvalidInputError
        For an unknown kind, a level out of range, clouds that are not finite arrays
        of one dimension, or a dimension that the kind does not have.

    Examples
    --------
    >>> from stablerank.datasets import corrupt, orbit5k
    >>> clouds, y = orbit5k(n_per_class=2)
    >>> noisy = corrupt(clouds, "replacement", 0.1, seed=0)
    >>> noisy.shape
    (10, 1000, 2)
    >>> moved = (noisy != clouds).any(axis=-1)
    >>> bool(0.08 < moved.mean() < 0.12)
    True
    """
    check_choice("kind", kind, CORRUPTIONS)
    check_choice("box", box, ("cloud", "unit"))
    rule = _KINDS[kind]
    check_real("level", level, minimum=rule.lowest, maximum=rule.highest)
    checked = check_clouds(clouds)
    dimension = checked[0].shape[1]
    if not rule.dimensions[0] <= dimension <= rule.dimensions[1]:
        raise ShapeError(
            f"clouds have {dimension} coordinates, but kind={kind!r} needs from "
            f"{rule.dimensions[0]} to {rule.dimensions[1]}; use another kind"
        )

    corrupted = []
    for i, cloud in enumerate(checked):
        if box == "unit":
            corners = np.zeros(dimension), np.ones(dimension)
        else:
            corners = cloud.min(axis=0), cloud.max(axis=0)
        rng = generator(seed, "corrupt", kind, i)
        corrupted.append(rule.apply(cloud, float(level), rng, corners))
    return np.stack(corrupted) if getattr(clouds, "ndim", 1) == 3 else corrupted
