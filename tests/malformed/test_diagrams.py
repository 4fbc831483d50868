"""Diagrams that a user passes: which are refused, and which are fine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stablerank import Diagrams
from stablerank.exceptions import (
    ChannelError,
    DataTypeError,
    DiagramFormatError,
    IncompatibleDiagramsError,
)
from tests.malformed.refusals import Row, table

GOOD = [[(0.0, 1.0), (0.0, math.inf)], [(0.5, 2.0)]]


def bars(*rows: Any) -> list[Any]:
    """Two samples, of which the second holds these bars of degree 1."""
    return [GOOD, [[(0.0, 1.0)], list(rows)]]


REFUSED = table(
    Row(
        "death before birth",
        bars((0.0, 1.0), (2.0, 1.0)),
        DiagramFormatError,
        ("[1]", "channel H1", "row 1", "death < birth", "swap"),
    ),
    Row(
        "birth at -inf",
        bars((-math.inf, 0.0)),
        DiagramFormatError,
        ("row 0", "infinite birth", "clip"),
    ),
    Row("birth at inf", bars((math.inf, math.inf)), DiagramFormatError, ("birth",)),
    Row("death at -inf", bars((0.0, -math.inf)), DiagramFormatError, ("death -inf",)),
    Row("nan", bars((0.0, math.nan)), DiagramFormatError, ("NaN", "drop the row")),
    Row(
        "three columns",
        bars((0.0, 1.0, 1.0)),
        DiagramFormatError,
        ("(1, 3)", "(m, 2)", "split by degree"),
    ),
    Row(
        "one column",
        [[[(0.0, 1.0)], np.ones((3, 1))]],
        DiagramFormatError,
        ("(3, 1)", "birth, death"),
    ),
    Row("one bar", [[(0.0, 1.0), (0.5, 2.0)]], DiagramFormatError, ("(2,)", "(m, 2)")),
    Row("ragged bars", bars((0.0, 1.0), (0.0,)), DiagramFormatError, ("ragged",)),
    Row("a number", 3, DiagramFormatError, ("int", "[sample]")),
    Row("a mapping", {"H1": [(0.0, 1.0)]}, DiagramFormatError, ("dict", "[sample]")),
    Row("one array", [np.ones((1, 2))], DiagramFormatError, ("one array", "[array]")),
    Row("numbers", [[1.0, 2.0]], DiagramFormatError, ("channel H0", "(m, 2)")),
    Row("bare number", [1.0], DiagramFormatError, ("[0]", "homology degree")),
    Row("no samples", [], DiagramFormatError, ("no channels", "channels=[...]")),
    Row(
        "other number of degrees",
        [GOOD, GOOD[:1]],
        DiagramFormatError,
        ("[1]", "1 arrays", "H0, H1"),
    ),
    Row(
        "other names",
        [{"H0": []}, {"H1": []}],
        DiagramFormatError,
        ("[1]", "['H1']", "['H0']"),
    ),
    Row("strings", bars(("a", "b")), DataTypeError, ("channel H1", "<U1")),
    Row("complex", bars((0.0, 1j)), DataTypeError, ("complex128",)),
    Row("bool", [[np.ones((1, 2), bool)]], DataTypeError, ("bool",)),
    Row("long integers", [[[(0, 2**53 + 1)]]], DataTypeError, ("int64", "round")),
    Row("nothing", [[None]], DataTypeError, ("object", "real numbers")),
)


@REFUSED
def test_malformed_diagrams_are_refused(row: Row) -> None:
    with pytest.raises(row.error) as caught:
        Diagrams.from_list(row.X)
    for word in row.words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "empty", [[], np.empty((0, 2)), np.empty(0), np.empty((1, 0)), np.empty((0, 3))]
)
def test_no_bars_may_come_in_any_shape(empty: Any) -> None:
    dgms = Diagrams.from_list([[[(0.0, 1.0)], empty]])
    assert dgms[0]["H1"].shape == (0, 2)
    assert dgms.counts.tolist() == [[1, 0]]


def test_degrees_may_come_in_any_order_and_are_found_by_number() -> None:
    turned = Diagrams.from_list([GOOD[::-1]], channels=["a", "b"], degrees=[1, 0])
    straight = Diagrams.from_list([GOOD])
    for degree in (0, 1):
        np.testing.assert_array_equal(turned[0][degree], straight[0][degree])
    assert turned.degrees == (1, 0)
    with pytest.raises(ChannelError, match="no channel has degree 2"):
        turned[0][2]


@pytest.mark.parametrize(
    ("properties", "error", "words"),
    [
        ({"channels": ["a", "a"]}, DiagramFormatError, "different names"),
        ({"channels": ["a", "b"], "degrees": [0]}, DiagramFormatError, "1 degrees"),
        ({"channels": ["a"]}, DiagramFormatError, "2 arrays"),
        ({"error": -1.0}, DiagramFormatError, "error must be >= 0"),
        ({"error": math.nan}, DiagramFormatError, "not NaN"),
        ({"error": [1.0, 2.0, 3.0]}, DiagramFormatError, r"shape \(3,\)"),
        ({"convention": ["radius"]}, DiagramFormatError, "1 values of convention"),
        ({"unit": ["mm"]}, DiagramFormatError, "1 values of unit"),
    ],
)
def test_properties_that_do_not_fit_are_refused(
    properties: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Diagrams.from_list([GOOD], **properties)


def test_bars_that_never_die_are_kept_apart() -> None:
    dgms = Diagrams.from_list([GOOD])
    assert dgms.essential.tolist() == [0.0]
    assert np.isfinite(dgms.bars).all()
    with pytest.raises(DiagramFormatError, match="finite"):
        Diagrams([(0.0, math.inf)], [[0, 1]], ["H0"], [0])


def test_offsets_that_leave_the_buffer_are_refused() -> None:
    for offsets in ([[0, 3]], [[1, 0]], [[-1, 1]], [[0, 1, 1]], [0, 1]):
        with pytest.raises(DiagramFormatError, match="offsets must increase"):
            Diagrams([(0.0, 1.0)], offsets, ["H0"], [0])


def test_diagrams_of_other_channels_or_units_do_not_join() -> None:
    one = Diagrams.from_list([GOOD])
    for other in (
        Diagrams.from_list([GOOD], channels=["a", "b"]),
        Diagrams.from_list([GOOD], unit="mm"),
        Diagrams.from_list([GOOD], convention="radius"),
    ):
        with pytest.raises(IncompatibleDiagramsError, match="expected"):
            Diagrams.concat([one, other])


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ({"channels": [1, 2]}, "names"),
        ({"unit": 3}, "unit"),
        ({"convention": 3}, "convention"),
        ({"degrees": [0.5, 1]}, "integers"),
        ({"degrees": [-1, 1]}, "integers"),
        ({"degrees": [True, 1]}, "integers"),
    ],
)
def test_properties_that_make_no_sense_are_refused(
    properties: dict[str, Any], word: str
) -> None:
    with pytest.raises(DiagramFormatError, match=word):
        Diagrams.from_list([GOOD], **properties)
