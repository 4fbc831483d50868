"""Distance matrices that are refused, and odd ones that are fine."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

from stablerank import DTMRipsPersistence, MatrixSup, RipsPersistence
from stablerank.exceptions import (
    DataTypeError,
    DistanceMatrixError,
    EmptyInputError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.extract import Extractor
from stablerank.extract.geometry import distance_matrix
from tests.malformed.refusals import Row, assert_refused, table

MAKERS: dict[str, Callable[[], Extractor]] = {
    "rips": lambda: RipsPersistence(metric="precomputed"),
    "ripser": lambda: RipsPersistence(metric="precomputed", engine="ripser"),
    "dtm-rips": lambda: DTMRipsPersistence(metric="precomputed", n_neighbors=1),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.25]])
MATRIX = distance_matrix(POINTS)


def changed(row: int, column: int, value: float, mirrored: bool = True) -> np.ndarray:
    matrix = MATRIX.copy()
    matrix[row, column] = value
    if mirrored:
        matrix[column, row] = value
    return matrix


REFUSED = table(
    Row(
        "asymmetric",
        [MATRIX, changed(0, 2, 9.0, mirrored=False)],
        DistanceMatrixError,
        ("[1]", "asymmetric", "row 0, column 2", "(D + D.T) / 2"),
    ),
    Row(
        "asymmetric by one bit",
        [changed(1, 3, np.nextafter(MATRIX[1, 3], 9.0), mirrored=False)],
        DistanceMatrixError,
        ("asymmetric", "row 1, column 3"),
    ),
    Row(
        "negative",
        [changed(0, 1, -1.0)],
        DistanceMatrixError,
        ("negative", "row 0, column 1", "-1"),
    ),
    Row(
        "nonzero diagonal",
        [changed(2, 2, 0.5)],
        DistanceMatrixError,
        ("nonzero diagonal", "row 2, column 2", "weighted filtration"),
    ),
    Row("not square", [MATRIX[:3]], ShapeError, ("(3, 4)", "square")),
    Row("condensed", [[1.0, 2.0, 3.0]], ShapeError, ("(3,)", "square")),
    Row("single matrix", MATRIX, ShapeError, ("(4, 4)", "single matrix", "[X]")),
    Row("three axes", [MATRIX[None]], ShapeError, ("(1, 4, 4)", "square")),
    Row("nan", [changed(0, 1, math.nan)], NonFiniteError, ("NaN", "row 0", "drop")),
    Row("inf", [changed(2, 3, math.inf)], NonFiniteError, ("inf", "row 2")),
    Row("overflow", [changed(0, 1, 2e150)], NumericRangeError, ("overflow", "row 0")),
    Row("complex", [MATRIX + 0j], DataTypeError, ("Complex data",)),
    Row("bool", [MATRIX > 1], DataTypeError, ("bool",)),
    Row("strings", [MATRIX.astype(str)], DataTypeError, ("<U32", "real numbers")),
    Row("sparse", [scipy.sparse.csr_matrix(MATRIX)], DataTypeError, (".toarray()",)),
    Row("no samples", [], EmptyInputError, ("0 samples",)),
    Row("empty", [np.empty((0, 0))], EmptyInputError, ("[0]", "drop the sample")),
    Row("nothing", None, DataTypeError, ("NoneType", "list of arrays")),
    Row("dictionary", {"D": MATRIX}, DataTypeError, ("dict", "list of arrays")),
)


@REFUSED
def test_a_malformed_matrix_is_refused_and_nothing_changes(
    row: Row, tmp_path: Path
) -> None:
    for name, make in MAKERS.items():
        assert_refused(make, [MATRIX], row, tmp_path / name)


@every_maker
def test_without_the_triangle_inequality_theorems_hold_all_the_same(
    make: Callable[[], Extractor],
) -> None:
    far = changed(0, 1, 50.0)
    assert far[0, 1] > far[0, 2] + far[2, 1]
    extractor = make().fit([far])
    (bound,) = extractor.bounds(MatrixSup(), extractor.transform([far]))["H1"]
    assert bound.constant == 1.0
    assert bound.ledger in ("X2", "X8")


FINE: dict[str, Callable[[], Any]] = {
    "sizes differ": lambda: [MATRIX, MATRIX[:2, :2]],
    "lists": lambda: [MATRIX.tolist(), MATRIX[:2, :2].tolist()],
    "fortran order": lambda: [np.asfortranarray(MATRIX), MATRIX[:2, :2]],
    "tensors": lambda: [
        torch.tensor(MATRIX, requires_grad=True),
        torch.tensor(MATRIX[:2, :2]),
    ],
}


@pytest.mark.parametrize("make_input", FINE.values(), ids=FINE)
@every_maker
def test_every_way_to_write_a_matrix_gives_the_same_bits(
    make: Callable[[], Extractor], make_input: Any
) -> None:
    expected = make().fit_transform([MATRIX, MATRIX[:2, :2]])
    assert make().fit_transform(make_input()).identical(expected)


@every_maker
def test_negative_zeros_are_zeros(make: Callable[[], Extractor]) -> None:
    signed = MATRIX * (1 - 2 * np.eye(4))
    assert np.signbit(np.diag(signed)).all()
    dgms, expected = (make().fit_transform([x]) for x in (signed, MATRIX))
    np.testing.assert_array_equal(dgms.bars, expected.bars)


@every_maker
def test_one_point_and_equal_points_have_one_component(
    make: Callable[[], Extractor],
) -> None:
    for n in (1, 4):
        dgms = make().fit_transform([np.zeros((n, n))])
        assert len(dgms.bars) == 0
        assert dgms.essential.tolist() == [0.0]


@every_maker
def test_tiny_and_huge_entries_are_kept_to_the_bit(
    make: Callable[[], Extractor],
) -> None:
    whole = np.rint(4 * MATRIX)  # small integers are exact in every engine
    expected = make().fit_transform([whole]).bars
    assert len(expected) >= 3
    for scale in (2.0**-1074, 2.0**490):
        np.testing.assert_array_equal(
            make().fit_transform([scale * whole]).bars, scale * expected
        )
