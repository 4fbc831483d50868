"""Clouds on spaces whose homology is known: sphere, torus, Klein bottle, circles.

======================  =====  =====  =====
class                   b_0    b_1    b_2
======================  =====  =====  =====
sphere                  1      0      1
torus                   1      2      1
Klein bottle            1      2      1
circle                  1      1      0
linked circles          2      2      0
======================  =====  =====  =====

These are the Betti numbers over the field with two elements, where torus and Klein
bottle agree; over every other prime field the Klein bottle has 1, 1, 0.  That holds
for its embedding in four dimensions.  In three dimensions there is only an
immersion, which cuts itself along a circle, and a cloud sees the homology of the
image: a figure eight turned by half a round exchanges its two lobes, which gives
1, 2, 1 over every field.

Every shape fills the unit ball as far as it can, so that size is not the class and
one noise level means the same everywhere.  Points are uniform by *area*: angles
drawn uniformly would crowd the inner side of the torus, and density is something
that persistence sees.  Where the area element J is not constant, angles are drawn
uniformly and kept with probability J / max J.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from stablerank.datasets.arguments import check_choice, check_count, check_real
from stablerank.datasets.streams import generator

__all__ = ["SHAPE_NAMES", "shapes"]

Sampler = Callable[[np.random.Generator, int], np.ndarray]
AreaElement = Callable[[np.ndarray, np.ndarray], np.ndarray]

_TURN = 2.0 * np.pi
_CENTRE = 0.7  # radius of the circle that the tube of the torus follows
_TUBE = 0.3  # radius of the tube; _CENTRE + _TUBE = 1
# The figure eight (sin v, sin 2v) has radius 5/4; followed round a circle of radius
# 2 it reaches 13/4.
_EIGHT_CENTRE, _EIGHT_REACH = 2.0, 3.25


def _angles(
    rng: np.random.Generator, n: int, area: AreaElement, largest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw n pairs of angles with density proportional to `area` <= `largest`."""
    kept = np.empty((0, 2))
    while len(kept) < n:
        u, v, height = rng.random((3, 2 * n))
        u, v = _TURN * u, _TURN * v
        below = height * largest < area(u, v)
        kept = np.concatenate([kept, np.stack([u, v], axis=1)[below]])
    return kept[:n, 0], kept[:n, 1]


