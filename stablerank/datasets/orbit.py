"""ORBIT: tell from the points of an orbit which parameter drives the system.

An orbit is a cloud of points of the unit square, made by iterating::

    x' = x + r y (1 - y)    mod 1
    y' = y + r x' (1 - x')  mod 1

from a random start.  The class is r; the order of the points is not used.  The
name ORBIT5K covers several different data sets in the literature: the second line
with the old x, the start among the points, the same starts in every class, clouds
rescaled.  Accuracies are comparable only within one convention, so the convention
is made of arguments here, and the default is the one of the system above: updated
x, start not stored, independent starts, raw coordinates.

The map is chaotic: one ulp grows to the size of the square in some tens of steps, so
two programs give the same orbit only if they round in the same places.
So the order of operations is fixed, the one of the plain Python line
``(x + r * y * (1 - y)) % 1``, and each operation is its own correctly rounded
float64 call (+, -, *, floor; no library function, nothing for a compiler to fuse).
Vectors run across orbits, never along one: SIMD width, threads and block size
cannot change a bit.  Starts come from raw generator bits, which NumPy guarantees
between versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from stablerank.datasets.arguments import check_choice, check_count, check_real
from stablerank.datasets.streams import raw_bits, uniform_bits
from stablerank.exceptions import InvalidInputError, NonFiniteError, ShapeError

__all__ = ["ORBIT_PARAMETERS", "orbit5k", "orbit100k", "orbit_split"]

#: The parameters r of the five classes, in the order of the labels 0 to 4.
ORBIT_PARAMETERS = (2.5, 3.5, 4.0, 4.1, 4.3)

# Orbits iterated side by side: wide enough to hide the interpreter, small enough
# for one block of trajectories (16 MB at 1000 points) to stay near the cache.
_BLOCK = 1024


def _trajectories(
    starts: np.ndarray,  # (n_orbits, 2)
    r: float,
    n_points: int,
    *,
    simultaneous: bool,
    keep_start: bool,
) -> np.ndarray:
    x, y = starts[:, 0], starts[:, 1]
    points = np.empty((n_points, 2, len(starts)))
    if keep_start:
        points[0] = x, y
    for step in range(int(keep_start), n_points):
        # Left to right as written, and z - floor(z) is exact for z >= 0.
        x_new = x + r * y * (1.0 - y)
        x_new -= np.floor(x_new)
        driver = x if simultaneous else x_new
        y = y + r * driver * (1.0 - driver)
        y -= np.floor(y)
        x = x_new
        points[step] = x, y
    return points.transpose(2, 0, 1)  # (n_orbits, n_points, 2)


def _scale_to_unit_box(clouds: np.ndarray) -> np.ndarray:
    low = clouds.min(axis=1, keepdims=True)
    extent = clouds.max(axis=1, keepdims=True) - low
    if not extent.all():
        raise InvalidInputError(
            "scaling='minmax' needs at least two distinct values per axis, but an "
            "orbit has zero extent; use scaling=None or a larger n_points"
        )
    return (clouds - low) / extent


def orbit5k(
    seed: int = 0,
    n_per_class: int = 1000,
    *,
    n_points: int = 1000,
    rs: Sequence[float] = ORBIT_PARAMETERS,
    update: Literal["sequential", "simultaneous"] = "sequential",
    keep_start: bool = False,
    shared_starts: bool = False,
    scaling: Literal["minmax"] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Generate ORBIT5K: orbits of a map of the torus, labelled by its parameter.

    Parameters
    ----------
    seed : int, default=0
        Same seed, same array, bit for bit, on every machine.
    n_per_class : int, default=1000
        Orbits per parameter. The orbits of a smaller number are the first ones of
        each class of a larger number.
    n_points : int, default=1000
        Points per orbit.
    rs : sequence of float, default=(2.5, 3.5, 4.0, 4.1, 4.3)
        Parameters of the map, all >= 0; class c has the parameter ``rs[c]``.
    update : {"sequential", "simultaneous"}, default="sequential"
        Whether the second line uses the updated x, or the old one (giotto-deep
        calls the latter ``pp_convention``).
    keep_start : bool, default=False
        Whether the random start is the first of the points (as in giotto-deep).
    shared_starts : bool, default=False
        Whether orbit i has the same start in every class. A trap: a random split
        then puts orbits of one start on both sides.
    scaling : {None, "minmax"}, default=None
        ``"minmax"`` maps the bounding box of every cloud to the unit square. A
        trap: the map depends on the cloud, so a displacement of size eps of the
        scaled cloud is not one of size eps of the orbit, and a radius certified
        after scaling says nothing about the cloud before.

    Returns
    -------
    clouds : numpy.ndarray of float64, shape (len(rs) * n_per_class, n_points, 2)
        Points of the unit square [0, 1)^2 ([0, 1]^2 after scaling), sorted by class.
    y : numpy.ndarray of int64, shape (len(rs) * n_per_class,)
        Labels, the position of the parameter in `rs`.

    See Also
    --------
    orbit100k : The same with 20 000 orbits per class.
    orbit_split : The 70/30 split that goes with it.

    Notes
    -----
    Samples are sorted by class: shuffle, or split with `orbit_split`.

    Examples
    --------
    >>> from stablerank.datasets import orbit5k
    >>> clouds, y = orbit5k(seed=0, n_per_class=20)
    >>> clouds.shape, y.shape
    ((100, 1000, 2), (100,))
    >>> y[::20].tolist()
    [0, 1, 2, 3, 4]
    """
    check_count("n_per_class", n_per_class)
    check_count("n_points", n_points)
    check_choice("update", update, ("sequential", "simultaneous"))
    check_choice("scaling", scaling, (None, "minmax"))
    if len(rs) == 0:
        raise InvalidInputError("rs is empty; give at least one parameter")
    for c, r in enumerate(rs):
        check_real(f"rs[{c}]", r, minimum=0)

    clouds = np.empty((len(rs) * n_per_class, n_points, 2))
    for c, r in enumerate(rs):
        bits = uniform_bits(2 * n_per_class, seed, "orbit", 0 if shared_starts else c)
        starts = bits.reshape(n_per_class, 2)
        for first in range(0, n_per_class, _BLOCK):
            block = _trajectories(
                starts[first : first + _BLOCK],
                float(r),
                n_points,
                simultaneous=update == "simultaneous",
                keep_start=keep_start,
            )
            if scaling == "minmax":
                block = _scale_to_unit_box(block)
            row = c * n_per_class + first
            clouds[row : row + len(block)] = block
    return clouds, np.repeat(np.arange(len(rs)), n_per_class)


