"""The diagram of one sample answers by degree and by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stablerank.diagrams import Diagrams
from stablerank.exceptions import ChannelError
from tests.diagrams.make import full_batch


def test_channels_are_asked_by_degree_or_name() -> None:
    batch = Diagrams.from_list(
        [{"H0": [(0.0, 1.0), (0.0, np.inf)], "H2": [(3.0, 4.0)], "odd": []}],
        degrees=[0, 2, 1],
    )
    one = batch[0]
    assert one.channels == ("H0", "H2", "odd")
    np.testing.assert_array_equal(one[0], [[0.0, 1.0], [0.0, np.inf]])
    np.testing.assert_array_equal(one[2], one["H2"])
    np.testing.assert_array_equal(one[np.int64(2)], [[3.0, 4.0]])
    assert one[1].shape == one["odd"].shape == (0, 2)
    assert len(one) == 3


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("H7", "no channel 'H7'; there are alpha/H0, alpha/H1, dtm/H1"),
        (1, "several channels have degree 1; ask by name: alpha/H1, dtm/H1"),
        (5, "no channel has degree 5"),
        (-1, "no channel has degree -1"),
        (True, "a name or a degree"),
        (1.0, "a name or a degree"),
        (None, "a name or a degree"),
        (slice(None), "a name or a degree"),
    ],
)
def test_a_channel_that_is_not_there_is_named(key: Any, words: str) -> None:
    with pytest.raises(ChannelError, match=words):
        full_batch()[0][key]
    with pytest.raises(ChannelError, match=words):
        full_batch().select([key])