def _sphere(rng: np.random.Generator, n: int) -> np.ndarray:
    # Archimedes: height is uniform on a sphere, so no rejection is needed.
    z = 2.0 * rng.random(n) - 1.0
    angle = _TURN * rng.random(n)
    radius = np.sqrt(1.0 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def _torus(rng: np.random.Generator, n: int) -> np.ndarray:
    u, v = _angles(rng, n, lambda _, v: _CENTRE + _TUBE * np.cos(v), _CENTRE + _TUBE)
    radius = _CENTRE + _TUBE * np.cos(v)
    return np.stack([radius * np.cos(u), radius * np.sin(u), _TUBE * np.sin(v)], axis=1)


def _eight_area(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # First fundamental form of `_klein_immersed` before scaling; the profile
    # (p, q) turns by half an angle a round, which adds the quarter and the half.
    p, q = np.sin(v), np.sin(2.0 * v)
    p_v, q_v = np.cos(v), 2.0 * np.cos(2.0 * v)
    radius = _EIGHT_CENTRE + np.cos(u / 2.0) * p - np.sin(u / 2.0) * q
    along = radius**2 + (p**2 + q**2) / 4.0
    across = p_v**2 + q_v**2
    mixed = (p * q_v - q * p_v) / 2.0
    return np.sqrt(along * across - mixed**2)


def _klein_immersed(rng: np.random.Generator, n: int) -> np.ndarray:
    # along <= reach^2 + (5/4)^2 / 4 and across <= 1 + 4.
    largest = np.sqrt((_EIGHT_REACH**2 + 25.0 / 64.0) * 5.0)
    u, v = _angles(rng, n, _eight_area, largest)
    p, q = np.sin(v), np.sin(2.0 * v)
    radius = _EIGHT_CENTRE + np.cos(u / 2.0) * p - np.sin(u / 2.0) * q
    z = np.sin(u / 2.0) * p + np.cos(u / 2.0) * q
    points = np.stack([radius * np.cos(u), radius * np.sin(u), z], axis=1)
    return points / _EIGHT_REACH


def _klein_area(_: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(_CENTRE + _TUBE * np.cos(v), _TUBE * np.sin(v) / 2.0)


def _klein_embedded(rng: np.random.Generator, n: int) -> np.ndarray:
    # A circle that turns by half an angle a round, in the plane (radius, z) plus w.
    largest = np.hypot(_CENTRE + _TUBE, _TUBE / 2.0)
    u, v = _angles(rng, n, _klein_area, largest)
    radius = _CENTRE + _TUBE * np.cos(v)
    height = _TUBE * np.sin(v)
    return np.stack(
        [
            radius * np.cos(u),
            radius * np.sin(u),
            height * np.cos(u / 2.0),
            height * np.sin(u / 2.0),
        ],
        axis=1,
    )


def _circle(rng: np.random.Generator, n: int) -> np.ndarray:
    angle = _TURN * rng.random(n)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)


def _linked_circles(rng: np.random.Generator, n: int) -> np.ndarray:
    # Hopf link: radius 2/3, in the planes xy and xz, each through the other's centre.
    angle = _TURN * rng.random(n)
    second = np.arange(n) % 2 == 1
    along = (2.0 * np.cos(angle) + np.where(second, 1.0, -1.0)) / 3.0
    across = 2.0 * np.sin(angle) / 3.0
    return np.stack(
        [along, np.where(second, 0.0, across), np.where(second, across, 0.0)], axis=1
    )


_SAMPLERS: dict[str, Sampler] = {
    "sphere": _sphere,
    "torus": _torus,
    "Klein bottle": _klein_immersed,
    "circle": _circle,
    "linked circles": _linked_circles,
}

#: The classes of `shapes`, in the order of the labels.
SHAPE_NAMES = tuple(_SAMPLERS)


def shapes(
    n_per_class: int = 100,
    n_points: int = 500,
    noise: float = 0.0,
    outliers: float = 0.0,
    seed: int = 0,
    *,
    dimension: Literal[3, 4] = 3,
) -> tuple[np.ndarray, np.ndarray]:
    """Generate clouds on a sphere, torus, Klein bottle, circle, two linked circles.

    Parameters
    ----------
    n_per_class : int, default=100
        Clouds per class. Those of a smaller number are the first ones of each class
        of a larger number.
    n_points : int, default=500
        Points per cloud, outliers included.
    noise : float, default=0.0
        Standard deviation of Gaussian noise on every coordinate; all shapes reach
        to distance 1 from the origin.
    outliers : float, default=0.0
        Share of the points, in [0, 1], that are uniform in the cube [-1, 1]^dimension
        instead of on the shape: the last ``round(outliers * n_points)`` of each
        cloud.
    seed : int, default=0
        Same seed, same clouds. The points under the noise do not depend on `noise`
        or `outliers`.
    dimension : {3, 4}, default=3
        Ambient dimension. In 3 the Klein bottle is immersed and cuts itself; in 4
        it is embedded and has the homology of a Klein bottle, and the last
        coordinate of the other classes is 0 (before noise).

    Returns
    -------
    clouds : numpy.ndarray of float64, shape (5 * n_per_class, n_points, dimension)
        Points in the unit ball, before noise and outliers, sorted by class.
    y : numpy.ndarray of int64, shape (5 * n_per_class,)
        Labels, positions in `SHAPE_NAMES`.

    Notes
    -----
    Without noise, the Delaunay triangulation of two linked circles has a quadratic
    number of simplices: an alpha complex of 500 such points takes ten times as long
    as with ``noise=0.01``, of 2500 points hundreds of times.

    Examples
    --------
    >>> import numpy as np
    >>> from stablerank.datasets import SHAPE_NAMES, shapes
    >>> clouds, y = shapes(n_per_class=2, n_points=100, seed=0)
    >>> clouds.shape
    (10, 100, 3)
    >>> sphere = clouds[y == SHAPE_NAMES.index("sphere")]
    >>> bool(np.allclose(np.linalg.norm(sphere, axis=-1), 1))
    True
    """
    check_count("n_per_class", n_per_class)
    check_count("n_points", n_points)
    check_real("noise", noise, minimum=0)
    check_real("outliers", outliers, minimum=0, maximum=1)
    check_choice("dimension", dimension, (3, 4))

    samplers = dict(_SAMPLERS)
    if dimension == 4:
        samplers["Klein bottle"] = _klein_embedded
    n_outliers = round(outliers * n_points)
    clouds = np.zeros((len(samplers) * n_per_class, n_points, dimension))
    for i in range(len(clouds)):
        name = SHAPE_NAMES[i // n_per_class]
        address = ("shapes", name, i % n_per_class)
        points = samplers[name](generator(seed, *address), n_points)
        clouds[i, :, : points.shape[1]] = points
        jitter = generator(seed, *address, "noise")
        clouds[i] += noise * jitter.standard_normal((n_points, dimension))
        anywhere = generator(seed, *address, "outliers")
        cube = anywhere.uniform(-1.0, 1.0, (n_outliers, dimension))
        clouds[i, n_points - n_outliers :] = cube
    return clouds, np.repeat(np.arange(len(samplers)), n_per_class)