def orbit100k(
    seed: int = 0,
    n_per_class: int = 20_000,
    *,
    n_points: int = 1000,
    rs: Sequence[float] = ORBIT_PARAMETERS,
    update: Literal["sequential", "simultaneous"] = "sequential",
    keep_start: bool = False,
    shared_starts: bool = False,
    scaling: Literal["minmax"] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Generate ORBIT100K: `orbit5k` with 20 000 orbits per class.

    Parameters
    ----------
    seed : int, default=0
        See `orbit5k`. With the same seed, ORBIT5K is the first 1000 orbits of each
        class: use another seed if one is to test a model trained on the other.
    n_per_class : int, default=20000
        Orbits per parameter. The full array takes 1.6 GB.
    n_points, rs, update, keep_start, shared_starts, scaling
        See `orbit5k`.

    Returns
    -------
    clouds : numpy.ndarray of float64, shape (len(rs) * n_per_class, n_points, 2)
        Points of the unit square, sorted by class.
    y : numpy.ndarray of int64, shape (len(rs) * n_per_class,)
        Labels, the position of the parameter in `rs`.

    Examples
    --------
    >>> from stablerank.datasets import orbit5k, orbit100k
    >>> large, _ = orbit100k(seed=0, n_per_class=30, n_points=50)
    >>> small, _ = orbit5k(seed=0, n_per_class=10, n_points=50)
    >>> bool((large[:10] == small[:10]).all())
    True
    """
    return orbit5k(
        seed,
        n_per_class,
        n_points=n_points,
        rs=rs,
        update=update,
        keep_start=keep_start,
        shared_starts=shared_starts,
        scaling=scaling,
    )


def orbit_split(
    y: ArrayLike, seed: int, test_size: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Split samples 70/30 at random, with the same share of every class.

    Parameters
    ----------
    y : array-like of int or str, shape (n,)
        Labels.
    seed : int
        Same labels and seed, same split, in every version of NumPy. Splits of
        different seeds are the repetitions that ORBIT results are averaged over.
    test_size : float, default=0.3
        Share of every class that goes to the test side, in (0, 1); rounded to a
        whole number of samples, at least one on each side.

    Returns
    -------
    train, test : numpy.ndarray of int64
        Positions in `y`, increasing; together, every position once.

    Examples
    --------
    >>> import numpy as np
    >>> from stablerank.datasets import orbit_split
    >>> y = np.repeat([0, 1, 2, 3, 4], 10)
    >>> train, test = orbit_split(y, seed=0)
    >>> len(train), len(test)
    (35, 15)
    >>> np.bincount(y[test]).tolist()
    [3, 3, 3, 3, 3]
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) == 0:
        raise ShapeError(
            f"y must be a non-empty 1-d array of labels, got shape {labels.shape}"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        where = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise NonFiniteError(f"y[{where}] is {labels[where]}; drop the sample")
    check_real("test_size", test_size, minimum=0, maximum=1)
    if test_size in (0, 1):
        raise InvalidInputError(
            f"test_size must be strictly between 0 and 1, got {test_size!r}"
        )

    tests = []
    for c, label in enumerate(np.unique(labels)):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise InvalidInputError(
                f"class {label!r} has one sample; a stratified split needs two"
            )
        n_test = min(max(round(test_size * len(members)), 1), len(members) - 1)
        # Sorting random keys is a shuffle that depends on guaranteed bits alone.
        order = np.argsort(raw_bits(len(members), seed, "split", c), kind="stable")
        tests.append(members[order[:n_test]])
    test = np.sort(np.concatenate(tests))
    return np.setdiff1d(np.arange(len(labels)), test, assume_unique=True), test
