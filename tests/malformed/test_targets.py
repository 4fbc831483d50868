"""Labels and numbers to learn that are none: refused by row, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from stablerank import SRNClassifier, SRNRegressor
from stablerank.estimators.targets import encode_labels, read_targets
from stablerank.exceptions import (
    DataTypeError,
    EmptyInputError,
    InvalidInputError,
    NonFiniteError,
    ShapeError,
)
from tests.estimators.problems import SMALL, estimators, rings_and_blobs


class Row(NamedTuple):
    """What becomes of good targets, what it raises, and words of the message."""

    name: str
    change: Callable[[Any], Any]
    error: type[Exception]
    words: tuple[str, ...]


def put(value: Any, row: int, dtype: Any = object) -> Callable[[Any], Any]:
    def change(y: Any) -> Any:
        changed = np.asarray(y).astype(dtype)
        changed[row] = value
        return changed

    return change


def words(y: Any) -> Any:
    return np.array(["a", "b"])[y]


LABELS = [
    Row("nan", put(np.nan, 7, float), NonFiniteError, ("NaN", "row 7", "drop")),
    Row("inf", put(np.inf, 3, float), NonFiniteError, ("infinity", "row 3")),
    Row("none", put(None, 5), NonFiniteError, ("None", "row 5")),
    Row(
        "nan among strings",
        lambda y: put(np.nan, 2)(words(y)),
        NonFiniteError,
        ("row 2", "nan"),
    ),
    Row(
        "a number among strings",
        lambda y: put(3, 4)(words(y)),
        DataTypeError,
        ("'a' in row 0", "3 in row 4", "astype(str)"),
    ),
    Row("bytes", lambda y: words(y).astype("S1"), DataTypeError, ("|S1", "strings")),
    Row("dates", lambda y: y.astype("M8[D]"), DataTypeError, ("datetime64",)),
    Row("complex", lambda y: y + 1j, ValueError, ("omplex",)),
    Row("one class", np.zeros_like, InvalidInputError, ("only one class, 0",)),
    Row("continuous", lambda y: np.linspace(0, 1, len(y)), ValueError, ("Unknown",)),
    Row("two columns", lambda y: np.stack([y, y], 1), ValueError, ("1d array",)),
    Row("scalar", lambda y: 3, ValueError, ("1d array",)),
    Row("nothing", lambda y: None, ValueError, ("1d array",)),
    Row("empty", lambda y: [], EmptyInputError, ("y is empty",)),
    Row("short", lambda y: y[:-1], ShapeError, ("24 samples", "(23,)")),
]

NUMBERS = [
    Row("nan", put(np.nan, 7, float), NonFiniteError, ("NaN", "row 7", "drop")),
    Row("inf", put(-np.inf, 3, float), NonFiniteError, ("infinity", "row 3")),
    Row("none", put(None, 5), NonFiniteError, ("row 5",)),
    Row("strings", lambda y: np.full(len(y), "a"), DataTypeError, ("<U1", "real")),
    Row("object strings", put("a", 2), DataTypeError, ("real numbers", "'a'")),
    Row("complex", lambda y: y + 1j, DataTypeError, ("complex128", "real")),
    Row("dates", lambda y: y.astype("M8[D]"), DataTypeError, ("datetime64",)),
    Row("cube", lambda y: np.zeros((len(y), 2, 2)), ShapeError, ("(n, n_targets)",)),
    Row("scalar", lambda y: 3.0, ShapeError, ("shape ()",)),
    Row("no column", lambda y: np.zeros((len(y), 0)), EmptyInputError, ("(24, 0)",)),
    Row("empty", lambda y: [], EmptyInputError, ("y is empty",)),
    Row("long", lambda y: np.r_[y, y], ShapeError, ("24 samples", "(48,")),
]


def refuse(ask: Callable[[], Any], row: Row) -> None:
    with pytest.raises(row.error) as caught:
        ask()
    for word in row.words:
        assert word in str(caught.value), caught.value


def untouched(estimator: Any) -> bool:
    return not any(name.endswith("_") for name in vars(estimator))


@pytest.mark.parametrize("row", LABELS, ids=lambda row: row.name)
def test_labels_that_are_none_are_refused(row: Row) -> None:
    clouds, y = rings_and_blobs()
    model = SRNClassifier(**SMALL)
    refuse(lambda: model.fit(clouds, row.change(y)), row)
    assert untouched(model)


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
def test_numbers_that_are_none_are_refused(row: Row) -> None:
    clouds, y = rings_and_blobs()
    model = SRNRegressor(**SMALL)
    refuse(lambda: model.fit(clouds, row.change(y.astype(int))), row)
    assert untouched(model)


@pytest.mark.parametrize("name", list(estimators()))
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(np.nan, 3, float), "NaN"),
        (put(np.inf, 3, float), "infinity"),
        (lambda y: y[:-1], "inconsistent"),
        (lambda y: None, "y"),
    ],
    ids=["nan", "inf", "short", "nothing"],
)
def test_every_estimator_refuses_what_no_target_can_be(name, change, said) -> None:
    estimator, X, y = estimators()[name]
    with pytest.raises(ValueError, match=said):
        estimator.fit(X, change(y))
    assert untouched(estimator)


@pytest.mark.parametrize(
    "y",
    [
        ["b", "a", "b"],
        np.array(["b", "a", "b"], object),
        [True, False, True],
        np.array([2, 1, 2], np.uint8),
        [1.0, -1.0, 1.0],
        np.array([[1], [0], [1]])[:, 0],
    ],
)
def test_labels_of_any_one_kind_are_sorted(y) -> None:
    classes, target = encode_labels(y)
    assert classes.tolist() == sorted(set(np.asarray(y).tolist()))
    assert target.tolist() == [1, 0, 1]


@pytest.mark.parametrize("y", [[1, 2], [True, False], np.array([1.5, 2.0], object)])
def test_real_numbers_of_any_type_are_targets(y) -> None:
    assert np.array_equal(read_targets(y)[:, 0], np.asarray(y, float))


# --- choices that go with them ------------------------------------------------------

WRONG_CHOICES = [
    ({"class_weight": {0: -1.0, 1: 1.0}}, ("class_weight", "[-1.0, 1.0]", ">= 0")),
    ({"class_weight": {0: 0.0, 1: 0.0}}, ("class_weight", "not all 0")),
    ({"class_weight": {0: np.nan, 1: 1.0}}, ("class_weight", "finite")),
    ({"radii": ()}, ("radii", "at least one")),
    ({"radii": (0.0, -1.0)}, ("radii", ">= 0")),
    ({"radii": (np.nan,)}, ("radii", "finite")),
    ({"radii": ("far",)}, ("radii", "far")),
    ({"hidden": (0,)}, ("hidden", ">= 1")),
    ({"hidden": (16, 2.5)}, ("hidden", "integers")),
    ({"hidden": ((16,),)}, ("hidden", "integers")),
    ({"network_options": {"groups": 4}}, ("network_options", "groups", "maxmin")),
    ({"device": "abacus"}, ("device='abacus'",)),
    ({"checkpoint": "."}, ("checkpoint=.", "name a file")),
]


@pytest.mark.parametrize(
    ("options", "said"), WRONG_CHOICES, ids=lambda value: str(value)[:40]
)
def test_a_wrong_choice_is_named_and_nothing_is_fitted(options, said) -> None:
    model = SRNClassifier(**SMALL | options)
    with pytest.raises(InvalidInputError) as caught:
        model.fit(*rings_and_blobs())
    for word in said:
        assert word in str(caught.value)
    assert untouched(model)


def test_a_weight_of_zero_leaves_a_class_out() -> None:
    clouds, y = rings_and_blobs()
    model = SRNClassifier(class_weight={0: 1.0, 1: 0.0}, **SMALL).fit(clouds, y)
    assert (model.predict(clouds) == 0).mean() > 0.9
