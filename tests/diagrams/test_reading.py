"""Diagrams that users pass: read in every honest form, refused by name otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stablerank.diagrams import Diagrams
from stablerank.exceptions import DataTypeError, DiagramFormatError, InvalidInputError
from tests.diagrams.make import assert_same, full_batch, random_list

BAR = [(0.0, 1.0)]
NAN, INF = float("nan"), float("inf")

# (samples, error, words of the message)
MALFORMED: list[tuple[str, Any, type[Exception], str]] = [
    ("death before birth", [[[(1.0, 0.0)]]], DiagramFormatError, "death < birth"),
    (
        "death before birth, later",
        [[BAR], [[(0.0, 1.0), (2.0, 1.5)]]],
        DiagramFormatError,
        r"diagrams\[1\], channel H0, row 1: death < birth \(2, 1.5\)",
    ),
    ("birth -inf", [[[(-INF, 1.0)]]], DiagramFormatError, "an infinite birth"),
    ("birth inf", [[[(INF, INF)]]], DiagramFormatError, "an infinite birth"),
    ("death -inf", [[[(0.0, -INF)]]], DiagramFormatError, "death -inf"),
    ("NaN birth", [[[(NAN, 1.0)]]], DiagramFormatError, "row 0: NaN"),
    ("NaN death", [[[(0.0, 1.0), (0.0, NAN)]]], DiagramFormatError, "row 1: NaN"),
    ("three columns", [[[(0.0, 1.0, 1.0)]]], DiagramFormatError, "drop other columns"),
    ("one column", [[[(0.0,)]]], DiagramFormatError, r"shape \(1, 1\)"),
    ("flat array", [[np.array([0.0, 1.0])]], DiagramFormatError, r"shape \(2,\)"),
    ("scalar", [[1.0]], DiagramFormatError, r"shape \(\)"),
    ("ragged bars", [[[(0.0, 1.0), (2.0,)]]], DiagramFormatError, "ragged"),
    ("strings", [[[("a", "b")]]], DataTypeError, "real numbers"),
    ("a string", ["ab"], DataTypeError, "real numbers"),
    ("booleans", [[np.array([[False, True]])]], DataTypeError, "bool"),
    ("complex", [[np.array([[0, 1j]])]], DataTypeError, "complex"),
    ("objects", [[[(0.0, None)]]], DataTypeError, "object"),
    ("whole numbers too long", [[[(0, 2**53 + 1)]]], DataTypeError, "float64"),
    ("one array a sample", [np.zeros((3, 2))], DiagramFormatError, r"\[array\]"),
    ("a number", [3.0], DiagramFormatError, r"diagrams\[0\] is 3.0"),
    ("a number, later", [[BAR], 3.0], DiagramFormatError, r"diagrams\[1\] has 0"),
    ("no samples", [], DiagramFormatError, "channels="),
    ("no channels", [[]], DiagramFormatError, "at least one channel"),
    ("too few channels", [[BAR, BAR], [BAR]], DiagramFormatError, "has 1 arrays"),
    ("too many channels", [[BAR], [BAR, BAR]], DiagramFormatError, "has 2 arrays"),
    (
        "other names",
        [{"H0": BAR}, {"H1": BAR}],
        DiagramFormatError,
        r"diagrams\[1\] has channels \['H1'\], expected \['H0'\]",
    ),
]


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [row[1:] for row in MALFORMED],
    ids=[row[0] for row in MALFORMED],
)
def test_what_is_no_diagram_is_refused_by_name(
    samples: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        Diagrams.from_list(samples)
    assert isinstance(caught.value, ValueError)


EMPTY_FORMS = [
    [],
    (),
    np.empty((0, 2)),
    np.empty((1, 0)),  # ripser.py and some versions of GUDHI
    np.empty(0),
    np.empty((0, 3)),
    [[]],
    np.empty((0, 2), object),
]


@pytest.mark.parametrize("empty", EMPTY_FORMS, ids=repr)
def test_a_channel_without_bars_is_read_in_whatever_shape(empty: Any) -> None:
    batch = Diagrams.from_list([[BAR, empty], [empty, BAR]])
    assert batch.counts.tolist() == [[1, 0], [0, 1]]
    assert batch[0][1].shape == (0, 2)


FORMS = [
    [(0.0, 1.0), (2.0, 3.5)],
    np.array([[0.0, 1.0], [2.0, 3.5]]),
    np.array([[0.0, 1.0], [2.0, 3.5]], np.float32),
    np.array([[0.0, 1.0], [2.0, 3.5]], order="F"),
    np.array([[0.0, 9.0, 1.0], [2.0, 9.0, 3.5]])[:, ::2],
    torch.tensor([[0.0, 1.0], [2.0, 3.5]]),
    ((0, 1), (2, 3.5)),
]


@pytest.mark.parametrize("bars", FORMS, ids=lambda b: type(b).__name__)
def test_bars_are_read_exactly_from_any_array(bars: Any) -> None:
    read = Diagrams.from_list([[bars]])[0][0]
    np.testing.assert_array_equal(read, [[0.0, 1.0], [2.0, 3.5]])
    assert read.dtype == np.float64


def test_samples_may_be_one_array_with_a_row_a_channel() -> None:
    stack = np.arange(24.0).reshape(2, 3, 2, 2)
    batch = Diagrams.from_list(stack)
    assert batch.counts.tolist() == [[2, 2, 2]] * 2
    np.testing.assert_array_equal(batch[1][2], stack[1, 2])


def test_samples_may_be_mappings_in_any_order_and_with_degrees_as_keys() -> None:
    batch = Diagrams.from_list([{1: BAR, "H0": []}, {"H0": BAR, "H1": []}])
    assert batch.channels == ("H1", "H0")
    assert batch.degrees == (1, 0)
    assert batch.counts.tolist() == [[1, 0], [0, 1]]


def test_degrees_are_read_from_names_or_positions() -> None:
    batch = Diagrams.from_list([[BAR] * 4], channels=["alpha/H1", "H12", "Ext0", "x"])
    assert batch.degrees == (1, 12, 2, 3)
    given = Diagrams.from_list([[BAR] * 2], channels=["a", "b"], degrees=[4, 4])
    assert given.degrees == (4, 4)


def test_single_diagrams_go_in_by_name_and_keep_their_degrees() -> None:
    whole = full_batch()
    again = Diagrams.from_list(list(whole))
    assert again.degrees == whole.degrees == (0, 1, 1)
    assert_same(
        again,
        Diagrams(
            whole.bars,
            whole.offsets,
            whole.channels,
            whole.degrees,
            essential=whole.essential,
            essential_offsets=whole.essential_offsets,
        ),
    )
    swapped = whole.select(whole.channels[::-1])
    mixed = Diagrams.from_list([whole[0], swapped[1]])
    np.testing.assert_array_equal(mixed[1]["alpha/H1"], whole[1]["alpha/H1"])


def test_essential_bars_are_kept_apart_and_come_back_last() -> None:
    batch = Diagrams.from_list([[[(0.0, INF), (1.0, 2.0), (0.5, INF)]]])
    np.testing.assert_array_equal(batch.bars, [[1.0, 2.0]])
    np.testing.assert_array_equal(batch.essential, [0.0, 0.5])
    np.testing.assert_array_equal(batch[0][0], [[1.0, 2.0], [0.0, INF], [0.5, INF]])


def test_bars_of_length_zero_and_negative_values_are_bars() -> None:
    batch = Diagrams.from_list([[[(1.0, 1.0), (-3.0, -2.0)]]])
    np.testing.assert_array_equal(batch.bars, [[1.0, 1.0], [-3.0, -2.0]])


def test_the_input_is_neither_changed_nor_shared() -> None:
    samples = random_list(0, 4)
    before = [[bars.copy() for bars in sample] for sample in samples]
    batch = Diagrams.from_list(samples)
    for sample, old in zip(samples, before, strict=True):
        for bars, expected in zip(sample, old, strict=True):
            np.testing.assert_array_equal(bars, expected)
            assert not np.shares_memory(bars, batch.bars)


def test_properties_are_passed_on_and_checked() -> None:
    batch = Diagrams.from_list([[BAR]], convention="radius", error=[[0.5]])
    assert batch.convention == "radius"
    assert batch.error.tolist() == [[0.5]]
    with pytest.raises(InvalidInputError, match="error has shape"):
        Diagrams.from_list([[BAR]], error=[0.5, 0.5])
    with pytest.raises(TypeError):
        Diagrams.from_list([[BAR]], colour="red")
