"""Errors say what, where and the fix, and survive the way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from stablerank import exceptions
from stablerank.exceptions import (
    ChannelError,
    CostLimitError,
    DataTypeError,
    InvalidInputError,
    MetricMismatchError,
    MissingDependencyError,
    NoStabilityTheorem,
    StableRankError,
)
from stablerank.metrics import Bottleneck, SortedDeaths

SPECIAL = {
    "MissingDependencyError": ("networkx", "structures", "GraphPersistence"),
    "MetricMismatchError": (Bottleneck(), SortedDeaths()),
    "NoStabilityTheorem": ("squared values stretch far points", "unsquared values"),
}


@pytest.mark.parametrize("name", exceptions.__all__)
def test_errors_keep_message_fields_and_notes_through_pickle_and_copy(
    name: str,
) -> None:
    error = getattr(exceptions, name)(*SPECIAL.get(name, ("clouds[3] has NaN",)))
    error.add_note("while extracting sample 7")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.__notes__ == ["while extracting sample 7"]
        assert twin.__dict__ == error.__dict__
    assert isinstance(error, StableRankError)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InvalidInputError, ValueError),
        (DataTypeError, TypeError),
        (DataTypeError, ValueError),
        (ChannelError, KeyError),
        (CostLimitError, MemoryError),
        (NoStabilityTheorem, TypeError),
        (MissingDependencyError, ImportError),
    ],
)
def test_errors_are_caught_by_the_builtin_that_people_expect(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, builtin)


def test_a_missing_channel_reads_as_a_sentence() -> None:
    assert str(ChannelError("no channel 'H7'")) == "no channel 'H7'"
    assert str(ChannelError()) == ""


def test_messages_name_the_fix() -> None:
    missing = MissingDependencyError(*SPECIAL["MissingDependencyError"])
    assert "pip install 'stablerank[structures]'" in str(missing)
    mismatch = str(MetricMismatchError(*SPECIAL["MetricMismatchError"]))
    assert "bottleneck distance" in mismatch
    assert "l_inf distance of sorted deaths" in mismatch
    refusal = str(NoStabilityTheorem(*SPECIAL["NoStabilityTheorem"]))
    assert refusal == "squared values stretch far points; instead: unsquared values"
