"""A batch of diagrams behaves like an immutable sequence of samples."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, train_test_split
from sklearn.utils import _safe_indexing, resample, shuffle

from stablerank.diagrams import Diagram, Diagrams
from stablerank.exceptions import (
    DiagramFormatError,
    IncompatibleDiagramsError,
    InvalidInputError,
)
from stablerank.metrics import Displacement
from tests.diagrams.make import (
    assert_same,
    check_samples,
    full_batch,
    random_list,
)

N = 9


# --- indexing -----------------------------------------------------------------------


KEYS = [
    slice(None),
    slice(2, 5),
    slice(7, 1, -2),
    slice(-3, None),
    slice(5, 5),
    [0, 3, 3, -1],
    [],
    np.array([4, 2], np.int32),
    np.array([1], np.uint8),
    np.arange(N) % 2 == 0,
    [True] + [False] * (N - 1),
    range(3),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_slices_arrays_and_lists_choose_samples(key: Any) -> None:
    whole = full_batch(0, N)
    rows = np.array([], np.int64) if repr(key) == "[]" else np.arange(N)[key]
    check_samples(whole[key], whole, rows)
    check_samples(whole[key, ...], whole, rows)  # as scikit-learn indexes
    check_samples(whole[key][::-1], whole, rows[::-1])


@given(
    first=st.lists(st.integers(-N, N - 1), max_size=6),
    second=st.slices(6),
)
def test_indexing_twice_is_indexing_once(first: list[int], second: slice) -> None:
    whole = full_batch(1, N)
    rows = np.arange(N)[np.array(first, np.int64)][second]
    check_samples(whole[first][second], whole, rows)


@pytest.mark.parametrize("index", [0, 3, -1, np.int64(2), np.uint8(2)])
def test_an_integer_gives_one_diagram(index: int) -> None:
    samples = random_list(2, N)
    one = Diagrams.from_list(samples)[index]
    assert isinstance(one, Diagram)
    for bars, expected in zip(one, samples[index], strict=True):
        np.testing.assert_array_equal(bars, expected)


@pytest.mark.parametrize(
    "key",
    [
        N,
        -N - 1,
        [N],
        [0, -N - 1],
        [True, False],
        [0.5],
        "H0",
        ["H0"],
        None,
        True,
        np.True_,
        (0, 1),
        (0, ..., 1),
        (slice(None), 0),
        np.zeros((2, 2), int),
        1.0,
    ],
    ids=repr,
)
def test_other_keys_are_refused(key: Any) -> None:
    with pytest.raises(IndexError):
        full_batch(0, N)[key]


def test_iteration_gives_every_sample_in_turn() -> None:
    whole = full_batch(3, N)
    found = list(whole)
    assert len(found) == len(whole) == N
    for i in range(N):
        for mine, theirs in zip(found[i], whole[i], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_scikit_learn_splits_and_shuffles_batches() -> None:
    whole = full_batch(4, N)
    y = np.arange(N)
    for key in ([2, 0], np.array([2, 0]), slice(1, 4), np.arange(N) > 5):
        check_samples(_safe_indexing(whole, key), whole, y[key])
    train, test, y_train, y_test = train_test_split(whole, y, random_state=0)
    check_samples(train, whole, y_train)
    check_samples(test, whole, y_test)
    for inside, outside in KFold(3, shuffle=True, random_state=0).split(whole, y):
        check_samples(whole[inside], whole, y[inside])
        assert len(whole[outside]) == N - len(inside)
    shuffled, y_shuffled = shuffle(whole, y, random_state=1)
    check_samples(shuffled, whole, y_shuffled)
    drawn, y_drawn = resample(whole, y, random_state=1, n_samples=20)
    check_samples(drawn, whole, y_drawn)


# --- memory -------------------------------------------------------------------------


def test_views_share_the_bars_and_compact_copies_hold_no_more() -> None:
    whole = full_batch(5, N)
    for view in (whole[2:5], whole[[4, 4]], whole[np.arange(N) > 3]):
        assert np.shares_memory(view.bars, whole.bars)
        assert np.shares_memory(view.essential, whole.essential)
        assert len(view.bars) == len(whole.bars)
        own = view.compact()
        assert not np.shares_memory(own.bars, whole.bars)
        assert len(own.bars) == own.counts.sum() == view.counts.sum()
        assert own.critical is not None
        assert len(own.critical) == len(own.bars)
        assert_same(own, view)
        assert own.compact() is own
    assert whole.compact() is whole
    one = Diagrams.from_list([[[(0.0, 1.0)]]])
    assert np.shares_memory(one[0][0], one.bars)


def test_pickling_a_view_does_not_carry_the_rest() -> None:
    whole = Diagrams.from_list([[np.array([[0.0, 1.0]] * 10_000)]] * 20)
    small = pickle.dumps(whole[3:4])
    assert len(small) < len(pickle.dumps(whole)) / 15
    assert_same(pickle.loads(small), whole[3:4])
    assert len(pickle.dumps(whole[0])) < 200_000


@pytest.mark.parametrize("part", [slice(None), slice(2, 7), [3, 1, 1]], ids=repr)
def test_copies_are_equal_and_immutable(part: Any) -> None:
    whole = full_batch(6, N)[part]
    for twin in (
        pickle.loads(pickle.dumps(whole)),
        copy.deepcopy(whole),
        copy.copy(whole),
    ):
        assert_same(twin, whole)
        check_immutable(twin)


def check_immutable(batch: Diagrams) -> None:
    arrays = ["bars", "offsets", "essential", "essential_offsets", "error", "critical"]
    for name in arrays:
        with pytest.raises(ValueError, match="read-only"):
            getattr(batch, name)[...] = 0
    for name in [*arrays, "source", "channels", "degrees", "unit", "new"]:
        with pytest.raises(AttributeError):
            setattr(batch, name, None)
    with pytest.raises(TypeError):
        batch[0] = batch[0]  # type: ignore[index]


def test_batches_and_their_parts_are_immutable() -> None:
    whole = full_batch(7, N)
    for batch in (whole, whole[1:4], whole[[0]], whole.select([0]), whole.compact()):
        check_immutable(batch)
    for bars in (bars for one in whole for bars in one if bars.size):
        with pytest.raises(ValueError, match="read-only"):
            bars[0, 0] = 0.0


def test_the_array_that_was_passed_stays_writable() -> None:
    bars, offsets = np.array([[0.0, 1.0]]), np.array([[0, 1]])
    Diagrams(bars, offsets, ["H0"], [0])
    bars[0, 1] = 2.0
    offsets[0, 1] = 0


# --- construction -------------------------------------------------------------------


GOOD = {
    "bars": np.array([[0.0, 1.0], [0.5, 0.75]]),
    "offsets": np.array([[0, 1, 2]]),
    "channels": ["H0", "H1"],
    "degrees": [0, 1],
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bars": np.zeros(4)}, "bars have shape"),
        ({"bars": np.zeros((2, 3))}, "bars have shape"),
        ({"bars": np.array([[0.0, 1.0], [1.0, 0.0]])}, "row 1: death < birth"),
        ({"bars": np.array([[0.0, np.nan], [0.0, 1.0]])}, "row 0: NaN"),
        ({"bars": np.array([[0.0, np.inf], [0.0, 1.0]])}, "essential birth"),
        ({"bars": np.array([[-np.inf, 0.0], [0.0, 1.0]])}, "infinite birth"),
        ({"offsets": np.array([[0, 1]])}, "offsets must increase"),
        ({"offsets": np.array([[0, 2, 1]])}, "offsets must increase"),
        ({"offsets": np.array([[0, 1, 3]])}, "at most 2"),
        ({"offsets": np.array([[-1, 1, 2]])}, "offsets must increase"),
        ({"offsets": np.array([0, 1, 2])}, "offsets must increase"),
        ({"channels": ["H0", "H0"]}, "different names"),
        ({"channels": ["H0"]}, "one degree per channel"),
        ({"degrees": [0]}, "one degree per channel"),
        ({"channels": [], "degrees": []}, "at least one channel"),
        ({"convention": ["radius"]}, "1 values of convention, 2 channels"),
        ({"unit": ["a", "b", "c"]}, "3 values of unit, 2 channels"),
        ({"error": -1.0}, "error must be >= 0"),
        ({"error": np.nan}, "error must be >= 0"),
        ({"error": np.zeros((3, 2))}, r"error has shape \(3, 2\)"),
        ({"critical": np.zeros((2, 2))}, "critical has shape"),
        ({"critical": np.zeros((1, 2, 3))}, "critical has shape"),
        ({"essential": [1.0]}, "together"),
        (
            {"essential": [np.inf], "essential_offsets": [[0, 1, 1]]},
            "births must be finite",
        ),
        (
            {"essential": [1.0], "essential_offsets": [[0, 1, 2]]},
            "essential_offsets must increase",
        ),
        ({"essential": [[1.0]], "essential_offsets": [[0, 1, 1]]}, "essential births"),
    ],
)
def test_buffers_that_are_no_diagrams_are_refused(change: dict, words: str) -> None:
    with pytest.raises(DiagramFormatError, match=words):
        Diagrams(**GOOD | change)


def test_defaults_say_that_nothing_is_known() -> None:
    batch = Diagrams(**GOOD)
    assert (batch.convention, batch.unit) == ("value", None)
    assert batch.conventions == ("value", "value")
    assert not batch.error.any()
    assert batch.error.shape == (1, 2)
    assert batch.source is None is batch.critical
    assert len(batch.essential) == 0


def test_conventions_and_units_that_differ_are_given_by_channel() -> None:
    batch = full_batch()
    assert batch.convention == {
        "alpha/H0": "radius",
        "alpha/H1": "radius",
        "dtm/H1": "value",
    }
    assert batch.unit["dtm/H1"] is None
    assert batch.select([0]).convention == "radius"
    assert repr(batch.select(["alpha/H0"]))[:30] == "Diagrams(9 samples, channels a"


def test_an_empty_selection_of_samples_is_a_batch() -> None:
    none = full_batch()[[]]
    assert none.shape == (0,)
    assert none.compact().bars.shape == (0, 2)
    assert none.to_list() == list(none) == []
    assert_same(Diagrams.concat([none, full_batch()]), full_batch())
    assert Diagrams.from_list([], channels=["H1"]).channels == ("H1",)


# --- weights, lists, tensors --------------------------------------------------------


def weights_of(sample: np.ndarray) -> np.ndarray:
    return np.abs(sample[:, 0])


def test_the_two_largest_weights_are_noted_by_the_name_of_the_threat() -> None:
    threat = Displacement(weights=weights_of)
    clouds = [np.array([[3.0], [-5.0], [1.0]]), np.array([[2.0]]), np.empty((0, 1))]
    batch = Diagrams.from_list(random_list(0, 3))
    with pytest.raises(IncompatibleDiagramsError, match="without a source"):
        batch.with_weights(threat, clouds)
    made = full_batch(0, 3)
    noted = made.with_weights(threat, clouds)
    np.testing.assert_array_equal(
        noted.source.weights[str(threat)], [[5.0, 3.0], [2.0, 0.0], [0.0, 0.0]]
    )
    assert str(threat) not in made.source.weights
    np.testing.assert_array_equal(noted[1:].source.weights[str(threat)][0], [2.0, 0.0])
    assert_same(noted.with_weights(threat, clouds), noted)
    with pytest.raises(IncompatibleDiagramsError, match="need different names"):
        noted.with_weights(threat, clouds[::-1])
    with pytest.raises(IncompatibleDiagramsError, match="2 inputs for 3"):
        made.with_weights(threat, clouds[:2])
    with pytest.raises(InvalidInputError, match="no weights"):
        made.with_weights(Displacement(), clouds)


def test_lists_go_in_and_come_out() -> None:
    samples = random_list(12, N, 3)
    batch = Diagrams.from_list(samples, convention="radius", unit="pixel", error=0.5)
    assert batch.channels == ("H0", "H1", "H2")
    assert (batch.convention, batch.unit) == ("radius", "pixel")
    for named, sample in zip(batch.to_list(), samples, strict=True):
        assert list(named) == ["H0", "H1", "H2"]
        for bars, expected in zip(named.values(), sample, strict=True):
            np.testing.assert_array_equal(bars, expected)
    assert Diagrams.from_list(batch.to_list(), error=0.5)[0].channels == batch.channels


def test_tensors_hold_the_compact_buffers() -> None:
    batch = full_batch()[3:]
    packed = batch.to_torch()
    own = batch.compact()
    assert packed.bars.dtype == torch.float64
    np.testing.assert_array_equal(packed.bars.numpy(), own.bars)
    np.testing.assert_array_equal(packed.offsets.numpy(), own.offsets)
    np.testing.assert_array_equal(packed.essential.numpy(), own.essential)
    np.testing.assert_array_equal(
        packed.essential_offsets.numpy(), own.essential_offsets
    )
    assert packed.channels == own.channels
    packed.bars[:] = 0  # a copy: the batch does not change
    assert own.bars.any()
    small = batch.to_torch(device="cpu", dtype=torch.float32)
    assert small.bars.dtype == small.essential.dtype == torch.float32
    assert small.offsets.dtype == torch.int64
