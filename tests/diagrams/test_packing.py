"""Offsets and runs against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stablerank.diagrams.packing import (
    Ragged,
    channel_rows,
    offsets_of,
    stack_critical,
    take_runs,
)
from stablerank.exceptions import DiagramFormatError

Counts = np.ndarray


@st.composite
def tables(draw: st.DrawFn) -> Counts:
    """Number of rows of every channel of every sample."""
    shape = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    return draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 3)))


def ragged(counts: Counts) -> Ragged:
    return Ragged(np.arange(float(counts.sum())), offsets_of(counts))


@given(counts=tables())
def test_offsets_lay_all_rows_end_to_end(counts: Counts) -> None:
    offsets = offsets_of(counts)
    position = 0
    for i, row in enumerate(counts.tolist()):
        for c, count in enumerate(row):
            assert (offsets[i, c], offsets[i, c + 1]) == (position, position + count)
            position += count
    assert ragged(counts).is_compact
    np.testing.assert_array_equal(ragged(counts).counts, counts)


@given(runs=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=8))
def test_runs_are_joined_in_order(runs: list[tuple[int, int]]) -> None:
    starts, counts = np.array(runs, np.int64).reshape(-1, 2).T
    expected = [row for start, n in runs for row in range(start, start + n)]
    assert take_runs(starts, counts).tolist() == expected


@given(counts=tables(), data=st.data())
def test_channels_and_samples_are_chosen_as_a_loop_would(
    counts: Counts, data: st.DataObject
) -> None:
    n, n_channels = counts.shape
    whole = ragged(counts)
    index = data.draw(st.lists(st.integers(0, n_channels - 1), min_size=1, max_size=4))
    order = data.draw(st.permutations(range(n)))
    view = whole[np.array(order, np.int64)]
    chosen, rows = view.select(index)
    expected = [
        row
        for i in order
        for c in index
        for row in range(whole.offsets[i, c], whole.offsets[i, c + 1])
    ]
    assert rows.tolist() == expected == chosen.values.tolist()
    assert chosen.is_compact
    np.testing.assert_array_equal(chosen.counts, counts[order][:, index])
    found, found_counts = channel_rows(view.offsets, index)
    assert found.tolist() == expected
    np.testing.assert_array_equal(found_counts, chosen.counts)
    for i, c in np.ndindex(chosen.counts.shape):
        np.testing.assert_array_equal(chosen.rows(i, c), whole.rows(order[i], index[c]))


@given(first=tables(), second=tables())
def test_batches_join_end_to_end(first: Counts, second: Counts) -> None:
    second = np.resize(second, (len(second), first.shape[1]))
    a, b = ragged(first), ragged(second)
    joined = Ragged.concat([a, b])
    assert joined.is_compact
    np.testing.assert_array_equal(joined.counts, np.concatenate([first, second]))
    np.testing.assert_array_equal(joined.values, np.concatenate([a.values, b.values]))
    assert joined.same_bits(Ragged.of(_arrays(a) + _arrays(b), first.shape[1], ()))


def _arrays(batch: Ragged) -> list[np.ndarray]:
    return [batch.rows(i, c) for i, c in np.ndindex(batch.counts.shape)]


@given(counts=tables())
def test_views_with_a_gap_or_a_repetition_are_not_compact(counts: Counts) -> None:
    whole = ragged(counts)
    for part in (whole[1:], whole[::-1], whole[:-1]):
        expected = part.select(range(counts.shape[1]))[0]
        assert part.is_compact == (
            np.array_equal(part.offsets, expected.offsets)
            and len(part.values) == len(expected.values)
        )


def test_offsets_that_leave_the_buffer_are_refused() -> None:
    for offsets in ([[0, 3]], [[-1, 1]], [[2, 1]], [[0, 1, 2]]):
        with pytest.raises(DiagramFormatError, match="here must increase"):
            Ragged(np.zeros(2), np.array(offsets)).check((1, 2), "here")
    Ragged(np.zeros(2), np.array([[0, 2]])).check((1, 2), "here")


def test_critical_vertices_are_stacked_if_all_batches_have_them() -> None:
    narrow, wide = np.zeros((2, 2, 1), np.int64), np.ones((1, 2, 3), np.int64)
    stacked = stack_critical([narrow, wide])
    assert stacked is not None
    assert stacked.shape == (3, 2, 3)
    assert (stacked[:2, :, 1:] == -1).all()
    assert stack_critical([narrow, None]) is None is stack_critical([])
