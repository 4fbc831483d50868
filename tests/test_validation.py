"""Raw input becomes float64 to the bit, or an error with place and fix.

What each extractor makes of bad input is tested in `tests/malformed/`; here are the
readers alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp

from stablerank.exceptions import (
    DataTypeError,
    DistanceMatrixError,
    EmptyInputError,
    InvalidInputError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.validation import (
    check_clouds,
    check_distance_matrices,
    check_finite,
    check_images,
    check_limit,
    to_float64,
)

NAN, INF = math.nan, math.inf
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])

# --- numbers ------------------------------------------------------------------------


@given(
    array=hnp.arrays(
        hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes(),
        hnp.array_shapes(),
    )
)
def test_numbers_are_read_to_the_bit_or_refused(array: np.ndarray) -> None:
    try:
        read = to_float64(array, "x")
    except InvalidInputError:
        beyond = [not abs(int(v)) <= 2**53 for v in array.ravel() if np.isfinite(v)]
        assert any(beyond) or not np.isfinite(array).all()
        return
    assert read.dtype == np.float64
    assert read.flags.c_contiguous
    assert read.shape == array.shape
    assert all(a == b for a, b in zip(array.ravel(), read.ravel(), strict=True))


def forms(tmp_path: Path) -> Iterator[Any]:
    yield SQUARE.tolist()
    yield SQUARE.astype(np.float32)
    yield SQUARE.astype(np.int8)
    yield SQUARE.astype(object)
    yield np.asfortranarray(SQUARE)
    yield np.repeat(SQUARE, 2, axis=0)[::2]
    yield pd.DataFrame(SQUARE, columns=["x", "y"])
    yield np.ma.masked_array(SQUARE, mask=False)
    yield torch.tensor(SQUARE)
    yield torch.tensor(SQUARE, dtype=torch.bfloat16, requires_grad=True)
    yield torch.tensor(SQUARE, dtype=torch.float16)
    yield torch.tensor(SQUARE).to(torch.int32)
    yield torch.tensor(SQUARE).to_sparse()
    yield torch.tensor(SQUARE).T.contiguous().T
    read_only = SQUARE.copy()
    read_only.flags.writeable = False
    yield read_only
    np.save(tmp_path / "x.npy", SQUARE)
    yield np.load(tmp_path / "x.npy", mmap_mode="r")


def test_all_kinds_of_arrays_are_read_as_the_same_cloud(tmp_path: Path) -> None:
    for form in forms(tmp_path):
        (cloud,) = check_clouds([form])
        np.testing.assert_array_equal(cloud, SQUARE)
        assert type(cloud) is np.ndarray
        assert cloud.dtype == np.float64
        assert cloud.flags.c_contiguous


READERS = [
    pytest.param(lambda x: check_clouds([SQUARE, x]), "clouds[1]", id="clouds"),
    pytest.param(
        lambda x: check_distance_matrices([np.zeros((2, 2)), x]),
        "distances[1]",
        id="distances",
    ),
    pytest.param(lambda x: check_images([SQUARE, x]), "images[1]", id="images"),
]

BAD_NUMBERS = [
    ("NaN", [[0.0, NAN], [NAN, 0.0]], NonFiniteError, "has NaN in row 0; drop"),
    ("inf", [[0.0, 0.0], [INF, 0.0]], NonFiniteError, r"infinity \(inf\) in row 1"),
    ("-inf", [[0.0, -INF], [0.0, 0.0]], NonFiniteError, "infinity"),
    ("strings", [["a", "b"], ["c", "d"]], DataTypeError, "<U1"),
    ("bytes", np.array([[b"a"]]), DataTypeError, "S1"),
    ("booleans", np.eye(2, dtype=bool), DataTypeError, "bool"),
    ("complex", np.eye(2) * 1j, DataTypeError, "Complex data not supported"),
    ("complex tensor", torch.eye(2) * 1j, DataTypeError, "Complex"),
    ("dates", np.array([["2020-01-01"]], "datetime64[D]"), DataTypeError, "datetime"),
    ("None", [[0.0, None], [None, 0.0]], DataTypeError, r"None at \(0, 1\)"),
    ("a bool among objects", np.array([[True, 0.5]], object), DataTypeError, "True"),
    ("a string among objects", np.array([["1", 2]], object), DataTypeError, "string"),
    ("NA", pd.DataFrame({"a": [1, pd.NA]}), DataTypeError, "<NA>"),
    ("a dict", {"a": 1}, DataTypeError, "a dict; expected an array"),
    ("long integers", [[0, 2**53 + 1], [2**53 + 1, 0]], NumericRangeError, "2[*]{2}53"),
    (
        "long integers among objects",
        np.array([[2**70, 0.5]], object),
        NumericRangeError,
        "the integer",
    ),
    ("huge", [[0.0, 1e151], [1e151, 0.0]], NumericRangeError, r"1e\+150 in row 0"),
    ("ragged", [[0.0, 1.0], [0.0]], ShapeError, "ragged"),
    (
        "masked",
        np.ma.masked_greater(np.eye(2), 0.5),
        DataTypeError,
        "fill or drop what is masked",
    ),
    ("sparse", scipy.sparse.csr_array(np.eye(2)), DataTypeError, "toarray"),
]


@pytest.mark.parametrize(("read", "place"), READERS)
@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [row[1:] for row in BAD_NUMBERS],
    ids=[row[0] for row in BAD_NUMBERS],
)
def test_bad_numbers_are_named_with_their_place(
    read: Callable[[Any], Any],
    place: str,
    bad: Any,
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words) as caught:
        read(bad)
    assert place in str(caught.value)


def test_numbers_up_to_the_limit_are_read() -> None:
    assert to_float64([1e150, -1e150, 5e-324], "x").tolist() == [1e150, -1e150, 5e-324]
    assert to_float64([2**53, -(2**53)], "x").tolist() == [2.0**53, -(2.0**53)]
    with pytest.raises(NumericRangeError, match="x has values above"):
        to_float64(np.nextafter(1e150, INF), "x")
    third = np.array([1], np.longdouble) / 3
    if third.itemsize > 8:  # on some platforms it is float64
        with pytest.raises(NumericRangeError, match="float64 does not have"):
            to_float64(third, "x")


def test_the_place_of_a_nan_is_given_in_any_shape() -> None:
    image = np.zeros((2, 3, 4))
    image[1, 2, 3] = NAN
    with pytest.raises(NonFiniteError, match=r"NaN in position \(1, 2, 3\)"):
        check_finite(image, "images[0]")
    with pytest.raises(NonFiniteError, match="NaN in row 0"):
        to_float64(NAN, "x")


# --- clouds -------------------------------------------------------------------------


def test_batches_are_lists_arrays_or_object_arrays() -> None:
    ragged = [SQUARE, SQUARE[:2], SQUARE[:1]]
    packed = np.empty(3, object)
    packed[:] = ragged
    for batch in (ragged, tuple(ragged), iter(ragged), packed):
        clouds = check_clouds(batch)
        assert [len(c) for c in clouds] == [4, 2, 1]
    for batch in (np.stack([SQUARE, SQUARE]), torch.tensor(np.stack([SQUARE, SQUARE]))):
        clouds = check_clouds(batch)
        np.testing.assert_array_equal(clouds[1], SQUARE)


BAD_CLOUDS = [
    ("one cloud", SQUARE, ShapeError, r"\(4, 2\), a single cloud: pass \[X\]"),
    ("one tensor", torch.tensor(SQUARE), ShapeError, r"pass \[X\]"),
    ("one table", pd.DataFrame(SQUARE), ShapeError, r"pass \[X\]"),
    ("one list", SQUARE.tolist(), ShapeError, r"clouds\[0\].*pass \[X\]"),
    ("four axes", np.zeros((1, 2, 3, 4)), ShapeError, "expected 3 axes"),
    ("one axis", np.zeros(4), ShapeError, "expected 3 axes"),
    ("no samples", [], EmptyInputError, "clouds has 0 samples; a minimum of 1"),
    ("no samples, array", np.zeros((0, 3, 2)), EmptyInputError, "0 samples"),
    ("no points", [SQUARE, np.zeros((0, 2))], EmptyInputError, r"clouds\[1\] has no"),
    ("an empty list", [SQUARE, []], EmptyInputError, r"clouds\[1\] has no points"),
    ("no coordinates", [np.zeros((3, 0))], ShapeError, "without coordinates"),
    ("two dimensions", [SQUARE, np.zeros((2, 3))], ShapeError, "3 coordinates"),
    ("three axes", [np.zeros((2, 2, 2))], ShapeError, r"clouds\[0\] has shape"),
    ("a string", "clouds.npy", DataTypeError, "a str; expected a list"),
    ("a number", 3, DataTypeError, "a int; expected a list"),
    ("None", None, DataTypeError, "NoneType"),
    ("a set", {1.0}, DataTypeError, "a set; expected a list"),
    ("a mapping", {"a": SQUARE}, DataTypeError, "a dict; expected a list"),
    ("numbers", [1.0, 2.0], ShapeError, r"clouds\[0\]"),
]


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [row[1:] for row in BAD_CLOUDS],
    ids=[row[0] for row in BAD_CLOUDS],
)
def test_what_is_no_batch_of_clouds_is_named(
    batch: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        check_clouds(batch)


def test_the_name_of_the_argument_is_used() -> None:
    with pytest.raises(EmptyInputError, match=r"^X has 0"):
        check_clouds([], name="X")


# --- distances ----------------------------------------------------------------------


def test_distances_need_not_be_metric() -> None:
    matrix = np.array([[0.0, 1.0, 9.0], [1.0, 0.0, 1.0], [9.0, 1.0, 0.0]])
    (read,) = check_distance_matrices([matrix])
    np.testing.assert_array_equal(read, matrix)
    assert len(check_distance_matrices([[[0]], matrix])) == 2
    (minus_zero,) = check_distance_matrices([[[-0.0, 1.0], [1.0, 0.0]]])
    assert minus_zero[0, 0] == 0


BAD_DISTANCES = [
    (
        "asymmetric",
        [[[0.0, 1.0], [2.0, 0.0]]],
        DistanceMatrixError,
        r"asymmetric entry in row 0, column 1 \(1\); symmetrise",
    ),
    (
        "negative",
        [[[0.0, -1.0], [-1.0, 0.0]]],
        DistanceMatrixError,
        "a negative entry in row 0, column 1",
    ),
    (
        "diagonal",
        [[[0.0, 1.0], [1.0, 0.5]]],
        DistanceMatrixError,
        "a nonzero diagonal in row 1, column 1",
    ),
    ("not square", [np.zeros((2, 3))], ShapeError, "must be square"),
    ("three axes", [np.zeros((2, 2, 2))], ShapeError, "must be square"),
    ("one matrix", np.zeros((3, 3)), ShapeError, r"a single matrix: pass \[X\]"),
    ("empty", [np.zeros((0, 0))], EmptyInputError, r"distances\[0\] is empty"),
    ("no samples", [], EmptyInputError, "distances has 0 samples"),
    ("condensed", [np.zeros(3)], ShapeError, "must be square"),
]


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [row[1:] for row in BAD_DISTANCES],
    ids=[row[0] for row in BAD_DISTANCES],
)
def test_what_is_no_matrix_of_distances_is_named(
    batch: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        check_distance_matrices(batch)


# --- images -------------------------------------------------------------------------


def test_the_first_axis_of_an_array_runs_over_samples() -> None:
    for shape in ((3, 5), (3, 5, 4), (3, 5, 4, 2)):
        batch = np.arange(np.prod(shape), dtype=float).reshape(shape)
        for form in (batch, torch.tensor(batch), list(batch), iter(batch)):
            images = check_images(form)
            assert [i.shape for i in images] == [shape[1:]] * 3
            np.testing.assert_array_equal(images[2], batch[2])
    table = pd.DataFrame([[0, 1], [2, 3]], columns=["a", "b"])
    np.testing.assert_array_equal(check_images(table)[1], [2.0, 3.0])


def test_images_of_different_sizes_are_fine() -> None:
    assert [i.shape for i in check_images([np.zeros((2, 3)), np.zeros((5, 1))])] == [
        (2, 3),
        (5, 1),
    ]


BAD_IMAGES = [
    ("one signal", np.zeros(4), ShapeError, "Reshape your data"),
    ("five axes", np.zeros((1,) * 5), ShapeError, "Reshape your data"),
    ("mixed axes", [np.zeros(3), np.zeros((3, 3))], ShapeError, "images of one kind"),
    ("no samples", np.zeros((0, 3)), EmptyInputError, "a minimum of 1 is required"),
    ("no samples, list", [], EmptyInputError, "a minimum of 1 is required"),
    ("no pixels", np.zeros((3, 0)), EmptyInputError, r"0 feature\(s\)"),
    ("a string", "image.png", DataTypeError, "a str; expected a list"),
    ("a number", 7, DataTypeError, "a int; expected a list"),
    ("sparse", scipy.sparse.csr_array(np.eye(3)), DataTypeError, "toarray"),
]


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [row[1:] for row in BAD_IMAGES],
    ids=[row[0] for row in BAD_IMAGES],
)
def test_what_is_no_batch_of_images_is_named(
    batch: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        check_images(batch)


# --- limits -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -1.0, NAN, INF])
def test_a_limit_is_a_finite_number_above_zero(value: float) -> None:
    check_limit(1e-300, "threshold")
    with pytest.raises(InvalidInputError, match="threshold must be a finite number"):
        check_limit(value, "threshold")
