"""Reading point clouds and matrices of distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from stablerank.exceptions import DistanceMatrixError, EmptyInputError, ShapeError
from stablerank.validation.arrays import Array, as_samples, to_float64

__all__ = ["check_clouds", "check_distance_matrices"]


def check_clouds(X: Any, name: str = "clouds") -> list[Array]:
    """Read point clouds: a list of `(n_i, d)` arrays or one `(n, m, d)` array.

    Parameters
    ----------
    X : list of array-like of shape (n_points, dimension), or ndarray of 3 axes
        Numbers of points may differ, the dimension may not.
    name : str
        How messages call them.

    Returns
    -------
    list of ndarray of shape (n_points, dimension)

    Examples
    --------
    >>> check_clouds([[[0, 0], [1, 0]]])
    [array([[0., 0.],
           [1., 0.]])]
    """
    samples = as_samples(X, name, 2, "a single cloud")
    if not samples:
        raise EmptyInputError(f"{name} has 0 samples; a minimum of 1 is required")
    clouds = []
    for i, sample in enumerate(samples):
        where = f"{name}[{i}]"
        cloud = to_float64(sample, where)
        if cloud.shape == (0,):  # an empty list
            raise EmptyInputError(f"{where} has no points; drop the sample")
        if cloud.ndim != 2:
            hint = " (for a single cloud pass [X])" if cloud.ndim == 1 else ""
            raise ShapeError(
                f"{where} has shape {cloud.shape}; a cloud has shape (points, "
                f"coordinates){hint}"
            )
        if len(cloud) == 0:
            raise EmptyInputError(f"{where} has no points; drop the sample")
        if cloud.shape[1] == 0:
            raise ShapeError(f"{where} has points without coordinates; drop the sample")
        clouds.append(cloud)
        if cloud.shape[1] != clouds[0].shape[1]:
            raise ShapeError(
                f"{where} has points with {cloud.shape[1]} coordinates, {name}[0] has "
                f"{clouds[0].shape[1]}; clouds of one dimension are needed"
            )
    return clouds


def check_distance_matrices(X: Any, name: str = "distances") -> list[Array]:
    """Read square symmetric matrices of dissimilarities with zero diagonal.

    The triangle inequality is not needed: Rips persistence is stable for any
    symmetric matrix [X2].

    Examples
    --------
    >>> len(check_distance_matrices([[[0, 1], [1, 0]]]))
    1
    """
    samples = as_samples(X, name, 2, "a single matrix")
    if not samples:
        raise EmptyInputError(f"{name} has 0 samples; a minimum of 1 is required")
    matrices = []
    for i, sample in enumerate(samples):
        where = f"{name}[{i}]"
        matrix = to_float64(sample, where)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ShapeError(f"{where} has shape {matrix.shape}; it must be square")
        if len(matrix) == 0:
            raise EmptyInputError(f"{where} is empty; drop the sample")
        for bad, what, fix in (
            (matrix < 0, "a negative entry", "distances are >= 0"),
            (
                np.eye(len(matrix), dtype=bool) & (matrix != 0),
                "a nonzero diagonal",
                "set it to 0, or use a weighted filtration",
            ),
            (matrix != matrix.T, "an asymmetric entry", "symmetrise: (D + D.T) / 2"),
        ):
            if bad.any():
                row, column = np.argwhere(bad)[0].tolist()
                raise DistanceMatrixError(
                    f"{where} has {what} in row {row}, column {column} "
                    f"({matrix[row, column]:g}); {fix}"
                )
        matrices.append(matrix)
    return matrices
