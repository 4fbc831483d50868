"""Signals and images that are refused, and odd ones that are fine."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from stablerank import CubicalPersistence
from stablerank.exceptions import (
    DataTypeError,
    EmptyInputError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.extract import Extractor
from tests.malformed.refusals import Row, assert_refused, table

MAKERS: dict[str, Callable[[], Extractor]] = {
    "vertex": CubicalPersistence,
    "top": lambda: CubicalPersistence(construction="top", periodic=True),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)

IMAGE = np.array([[0.0, 2.0, 1.0, 5.0], [3.0, 1.0, 4.0, 0.5], [2.0, 6.0, 0.25, 1.0]])


def with_pixel(value: Any) -> np.ndarray:
    image = IMAGE.copy()
    image[1, 2] = value
    return image


REFUSED = table(
    Row("nan", [IMAGE, with_pixel(math.nan)], NonFiniteError, ("[1]", "NaN", "row 1")),
    Row("inf", [with_pixel(-math.inf)], NonFiniteError, ("inf", "row 1", "impute")),
    Row(
        "nan in space",
        [np.stack([IMAGE, with_pixel(math.nan)])],
        NonFiniteError,
        ("NaN", "(1, 1, 2)"),
    ),
    Row("complex", [IMAGE * 1j], DataTypeError, ("Complex data", "moduli")),
    Row("bool", [IMAGE > 1], DataTypeError, ("bool", "convert")),
    Row("strings", [["a", "b"]], DataTypeError, ("<U1", "real numbers")),
    Row("objects", [np.array([None, 1.0])], DataTypeError, ("None", "(0,)")),
    Row("huge", [with_pixel(1e200)], NumericRangeError, ("row 1", "overflow")),
    Row("single signal", IMAGE[0], ShapeError, ("(4,)", "[X]", "single signal")),
    Row("four axes", [IMAGE[None, None]], ShapeError, ("(1, 1, 3, 4)", "2 or 3")),
    Row("five axes", IMAGE[None, None, None], ShapeError, ("2 or 3",)),
    Row("mixed axes", [IMAGE, IMAGE[0]], ShapeError, ("[1]", "1 axes", "2")),
    Row("ragged", [[[1.0, 2.0], [3.0]]], ShapeError, ("ragged", "rectangular")),
    Row("no samples", np.empty((0, 3, 4)), EmptyInputError, ("0 sample",)),
    Row("no rows", [np.empty((0, 4))], EmptyInputError, ("[0]", "empty")),
    Row("no columns", [IMAGE, np.empty((3, 0))], EmptyInputError, ("[1]", "empty")),
    Row("sparse", scipy.sparse.csr_matrix(IMAGE), DataTypeError, (".toarray()",)),
    Row("number", 3.0, DataTypeError, ("float", "list of arrays")),
    Row("word", "image", DataTypeError, ("str", "list of arrays")),
    Row("nothing", None, DataTypeError, ("NoneType",)),
    Row("dictionary", {"a": IMAGE}, DataTypeError, ("dict", "list of arrays")),
    Row("set", {1.0, 2.0}, DataTypeError, ("set", "list of arrays")),
)


@REFUSED
def test_a_malformed_image_is_refused_and_nothing_changes(
    row: Row, tmp_path: Path
) -> None:
    for name, make in MAKERS.items():
        assert_refused(make, [IMAGE], row, tmp_path / name)


FINE: dict[str, Callable[[], Any]] = {
    "array": lambda: np.stack([IMAGE, -IMAGE]),
    "lists": lambda: [IMAGE.tolist(), (-IMAGE).tolist()],
    "frames": lambda: [pd.DataFrame(IMAGE), pd.DataFrame(-IMAGE)],
    "single": lambda: [IMAGE.astype(np.float32), -IMAGE.astype(np.float16)],
    "fortran order": lambda: [np.asfortranarray(IMAGE), -np.asfortranarray(IMAGE)],
    "backwards": lambda: [IMAGE[::-1].copy()[::-1], -IMAGE],
    "tensors": lambda: torch.tensor(np.stack([IMAGE, -IMAGE]), requires_grad=True),
    "nested tensor": lambda: torch.nested.nested_tensor(
        [torch.tensor(IMAGE), torch.tensor(-IMAGE)], layout=torch.jagged
    ),
    "generator": lambda: (sign * IMAGE for sign in (1, -1)),
}


@pytest.mark.parametrize("make_input", FINE.values(), ids=FINE)
@every_maker
def test_every_way_to_write_images_gives_the_same_bits(
    make: Callable[[], Extractor], make_input: Any
) -> None:
    expected = make().fit_transform([IMAGE, -IMAGE])
    assert len(expected.bars) >= 4
    assert make().fit_transform(make_input()).identical(expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@every_maker
def test_integers_are_read_exactly(make: Callable[[], Extractor], dtype: Any) -> None:
    whole = 4 * IMAGE
    expected = make().fit_transform([whole])
    assert make().fit_transform([whole.astype(dtype)]).identical(expected)


def test_a_table_is_one_signal_a_row() -> None:
    table_of_signals = CubicalPersistence().fit_transform(IMAGE)
    assert table_of_signals.identical(CubicalPersistence().fit_transform(list(IMAGE)))
    assert len(table_of_signals) == len(IMAGE)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 5), (1, 1, 1), (3, 1, 1)])
@every_maker
def test_constant_and_thin_arrays_have_one_component(
    make: Callable[[], Extractor], shape: tuple[int, ...]
) -> None:
    dgms = (
        make().set_params(homology_dimensions=(0,)).fit_transform([np.full(shape, 2)])
    )
    assert len(dgms.bars) == 0
    assert dgms.essential.tolist() == [2.0]


@every_maker
def test_subnormal_values_are_kept_to_the_bit(make: Callable[[], Extractor]) -> None:
    tiny = 2.0**-1070
    expected = tiny * make().fit_transform([IMAGE]).bars
    np.testing.assert_array_equal(make().fit_transform([tiny * IMAGE]).bars, expected)
